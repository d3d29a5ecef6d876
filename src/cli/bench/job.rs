//! `coracle bench job`: pods a second of an Indexed Job, and what they cost the server.

use super::server::{Completions, Spawned, create};
use super::{Common, Round, floor_round, heading, line, median};
use crate::cli::error::{CliError, code};
use crate::cli::local::{Local, StoreKind, io_runtime};
use crate::cli::remote::Connection;
use crate::cli::{bytes_text, grouped, machine, say};
use crate::engine::now;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    common: Common,

    /// Pods of the Job at a time
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    parallelism: u32,

    /// The server's data directory; a temporary one when not given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Where the Job rounds' time and bytes went.
#[derive(Debug, Default)]
struct Cost {
    cpu_us: BTreeMap<String, u64>,
    written: u64,
    pods: u64,
}

impl Cost {
    /// Adds what the process has used since `before` and `written`.
    fn add(&mut self, pid: u32, before: &BTreeMap<String, u64>, written: u64, pods: u32) {
        for (name, us) in machine::thread_cpu_us(pid) {
            let used = us.saturating_sub(before.get(&name).copied().unwrap_or(0));
            *self.cpu_us.entry(name).or_default() += used;
        }
        self.written += machine::written_bytes(pid).saturating_sub(written);
        self.pods += u64::from(pods);
    }
}

/// Runs the rounds and prints what they took.
pub(super) fn job(args: &JobArgs) -> Result<u8, CliError> {
    // The floor needs the sandbox alone; the engine around it is idle.
    let local = Local::open(None)?;
    let spawned = Spawned::start(args.data_dir.as_deref(), StoreKind::Disk)?;
    let common = &args.common;
    let measured = io_runtime()?.block_on(async {
        let mut connection = spawned.ready().await?;
        let mut completions = Completions::watch(&mut connection, &spawned.server()?).await?;
        let warm = Common { pods: common.pods.min(10_000), image: common.image.clone(), ..*common };
        floor_round(&local, &warm)?;
        job_round(&mut connection, &mut completions, &warm, args.parallelism).await?;
        let (mut floors, mut jobs, mut cost) = (Vec::new(), Vec::new(), Cost::default());
        for _ in 0..common.rounds {
            floors.push(floor_round(&local, common)?);
            let (before, written) = (machine::thread_cpu_us(spawned.pid()), machine::written_bytes(spawned.pid()));
            jobs.push(job_round(&mut connection, &mut completions, common, args.parallelism).await?);
            cost.add(spawned.pid(), &before, written, common.pods);
        }
        Ok::<_, CliError>((floors, jobs, cost))
    });
    let rss_bytes = machine::rss_bytes(spawned.pid());
    local.engine.stop();
    let (floors, jobs, cost) = measured?;
    report(args, &floors, &jobs, &cost, rss_bytes);
    Ok(code::DONE)
}

async fn job_round(
    connection: &mut Connection,
    completions: &mut Completions,
    common: &Common,
    parallelism: u32,
) -> Result<Round, CliError> {
    let start = now();
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "generateName": "bench-" },
        "spec": {
            "completionMode": "Indexed", "completions": common.pods, "parallelism": parallelism.min(common.pods),
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": common.image }] } },
        },
    });
    let name = create(connection, &manifest).await?;
    completions.of(&name).await?;
    Ok(Round { pods: common.pods, ms: now().since_ms(start) })
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn report(args: &JobArgs, floors: &[Round], jobs: &[Round], cost: &Cost, rss_bytes: u64) {
    let common = &args.common;
    let ratio = median(jobs) as f64 / (median(floors) as f64).max(1.0);
    let per_pod = |us: u64| us as f64 / (cost.pods as f64).max(1.0);
    if common.json {
        let cpu: BTreeMap<&str, f64> = cost.cpu_us.iter().map(|(name, us)| (name.as_str(), per_pod(*us))).collect();
        say(&format!(
            "{}\n",
            json!({"bench": "job", "machine": machine::describe(), "image": common.image, "pods": common.pods,
                "parallelism": args.parallelism, "rounds": common.rounds, "threads": machine::cores(),
                "floor_pods_per_s": median(floors), "job_pods_per_s": median(jobs), "cpu_us_per_pod": cpu,
                "bytes_written_per_pod": per_pod(cost.written), "rss_bytes": rss_bytes, "ratio": ratio})
        ));
        return;
    }
    let mut text = format!("{}, parallelism {}\n", heading(common), grouped(u64::from(args.parallelism)));
    text += &line("floor", floors);
    text += &line("job", jobs);
    let mut threads: Vec<(&String, &u64)> = cost.cpu_us.iter().filter(|(_, us)| per_pod(**us) >= 0.005).collect();
    threads.sort_by_key(|(_, us)| std::cmp::Reverse(**us));
    let threads: Vec<String> = threads.iter().map(|(name, us)| format!("{name} {:.2}", per_pod(**us))).collect();
    _ = writeln!(text, "cpu       µs a pod by thread: {}", threads.join(", "));
    _ = writeln!(text, "written   {:.0} bytes a pod", per_pod(cost.written));
    _ = writeln!(text, "rss       {}", bytes_text(rss_bytes));
    _ = writeln!(text, "ratio     {ratio:.3}");
    say(&text);
}
