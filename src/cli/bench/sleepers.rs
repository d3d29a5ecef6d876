//! `coracle bench sleepers`: pods that are alive at once.
//!
//! A round creates one Job whose pods only sleep, waits until all are shown running, deletes it, and waits until the server has
//! nothing left to do. Invariant: memory is measured while every pod runs.

use super::completions::QUIET_MAX;
use super::manifest::{Encoding, indexed};
use super::report::Report;
use super::rounds::{median, ratio};
use super::stage::{Stage, create, delete, on_stage};
use super::{DataArg, Module, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::grouped;
use crate::cli::local::StoreKind;
use crate::cli::machine::{self, Memory, Used, file_system, us_since};
use crate::cli::remote::RemoteError;
use clap::Args;
use serde_json::Value;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What the pods are told to sleep, seconds: longer than any round.
const SLEEP_S: &str = "1000000";

/// A server that used less than [`QUIET_US`] in each of [`QUIET_LOOKS`] looks this far apart does nothing any more.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const QUIET_US: u64 = 1000;
const QUIET_LOOKS: u32 = 5;

#[derive(Debug, Args)]
pub(super) struct SleepersArgs {
    /// What every pod runs, with 1000000 as its argument: an image, or a .wasm file, which is given to the server
    #[arg(long, default_value = "coracle/sleep")]
    image: String,

    /// Pods alive at once
    #[arg(long = "indexes", visible_alias = "pods", value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pods: u32,

    #[command(flatten)]
    rounds: RoundsArgs,

    #[command(flatten)]
    data: DataArg,
}

/// What the rounds took.
#[derive(Debug, Default)]
struct Measured {
    running_us: Vec<u64>,
    gone_us: Vec<u64>,
    quiet_us: Vec<u64>,
    started: Used,
    ended: Used,
    before: Memory,
    running: Vec<Memory>,
    after: Memory,
    disk: String,
}

/// Runs the rounds and prints what they took.
pub(super) fn sleepers(args: &SleepersArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image)?;
    let measured = on_stage(&module, args.data.data_dir.as_deref(), StoreKind::Disk, async |stage| {
        let mut measured = Measured { disk: file_system(stage.spawned.dir()), ..Measured::default() };
        // The module is compiled before anything is counted.
        round(stage, 1, &mut Measured::default()).await?;
        measured.before = stage.memory();
        for _ in 0..args.rounds.rounds {
            round(stage, args.pods, &mut measured).await?;
        }
        measured.after = stage.memory();
        Ok(measured)
    })?;
    let settings = [
        ("image", module.image.into()),
        ("pods", args.pods.into()),
        ("rounds", args.rounds.rounds.into()),
        ("data_on", measured.disk.into()),
    ];
    let mut report = Report::new("sleepers", &settings);
    report.rounds_ms("running", "running", &measured.running_us, "from the POST until all are shown running");
    report.rounds_ms("gone", "gone", &measured.gone_us, "from the DELETE until none is shown");
    report.rounds_ms("quiet", "quiet", &measured.quiet_us, "from the DELETE until the server does nothing more");
    let counted = u64::from(args.pods) * u64::from(args.rounds.rounds);
    report.cost("", &measured.started, counted);
    report.cost("delete_", &measured.ended, counted);
    let running = median(&measured.running).unwrap_or_default();
    report.memory("before_", measured.before, "before them");
    report.memory("", running, &format!("with {} pods alive", grouped(args.pods.into())));
    report.memory("after_", measured.after, "when they were gone");
    let a_pod = ratio(running.sum().saturating_sub(measured.before.sum()), args.pods.into());
    report.line("a pod", &format!("{:.1} KiB of rss and page tables", a_pod.unwrap_or(0.0) / 1024.0));
    report.field("rss_bytes_per_pod", a_pod);
    report.say(None, args.rounds.json);
    Ok(code::DONE)
}

async fn round(stage: &mut Stage, pods: u32, measured: &mut Measured) -> Result<(), CliError> {
    let name = stage.names.next();
    let body = indexed(&name, &stage.image, &[SLEEP_S], pods, pods);
    let (used, start) = (stage.used(), machine::instant());
    create(&mut stage.connection, Encoding::Json, body).await?;
    all_run(stage, &name, pods).await?;
    measured.running_us.push(us_since(start));
    measured.running.push(stage.memory());
    let running = stage.used();
    measured.started.add(&running.since(&used));
    let start = machine::instant();
    delete(&mut stage.connection, &name).await?;
    stage.completions.until(&name, |event| event["type"] == "DELETED").await?;
    none_shown(stage, &name).await?;
    measured.gone_us.push(us_since(start));
    measured.quiet_us.push(quiet(stage, start).await?);
    measured.ended.add(&stage.used().since(&running));
    Ok(())
}

async fn all_run(stage: &mut Stage, name: &str, pods: u32) -> Result<(), CliError> {
    let most = Cell::new(0);
    let ready = |event: &Value| {
        most.set(event.pointer("/object/status/ready").and_then(Value::as_u64).unwrap_or(0).max(most.get()));
        most.get() >= pods.into()
    };
    stage.completions.until(name, ready).await.map_err(|error| {
        let what = format!("{} of {} pods were shown running", grouped(most.get()), grouped(pods.into()));
        error.help(format!("{what}: the server may have no room for more at once"))
    })
}

async fn none_shown(stage: &mut Stage, name: &str) -> Result<(), CliError> {
    let path = format!("/api/v1/namespaces/default/pods?limit=1&labelSelector=batch.kubernetes.io%2Fjob-name%3D{name}");
    let begin = machine::instant();
    while begin.elapsed() < QUIET_MAX {
        let list = stage.connection.get(&path).await.map_err(RemoteError::told)?;
        if list.status == 200 && list.body["items"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(CliError::new(code::ENGINE, "pods of a deleted Job are still shown"))
}

/// Waits until the server does nothing any more; gives when that began, µs after `start`.
async fn quiet(stage: &Stage, start: Instant) -> Result<u64, CliError> {
    let begin = machine::instant();
    let (mut used_us, mut looks, mut since_us) = (stage.used().cpu_us(), 0, us_since(start));
    while begin.elapsed() < QUIET_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let now_us = stage.used().cpu_us();
        looks = if now_us.saturating_sub(used_us) < QUIET_US { looks + 1 } else { 0 };
        if looks == 0 {
            since_us = us_since(start);
        }
        if looks == QUIET_LOOKS {
            return Ok(since_us);
        }
        used_us = now_us;
    }
    let what = format!("the server is still busy {} s after its pods have gone", QUIET_MAX.as_secs());
    Err(CliError::new(code::ENGINE, what))
}
