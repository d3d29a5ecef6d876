//! `coracle bench floor`, and the floor beside every other rate: the bare wasmtime loop in this process.

use super::report::Report;
use super::rounds::Round;
use super::{ImageArg, Module, PodsArg, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::local::Local;
use crate::cli::machine;
use clap::Args;

/// Pods of the rounds that do not count: they compile the module and fill the caches.
pub(super) const WARM_PODS: u32 = 10_000;

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
}

impl Floor {
    /// Warms up with `pods` pods, at the most [`WARM_PODS`].
    pub(super) fn open(module: &Module, pods: u32) -> Result<Self, CliError> {
        let local = Local::open(None)?;
        module.add_to(&local)?;
        let floor = Self { local, image: module.image.clone() };
        floor.round(pods.min(WARM_PODS))?;
        Ok(floor)
    }

    /// Runs `pods` pods one after another on every thread.
    pub(super) fn round(&self, pods: u32) -> Result<Round, CliError> {
        let start = machine::instant();
        let threads = machine::cores() as usize;
        let result = self
            .local
            .sandbox
            .floor(&self.image, std::slice::from_ref(&self.image), threads, u64::from(pods))
            .map_err(|error| CliError::new(code::MODULE, format!("the floor cannot be measured: {error}")))?;
        if result.failed > 0 {
            return Err(CliError::new(code::MODULE, format!("`{}` must end with 0 to be measured", self.image)));
        }
        Ok(Round::since(start, pods))
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
    floor.stop();
    let mut report = Report::new(
        "floor",
        &[("image", module.image.into()), ("pods", pods.into()), ("rounds", args.rounds.rounds.into())],
    );
    report.rate("floor", "floor_", &rounds);
    report.say(None, args.rounds.json);
    Ok(code::DONE)
}
