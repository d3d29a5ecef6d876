//! `coracle bench idle`: what a server takes that has nothing to do.

use super::report::Report;
use super::rounds::median;
use super::stage::on_stage;
use super::{DataArg, Module, RoundsArgs};
use crate::cli::bytes_text;
use crate::cli::error::{CliError, code};
use crate::cli::local::StoreKind;
use crate::cli::machine;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    /// Seconds of a round
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    #[command(flatten)]
    rounds: RoundsArgs,

    #[command(flatten)]
    data: DataArg,
}

/// Runs the rounds and prints what they took.
pub(super) fn idle(args: &IdleArgs) -> Result<u8, CliError> {
    let module = Module::of("coracle/hello")?;
    let binary_bytes = std::env::current_exe().and_then(|path| path.metadata()).map_or(0, |metadata| metadata.len());
    let (cpu, memory) = on_stage(&module, args.data.data_dir.as_deref(), StoreKind::Disk, async |stage| {
        let mut cpu = Vec::new();
        for _ in 0..args.rounds.rounds {
            let (before, start) = (stage.used(), machine::instant());
            tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
            let us = stage.used().since(&before).cpu_us();
            // Millionths of a core.
            cpu.push(us * 1_000_000 / machine::us_since(start).max(1));
        }
        Ok((cpu, stage.memory()))
    })?;
    let settings = [("rounds", args.rounds.rounds.into()), ("seconds", args.seconds.into())];
    let mut report = Report::new("idle", &settings);
    let per_second = median(&cpu).unwrap_or(0);
    report.line("cpu", &format!("{per_second} µs a second of one core"));
    report.field("cpu_us_per_s", per_second);
    report.field("cpu_us_per_s_each", cpu);
    report.memory("", memory, "without a Job");
    report.line("binary", &bytes_text(binary_bytes));
    report.field("binary_bytes", binary_bytes);
    report.say(None, args.rounds.json);
    Ok(code::DONE)
}
