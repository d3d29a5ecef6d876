//! Reading: one object, lists, watches; of every kind with the same rules.
//!
//! Owns selectors, pages, versions, the forms of an answer and the framing of lists and watches; must not know how an object
//! is rendered or how a row is made. Start with [`collection`] and [`object`], then `page.rs` and `watch.rs`; `kind.rs` has
//! what differs between the kinds. Invariant: a list is made of one version, and memory for it is bounded: it is rendered while it
//! is read.

mod accept;
mod fields;
mod item;
mod items;
mod kept;
mod kind;
mod labels;
mod options;
mod pace;
mod page;
#[cfg(test)]
mod tests;
mod token;
mod watch;

pub(super) use kind::{EVENTS, JOBS, Listed, NAMESPACES, NODES, PODS, PRIORITY_CLASSES};

use super::Status;
use super::nodes::Node;
use super::router::{Answered, Query, Served, get, json, rendered};
use super::table::Kind;
use crate::engine::{Handle, now};
use crate::model;
use crate::view::{Object, View};
use accept::{Form, Shape};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::MethodRouter;
use item::Item;
use kept::Kept;
use options::{Options, Version};
use pace::Pace;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How much of a body is rendered at a time, bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many watches are followed at a time; one more is refused with 429.
pub(super) const WATCHES_MAX: usize = 1024;

/// How long a version that is not there yet is waited for (kubernetes: `blockTimeout` of the watch cache).
const VERSION_WAIT: Duration = Duration::from_secs(3);

/// What readers share.
#[derive(Debug)]
pub(super) struct Reads {
    kept: Kept,
    watches: Arc<Semaphore>,
    node: Node,
    pace: Pace,
}

impl Default for Reads {
    fn default() -> Self {
        let watches = Arc::new(Semaphore::new(WATCHES_MAX));
        Self { kept: Kept::default(), watches, node: Node::default(), pace: Pace::new() }
    }
}

impl Reads {
    /// The node as it is now.
    pub(super) fn node(&self, handle: &Handle) -> Arc<serde_json::Value> {
        self.node.read(handle)
    }
}

#[cfg(test)]
impl Reads {
    /// Takes all places of watches but `left`.
    pub(super) fn leave_watches(&self, left: usize) {
        self.watches.forget_permits(self.watches.available_permits() - left);
    }
}

/// What a path names.
#[derive(Debug)]
pub(super) struct Target {
    namespace: Option<String>,
    name: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Status> {
        let names = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let mut target = Self { namespace: None, name: None };
        for (name, value) in names.map_err(|_| Status::unknown_resource())?.0 {
            match name.as_str() {
                "namespace" => target.namespace = Some(value),
                _ => target.name = Some(value),
            }
        }
        Ok(target)
    }
}

/// GET of a collection: a list or a watch.
pub(super) fn collection(kind: &'static Listed) -> MethodRouter<Served> {
    let handler = async move |State(served): State<Served>, target: Target, query: Query, headers: HeaderMap| {
        read_collection(&served, kind, target.namespace, &query, &headers).await
    };
    get(handler)
}

/// GET of one object.
pub(super) fn object(kind: &'static Listed) -> MethodRouter<Served> {
    let handler = async move |State(served): State<Served>, target: Target, query: Query, headers: HeaderMap| {
        read_object(&served, kind, &target, &query, &headers).await
    };
    get(handler)
}

async fn read_collection(
    served: &Served,
    kind: &'static Listed,
    namespace: Option<String>,
    query: &Query,
    headers: &HeaderMap,
) -> Answered {
    let is_watch = query.flag("watch").unwrap_or(false);
    let shape = if is_watch { Shape::One } else { Shape::List };
    let form = accept::form(headers, query, shape, || kind.go_type(!is_watch))?;
    let options = Options::read(query, kind)?;
    if let Version::NotOlderThan(rv) | Version::Exact(rv) = options.version {
        wait_for(served.handle.view(), rv).await?;
    }
    if options.is_watch {
        watch::start(served, kind, namespace.as_deref(), options, form)
    } else {
        page::start(served, kind, namespace, options, form).await
    }
}

async fn read_object(
    served: &Served,
    kind: &'static Listed,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Answered {
    let form = accept::form(headers, query, Shape::One, || kind.go_type(false))?;
    options::check_timeout(query)?;
    if let Some(text) = query.get("resourceVersion").filter(|text| !text.is_empty()) {
        wait_for(served.handle.view(), options::parse_version(text)?).await?;
    }
    let name = target.name.as_deref().unwrap_or_default();
    let item = find(served, kind, target.namespace.as_deref().unwrap_or_default(), name);
    let item = item.ok_or_else(|| Status::not_found(kind.resource, name))?;
    let body = rendered(|out| match form {
        Form::Whole | Form::Metadata(_) => item.render(form, now(), out),
        Form::Table(..) => page::push_table(&item, kind, form, true, now(), out),
    });
    Ok(json(StatusCode::OK, body, &[]))
}

fn find(served: &Served, kind: &Listed, namespace: &str, name: &str) -> Option<Item> {
    let view = served.handle.view();
    let object = match kind.kind {
        Kind::Job => Object::Job(view.job(namespace, name)?),
        Kind::Pod => Object::Pod(view.pod(namespace, name)?),
        Kind::Event => Object::Event(view.event(namespace, name)?),
        Kind::Namespace => Object::Plain(view.plain_named(model::Kind::Namespace, name)?),
        Kind::PriorityClass => Object::Plain(view.plain_named(model::Kind::PriorityClass, name)?),
        Kind::Node => {
            let node = served.reads.node.read(&served.handle);
            return (node["metadata"]["name"] == name).then_some(Item::Node(node));
        }
    };
    Some(Item::Object(object))
}

/// Waits a moment for a version that is not there yet.
async fn wait_for(view: &View, rv: u64) -> Result<(), Status> {
    match tokio::time::timeout(VERSION_WAIT, view.shown(rv)).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Status::too_large_version(rv, view.rv())),
    }
}
