//! `POST …/jobs/<name>/rerun`: parts of a Job run again in the same Job. Kubernetes has no such path.
//!
//! Owns the body and its faults; what may run again the engine decides. Invariant: the answer is the Job as it goes on.

use super::{change, refusal};
use crate::api::field::quoted;
use crate::api::router::{Answered, Engine, Names, Sent, json as answer, rendered};
use crate::api::{FieldErrors, JOBS, Status};
use crate::base::IndexSet;
use crate::control::{Rerun, WriteError};
use crate::engine::RequestError;
use crate::view::JobObject;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// Bytes of a list of indexes, at the most; as many as `successPolicy` takes.
const INDEXES_BYTES_MAX: usize = 64 * 1024;

/// What is to run again: one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Completion indexes, as in `completedIndexes`.
    indexes: Option<String>,
    /// Everything that has failed.
    failed: Option<bool>,
}

pub(in crate::api) async fn rerun(State(handle): Engine, Names([namespace, name]): Names<2>, sent: Sent) -> Answered {
    let body: Body = serde_json::from_slice(&sent.bytes).map_err(|error| {
        Status::bad_request(format!("the body must be {{\"indexes\": \"0,3-5\"}} or {{\"failed\": true}}: {error}"))
    })?;
    let attempt = async || {
        let job = handle.view().job(&namespace, &name).ok_or_else(|| Status::not_found(JOBS, &name))?;
        let rerun = Rerun {
            namespace: Arc::clone(&job.doc.key.namespace),
            name: Arc::clone(&job.doc.key.name),
            base_rv: job.doc.rv,
            spec: job.spec().clone(),
            indexes: wanted(&body, &job)?,
        };
        match handle.rerun_job(rerun).await {
            Ok(_) => {
                let job = handle.view().job(&namespace, &name).ok_or_else(|| Status::not_found(JOBS, &name))?;
                Ok(Some(answer(StatusCode::OK, rendered(|text| job.render(text)), &[])))
            }
            Err(RequestError::Refused(WriteError::Conflict)) => Ok(None),
            Err(error) => Err(refusal(&error, JOBS, &namespace, &name)),
        }
    };
    change(JOBS, &name, attempt).await
}

/// The indexes that are asked for; `None` for what has failed.
fn wanted(body: &Body, job: &JobObject) -> Result<Option<IndexSet>, Status> {
    let mut errors = FieldErrors::default();
    let spec = job.spec();
    let found = match (&body.indexes, body.failed) {
        (None, Some(true)) => Ok(None),
        (Some(_), Some(true)) => Err("may not be given together with failed"),
        (None, _) => Err("either indexes or failed: true must be given"),
        (Some(_), _) if spec.is_foreign => Err("may not be given for a Job that is managed by another controller"),
        (Some(_), _) if !spec.is_indexed() => Err("requires indexed completion mode"),
        (Some(text), _) if text.len() > INDEXES_BYTES_MAX => {
            errors.too_long("indexes", INDEXES_BYTES_MAX);
            Ok(None)
        }
        (Some(text), _) => match IndexSet::parse(text, spec.completions.unwrap_or(0)) {
            Ok(set) => Ok(Some(set)),
            Err(error) => {
                errors.invalid("indexes", quoted(text), format!("error parsing indexes: {error}"));
                Ok(None)
            }
        },
    };
    if let Err(why) = found {
        errors.invalid("indexes", quoted(body.indexes.as_deref().unwrap_or_default()), why);
    }
    let name = &job.doc.key.name;
    if errors.is_empty() {
        Ok(found.unwrap_or_default())
    } else {
        Err(Status::invalid(JOBS.group, JOBS.kind, name, &errors.into_vec()))
    }
}
