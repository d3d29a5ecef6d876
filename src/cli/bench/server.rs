//! A server to measure: a process of its own, or one that is there.

use crate::cli::error::{CliError, code};
use crate::cli::local::StoreKind;
use crate::cli::remote::{Connection, RemoteArgs, RemoteError, Server, Stream};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A server that has not answered after so long does not start.
const START_MAX: Duration = Duration::from_secs(60);

/// It is asked this often whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(10);

const JOBS_PATH: &str = "/apis/batch/v1/namespaces/default/jobs";

/// `coracle serve` in a process that ends with this value.
#[derive(Debug)]
pub(super) struct Spawned {
    child: Child,
    dir: PathBuf,
    /// What the kubeconfig's time was before: an earlier server wrote it.
    old: Option<SystemTime>,
    /// What it says, for when it does not start.
    said: tempfile::NamedTempFile,
    _temporary: Option<TempDir>,
}

impl Spawned {
    /// Starts this executable as a server on a free port of this machine.
    pub(super) fn start(data_dir: Option<&Path>, store: StoreKind) -> Result<Self, CliError> {
        let failed =
            |error: std::io::Error| CliError::new(code::ENGINE, format!("the server cannot be started: {error}"));
        let temporary = if data_dir.is_none() { Some(tempfile::tempdir().map_err(failed)?) } else { None };
        let dir =
            data_dir.or_else(|| temporary.as_ref().map(TempDir::path)).expect("one of the two is there").to_owned();
        let said = tempfile::NamedTempFile::new().map_err(failed)?;
        let stderr = said.reopen().map_err(failed)?;
        let old = modified(&dir);
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["serve", "--listen", "127.0.0.1:0", "--store", store.name(), "--data-dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child, dir, old, said, _temporary: temporary })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server as its kubeconfig names it.
    pub(super) fn server(&self) -> Result<Arc<Server>, CliError> {
        Server::find(&RemoteArgs { kubeconfig: Some(self.dir.join("kubeconfig")), context: None })
    }

    /// Waits until it has written its kubeconfig and says that it is ready.
    pub(super) async fn ready(&self) -> Result<Connection, CliError> {
        let ready = tokio::time::timeout(START_MAX, async {
            loop {
                // A process that has ended stays in /proc as a zombie until it is waited for.
                if has_ended(self.pid()) {
                    return Err(self.not_started("the server ended"));
                }
                if modified(&self.dir).is_some_and(|time| Some(time) != self.old) {
                    let mut connection = self.server()?.connection();
                    // One that is not ready does not listen yet, or says 503.
                    if connection.get("/readyz").await.is_ok_and(|answer| answer.status < 500) {
                        return Ok(connection);
                    }
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        ready.await.unwrap_or_else(|_elapsed| Err(self.not_started("the server does not become ready")))
    }

    fn not_started(&self, what: &str) -> CliError {
        let said = fs::read_to_string(self.said.path()).unwrap_or_default();
        CliError::new(code::ENGINE, format!("{what}; it said:\n{}", said.trim_end()))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // Its store is made for ends like this one.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn modified(dir: &Path) -> Option<SystemTime> {
    fs::metadata(dir.join("kubeconfig")).and_then(|metadata| metadata.modified()).ok()
}

fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses, which may hold anything, comes the state.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Creates a Job and gives its name.
pub(super) async fn create(connection: &mut Connection, manifest: &Value) -> Result<String, CliError> {
    let answer = connection.post(JOBS_PATH, manifest).await.map_err(RemoteError::told)?;
    if answer.status != 201 {
        return Err(CliError::new(code::USAGE, format!("the Job was refused: {}", answer.body["message"])));
    }
    Ok(answer.body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Deletes a Job.
pub(super) async fn delete(connection: &mut Connection, name: &str) -> Result<(), CliError> {
    let path = format!("{JOBS_PATH}/{name}?propagationPolicy=Background");
    connection.delete(&path).await.map(drop).map_err(RemoteError::told)
}

/// A watch of Jobs that was opened before the Jobs it is to see.
#[derive(Debug)]
pub(super) struct Completions(Stream);

impl Completions {
    pub(super) async fn watch(connection: &mut Connection, server: &Arc<Server>) -> Result<Self, CliError> {
        let list = connection.get(&format!("{JOBS_PATH}?limit=1")).await.map_err(RemoteError::told)?;
        if list.status != 200 {
            return Err(server.answered(&list).told());
        }
        let rv = list.body.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or("0");
        let path = format!("{JOBS_PATH}?watch=true&resourceVersion={rv}");
        match server.connection().stream(&path).await.map_err(RemoteError::told)? {
            Ok(stream) => Ok(Self(stream)),
            Err(answer) => Err(server.answered(&answer).told()),
        }
    }

    /// Waits until the Job of this name has completed.
    pub(super) async fn of(&mut self, name: &str) -> Result<(), CliError> {
        loop {
            let Some(line) = self.0.next_line().await.map_err(RemoteError::told)? else {
                return Err(CliError::new(code::ENGINE, "the server ended the watch"));
            };
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            if event["type"] == "ERROR" {
                let why = event["object"]["message"].as_str().unwrap_or_default();
                return Err(CliError::new(code::ENGINE, format!("the watch was ended: {why}")));
            }
            let object = &event["object"];
            if object["metadata"]["name"] != name {
                continue;
            }
            let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
            if conditions.iter().any(|condition| condition["type"] == "Failed") {
                return Err(CliError::new(code::JOB_FAILED, "the Job failed: the module must end with 0"));
            }
            if conditions.iter().any(|condition| condition["type"] == "Complete") {
                return Ok(());
            }
        }
    }
}

/// A file that grows by synced pieces: what a commit costs the disk.
#[derive(Debug)]
pub(super) struct Disk(File);

/// What a small commit appends.
const PIECE: [u8; 4096] = [0x5a; 4096];

impl Disk {
    pub(super) fn in_dir(dir: &Path) -> std::io::Result<Self> {
        tempfile::tempfile_in(dir).map(Self)
    }

    /// Appends 4 KiB and waits until the disk has them.
    pub(super) fn commit(&mut self) -> std::io::Result<()> {
        use std::io::Write as _;
        self.0.write_all(&PIECE)?;
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::testing::{Reply, lines, scripted};
    use serde_json::json;

    fn event(name: &str, kind: &str) -> Value {
        let conditions = if kind.is_empty() { json!([]) } else { json!([{"type": kind}]) };
        json!({"type": "MODIFIED", "object": {"metadata": {"name": name}, "status": {"conditions": conditions}}})
    }

    fn watched(events: Vec<Value>) -> Result<(), CliError> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let there = scripted(move |asked| match asked.path.as_str() {
                path if path.ends_with("?limit=1") => {
                    Reply::Json(200, json!({"metadata": {"resourceVersion": "7"}, "items": []}))
                }
                path if path.ends_with("?watch=true&resourceVersion=7") => lines(&events),
                _ => Reply::Json(404, json!({})),
            })
            .await;
            let mut completions = Completions::watch(&mut there.server.connection(), &there.server).await?;
            completions.of("a").await
        })
    }

    #[test]
    fn a_completion_is_of_the_job_that_is_waited_for() {
        assert!(watched(vec![event("b", "Complete"), event("a", ""), event("a", "Complete")]).is_ok());
        let cases = [
            (vec![event("a", "Failed")], 1),
            (vec![event("b", "Complete")], 3),
            (vec![json!({"type": "ERROR", "object": {"message": "too old"}})], 3),
        ];
        for (events, code) in cases {
            assert_eq!(watched(events.clone()).expect_err("no completion").code(), code, "{events:?}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_seen() {
        assert!(!has_ended(std::process::id()));
        let mut child = Command::new("true").spawn().expect("it starts");
        while !has_ended(child.id()) {
            std::thread::yield_now();
        }
        child.wait().expect("ours");
    }
}
