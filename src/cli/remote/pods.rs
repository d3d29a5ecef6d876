//! Reads of what is followed, which survive a restart of the server: pods page by page, and their outputs, a few at once.
//!
//! Must not know what is made of either. Invariant: whatever a Job has, one page of its pods and [`OUTPUTS_MAX`] outputs are held.

use super::backoff::Backoff;
use super::{Connection, RemoteError, Server};
use crate::api::{Answer, path_segment};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Pods of a page of a list (kubernetes: kubectl asks for as many).
pub(super) const PAGE: u32 = 500;

/// Outputs that are asked for at once, each on its own connection.
pub(super) const OUTPUTS_MAX: usize = 4;

/// A GET that waits for a server that is away for a moment.
pub(super) async fn get(connection: &mut Connection, path: &str) -> Result<Answer, RemoteError> {
    let mut backoff = Backoff::new();
    loop {
        let ended = connection.get(path).await;
        if !backoff.is_again(ended.as_ref().map(|answer| answer.status)).await {
            return ended;
        }
    }
}

/// As [`get`], of an output.
async fn output(connection: &mut Connection, path: &str) -> Output {
    let mut backoff = Backoff::new();
    loop {
        let ended = connection.bytes(path).await;
        let status = ended.as_ref().map(|answer| answer.as_ref().map_or_else(|answer| answer.status, |_| 200));
        if !backoff.is_again(status).await {
            return ended;
        }
    }
}

/// A list, page by page.
#[derive(Debug)]
pub(super) struct Pages {
    path: String,
    /// Where the next page begins; `None` behind the last.
    token: Option<String>,
    /// How often it began anew.
    backoff: Backoff,
}

impl Pages {
    /// `path` has a query.
    pub(super) fn new(path: &str) -> Self {
        Self { path: format!("{path}&limit={PAGE}"), token: Some(String::new()), backoff: Backoff::new() }
    }

    /// The next page; `None` at the end. When the server no longer knows where it was (it may have restarted), the list begins
    /// anew, and what was given may be given again.
    pub(super) async fn next(
        &mut self,
        server: &Server,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Value>>, RemoteError> {
        loop {
            let Some(token) = &self.token else { return Ok(None) };
            let from = if token.is_empty() { String::new() } else { format!("&continue={}", path_segment(token)) };
            let mut answer = get(connection, &format!("{}{from}", self.path)).await?;
            if answer.status == 410 && !token.is_empty() && !self.backoff.is_spent() {
                self.token = Some(String::new());
                self.backoff.wait().await;
                continue;
            }
            if answer.status != 200 {
                return Err(server.answered(&answer));
            }
            let token = answer.body.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
            self.token = (!token.is_empty()).then(|| token.to_owned());
            let Value::Array(items) = answer.body["items"].take() else { continue };
            return Ok(Some(items));
        }
    }
}

/// Connections on which outputs are read.
#[derive(Debug)]
pub(super) struct Outputs {
    server: Arc<Server>,
    idle: Vec<Connection>,
}

/// An output that was asked for. It is asked for no longer once this is dropped.
#[derive(Debug)]
pub(super) struct Asked(JoinHandle<(Connection, Output)>);

/// An output, or the server's reason why there is none.
pub(super) type Output = Result<Result<Bytes, Answer>, RemoteError>;

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Outputs {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        Self { server: Arc::clone(server), idle: Vec::new() }
    }

    /// Asks for the output at `path`; the answer comes while others are asked for.
    pub(super) fn ask(&mut self, path: String) -> Asked {
        let mut connection = self.idle.pop().unwrap_or_else(|| self.server.connection());
        Asked(tokio::spawn(async move {
            let output = output(&mut connection, &path).await;
            (connection, output)
        }))
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Waits for what was asked for.
    pub(super) async fn wait(&mut self, mut asked: Asked) -> Output {
        let (connection, output) = (&mut asked.0).await.expect("it is aborted only when nobody waits for it");
        self.idle.push(connection);
        output
    }
}
