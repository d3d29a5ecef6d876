//! `coracle run`: Jobs to their end, in this process without a server, or on one.

use super::create::{Door, Work, check_all, create_all};
use super::error::{CliError, code};
use super::follow::{Ended, Followed, Follower};
use super::local::{Local, io_runtime};
use super::manifest::{self, Manifest, Source};
use super::progress::{Mode, Progress};
use super::remote::follow::RemoteFollower;
use super::remote::{Connection, RemoteArgs, RemoteError, Server};
use super::{inspect, push, tell};
use crate::modules::{Digest, ImageRef, Modules};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Arguments of `coracle run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every Job completed, 1 a Job failed, 2 wrong usage or a refused manifest, 3 the engine, its store or the
server does not work, 4 a module is unknown or refused, 124 every Job that failed passed its deadline, 130 interrupted, 141 whoever
read stdout has gone. One wasm program alone ends
with its own exit code (a trap with 134, 136 or 139, its memory limit with 137).")]
pub(super) struct RunArgs {
    /// Manifests (.yaml, .yml, .json), directories of manifests, - for stdin, or one wasm program
    #[arg(required_unless_present = "filename")]
    inputs: Vec<PathBuf>,

    /// The same as an input, as kubectl spells it
    #[arg(short, long)]
    filename: Vec<PathBuf>,

    /// Run the program as an Indexed Job of this many pods
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    completions: Option<u32>,

    /// Pods of that Job at a time
    #[arg(long, value_name = "N", requires = "completions", value_parser = clap::value_parser!(u32).range(1..))]
    parallelism: Option<u32>,

    /// Keep everything in this directory; run again, a killed run goes on where it was
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Run on the server that the kubeconfig names; ^C leaves the Jobs running there
    #[arg(long, conflicts_with = "data_dir")]
    server: bool,

    #[command(flatten)]
    remote: RemoteArgs,

    /// How progress is shown on stderr
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    progress: Mode,

    /// Arguments of the program
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs to the end and gives the exit code.
pub(super) fn run(args: RunArgs) -> Result<u8, CliError> {
    let mut inputs = args.inputs.clone();
    inputs.extend(args.filename.iter().cloned());
    let program = inputs.iter().find(|path| is_wasm(path)).cloned();
    check_usage(&args, &inputs, program.as_deref())?;
    // What is wrong with the input is said before anything starts.
    let program = program.map(|path| Ok((load_program(&path)?, path))).transpose()?;
    let read = if program.is_none() { Some(manifest::read(&inputs)?) } else { None };
    let input = match (program, read) {
        (Some((bytes, path)), _) => Input::Program { bytes, path },
        (None, Some((sources, manifests))) => Input::Manifests(sources, manifests),
        (None, None) => unreachable!("clap asks for an input"),
    };
    if args.server { run_on_server(&args, input) } else { run_here(&args, input) }
}

/// What was given and read.
enum Input {
    Program { bytes: Vec<u8>, path: PathBuf },
    Manifests(Vec<Source>, Vec<Manifest>),
}

fn run_here(args: &RunArgs, input: Input) -> Result<u8, CliError> {
    let local = Local::open(args.data_dir.as_deref())?;
    let work = match input {
        Input::Program { bytes, path } => {
            let failed = |error| CliError::new(code::MODULE, format!("`{}` {error}", path.display()));
            let digest = local.modules.add(&bytes).map_err(failed)?;
            program_work(args, &path, digest, "default")
        }
        Input::Manifests(sources, manifests) => {
            let work = Work { sources, manifests, namespace: "default".to_owned(), is_program: false };
            // A program was looked at when it was read.
            check_images(&work, &local.modules)?;
            work
        }
    };
    let result: Result<_, CliError> = io_runtime()?.block_on(async {
        let mode = args.progress.resolve(work.is_program);
        let follower = Follower::new(&local, args.data_dir.is_some())?;
        let mut door = Door::Local(&local.api);
        check_all(&work, &mut door).await?;
        let jobs = create_all(&work, &mut door, mode).await?;
        let progress = Progress::new(mode, &called(&jobs));
        Ok(follower.follow(jobs, progress, work.is_program).await)
    });
    let ended = result?;
    if let Err(Ended::Interrupted) = &ended {
        let kept = if args.data_dir.is_some() { "; run the same command again to go on" } else { "" };
        tell(&format!("stopped by ^C{kept}"));
    }
    local.engine.stop();
    exit_code(ended)
}

fn run_on_server(args: &RunArgs, input: Input) -> Result<u8, CliError> {
    let server = Server::find(&args.remote)?;
    io_runtime()?.block_on(async {
        let mut connection = server.connection();
        let work = match input {
            Input::Program { bytes, path } => {
                let digest = Digest::of(&bytes);
                let image = ImageRef { name: job_name(&path), tag: None, digest: Some(digest) };
                push::upload(&mut connection, &image, bytes.into()).await?;
                program_work(args, &path, digest, server.namespace())
            }
            Input::Manifests(sources, manifests) => {
                let work = Work { sources, manifests, namespace: server.namespace().to_owned(), is_program: false };
                check_images_there(&work, &mut connection).await?;
                work
            }
        };
        let mode = args.progress.resolve(work.is_program);
        let follower = RemoteFollower::new(&server)?;
        let mut door = Door::Server(&mut connection);
        check_all(&work, &mut door).await?;
        let jobs = create_all(&work, &mut door, mode).await?;
        let progress = Progress::new(mode, &called(&jobs));
        let left: Vec<String> =
            jobs.iter().map(|job| format!("kubectl delete job {} -n {}", job.name, job.namespace)).collect();
        let ended = follower.follow(jobs, progress, work.is_program).await;
        if let Err(Ended::Interrupted) = &ended {
            let go = if left.len() == 1 { "the Job goes" } else { "the Jobs go" };
            tell(&format!("stopped by ^C; {go} on on the server\n  = help: {}", left.join("\n          ")));
        }
        exit_code(ended)
    })
}

fn called(jobs: &[Followed]) -> String {
    match jobs {
        [job] => job.name.clone(),
        jobs => format!("{} Jobs", jobs.len()),
    }
}

fn exit_code(ended: Result<u8, Ended>) -> Result<u8, CliError> {
    match ended {
        Ok(code) => Ok(code),
        Err(Ended::Interrupted) => Ok(code::INTERRUPTED),
        Err(Ended::Unread) => Ok(code::UNREAD),
        Err(Ended::Error(error)) => Err(error),
    }
}

/// By its name or by its first bytes.
fn is_wasm(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("wasm")) || (read.is_ok() && head == *b"\0asm")
}

fn check_usage(args: &RunArgs, inputs: &[PathBuf], program: Option<&Path>) -> Result<(), CliError> {
    let usage = |what: &str, help: &str| Err(CliError::new(code::USAGE, what).help(help));
    match program {
        Some(_) if inputs.len() > 1 => {
            usage("a wasm program runs alone", "run several programs as Jobs of a manifest: coracle run jobs.yaml")
        }
        None if !args.args.is_empty() => usage(
            "arguments after `--` are for a wasm program, and there is none",
            "a Job's arguments stand in its manifest: spec.template.spec.containers[0].args",
        ),
        None if args.completions.is_some() => usage(
            "--completions is for a wasm program, and there is none",
            "a Job's completions stand in its manifest: spec.completions",
        ),
        _ if !args.server && (args.remote.kubeconfig.is_some() || args.remote.context.is_some()) => {
            usage("--kubeconfig and --context name a server", "coracle run job.yaml --server   runs it there")
        }
        _ => Ok(()),
    }
}

fn load_program(path: &Path) -> Result<Vec<u8>, CliError> {
    let (bytes, inspection) = inspect::load(path)?;
    match inspect::refusal(path, &inspection) {
        Some(error) => Err(error),
        None => Ok(bytes),
    }
}

/// A program as a Job.
fn program_work(args: &RunArgs, path: &Path, digest: Digest, namespace: &str) -> Work {
    let name = job_name(path);
    let mut job = program_job(args, path, &name, digest);
    if args.server {
        // Each run is a Job of its own: the last one's is still there.
        job["metadata"] = json!({ "generateName": format!("{name}-") });
    }
    let source = Source { name: path.display().to_string(), text: String::new() };
    let document = crate::api::Document { line: 1, value: job };
    let manifests = vec![Manifest { source: 0, document }];
    Work { sources: vec![source], manifests, namespace: namespace.to_owned(), is_program: args.completions.is_none() }
}

fn program_job(args: &RunArgs, path: &Path, name: &str, digest: Digest) -> Value {
    let program = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut spec = json!({
        "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": name,
                "image": format!("{name}@{digest}"),
                "command": [literal(&program)],
                "args": args.args.iter().map(|arg| literal(arg)).collect::<Vec<_>>(),
            }],
        }},
    });
    match args.completions {
        Some(completions) => {
            spec["completionMode"] = json!("Indexed");
            spec["completions"] = json!(completions);
            spec["parallelism"] = json!(args.parallelism.unwrap_or_else(|| completions.min(super::machine::cores())));
        }
        None => spec["backoffLimit"] = json!(0),
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": spec })
}

/// An argument that reaches the program as it is: in a manifest `$$` stands for `$`.
fn literal(arg: &str) -> String {
    arg.replace('$', "$$")
}

/// A Job name from a file name: lower case, digits and `-`, at the most 40 characters.
pub(super) fn job_name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let clean = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = stem.chars().map(clean).take(40).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "program".to_owned() } else { name.to_owned() }
}

/// A module that is not there would leave its pods waiting for ever: it is an error before anything starts. Each image is
/// looked at once, however many manifests name it.
fn check_images(work: &Work, modules: &Modules) -> Result<(), CliError> {
    let mut good = BTreeSet::new();
    for manifest in &work.manifests {
        for (at, image) in manifest.images().filter(|(_, image)| good.insert((*image).to_owned())) {
            check_image(image, modules).map_err(|what| {
                let path = format!("spec.template.spec.containers[{at}].image");
                CliError::new(code::MODULE, what).at(manifest.place(&work.sources, &path))
            })?;
        }
    }
    Ok(())
}

/// As [`check_images`], with what the server has.
async fn check_images_there(work: &Work, connection: &mut Connection) -> Result<(), CliError> {
    let mut good = BTreeSet::new();
    for manifest in &work.manifests {
        for (at, image) in manifest.images().filter(|(_, image)| good.insert((*image).to_owned())) {
            let answer = connection.get(&push::module_path(image)).await.map_err(RemoteError::told)?;
            if answer.status != 200 {
                let message = answer.body["message"].as_str().unwrap_or("no module of this name");
                let code = if matches!(answer.status, 400 | 404 | 422) { code::MODULE } else { code::ENGINE };
                let path = format!("spec.template.spec.containers[{at}].image");
                return Err(CliError::new(code, message).at(manifest.place(&work.sources, &path)));
            }
        }
    }
    Ok(())
}

fn check_image(image: &str, modules: &Modules) -> Result<(), String> {
    let digest = modules.resolve(image).map_err(|error| error.to_string())?;
    let bytes = modules.bytes(&digest).unwrap_or_default();
    let inspection = crate::modules::inspect(&bytes).map_err(|error| format!("`{image}` {error}"))?;
    inspection.refusals().first().map_or(Ok(()), |refusal| Err(format!("`{image}` {refusal}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_names_come_from_file_names() {
        let cases =
            [("hello.wasm", "hello"), ("My_Prog 2.wasm", "my-prog-2"), ("_.wasm", "program"), ("é.wasm", "program")];
        for (file, name) in cases {
            assert_eq!(job_name(Path::new(file)), name, "{file}");
        }
    }
}
