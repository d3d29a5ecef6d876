//! The schemas of what is served, with what clients need to merge patches.
//!
//! The types' schemas come from `k8s-openapi`, which made them of Kubernetes' own; the extensions are added here.
//! Invariant: every `$ref` of a document points into the same document.

use super::merge::{Apply, MERGES, Patch};
use crate::api::resources::GroupVersion;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Status};
use k8s_openapi::schemars::SchemaGenerator;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The name of a kind's schema.
pub(super) fn name(group: &GroupVersion, kind: &str) -> String {
    format!("io.k8s.api.{}.{}.{kind}", group.package(), group.version)
}

/// The name of a schema of apimachinery.
pub(super) fn meta_name(kind: &str) -> String {
    format!("{META}.{kind}")
}

/// `{"$ref": …}` to a schema of the same document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// `components.schemas` for the resources of a group.
pub(super) fn schemas(group: &GroupVersion) -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    generator.subschema_for::<DeleteOptions>();
    generator.subschema_for::<ListMeta>();
    generator.subschema_for::<Status>();
    group.resources.iter().for_each(|resource| add(&mut generator, resource.kind));
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(unite);
    for resource in group.resources {
        let (name, list) = (name(group, resource.kind), format!("{}List", resource.kind));
        schemas.insert(format!("{name}List"), list_schema(&name, &list));
        identify(&mut schemas, &name, &[(group.group, resource.kind)]);
        identify(&mut schemas, &format!("{name}List"), &[(group.group, &list)]);
    }
    identify(&mut schemas, &meta_name("DeleteOptions"), &[("", "DeleteOptions"), (group.group, "DeleteOptions")]);
    identify(&mut schemas, &meta_name("Status"), &[("", "Status")]);
    for (schema, field, patch, apply) in MERGES {
        let property = schemas.get_mut(*schema).and_then(|schema| schema.pointer_mut(&format!("/properties/{field}")));
        if let Some(property) = property.and_then(Value::as_object_mut) {
            extend(property, *patch, *apply);
        }
    }
    schemas
}

/// Adds the schema of a kind and of all that is in it. A kind that is forgotten here leaves references to nothing.
fn add(generator: &mut SchemaGenerator, kind: &str) {
    let _ = match kind {
        "Event" => generator.subschema_for::<Event>(),
        "Job" => generator.subschema_for::<Job>(),
        "Namespace" => generator.subschema_for::<Namespace>(),
        "Node" => generator.subschema_for::<Node>(),
        "Pod" => generator.subschema_for::<Pod>(),
        "PriorityClass" => generator.subschema_for::<PriorityClass>(),
        _ => return,
    };
}

fn list_schema(item: &str, list: &str) -> Value {
    json!({
        "description": format!("{list} is a list of objects."),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "description": "The version of this schema.", "type": "string" },
            "items": { "description": "The objects.", "type": "array", "items": reference(item) },
            "kind": { "description": "What this object is.", "type": "string" },
            "metadata": { "description": "Version and place of the list.", "allOf": [reference(&meta_name("ListMeta"))] },
        },
    })
}

/// Writes the kinds that a schema describes into it.
fn identify(schemas: &mut Map<String, Value>, name: &str, kinds: &[(&str, &str)]) {
    let kinds: Vec<Value> =
        kinds.iter().map(|(group, kind)| json!({ "group": group, "version": "v1", "kind": kind })).collect();
    if let Some(schema) = schemas.get_mut(name).and_then(Value::as_object_mut) {
        schema.insert("x-kubernetes-group-version-kind".to_owned(), Value::from(kinds));
    }
}

/// Writes the two types of `x-kubernetes-int-or-string` out, as Kubernetes' own documents do: OpenAPI knows no such thing.
fn unite(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.remove("x-kubernetes-int-or-string").is_some() {
        schema.insert("oneOf".to_owned(), json!([{ "type": "string" }, { "type": "number" }]));
    }
}

fn extend(property: &mut Map<String, Value>, patch: Patch, apply: Apply) {
    let mut put = |name: &str, value: Value| drop(property.insert(format!("x-kubernetes-{name}"), value));
    match patch {
        Patch::Replace => {}
        Patch::Merge => put("patch-strategy", json!("merge")),
        Patch::Key(key) => {
            put("patch-strategy", json!("merge"));
            put("patch-merge-key", json!(key));
        }
        Patch::KeyRetaining(key) => {
            put("patch-strategy", json!("merge,retainKeys"));
            put("patch-merge-key", json!(key));
        }
    }
    match apply {
        Apply::Atomic => put("list-type", json!("atomic")),
        Apply::Set => put("list-type", json!("set")),
        Apply::Map(keys) => {
            put("list-type", json!("map"));
            put("list-map-keys", json!(keys));
        }
    }
}
