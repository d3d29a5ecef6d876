//! `coracle bench`: this machine's floor, and what Coracle makes of it.
//!
//! The floor is a bare wasmtime loop in this process with the same engine settings, module and threads; Jobs run on a server of
//! their own, spoken to over HTTPS as any client does. A ratio is always of one run: the rounds of both alternate, so that a
//! noisy machine disturbs both alike.

mod job;
mod latency;
mod server;

use super::error::{CliError, code};
use super::local::Local;
use super::{grouped, machine, say};
use crate::engine::now;
use clap::{Args, Subcommand};
use serde_json::json;

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
    /// An Indexed Job on a server of its own, over HTTPS, until a watch sees it complete; beside the floor
    Job(job::JobArgs),
    /// One-pod Jobs one after another, from their creation until a watch sees them complete; beside the disk
    Latency(latency::LatencyArgs),
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
        What::Job(args) => job::job(args),
        What::Latency(args) => latency::latency(args),
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
