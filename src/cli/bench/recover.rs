//! `coracle bench recover`: how long a server that was killed takes to be ready again.
//!
//! Each round kills it and starts it on the same data directory, whose files the kernel still has in memory. A start without
//! data stands beside it. Invariant: a round counts only when every pod that was shown is there again.

use super::report::Report;
use super::rounds::median;
use super::stage::{JOBS_PATH, Stage, on_stage};
use super::{DataArg, ImageArg, Module, ParallelismArg, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::local::StoreKind;
use crate::cli::machine::{self, Used, file_system};
use crate::cli::remote::RemoteError;
use crate::cli::{bytes_text, grouped};
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    image: ImageArg,

    /// Ended pods in the store
    #[arg(long = "indexes", visible_alias = "pods", value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pods: u32,

    #[command(flatten)]
    parallelism: ParallelismArg,

    #[command(flatten)]
    rounds: RoundsArgs,

    #[command(flatten)]
    data: DataArg,
}

/// What the starts took.
#[derive(Debug, Default)]
struct Starts {
    /// From the start of the process until `/readyz` says ok, µs.
    ready_us: Vec<u64>,
    used: Used,
    store_bytes: u64,
}

/// Runs the rounds and prints what they took.
pub(super) fn recover(args: &RecoverArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image.image)?;
    let (empty, starts, memory, disk) =
        on_stage(&module, args.data.data_dir.as_deref(), StoreKind::Disk, async |stage| {
            let mut empty = Starts::default();
            for _ in 0..args.rounds.rounds {
                start(stage, &mut empty).await?;
            }
            stage.reconnect().await?;
            let name = stage.names.next();
            stage.run(&name, args.pods, args.parallelism.parallelism).await?;
            let mut starts = Starts::default();
            for _ in 0..args.rounds.rounds {
                start(stage, &mut starts).await?;
                all_there(stage, &name, args.pods).await?;
            }
            Ok((empty, starts, stage.memory(), file_system(stage.spawned.dir())))
        })?;
    let settings = [
        ("image", module.image.into()),
        ("pods", args.pods.into()),
        ("rounds", args.rounds.rounds.into()),
        ("parallelism", args.parallelism.parallelism.into()),
        ("data_on", disk.into()),
    ];
    let mut report = Report::new("recover", &settings);
    report.rounds_ms("empty", "empty_ready", &empty.ready_us, "from the start until ready, before the Job");
    report.rounds_ms("ready", "ready", &starts.ready_us, "from the start until ready, after kill -9");
    report.line("store", &format!("{} when it was killed first", bytes_text(starts.store_bytes)));
    report.field("store_bytes", starts.store_bytes);
    report.cost("", &starts.used, u64::from(args.pods) * u64::from(args.rounds.rounds));
    report.memory("", memory, &format!("with {} ended pods", grouped(args.pods.into())));
    let more = median(&starts.ready_us).unwrap_or(0).saturating_sub(median(&empty.ready_us).unwrap_or(0));
    let per_pod = super::rounds::ratio(more, args.pods.into());
    report.line("recovery", &format!("{:.2} µs a pod more than without", per_pod.unwrap_or(0.0)));
    report.field("ready_us_per_pod", per_pod);
    report.say(None, args.rounds.json);
    Ok(code::DONE)
}

async fn start(stage: &mut Stage, starts: &mut Starts) -> Result<(), CliError> {
    if starts.store_bytes == 0 {
        starts.store_bytes = store_bytes(stage);
    }
    stage.spawned.kill()?;
    let begin = machine::instant();
    stage.spawned.start_again()?;
    stage.connection = stage.spawned.ready().await?;
    starts.ready_us.push(machine::us_since(begin));
    starts.used.add(&stage.used());
    Ok(())
}

/// Bytes of the store's files.
fn store_bytes(stage: &Stage) -> u64 {
    let files = std::fs::read_dir(stage.spawned.dir()).into_iter().flatten().flatten();
    let of_store = files.filter(|file| file.file_name().to_string_lossy().starts_with("store.db"));
    of_store.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

async fn all_there(stage: &mut Stage, name: &str, pods: u32) -> Result<(), CliError> {
    let job = stage.connection.get(&format!("{JOBS_PATH}/{name}")).await.map_err(RemoteError::told)?;
    let succeeded = job.body.pointer("/status/succeeded").and_then(Value::as_u64);
    if succeeded == Some(pods.into()) {
        return Ok(());
    }
    let what = format!("the server forgot: it had shown {pods} pods, and now says {}", job.text);
    Err(CliError::new(code::ENGINE, what))
}
