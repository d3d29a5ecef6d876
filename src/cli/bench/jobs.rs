//! `coracle bench jobs`: Jobs a second, each of one pod, created by many connections at once.
//!
//! Bodies are made before the time begins, and answers are not read beyond their status. A watch of the Jobs that succeeded
//! counts them. Invariant: a round ends when every Job was seen complete, each counted once.

use super::completions::{Completions, has};
use super::floor::{Floor, WARM_PODS};
use super::manifest::Encoding;
use super::report::Report;
use super::rounds::{Round, median, rate, ratio};
use super::stage::{Stage, create, on_stage};
use super::{DataArg, ImageArg, Module, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::grouped;
use crate::cli::local::StoreKind;
use crate::cli::machine::{self, Memory, Used, file_system, us_since};
use crate::cli::remote::{Connection, RemoteError};
use bytes::Bytes;
use clap::{Args, ValueEnum as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::{JoinError, JoinSet};

#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    #[command(flatten)]
    image: ImageArg,

    /// Jobs a round
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    jobs: u32,

    /// Connections, each with one request under way
    #[arg(long, value_name = "R", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4000))]
    in_flight: u16,

    /// How Jobs are written
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    encoding: Encoding,

    #[command(flatten)]
    rounds: RoundsArgs,

    #[command(flatten)]
    data: DataArg,
}

/// What the rounds took.
#[derive(Debug, Default)]
struct Measured {
    floors: Vec<Round>,
    jobs: Vec<Round>,
    used: Used,
    client: Used,
    /// From a request until its answer, µs.
    creates_us: Vec<u64>,
    /// What the server's memory grew by in each round, bytes; a round in which it shrank counts as 0.
    grew: Vec<u64>,
    memory: Memory,
    disk: String,
}

/// Runs the rounds and prints what they took.
pub(super) fn jobs(args: &JobsArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image.image)?;
    let floor = Floor::open(&module, args.jobs)?;
    let measured = on_stage(&module, args.data.data_dir.as_deref(), StoreKind::Disk, async |stage| {
        rounds(args, &floor, stage).await
    })?;
    let encoding = args.encoding.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let settings = [
        ("image", module.image.into()),
        ("jobs", args.jobs.into()),
        ("rounds", args.rounds.rounds.into()),
        ("in_flight", args.in_flight.into()),
        ("encoding", encoding.into()),
        ("data_on", measured.disk.into()),
    ];
    let mut report = Report::new("jobs", &settings);
    report.rate("floor", "floor_", &measured.floors);
    report.rate("jobs", "", &measured.jobs);
    let create = report.times("create", measured.creates_us, "POST until 201, with all the others under way");
    report.field("create", create);
    let counted = u64::from(args.jobs) * u64::from(args.rounds.rounds);
    report.cost("", &measured.used, counted);
    report.client(&measured.client, counted);
    floor.tell_cpu(&mut report, &measured.used, counted);
    floor.stop();
    let kept = counted + u64::from(args.jobs.min(WARM_PODS));
    report.memory("", measured.memory, &format!("with {} ended Jobs", grouped(kept)));
    let a_job = ratio(median(&measured.grew).unwrap_or(0), args.jobs.into());
    report.line("kept", &format!("{:.0} bytes of rss and page tables a finished Job", a_job.unwrap_or(0.0)));
    report.field("rss_bytes_per_job", a_job);
    report.say(ratio(rate(&measured.jobs), rate(&measured.floors)), args.rounds.json);
    Ok(code::DONE)
}

async fn rounds(args: &JobsArgs, floor: &Floor, stage: &mut Stage) -> Result<Measured, CliError> {
    let mut client = Client::open(stage, args.in_flight).await?;
    let mut measured = Measured { disk: file_system(stage.spawned.dir()), ..Measured::default() };
    client.round(args, stage, args.jobs.min(WARM_PODS)).await?;
    for _ in 0..args.rounds.rounds {
        measured.floors.push(floor.round(args.jobs)?);
        let (memory, used, client_used) = (stage.memory().sum(), stage.used(), Used::here());
        let (round, creates_us) = client.round(args, stage, args.jobs).await?;
        measured.used.add(&stage.used().since(&used));
        measured.client.add(&Used::here().since(&client_used));
        measured.grew.push(stage.memory().sum().saturating_sub(memory));
        measured.jobs.push(round);
        measured.creates_us.extend(creates_us);
    }
    measured.memory = stage.memory();
    Ok(measured)
}

