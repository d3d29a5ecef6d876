//! The paths of what is served, one operation a verb.
//!
//! Written from `resources.rs`. kubectl looks for `x-kubernetes-group-version-kind` and the parameters of an operation
//! under `patch` to learn what the server can do (kubernetes: `cli-runtime/pkg/resource/query_param_verifier_v3.go`).

use super::schemas::{meta_name, name, reference};
use crate::api::resources::{ApiResource, GroupVersion, Subresource, Verb};
use serde_json::{Map, Value, json};

/// A parameter of a query: name, type, what it does.
type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "`All` goes through everything and stores nothing.");
const FIELD_MANAGER: Parameter = ("fieldManager", "string", "Who makes the change.");
const FIELD_VALIDATION: Parameter =
    ("fieldValidation", "string", "`Ignore`, `Warn` or `Strict`: what an unknown or repeated field leads to.");
const CONTINUE: Parameter = ("continue", "string", "Where the last page of the list ended.");
const FIELD_SELECTOR: Parameter = ("fieldSelector", "string", "Only objects with these fields.");
const LABEL_SELECTOR: Parameter = ("labelSelector", "string", "Only objects with these labels.");
const LIMIT: Parameter = ("limit", "integer", "Objects on a page at the most.");
const RESOURCE_VERSION: Parameter = ("resourceVersion", "string", "The version to read, or to watch from.");
const RESOURCE_VERSION_MATCH: Parameter = ("resourceVersionMatch", "string", "How resourceVersion is meant.");
const WATCH: Parameter = ("watch", "boolean", "Whether to go on with what changes.");
const TIMEOUT: Parameter = ("timeoutSeconds", "integer", "Seconds after which a watch ends.");
const BOOKMARKS: Parameter = ("allowWatchBookmarks", "boolean", "Whether a watch tells the version now and then.");
const INITIAL_EVENTS: Parameter =
    ("sendInitialEvents", "boolean", "Whether a watch begins with all objects and tells when these end.");
const GRACE: Parameter = ("gracePeriodSeconds", "integer", "Seconds that the object has to end.");
const PROPAGATION: Parameter = ("propagationPolicy", "string", "What becomes of the objects that it owns.");
const LOG: [Parameter; 8] = [
    ("container", "string", "Which container."),
    ("follow", "boolean", "Whether to go on with what is written."),
    ("limitBytes", "integer", "Bytes at the most."),
    ("previous", "boolean", "Whether to read the last run that ended."),
    ("sinceSeconds", "integer", "Only what was written in the last seconds."),
    ("sinceTime", "string", "Only what was written since."),
    ("tailLines", "integer", "Only the last lines."),
    ("timestamps", "boolean", "Whether to begin each line with its time."),
];

/// kubernetes: media types that a body may have.
const BODIES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const PATCHES: [&str; 1] = ["application/merge-patch+json"];

/// `paths` of a group.
pub(super) fn paths(group: &GroupVersion) -> Map<String, Value> {
    let mut paths = Map::new();
    for resource in group.resources {
        let of = Of { group, resource };
        let scope = if resource.is_namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{}{scope}/{}", group.path(), resource.plural);
        if resource.is_namespaced {
            let path = format!("{}/{}", group.path(), resource.plural);
            paths.insert(path, of.item(&[], &[(Verb::List, "get")], "ForAllNamespaces"));
        }
        let in_path: &[&str] = if resource.is_namespaced { &["namespace"] } else { &[] };
        let verbs = [(Verb::List, "get"), (Verb::Create, "post")];
        paths.insert(collection.clone(), of.item(in_path, &verbs, ""));
        let in_path: &[&str] = if resource.is_namespaced { &["name", "namespace"] } else { &["name"] };
        let verbs = [(Verb::Get, "get"), (Verb::Update, "put"), (Verb::Patch, "patch"), (Verb::Delete, "delete")];
        paths.insert(format!("{collection}/{{name}}"), of.item(in_path, &verbs, ""));
        for part in resource.subresources {
            paths.insert(format!("{collection}/{{name}}/{}", part.name), of.part(in_path, part));
        }
    }
    paths
}

/// What operations are about.
struct Of<'a> {
    group: &'a GroupVersion,
    resource: &'a ApiResource,
}

