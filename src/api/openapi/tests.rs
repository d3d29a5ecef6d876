//! OpenAPI through the router: what kubectl looks for.

use super::http_date;
use super::merge::{Apply, MERGES, Patch};
use crate::api::client::with_server;
use crate::api::resources::{GROUP_VERSIONS, Verb};
use axum::http::header;
use serde_json::{Value, json};

fn document(nth: usize) -> Value {
    serde_json::from_str(&super::documents()[nth].text).expect("JSON")
}

#[test]
fn the_index_leads_to_documents_that_may_be_kept() {
    with_server(async |server| {
        let index = server.ask("GET", "/openapi/v3?timeout=32s", &[]).await;
        assert_eq!(index.status, 200);
        let index = index.body;
        let paths = index["paths"].as_object().expect("paths");
        assert_eq!(
            paths.keys().collect::<Vec<_>>(),
            ["api/v1", "apis/batch/v1", "apis/policy/v1", "apis/scheduling.k8s.io/v1"]
        );
        for (path, entry) in paths {
            let url = entry["serverRelativeURL"].as_str().expect("a path");
            let hash = url.strip_prefix(&format!("/openapi/v3/{path}?hash=")).expect("a hash");
            assert_eq!((hash.len(), hash.bytes().all(|byte| b"0123456789ABCDEF".contains(&byte))), (128, true));
            let kept = server.ask("GET", &format!("{url}&timeout=32s"), &[]).await;
            assert_eq!((kept.status, kept.header("content-type")), (200, "application/json"));
            assert_eq!(kept.header("cache-control"), "public, immutable");
            assert!(kept.header("expires").ends_with(" GMT"), "{}", kept.header("expires"));
            let tag = format!("\"{hash}\"");
            assert_eq!((kept.header("etag"), kept.header("vary")), (tag.as_str(), "Accept"));
            let known = server.ask("GET", url, &[(header::IF_NONE_MATCH, &tag)]).await;
            assert_eq!((known.status, known.text.as_str()), (304, ""));
            let unnamed = server.ask("GET", &format!("/openapi/v3/{path}"), &[]).await;
            assert_eq!((unnamed.status, unnamed.header("cache-control")), (200, ""));
            assert_eq!(unnamed.text, kept.text);
            let wrong = server.ask("GET", &format!("/openapi/v3/{path}?hash=00"), &[]).await;
            assert_eq!((wrong.status, wrong.header("location")), (301, url));
        }
        server
    });
}

#[test]
fn there_is_no_older_document() {
    with_server(async |server| {
        for path in ["/openapi/v2", "/openapi/v3/apis/apps/v1", "/openapi"] {
            let answer = server.ask("GET", path, &[]).await;
            assert_eq!((answer.status, answer.text.as_str()), (404, "404 page not found\n"), "{path}");
        }
        server
    });
}

/// Where kubectl looks before it sends `fieldValidation` or `dryRun`.
#[test]
fn what_can_be_created_is_found_under_patch_with_its_parameters() {
    for (nth, group) in GROUP_VERSIONS.iter().enumerate() {
        let document = document(nth);
        for resource in group.resources.iter().filter(|resource| resource.verbs.contains(&Verb::Create)) {
            let kind = json!({"group": group.group, "version": group.version, "kind": resource.kind});
            let items = document["paths"].as_object().expect("paths").values();
            let operations = items.map(|item| &item["patch"]);
            let found = operations.filter(|operation| operation["x-kubernetes-group-version-kind"] == kind);
            let names: Vec<&Value> = found
                .flat_map(|operation| operation["parameters"].as_array().expect("parameters"))
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| &parameter["name"])
                .collect();
            for name in ["fieldValidation", "dryRun", "fieldManager"] {
                assert!(names.contains(&&json!(name)), "{} has no {name}", resource.kind);
            }
        }
    }
}

