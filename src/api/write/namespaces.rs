//! core/v1 Namespaces: create, update, patch.

use super::options::{Verb, WriteOptions};
use super::patch::MergePatch;
use super::{CHANGE_TRIES_MAX, NAME_DRAWS, identity, parse_version, refusal};
use crate::api::namespace::{Admitted, Request, admit_create, admit_patched, admit_update};
use crate::api::router::{Answered, Engine, Names, Query, Sent, json as answer, rendered};
use crate::api::{NAMESPACES, Status, StatusReason};
use crate::control::{NamespaceChange, NewNamespace, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::view::NamespaceObject;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

fn find(handle: &Handle, name: &str) -> Result<NamespaceObject, Status> {
    handle.view().namespace(name).ok_or_else(|| Status::not_found(NAMESPACES, name))
}

fn shown(handle: &Handle, code: StatusCode, name: &str, warnings: &[String]) -> Answered {
    let namespace = find(handle, name)?;
    Ok(answer(code, rendered(|text| namespace.render(text)), warnings))
}

/// What a write would have answered.
fn preview(code: StatusCode, rv: Option<u64>, admitted: &Admitted) -> Answered {
    let mut namespace: Value = serde_json::from_str(&admitted.doc).map_err(|error| Status::internal(&error))?;
    if let Some(rv) = rv {
        namespace["metadata"]["resourceVersion"] = json!(rv.to_string());
    }
    namespace["status"] = json!({"phase": "Active"});
    Ok(answer(code, namespace.to_string(), &admitted.warnings))
}

fn request(sent: &Sent, options: WriteOptions) -> Request<'_> {
    let WriteOptions { field_validation, .. } = options;
    Request { body: &sent.bytes, content_type: sent.content_type(), field_validation }
}

pub(in crate::api) async fn create(State(handle): Engine, query: Query, sent: Sent) -> Answered {
    let options = WriteOptions::read(&query, Verb::Create)?;
    let mut taken = String::new();
    for draw in 1.. {
        let admitted = admit_create(request(&sent, options), &identity(now())?)?;
        if options.dry_run {
            return match handle.view().namespace(&admitted.name) {
                Some(_) => Err(Status::already_exists(NAMESPACES, &admitted.name)),
                None => preview(StatusCode::CREATED, None, &admitted),
            };
        }
        let new = NewNamespace { name: Arc::from(admitted.name.as_str()), doc: admitted.doc };
        match handle.create_namespace(new).await {
            Ok(_) => return shown(&handle, StatusCode::CREATED, &admitted.name, &admitted.warnings),
            // A name that was generated is another one at the next draw.
            Err(RequestError::Refused(WriteError::AlreadyExists)) if admitted.name != taken && draw < NAME_DRAWS => {
                taken = admitted.name;
            }
            Err(error) => return Err(refusal(&error, NAMESPACES, "", &admitted.name)),
        }
    }
    unreachable!("the last draw returns")
}

pub(in crate::api) async fn update(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Update)?;
    change(&handle, &name, options, |old| admit_update(&old.doc.json, &name, request(&sent, options))).await
}

pub(in crate::api) async fn patch(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read(&sent)?;
    change(&handle, &name, options, |old| {
        let value = patch.apply(&old.doc.json)?;
        admit_patched(&old.doc.json, &name, value, &patch.repeated, options.field_validation)
    })
    .await
}

/// Puts what `admit` makes of the namespace in its place. Unless it names a version, it is made again when others change the
/// namespace meanwhile.
async fn change(
    handle: &Handle,
    name: &str,
    options: WriteOptions,
    admit: impl Fn(&NamespaceObject) -> Result<Admitted, Status>,
) -> Answered {
    for nth in 1.. {
        let old = find(handle, name)?;
        let admitted = admit(&old)?;
        let is_last = admitted.resource_version.is_some() || nth == CHANGE_TRIES_MAX;
        match replace(handle, &old, admitted, options).await {
            Err(status) if status.reason == StatusReason::Conflict && !is_last => {}
            answer => return answer,
        }
    }
    unreachable!("the last try returns")
}

async fn replace(handle: &Handle, old: &NamespaceObject, new: Admitted, options: WriteOptions) -> Answered {
    if let Some(wanted) = &new.resource_version
        && parse_version(wanted)? != old.rv
    {
        return Err(Status::modified(NAMESPACES, &new.name));
    }
    if options.dry_run {
        return preview(StatusCode::OK, Some(old.rv), &new);
    }
    if new.doc != old.doc.json {
        let change = NamespaceChange { name: Arc::clone(&old.doc.name), base_rv: old.rv, doc: new.doc };
        handle.update_namespace(change).await.map_err(|error| refusal(&error, NAMESPACES, "", &new.name))?;
    }
    shown(handle, StatusCode::OK, &new.name, &new.warnings)
}
