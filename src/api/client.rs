//! The router with every part of a request and of an answer in the test's hands.

use super::path_segment;
use super::router::{Query, Served, router};
use crate::engine::Engine;
use crate::engine::testing::in_memory;
use crate::modules::Modules;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, Request, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt as _;

pub(super) const JOBS_PATH: &str = "/apis/batch/v1/namespaces/default/jobs";
pub(super) const PODS_PATH: &str = "/api/v1/namespaces/default/pods";
pub(super) const JSON: &str = "application/json";
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A whole engine in memory behind the router.
pub(super) struct Server {
    pub(super) engine: Engine,
    pub(super) shutdown: watch::Sender<bool>,
    router: Router,
}

/// Headers of a request.
type Headers<'a> = &'a [(HeaderName, &'a str)];

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// A header's text; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Runs `test` against a fresh server.
pub(super) fn with_server<F: Future<Output = Server>>(test: impl FnOnce(Server) -> F) {
    with_engine(in_memory(), test);
}

/// Runs `test` against a server over this engine.
pub(super) fn with_engine<F: Future<Output = Server>>(engine: Engine, test: impl FnOnce(Server) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let modules = Arc::new(Modules::open(None).expect("modules in memory"));
    let served = Served::new(engine.handle().clone(), modules);
    let shutdown = served.shutdown.clone();
    let server = runtime.block_on(test(Server { engine, shutdown, router: router(served) }));
    server.engine.stop();
}

impl Server {
    /// The answer as it comes, body unread.
    pub(super) async fn open(&self, method: &str, path: &str, content_type: &str, body: impl Into<Bytes>) -> Response {
        let content_type = (header::CONTENT_TYPE, content_type);
        let headers = if content_type.1.is_empty() { &[][..] } else { &[content_type] };
        self.open_with(method, path, headers, body).await
    }

    async fn open_with(&self, method: &str, path: &str, headers: Headers<'_>, body: impl Into<Bytes>) -> Response {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let request = request.body(Body::from(body.into())).expect("a request");
        self.router.clone().oneshot(request).await.expect("the router answers")
    }

    pub(super) async fn send(&self, method: &str, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        read(self.open(method, path, content_type, body).await).await
    }

    /// An answer to a request without a body.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: Headers<'_>) -> Answer {
        read(self.open_with(method, path, headers, "").await).await
    }

    /// The status of an answer, whatever becomes of its body.
    pub(super) async fn status(&self, method: &str, path: &str, headers: Headers<'_>, body: &'static str) -> u16 {
        self.open_with(method, path, headers, body).await.status().as_u16()
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, JSON, body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, JSON, body.to_string()).await
    }

    pub(super) async fn patch(&self, path: &str, patch: &Value) -> Answer {
        self.send("PATCH", path, MERGE_PATCH, patch.to_string()).await
    }

    /// Looks at `path` after every change until `test` holds.
    pub(super) async fn wait_for(&self, path: &str, test: impl Fn(&Value) -> bool) -> Value {
        let view = self.engine.handle().view();
        loop {
            let rv = view.rv();
            let answer = self.get(path).await;
            if test(&answer.body) {
                return answer.body;
            }
            view.shown(rv + 1).await;
        }
    }
}

async fn read(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status: head.status.as_u16(), headers: head.headers, text, body }
}

/// A query of these parameters.
pub(super) fn query(pairs: &[(&str, &str)]) -> Query {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", path_segment(value))).collect();
    Query::of(&pairs.join("&"))
}

/// A Job whose pods get `word` as their only argument.
pub(super) fn job(name: &str, word: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i", "args": [word]}],
        }}},
    })
}

/// Whether the Job has a condition of the type.
pub(super) fn has_condition(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |job| {
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == kind))
    }
}
