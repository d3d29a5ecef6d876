//! core/v1 Nodes: the one node that this server is.
//!
//! Knows the machine and what clients wrote of it, no pods. Invariant: name, uid and creationTimestamp stay the same for as long as
//! the data directory does; everything but readiness and what clients write stays the same for as long as the server runs, and
//! readiness ends at the most once.

use super::about::GIT_VERSION;
use crate::base::Uid;
use crate::engine::{Handle, Health, now};
use crate::model::Kind;
use crate::view::{NODE_NAME, PlainObject};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// What runs the guests.
const RUNTIME_VERSION: &str = "wasmtime://48";

/// Bytes of a file about the machine that are read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The node, worked out once it is asked for.
#[derive(Debug, Default)]
pub(super) struct Node {
    ready: OnceLock<Arc<Value>>,
    failed: OnceLock<Arc<Value>>,
}

impl Node {
    /// The node as it is now.
    pub(super) fn read(&self, handle: &Handle) -> Arc<Value> {
        let ready = self.ready.get_or_init(|| Arc::new(describe(handle)));
        let node = match handle.health() {
            Health::Ok => ready,
            Health::Failed(why) => self.failed.get_or_init(|| Arc::new(not_ready(ready, handle, &why))),
        };
        match handle.view().plain_named(Kind::Node, NODE_NAME) {
            None => Arc::clone(node),
            Some(written) => Arc::new(with(node, &written)),
        }
    }
}

/// The node with what clients wrote of it.
pub(super) fn with(node: &Value, written: &PlainObject) -> Value {
    let mut node = node.clone();
    let says: Value = serde_json::from_str(&written.doc.json).unwrap_or_default();
    for part in ["/metadata/labels", "/metadata/annotations", "/spec"] {
        let (holder, field) = part.rsplit_once('/').expect("a path");
        match (says.pointer(part), node.pointer_mut(holder).and_then(Value::as_object_mut)) {
            (Some(value), Some(holder)) => _ = holder.insert(field.to_owned(), value.clone()),
            (None, Some(holder)) => _ = holder.remove(field),
            (_, None) => {}
        }
    }
    let version = |text: &Value| text.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let rv = version(&node["metadata"]["resourceVersion"]).max(written.rv);
    node["metadata"]["resourceVersion"] = json!(rv.to_string());
    node
}

/// The node at the last version that there is: nothing can be written any more, so none is left for it alone.
fn not_ready(ready: &Value, handle: &Handle, why: &str) -> Value {
    let mut node = ready.clone();
    node["metadata"]["resourceVersion"] = json!(handle.view().rv().to_string());
    let (condition, seen) = (&mut node["status"]["conditions"][0], now().to_string());
    condition["status"] = json!("False");
    condition["lastHeartbeatTime"] = json!(seen);
    condition["lastTransitionTime"] = json!(seen);
    condition["reason"] = json!("StoreFailed");
    condition["message"] = json!(why);
    node
}

fn describe(handle: &Handle) -> Value {
    let (uid, created) = identity(handle);
    let shape = handle.node();
    let label = |key: &str| shape.labels.get(key).map_or("", String::as_str);
    let (system, machine) = (label("kubernetes.io/os"), label("kubernetes.io/arch"));
    let cpus = (shape.cpu_m / 1000).to_string();
    let mut capacity = json!({"cpu": cpus, "pods": handle.pods_max().to_string()});
    if shape.memory_bytes > 0 {
        capacity["memory"] = json!(format!("{}Ki", shape.memory_bytes / 1024));
    }
    let seen = now().to_string();
    json!({
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": NODE_NAME,
            "uid": uid.to_string(),
            "resourceVersion": handle.view().rv().to_string(),
            "creationTimestamp": created,
            "labels": shape.labels,
        },
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "lastHeartbeatTime": seen,
                "lastTransitionTime": seen,
                "reason": "EngineReady",
                "message": "the engine takes pods",
            }],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": file("/proc/sys/kernel/osrelease").trim(),
                "osImage": field_of(&file("/etc/os-release"), "PRETTY_NAME=").unwrap_or_default().trim_matches('"'),
                "containerRuntimeVersion": RUNTIME_VERSION,
                "kubeletVersion": GIT_VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": system,
                "architecture": machine,
            },
        },
    })
}

/// The node is as old as the cluster, which is told from others by the uid of the namespace `kube-system`.
fn identity(handle: &Handle) -> (Uid, String) {
    let system = handle.view().namespace("kube-system");
    let doc: Value = system.and_then(|namespace| serde_json::from_str(&namespace.doc.json).ok()).unwrap_or_default();
    let text = |field: &str| doc["metadata"][field].as_str().unwrap_or_default().to_owned();
    let hash = Sha256::digest(format!("{NODE_NAME} {}", text("uid")));
    let bits = hash.iter().take(16).fold(0, |bits: u128, &byte| bits << 8 | u128::from(byte));
    (Uid::v4(bits), text("creationTimestamp"))
}

/// A file about the machine; empty where there is none.
fn file(path: &str) -> String {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    if read.is_ok() { text } else { String::new() }
}

/// What follows `name` in its line.
fn field_of(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}
