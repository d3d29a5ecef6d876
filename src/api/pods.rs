//! core/v1 Pods: read only; Jobs make them.

use super::router::{Answered, Engine, ListQuery, Names, Query, json, list as list_of, rendered};
use super::{PODS, Status};
use crate::engine::Handle;
use crate::model::PodRecord;
use crate::view::PodObject;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

fn find(handle: &Handle, namespace: &str, name: &str) -> Result<PodObject, Status> {
    handle.view().pod(namespace, name).ok_or_else(|| Status::not_found(PODS, name))
}

pub(super) async fn read(State(handle): Engine, Names([namespace, name]): Names<2>) -> Answered {
    let pod = find(&handle, &namespace, &name)?;
    Ok(json(StatusCode::OK, rendered(|text| pod.render(text)), &[]))
}

pub(super) async fn list(State(handle): Engine, Names([namespace]): Names<1>, _: ListQuery) -> Response {
    listed(&handle, Some(&namespace))
}

pub(super) async fn list_all(State(handle): Engine, _: ListQuery) -> Response {
    listed(&handle, None)
}

fn listed(handle: &Handle, namespace: Option<&str>) -> Response {
    let (rv, pods) = handle.view().pods(namespace, None);
    list_of("PodList", "v1", rv, pods.iter(), PodObject::render)
}

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
