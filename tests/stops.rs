//! Guests that never end by themselves end when they are told to: one that computes, and one that sleeps in the host.
//!
//! How long it took is printed, not asserted: `cargo test stops -- --nocapture`.

#![expect(clippy::print_stderr, reason = "the latencies are for whoever asks for them")]

use coracle::api::Api;
use coracle::engine::{Engine, EngineConfig};
use coracle::modules::Modules;
use coracle::sandbox::{Sandbox, SandboxConfig};
use coracle::store::Sqlite;
use coracle::view::{ChangeKind, Filter, Object, Topic};
use serde_json::json;
use std::sync::Arc;

/// Both workers have several guests to stop.
const PODS: u32 = 6;

fn engine() -> Engine {
    let modules = Arc::new(Modules::open(None).expect("modules"));
    let config = SandboxConfig { cache_dir: None, memory_bytes_default: 64 << 20, slots: 64 };
    let sandbox = Arc::new(Sandbox::new(config, modules).expect("a sandbox"));
    let config = EngineConfig { workers: 2, log_dir: None, log_bytes_max: 1 << 20 };
    Engine::start(&config, Box::new(Sqlite::in_memory().expect("a store")), sandbox).expect("an engine")
}

/// Runs a Job of endless guests, scales it to nothing, and gives how long each took to end, ms.
async fn stop_all(engine: &Engine, image: &str, args: &[&str]) -> Vec<u64> {
    let api = Api::new(engine.handle().clone(), Arc::new(Modules::open(None).expect("modules")));
    let view = engine.handle().view();
    let mut cursor = view.watch_from(Topic::Pods, Filter::default(), view.rv()).expect("from now on");
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "endless-"},
        "spec": {"parallelism": PODS, "completions": PODS, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": image, "args": args}],
        }}},
    });
    let created = api.post("/apis/batch/v1/namespaces/default/jobs", &manifest).await.body;
    let path =
        format!("/apis/batch/v1/namespaces/default/jobs/{}", created["metadata"]["name"].as_str().expect("a name"));
    let mut job = created;
    while job["status"]["ready"] != PODS {
        let rv = view.rv();
        job = api.get(&path).await.body;
        if job["status"]["ready"] != PODS {
            view.shown(rv + 1).await;
        }
    }
    job["spec"]["parallelism"] = json!(0);
    let scaled = api.put(&path, &job).await;
    assert_eq!(scaled.status, 200, "{}", scaled.text);
    let mut latencies = Vec::new();
    while latencies.len() < PODS as usize {
        view.changed(&cursor).await;
        for change in view.poll(&mut cursor, 1000).expect("not overtaken") {
            if let (ChangeKind::Deleted, Object::Pod(pod)) = (change.kind, change.object) {
                let (told, ended) = (
                    pod.mark.as_ref().and_then(|mark| mark.stop).expect("it was told"),
                    pod.record.finished().expect("it ended"),
                );
                assert_eq!(pod.record.exit_code, 143);
                latencies.push(ended.since_ms(told));
            }
        }
    }
    latencies
}

#[test]
fn endless_guests_end_when_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let engine = engine();
    for (what, image, args) in [("computing", "coracle/spin", &[][..]), ("asleep", "coracle/sleep", &["3600"][..])] {
        let latencies = runtime.block_on(stop_all(&engine, image, args));
        eprintln!("{what}: stopped after {latencies:?} ms");
    }
    engine.stop();
}
