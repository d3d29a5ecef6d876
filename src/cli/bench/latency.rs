//! `coracle bench latency`: how long a one-pod Job takes, beside what the disk takes for one commit.
//!
//! A round creates a Job over one HTTPS connection that is kept alive, and ends when a watch that was opened before has shown it
//! complete. Rounds of the disk alternate with it, in the server's own data directory. With `--load` the same rounds run once
//! more while a large Job runs.

use super::completions::Completions;
use super::manifest::{Encoding, indexed};
use super::report::Report;
use super::rounds::{percentile, ratio};
use super::server::Disk;
use super::stage::{Names, create, delete, on_stage};
use super::{DataArg, ImageArg, Module};
use crate::cli::error::{CliError, code};
use crate::cli::local::{StoreKind, io_runtime};
use crate::cli::machine::{self, Memory, file_system, us_since};
use crate::cli::remote::{Connection, RemoteArgs, Server};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;

/// Rounds before those that count: they compile the module and fill the caches.
const WARM: u32 = 5;

/// Pods of the load at a time.
const LOAD_PARALLELISM: u32 = 10_000;

/// Rounds for each one that counts, at the most: the others outlast the load.
const TRIES_MAX: u32 = 10;

/// Arguments of `coracle bench latency`.
#[derive(Debug, Args)]
pub(super) struct LatencyArgs {
    #[command(flatten)]
    image: ImageArg,

    /// Jobs, one after another
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,

    /// Then the same again while a Job of this many indexes runs; another begins when it has completed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    load: Option<u32>,

    #[command(flatten)]
    data: DataArg,

    /// Where that server keeps Jobs and pods; in memory, no disk takes part
    #[arg(long, value_enum, value_name = "STORE", default_value_t, conflicts_with = "server")]
    store: StoreKind,

    /// Measure the server that the kubeconfig names instead of one of its own
    #[arg(long, conflicts_with = "data_dir")]
    server: bool,

    #[command(flatten)]
    remote: RemoteArgs,

    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What the rounds took, microseconds.
#[derive(Debug, Default)]
struct Times {
    /// From the request until the answer, which is durable.
    create: Vec<u64>,
    /// From the request until the watch shows it complete.
    complete: Vec<u64>,
    /// One commit of the disk.
    disk: Vec<u64>,
}

/// Everything that was measured.
#[derive(Debug)]
struct Measured {
    idle: Times,
    loaded: Option<Times>,
    /// How the Jobs got there.
    way: String,
    before: Option<Memory>,
}

/// Runs the rounds and prints what they took.
pub(super) fn latency(args: &LatencyArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image.image)?;
    let measured = if args.server {
        there(args, &module)
    } else {
        on_stage(&module, args.data.data_dir.as_deref(), args.store, async |stage| {
            let before = Some(stage.memory());
            let (store, mut disk) = match args.store {
                StoreKind::Disk => {
                    let dir = stage.spawned.dir();
                    (format!("data on {}", file_system(dir)), Some(Disk::in_dir(dir).map_err(no_disk)?))
                }
                StoreKind::Memory => ("store in memory".to_owned(), None),
            };
            let door = Door { connection: &mut stage.connection, completions: &mut stage.completions, deletes: false };
            let (idle, loaded) = measure(args, &module, door, &mut disk).await?;
            Ok(Measured { idle, loaded, way: format!("over HTTPS, {store}"), before })
        })
    }?;
    report(args, module.image, measured);
    Ok(code::DONE)
}

fn there(args: &LatencyArgs, module: &Module) -> Result<Measured, CliError> {
    io_runtime()?.block_on(async {
        let server = Server::find(&args.remote)?;
        let mut connection = server.connection();
        module.upload(&mut connection).await?;
        let mut completions = Completions::watch(&mut connection, &server, "").await?;
        let door = Door { connection: &mut connection, completions: &mut completions, deletes: true };
        let (idle, loaded) = measure(args, module, door, &mut None).await?;
        Ok(Measured { idle, loaded, way: format!("of {}", server.url()), before: None })
    })
}

fn no_disk(error: std::io::Error) -> CliError {
    CliError::new(code::ENGINE, format!("the disk cannot be measured: {error}"))
}

/// Where Jobs go in.
struct Door<'a> {
    connection: &'a mut Connection,
    completions: &'a mut Completions,
    /// Whether a Job would stay behind.
    deletes: bool,
}

