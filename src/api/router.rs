//! Paths and verbs.
//!
//! Knows how a request becomes a handler's arguments and how an answer becomes HTTP. The same router serves sockets and,
//! through [`Api`](super::Api), callers in this process.

use super::list::{self, Reads, collection, object};
use super::warnings::Warnings;
use super::{Status, about, decode, discovery, log, modules, openapi, write};
use crate::engine::Handle;
use crate::modules::Modules;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http_body_util::LengthLimitError;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What handlers work on.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) handle: Handle,
    pub(super) modules: Arc<Modules>,
    /// What lists and watches share.
    pub(super) reads: Arc<Reads>,
    /// True once the server stops: the streams that would not end by themselves have to.
    pub(super) shutdown: watch::Sender<bool>,
    /// Places for clients that follow a log.
    pub(super) followers: log::Followers,
}

impl Served {
    pub(super) fn new(handle: Handle, modules: Arc<Modules>) -> Self {
        Self {
            handle,
            modules,
            reads: Arc::default(),
            shutdown: watch::Sender::new(false),
            followers: log::Followers::default(),
        }
    }
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

impl FromRef<Served> for log::Followers {
    fn from_ref(served: &Served) -> Self {
        served.followers.clone()
    }
}

impl FromRef<Served> for watch::Sender<bool> {
    fn from_ref(served: &Served) -> Self {
        served.shutdown.clone()
    }
}

/// Everything that is served.
pub(super) fn router(served: Served) -> Router {
    Router::new()
        .route("/apis/batch/v1/jobs", collection(&list::JOBS))
        .route("/apis/batch/v1/namespaces/{namespace}/jobs", collection(&list::JOBS).post(write::create_job))
        .route(
            "/apis/batch/v1/namespaces/{namespace}/jobs/{name}",
            object(&list::JOBS).put(write::update_job).patch(write::patch_job).delete(write::delete_job),
        )
        .route("/apis/batch/v1/namespaces/{namespace}/jobs/{name}/status", object(&list::JOBS))
        .route("/apis/batch/v1/namespaces/{namespace}/jobs/{name}/rerun", post(write::rerun_job))
        .route("/api/v1/pods", collection(&list::PODS))
        .route("/api/v1/namespaces/{namespace}/pods", collection(&list::PODS))
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}",
            object(&list::PODS).put(write::update_pod).patch(write::patch_pod).delete(write::delete_pod),
        )
        .route("/api/v1/namespaces/{namespace}/pods/{name}/eviction", post(write::evict_pod))
        .route("/api/v1/namespaces/{namespace}/pods/{name}/status", object(&list::PODS))
        .route("/api/v1/namespaces/{namespace}/pods/{name}/log", get(log::log))
        .route("/modules", get(modules::list))
        .route("/modules/", get(modules::list))
        .route(
            "/modules/{*name}",
            get(modules::read).put(modules::upload).post(modules::upload).delete(modules::remove),
        )
        .route("/api/v1/events", collection(&list::EVENTS))
        .route("/api/v1/namespaces/{namespace}/events", collection(&list::EVENTS))
        .route("/api/v1/namespaces/{namespace}/events/{name}", object(&list::EVENTS))
        .route("/api/v1/namespaces", collection(&list::NAMESPACES).post(write::create_plain::<Namespace>))
        .route(
            "/api/v1/namespaces/{name}",
            object(&list::NAMESPACES).put(write::update_plain::<Namespace>).patch(write::patch_plain::<Namespace>),
        )
        .route(
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            collection(&list::PRIORITY_CLASSES).post(write::create_plain::<PriorityClass>),
        )
        .route(
            "/apis/scheduling.k8s.io/v1/priorityclasses/{name}",
            object(&list::PRIORITY_CLASSES)
                .put(write::update_plain::<PriorityClass>)
                .patch(write::patch_plain::<PriorityClass>)
                .delete(write::delete_plain::<PriorityClass>),
        )
        .route("/api/v1/nodes", collection(&list::NODES))
        .route("/api/v1/nodes/{name}", object(&list::NODES).patch(write::patch_node))
        .merge(about::routes())
        .merge(discovery::routes())
        .merge(openapi::routes())
        .method_not_allowed_fallback(async || Status::method_not_allowed())
        .fallback(about::nothing)
        .with_state(served)
}

/// GET without HEAD, which axum would answer like it; Kubernetes has no such verb.
pub(super) fn get<H: Handler<T, Served>, T: 'static>(handler: H) -> MethodRouter<Served> {
    axum::routing::get(handler).head(async || Status::method_not_allowed())
}

/// What handlers return.
pub(super) type Answered = Result<Response, Status>;

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Status holds texts and numbers only, so it always becomes JSON.
        let mut response = json(code, serde_json::to_string(&self).unwrap_or_default(), &[]);
        if let Some(seconds) = self.details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An answer with a JSON body and `Warning` headers.
pub(super) fn json(code: StatusCode, body: String, warnings: &[String]) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    warnings.iter().map(String::as_str).collect::<Warnings>().write(headers);
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
    /// The query of a path, without its `?`.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        let uri: axum::http::Uri = format!("/?{text}").parse().expect("a query");
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).expect("pairs").0;
        Self(pairs.into_iter().rev().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is a switch: whatever is not `0` or `false` is true, the empty text too (kubernetes:
    /// `Convert_Slice_string_To_bool`).
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
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
        let bytes = read_body(request.into_body(), decode::BODY_BYTES_MAX).await?;
        Ok(Self { bytes, content_type })
    }
}

/// A whole body of at the most `bytes_max`; one that is announced as larger is not waited for.
async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Status> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(Status::too_large(bytes_max));
    }
    axum::body::to_bytes(body, bytes_max).await.map_err(|error| {
        let is_too_large = std::error::Error::source(&error).is_some_and(|source| source.is::<LengthLimitError>());
        if is_too_large {
            Status::too_large(bytes_max)
        } else {
            Status::bad_request(format!("the body cannot be read: {error}"))
        }
    })
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

/// The engine that a handler speaks to.
pub(super) type Engine = State<Handle>;