/// Connections that are open, and the watch of what succeeds.
struct Client {
    connections: Vec<Connection>,
    succeeded: Completions,
}

/// What a connection gives back: itself, and what its requests took, µs.
type Sent = Result<(Connection, Vec<u64>), CliError>;

impl Client {
    async fn open(stage: &mut Stage, connections: u16) -> Result<Self, CliError> {
        let succeeded = "&fieldSelector=status.successful%3D1";
        let succeeded = Completions::watch(&mut stage.connection, &stage.server, succeeded).await?;
        let mut open = Vec::with_capacity(connections.into());
        for _ in 0..connections {
            let mut connection = stage.server.connection();
            connection.get("/version").await.map_err(RemoteError::told)?;
            open.push(connection);
        }
        Ok(Self { connections: open, succeeded })
    }

    /// Creates `jobs` Jobs and waits until all have completed.
    async fn round(&mut self, args: &JobsArgs, stage: &mut Stage, jobs: u32) -> Result<(Round, Vec<u64>), CliError> {
        let prefix = stage.names.next();
        let body = |index| args.encoding.one_pod(&format!("{prefix}-{index}"), &stage.image);
        let bodies: Arc<[Bytes]> = (0..jobs).map(body).collect();
        let next = Arc::new(AtomicUsize::new(0));
        let mut seen = Seen::new(&prefix, jobs);
        let start = machine::instant();
        let mut sending: JoinSet<Sent> = JoinSet::new();
        for connection in self.connections.drain(..) {
            sending.spawn(send(connection, args.encoding, Arc::clone(&bodies), Arc::clone(&next)));
        }
        let mut creates_us = Vec::with_capacity(bodies.len());
        while seen.missing > 0 || !sending.is_empty() {
            tokio::select! {
                line = self.succeeded.line(), if seen.missing > 0 => seen.note(&line?),
                Some(sent) = sending.join_next() => {
                    let (connection, took) = joined(sent)?;
                    self.connections.push(connection);
                    creates_us.extend(took);
                }
            }
        }
        Ok((Round::since(start, jobs), creates_us))
    }
}

fn joined(sent: Result<Sent, JoinError>) -> Sent {
    sent.unwrap_or_else(|error| {
        Err(CliError::new(code::ENGINE, format!("a connection of the benchmark broke: {error}")))
    })
}

/// Sends bodies that nobody else has taken, one after another, until none is left.
async fn send(mut connection: Connection, encoding: Encoding, bodies: Arc<[Bytes]>, next: Arc<AtomicUsize>) -> Sent {
    let mut took_us = Vec::new();
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let start = machine::instant();
        create(&mut connection, encoding, body.clone()).await?;
        took_us.push(us_since(start));
    }
    Ok((connection, took_us))
}

/// Which Jobs of a round were seen complete.
#[derive(Debug)]
struct Seen {
    /// How the name begins in an event, up to the Job's number.
    name: String,
    complete: Vec<bool>,
    missing: u32,
}

impl Seen {
    fn new(prefix: &str, jobs: u32) -> Self {
        Self { name: format!("\"name\":\"{prefix}-"), complete: vec![false; jobs as usize], missing: jobs }
    }

    fn note(&mut self, line: &[u8]) {
        if has(line, "\"type\":\"Complete\"")
            && let Some(index) = self.index(line)
            && let Some(is_complete) = self.complete.get_mut(index)
            && !std::mem::replace(is_complete, true)
        {
            self.missing -= 1;
        }
    }

    fn index(&self, line: &[u8]) -> Option<usize> {
        let (_, rest) = std::str::from_utf8(line).ok()?.split_once(&self.name)?;
        rest.split('"').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_counted_once_and_only_when_it_is_complete() {
        let mut seen = Seen::new("a-1", 3);
        let line = |name: &str, kind: &str| {
            format!(
                r#"{{"type":"ADDED","object":{{"metadata":{{"name":"{name}"}},"conditions":[{{"type":"{kind}"}}]}}}}"#
            )
        };
        let cases = [
            (line("a-1-0", "SuccessCriteriaMet"), 3),
            (line("a-1-0", "Complete"), 2),
            (line("a-1-0", "Complete"), 2),
            (line("a-2-1", "Complete"), 2),
            (line("a-1-3", "Complete"), 2),
            (line("a-1-x", "Complete"), 2),
            (line("a-1-2", "Complete"), 1),
        ];
        for (line, missing) in cases {
            seen.note(line.as_bytes());
            assert_eq!(seen.missing, missing, "{line}");
        }
    }
}
