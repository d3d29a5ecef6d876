//! batch/v1 Jobs.

use super::decode::FieldValidation;
use super::job::{Admitted, Identity, Request, admit_create, admit_update};
use super::router::{Answered, Engine, Names, Query, Sent, json, rendered};
use super::{FieldErrors, JOBS, NAMESPACES, Resource, Status};
use crate::base::{Time, Uid};
use crate::control::{NewJob, NewSpec, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::view::JobObject;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

/// kubernetes: a generated name that exists is drawn again, so often at the most.
const NAME_DRAWS: usize = 8;

/// A refused client comes again after this many seconds.
const RETRY_AFTER_S: u32 = 1;

fn shown(handle: &Handle, code: StatusCode, namespace: &str, name: &str, warnings: &[String]) -> Answered {
    let job = handle.view().job(namespace, name).ok_or_else(|| Status::not_found(JOBS, name))?;
    Ok(json(code, rendered(|text| job.render(text)), warnings))
}

pub(super) async fn create(State(handle): Engine, Names([namespace]): Names<1>, query: Query, sent: Sent) -> Answered {
    let request = request(&sent, &namespace, &query, "CreateOptions")?;
    if is_dry_run(&query)? {
        return dry_run(&handle, &request);
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

fn request<'a>(
    sent: &'a Sent,
    namespace: &'a str,
    query: &Query,
    options: &'static str,
) -> Result<Request<'a>, Status> {
    let field_validation = FieldValidation::parse(query.get("fieldValidation"), options)?;
    Ok(Request { body: &sent.bytes, content_type: sent.content_type(), namespace, field_validation })
}

/// Whether nothing is to be kept (query parameter `dryRun`).
fn is_dry_run(query: &Query) -> Result<bool, Status> {
    match query.get("dryRun").unwrap_or("") {
        "" => Ok(false),
        "All" => Ok(true),
        other => {
            let mut errors = FieldErrors::default();
            errors.not_supported("dryRun", format!("{other:?}"), &["All"]);
            Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &errors.into_vec()))
        }
    }
}

/// What creating would answer.
fn dry_run(handle: &Handle, request: &Request<'_>) -> Answered {
    let admitted = admit_create(request, &identity(now())?)?;
    if handle.view().namespace(request.namespace).is_none() {
        return Err(Status::not_found(NAMESPACES, request.namespace));
    }
    if handle.view().job(request.namespace, &admitted.name).is_some() {
        return Err(Status::already_exists(JOBS, &admitted.name));
    }
    Ok(json(StatusCode::CREATED, admitted.doc.to_string(), &admitted.warnings))
}

/// A fresh uid, time and name suffix.
pub(super) fn identity(created: Time) -> Result<Identity, Status> {
    let random = || getrandom::u64().map_err(|error| Status::internal(&error));
    let uid = Uid::v4(u128::from(random()?) << 64 | u128::from(random()?));
    Ok(Identity { uid, created, name_draw: random()? })
}

pub(super) async fn update(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    query.refuse(&["dryRun"])?;
    let request = request(&sent, &namespace, &query, "UpdateOptions")?;
    let old = handle.view().job(&namespace, &name).ok_or_else(|| Status::not_found(JOBS, &name))?;
    let admitted = admit_update(&old.doc.json, &name, &request)?;
    if let Some(seen) = admitted.resource_version {
        let seen: u64 =
            seen.parse().map_err(|_| Status::bad_request(format!("invalid resource version \"{seen}\"")))?;
        // Only a client's write counts as a change, not the controller's status.
        if seen < old.doc.rv {
            return Err(Status::modified(JOBS, &name));
        }
    }
    refuse_elastic(&old, &admitted.job)?;
    if admitted.job.doc != old.doc.json {
        let change = NewSpec {
            namespace: Arc::from(namespace.as_str()),
            name: Arc::from(name.as_str()),
            base_rv: old.doc.rv,
            doc: admitted.job.doc,
            spec: admitted.job.spec,
        };
        handle.update_job(change).await.map_err(|error| refusal(&error, JOBS, &namespace, &name))?;
    }
    shown(&handle, StatusCode::OK, &namespace, &name, &admitted.job.warnings)
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

/// Why the engine did not do it, in Kubernetes' words.
pub(super) fn refusal(error: &RequestError, resource: Resource, namespace: &str, name: &str) -> Status {
    match error {
        RequestError::Busy => Status::too_many_requests(RETRY_AFTER_S),
        RequestError::Stopped(_) => Status::internal(error),
        RequestError::Refused(WriteError::AlreadyExists) => Status::already_exists(resource, name),
        RequestError::Refused(WriteError::NotFound) => Status::not_found(resource, name),
        RequestError::Refused(WriteError::NoNamespace) => Status::not_found(NAMESPACES, namespace),
        RequestError::Refused(WriteError::Conflict) => Status::modified(resource, name),
    }
}
