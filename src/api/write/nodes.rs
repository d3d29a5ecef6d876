//! core/v1 Nodes: PATCH of the one that this server is.
//!
//! What clients may write is labels, annotations and `spec.unschedulable` (kubectl cordon); the rest is the machine's.
//! Invariant: the node is stored as what clients wrote of it, whole, under a version of its own.

use super::options::{Verb, WriteOptions};
use super::patch::{MERGE_PATCH, MergePatch, STRATEGIC_MERGE_PATCH};
use super::{change, refusal};
use crate::api::field::FieldErrors;
use crate::api::job::validate_meta_update;
use crate::api::router::{Answered, Names, Query, Sent, Served, json as answer};
use crate::api::{NODES, Status};
use crate::control::{DocChange, NewDoc, WriteError};
use crate::engine::RequestError;
use crate::model::Kind;
use crate::view::NODE_NAME;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(in crate::api) async fn patch(
    State(served): State<Served>,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read_as(&sent, &[MERGE_PATCH, STRATEGIC_MERGE_PATCH])?;
    if name != NODE_NAME {
        return Err(Status::not_found(NODES, &name));
    }
    change(NODES, &name, async || replace(&served, &patch, options.dry_run).await).await
}

/// Writes the node with the patch; `None` when others wrote of it meanwhile.
async fn replace(served: &Served, patch: &MergePatch, dry_run: bool) -> Result<Option<Response>, Status> {
    let handle = &served.handle;
    let written = handle.view().plain_named(Kind::Node, NODE_NAME);
    let old = served.reads.node(handle);
    let new = patch.apply(&old.to_string())?;
    if let Some(wanted) = new["metadata"]["resourceVersion"].as_str()
        && old["metadata"]["resourceVersion"] != wanted
    {
        return Err(Status::modified(NODES, NODE_NAME));
    }
    check(&old, &new)?;
    let doc = document(&new);
    if dry_run || doc == document(&old) {
        return Ok(Some(answer(StatusCode::OK, new.to_string(), &[])));
    }
    let doc: Arc<str> = doc.to_string().into();
    let name: Arc<str> = NODE_NAME.into();
    let result = match &written {
        None => handle.create_doc(NewDoc { kind: Kind::Node, name, doc }).await,
        Some(written) => {
            let change = DocChange { kind: Kind::Node, name, base_rv: written.rv, doc };
            handle.update_doc(change).await
        }
    };
    match result {
        Ok(written) => {
            let mut node = new;
            node["metadata"]["resourceVersion"] = json!(written.rv.to_string());
            Ok(Some(answer(StatusCode::OK, node.to_string(), &[])))
        }
        Err(RequestError::Refused(WriteError::Conflict | WriteError::AlreadyExists)) => Ok(None),
        Err(error) => Err(refusal(&error, NODES, "", NODE_NAME)),
    }
}

/// What clients wrote of the node, as it is kept.
fn document(node: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "uid", "labels", "annotations"] {
        if let Some(value) = node["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut spec = Map::new();
    if node["spec"]["unschedulable"] == true {
        spec.insert("unschedulable".to_owned(), json!(true));
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})
}

/// Holds what clients may write against Kubernetes' rules, and refuses the rest.
fn check(old: &Value, new: &Value) -> Result<(), Status> {
    let metadata = |node: &Value| serde_json::from_value::<ObjectMeta>(node["metadata"].clone());
    let unprocessable = |error: serde_json::Error| {
        let mut errors = FieldErrors::default();
        errors.invalid("patch", "\"<object>\"", error.to_string());
        Status::invalid("", "", "", &errors.into_vec())
    };
    let (was, is) = (metadata(old).map_err(unprocessable)?, metadata(new).map_err(unprocessable)?);
    let mut errors = FieldErrors::default();
    validate_meta_update(&is, &was, format_args!("metadata"), &mut errors);
    let is_ours = |part: &str| part == "labels" || part == "annotations" || part == "resourceVersion";
    for part in ["metadata", "spec"] {
        let empty = Map::new();
        let of = |node: &Value| node[part].as_object().unwrap_or(&empty).clone();
        let (was, is) = (of(old), of(new));
        for field in was.keys().chain(is.keys().filter(|key| !was.contains_key(*key))) {
            let may_change = if part == "spec" { field == "unschedulable" } else { is_ours(field) };
            if !may_change && was.get(field) != is.get(field) {
                let path = format!("{part}.{field}");
                errors.forbidden(path, "not offered by this version of Coracle: changes of this field of a node");
            }
        }
    }
    if !new["spec"]["unschedulable"].is_null() && !new["spec"]["unschedulable"].is_boolean() {
        errors.invalid("spec.unschedulable", new["spec"]["unschedulable"].to_string(), "must be a boolean");
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "Node", NODE_NAME, &errors.into_vec())) }
}
