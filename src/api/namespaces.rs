//! core/v1 Namespaces: read and listed. `write` creates and changes them.

use super::router::{Answered, Engine, ListQuery, Names, json, list as list_of, rendered};
use super::{NAMESPACES, Status};
use crate::view::NamespaceObject;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

pub(super) async fn read(State(handle): Engine, Names([name]): Names<1>) -> Answered {
    let namespace = handle.view().namespace(&name).ok_or_else(|| Status::not_found(NAMESPACES, &name))?;
    Ok(json(StatusCode::OK, rendered(|text| namespace.render(text)), &[]))
}

pub(super) async fn list(State(handle): Engine, _: ListQuery) -> Response {
    let (rv, namespaces) = handle.view().namespaces();
    list_of("NamespaceList", "v1", rv, namespaces, NamespaceObject::render)
}
