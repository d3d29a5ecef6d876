//! The older form of discovery: one document a level.
//!
//! kubernetes: `metav1.APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`; fields come in their order.

use crate::api::resources::{GroupVersion, Verb};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    kind: &'static str,
    versions: Vec<&'static str>,
    /// Nobody needs another address than the one that was asked.
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<Group>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: &'static str,
    versions: [Version; 1],
    preferred_version: Version,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList {
    kind: &'static str,
    /// The reference leaves it out for the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    group_version: String,
    resources: Vec<Resource>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    singular_name: &'static str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'static str,
    kind: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
}

fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("texts only")
}

/// `APIVersions`: those of the core group.
pub(super) fn versions(groups: &[GroupVersion]) -> String {
    let versions = groups.iter().map(|group| group.version).collect();
    text(&Versions { kind: "APIVersions", versions, server_addresses: [] })
}

/// `APIGroupList`.
pub(super) fn groups(groups: &[GroupVersion]) -> String {
    let groups = groups.iter().map(|group| group_of(group, None, None)).collect();
    text(&GroupList { kind: "APIGroupList", api_version: "v1", groups })
}

/// `APIGroup`.
pub(super) fn group(group: &GroupVersion) -> String {
    text(&group_of(group, Some("APIGroup"), Some("v1")))
}

fn group_of(group: &GroupVersion, kind: Option<&'static str>, api_version: Option<&'static str>) -> Group {
    let version = Version { group_version: group.api_version(), version: group.version };
    Group { kind, api_version, name: group.group, versions: [version.clone()], preferred_version: version }
}

/// `APIResourceList`: subresources follow their resource.
pub(super) fn resources(group: &GroupVersion) -> String {
    let words = |verbs: &[Verb]| verbs.iter().map(|verb| verb.as_str()).collect();
    let mut resources = Vec::new();
    for resource in group.resources {
        resources.push(Resource {
            name: resource.plural.to_owned(),
            singular_name: resource.singular,
            namespaced: resource.is_namespaced,
            group: "",
            version: "",
            kind: resource.kind,
            verbs: words(resource.verbs),
            short_names: resource.short_names,
            categories: resource.categories,
        });
        for subresource in resource.subresources {
            resources.push(Resource {
                name: format!("{}/{}", resource.plural, subresource.name),
                singular_name: "",
                namespaced: resource.is_namespaced,
                group: subresource.group_version.0,
                version: subresource.group_version.1,
                kind: subresource.kind,
                verbs: words(subresource.verbs),
                short_names: &[],
                categories: &[],
            });
        }
    }
    let api_version = (!group.group.is_empty()).then_some("v1");
    text(&ResourceList { kind: "APIResourceList", api_version, group_version: group.api_version(), resources })
}
