//! Asking the router as a client does, with headers in and out.

use super::Api;
use crate::engine::Engine;
use crate::engine::testing::in_memory;
use crate::modules::Modules;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request};
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt as _;

/// What came back.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) text: String,
}

impl Answered {
    /// A header's text; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }
}

/// Runs `test` against the API of a fresh engine.
pub(super) fn with_api<F: Future<Output = ()>>(test: impl FnOnce(Api, Engine) -> F) {
    let engine = in_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let api = Api::new(engine.handle().clone(), Arc::new(Modules::open(None).expect("modules in memory")));
    runtime.block_on(test(api, engine));
}

/// The head of an answer, whatever becomes of its body.
pub(super) async fn head(api: &Api, method: &str, path: &str, headers: &[(HeaderName, &str)], body: &str) -> Answered {
    let (head, _) = send(api, method, path, headers, body).await.into_parts();
    Answered { status: head.status.as_u16(), headers: head.headers, text: String::new() }
}

/// An answer without a body in the request.
pub(super) async fn ask(api: &Api, method: &str, path: &str, headers: &[(HeaderName, &str)]) -> Answered {
    let (head, body) = send(api, method, path, headers, "").await.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    Answered { status: head.status.as_u16(), headers: head.headers, text }
}

async fn send(
    api: &Api,
    method: &str,
    path: &str,
    headers: &[(HeaderName, &str)],
    body: &str,
) -> axum::response::Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    api.router().oneshot(request).await.unwrap_or_else(|never| match never {})
}
