//! `pods/log`: what a pod has written.

use super::Status;
use super::pods::find;
use super::router::{Answered, Engine, Names, Query};
use crate::model::PodRecord;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

/// The output of a pod so far, stdout and stderr in the order in which they were written.
pub(super) async fn log(State(handle): Engine, Names([namespace, name]): Names<2>, query: Query) -> Answered {
    query.refuse(&["follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes"])?;
    let pod = find(&handle, &namespace, &name)?;
    let container = &pod.job.spec().template.container;
    if let Some(other) = query.get("container").filter(|other| !other.is_empty() && other != container) {
        return Err(Status::bad_request(format!("container {other} is not valid for pod {name}")));
    }
    if !pod.record.has(PodRecord::STARTED) && !pod.record.is_terminal() {
        let reason = match pod.record.reason.as_str() {
            "" => "ContainerCreating",
            reason => reason,
        };
        let message = format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}");
        return Err(Status::bad_request(message));
    }
    let live = handle.logs().live(pod.record.job, pod.record.ordinal);
    let extent = live.filter(|_| !pod.record.is_terminal()).unwrap_or(pod.record.log);
    let entries = handle.logs().read(extent).map_err(|error| Status::internal(&error))?;
    let body: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes.iter().copied()).collect();
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
