//! `coracle bench` against servers of its own: every subcommand measures, and says so when it cannot.

use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A fact that is waited for is looked at this often, and so many times: two minutes of them.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS_MAX: u32 = 12_000;

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.arg("bench").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn ran(args: &[&str]) -> (i32, String, String) {
    said(&bench(args).output().expect("the binary runs"))
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it exits"), text(&output.stdout), text(&output.stderr))
}

/// Runs with `--json` and gives the object; every field of `positive` is a number above 0.
fn measured(args: &[&str], positive: &[&str]) -> Value {
    let (code, out, err) = ran(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {err}");
    assert_eq!(out.lines().count(), 1, "{out}");
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(json["bench"], args[0], "{json}");
    assert!(json["machine"].is_string() && json["threads"].is_u64() && json["rounds"].is_u64(), "{json}");
    for field in positive {
        let value = json.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_f64);
        assert!(value.is_some_and(|value| value > 0.0), "{field} of {json}");
    }
    assert!(json.get("ratio").is_some(), "{json}");
    json
}

/// What every benchmark of pods on a server tells.
const OF_PODS: [&str; 5] =
    ["cpu_us_per_pod", "cpu_us_per_pod_by_thread.commit", "bytes_written_per_pod", "rss_bytes", "page_table_bytes"];

const OF_RATES: [&str; 3] = ["floor_pods_per_s", "pods_per_s", "ratio"];

#[test]
fn the_ratio_is_printed_last() {
    let (code, out, err) = ran(&["job", "--indexes", "500", "--rounds", "1"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.lines().last().is_some_and(|line| line.starts_with("ratio ")), "{out}");
}

#[test]
fn floor_and_job_take_an_image_or_a_file() {
    let file = "guest-examples/prebuilt/trivial.wasm";
    for image in ["coracle/trivial", file] {
        let json = measured(&["floor", "--indexes", "50", "--rounds", "2", "--image", image], &["floor_pods_per_s"]);
        assert_eq!(json["floor_pods_per_s_each"].as_array().map(Vec::len), Some(2), "{json}");
        let args = ["job", "--indexes", "50", "--rounds", "1", "--image", image];
        let json = measured(&args, &[OF_PODS.as_slice(), &OF_RATES].concat());
        assert_eq!(json["image"].as_str().expect("an image").contains("@sha256:"), image == file, "{json}");
    }
}

#[test]
fn jobs_are_created_in_both_encodings() {
    for encoding in ["json", "protobuf"] {
        let args = ["jobs", "--jobs", "40", "--in-flight", "7", "--rounds", "2", "--encoding", encoding];
        let json =
            measured(&args, &[OF_PODS.as_slice(), &OF_RATES, &["create.p50_ms", "client_cpu_us_per_pod"]].concat());
        assert!(json["encoding"] == encoding && json["rss_bytes_per_job"].is_number(), "{json}");
    }
}

#[test]
fn sleepers_live_at_once_and_are_gone() {
    let of_memory = ["running_ms", "gone_ms", "quiet_ms", "rss_bytes_per_pod", "before_rss_bytes", "after_rss_bytes"];
    measured(&["sleepers", "--pods", "30", "--rounds", "2"], &[OF_PODS.as_slice(), &of_memory].concat());
}

#[test]
fn latency_is_measured_idle_and_under_load_on_disk_and_in_memory() {
    let of_load = ["create.p50_ms", "complete.p99_ms", "loaded.complete.p50_ms", "slower"];
    let args = ["latency", "--rounds", "3", "--load", "20000"];
    measured(&args, &[of_load.as_slice(), &["disk.p50_ms", "loaded.disk.p50_ms", "rss_bytes"]].concat());
    let json = measured(&[args.as_slice(), &["--store", "memory"]].concat(), &of_load);
    assert!(json["disk"].is_null() && json["way"] == "over HTTPS, store in memory", "{json}");
    let (code, _, err) = ran(&["latency", "--rounds", "3", "--load", "1", "--store", "memory"]);
    assert!(code == 2 && err.contains("give more: --load N"), "{code} {err}");
}

#[test]
fn a_recovery_is_measured_with_every_pod_there_again() {
    let json = measured(
        &["recover", "--indexes", "300", "--rounds", "2"],
        &["ready_ms", "empty_ready_ms", "store_bytes", "cpu_us_per_pod", "rss_bytes"],
    );
    assert_eq!(json["ready_ms_each"].as_array().map(Vec::len), Some(2), "{json}");
}

#[test]
fn watchers_see_every_pod() {
    let of_watchers =
        ["without_pods_per_s", "without_cpu_us_per_pod", "watched_bytes_per_pod", "client_cpu_us_per_pod"];
    let args = ["watch", "--indexes", "200", "--watchers", "2", "--rounds", "1"];
    let json = measured(&args, &[OF_PODS.as_slice(), &OF_RATES, &of_watchers].concat());
    assert!(json["events_per_pod"].as_f64().is_some_and(|events| events >= 2.0), "{json}");
}

#[test]
fn an_idle_server_is_measured() {
    measured(&["idle", "--rounds", "1", "--seconds", "1"], &["rss_bytes", "page_table_bytes", "binary_bytes"]);
}

#[test]
fn what_cannot_be_measured_ends_with_its_reason() {
    let crash = "coracle/crash";
    let cases: [(&[&str], i32, &str); 6] = [
        (&["floor", "--indexes", "1", "--image", crash], 4, "must end with 0"),
        (&["job", "--indexes", "1", "--image", "nothing"], 4, "nothing"),
        (&["job", "--indexes", "1", "--image", "README.wasm"], 2, "cannot read the file"),
        (&["latency", "--rounds", "1", "--image", crash], 1, "the Job failed"),
        (&["latency", "--rounds", "1", "--image", crash, "--store", "memory"], 1, "the Job failed"),
        (&["recover", "--indexes", "1", "--rounds", "1", "--image", crash], 1, "the Job failed"),
    ];
    for (args, code, why) in cases {
        let (ended, out, err) = ran(args);
        assert!(ended == code && err.contains(why) && out.is_empty(), "{args:?}: {ended} {out} {err}");
    }
}

#[test]
fn a_server_that_dies_ends_the_benchmark() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let text = data.to_str().expect("text");
    let args = ["latency", "--rounds", "1000000", "--data-dir", text];
    let child = bench(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // A pod has written its log: the rounds run.
    wait_for(|| has_bytes(&data.join("logs")));
    let server = child_of(&child).expect("a server");
    let killed = Command::new("kill").args(["-KILL", &server]).status().expect("kill");
    assert!(killed.success());
    let (code, out, err) = said(&child.wait_with_output().expect("it ends"));
    assert!(code == 3 && out.is_empty(), "{code} {out} {err}");
    assert!(err.contains("the server ended while it was measured"), "{err}");
}

fn wait_for(fact: impl Fn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if fact() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("it did not happen");
}

fn has_bytes(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).any(|metadata| metadata.len() > 0)
}

/// The process that `parent` has started.
fn child_of(parent: &Child) -> Option<String> {
    let parent = parent.id().to_string();
    let is_child = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&parent))
    };
    let names =
        std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).find(|pid| is_child(pid))
}