impl Door<'_> {
    async fn create(&mut self, body: Bytes) -> Result<(), CliError> {
        create(self.connection, Encoding::Json, body).await
    }

    /// Deletes a Job where it would stay behind.
    async fn clear(&mut self, name: &str) -> Result<(), CliError> {
        if self.deletes { delete(self.connection, name).await } else { Ok(()) }
    }
}

async fn measure(
    args: &LatencyArgs,
    module: &Module,
    mut door: Door<'_>,
    disk: &mut Option<Disk>,
) -> Result<(Times, Option<Times>), CliError> {
    let mut names = Names::new("latency");
    let image = &module.image;
    rounds(WARM, image, &mut names, &mut door, disk, None).await?;
    let idle = rounds(args.rounds, image, &mut names, &mut door, disk, None).await?;
    let Some(pods) = args.load else { return Ok((idle, None)) };
    let mut load = Load { pods, name: String::new() };
    let loaded = rounds(args.rounds, image, &mut names, &mut door, disk, Some(&mut load)).await?;
    door.clear(&load.name).await?;
    Ok((idle, Some(loaded)))
}

/// A Job that keeps the server busy.
struct Load {
    pods: u32,
    /// None runs before the first round.
    name: String,
}

impl Load {
    /// Begins a new one where the last one has completed.
    async fn keep_up(&mut self, image: &str, names: &mut Names, door: &mut Door<'_>) -> Result<(), CliError> {
        if !self.name.is_empty() && !door.completions.has_seen(&self.name) {
            return Ok(());
        }
        if !self.name.is_empty() {
            door.clear(&self.name).await?;
        }
        self.name = names.next();
        door.create(indexed(&self.name, image, &[], self.pods, LOAD_PARALLELISM)).await
    }
}

async fn rounds(
    count: u32,
    image: &str,
    names: &mut Names,
    door: &mut Door<'_>,
    disk: &mut Option<Disk>,
    mut load: Option<&mut Load>,
) -> Result<Times, CliError> {
    let mut times = Times::default();
    let mut tries = 0;
    while times.complete.len() < count as usize {
        tries += 1;
        if tries > count.saturating_mul(TRIES_MAX) {
            return Err(CliError::new(code::USAGE, "the load ends before one Job does").help("give more: --load N"));
        }
        if let Some(load) = &mut load {
            load.keep_up(image, names, door).await?;
        }
        if let Some(disk) = disk {
            let start = machine::instant();
            disk.commit().map_err(no_disk)?;
            times.disk.push(us_since(start));
        }
        let name = names.next();
        let body = Encoding::Json.one_pod(&name, image);
        let start = machine::instant();
        door.create(body).await?;
        let create_us = us_since(start);
        door.completions.of(&name).await?;
        let complete_us = us_since(start);
        door.clear(&name).await?;
        // A round counts when the load was there to its end.
        if load.as_ref().is_none_or(|load| !door.completions.has_seen(&load.name)) {
            times.create.push(create_us);
            times.complete.push(complete_us);
        }
    }
    Ok(times)
}

fn report(args: &LatencyArgs, image: String, measured: Measured) {
    let mut settings = vec![("image", image.into()), ("rounds", args.rounds.into()), ("way", measured.way.into())];
    settings.extend(args.load.map(|load| ("load", load.into())));
    let mut report = Report::new("latency", &settings);
    let middle = |times: &Times| {
        let mut sorted = times.complete.clone();
        sorted.sort_unstable();
        percentile(&sorted, 50)
    };
    let (idle_us, loaded_us) = (middle(&measured.idle), measured.loaded.as_ref().map(middle));
    for (name, value) in fields(&mut report, measured.idle, "") {
        report.field(name, value);
    }
    if let Some(times) = measured.loaded {
        let loaded = fields(&mut report, times, ", under load");
        report.field("loaded", loaded.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>());
    }
    let slower = loaded_us.and_then(|loaded_us| ratio(loaded_us, idle_us));
    if let Some(slower) = slower {
        report.line("slower", &format!("{slower:.2} times until Complete under load (p50)"));
    }
    report.field("slower", slower);
    if let Some(before) = measured.before {
        report.memory("", before, "before the first Job");
    }
    report.say(None, args.json);
}

fn fields(report: &mut Report, times: Times, when: &str) -> [(&'static str, Value); 3] {
    [
        ("create", report.times("create", times.create, &format!("POST until 201: durable{when}"))),
        ("complete", report.times("complete", times.complete, &format!("POST until it is shown Complete{when}"))),
        ("disk", report.times("disk", times.disk, &format!("4 KiB appended and synced, same directory{when}"))),
    ]
}
