//! The `coracle` command: flags, progress, and error texts for people.
//!
//! Knows how to ask and how to say it, not how anything works: everything goes through the router, the engine's handle and
//! the sandbox. One file a subcommand. stdout carries what programs print and results; all else goes to stderr.

mod bench;
mod create;
mod error;
mod follow;
mod hints;
mod inspect;
mod local;
mod machine;
mod manifest;
mod progress;
mod push;
mod remote;
mod rerun;
mod run;
mod serve;
mod signals;
mod sim;
mod summary;

use clap::{Parser, Subcommand};
use error::code;
use std::process::ExitCode;

/// Runs Kubernetes Jobs whose pods are WebAssembly modules.
#[derive(Debug, Parser)]
#[command(version, about, disable_help_subcommand = true, arg_required_else_help = false)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run Job manifests or one wasm program to the end, in this process or on a server
    Run(run::RunArgs),
    /// Serve the Kubernetes API for Jobs to kubectl and every other client
    Serve(serve::ServeArgs),
    /// Give a wasm module to a server, under the name that Jobs use as their image
    Push(push::PushArgs),
    /// Have a server run failed or given indexes of a Job again, in the same Job
    Rerun(rerun::RerunArgs),
    /// Show what a wasm module is, what it needs, and what would be refused
    Inspect(inspect::InspectArgs),
    /// Measure this machine: the bare wasmtime loop, and Jobs beside it
    Bench(bench::BenchArgs),
    /// Test the Job controller: seeded histories with crashes, judged by a second reading of Kubernetes' rules
    Sim(sim::SimArgs),
}

const EXAMPLES: &str = "\
Coracle runs Kubernetes Jobs whose pods are WebAssembly modules.

  coracle run examples/pi.yaml                 run a Job to its end
  coracle run prog.wasm -- some args           run one program; its exit code becomes ours
  coracle run prog.wasm --completions 1000 --parallelism 8
                                               an Indexed Job of 1000 pods
  coracle run jobs/ --data-dir ./state         keep everything on disk; a killed run goes on where it was
  coracle push prog.wasm                       give a program to the server that the kubeconfig names
  coracle rerun job/pi --failed                run what failed of a Job again, in the same Job
  coracle serve                                the Kubernetes API for Jobs; it says how kubectl finds it
  coracle inspect prog.wasm                    what a module is and needs
  coracle bench job                            pods a second, beside bare wasmtime

  coracle --help                               all commands and flags
";

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("CORACLE_LOG").unwrap_or_else(|_| "coracle=warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let result = match Args::parse().command {
        None => {
            say(EXAMPLES);
            Ok(code::DONE)
        }
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Push(args)) => push::push(&args),
        Some(Command::Rerun(args)) => rerun::rerun(&args),
        Some(Command::Serve(args)) => serve::serve(&args),
        Some(Command::Inspect(args)) => inspect::inspect(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::Sim(args)) => sim::sim(&args),
    };
    ExitCode::from(result.unwrap_or_else(|error| error.report()))
}

/// Prints a result. A closed stdout (`| head`) ends quietly: there is nobody left to tell.
fn say(text: &str) {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            tell(&format!("error: cannot write the result: {error}"));
            std::process::exit(i32::from(code::ENGINE));
        }
        std::process::exit(i32::from(code::UNREAD));
    }
}

/// Prints a line for the person at the terminal.
fn tell(line: &str) {
    use std::io::Write as _;
    _ = writeln!(anstream::stderr(), "{line}");
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as people read them.
fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}

/// A duration as people read it.
fn duration_text(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..120_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
