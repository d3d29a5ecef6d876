//! What is served: groups, resources and verbs, in one table.
//!
//! Discovery and OpenAPI are written from it, and a test asks the router for each verb. It must not know handlers.
//! Invariant: a verb stands here when, and only when, the router answers it.

/// A verb as discovery names it (kubernetes: `metav1.APIResource.Verbs`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Verb {
    /// POST to the collection.
    Create,
    /// DELETE of an object.
    Delete,
    /// GET of an object.
    Get,
    /// GET of the collection.
    List,
    /// PATCH of an object.
    Patch,
    /// PUT of an object.
    Update,
    /// GET of the collection with `watch=true`.
    Watch,
}

impl Verb {
    /// The word of discovery.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A part of an object with a path of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Subresource {
    /// Last segment of its path.
    pub(super) name: &'static str,
    /// Kind that discovery gives for it.
    pub(super) kind: &'static str,
    /// Group and version of that kind; both empty for those of the object.
    pub(super) group_version: (&'static str, &'static str),
    /// In alphabetical order.
    pub(super) verbs: &'static [Verb],
}

/// The kind is of the object's own group and version.
const SAME: (&str, &str) = ("", "");

/// A resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ApiResource {
    /// Name in paths.
    pub(super) plural: &'static str,
    /// What people type.
    pub(super) singular: &'static str,
    /// Kind.
    pub(super) kind: &'static str,
    /// Whether its objects are in namespaces.
    pub(super) is_namespaced: bool,
    /// In alphabetical order.
    pub(super) verbs: &'static [Verb],
    /// Such as `po`.
    pub(super) short_names: &'static [&'static str],
    /// Such as `all`.
    pub(super) categories: &'static [&'static str],
    /// In alphabetical order.
    pub(super) subresources: &'static [Subresource],
}

/// A version of a group; each group has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GroupVersion {
    /// Empty for the core group.
    pub(super) group: &'static str,
    /// Version.
    pub(super) version: &'static str,
    /// In alphabetical order.
    pub(super) resources: &'static [ApiResource],
}

impl GroupVersion {
    /// `v1` or `batch/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The group without its domain, `core` for the core group: how types and operations are named.
    pub(super) fn package(&self) -> &'static str {
        if self.group.is_empty() { "core" } else { self.group.split('.').next().unwrap_or_default() }
    }

    /// `/api/v1` or `/apis/batch/v1`.
    pub(super) fn path(&self) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}", self.api_version())
    }
}

use Verb::{Create, Delete, Get, List, Patch, Update, Watch};

/// core/v1.
pub(super) const CORE_V1: GroupVersion = GroupVersion {
    group: "",
    version: "v1",
    resources: &[
        ApiResource {
            plural: "events",
            singular: "event",
            kind: "Event",
            is_namespaced: true,
            verbs: &[Get, List, Watch],
            short_names: &["ev"],
            categories: &[],
            subresources: &[],
        },
        ApiResource {
            plural: "namespaces",
            singular: "namespace",
            kind: "Namespace",
            is_namespaced: false,
            verbs: &[Create, Get, List, Patch, Update, Watch],
            short_names: &["ns"],
            categories: &[],
            subresources: &[],
        },
        ApiResource {
            plural: "nodes",
            singular: "node",
            kind: "Node",
            is_namespaced: false,
            verbs: &[Get, List, Patch, Watch],
            short_names: &["no"],
            categories: &[],
            subresources: &[],
        },
        ApiResource {
            plural: "pods",
            singular: "pod",
            kind: "Pod",
            is_namespaced: true,
            verbs: &[Delete, Get, List, Patch, Update, Watch],
            short_names: &["po"],
            categories: &["all"],
            subresources: &[
                Subresource { name: "eviction", kind: "Eviction", group_version: ("policy", "v1"), verbs: &[Create] },
                Subresource { name: "log", kind: "Pod", group_version: SAME, verbs: &[Get] },
                Subresource { name: "status", kind: "Pod", group_version: SAME, verbs: &[Get] },
            ],
        },
    ],
};

/// batch/v1.
const BATCH_V1: GroupVersion = GroupVersion {
    group: "batch",
    version: "v1",
    resources: &[ApiResource {
        plural: "jobs",
        singular: "job",
        kind: "Job",
        is_namespaced: true,
        verbs: &[Create, Delete, Get, List, Patch, Update, Watch],
        short_names: &[],
        categories: &["all"],
        subresources: &[Subresource { name: "status", kind: "Job", group_version: SAME, verbs: &[Get] }],
    }],
};

/// policy/v1: of the group only evictions are served, which stand with pods. kubectl evicts only where there is the group
/// (kubernetes: kubectl `CheckEvictionSupport`).
const POLICY_V1: GroupVersion = GroupVersion { group: "policy", version: "v1", resources: &[] };

/// scheduling.k8s.io/v1.
const SCHEDULING_V1: GroupVersion = GroupVersion {
    group: "scheduling.k8s.io",
    version: "v1",
    resources: &[ApiResource {
        plural: "priorityclasses",
        singular: "priorityclass",
        kind: "PriorityClass",
        is_namespaced: false,
        verbs: &[Create, Delete, Get, List, Patch, Update, Watch],
        short_names: &["pc"],
        categories: &[],
        subresources: &[],
    }],
};

/// Everything, the core group first.
pub(super) const GROUP_VERSIONS: [GroupVersion; 4] = [CORE_V1, BATCH_V1, POLICY_V1, SCHEDULING_V1];

#[cfg(test)]
mod tests;
