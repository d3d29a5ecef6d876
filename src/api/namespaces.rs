//! core/v1 Namespaces: how they are created.

use super::decode::{Expected, FieldValidation, decode};
use super::job::dns_label;
use super::jobs::{identity, refusal};
use super::router::{Answered, Engine, Query, Sent, json as answer, rendered};
use super::{FieldErrors, NAMESPACES, Status};
use crate::control::NewNamespace;
use crate::engine::{Handle, now};
use axum::extract::State;
use axum::http::StatusCode;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::json;
use std::sync::Arc;

const NAMESPACE: Expected = Expected { api_version: "v1", kind: "Namespace", internal: "core.Namespace" };

/// kubernetes: the label that every namespace carries its own name in.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn shown(handle: &Handle, code: StatusCode, name: &str, warnings: &[String]) -> Answered {
    let namespace = handle.view().namespace(name).ok_or_else(|| Status::not_found(NAMESPACES, name))?;
    Ok(answer(code, rendered(|text| namespace.render(text)), warnings))
}

pub(super) async fn create(State(handle): Engine, query: Query, sent: Sent) -> Answered {
    let validation = FieldValidation::parse(query.get("fieldValidation"), "CreateOptions")?;
    query.refuse(&["dryRun"])?;
    let decoded = decode::<Namespace>(&sent.bytes, sent.content_type(), validation, NAMESPACE, |_| Ok(()))?;
    let metadata = decoded.object.metadata;
    let name = metadata.name.unwrap_or_default();
    let mut errors = FieldErrors::default();
    if name.is_empty() {
        errors.required("metadata.name", "name or generateName is required");
    } else {
        dns_label(&name).into_iter().for_each(|why| errors.invalid("metadata.name", format!("{name:?}"), why));
    }
    if !errors.is_empty() {
        return Err(Status::invalid(NAMESPACES.group, NAMESPACES.kind, &name, &errors.into_vec()));
    }
    let identity = identity(now())?;
    let mut labels = metadata.labels.unwrap_or_default();
    labels.insert(NAME_LABEL.to_owned(), name.clone());
    let doc = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": identity.uid.to_string(),
            "creationTimestamp": identity.created.to_string(),
            "labels": labels,
            "annotations": metadata.annotations.unwrap_or_default(),
        },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    });
    let new = NewNamespace { name: Arc::from(name.as_str()), doc: doc.to_string().into() };
    handle.create_namespace(new).await.map_err(|error| refusal(&error, NAMESPACES, "", &name))?;
    shown(&handle, StatusCode::CREATED, &name, &decoded.warnings)
}
