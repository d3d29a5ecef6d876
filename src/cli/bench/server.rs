//! A server to measure, as a process of its own, and the disk that it is on.
//!
//! Knows processes and the kubeconfig that a server writes, nothing of Jobs. Invariant: the process ends with its value.

use crate::cli::error::{CliError, code};
use crate::cli::local::StoreKind;
use crate::cli::remote::{Connection, RemoteArgs, Server};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A server that has not answered after so long does not start.
const START_MAX: Duration = Duration::from_secs(300);

/// It is asked this often whether it is ready: what a start takes is measured no finer.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// A process that closes its connections because it ends has ended within this time.
const END_MAX: Duration = Duration::from_secs(1);

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
    /// Starts this executable as a server.
    pub(super) fn start(data_dir: Option<&Path>, store: StoreKind) -> Result<Self, CliError> {
        let failed =
            |error: std::io::Error| CliError::new(code::ENGINE, format!("the server cannot be started: {error}"));
        let temporary = if data_dir.is_none() { Some(tempfile::tempdir().map_err(failed)?) } else { None };
        let dir =
            data_dir.or_else(|| temporary.as_ref().map(TempDir::path)).expect("one of the two is there").to_owned();
        let said = tempfile::NamedTempFile::new().map_err(failed)?;
        let stderr = said.reopen().map_err(failed)?;
        let old = modified(&dir);
        let child = spawn(&dir, store, stderr).map_err(failed)?;
        Ok(Self { child, dir, old, said, _temporary: temporary })
    }

    /// Kills the server as a power cut would.
    pub(super) fn kill(&mut self) -> Result<(), CliError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| CliError::new(code::ENGINE, format!("the server cannot be killed: {error}")))
    }

    /// Starts it again on what is there, once it has ended.
    pub(super) fn start_again(&mut self) -> Result<(), CliError> {
        self.old = modified(&self.dir);
        let emptied = self.said.as_file().set_len(0).and_then(|()| self.said.reopen());
        let child = emptied.and_then(|stderr| spawn(&self.dir, StoreKind::Disk, stderr));
        self.child =
            child.map_err(|error| CliError::new(code::ENGINE, format!("the server cannot be started: {error}")))?;
        Ok(())
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
                    return Err(self.failed("the server ended"));
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
        ready.await.unwrap_or_else(|_elapsed| Err(self.failed("the server does not become ready")))
    }

    /// `error`, or that the server has ended where that is the reason.
    pub(super) async fn ended_of(&self, error: CliError) -> CliError {
        let ended = tokio::time::timeout(END_MAX, async {
            while !has_ended(self.pid()) {
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        match ended.await {
            Ok(()) => self.failed("the server ended while it was measured"),
            Err(_elapsed) => error,
        }
    }

    fn failed(&self, what: &str) -> CliError {
        let said = fs::read_to_string(self.said.path()).unwrap_or_default();
        CliError::new(code::ENGINE, format!("{what}; it said:\n{}", said.trim_end()))
    }
}

fn spawn(dir: &Path, store: StoreKind, stderr: File) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["serve", "--listen", "127.0.0.1:0", "--store", store.name(), "--data-dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
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
