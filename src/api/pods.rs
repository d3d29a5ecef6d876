//! core/v1 Pods: read only; Jobs make them.

use super::router::{Answered, Engine, ListQuery, Names, json, list as list_of, rendered};
use super::{PODS, Status};
use crate::engine::Handle;
use crate::view::PodObject;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

pub(super) fn find(handle: &Handle, namespace: &str, name: &str) -> Result<PodObject, Status> {
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
