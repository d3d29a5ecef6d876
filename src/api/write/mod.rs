//! The verbs that change something: create, update, patch, delete.
//!
//! Owns what a write may ask for beside its object (`options`, `delete`, `patch`) and how an admitted object reaches the engine;
//! `job` and `plain` beside it own admission. It must not know how the engine decides. Invariant: a write is answered once it
//! is durable, with the object as it was written, whatever became of it meanwhile; a dry run changes nothing.

mod delete;
mod jobs;
mod nodes;
mod options;
mod patch;
mod plain;
mod pods;
mod rerun;
#[cfg(test)]
mod tests;

use super::job::Identity;
use super::router::Answered;
use super::{NAMESPACES, Resource, Status};
use crate::base::{Time, Uid};
use crate::control::WriteError;
use crate::engine::{RequestError, now};
use axum::response::Response;
pub(super) use jobs::{create as create_job, delete as delete_job, patch as patch_job, update as update_job};
pub(super) use nodes::patch as patch_node;
pub(super) use plain::{create as create_plain, delete as delete_plain, patch as patch_plain, update as update_plain};
pub(super) use pods::{delete as delete_pod, evict as evict_pod, patch as patch_pod, update as update_pod};
pub(super) use rerun::rerun as rerun_job;
use serde_json::{Value, json};

/// kubernetes: a generated name that exists is drawn again, so often at the most.
const NAME_DRAWS: usize = 8;

/// kubernetes: `MaxRetryWhenPatchConflicts`. So often is a change that names no version tried, when others change the same object.
const CHANGE_TRIES_MAX: usize = 5;

/// A refused client comes again after this many seconds.
pub(super) const RETRY_AFTER_S: u32 = 1;

/// A fresh uid, time and name suffix.
fn identity(created: Time) -> Result<Identity, Status> {
    // One call of the system for both.
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| Status::internal(&error))?;
    let (uid, draw) = random.split_first_chunk().expect("16 of 24 bytes");
    let (draw, _) = draw.split_first_chunk().expect("8 bytes are left");
    Ok(Identity { uid: Uid::v4(u128::from_le_bytes(*uid)), created, name_draw: u64::from_le_bytes(*draw) })
}

/// Why the engine did not do it, in Kubernetes' words.
fn refusal(error: &RequestError, resource: Resource, namespace: &str, name: &str) -> Status {
    match error {
        RequestError::Busy => Status::too_many_requests(RETRY_AFTER_S),
        RequestError::Stopped(_) => Status::internal(error),
        RequestError::Refused(WriteError::AlreadyExists) => Status::already_exists(resource, name),
        RequestError::Refused(WriteError::NotFound) => Status::not_found(resource, name),
        RequestError::Refused(WriteError::NoNamespace) => Status::not_found(NAMESPACES, namespace),
        RequestError::Refused(WriteError::Conflict) => Status::modified(resource, name),
        RequestError::Refused(
            WriteError::WrongUid { .. }
            | WriteError::WrongVersion { .. }
            | WriteError::NothingToRun
            | WriteError::Ending,
        ) => Status::conflict(resource, name, &error.to_string()),
    }
}

/// Creates what `attempt` makes of an identity: its name and what the engine answers. A name that was generated and is taken is
/// another one at the next draw.
async fn create_named<F>(resource: Resource, namespace: &str, attempt: impl Fn(Identity) -> F) -> Answered
where
    F: Future<Output = Result<(String, Result<Response, RequestError>), Status>>,
{
    let mut taken = String::new();
    for draw in 1.. {
        let (name, response) = attempt(identity(now())?).await?;
        match response {
            Ok(response) => return Ok(response),
            Err(RequestError::Refused(WriteError::AlreadyExists)) if name != taken && draw < NAME_DRAWS => taken = name,
            Err(error) => return Err(refusal(&error, resource, namespace, &name)),
        }
    }
    unreachable!("the last draw returns")
}

/// Makes a change, and makes it again for as long as `attempt` says that others changed the object meanwhile (`None`).
async fn change<F>(resource: Resource, name: &str, attempt: impl Fn() -> F) -> Answered
where
    F: Future<Output = Result<Option<Response>, Status>>,
{
    for _ in 0..CHANGE_TRIES_MAX {
        if let Some(response) = attempt().await? {
            return Ok(response);
        }
    }
    Err(Status::modified(resource, name))
}

/// An object as it was written: its document with its status and its version, which a creation that was a dry run has not.
fn shown(doc: &str, rv: Option<u64>, status: Option<Value>) -> Result<String, Status> {
    let mut object: Value = serde_json::from_str(doc).map_err(|error| Status::internal(&error))?;
    if let Some(rv) = rv {
        object["metadata"]["resourceVersion"] = json!(rv.to_string());
    }
    if let Some(status) = status {
        object["status"] = status;
    }
    Ok(object.to_string())
}
