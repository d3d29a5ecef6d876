//! Objects that are only documents: create, update, patch, delete.

use super::delete::Deletion;
use super::options::{Verb, WriteOptions};
use super::patch::MergePatch;
use super::{change, create_named, identity, refusal, shown};
use crate::api::Status;
use crate::api::decode::Decoded;
use crate::api::job::{Identity, Stored};
use crate::api::plain::{
    Admitted, Plain, Request, admit_create, admit_patched, admit_update, read_create, read_update,
};
use crate::api::router::{Answered, Engine, Names, Query, Sent, json as answer};
use crate::api::status::deleted;
use crate::control::{DeleteDoc, DocChange, NewDoc, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::view::PlainObject;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

fn answered<T: Plain>(code: StatusCode, new: &Admitted, rv: Option<u64>) -> Answered {
    Ok(answer(code, shown(&new.doc, rv, T::status())?, &new.warnings))
}

fn request(sent: &Sent, options: WriteOptions) -> Request<'_> {
    let WriteOptions { field_validation, .. } = options;
    Request { body: &sent.bytes, content_type: sent.content_type(), field_validation }
}

fn find<T: Plain>(handle: &Handle, name: &str) -> Result<PlainObject, Status> {
    handle.view().plain_named(T::KIND, name).ok_or_else(|| Status::not_found(T::RESOURCE, name))
}

pub(in crate::api) async fn create<T: Plain>(State(handle): Engine, query: Query, sent: Sent) -> Answered {
    let options = WriteOptions::read(&query, Verb::Create)?;
    let body: Decoded<T> = read_create(request(&sent, options))?;
    if options.dry_run {
        let admitted = admit_create(body, &identity(now())?)?;
        T::check_beside(&admitted, handle.view())?;
        return match find::<T>(&handle, &admitted.name) {
            Ok(_) => Err(Status::already_exists(T::RESOURCE, &admitted.name)),
            Err(_) => answered::<T>(StatusCode::CREATED, &admitted, None),
        };
    }
    create_named(T::RESOURCE, "", |identity| create_as(&handle, &body, identity)).await
}

async fn create_as<T: Plain>(
    handle: &Handle,
    body: &Decoded<T>,
    identity: Identity,
) -> Result<(String, Result<Response, RequestError>), Status> {
    let admitted = admit_create(body.clone(), &identity)?;
    T::check_beside(&admitted, handle.view())?;
    let new = NewDoc { kind: T::KIND, name: Arc::from(admitted.name.as_str()), doc: Arc::clone(&admitted.doc) };
    let response = match handle.create_doc(new).await {
        Ok(written) => Ok(answered::<T>(StatusCode::CREATED, &admitted, Some(written.rv))?),
        Err(error) => Err(error),
    };
    Ok((admitted.name, response))
}

pub(in crate::api) async fn update<T: Plain>(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Update)?;
    let body: Decoded<T> = read_update(request(&sent, options), &name)?;
    let admit = |stored: &Stored<'_>| admit_update(stored, body.clone());
    change(T::RESOURCE, &name, || replace::<T>(&handle, &name, options, &admit)).await
}

pub(in crate::api) async fn patch<T: Plain>(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read(&sent)?;
    let admit = |stored: &Stored<'_>| {
        admit_patched::<T>(stored, patch.apply(stored.doc)?, &patch.repeated, options.field_validation)
    };
    change(T::RESOURCE, &name, || replace::<T>(&handle, &name, options, &admit)).await
}

/// Puts what `admit` makes of the object in its place; `None` when others changed it meanwhile and it can be made again.
async fn replace<T: Plain>(
    handle: &Handle,
    name: &str,
    options: WriteOptions,
    admit: impl Fn(&Stored<'_>) -> Result<Admitted, Status>,
) -> Result<Option<Response>, Status> {
    let old = find::<T>(handle, name)?;
    let new = admit(&Stored { doc: &old.doc.json, name, versions: old.rv..=old.rv, is_idle: false })?;
    T::check_beside(&new, handle.view())?;
    let rv = if options.dry_run || new.doc == old.doc.json {
        old.rv
    } else {
        let (name, doc) = (Arc::clone(&old.doc.name), Arc::clone(&new.doc));
        match handle.update_doc(DocChange { kind: T::KIND, name, base_rv: old.rv, doc }).await {
            Ok(written) => written.rv,
            Err(RequestError::Refused(WriteError::Conflict)) if !new.names_version => return Ok(None),
            Err(error) => return Err(refusal(&error, T::RESOURCE, "", &new.name)),
        }
    };
    answered::<T>(StatusCode::OK, &new, Some(rv)).map(Some)
}

pub(in crate::api) async fn delete<T: Plain>(
    State(handle): Engine,
    Names([name]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let deletion = Deletion::read(&query, &sent)?;
    T::check_deletion(&name)?;
    change(T::RESOURCE, &name, || remove::<T>(&handle, &name, &deletion)).await
}

/// Deletes the object as it is; `None` when others changed it meanwhile.
async fn remove<T: Plain>(handle: &Handle, name: &str, deletion: &Deletion) -> Result<Option<Response>, Status> {
    let old = find::<T>(handle, name)?;
    let doc: Value = serde_json::from_str(&old.doc.json).map_err(|error| Status::internal(&error))?;
    let uid = doc["metadata"]["uid"].as_str().unwrap_or_default();
    deletion.expect(T::RESOURCE, name, uid, &old.rv.to_string())?;
    if !deletion.dry_run {
        let delete = DeleteDoc { kind: T::KIND, name: Arc::clone(&old.doc.name), base_rv: old.rv };
        match handle.delete_doc(delete).await {
            Ok(_) => {}
            Err(RequestError::Refused(WriteError::Conflict)) => return Ok(None),
            Err(error) => return Err(refusal(&error, T::RESOURCE, "", name)),
        }
    }
    Ok(Some(answer(StatusCode::OK, deleted(T::RESOURCE, name, uid), &[])))
}
