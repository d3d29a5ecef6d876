//! `coracle bench floor`, and the floor beside every other rate: the bare wasmtime loop in this process.

use super::report::Report;
use super::rounds::{Round, ratio};
use super::{ImageArg, Module, PodsArg, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::local::Local;
use crate::cli::machine::{self, Used};
use clap::Args;
use std::cell::Cell;

/// Pods of the rounds that do not count: they compile the module and fill the caches.
pub(super) const WARM_PODS: u32 = 10_000;

/// A loop that gets less of the cores than this shares them with others.
const QUIET_SHARE: f64 = 0.9;

/// CPU time is counted in steps of 10 ms: of a shorter loop its share says nothing.
const TELLING_US: u64 = 500_000;

#[derive(Debug, Args)]
pub(super) struct FloorArgs {
    #[command(flatten)]
    image: ImageArg,

    #[command(flatten)]
    pods: PodsArg,

    #[command(flatten)]
    rounds: RoundsArgs,
}

/// The loop with the engine settings and threads of a server. The engine around it is idle.
#[derive(Debug)]
pub(super) struct Floor {
    local: Local,
    image: String,
    spent: Cell<Spent>,
}

/// What all rounds of the loop took.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    pods: u64,
    us: u64,
    cpu_us: u64,
}

impl Floor {
    /// Warms up with `pods` pods, at the most [`WARM_PODS`].
    pub(super) fn open(module: &Module, pods: u32) -> Result<Self, CliError> {
        let local = Local::open(None)?;
        module.add_to(&local)?;
        let floor = Self { local, image: module.image.clone(), spent: Cell::default() };
        floor.round(pods.min(WARM_PODS))?;
        floor.spent.take();
        Ok(floor)
    }

    /// Runs `pods` pods one after another on every thread.
    pub(super) fn round(&self, pods: u32) -> Result<Round, CliError> {
        let (before, start) = (Used::here().process_us, machine::instant());
        let threads = machine::cores() as usize;
        let result = self
            .local
            .sandbox
            .floor(&self.image, std::slice::from_ref(&self.image), threads, u64::from(pods))
            .map_err(|error| CliError::new(code::MODULE, format!("the floor cannot be measured: {error}")))?;
        if result.failed > 0 {
            return Err(CliError::new(code::MODULE, format!("`{}` must end with 0 to be measured", self.image)));
        }
        let round = Round::since(start, pods);
        // The loop's threads have ended: only the process knows what they used.
        let cpu_us = Used::here().process_us.saturating_sub(before);
        let spent = self.spent.get();
        self.spent.set(Spent {
            pods: spent.pods + u64::from(pods),
            us: spent.us + round.us,
            cpu_us: spent.cpu_us + cpu_us,
        });
        Ok(round)
    }

    /// Tells what the loop's pods took of the cores, and how that compares to a server that used `used` for `pods` pods. Where
    /// others work too, more threads get more of the cores, so that the ratio of rates flatters; this one does not.
    pub(super) fn tell_cpu(&self, report: &mut Report, used: &Used, pods: u64) {
        let spent = self.spent.get();
        let a_pod = ratio(spent.cpu_us, spent.pods);
        let share = ratio(spent.cpu_us, spent.us * u64::from(machine::cores())).unwrap_or(0.0);
        let percent = 100.0 * share;
        report.line("floor", &format!("{:.2} µs of CPU a pod, on {percent:.0} % of the cores", a_pod.unwrap_or(0.0)));
        report.field("floor_cpu_us_per_pod", a_pod);
        report.field("floor_core_share", share);
        if share < QUIET_SHARE && spent.us >= TELLING_US {
            report.line("noise", "others work on this machine: only CPU times can be compared");
        }
        let of_server = ratio(used.total_us(), pods);
        let cpu_ratio = a_pod.zip(of_server).filter(|(_, of_server)| *of_server > 0.0).map(|(a, b)| a / b);
        if let Some(cpu_ratio) = cpu_ratio {
            report.line("cpu ratio", &format!("{cpu_ratio:.3} of CPU time, floor to server"));
        }
        report.field("cpu_ratio", cpu_ratio);
    }

    /// Ends the engine around it.
    pub(super) fn stop(self) {
        self.local.engine.stop();
    }
}

/// Runs the rounds and prints what they took.
pub(super) fn floor(args: &FloorArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image.image)?;
    let pods = args.pods.pods;
    let floor = Floor::open(&module, pods)?;
    let rounds = (0..args.rounds.rounds).map(|_| floor.round(pods)).collect::<Result<Vec<_>, _>>()?;
    let mut report = Report::new(
        "floor",
        &[("image", module.image.into()), ("pods", pods.into()), ("rounds", args.rounds.rounds.into())],
    );
    report.rate("floor", "floor_", &rounds);
    floor.tell_cpu(&mut report, &Used::default(), 0);
    floor.stop();
    report.say(None, args.rounds.json);
    Ok(code::DONE)
}
