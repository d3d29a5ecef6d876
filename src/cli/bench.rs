//! `coracle bench`: this machine's floor, and what Coracle makes of it.
//!
//! The floor is a bare wasmtime loop with the same engine settings, module and threads. A ratio is always of one run: the
//! rounds of both alternate, so that a noisy machine disturbs both alike.

use super::error::{CliError, code};
use super::local::{Local, io_runtime};
use super::{bytes_text, grouped, machine, say};
use crate::engine::now;
use crate::model::ConditionType;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Arguments of `coracle bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The bare wasmtime loop: same engine settings, no log, no control, no store
    Floor(Common),
    /// An Indexed Job through router, control, SQLite on disk, workers and logs, beside the floor
    Job(JobArgs),
}

#[derive(Debug, Args)]
struct Common {
    /// The module that every pod runs
    #[arg(long, default_value = "coracle/hello")]
    image: String,

    /// Pods a round
    #[arg(long = "indexes", visible_alias = "pods", value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pods: u32,

    /// Rounds; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct JobArgs {
    #[command(flatten)]
    common: Common,

    /// Pods of the Job at a time
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    parallelism: u32,

    /// Where the store lies; a temporary directory when not given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// What a round took.
#[derive(Debug, Clone, Copy)]
struct Round {
    pods: u32,
    ms: u64,
}

impl Round {
    fn per_second(self) -> u64 {
        u64::from(self.pods) * 1000 / self.ms.max(1)
    }
}

fn median(rounds: &[Round]) -> u64 {
    let mut rates: Vec<u64> = rounds.iter().map(|round| round.per_second()).collect();
    rates.sort_unstable();
    rates.get(rates.len() / 2).copied().unwrap_or(0)
}

/// Runs the benchmark and prints it.
pub(super) fn bench(args: &BenchArgs) -> Result<u8, CliError> {
    match &args.what {
        What::Floor(common) => floor(common),
        What::Job(args) => job(args),
    }
}

fn floor_round(local: &Local, common: &Common) -> Result<Round, CliError> {
    let start = now();
    let threads = machine::cores() as usize;
    let result = local
        .sandbox
        .floor(&common.image, std::slice::from_ref(&common.image), threads, u64::from(common.pods))
        .map_err(|error| CliError::new(code::MODULE, format!("the floor cannot be measured: {error}")))?;
    if result.failed > 0 {
        return Err(CliError::new(code::MODULE, format!("`{}` must end with 0 to be measured", common.image)));
    }
    Ok(Round { pods: common.pods, ms: now().since_ms(start) })
}

fn floor(common: &Common) -> Result<u8, CliError> {
    let local = Local::open(None)?;
    // A first round compiles the module and fills the caches.
    floor_round(&local, &Common { pods: common.pods.min(10_000), image: common.image.clone(), ..*common })?;
    let rounds = (0..common.rounds).map(|_| floor_round(&local, common)).collect::<Result<Vec<_>, _>>()?;
    local.engine.stop();
    if common.json {
        say(&format!(
            "{}\n",
            json!({"bench": "floor", "machine": machine::describe(), "image": common.image,
            "pods": common.pods, "rounds": common.rounds, "threads": machine::cores(), "floor_pods_per_s": median(&rounds)})
        ));
    } else {
        say(&format!("{}\n{}", heading(common), line("floor", &rounds)));
    }
    Ok(code::DONE)
}

fn heading(common: &Common) -> String {
    format!(
        "machine   {}\nsettings  {}, {} pods a round, {} rounds, {} threads",
        machine::describe(),
        common.image,
        grouped(u64::from(common.pods)),
        common.rounds,
        machine::cores(),
    )
}

fn line(name: &str, rounds: &[Round]) -> String {
    let each: Vec<String> = rounds.iter().map(|round| grouped(round.per_second())).collect();
    format!("{name:<9} {} pods/s  (median of {})\n", grouped(median(rounds)), each.join(", "))
}

/// Where the Job rounds' time and bytes went.
#[derive(Debug, Default)]
struct Cost {
    cpu_us: BTreeMap<String, u64>,
    written: u64,
    pods: u64,
}

fn job(args: &JobArgs) -> Result<u8, CliError> {
    let temporary = match &args.data_dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(|error| CliError::new(code::ENGINE, error.to_string()))?),
    };
    let dir = args.data_dir.as_deref().or_else(|| temporary.as_ref().map(tempfile::TempDir::path));
    let local = Local::open(dir)?;
    let runtime = io_runtime()?;
    let common = &args.common;
    let warm = Common { pods: common.pods.min(10_000), image: common.image.clone(), ..*common };
    floor_round(&local, &warm)?;
    runtime.block_on(job_round(&local, &warm, args.parallelism))?;
    let (mut floors, mut jobs, mut cost) = (Vec::new(), Vec::new(), Cost::default());
    for _ in 0..common.rounds {
        floors.push(floor_round(&local, common)?);
        let (before, written) = (machine::thread_cpu_us(), machine::written_bytes());
        jobs.push(runtime.block_on(job_round(&local, common, args.parallelism))?);
        for (name, us) in machine::thread_cpu_us() {
            *cost.cpu_us.entry(name.clone()).or_default() += us - before.get(&name).copied().unwrap_or(0).min(us);
        }
        cost.written += machine::written_bytes() - written;
        cost.pods += u64::from(common.pods);
    }
    local.engine.stop();
    report(args, &floors, &jobs, &cost);
    Ok(code::DONE)
}

async fn job_round(local: &Local, common: &Common, parallelism: u32) -> Result<Round, CliError> {
    let start = now();
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "generateName": "bench-" },
        "spec": {
            "completionMode": "Indexed", "completions": common.pods, "parallelism": parallelism.min(common.pods),
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": common.image }] } },
        },
    });
    let answer = local.api.post("/apis/batch/v1/namespaces/default/jobs", &manifest).await;
    let name = answer.body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if answer.status != 201 {
        return Err(CliError::new(code::USAGE, format!("the Job was refused: {}", answer.body["message"])));
    }
    let view = local.handle().view();
    loop {
        let rv = view.rv();
        let job = view.job("default", &name);
        let status = job.map(|job| job.status).unwrap_or_default();
        if status.condition(ConditionType::Failed).is_some() {
            return Err(CliError::new(code::JOB_FAILED, "the Job failed: the module must end with 0"));
        }
        if status.is_finished() {
            return Ok(Round { pods: common.pods, ms: now().since_ms(start) });
        }
        view.shown(rv + 1).await;
        // The thread of this loop shares the cores with the workers: it looks again only when there is something new.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn report(args: &JobArgs, floors: &[Round], jobs: &[Round], cost: &Cost) {
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
                "bytes_written_per_pod": per_pod(cost.written), "rss_bytes": machine::rss_bytes(), "ratio": ratio})
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
    _ = writeln!(text, "rss       {}", bytes_text(machine::rss_bytes()));
    _ = writeln!(text, "ratio     {ratio:.3}");
    say(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_counts() {
        let round = |ms| Round { pods: 1000, ms };
        assert_eq!(median(&[round(1000), round(10), round(500)]), 2000);
        assert_eq!(median(&[]), 0);
        assert_eq!(round(0).per_second(), 1_000_000);
    }
}
