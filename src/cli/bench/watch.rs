//! `coracle bench watch`: what watchers of a Job's pods cost it.
//!
//! Rounds with and without watchers alternate; what is compared is the Job, from its creation until it is complete. How long
//! after that the slowest watcher had read the end of every pod stands beside it, as does what server and watchers used until
//! then: these live in this process and share the cores with the server. Invariant: a round begins when every watcher of the
//! one before has read the end of every pod.

use super::completions::{QUIET_MAX, has};
use super::floor::{Floor, WARM_PODS};
use super::report::Report;
use super::rounds::{Round, rate, ratio};
use super::stage::{Stage, on_stage};
use super::{DataArg, ImageArg, Module, ParallelismArg, PodsArg, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::local::StoreKind;
use crate::cli::machine::{self, Memory, Used, file_system};
use crate::cli::remote::{RemoteError, Server, Stream};
use crate::cli::{bytes_text, grouped};
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

/// A watcher that was too slow so many times in a round does not get to its end.
const AGAIN_MAX: u32 = 100;

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    image: ImageArg,

    #[command(flatten)]
    pods: PodsArg,

    #[command(flatten)]
    parallelism: ParallelismArg,

    /// Watchers of the Job's pods, each on a connection of its own
    #[arg(long, value_name = "W", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    watchers: u16,

    #[command(flatten)]
    rounds: RoundsArgs,

    #[command(flatten)]
    data: DataArg,
}

/// What the rounds took.
#[derive(Debug, Default)]
struct Measured {
    floors: Vec<Round>,
    without: Vec<Round>,
    without_used: Used,
    with: Vec<Round>,
    /// From a Job's end until every watcher had read everything, µs.
    lags_us: Vec<u64>,
    /// Until then.
    with_used: Used,
    /// What the watchers took, with the little that creates the Job and waits for it.
    client: Used,
    read: Read,
    /// Events that were read before the Job was complete.
    early: u64,
    memory: Memory,
    disk: String,
}

/// What a watcher has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Read {
    events: u64,
    bytes: u64,
    /// Pods whose end it has seen since it began the last time.
    ended: u64,
    /// How often it was too slow and had to begin again.
    again: u32,
}

/// Runs the rounds and prints what they took.
pub(super) fn watch(args: &WatchArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image.image)?;
    let floor = Floor::open(&module, args.pods.pods)?;
    let measured = on_stage(&module, args.data.data_dir.as_deref(), StoreKind::Disk, async |stage| {
        rounds(args, &floor, stage).await
    })?;
    let settings = [
        ("image", module.image.into()),
        ("pods", args.pods.pods.into()),
        ("rounds", args.rounds.rounds.into()),
        ("parallelism", args.parallelism.parallelism.into()),
        ("watchers", args.watchers.into()),
        ("data_on", measured.disk.as_str().into()),
    ];
    report(args, &floor, Report::new("watch", &settings), &measured);
    floor.stop();
    Ok(code::DONE)
}

fn report(args: &WatchArgs, floor: &Floor, mut report: Report, measured: &Measured) {
    let pods = u64::from(args.pods.pods) * u64::from(args.rounds.rounds);
    report.rate("floor", "floor_", &measured.floors);
    report.rate("without", "without_", &measured.without);
    report.rate("with", "", &measured.with);
    let what = "after the Job until the slowest watcher had read the end of every pod";
    report.rounds_ms("lag", "lag", &measured.lags_us, what);
    report.cost("without_", &measured.without_used, pods);
    report.cost("", &measured.with_used, pods);
    report.client(&measured.client, pods);
    floor.tell_cpu(&mut report, &measured.with_used, pods);
    let read = &measured.read;
    let each = pods * u64::from(args.watchers);
    let per_pod = |amount| ratio(amount, each).unwrap_or(0.0);
    report.line(
        "watchers",
        &format!(
            "{:.2} events and {:.0} bytes a pod each, {} in all; {:.2} events by the end of the Job; began again {} times",
            per_pod(read.events),
            per_pod(read.bytes),
            bytes_text(read.bytes),
            per_pod(measured.early),
            grouped(read.again.into())
        ),
    );
    report.field("events_per_pod", per_pod(read.events));
    report.field("watched_bytes_per_pod", per_pod(read.bytes));
    report.field("early_events_per_pod", per_pod(measured.early));
    report.field("expired", read.again);
    report.memory("", measured.memory, "at the end");
    let of_floor = ratio(rate(&measured.with), rate(&measured.floors));
    report.line("of floor", &format!("{:.3} with watchers", of_floor.unwrap_or(0.0)));
    report.field("floor_ratio", of_floor);
    report.say(ratio(rate(&measured.with), rate(&measured.without)), args.rounds.json);
}

async fn rounds(args: &WatchArgs, floor: &Floor, stage: &mut Stage) -> Result<Measured, CliError> {
    let (pods, parallelism) = (args.pods.pods, args.parallelism.parallelism);
    let mut measured = Measured { disk: file_system(stage.spawned.dir()), ..Measured::default() };
    let name = stage.names.next();
    stage.run(&name, pods.min(WARM_PODS), parallelism).await?;
    for _ in 0..args.rounds.rounds {
        measured.floors.push(floor.round(pods)?);
        let name = stage.names.next();
        let (round, used) = stage.run_counted(&name, pods, parallelism).await?;
        measured.without.push(round);
        measured.without_used.add(&used);
        watched(args, stage, &mut measured).await?;
    }
    measured.memory = stage.memory();
    Ok(measured)
}