#[test]
fn every_listed_verb_is_an_operation() {
    for (nth, group) in GROUP_VERSIONS.iter().enumerate() {
        let document = document(nth);
        for resource in group.resources {
            let scope = if resource.is_namespaced { "/namespaces/{namespace}" } else { "" };
            let collection = format!("{}{scope}/{}", group.path(), resource.plural);
            let item = format!("{collection}/{{name}}");
            for verb in [Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update] {
                let (path, method) = match verb {
                    Verb::Create => (&collection, "post"),
                    Verb::List | Verb::Watch => (&collection, "get"),
                    Verb::Delete => (&item, "delete"),
                    Verb::Get => (&item, "get"),
                    Verb::Patch => (&item, "patch"),
                    Verb::Update => (&item, "put"),
                };
                let is_there = document["paths"][path][method].is_object();
                assert_eq!(is_there, resource.verbs.contains(&verb), "{method} {path}");
            }
            for part in resource.subresources {
                let method = if part.verbs == [Verb::Create] { "post" } else { "get" };
                assert!(document["paths"][format!("{item}/{}", part.name)][method].is_object(), "{item}/{}", part.name);
            }
        }
    }
}

fn each_reference(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                assert_eq!(object.len(), 1, "OpenAPI 3.0 ignores what stands beside a $ref: {value}");
                see(reference);
            }
            object.values().for_each(|value| each_reference(value, see));
        }
        Value::Array(items) => items.iter().for_each(|value| each_reference(value, see)),
        _ => {}
    }
}

#[test]
fn every_reference_is_to_a_schema_of_the_same_document() {
    for nth in 0..GROUP_VERSIONS.len() {
        let document = document(nth);
        let mut count = 0;
        each_reference(&document, &mut |reference| {
            count += 1;
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        });
        // A PriorityClass has no parts of its own, and of policy/v1 nothing is served but what stands with pods.
        let at_least = [50, 50, 0, 20];
        assert!(count > at_least[nth], "{count}");
    }
}

#[test]
fn schemas_say_their_kind() {
    for (nth, group) in GROUP_VERSIONS.iter().enumerate() {
        let document = document(nth);
        let schemas = &document["components"]["schemas"];
        for resource in group.resources {
            let name = super::schemas::name(group, resource.kind);
            for (name, kind) in
                [(name.clone(), resource.kind.to_owned()), (name + "List", format!("{}List", resource.kind))]
            {
                let of = json!([{"group": group.group, "version": group.version, "kind": kind}]);
                assert_eq!(schemas[&name]["x-kubernetes-group-version-kind"], of, "{name}");
                assert_eq!(schemas[&name]["type"], "object", "{name}");
            }
        }
    }
}

#[test]
fn lists_say_how_they_are_merged() {
    let (core, batch) = (document(0), document(1));
    for (schema, field, patch, apply) in MERGES {
        let pointer = format!("/components/schemas/{schema}/properties/{field}");
        let found: Vec<&Value> = [&core, &batch].iter().filter_map(|document| document.pointer(&pointer)).collect();
        assert!(!found.is_empty(), "{schema} has no {field}");
        for property in found {
            assert_eq!(property["type"], "array", "{schema} {field}");
            let key = match patch {
                Patch::Key(key) | Patch::KeyRetaining(key) => json!(key),
                Patch::Merge | Patch::Replace => Value::Null,
            };
            assert_eq!(property["x-kubernetes-patch-merge-key"], key, "{schema} {field}");
            assert_eq!(property["x-kubernetes-patch-strategy"].is_null(), *patch == Patch::Replace);
            let keys = if let Apply::Map(keys) = apply { json!(keys) } else { Value::Null };
            assert_eq!(property["x-kubernetes-list-map-keys"], keys);
        }
    }
    let containers = &batch["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    let volumes = &batch["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
}

#[test]
fn fields_are_described() {
    let batch = document(1);
    let spec = &batch["components"]["schemas"]["io.k8s.api.batch.v1.JobSpec"];
    assert_eq!(spec["properties"]["parallelism"]["type"], "integer");
    let text = spec["properties"]["backoffLimit"]["description"].as_str().expect("a text");
    assert!(text.contains("retries"), "{text}");
    let job = &batch["components"]["schemas"]["io.k8s.api.batch.v1.Job"]["properties"]["spec"];
    assert_eq!(job["allOf"], json!([{"$ref": "#/components/schemas/io.k8s.api.batch.v1.JobSpec"}]));
    let quantity = &batch["components"]["schemas"]["io.k8s.apimachinery.pkg.api.resource.Quantity"];
    assert_eq!(quantity["oneOf"], json!([{"type": "string"}, {"type": "number"}]));
}

#[test]
fn dates_are_those_of_http() {
    assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(http_date(1_795_405_437_999), "Mon, 23 Nov 2026 03:43:57 GMT");
    assert_eq!(http_date(u64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
}
