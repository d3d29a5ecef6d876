//! `coracle sim`: seeded histories of the Job controller, on all cores.
//!
//! Knows how to spread seeds over threads and how to print what they found, not what a history is.

use super::error::{CliError, code};
use super::{duration_text, grouped, machine, say};
use crate::sim::{Failure, Tally, play};
use clap::Args;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Arguments of `coracle sim`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 every history held, 1 one did not or something never occurred.")]
pub(super) struct SimArgs {
    /// How many seeds, from --first on
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: u64,

    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,

    /// Only this seed, and tell its history if it fails
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
}

/// So many seeds reach everything that must occur.
const SEEDS_ENOUGH: u64 = 2000;

/// Plays the seeds; says how often what occurred, or which seed failed and how.
pub(super) fn sim(args: &SimArgs) -> Result<u8, CliError> {
    let start = machine::instant();
    if let Some(seed) = args.seed {
        let tally = play(seed, true).map_err(|failure| failed(&failure))?;
        say(&render(&tally, 1, machine::us_since(start)));
        return Ok(code::DONE);
    }
    let tally = play_all(args.first, args.seeds).map_err(|failure| failed(&failure))?;
    say(&render(&tally, args.seeds, machine::us_since(start)));
    let missing = tally.missing();
    if args.seeds >= SEEDS_ENOUGH && !missing.is_empty() {
        return Err(CliError::new(code::JOB_FAILED, format!("these never occurred: {}", missing.join(", "))));
    }
    Ok(code::DONE)
}

/// Plays the seeds on all cores; the failure of the lowest seed that was seen to fail, with its history.
fn play_all(first: u64, seeds: u64) -> Result<Tally, Box<Failure>> {
    let (next, end) = (AtomicU64::new(first), first.saturating_add(seeds));
    let worker = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return Ok(tally);
            }
            match play(seed, false) {
                Ok(told) => tally.merge(&told),
                Err(failure) => {
                    next.store(end, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let (mut tally, mut failed) = (Tally::default(), None::<u64>);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..machine::cores()).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            match thread.join().expect("a panic of a history is caught") {
                Ok(told) => tally.merge(&told),
                Err(failure) => failed = Some(failed.map_or(failure.seed, |seed| seed.min(failure.seed))),
            }
        }
    });
    // Once more, to tell the history.
    failed.map_or(Ok(tally), |seed| play(seed, true))
}

fn failed(failure: &Failure) -> CliError {
    let mut text = failure.history.join("\n");
    text.push('\n');
    say(&text);
    let again = format!("`coracle sim --seed {}` tells it again", failure.seed);
    CliError::new(code::JOB_FAILED, failure.to_string()).help(again)
}

fn render(tally: &Tally, seeds: u64, us: u64) -> String {
    let mut text = String::new();
    for (name, count) in tally.iter() {
        _ = writeln!(text, "{:>12}  {name}", grouped(count));
    }
    let took = duration_text(us / 1000);
    _ = writeln!(text, "{} histories held, {took}, {} µs each", grouped(seeds), grouped(us / seeds));
    text
}
