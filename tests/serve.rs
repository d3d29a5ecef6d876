//! `coracle serve` as an operator meets it: what it writes, what it says, how it ends.

use crate::served::{Server, serve};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

fn manifest(name: &str, image: &str, args: &[&str]) -> String {
    serde_json::json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": image, "args": args}],
        }}},
    })
    .to_string()
}

/// The exit code and stderr of a server that does not start.
fn refused(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = serve(dir, args).output().expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Asks until the Job's status passes `test`.
fn wait_for_job(server: &Server, name: &str, test: impl Fn(&serde_json::Value) -> bool) {
    loop {
        let job: serde_json::Value =
            serde_json::from_str(&server.ask("GET", &format!("{JOBS}/{name}"), "").body).expect("a Job");
        if test(&job["status"]) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_server_runs_jobs_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let created = server.ask("POST", JOBS, &manifest("a", "coracle/hello", &[]));
    assert_eq!(created.code, 201, "{created:?}");
    wait_for_job(&server, "a", |status| status["succeeded"] == 1);
    let files = ["token", "ca.crt", "ca.key"].map(|name| std::fs::read(data.join(name)).expect(name));
    for name in ["token", "ca.key", "kubeconfig", "lock", "store.db"] {
        let mode = std::fs::metadata(data.join(name)).expect(name).permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let first = (server.address, std::fs::read_to_string(data.join("kubeconfig")).expect("a kubeconfig"));
    assert!(first.1.contains(&format!("server: \"https://{}\"", first.0)), "{}", first.1);
    assert_eq!(server.stop().0, Some(0));
    let server = Server::start(&data);
    assert_eq!(server.ask("GET", &format!("{JOBS}/a"), "").code, 200);
    assert_eq!(files, ["token", "ca.crt", "ca.key"].map(|name| std::fs::read(data.join(name)).expect(name)));
    let kubeconfig = std::fs::read_to_string(data.join("kubeconfig")).expect("a kubeconfig");
    assert!(kubeconfig.contains(&format!("server: \"https://{}\"", server.address)), "{kubeconfig}");
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn with_a_store_in_memory_a_server_says_that_nothing_survives_it_and_nothing_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = || {
        let server =
            Server::start_with(serve(dir.path(), &["--listen", "127.0.0.1:0", "--store", "memory"]), dir.path());
        assert!(server.said().contains("memory: Jobs, pods, logs and namespaces are gone when this process ends"));
        server
    };
    let server = start();
    let created = server.ask("POST", JOBS, &manifest("a", "coracle/hello", &[]));
    assert_eq!(created.code, 201, "{created:?}");
    wait_for_job(&server, "a", |status| status["succeeded"] == 1);
    assert_eq!(server.stop().0, Some(0));
    assert!(!dir.path().join("store.db").exists() && !dir.path().join("logs").exists());
    let server = start();
    assert_eq!(server.ask("GET", &format!("{JOBS}/a"), "").code, 404);
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let (port, pid) = (server.address.port(), server.child.id());
    let other = dir.path().join("other");
    let broken = dir.path().join("broken");
    std::fs::create_dir(&broken).expect("made");
    std::fs::write(broken.join("store.db"), "this is no database, and it is long enough to be looked at")
        .expect("written");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let damaged = dir.path().join("damaged");
    std::fs::create_dir(&damaged).expect("made");
    std::fs::write(damaged.join("token"), "short").expect("written");
    let taken = format!("127.0.0.1:{port}");
    let free = ["--listen", "127.0.0.1:0"];
    let cases: [(&str, &Path, &[&str], i32, String); 8] = [
        ("second server", &data, &free, 3, format!("another coracle server (pid {pid}) is using the data directory")),
        ("port in use", &other, &["--listen", &taken], 3, format!("in use by pid {pid} (coracle serve)")),
        ("no such address", &other, &["--listen", "192.0.2.1:0"], 3, "no interface of this machine has".to_owned()),
        ("no directory", &file, &free, 3, "the data directory cannot be used".to_owned()),
        ("corrupt store", &broken, &free, 3, "the store is broken".to_owned()),
        ("damaged token", &damaged, &free, 3, "token is damaged".to_owned()),
        ("no address", &other, &["--listen", "here"], 2, "--listen".to_owned()),
        ("no unit", &other, &["--drain", "30"], 2, "write a number with its unit".to_owned()),
    ];
    for (case, dir, args, code, text) in cases {
        let (ended, said) = refused(dir, args);
        assert_eq!(ended, Some(code), "{case}: {said}");
        assert!(said.contains(&text), "{case}: {text:?} is not in {said}");
        assert!(code == 2 || said.contains("= help: "), "{case}: {said}");
    }
    // A run on the same directory finds the store taken.
    let run = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .args(["run", "examples/pi.yaml", "--data-dir"])
        .arg(&data)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(said.contains("another process is using the store"), "{said}");
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_server_that_drains_lets_running_pods_end_and_takes_no_new_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = serve(dir.path(), &["--listen", "127.0.0.1:0"]);
    command.args(["--drain", "100m"]);
    let mut server = Server::start_with(command, dir.path());
    assert_eq!(server.ask("POST", JOBS, &manifest("a", "coracle/sleep", &["2"])).code, 201);
    wait_for_job(&server, "a", |status| status["ready"] == 1);
    server.signal("TERM");
    server.wait_for("waiting for running pods");
    let refused = server.ask("POST", JOBS, &manifest("b", "coracle/hello", &[]));
    assert_eq!(refused.code, 503, "{refused:?}");
    assert!(refused.body.contains(r#""reason":"ServiceUnavailable""#), "{refused:?}");
    assert_eq!(server.child.wait().expect("ours").code(), Some(0));
    let server = Server::start(dir.path());
    wait_for_job(&server, "a", |status| status["succeeded"] == 1);
    let pods = server.ask("GET", "/api/v1/namespaces/default/pods", "").body;
    assert_eq!(pods.matches(r#""phase":"Succeeded""#).count(), 1, "the pod of before ended well: {pods}");
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = serve(dir.path(), &["--listen", "127.0.0.1:0"]);
        command.args(["--drain", "100m"]);
        let mut server = Server::start_with(command, dir.path());
        assert_eq!(server.ask("POST", JOBS, &manifest("a", "coracle/sleep", &["3600"])).code, 201);
        wait_for_job(&server, "a", |status| status["ready"] == 1);
        server.signal("TERM");
        server.wait_for("waiting for running pods");
        server.signal(name);
        assert_eq!(server.child.wait().expect("ours").code(), Some(code));
    }
}

#[test]
fn few_open_files_are_said_and_too_few_are_refused() {
    let limited = |files: u32, dir: &Path| {
        let mut command = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_coracle");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" serve --listen 127.0.0.1:0 --data-dir \"$1\"")]);
        command.arg(binary).arg(dir).env("NO_COLOR", "1").env_remove("CORACLE_LOG");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        command
    };
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start_with(limited(1024, dir.path()), dir.path());
    assert!(server.said().contains("at the most 832 connections at once"), "{}", server.said());
    assert_eq!(server.stop().0, Some(0));
    let output = limited(100, dir.path()).output().expect("sh");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("100 open files are not enough"), "{said}");
}
