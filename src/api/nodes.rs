//! core/v1 Nodes: the one node that this server is.
//!
//! Knows the machine, no pods. Invariant: name, uid and creationTimestamp stay the same for as long as the data
//! directory does; everything but readiness stays the same for as long as the server runs, and
//! readiness ends at the most once.

use super::about::GIT_VERSION;
use crate::base::Uid;
use crate::engine::{Handle, Health, now};
use crate::view::NODE_NAME;
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
        Arc::clone(match handle.health() {
            Health::Ok => ready,
            Health::Failed(why) => self.failed.get_or_init(|| Arc::new(not_ready(ready, handle, &why))),
        })
    }
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
    let (system, machine) = (operating_system(), architecture());
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut capacity = json!({"cpu": cpus.to_string(), "pods": handle.pods_max().to_string()});
    if let Some(memory) = field_of(&file("/proc/meminfo"), "MemTotal:") {
        capacity["memory"] = json!(memory.replace(" kB", "Ki"));
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
            "labels": {
                "kubernetes.io/arch": machine,
                "kubernetes.io/hostname": NODE_NAME,
                "kubernetes.io/os": system,
            },
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

/// Go's names of systems and machines.
fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
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
