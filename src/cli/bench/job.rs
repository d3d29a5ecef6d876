//! `coracle bench job`: pods a second of an Indexed Job, and what they cost the server.

use super::floor::{Floor, WARM_PODS};
use super::report::Report;
use super::rounds::{rate, ratio};
use super::stage::on_stage;
use super::{DataArg, ImageArg, Module, ParallelismArg, PodsArg, RoundsArgs};
use crate::cli::error::{CliError, code};
use crate::cli::grouped;
use crate::cli::local::StoreKind;
use crate::cli::machine::{Used, file_system};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    image: ImageArg,

    #[command(flatten)]
    pods: PodsArg,

    #[command(flatten)]
    parallelism: ParallelismArg,

    #[command(flatten)]
    rounds: RoundsArgs,

    #[command(flatten)]
    data: DataArg,
}

/// Runs the rounds and prints what they took.
pub(super) fn job(args: &JobArgs) -> Result<u8, CliError> {
    let module = Module::of(&args.image.image)?;
    let (pods, parallelism) = (args.pods.pods, args.parallelism.parallelism);
    let floor = Floor::open(&module, pods)?;
    let (floors, jobs, used, memory, disk) =
        on_stage(&module, args.data.data_dir.as_deref(), StoreKind::Disk, async |stage| {
            let name = stage.names.next();
            stage.run(&name, pods.min(WARM_PODS), parallelism).await?;
            let (mut floors, mut jobs, mut used) = (Vec::new(), Vec::new(), Used::default());
            for _ in 0..args.rounds.rounds {
                floors.push(floor.round(pods)?);
                let name = stage.names.next();
                let (round, of_round) = stage.run_counted(&name, pods, parallelism).await?;
                jobs.push(round);
                used.add(&of_round);
            }
            Ok((floors, jobs, used, stage.memory(), file_system(stage.spawned.dir())))
        })?;
    let mut report = Report::new(
        "job",
        &[
            ("image", module.image.into()),
            ("pods", pods.into()),
            ("rounds", args.rounds.rounds.into()),
            ("parallelism", parallelism.into()),
            ("data_on", disk.into()),
        ],
    );
    report.rate("floor", "floor_", &floors);
    report.rate("job", "", &jobs);
    let counted = u64::from(pods) * u64::from(args.rounds.rounds);
    report.cost("", &used, counted);
    floor.tell_cpu(&mut report, &used, counted);
    floor.stop();
    let kept = counted + u64::from(pods.min(WARM_PODS));
    report.memory("", memory, &format!("with {} ended pods", grouped(kept)));
    report.say(ratio(rate(&jobs), rate(&floors)), args.rounds.json);
    Ok(code::DONE)
}
