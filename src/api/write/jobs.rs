//! batch/v1 Jobs: create, update, patch, delete.

use super::delete::Deletion;
use super::options::{Verb, WriteOptions};
use super::patch::MergePatch;
use super::{change, create_named, identity, refusal, shown};
use crate::api::decode::Decoded;
use crate::api::job::{
    Admitted, AdmittedUpdate, Identity, Patched, Request, Stored, admit_create, admit_patched, admit_update,
    read_create, read_update,
};
use crate::api::router::{Answered, Engine, Names, Query, Sent, json as answer, rendered};
use crate::api::status::deleted;
use crate::api::{JOBS, NAMESPACES, Status};
use crate::base::Uid;
use crate::control::{DeleteJob, NewJob, NewSpec, Propagation, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::view::{Change, ChangeKind, Filter, JobObject, Topic};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use std::sync::Arc;

fn find(handle: &Handle, namespace: &str, name: &str) -> Result<JobObject, Status> {
    handle.view().job(namespace, name).ok_or_else(|| Status::not_found(JOBS, name))
}

fn request<'a>(sent: &'a Sent, namespace: &'a str, options: WriteOptions) -> Request<'a> {
    let WriteOptions { field_validation, .. } = options;
    Request { body: &sent.bytes, content_type: sent.content_type(), namespace, field_validation }
}

pub(in crate::api) async fn create(
    State(handle): Engine,
    Names([namespace]): Names<1>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Create)?;
    let body = read_create(&request(&sent, &namespace, options))?;
    if handle.view().namespace(&namespace).is_none() {
        return Err(Status::not_found(NAMESPACES, &namespace));
    }
    if options.dry_run {
        let identity = identity(now())?;
        let admitted = admit_create(body, &namespace, &identity)?;
        return match handle.view().job(&namespace, &admitted.name) {
            Some(_) => Err(Status::already_exists(JOBS, &admitted.name)),
            None => Ok(created(&admitted, identity.uid, None)),
        };
    }
    if body.object.metadata.name.as_ref().is_some_and(|name| !name.is_empty()) {
        let (name, response) = create_as(&handle, &namespace, body, identity(now())?).await?;
        return response.map_err(|error| refusal(&error, JOBS, &namespace, &name));
    }
    create_named(JOBS, &namespace, |identity| create_as(&handle, &namespace, body.clone(), identity)).await
}

async fn create_as(
    handle: &Handle,
    namespace: &str,
    body: Decoded<Job>,
    identity: Identity,
) -> Result<(String, Result<Response, RequestError>), Status> {
    let admitted = admit_create(body, namespace, &identity)?;
    let new = NewJob {
        namespace: Arc::from(namespace),
        name: Arc::from(admitted.name.as_str()),
        uid: identity.uid,
        created: identity.created,
        doc: Arc::clone(&admitted.doc),
        spec: admitted.spec.clone(),
    };
    let response = handle.create_job(new).await.map(|written| created(&admitted, identity.uid, Some(written.rv)));
    Ok((admitted.name, response))
}

/// A new Job has an empty status, and no version after a dry run.
fn created(new: &Admitted, uid: Uid, rv: Option<u64>) -> Response {
    answer(StatusCode::CREATED, new_job(&new.doc, uid, rv), &new.warnings)
}

