//! What the machine has: the node of this server.
//!
//! Reads `/proc` once, at the start. Invariant: what is said to clients is what pods are held against.

use crate::model::NodeShape;
use std::collections::BTreeMap;
use std::io::Read;

/// The name of the one node that Coracle is.
const NAME: &str = crate::view::NODE_NAME;

/// Bytes of a file about the machine that are read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The node as it is before clients write of it.
pub(super) fn node() -> NodeShape {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| u64::try_from(cpus.get()).unwrap_or(1));
    let labels = [
        ("kubernetes.io/arch", architecture()),
        ("kubernetes.io/hostname", NAME),
        ("kubernetes.io/os", operating_system()),
    ];
    NodeShape {
        name: NAME.to_owned(),
        cpu_m: cpus * 1000,
        memory_bytes: memory_kib().unwrap_or(0) * 1024,
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>(),
    }
}

fn memory_kib() -> Option<u64> {
    let mut text = String::new();
    std::fs::File::open("/proc/meminfo").ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.trim().parse().ok()
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
