//! core/v1 Pods: delete and evict.
//!
//! Jobs make pods; what clients may do to them afterwards is here. Invariant: a pod is answered as it was when the write
//! happened to it, although it may be gone by then.

use super::delete::Deletion;
use super::options::{Verb, WriteOptions};
use super::{change, refusal};
use crate::api::decode::{Expected, decode, protobuf};
use crate::api::pods::find;
use crate::api::router::{Answered, Engine, Names, Query, Sent, json as answer, rendered};
use crate::api::{PODS, Status};
use crate::control::{ChangePod, PodChange, PodSeen, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::view::{Filter, PodObject, Topic};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use k8s_openapi::api::policy::v1::Eviction;
use serde_json::json;

const EVICTION: Expected = Expected {
    api_version: "policy/v1",
    kind: "Eviction",
    internal: "policy.Eviction",
    is_in_every_group: false,
    message: &protobuf::EVICTION,
};

pub(in crate::api) async fn delete(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let deletion = Deletion::read(&query, &sent)?;
    change(PODS, &name, async || {
        let deleted = remove(&handle, &namespace, &name, &deletion, false).await?;
        Ok(deleted.map(|pod| answer(StatusCode::OK, rendered(|text| pod.render(text)), &[])))
    })
    .await
}

/// POST of a pod's `eviction` (kubernetes: `EvictionREST.Create`; there are no PodDisruptionBudgets).
pub(in crate::api) async fn evict(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Create)?;
    let body = decode::<Eviction>(&sent.bytes, sent.content_type(), options.field_validation, EVICTION, |_| Ok(()))?;
    let eviction = body.object;
    if eviction.metadata.name.as_deref() != Some(&*name) {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut deletion = Deletion::of(eviction.delete_options.unwrap_or_default())?;
    deletion.dry_run |= options.dry_run;
    change(PODS, &name, async || {
        let evicted = remove(&handle, &namespace, &name, &deletion, true).await?;
        Ok(evicted.map(|_| done(&body.warnings)))
    })
    .await
}

fn done(warnings: &[String]) -> Response {
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    answer(StatusCode::CREATED, done.to_string(), warnings)
}

/// Deletes the pod, which it gives as it was then; `None` when it changed meanwhile and the client named its version.
async fn remove(
    handle: &Handle,
    namespace: &str,
    name: &str,
    deletion: &Deletion,
    evict: bool,
) -> Result<Option<PodObject>, Status> {
    let pod = find(handle, namespace, name)?;
    deletion.expect(PODS, name, &pod.uid().to_string(), &pod.record.rv.to_string())?;
    let grace_s = grace_of(&pod, deletion);
    if deletion.dry_run {
        return Ok(Some(pod.deleted_at(now(), grace_s)));
    }
    let seen = deletion.resource_version.as_ref().map(|_| PodSeen::of(&pod.record));
    let (job, ordinal) = (pod.record.job, pod.record.ordinal);
    let change = ChangePod { job, ordinal, seen, change: PodChange::Delete { grace_s, evict } };
    match handle.change_pod(change).await {
        // It had been deleted before.
        Ok(written) if written.rv == 0 => find(handle, namespace, name).map(Some),
        Ok(written) => Ok(Some(at_version(handle, &pod, written.rv, grace_s))),
        Err(RequestError::Refused(WriteError::Conflict)) => Ok(None),
        Err(error) => Err(refusal(&error, PODS, namespace, name)),
    }
}

/// kubernetes: `podStrategy.CheckGracefulDelete`.
fn grace_of(pod: &PodObject, deletion: &Deletion) -> u32 {
    if pod.record.is_terminal() || !pod.is_placed() {
        return 0;
    }
    match deletion.grace_s {
        None => pod.job.spec().template.grace_s,
        Some(..0) => 1,
        Some(grace_s) => u32::try_from(grace_s).unwrap_or(u32::MAX),
    }
}

/// The pod as it was when it was deleted at `rv`; it may have gone since.
fn at_version(handle: &Handle, pod: &PodObject, rv: u64, grace_s: u32) -> PodObject {
    let (view, filter) = (handle.view(), Filter { job: Some(pod.record.job), ..Filter::default() });
    let cursor = view.watch_from(Topic::Pods, filter, rv.saturating_sub(1));
    let changes = cursor.and_then(|mut cursor| view.poll(&mut cursor, 1)).unwrap_or_default();
    match changes.into_iter().next().map(|change| change.object) {
        Some(crate::view::Object::Pod(found)) if found.record.rv == rv && found.mark.is_some() => found,
        // It had ended and went at once, or so much was written with it that the change is forgotten already.
        _ => {
            let mut deleted = pod.deleted_at(now(), grace_s);
            deleted.record.rv = rv;
            deleted
        }
    }
}
