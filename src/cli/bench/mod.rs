//! `coracle bench`: this machine's floor, and what Coracle makes of it.
//!
//! The floor is a bare wasmtime loop in this process with the same engine settings, module and threads; Jobs run on a server of
//! their own, spoken to over HTTPS as any client does. A ratio is always of one run: the rounds of both alternate, so that a
//! noisy machine disturbs both alike. One file a subcommand; `stage.rs` has the server, `report.rs` what is printed.

mod completions;
mod floor;
mod idle;
mod job;
mod jobs;
mod latency;
mod manifest;
mod recover;
mod report;
mod rounds;
mod server;
mod sleepers;
mod stage;
mod watch;

use super::error::{CliError, code};
use super::local::Local;
use super::remote::Connection;
use super::{inspect, push, run};
use crate::modules::{Digest, ImageRef};
use bytes::Bytes;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Arguments of `coracle bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each but floor, and latency with --server, starts a server of its own on a temporary data directory (--data-dir names another),
and prints machine, settings, medians, what the server used, and last the ratio where two rates are compared; --json prints the
same as one object, the ratio under \"ratio\", null where there is none.

Exit codes: 0 measured, 1 a Job failed, 2 wrong usage, 3 the server does not work, or ended while it was measured, 4 the
module is unknown or refused, or does not end with 0.")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The bare wasmtime loop: same engine settings, no log, no control, no store
    Floor(floor::FloorArgs),
    /// One Indexed Job over HTTPS, until a watch sees it complete; beside the floor
    Job(job::JobArgs),
    /// Many Jobs of one pod each, many requests at once, until a watch has seen all complete; beside the floor
    Jobs(jobs::JobsArgs),
    /// Pods that are alive at once: until all run, their memory, and until all are gone
    Sleepers(sleepers::SleepersArgs),
    /// One-pod Jobs one after another, from their creation until a watch sees them complete; beside the disk
    Latency(latency::LatencyArgs),
    /// A server that is killed with pods in its store, until it is ready again
    Recover(recover::RecoverArgs),
    /// What watchers of a Job's pods cost it
    Watch(watch::WatchArgs),
    /// A server with nothing to do
    Idle(idle::IdleArgs),
}

#[derive(Debug, Args)]
struct ImageArg {
    /// What every pod runs: an image, or a .wasm file, which is given to the server
    #[arg(long, default_value = "coracle/hello")]
    image: String,
}

#[derive(Debug, Args)]
struct PodsArg {
    /// Pods a round
    #[arg(long = "indexes", visible_alias = "pods", value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pods: u32,
}

#[derive(Debug, Args)]
struct RoundsArgs {
    /// Rounds; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DataArg {
    /// The server's data directory; a temporary one when not given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Pods of one Job at a time.
#[derive(Debug, Args)]
struct ParallelismArg {
    /// Pods of the Job at a time
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    parallelism: u32,
}

/// Runs the benchmark and prints it.
pub(super) fn bench(args: &BenchArgs) -> Result<u8, CliError> {
    match &args.what {
        What::Floor(args) => floor::floor(args),
        What::Job(args) => job::job(args),
        What::Jobs(args) => jobs::jobs(args),
        What::Sleepers(args) => sleepers::sleepers(args),
        What::Latency(args) => latency::latency(args),
        What::Recover(args) => recover::recover(args),
        What::Watch(args) => watch::watch(args),
        What::Idle(args) => idle::idle(args),
    }
}

/// What the pods run.
#[derive(Debug)]
struct Module {
    /// The name for it.
    image: String,
    /// What servers do not have yet.
    file: Option<(ImageRef, Bytes)>,
}

impl Module {
    /// The image that `text` names, or the module in the file that it names.
    fn of(text: &str) -> Result<Self, CliError> {
        let path = Path::new(text);
        if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm")) {
            return Ok(Self { image: text.to_owned(), file: None });
        }
        let (bytes, inspection) = inspect::load(path)?;
        if let Some(error) = inspect::refusal(path, &inspection) {
            return Err(error);
        }
        let image = ImageRef { name: run::job_name(path), tag: None, digest: Some(Digest::of(&bytes)) };
        Ok(Self { image: image.to_string(), file: Some((image, bytes.into())) })
    }

    fn add_to(&self, local: &Local) -> Result<(), CliError> {
        let Some((_, bytes)) = &self.file else { return Ok(()) };
        let failed = |error| CliError::new(code::MODULE, format!("`{}` {error}", self.image));
        local.modules.add(bytes).map(drop).map_err(failed)
    }

    async fn upload(&self, connection: &mut Connection) -> Result<(), CliError> {
        let Some((image, bytes)) = &self.file else { return Ok(()) };
        push::upload(connection, image, bytes.clone()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_an_image_or_a_file() {
        let module = Module::of("coracle/hello").expect("an image");
        assert!(module.image == "coracle/hello" && module.file.is_none());
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest-examples/prebuilt/hello.wasm");
        let module = Module::of(file.to_str().expect("text")).expect("a module");
        assert!(module.image.starts_with("hello@sha256:") && module.file.is_some());
        assert_eq!(Module::of("nothing.wasm").expect_err("no file").code(), code::USAGE);
    }
}
