//! batch/v1 Jobs: read and listed. `write` creates and changes them.

use super::router::{Answered, Engine, ListQuery, Names, json, list as list_of, rendered};
use super::{JOBS, Status};
use crate::engine::Handle;
use crate::view::JobObject;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

pub(super) async fn read(State(handle): Engine, Names([namespace, name]): Names<2>) -> Answered {
    let job = handle.view().job(&namespace, &name).ok_or_else(|| Status::not_found(JOBS, &name))?;
    Ok(json(StatusCode::OK, rendered(|text| job.render(text)), &[]))
}

pub(super) async fn list(State(handle): Engine, Names([namespace]): Names<1>, _: ListQuery) -> Response {
    listed(&handle, Some(&namespace))
}

pub(super) async fn list_all(State(handle): Engine, _: ListQuery) -> Response {
    listed(&handle, None)
}

fn listed(handle: &Handle, namespace: Option<&str>) -> Response {
    let (rv, jobs) = handle.view().jobs(namespace);
    list_of("JobList", "batch/v1", rv, jobs, JobObject::render)
}
