//! core/v1 Events: read only; the controller makes them.

use super::router::{Engine, ListQuery, Names, list as list_of};
use crate::view::EventObject;
use axum::extract::State;
use axum::response::Response;

pub(super) async fn list(State(handle): Engine, Names([namespace]): Names<1>, _: ListQuery) -> Response {
    let (rv, events) = handle.view().events(Some(&namespace));
    list_of("EventList", "v1", rv, events, EventObject::render)
}
