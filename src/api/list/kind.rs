//! The kinds that are read: what differs between them, as data.
//!
//! Invariant: the fields of a kind here are those that `Item::field` answers.

use crate::api::field::quoted;
use crate::api::status::{
    JOBS as JOB, NAMESPACES as NAMESPACE, NODES as NODE, PODS as POD, PRIORITY_CLASSES as PRIORITY_CLASS, Resource,
};
use crate::api::table;
use crate::view::Topic;

/// A kind and how it is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Listed {
    /// How errors name it.
    pub(super) resource: Resource,
    pub(super) api_version: &'static str,
    pub(super) kind: table::Kind,
    /// Which changes a watch follows; `None` for the node, which changes with the engine's health.
    pub(super) topic: Option<Topic>,
    /// Field labels beside `metadata.name`.
    fields: &'static [&'static str],
}

/// batch/v1 Jobs.
pub(in crate::api) static JOBS: Listed = Listed {
    resource: JOB,
    api_version: "batch/v1",
    kind: table::Kind::Job,
    topic: Some(Topic::Jobs),
    fields: &["metadata.namespace", "status.successful"],
};

/// core/v1 Pods.
pub(in crate::api) static PODS: Listed = Listed {
    resource: POD,
    api_version: "v1",
    kind: table::Kind::Pod,
    topic: Some(Topic::Pods),
    fields: &[
        "metadata.namespace",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ],
};

/// core/v1 Events.
pub(in crate::api) static EVENTS: Listed = Listed {
    resource: Resource { group: "", plural: "events", kind: "Event" },
    api_version: "v1",
    kind: table::Kind::Event,
    topic: Some(Topic::Events),
    fields: &[
        "metadata.namespace",
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
};

/// core/v1 Namespaces.
pub(in crate::api) static NAMESPACES: Listed = Listed {
    resource: NAMESPACE,
    api_version: "v1",
    kind: table::Kind::Namespace,
    topic: Some(Topic::Namespaces),
    fields: &["status.phase"],
};

/// scheduling.k8s.io/v1 PriorityClasses.
pub(in crate::api) static PRIORITY_CLASSES: Listed = Listed {
    resource: PRIORITY_CLASS,
    api_version: "scheduling.k8s.io/v1",
    kind: table::Kind::PriorityClass,
    topic: Some(Topic::PriorityClasses),
    fields: &["metadata.namespace"],
};

/// core/v1 Nodes: the one that this server is.
pub(in crate::api) static NODES: Listed =
    Listed { resource: NODE, api_version: "v1", kind: table::Kind::Node, topic: None, fields: &["spec.unschedulable"] };

impl Listed {
    /// Whether objects can be selected by a field.
    pub(super) fn has_field(&self, path: &str) -> bool {
        path == "metadata.name" || self.fields.contains(&path)
    }

    /// The refusal of a field that objects cannot be selected by (kubernetes: each group's `conversion.go`).
    pub(super) fn unknown_field(&self, path: &str) -> String {
        match self.resource.group {
            "" => format!("field label not supported: {path}"),
            // kubernetes: `DefaultMetaV1FieldSelectorConversion`.
            "scheduling.k8s.io" => format!(
                "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                quoted(path)
            ),
            _ => format!("field label \"{path}\" not supported for {}", self.resource.kind),
        }
    }

    /// The type that refusals of a form name: `*batch.Job`, `*core.PodList`.
    pub(super) fn go_type(&self, is_list: bool) -> String {
        let package = match self.resource.group {
            "" => "core",
            group => group.split('.').next().unwrap_or_default(),
        };
        format!("*{package}.{}{}", self.resource.kind, if is_list { "List" } else { "" })
    }
}
