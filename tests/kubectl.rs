//! `tests/kubectl.sh`, which drives the real binary with the real kubectl.

#![expect(clippy::print_stderr, reason = "a test that could not run says so")]

use std::process::Command;

#[test]
fn kubectl_and_curl_drive_a_server_from_its_first_start_to_a_kill_and_back() {
    let has = |tool: &str| Command::new(tool).arg("--help").output().is_ok();
    let missing: Vec<&str> = ["kubectl", "curl"].into_iter().filter(|tool| !has(tool)).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CORACLE_REQUIRE_KUBECTL").is_none(), "not on this machine: {}", missing.join(", "));
        eprintln!("skipped: not on this machine: {}", missing.join(", "));
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubectl.sh");
    let output = Command::new(script).arg(env!("CARGO_BIN_EXE_coracle")).output().expect("the script starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
