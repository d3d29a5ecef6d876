//! A server of the benchmark's own, with a connection and a watch of its Jobs.
//!
//! Knows how Jobs are created and ended, not what is measured. Invariant: an error while the server is measured says so when it
//! is the server that has ended.

use super::Module;
use super::completions::Completions;
use super::manifest::{Encoding, indexed};
use super::rounds::Round;
use super::server::Spawned;
use crate::cli::error::{CliError, code};
use crate::cli::local::{StoreKind, io_runtime};
use crate::cli::machine::{self, Memory, Used};
use crate::cli::remote::{Connection, RemoteError, Server};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

pub(super) const JOBS_PATH: &str = "/apis/batch/v1/namespaces/default/jobs";

/// A server that is ready, and everything to measure it with.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) spawned: Spawned,
    pub(super) server: Arc<Server>,
    pub(super) connection: Connection,
    pub(super) completions: Completions,
    pub(super) image: String,
    pub(super) names: Names,
}

/// Names that nobody used before.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
    next: u64,
}

impl Names {
    /// Names of this process and this moment.
    pub(super) fn new(what: &str) -> Self {
        Self { prefix: format!("{what}-{:x}-{}", crate::engine::now().0, std::process::id()), next: 0 }
    }

    /// Another one.
    pub(super) fn next(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", self.prefix, self.next)
    }
}

/// Starts a server with `module` on it, and gives what `work` makes of it.
pub(super) fn on_stage<T>(
    module: &Module,
    data_dir: Option<&Path>,
    store: StoreKind,
    work: impl AsyncFnOnce(&mut Stage) -> Result<T, CliError>,
) -> Result<T, CliError> {
    io_runtime()?.block_on(async {
        let spawned = Spawned::start(data_dir, store)?;
        let mut stage = Stage::open(spawned, module).await?;
        match work(&mut stage).await {
            Ok(measured) => Ok(measured),
            Err(error) => Err(stage.spawned.ended_of(error).await),
        }
    })
}

impl Stage {
    async fn open(spawned: Spawned, module: &Module) -> Result<Self, CliError> {
        let mut connection = spawned.ready().await?;
        let server = spawned.server()?;
        module.upload(&mut connection).await?;
        let completions = Completions::watch(&mut connection, &server, "").await?;
        Ok(Self { spawned, server, connection, completions, image: module.image.clone(), names: Names::new("bench") })
    }

    /// Finds the server again after a start.
    pub(super) async fn reconnect(&mut self) -> Result<(), CliError> {
        self.server = self.spawned.server()?;
        self.completions = Completions::watch(&mut self.connection, &self.server, "").await?;
        Ok(())
    }

    /// What the server has used until now.
    pub(super) fn used(&self) -> Used {
        Used::of(self.spawned.pid())
    }

    /// What memory the server has now.
    pub(super) fn memory(&self) -> Memory {
        Memory::of(self.spawned.pid())
    }

    /// Runs an Indexed Job of this name to its end, which is durable and shown.
    pub(super) async fn run(&mut self, name: &str, pods: u32, parallelism: u32) -> Result<Round, CliError> {
        let body = indexed(name, &self.image, &[], pods, parallelism);
        let start = machine::instant();
        create(&mut self.connection, Encoding::Json, body).await?;
        self.completions.of(name).await?;
        Ok(Round::since(start, pods))
    }

    /// The same, and what the server used for it.
    pub(super) async fn run_counted(
        &mut self,
        name: &str,
        pods: u32,
        parallelism: u32,
    ) -> Result<(Round, Used), CliError> {
        let before = self.used();
        let round = self.run(name, pods, parallelism).await?;
        Ok((round, self.used().since(&before)))
    }
}

/// Creates a Job.
pub(super) async fn create(connection: &mut Connection, encoding: Encoding, body: Bytes) -> Result<(), CliError> {
    let sent = connection.exchange(Method::POST, JOBS_PATH, encoding.content_type(), body).await;
    let (status, body) = sent.map_err(RemoteError::told)?;
    if status == 201 {
        return Ok(());
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let why = answer["message"].as_str().unwrap_or("no reason given");
    let code = if status < 500 { code::USAGE } else { code::ENGINE };
    Err(CliError::new(code, format!("the Job was refused with {status}: {why}")))
}

/// Deletes a Job.
pub(super) async fn delete(connection: &mut Connection, name: &str) -> Result<(), CliError> {
    let path = format!("{JOBS_PATH}/{name}?propagationPolicy=Background");
    connection.delete(&path).await.map(drop).map_err(RemoteError::told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::testing::{Reply, scripted};
    use serde_json::json;

    #[test]
    fn a_refused_job_is_told_in_the_servers_words() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            for (status, code) in [(422, code::USAGE), (500, code::ENGINE)] {
                let there = scripted(move |_| Reply::Json(status, json!({"message": "spec is no good"}))).await;
                let created = create(&mut there.server.connection(), Encoding::Json, Bytes::new()).await;
                let error = created.expect_err("refused");
                assert_eq!(error.code(), code);
                assert!(format!("{error:?}").contains("spec is no good"), "{error:?}");
            }
        });
    }

    #[test]
    fn names_are_new() {
        let mut names = Names::new("x");
        let (a, b) = (names.next(), names.next());
        assert!(a != b && a.starts_with("x-") && a.len() < 63, "{a} {b}");
    }
}