/// The document with its version and its status, as it would be printed from a tree: the keys of objects are in order.
pub(super) fn new_job(doc: &str, uid: Uid, rv: Option<u64>) -> String {
    let rest = doc.strip_suffix('}').expect("a document is an object");
    let Some(rv) = rv else { return format!(r#"{rest},"status":{{}}}}"#) };
    // Nobody could write the uid before it was drawn, so that its first place under this key is the Job's own.
    let at = rest.find(&format!(r#""uid":"{uid}""#)).expect("a Job's document has its uid");
    let (before, after) = rest.split_at(at);
    format!(r#"{before}"resourceVersion":"{rv}",{after},"status":{{}}}}"#)
}

pub(in crate::api) async fn update(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Update)?;
    let body = read_update(&request(&sent, &namespace, options), &name)?;
    let admit = |stored: &Stored<'_>| admit_update(stored, body.clone());
    change(JOBS, &name, || replace(&handle, &namespace, &name, options, &admit)).await
}

pub(in crate::api) async fn patch(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read(&sent)?;
    let admit = |stored: &Stored<'_>| {
        let value = patch.apply(stored.doc)?;
        let WriteOptions { field_validation, .. } = options;
        admit_patched(stored, Patched { value, repeated: &patch.repeated, namespace: &namespace, field_validation })
    };
    change(JOBS, &name, || replace(&handle, &namespace, &name, options, &admit)).await
}

/// Puts what `admit` makes of the Job in its place; `None` when others changed it meanwhile and it can be made again.
async fn replace(
    handle: &Handle,
    namespace: &str,
    name: &str,
    options: WriteOptions,
    admit: impl Fn(&Stored<'_>) -> Result<AdmittedUpdate, Status>,
) -> Result<Option<Response>, Status> {
    let old = find(handle, namespace, name)?;
    // Only a client's write counts as a change, not the controller's status.
    let status = &old.status;
    let is_idle = status.active == 0 && (status.start_time.is_none() || status.is_suspended());
    let stored = Stored { doc: &old.doc.json, name, versions: old.doc.rv..=old.rv, is_idle };
    let AdmittedUpdate { job: new, names_version, .. } = admit(&stored)?;
    let text = if options.dry_run || new.doc == old.doc.json {
        with_status_of(&old, &new.doc, old.rv)?
    } else {
        let change = NewSpec {
            namespace: Arc::clone(&old.doc.key.namespace),
            name: Arc::clone(&old.doc.key.name),
            base_rv: old.doc.rv,
            doc: Arc::clone(&new.doc),
            spec: new.spec,
        };
        match handle.update_job(change).await {
            Ok(written) => at_version(handle, &old, &new.doc, written.rv)?,
            Err(RequestError::Refused(WriteError::Conflict)) if !names_version => return Ok(None),
            Err(error) => return Err(refusal(&error, JOBS, namespace, &new.name)),
        }
    };
    Ok(Some(answer(StatusCode::OK, text, &new.warnings)))
}

/// The Job as it was at `rv`, when `doc` was put in the place of `old`; it may have changed again.
pub(super) fn at_version(handle: &Handle, old: &JobObject, doc: &str, rv: u64) -> Result<String, Status> {
    match change_at(handle, old, rv) {
        Some(change) => Ok(rendered(|text| change.object.render(text))),
        // So much was written with it that the change is forgotten already.
        None => with_status_of(old, doc, rv),
    }
}

/// What happened to the Job at `rv`; `None` when it is forgotten already.
fn change_at(handle: &Handle, job: &JobObject, rv: u64) -> Option<Change> {
    let (view, filter) = (handle.view(), Filter { job: Some(job.doc.key.id), ..Filter::default() });
    let cursor = view.watch_from(Topic::Jobs, filter, rv.saturating_sub(1));
    let changes = cursor.and_then(|mut cursor| view.poll(&mut cursor, 1)).unwrap_or_default();
    changes.into_iter().next().filter(|change| change.rv == rv)
}

/// `doc` at `rv` with the status that `old` has.
fn with_status_of(old: &JobObject, doc: &str, rv: u64) -> Result<String, Status> {
    let old: Value =
        serde_json::from_str(&rendered(|text| old.render(text))).map_err(|error| Status::internal(&error))?;
    shown(doc, Some(rv), Some(old["status"].clone()))
}

/// What a client is told that did not say what becomes of the pods (kubernetes: `jobStrategy.WarningsOnDelete`).
const ORPHAN_WARNING: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to \
                              remove them or set propagationPolicy=Orphan to suppress this warning";

pub(in crate::api) async fn delete(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let deletion = Deletion::read(&query, &sent)?;
    change(JOBS, &name, async || remove(&handle, &namespace, &name, &deletion).await).await
}

/// Deletes the Job; `None` when others changed it meanwhile.
async fn remove(handle: &Handle, namespace: &str, name: &str, deletion: &Deletion) -> Result<Option<Response>, Status> {
    let job = find(handle, namespace, name)?;
    let key = &job.doc.key;
    deletion.expect(JOBS, name, &key.uid.to_string(), &job.rv.to_string())?;
    let warnings: &[String] = if deletion.propagation.is_none() { &[ORPHAN_WARNING.to_owned()] } else { &[] };
    let propagation = deletion.propagation.unwrap_or(Propagation::Orphan);
    let is_immediate = propagation == Propagation::Background && job.spec().life.of_clients().is_empty();
    let gone = |uid: Uid| Ok(Some(answer(StatusCode::OK, deleted(JOBS, name, &uid.to_string()), warnings)));
    if deletion.dry_run && is_immediate {
        return gone(key.uid);
    }
    if deletion.dry_run {
        return Ok(Some(answer(StatusCode::OK, rendered(|text| job.render(text)), warnings)));
    }
    let delete = DeleteJob {
        namespace: Arc::clone(&key.namespace),
        name: Arc::clone(&key.name),
        uid: deletion.uid.as_ref().map(|_| key.uid),
        rv: deletion.resource_version.as_ref().map(|_| job.rv),
        propagation,
        doc: (job.doc.rv, Arc::clone(&job.doc.json)),
    };
    let written = match handle.delete_job(delete).await {
        Ok(written) => written,
        Err(RequestError::Refused(WriteError::Conflict)) => return Ok(None),
        Err(error) => return Err(unmet(&error, namespace, name, deletion)),
    };
    if is_immediate {
        return gone(written.job_uid.expect("what was deleted is a Job"));
    }
    let change = change_at(handle, &job, written.rv);
    let is_gone = change.as_ref().is_some_and(|change| change.kind == ChangeKind::Deleted);
    match change {
        Some(change) if !is_gone => {
            Ok(Some(answer(StatusCode::OK, rendered(|text| change.object.render(text)), warnings)))
        }
        // It was being deleted in the same way already.
        None if written.rv == 0 => {
            let job = find(handle, namespace, name)?;
            Ok(Some(answer(StatusCode::OK, rendered(|text| job.render(text)), warnings)))
        }
        _ => gone(key.uid),
    }
}

/// Why a Job was not deleted.
fn unmet(error: &RequestError, namespace: &str, name: &str, deletion: &Deletion) -> Status {
    let (field, wanted, found) = match error {
        RequestError::Refused(WriteError::WrongUid { found }) => ("UID", &deletion.uid, found.to_string()),
        RequestError::Refused(WriteError::WrongVersion { found }) => {
            ("ResourceVersion", &deletion.resource_version, found.to_string())
        }
        error => return refusal(error, JOBS, namespace, name),
    };
    Status::precondition(JOBS, name, field, wanted.as_deref().unwrap_or_default(), &found)
}
