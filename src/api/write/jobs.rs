//! batch/v1 Jobs: create, update, patch, delete.

use super::delete::Deletion;
use super::options::{Verb, WriteOptions};
use super::patch::MergePatch;
use super::{CHANGE_TRIES_MAX, NAME_DRAWS, identity, parse_version, refusal};
use crate::api::job::{Admitted, AdmittedUpdate, Patched, Request, admit_create, admit_patched, admit_update};
use crate::api::router::{Answered, Engine, Names, Query, Sent, json, rendered};
use crate::api::status::deleted;
use crate::api::{FieldErrors, JOBS, NAMESPACES, Status, StatusReason};
use crate::base::Uid;
use crate::control::{DeleteJob, NewJob, NewSpec, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::view::JobObject;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use std::sync::Arc;

fn find(handle: &Handle, namespace: &str, name: &str) -> Result<JobObject, Status> {
    handle.view().job(namespace, name).ok_or_else(|| Status::not_found(JOBS, name))
}

fn shown(handle: &Handle, code: StatusCode, namespace: &str, name: &str, warnings: &[String]) -> Answered {
    let job = find(handle, namespace, name)?;
    Ok(json(code, rendered(|text| job.render(text)), warnings))
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
    let request = request(&sent, &namespace, options);
    if options.dry_run {
        return dry_create(&handle, &request);
    }
    let mut taken = String::new();
    for draw in 1.. {
        let identity = identity(now())?;
        let admitted = admit_create(&request, &identity)?;
        let new = NewJob {
            namespace: Arc::from(namespace.as_str()),
            name: Arc::from(admitted.name.as_str()),
            uid: identity.uid,
            created: identity.created,
            doc: admitted.doc,
            spec: admitted.spec,
        };
        match handle.create_job(new).await {
            Ok(_) => return shown(&handle, StatusCode::CREATED, &namespace, &admitted.name, &admitted.warnings),
            // A name that was generated is another one at the next draw.
            Err(RequestError::Refused(WriteError::AlreadyExists)) if admitted.name != taken && draw < NAME_DRAWS => {
                taken = admitted.name;
            }
            Err(error) => return Err(refusal(&error, JOBS, &namespace, &admitted.name)),
        }
    }
    unreachable!("the last draw returns")
}

/// What creating would answer.
fn dry_create(handle: &Handle, request: &Request<'_>) -> Answered {
    let admitted = admit_create(request, &identity(now())?)?;
    if handle.view().namespace(request.namespace).is_none() {
        return Err(Status::not_found(NAMESPACES, request.namespace));
    }
    if handle.view().job(request.namespace, &admitted.name).is_some() {
        return Err(Status::already_exists(JOBS, &admitted.name));
    }
    let mut job = parsed(&admitted.doc)?;
    job["status"] = Value::Object(serde_json::Map::new());
    Ok(json(StatusCode::CREATED, job.to_string(), &admitted.warnings))
}

fn parsed(text: &str) -> Result<Value, Status> {
    serde_json::from_str(text).map_err(|error| Status::internal(&error))
}

pub(in crate::api) async fn update(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Update)?;
    let request = request(&sent, &namespace, options);
    change(&handle, &namespace, &name, options, |old| admit_update(&old.doc.json, &name, &request)).await
}

pub(in crate::api) async fn patch(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read(&sent)?;
    change(&handle, &namespace, &name, options, |old| {
        let value = patch.apply(&old.doc.json)?;
        let WriteOptions { field_validation, .. } = options;
        let patched = Patched { value, repeated: &patch.repeated, namespace: &namespace, field_validation };
        admit_patched(&old.doc.json, &name, patched)
    })
    .await
}

/// Puts what `admit` makes of the Job in its place. Unless it names a version, it is made again when others change the Job
/// meanwhile.
async fn change(
    handle: &Handle,
    namespace: &str,
    name: &str,
    options: WriteOptions,
    admit: impl Fn(&JobObject) -> Result<AdmittedUpdate, Status>,
) -> Answered {
    for nth in 1.. {
        let old = find(handle, namespace, name)?;
        let admitted = admit(&old)?;
        let is_last = admitted.resource_version.is_some() || nth == CHANGE_TRIES_MAX;
        match replace(handle, &old, admitted, options).await {
            Err(status) if status.reason == StatusReason::Conflict && !is_last => {}
            answer => return answer,
        }
    }
    unreachable!("the last try returns")
}

