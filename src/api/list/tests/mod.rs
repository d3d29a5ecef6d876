//! Reading through the router, over a whole engine with a scripted runtime.

mod forms;
mod lists;
mod watches;

use crate::api::router::{Served, router};
use crate::engine::Engine;
use crate::engine::testing::in_memory;
use crate::modules::Modules;
use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tower::ServiceExt as _;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A served engine.
pub(super) struct Server {
    pub(super) engine: Engine,
    pub(super) served: Served,
}

/// Runs `test` against a fresh engine.
pub(super) fn with_server(test: impl AsyncFnOnce(&Server)) {
    with_engine(in_memory(), test);
}

fn with_engine(engine: Engine, test: impl AsyncFnOnce(&Server)) {
    let modules = Arc::new(Modules::open(None).expect("modules in memory"));
    let served = Served::new(engine.handle().clone(), modules);
    let server = Server { engine, served };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test(&server));
    server.engine.stop();
}

impl Server {
    async fn send(&self, method: Method, path: &str, accept: &str, body: String) -> Response {
        let request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
        let Ok(response) = router(self.served.clone()).oneshot(request.expect("a request")).await;
        response
    }

    async fn get_as(&self, path: &str, accept: &str) -> (u16, Value) {
        let response = self.send(Method::GET, path, accept, String::new()).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.get_as(path, "application/json").await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Message and code of a refusal.
    async fn refused(&self, path: &str) -> (u64, String) {
        let (_, body) = self.get_as(path, "application/json").await;
        assert_eq!(body["kind"], "Status", "{path}: {body}");
        (body["code"].as_u64().unwrap_or(0), body["message"].as_str().unwrap_or_default().to_owned())
    }

    async fn write(&self, method: Method, path: &str, body: &Value) -> Value {
        let response = self.send(method, path, "application/json", body.to_string()).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(status < 300, "{path}: {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).expect("JSON")
    }

    async fn create(&self, job: &Value) -> Value {
        self.write(Method::POST, JOBS, job).await
    }

    /// Creates Jobs that run no pods, and waits until nothing happens to them any more.
    async fn create_paused(&self, names: &[&str]) {
        for name in names {
            self.create(&job(name, "0", 0)).await;
        }
        for name in names {
            self.wait_for(&format!("{JOBS}/{name}"), |job| !job["status"]["startTime"].is_null()).await;
        }
    }

    async fn wait_for(&self, path: &str, test: impl Fn(&Value) -> bool) -> Value {
        loop {
            let rv = self.engine.handle().view().rv();
            let body = self.get(path).await;
            if test(&body) {
                return body;
            }
            self.engine.handle().view().shown(rv + 1).await;
        }
    }

    async fn watch_as(&self, path: &str, accept: &str) -> Lines {
        let response = self.send(Method::GET, path, accept, String::new()).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        Lines { body: response.into_body(), text: String::new() }
    }

    async fn watch(&self, path: &str) -> Lines {
        self.watch_as(path, "application/json").await
    }
}

/// The lines of a watch.
struct Lines {
    body: Body,
    text: String,
}

impl Lines {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let event = serde_json::from_str(line).expect("a line is JSON");
                self.text = rest.to_owned();
                return Some(event);
            }
            let Some(frame) = self.body.frame().await else {
                assert_eq!(self.text, "", "a line is whole");
                return None;
            };
            let bytes = frame.expect("a chunk").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    /// Type and name of the next event.
    async fn told(&mut self) -> (String, String) {
        told(&self.next().await.expect("an event"))
    }

    /// The next event that passes `test`.
    async fn find(&mut self, test: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().await.expect("an event");
            if test(&event) {
                return event;
            }
        }
    }
}

fn told(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

/// A Job whose pods get `word`; without parallelism it waits for being changed.
fn job(name: &str, word: &str, parallelism: u32) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"backoffLimit": 0, "parallelism": parallelism, "completions": 9, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i", "args": [word]}],
        }}},
    })
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

fn rv(value: &Value) -> &str {
    value["metadata"]["resourceVersion"].as_str().expect("a version")
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A body that a kube-apiserver v1.36.2 sent.
fn golden(name: &str) -> Value {
    serde_json::from_str(&golden_text(name, "json")).expect("a golden is JSON")
}

/// The events that it sent.
fn golden_events(name: &str) -> Vec<Value> {
    golden_text(name, "ndjson").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn golden_text(name: &str, extension: &str) -> String {
    let path = format!("{}/tests/goldens/{name}.{extension}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).expect(&path)
}
