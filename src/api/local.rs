//! The router for callers in this process: no socket, the same answers.

use super::Status;
use super::router::{Served, router};
use super::warnings::warnings_of;
use crate::engine::Handle;
use crate::modules::Modules;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::response::IntoResponse as _;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// The API of an engine.
#[derive(Debug, Clone)]
pub struct Api {
    router: Router,
    /// True once the streams that would not end by themselves have to.
    shutdown: watch::Sender<bool>,
}

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// The body as it came.
    pub text: String,
    /// The body, if it is JSON.
    pub body: Value,
}

/// `text` as one segment of a path.
#[must_use]
pub fn path_segment(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

impl Api {
    /// The API of the engine behind `handle`, whose modules are `modules`.
    #[must_use]
    pub fn new(handle: Handle, modules: Arc<Modules>) -> Self {
        let served = Served::new(handle, modules);
        let shutdown = served.shutdown.clone();
        Self { router: router(served), shutdown }
    }

    /// The router itself, for a listener.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// What ends watches and logs that are followed.
    pub(super) fn shutdown(&self) -> watch::Sender<bool> {
        self.shutdown.clone()
    }

    /// GET `path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, String::new()).await
    }

    /// POST a JSON body to `path`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, body.to_string()).await
    }

    /// PUT a JSON body to `path`.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, body.to_string()).await
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        let response = match request.body(Body::from(body)) {
            Ok(request) => match self.router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Err(error) => Status::bad_request(format!("not a path: {error}")).into_response(),
        };
        let status = response.status().as_u16();
        let warnings = warnings_of(response.headers());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, warnings, text, body }
    }
}