async fn replace(handle: &Handle, old: &JobObject, admitted: AdmittedUpdate, options: WriteOptions) -> Answered {
    let (namespace, name) = (&old.doc.key.namespace, &old.doc.key.name);
    check_version(old, admitted.resource_version.as_deref())?;
    refuse_elastic(old, &admitted.job)?;
    if options.dry_run {
        return preview(old, &admitted.job);
    }
    if admitted.job.doc != old.doc.json {
        let change = NewSpec {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            base_rv: old.doc.rv,
            doc: admitted.job.doc,
            spec: admitted.job.spec,
        };
        handle.update_job(change).await.map_err(|error| refusal(&error, JOBS, namespace, name))?;
    }
    shown(handle, StatusCode::OK, namespace, name, &admitted.job.warnings)
}

/// Only a client's write counts as a change, not the controller's status.
fn check_version(old: &JobObject, wanted: Option<&str>) -> Result<(), Status> {
    let Some(wanted) = wanted else { return Ok(()) };
    match (old.doc.rv..=old.rv).contains(&parse_version(wanted)?) {
        true => Ok(()),
        false => Err(Status::modified(JOBS, &old.doc.key.name)),
    }
}

/// The controller does not take indexes back, so the completions of an Indexed Job stay what they are.
fn refuse_elastic(old: &JobObject, new: &Admitted) -> Result<(), Status> {
    if old.spec().completions == new.spec.completions {
        return Ok(());
    }
    let mut errors = FieldErrors::default();
    errors.forbidden("spec.completions", "not offered by this version of Coracle: elastic Indexed Jobs");
    Err(Status::invalid(JOBS.group, JOBS.kind, &new.name, &errors.into_vec()))
}

/// What changing `old` would answer.
fn preview(old: &JobObject, new: &Admitted) -> Answered {
    let now = parsed(&rendered(|text| old.render(text)))?;
    let mut job = parsed(&new.doc)?;
    job["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
    job["status"] = now["status"].clone();
    Ok(json(StatusCode::OK, job.to_string(), &new.warnings))
}

pub(in crate::api) async fn delete(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let deletion = Deletion::read(&query, &sent)?;
    let job = find(&handle, &namespace, &name)?;
    let uid = check_preconditions(&job, &deletion)?;
    if !deletion.dry_run {
        let delete = DeleteJob { namespace: Arc::from(namespace.as_str()), name: Arc::from(name.as_str()), uid };
        handle.delete_job(delete).await.map_err(|error| match error {
            RequestError::Refused(WriteError::WrongUid { found }) => {
                let wanted = uid.map(|uid| uid.to_string()).unwrap_or_default();
                Status::precondition(JOBS, &name, "UID", &wanted, &found.to_string())
            }
            error => refusal(&error, JOBS, &namespace, &name),
        })?;
    }
    Ok(json(StatusCode::OK, deleted(JOBS, &name, job.doc.key.uid), &[]))
}

/// Holds the Job against what the client expects. Gives the uid that it must still have when it is deleted.
fn check_preconditions(job: &JobObject, deletion: &Deletion) -> Result<Option<Uid>, Status> {
    let fails = |field: &str, wanted: &str, found: String| {
        let is_met = wanted == found;
        if is_met { Ok(()) } else { Err(Status::precondition(JOBS, &job.doc.key.name, field, wanted, &found)) }
    };
    if let Some(wanted) = &deletion.uid {
        fails("UID", wanted, job.doc.key.uid.to_string())?;
    }
    if let Some(wanted) = &deletion.resource_version {
        fails("ResourceVersion", wanted, job.rv.to_string())?;
    }
    Ok((deletion.uid.is_some() || deletion.resource_version.is_some()).then_some(job.doc.key.uid))
}
