//! The verbs that change something: create, update, patch, delete.
//!
//! Owns what a write may ask for beside its object (`options`, `delete`, `patch`) and how an admitted object reaches the engine;
//! `job` and `namespace` beside it own admission. It must not know how the engine decides. Invariant: a write is answered once it
//! is durable, and a dry run changes nothing.

mod delete;
mod jobs;
mod namespaces;
mod options;
mod patch;
#[cfg(test)]
mod tests;

use super::job::Identity;
use super::{NAMESPACES, Resource, Status};
use crate::base::{Time, Uid};
use crate::control::WriteError;
use crate::engine::RequestError;
pub(super) use jobs::{create as create_job, delete as delete_job, patch as patch_job, update as update_job};
pub(super) use namespaces::{create as create_namespace, patch as patch_namespace, update as update_namespace};

/// kubernetes: a generated name that exists is drawn again, so often at the most.
const NAME_DRAWS: usize = 8;

/// kubernetes: `MaxRetryWhenPatchConflicts`. So often is a change that names no version tried, when others change the same object.
const CHANGE_TRIES_MAX: usize = 5;

/// A refused client comes again after this many seconds.
pub(super) const RETRY_AFTER_S: u32 = 1;

/// A fresh uid, time and name suffix.
fn identity(created: Time) -> Result<Identity, Status> {
    let random = || getrandom::u64().map_err(|error| Status::internal(&error));
    let uid = Uid::v4(u128::from(random()?) << 64 | u128::from(random()?));
    Ok(Identity { uid, created, name_draw: random()? })
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
        RequestError::Refused(WriteError::WrongUid { .. }) => Status::conflict(resource, name, &error.to_string()),
    }
}

/// `metadata.resourceVersion` of a body as a number.
fn parse_version(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| Status::bad_request(format!("invalid resource version \"{text}\"")))
}
