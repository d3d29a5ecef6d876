//! `/modules` over a whole engine with a scripted runtime: what is answered, what is kept, and what is not.

use super::receive;
use crate::api::Api;
use crate::engine::Engine;
use crate::engine::testing::in_memory;
use crate::modules::{Digest, ImageRef, MODULE_BYTES_MAX, Modules, UPLOADS_MAX, WHOLE_MAX};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use serde_json::{Value, json};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::ServiceExt as _;

const COMMAND: &str = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
    (memory 2 3) (func (export "_start")))"#;

struct World {
    engine: Engine,
    modules: Arc<Modules>,
    dir: tempfile::TempDir,
}

struct Sent {
    status: u16,
    body: Value,
    text: String,
}

type Frame = hyper::body::Frame<Bytes>;

/// A body that comes in pieces, and then ends, breaks or stalls.
struct Pieces {
    left: Vec<Bytes>,
    end: fn() -> Poll<Option<Result<Frame, std::io::Error>>>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame, std::io::Error>>> {
        match self.left.pop() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => (self.end)(),
        }
    }
}

/// So many bytes, one each millisecond.
struct Trickle(u32);

impl HttpBody for Trickle {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, std::io::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        if self.0.is_multiple_of(2) {
            self.0 -= 1;
            let waker = cx.waker().clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                waker.wake();
            });
            return Poll::Pending;
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

fn broken(left: Vec<Bytes>) -> Body {
    Body::new(Pieces { left, end: || Poll::Ready(Some(Err(std::io::Error::other("connection reset")))) })
}

fn stalled(left: Vec<Bytes>) -> Body {
    Body::new(Pieces { left, end: || Poll::Pending })
}

impl World {
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).expect("there").flatten();
        names.map(|entry| entry.file_name().into_string().expect("text")).collect()
    }

    async fn has_files(&self) {
        while self.files().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn api(&self) -> Api {
        Api::new(self.engine.handle().clone(), Arc::clone(&self.modules))
    }

    async fn send(&self, method: &str, path: &str, body: Body) -> Sent {
        let request = Request::builder().method(method).uri(path).body(body).expect("a request");
        let response = match self.api().router().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Sent { status, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    async fn put(&self, name: &str, bytes: Vec<u8>) -> Sent {
        self.send("PUT", &format!("/modules/{name}"), Body::from(bytes)).await
    }

    async fn get(&self, path: &str) -> Sent {
        self.send("GET", path, Body::empty()).await
    }

    async fn delete(&self, name: &str) -> Sent {
        self.send("DELETE", &format!("/modules/{name}"), Body::empty()).await
    }

    /// Creates a Job that never ends.
    async fn job(&self, name: &str, image: &str) {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": image, "args": ["wait"]}],
            }}},
        });
        let answer = self.api().post("/apis/batch/v1/namespaces/default/jobs", &job).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

