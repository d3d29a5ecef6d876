//! Paths and verbs.
//!
//! Knows how a request becomes a handler's arguments and how an answer becomes HTTP. The same router serves sockets and,
//! through [`Api`](super::Api), callers in this process.

use super::{Status, about, decode, discovery, events, jobs, log, namespaces, openapi, pods};
use crate::engine::Handle;
use crate::modules::Modules;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What handlers work on.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) handle: Handle,
    pub(super) modules: Arc<Modules>,
}

impl FromRef<Served> for Handle {
    fn from_ref(served: &Served) -> Self {
        served.handle.clone()
    }
}

impl FromRef<Served> for Arc<Modules> {
    fn from_ref(served: &Served) -> Self {
        Self::clone(&served.modules)
    }
}

/// Everything that is served.
pub(super) fn router(served: Served) -> Router {
    Router::new()
        .route("/apis/batch/v1/jobs", get(jobs::list_all))
        .route("/apis/batch/v1/namespaces/{namespace}/jobs", get(jobs::list).post(jobs::create))
        .route("/apis/batch/v1/namespaces/{namespace}/jobs/{name}", get(jobs::read).put(jobs::update))
        .route("/api/v1/pods", get(pods::list_all))
        .route("/api/v1/namespaces/{namespace}/pods", get(pods::list))
        .route("/api/v1/namespaces/{namespace}/pods/{name}", get(pods::read))
        .route("/api/v1/namespaces/{namespace}/pods/{name}/log", get(log::log))
        .route("/api/v1/namespaces/{namespace}/events", get(events::list))
        .route("/api/v1/namespaces", get(namespaces::list).post(namespaces::create))
        .route("/api/v1/namespaces/{name}", get(namespaces::read))
        .route_layer(axum::middleware::from_fn(about::refuse_head))
        .merge(about::routes())
        .merge(discovery::routes())
        .merge(openapi::routes())
        .method_not_allowed_fallback(async || Status::method_not_allowed())
        .fallback(about::nothing)
        .with_state(served)
}

/// What handlers return.
pub(super) type Answered = Result<Response, Status>;

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Status holds texts and numbers only, so it always becomes JSON.
        json(code, serde_json::to_string(&self).unwrap_or_default(), &[])
    }
}

/// An answer with a JSON body and `Warning` headers (kubernetes: `299 - "<text>"`).
pub(super) fn json(code: StatusCode, body: String, warnings: &[String]) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for warning in warnings {
        let text: String =
            warning.chars().flat_map(|c| (c == '"' || c == '\\').then_some('\\').into_iter().chain([c])).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    response
}

/// The parts of a path, percent-decoded.
pub(super) struct Names<const N: usize>(pub(super) [String; N]);

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for Names<N> {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Status> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let names: Vec<String> =
            path.map_err(|_| Status::unknown_resource())?.0.into_iter().map(|(_, name)| name).collect();
        names.try_into().map(Self).map_err(|_| Status::unknown_resource())
    }
}

/// The parameters of a query; of a repeated one, the first.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Status> {
        let query = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let pairs = query.map_err(|error| Status::bad_request(error.body_text()))?.0;
        Ok(Self(pairs.into_iter().rev().collect()))
    }
}

impl Query {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Refuses what would change the answer and is not offered, rather than leaving it out in silence.
    pub(super) fn refuse(&self, names: &[&str]) -> Result<(), Status> {
        match names.iter().find(|name| self.get(name).is_some_and(|value| !value.is_empty())) {
            Some(name) => Err(Status::bad_request(format!("{name} is not offered by this version of Coracle"))),
            None => Ok(()),
        }
    }
}

/// What would make a list another one.
const LIST_PARAMETERS: [&str; 7] =
    ["labelSelector", "fieldSelector", "limit", "continue", "watch", "resourceVersionMatch", "sendInitialEvents"];

/// The query of a list.
pub(super) struct ListQuery;

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Status> {
        Query::from_request_parts(parts, state).await?.refuse(&LIST_PARAMETERS)?;
        Ok(Self)
    }
}

/// A request body and its type.
pub(super) struct Sent {
    pub(super) bytes: Bytes,
    content_type: Option<String>,
}

impl Sent {
    pub(super) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Status;

    async fn from_request(request: Request, _: &S) -> Result<Self, Status> {
        let content_type = content_type(request.headers());
        let bytes = axum::body::to_bytes(request.into_body(), decode::BODY_BYTES_MAX).await;
        Ok(Self { bytes: bytes.map_err(|_| Status::too_large(decode::BODY_BYTES_MAX))?, content_type })
    }
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What `render` appends, as a text of its own.
pub(super) fn rendered(render: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    render(&mut text);
    text
}

/// A list's body around its items, each appended by `render` (kubernetes: `metav1.List`).
pub(super) fn list<T>(
    kind: &str,
    api_version: &str,
    rv: u64,
    items: impl IntoIterator<Item = T>,
    render: impl Fn(&T, &mut String),
) -> Response {
    let mut body =
        format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{rv}"}},"items":["#);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        render(&item, &mut body);
    }
    body.push_str("]}");
    json(StatusCode::OK, body, &[])
}

/// The engine that a handler speaks to.
pub(super) type Engine = State<Handle>;