impl Of<'_> {
    /// A path item with those of `verbs` that are served.
    fn item(&self, in_path: &[&str], verbs: &[(Verb, &str)], suffix: &str) -> Value {
        let mut item = path_item(in_path);
        for (verb, method) in verbs.iter().filter(|(verb, _)| self.resource.verbs.contains(verb)) {
            item.insert((*method).to_owned(), self.operation(*verb, suffix));
        }
        Value::Object(item)
    }

    /// The path item of a subresource: it is read, or something is sent to it.
    fn part(&self, in_path: &[&str], part: &Subresource) -> Value {
        let mut item = path_item(in_path);
        if part.verbs == [Verb::Create] {
            let mut operation = self.operation(Verb::Create, &capital(part.name));
            let (group, version) = part.group_version;
            let kind = json!({ "group": group, "version": version, "kind": part.kind });
            operation["x-kubernetes-group-version-kind"] = kind;
            let content = &mut operation["requestBody"]["content"];
            content.as_object_mut().into_iter().flatten().for_each(|(_, media)| *media = json!({}));
            operation["responses"]["201"]["content"]["application/json"]["schema"] = reference(&meta_name("Status"));
            item.insert("post".to_owned(), operation);
            return Value::Object(item);
        }
        let mut operation = self.operation(Verb::Get, &capital(part.name));
        if part.name == "log" {
            operation["parameters"] = LOG.iter().map(parameter).collect();
            let text = json!({ "text/plain": { "schema": { "type": "string" } } });
            operation["responses"]["200"]["content"] = text;
        }
        item.insert("get".to_owned(), operation);
        Value::Object(item)
    }

    fn operation(&self, verb: Verb, suffix: &str) -> Value {
        let (resource, name) = (self.resource, name(self.group, self.resource.kind));
        let parameters: &[Parameter] = match verb {
            Verb::Get => &[],
            Verb::List | Verb::Watch => &[
                BOOKMARKS,
                CONTINUE,
                FIELD_SELECTOR,
                LABEL_SELECTOR,
                LIMIT,
                RESOURCE_VERSION,
                RESOURCE_VERSION_MATCH,
                INITIAL_EVENTS,
                TIMEOUT,
                WATCH,
            ],
            Verb::Create | Verb::Update | Verb::Patch => &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            Verb::Delete => &[DRY_RUN, GRACE, PROPAGATION],
        };
        let (word, action) = match verb {
            Verb::Create => ("create", "post"),
            Verb::Delete => ("delete", "delete"),
            Verb::Get => ("read", "get"),
            Verb::List | Verb::Watch => ("list", "list"),
            Verb::Patch => ("patch", "patch"),
            Verb::Update => ("replace", "put"),
        };
        let answer = match verb {
            Verb::List | Verb::Watch => reference(&format!("{name}List")),
            Verb::Delete => reference(&meta_name("Status")),
            _ => reference(&name),
        };
        let code = if verb == Verb::Create { "201" } else { "200" };
        let scope = if resource.is_namespaced && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
        let (group, version) = (self.group.group, self.group.version);
        let package = capital(self.group.package());
        let mut operation = json!({
            "tags": [format!("{}_{version}", package.to_lowercase())],
            "description": format!("{word} {}", resource.kind),
            "operationId": format!("{word}{package}{}{scope}{}{suffix}", capital(version), resource.kind),
            "parameters": parameters.iter().map(parameter).collect::<Vec<_>>(),
            "responses": {
                code: { "description": "OK", "content": { "application/json": { "schema": answer } } },
                "401": { "description": "Unauthorized" },
            },
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": { "group": group, "version": version, "kind": resource.kind },
        });
        let body = match verb {
            Verb::Create | Verb::Update => Some((reference(&name), &BODIES[..])),
            Verb::Patch => Some((json!({ "type": "object" }), &PATCHES[..])),
            Verb::Delete => Some((reference(&meta_name("DeleteOptions")), &BODIES[..])),
            Verb::Get | Verb::List | Verb::Watch => None,
        };
        if let Some((schema, types)) = body {
            let content: Map<String, Value> =
                types.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect();
            operation["requestBody"] = json!({ "content": content, "required": verb != Verb::Delete });
        }
        operation
    }
}

fn path_item(in_path: &[&str]) -> Map<String, Value> {
    let of = |name: &&str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    let parameters: Vec<Value> = in_path.iter().map(of).collect();
    Map::from_iter([("parameters".to_owned(), Value::from(parameters))])
}

fn parameter((name, kind, description): &Parameter) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": { "type": kind } })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