async fn watched(args: &WatchArgs, stage: &mut Stage, measured: &mut Measured) -> Result<(), CliError> {
    let name = stage.names.next();
    let (mut watchers, events) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for _ in 0..args.watchers {
        let path = path(&name);
        let stream = open(&stage.server, &path).await?;
        let server = Arc::clone(&stage.server);
        watchers.spawn(read_all(server, path, stream, args.pods.pods.into(), Arc::clone(&events)));
    }
    let (before, client) = (stage.used(), Used::here());
    measured.with.push(stage.run(&name, args.pods.pods, args.parallelism.parallelism).await?);
    measured.early += events.load(Ordering::Relaxed);
    let complete = machine::instant();
    while let Some(read) = watchers.join_next().await {
        let broke = |error| CliError::new(code::ENGINE, format!("a watcher of the benchmark broke: {error}"));
        let read = read.map_err(broke)??;
        measured.read.events += read.events;
        measured.read.bytes += read.bytes;
        measured.read.again += read.again;
    }
    measured.lags_us.push(machine::us_since(complete));
    measured.with_used.add(&stage.used().since(&before));
    measured.client.add(&Used::here().since(&client));
    Ok(())
}

fn path(job: &str) -> String {
    format!("/api/v1/namespaces/default/pods?watch=true&labelSelector=batch.kubernetes.io%2Fjob-name%3D{job}")
}

async fn open(server: &Arc<Server>, path: &str) -> Result<Stream, CliError> {
    let stream = server.connection().stream(path).await.map_err(RemoteError::told)?;
    stream.map_err(|answer| server.answered(&answer).told())
}

/// Reads every event until it has seen the end of `pods` pods, and counts them. One that was too slow begins again, as
/// clients do.
async fn read_all(
    server: Arc<Server>,
    path: String,
    mut stream: Stream,
    pods: u64,
    events: Arc<AtomicU64>,
) -> Result<Read, CliError> {
    let mut read = Read::default();
    while read.ended < pods {
        let Ok(line) = tokio::time::timeout(QUIET_MAX, stream.next_line()).await else {
            let what = format!("a watcher has seen {} of {} pods end, and hears nothing", read.ended, pods);
            return Err(CliError::new(code::ENGINE, what));
        };
        events.fetch_add(1, Ordering::Relaxed);
        match line.map_err(RemoteError::told)? {
            Some(line) if !read.is_over(&line) => {}
            Some(_) if read.again < AGAIN_MAX => {
                (read.ended, read.again) = (0, read.again + 1);
                stream = open(&server, &path).await?;
            }
            Some(_) => return Err(CliError::new(code::ENGINE, "a watcher is always too slow")),
            None => return Err(CliError::new(code::ENGINE, "the server ended a watch of pods")),
        }
    }
    Ok(read)
}

impl Read {
    /// Notes an event; whether it is the last one of its watch.
    fn is_over(&mut self, line: &[u8]) -> bool {
        self.events += 1;
        self.bytes += line.len() as u64 + 1;
        self.ended += u64::from(has(line, "\"phase\":\"Succeeded\""));
        line.starts_with(b"{\"type\":\"ERROR\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::testing::{Reply, scripted};
    use std::sync::atomic::AtomicU32;
    use tokio::sync::mpsc;

    const ENDED: &str = r#"{"type":"MODIFIED","object":{"status":{"phase":"Succeeded"}}}"#;
    const ADDED: &str = r#"{"type":"ADDED","object":{"status":{"phase":"Pending"}}}"#;
    const EXPIRED: &str = r#"{"type":"ERROR","object":{"code":410}}"#;

    fn read(streams: &'static [&'static [&'static str]]) -> Result<Read, CliError> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let nth = AtomicU32::new(0);
            let there = scripted(move |_| {
                let lines = streams[nth.fetch_add(1, Ordering::SeqCst) as usize];
                let (sender, receiver) = mpsc::unbounded_channel();
                lines.iter().for_each(|line| sender.send(format!("{line}\n").into()).expect("it listens"));
                Reply::Stream(receiver)
            })
            .await;
            let stream = open(&there.server, "/pods").await?;
            read_all(Arc::clone(&there.server), "/pods".to_owned(), stream, 2, Arc::default()).await
        })
    }

    #[test]
    fn a_watcher_reads_on_until_every_pod_has_ended() {
        let bytes = |lines: &[&str]| lines.iter().map(|line| line.len() as u64 + 1).sum();
        let all: &[&str] = &[ADDED, ADDED, ENDED, ENDED];
        assert_eq!(
            read(&[&[ADDED, ADDED, ENDED, ENDED]]).expect("all"),
            Read { events: 4, bytes: bytes(all), ended: 2, again: 0 }
        );
        let all: &[&str] = &[ADDED, ENDED, EXPIRED, ENDED, ENDED];
        let again = read(&[&[ADDED, ENDED, EXPIRED], &[ENDED, ENDED]]).expect("all");
        assert_eq!(again, Read { events: 5, bytes: bytes(all), ended: 2, again: 1 });
        assert_eq!(read(&[&[ADDED, ENDED]]).expect_err("the end is missing").code(), code::ENGINE);
    }
}
