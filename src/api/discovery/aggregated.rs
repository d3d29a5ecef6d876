//! `APIGroupDiscoveryList`: groups, versions and resources in one document.
//!
//! kubernetes: `k8s.io/api/apidiscovery/v2/types.go`; fields come in its order.

use super::wanted::Aggregated;
use crate::api::resources::{ApiResource, GroupVersion, Verb};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupList {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata,
    items: Vec<Group>,
}

#[derive(Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
}

#[derive(Serialize)]
struct Group {
    metadata: Metadata,
    versions: Vec<Version>,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    resources: Vec<Resource>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: &'static str,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<Subresource>,
}

/// Empty group and version mean those that it stands in.
#[derive(Serialize)]
struct ResponseKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subresource {
    subresource: &'static str,
    response_kind: ResponseKind,
    verbs: Vec<&'static str>,
}

pub(super) fn document(groups: &[GroupVersion], version: Aggregated) -> String {
    let group = |group: &GroupVersion| Group {
        metadata: Metadata { name: group.group },
        versions: vec![Version {
            version: group.version,
            resources: group.resources.iter().map(resource).collect(),
            freshness: "Current",
        }],
    };
    let list = GroupList {
        kind: "APIGroupDiscoveryList",
        api_version: version.api_version(),
        metadata: Metadata { name: "" },
        items: groups.iter().map(group).collect(),
    };
    serde_json::to_string(&list).expect("texts only")
}

fn resource(resource: &ApiResource) -> Resource {
    let subresource = |subresource: &crate::api::resources::Subresource| Subresource {
        subresource: subresource.name,
        response_kind: ResponseKind {
            group: subresource.group_version.0,
            version: subresource.group_version.1,
            kind: subresource.kind,
        },
        verbs: words(subresource.verbs),
    };
    Resource {
        resource: resource.plural,
        response_kind: response_kind(resource.kind),
        scope: if resource.is_namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: resource.singular,
        verbs: words(resource.verbs),
        short_names: resource.short_names,
        categories: resource.categories,
        subresources: resource.subresources.iter().map(subresource).collect(),
    }
}

fn response_kind(kind: &'static str) -> ResponseKind {
    ResponseKind { group: "", version: "", kind }
}

fn words(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}
