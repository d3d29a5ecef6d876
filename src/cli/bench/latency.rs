//! `coracle bench latency`: how long a one-pod Job takes, beside what the disk takes for one commit.
//!
//! A round creates a Job over one HTTPS connection that is kept alive, and ends when a watch that was opened before has shown it
//! complete. Rounds of the disk alternate with it, in the server's own data directory.

use super::server::{Completions, Disk, Spawned, create, delete};
use crate::cli::error::{CliError, code};
use crate::cli::local::{StoreKind, io_runtime};
use crate::cli::remote::{Connection, RemoteArgs, Server};
use crate::cli::{bytes_text, machine, say};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Rounds before those that count: they compile the module and fill the caches.
const WARM: u32 = 5;

/// Arguments of `coracle bench latency`.
#[derive(Debug, Args)]
pub(super) struct LatencyArgs {
    /// The module that each Job's pod runs
    #[arg(long, default_value = "coracle/hello")]
    image: String,

    /// Jobs, one after another
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,

    /// The server's data directory; a temporary one when not given
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,

    /// Where that server keeps Jobs and pods; in memory, no disk takes part
    #[arg(long, value_enum, value_name = "STORE", default_value_t, conflicts_with = "server")]
    store: StoreKind,

    /// Measure the server that the kubeconfig names instead of one of its own
    #[arg(long)]
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

/// Runs the rounds and prints what they took.
pub(super) fn latency(args: &LatencyArgs) -> Result<u8, CliError> {
    let spawned = if args.server { None } else { Some(Spawned::start(args.data_dir.as_deref(), args.store)?) };
    let (times, idle_bytes) = io_runtime()?.block_on(async {
        let (server, mut connection) = match &spawned {
            Some(spawned) => {
                let connection = spawned.ready().await?;
                (spawned.server()?, connection)
            }
            None => {
                let server = Server::find(&args.remote)?;
                let connection = server.connection();
                (server, connection)
            }
        };
        let idle_bytes = spawned.as_ref().map(|spawned| machine::rss_bytes(spawned.pid()));
        let mut completions = Completions::watch(&mut connection, &server).await?;
        let on_disk = spawned.as_ref().filter(|_| args.store == StoreKind::Disk);
        let disk = on_disk.map(|spawned| Disk::in_dir(spawned.dir())).transpose().map_err(no_disk)?;
        let times = rounds(args, &mut connection, &mut completions, disk).await?;
        Ok::<_, CliError>((times, idle_bytes))
    })?;
    report(args, times, idle_bytes);
    Ok(code::DONE)
}

fn no_disk(error: std::io::Error) -> CliError {
    CliError::new(code::ENGINE, format!("the disk cannot be measured: {error}"))
}

async fn rounds(
    args: &LatencyArgs,
    connection: &mut Connection,
    completions: &mut Completions,
    mut disk: Option<Disk>,
) -> Result<Times, CliError> {
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "generateName": "latency-" },
        "spec": {
            "backoffLimit": 0,
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": args.image }] } },
        },
    });
    let mut times = Times::default();
    for round in 0..WARM + args.rounds {
        if round == WARM {
            times = Times::default();
        }
        if let Some(disk) = &mut disk {
            let start = machine::instant();
            disk.commit().map_err(no_disk)?;
            times.disk.push(us_since(start));
        }
        let start = machine::instant();
        let name = create(connection, &manifest).await?;
        times.create.push(us_since(start));
        completions.of(&name).await?;
        times.complete.push(us_since(start));
        if args.server {
            delete(connection, &name).await?;
        }
    }
    Ok(times)
}

fn us_since(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The value that `percent` of `sorted` do not pass.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

fn report(args: &LatencyArgs, mut times: Times, idle_bytes: Option<u64>) {
    [&mut times.create, &mut times.complete, &mut times.disk].into_iter().for_each(|all| all.sort_unstable());
    let both = |sorted: &[u64]| (ms(percentile(sorted, 50)), ms(percentile(sorted, 99)));
    let (create, complete, disk) = (both(&times.create), both(&times.complete), both(&times.disk));
    let has_disk = !times.disk.is_empty();
    if args.json {
        let of = |(p50, p99): (f64, f64)| json!({"p50_ms": p50, "p99_ms": p99});
        let result = json!({"bench": "latency", "machine": machine::describe(), "image": args.image, "rounds": args.rounds,
            "store": if args.server { Value::Null } else { args.store.name().into() }, "create": of(create), "complete": of(complete), "disk": if has_disk { of(disk) } else { Value::Null },
            "idle_rss_bytes": idle_bytes});
        say(&format!("{result}\n"));
        return;
    }
    let line = |name: &str, (p50, p99): (f64, f64), what: &str| {
        format!("{name:<9} p50 {p50:.2} ms, p99 {p99:.2} ms  ({what})\n")
    };
    let store = if args.server { "as it is" } else { args.store.name() };
    let settings = format!("{}, {} rounds, store: {store}", args.image, args.rounds);
    let mut text = format!("machine   {}\nsettings  {settings}\n", machine::describe());
    text += &line("create", create, "POST until 201: durable");
    text += &line("complete", complete, "POST until the watch shows Complete");
    if has_disk {
        text += &line("disk", disk, "4 KiB appended and synced, same directory");
    }
    if let Some(bytes) = idle_bytes {
        _ = writeln!(text, "rss       {} before the first Job", bytes_text(bytes));
    }
    say(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99), percentile(&sorted, 100)), (100, 198, 200));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99), percentile(&[], 99)), (7, 7, 0));
    }
}
