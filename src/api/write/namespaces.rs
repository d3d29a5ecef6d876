//! core/v1 Namespaces: create, update, patch.

use super::options::{Verb, WriteOptions};
use super::patch::MergePatch;
use super::{change, create_named, identity, refusal, shown};
use crate::api::decode::Decoded;
use crate::api::job::{Identity, Stored};
use crate::api::namespace::{Admitted, Request, admit_create, admit_patched, admit_update, read_create, read_update};
use crate::api::router::{Answered, Engine, Names, Query, Sent, json as answer};
use crate::api::{NAMESPACES, Status};
use crate::control::{NamespaceChange, NewNamespace, WriteError};
use crate::engine::{Handle, RequestError, now};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::json;
use std::sync::Arc;

/// A namespace is Active from the first: none is deleted.
fn answered(code: StatusCode, new: &Admitted, rv: Option<u64>) -> Answered {
    Ok(answer(code, shown(&new.doc, rv, json!({"phase": "Active"}))?, &new.warnings))
}

fn request(sent: &Sent, options: WriteOptions) -> Request<'_> {
    let WriteOptions { field_validation, .. } = options;
    Request { body: &sent.bytes, content_type: sent.content_type(), field_validation }
}

pub(in crate::api) async fn create(State(handle): Engine, query: Query, sent: Sent) -> Answered {
    let options = WriteOptions::read(&query, Verb::Create)?;
    let body = read_create(request(&sent, options))?;
    if options.dry_run {
        let admitted = admit_create(body, &identity(now())?)?;
        return match handle.view().namespace(&admitted.name) {
            Some(_) => Err(Status::already_exists(NAMESPACES, &admitted.name)),
            None => answered(StatusCode::CREATED, &admitted, None),
        };
    }
    create_named(NAMESPACES, "", |identity| create_as(&handle, &body, identity)).await
}

async fn create_as(
    handle: &Handle,
    body: &Decoded<Namespace>,
    identity: Identity,
) -> Result<(String, Result<Response, RequestError>), Status> {
    let admitted = admit_create(body.clone(), &identity)?;
    let new = NewNamespace { name: Arc::from(admitted.name.as_str()), doc: Arc::clone(&admitted.doc) };
    let response = match handle.create_namespace(new).await {
        Ok(written) => Ok(answered(StatusCode::CREATED, &admitted, Some(written.rv))?),
        Err(error) => Err(error),
    };
    Ok((admitted.name, response))
}

pub(in crate::api) async fn update(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Update)?;
    let body = read_update(request(&sent, options), &name)?;
    let admit = |stored: &Stored<'_>| admit_update(stored, body.clone());
    change(NAMESPACES, &name, || replace(&handle, &name, options, &admit)).await
}

pub(in crate::api) async fn patch(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read(&sent)?;
    let admit = |stored: &Stored<'_>| {
        admit_patched(stored, patch.apply(stored.doc)?, &patch.repeated, options.field_validation)
    };
    change(NAMESPACES, &name, || replace(&handle, &name, options, &admit)).await
}

/// Puts what `admit` makes of the namespace in its place; `None` when others changed it meanwhile and it can be made again.
async fn replace(
    handle: &Handle,
    name: &str,
    options: WriteOptions,
    admit: impl Fn(&Stored<'_>) -> Result<Admitted, Status>,
) -> Result<Option<Response>, Status> {
    let old = handle.view().namespace(name).ok_or_else(|| Status::not_found(NAMESPACES, name))?;
    let new = admit(&Stored { doc: &old.doc.json, name, versions: old.rv..=old.rv })?;
    let rv = if options.dry_run || new.doc == old.doc.json {
        old.rv
    } else {
        let change = NamespaceChange { name: Arc::clone(&old.doc.name), base_rv: old.rv, doc: Arc::clone(&new.doc) };
        match handle.update_namespace(change).await {
            Ok(written) => written.rv,
            Err(RequestError::Refused(WriteError::Conflict)) if !new.names_version => return Ok(None),
            Err(error) => return Err(refusal(&error, NAMESPACES, "", &new.name)),
        }
    };
    answered(StatusCode::OK, &new, Some(rv)).map(Some)
}