fn with_world<F: Future<Output = World>>(test: impl FnOnce(World) -> F) {
    let dir = tempfile::tempdir().expect("a directory");
    let modules = Arc::new(Modules::open(Some(dir.path())).expect("empty"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let world = runtime.block_on(test(World { engine: in_memory(), modules, dir }));
    world.engine.stop();
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("good text")
}

fn file_of(bytes: &[u8]) -> String {
    format!("{}.wasm", Digest::of(bytes).hex())
}

#[test]
fn a_module_is_uploaded_described_listed_and_removed() {
    with_world(async |world| {
        let bytes = wasm(COMMAND);
        let digest = Digest::of(&bytes).to_string();
        for (name, code) in [("team/app", 201), ("team/app:latest", 200), ("team/app:v2", 201)] {
            let sent = world.put(name, bytes.clone()).await;
            assert_eq!(sent.status, code, "{name}: {}", sent.text);
            assert_eq!(sent.body["name"], "team/app");
            assert!(sent.body["compileMillis"].is_u64(), "{}", sent.text);
            assert_eq!(sent.body["cached"], false);
        }
        let mut expected = json!({
            "name": "team/app", "tag": "v2", "digest": digest, "size": bytes.len(), "kind": "command", "builtin": false,
            "inUse": false, "importCount": 1, "exportCount": 1, "languages": [], "lineTables": false,
            "imports": [{"module": "wasi_snapshot_preview1", "name": "proc_exit", "type": "(func (param i32))"}],
            "memories": [{"minBytes": 131_072, "maxBytes": 196_608}],
        });
        assert_eq!(world.get("/modules/team/app:v2").await.body, expected);
        assert_eq!(world.get("/modules/team%2Fapp%3Av2").await.body, expected);
        expected.as_object_mut().expect("an object").retain(|key, _| key != "name" && key != "tag");
        assert_eq!(world.get(&format!("/modules/x@{digest}")).await.body, expected);
        for path in ["/modules", "/modules/"] {
            let list = world.get(path).await.body;
            let tags: Vec<&str> =
                list["items"].as_array().expect("items").iter().filter_map(|i| i["tag"].as_str()).collect();
            assert_eq!(tags.len(), 11, "two and nine built-in ones: {list}");
            assert_eq!(list["items"][2]["builtin"], true);
        }
        assert_eq!(world.get("/modules/coracle/hello").await.body["builtin"], true);
        assert_eq!(world.delete("team/app:v2").await.body["details"]["moduleRemoved"], false);
        assert_eq!(world.files().len(), 2);
        let removed = world.delete("team/app").await;
        assert_eq!(
            (removed.status, &removed.body["details"]["moduleRemoved"]),
            (200, &json!(true)),
            "{}",
            removed.text
        );
        assert_eq!(world.files(), ["names.json"]);
        assert_eq!(world.get("/modules/team/app").await.status, 404);
        assert_eq!(world.delete("team/app").await.status, 404);
        world
    });
}

#[test]
fn what_cannot_run_is_refused_with_every_reason_and_leaves_nothing() {
    with_world(async |world| {
        let reactor = wasm(r#"(module (import "env" "host_log" (func)) (func (export "_initialize")))"#);
        let cases: [(&str, Vec<u8>, u16, &[&str]); 9] = [
            ("app", b"hello".to_vec(), 422, &["`app:latest` is not WebAssembly: it does not begin with"]),
            ("app", Vec::new(), 422, &["`app:latest` is not WebAssembly: the file is empty"]),
            ("app", b"\0asm\x01\0\0\0\x01\x05".to_vec(), 422, &["`app:latest` is not valid WebAssembly"]),
            (
                "app:v1",
                reactor,
                422,
                &[
                    "`app:v1` has no entry point: it is a reactor",
                    "\n  = help: build a program",
                    "`app:v1` needs 1 import that this server does not offer\n    env.host_log",
                ],
            ),
            ("app", wasm("(component)"), 422, &["is a component"]),
            ("refused", wasm(COMMAND), 422, &["`refused:latest` cannot be linked: scripted"]),
            ("App", wasm(COMMAND), 400, &["couldn't parse image name `App`: repository name must be lowercase"]),
            ("coracle/app", wasm(COMMAND), 403, &["belong to the built-in modules"]),
            (&format!("app@{}", Digest::of(b"x")), wasm(COMMAND), 422, &["the module has sha256:", ", not sha256:"]),
        ];
        for (name, bytes, code, texts) in cases {
            let sent = world.put(name, bytes).await;
            assert_eq!((sent.status, &sent.body["kind"]), (code, &json!("Status")), "{name}: {}", sent.text);
            let message = sent.body["message"].as_str().unwrap_or_default();
            texts.iter().for_each(|text| assert!(message.contains(text), "{name}: {text:?} is not in {message:?}"));
            assert_eq!(world.files(), Vec::<String>::new(), "{name}");
            assert_eq!(world.modules.list().len(), 9, "{name}");
        }
        let reactor = wasm(r#"(module (import "env" "host_log" (func)))"#);
        let causes = world.put("app", reactor).await.body["details"]["causes"].clone();
        assert_eq!(causes.as_array().map(Vec::len), Some(2), "{causes}");
        world
    });
}

#[test]
fn a_body_that_breaks_or_stalls_leaves_nothing() {
    with_world(async |world| {
        let half = Bytes::from(wasm(COMMAND)).slice(..20);
        let sent = world.send("PUT", "/modules/app", broken(vec![half.clone()])).await;
        assert_eq!(sent.status, 400, "{}", sent.text);
        assert!(sent.text.contains("the body ended early"), "{}", sent.text);
        let image = ImageRef::parse("app").expect("a name");
        let upload = world.modules.begin(&image).expect("a place");
        let stall =
            receive(upload, &mut stalled(vec![half]), Duration::from_millis(1)).await.expect_err("nothing comes");
        assert!(stall.message.starts_with("no bytes came for"), "{stall}");
        assert_eq!(world.files(), Vec::<String>::new());
        world
    });
}

#[test]
fn an_upload_that_trickles_ends() {
    with_world(async |world| {
        let image = ImageRef::parse("app").expect("a name");
        let upload = world.modules.begin(&image).expect("a place");
        let slow = receive(upload, &mut Body::new(Trickle(1000)), Duration::from_millis(20)).await;
        let slow = slow.expect_err("a byte each millisecond is too slow");
        assert!(slow.message.contains("fewer than 32 KiB a second"), "{slow}");
        assert_eq!(world.files(), Vec::<String>::new());
        world
    });
}

#[test]
fn compilations_hold_up_no_description() {
    with_world(async |world| {
        assert_eq!(world.put("app", wasm(COMMAND)).await.status, 201);
        let mut rooms = Vec::new();
        for _ in 0..WHOLE_MAX {
            rooms.push(world.modules.room().await);
        }
        let described = tokio::time::timeout(Duration::from_secs(60), world.get("/modules/app")).await;
        assert_eq!(described.expect("it waits for nobody").status, 200);
        drop(rooms);
        world
    });
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing_and_gives_its_place_back() {
    with_world(async |world| {
        for _ in 0..=UPLOADS_MAX {
            let half = Bytes::from(wasm(COMMAND)).slice(..20);
            let sent = world.send("PUT", "/modules/app", stalled(vec![half]));
            tokio::select! {
                biased;
                sent = sent => panic!("answered: {}", sent.text),
                () = world.has_files() => {}
            }
            // The writer ends on its own thread.
            while !world.files().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(world.put("app", wasm(COMMAND)).await.status, 201);
        world
    });
}

/// A program of exactly so many bytes.
fn of_size(bytes: usize) -> Vec<u8> {
    let mut module = wasm(COMMAND);
    // A custom section: id, size in five bytes, and a name of no bytes.
    let content = bytes - module.len() - 6;
    let mut size = content;
    module.push(0);
    for n in 0..5 {
        module.push(u8::try_from(size & 0x7f).expect("seven bits") | if n < 4 { 0x80 } else { 0 });
        size >>= 7;
    }
    module.resize(bytes, 0);
    module
}

#[test]
fn a_module_of_the_largest_size_is_taken_and_one_byte_more_is_refused() {
    with_world(async |world| {
        let bytes = of_size(MODULE_BYTES_MAX);
        let sent = world.put("app", bytes.clone()).await;
        assert_eq!((sent.status, &sent.body["size"]), (201, &json!(MODULE_BYTES_MAX)), "{}", sent.text);
        let piece = Bytes::from(bytes);
        let whole = vec![Bytes::from_static(b"\0"), piece.slice(1..), piece.slice(..1)];
        let streamed = world.send("PUT", "/modules/big", broken(whole)).await;
        assert_eq!(streamed.status, 413, "refused before the body ends: {}", streamed.text);
        let request = Request::builder().method("PUT").uri("/modules/big");
        let request =
            request.header("content-length", MODULE_BYTES_MAX + 1).body(stalled(Vec::new())).expect("a request");
        let response = world.api().router().oneshot(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), 413, "refused by its length");
        assert!(world.get("/modules/big").await.status == 404 && world.files().len() == 2);
        world
    });
}

#[test]
fn uploads_beyond_the_limit_are_told_to_come_back() {
    with_world(async |world| {
        let image = ImageRef::parse("app").expect("a name");
        let uploads: Vec<_> = (0..UPLOADS_MAX).map(|_| world.modules.begin(&image).expect("a place")).collect();
        let sent = world.put("app", wasm(COMMAND)).await;
        assert_eq!((sent.status, &sent.body["details"]["retryAfterSeconds"]), (429, &json!(1)), "{}", sent.text);
        drop(uploads);
        assert_eq!(world.put("app", wasm(COMMAND)).await.status, 201);
        world
    });
}

#[test]
fn a_module_that_a_job_uses_stays_until_the_job_has_ended() {
    with_world(async |world| {
        let bytes = wasm(COMMAND);
        let digest = Digest::of(&bytes);
        for name in ["app", "app:v2", "by"] {
            assert_eq!(world.put(name, bytes.clone()).await.status, 201);
        }
        world.job("by-name", "app").await;
        let kept = world.delete("app:latest").await;
        assert_eq!((kept.status, &kept.body["reason"]), (409, &json!("Conflict")));
        assert!(kept.text.contains("`app` is in use: Job default/by-name has not ended"), "{}", kept.text);
        assert_eq!(world.get("/modules/app").await.body["inUse"], true);
        assert_eq!(world.get("/modules/app:v2").await.body["inUse"], false);
        assert_eq!(world.delete(&format!("x@{digest}")).await.status, 409);
        assert_eq!(world.delete("app:v2").await.status, 200, "nobody uses this name");
        world.job("by-digest", &format!("any@{digest}")).await;
        assert_eq!(world.delete("by").await.status, 200, "the module has another name");
        assert_eq!(world.delete("app").await.status, 409);
        assert!(world.files().contains(&file_of(&bytes)));
        world
    });
}

#[test]
fn built_in_modules_stay_and_other_verbs_are_refused() {
    with_world(async |world| {
        let builtin = world.modules.resolve("coracle/hello").expect("built in");
        for name in ["coracle/hello".to_owned(), format!("x@{builtin}")] {
            let sent = world.delete(&name).await;
            assert_eq!(sent.status, 403, "{name}: {}", sent.text);
            assert!(sent.text.contains("is built in and stays"), "{}", sent.text);
        }
        assert_eq!(world.send("PATCH", "/modules/app", Body::empty()).await.status, 405);
        assert_eq!(world.send("PUT", "/modules", Body::empty()).await.status, 405);
        let unknown = world.get("/modules/helo").await;
        assert_eq!((unknown.status, &unknown.body["reason"]), (404, &json!("NotFound")));
        assert!(unknown.text.contains("no module `helo:latest` here"), "{}", unknown.text);
        world
    });
}

#[test]
fn a_damaged_file_is_mended_by_the_same_upload() {
    with_world(async |world| {
        let bytes = wasm(COMMAND);
        world.put("app", bytes.clone()).await;
        std::fs::write(Path::new(world.dir.path()).join(file_of(&bytes)), "damaged").expect("ours");
        assert_eq!(world.get("/modules/app").await.status, 500);
        assert_eq!(world.put("app", bytes.clone()).await.status, 200);
        assert_eq!(world.get("/modules/app").await.status, 200);
        world
    });
}
