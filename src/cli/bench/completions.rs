//! A watch of Jobs that was opened before the Jobs it is to see.
//!
//! Looks at bytes first and reads an event only when it says that a Job has ended: a client that works shares the cores with
//! the server. Invariant: a wait ends with the fact or with an error, also when nothing comes any more.

use super::stage::JOBS_PATH;
use crate::cli::error::{CliError, code};
use crate::cli::remote::{Connection, RemoteError, Server, Stream};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Jobs of which nothing is heard for so long do not go on.
pub(super) const QUIET_MAX: Duration = Duration::from_secs(60);

/// The watch, and the Jobs whose end it has seen while nobody waited for them.
#[derive(Debug)]
pub(super) struct Completions {
    stream: Stream,
    finished: BTreeSet<String>,
}

/// Whether `line` has `text` in it.
pub(super) fn has(line: &[u8], text: &str) -> bool {
    // The standard library's search of text is the fast one.
    std::str::from_utf8(line).is_ok_and(|line| line.contains(text))
}

impl Completions {
    /// Watches the Jobs that `selector` selects, which begins with `&`, from now on.
    pub(super) async fn watch(
        connection: &mut Connection,
        server: &Arc<Server>,
        selector: &str,
    ) -> Result<Self, CliError> {
        let list = connection.get(&format!("{JOBS_PATH}?limit=1")).await.map_err(RemoteError::told)?;
        if list.status != 200 {
            return Err(server.answered(&list).told());
        }
        let rv = list.body.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or("0");
        let path = format!("{JOBS_PATH}?watch=true&resourceVersion={rv}{selector}");
        match server.connection().stream(&path).await.map_err(RemoteError::told)? {
            Ok(stream) => Ok(Self { stream, finished: BTreeSet::new() }),
            Err(answer) => Err(server.answered(&answer).told()),
        }
    }

    /// The next event. Cancel-safe.
    pub(super) async fn line(&mut self) -> Result<Bytes, CliError> {
        let Ok(line) = tokio::time::timeout(QUIET_MAX, self.stream.next_line()).await else {
            return Err(CliError::new(code::ENGINE, format!("no Job has changed for {} s", QUIET_MAX.as_secs())));
        };
        let Some(line) = line.map_err(RemoteError::told)? else {
            return Err(CliError::new(code::ENGINE, "the server ended the watch"));
        };
        if has(&line, "\"type\":\"ERROR\"") {
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            let why = event["object"]["message"].as_str().unwrap_or("no reason given");
            return Err(CliError::new(code::ENGINE, format!("the watch was ended: {why}")));
        }
        Ok(line)
    }

    /// Waits until the Job of this name has completed.
    pub(super) async fn of(&mut self, name: &str) -> Result<(), CliError> {
        while !self.finished.remove(name) {
            let line = self.line().await?;
            self.note(&line)?;
        }
        Ok(())
    }

    /// Whether the Job of this name was seen completed by a wait for another.
    pub(super) fn has_seen(&self, name: &str) -> bool {
        self.finished.contains(name)
    }

    fn note(&mut self, line: &[u8]) -> Result<(), CliError> {
        if has(line, "\"type\":\"Failed\"") {
            return Err(CliError::new(code::JOB_FAILED, "the Job failed: the module must end with 0"));
        }
        if has(line, "\"type\":\"Complete\"") && !has(line, "\"type\":\"DELETED\"") {
            let event: Value = serde_json::from_slice(line).unwrap_or_default();
            self.finished.insert(event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    }

    /// Waits until `test` holds for an event of the Job of this name.
    pub(super) async fn until(&mut self, name: &str, test: impl Fn(&Value) -> bool) -> Result<(), CliError> {
        loop {
            let line = self.line().await?;
            self.note(&line)?;
            if has(&line, name) {
                let event: Value = serde_json::from_slice(&line).unwrap_or_default();
                if event["object"]["metadata"]["name"] == name && test(&event) {
                    return Ok(());
                }
            }
        }
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

    fn watched(events: Vec<Value>) -> Result<Completions, CliError> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let there = scripted(move |asked| match asked.path.as_str() {
                path if path.ends_with("?limit=1") => {
                    Reply::Json(200, json!({"metadata": {"resourceVersion": "7"}, "items": []}))
                }
                path if path.ends_with("?watch=true&resourceVersion=7&x=y") => lines(&events),
                _ => Reply::Json(404, json!({})),
            })
            .await;
            let mut completions = Completions::watch(&mut there.server.connection(), &there.server, "&x=y").await?;
            completions.of("a").await?;
            Ok(completions)
        })
    }

    #[test]
    fn a_completion_is_of_the_job_that_is_waited_for() {
        let seen = watched(vec![event("b", "Complete"), event("a", ""), event("a", "Complete")]).expect("complete");
        assert!(seen.has_seen("b") && !seen.has_seen("a"));
        let gone = json!({"type": "DELETED", "object": event("a", "Complete")["object"]});
        let cases = [
            (vec![event("a", "Failed")], 1),
            (vec![event("b", "Complete")], 3),
            (vec![gone], 3),
            (vec![json!({"type": "ERROR", "object": {"message": "too old"}})], 3),
        ];
        for (events, code) in cases {
            assert_eq!(watched(events.clone()).expect_err("no completion").code(), code, "{events:?}");
        }
    }
}
