//! `coracle run`: Jobs to their end in this process, without a server.

use super::error::{CliError, code};
use super::follow::{Ended, Followed, Follower};
use super::local::{Local, io_runtime};
use super::manifest::{self, Manifest, Source};
use super::progress::{Mode, Progress};
use super::{inspect, tell};
use crate::api::path_segment;
use crate::base::Quantity;
use crate::modules::{Digest, Modules};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Arguments of `coracle run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every Job completed, 1 a Job failed, 2 wrong usage or a refused manifest, 3 the engine or its store does
not work, 4 a module is unknown or refused, 124 every Job that failed passed its deadline, 130 interrupted, 141 whoever
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

    /// How progress is shown on stderr
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    progress: Mode,

    /// Arguments of the program
    #[arg(last = true)]
    args: Vec<String>,
}

/// What is to be run.
struct Work {
    sources: Vec<Source>,
    manifests: Vec<Manifest>,
    /// One program alone: its output is raw and its exit code is ours.
    is_program: bool,
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
    let local = Local::open(args.data_dir.as_deref())?;
    let work = match (program, read) {
        (Some((bytes, path)), _) => program_work(&args, &path, &bytes, &local.modules)?,
        (None, Some((sources, manifests))) => {
            let work = Work { sources, manifests, is_program: false };
            // A program was looked at when it was read.
            check_images(&work, &local.modules)?;
            work
        }
        (None, None) => unreachable!("clap asks for an input"),
    };
    let result = io_runtime()?.block_on(async {
        let mode = args.progress.resolve(work.is_program);
        let follower = Follower::new(&local, args.data_dir.is_some())?;
        check_all(&work, &local).await?;
        let jobs = create_all(&work, &local, mode).await?;
        let name = match jobs.as_slice() {
            [job] => job.name.clone(),
            jobs => format!("{} Jobs", jobs.len()),
        };
        let progress = Progress::new(mode, &name);
        Ok(follower.follow(jobs, progress, work.is_program).await)
    });
    let ended = result?;
    if let Err(Ended::Interrupted) = &ended {
        let kept = if args.data_dir.is_some() { "; run the same command again to go on" } else { "" };
        tell(&format!("stopped by ^C{kept}"));
    }
    local.engine.stop();
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
fn program_work(args: &RunArgs, path: &Path, bytes: &[u8], modules: &Modules) -> Result<Work, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::new(code::MODULE, format!("`{}` {error}", path.display()));
    let digest = modules.add(bytes).map_err(|error| failed(&error))?;
    let name = job_name(path);
    let job = program_job(args, path, &name, digest);
    let source = Source { name: path.display().to_string(), text: String::new() };
    let document = crate::api::Document { line: 1, value: job };
    let manifests = vec![Manifest { source: 0, document }];
    Ok(Work { sources: vec![source], manifests, is_program: args.completions.is_none() })
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

fn check_image(image: &str, modules: &Modules) -> Result<(), String> {
    let digest = modules.resolve(image).map_err(|error| error.to_string())?;
    let bytes = modules.bytes(&digest).unwrap_or_default();
    let inspection = crate::modules::inspect(&bytes).map_err(|error| format!("`{image}` {error}"))?;
    inspection.refusals().first().map_or(Ok(()), |refusal| Err(format!("`{image}` {refusal}")))
}

async fn create_all(work: &Work, local: &Local, mode: Mode) -> Result<Vec<Followed>, CliError> {
    let mut jobs = Vec::new();
    for manifest in &work.manifests {
        match manifest.kind() {
            "Job" => {
                let (job, is_new) = create_job(manifest, &work.sources, local).await?;
                if is_new && mode == Mode::Plain {
                    tell(&format!("job.batch/{} created", job.name));
                }
                jobs.push(job);
            }
            "Namespace" => create_namespace(manifest, &work.sources, local).await?,
            _ => unreachable!("every kind was checked"),
        }
    }
    Ok(jobs)
}

fn jobs_path(manifest: &Manifest) -> String {
    format!("/apis/batch/v1/namespaces/{}/jobs", path_segment(manifest.namespace()))
}

/// Every manifest is looked at before the first one runs.
async fn check_all(work: &Work, local: &Local) -> Result<(), CliError> {
    for manifest in &work.manifests {
        match manifest.kind() {
            "Job" => {
                let path = format!("{}?dryRun=All&fieldValidation=Strict", jobs_path(manifest));
                let answer = local.api.post(&path, &manifest.document.value).await;
                // A namespace may be one of the manifests, a Job may be there from an earlier run.
                if !matches!(answer.status, 404 | 409) {
                    accepted(answer, manifest, &work.sources)?;
                }
            }
            "Namespace" => {}
            other => {
                return Err(CliError::new(code::USAGE, format!("kind {other:?} cannot be run; Job and Namespace can"))
                    .at(manifest.place(&work.sources, "kind")));
            }
        }
    }
    Ok(())
}

/// Creates the Job, or finds the same one there; true when it is new.
async fn create_job(manifest: &Manifest, sources: &[Source], local: &Local) -> Result<(Followed, bool), CliError> {
    let collection = jobs_path(manifest);
    let path = format!("{collection}?fieldValidation=Strict&fieldManager=coracle-run");
    let response = local.api.post(&path, &manifest.document.value).await;
    let is_new = response.status != 409;
    for warning in &response.warnings {
        tell(&format!("warning: {warning}"));
    }
    let job = if is_new {
        accepted(response, manifest, sources)?
    } else {
        let name = manifest.document.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let there = local.api.get(&format!("{collection}/{}", path_segment(name))).await.body;
        if !is_within(&manifest.document.value["spec"], &there["spec"]) {
            let what = format!("Job {name:?} is in the data directory already, with another spec");
            let error = CliError::new(code::USAGE, what).at(manifest.place(sources, "metadata.name"));
            return Err(error.help("give the Job another name, or name another --data-dir"));
        }
        there
    };
    Ok((Followed::new(&job), is_new))
}

async fn create_namespace(manifest: &Manifest, sources: &[Source], local: &Local) -> Result<(), CliError> {
    let response = local.api.post("/api/v1/namespaces?fieldValidation=Strict", &manifest.document.value).await;
    if response.status != 409 {
        accepted(response, manifest, sources)?;
    }
    Ok(())
}

/// Whether everything that `wanted` says stands in `there` as well; defaults only add, and what is empty is not kept.
fn is_within(wanted: &Value, there: &Value) -> bool {
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => wanted.iter().all(|(key, value)| match there.get(key) {
            Some(Value::Object(other)) if matches!(key.as_str(), "limits" | "requests") => have_amounts(value, other),
            Some(other) => is_within(value, other),
            None => is_empty(value),
        }),
        (Value::Array(wanted), Value::Array(there)) => {
            wanted.len() == there.len() && wanted.iter().zip(there).all(|(wanted, there)| is_within(wanted, there))
        }
        (wanted, there) => wanted == there,
    }
}

/// Quantities are kept in canonical form: `1024Mi` stands there as `1Gi`.
fn have_amounts(wanted: &Value, there: &Map<String, Value>) -> bool {
    let amount = |value: &Value| match value {
        Value::String(text) => text.parse::<Quantity>().ok(),
        other => other.to_string().parse().ok(),
    };
    wanted.as_object().is_none_or(|wanted| {
        wanted.iter().all(|(name, value)| there.get(name).is_some_and(|other| amount(value) == amount(other)))
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The object of a good answer, or the Status of a bad one in the manifest's words.
fn accepted(response: crate::api::Answer, manifest: &Manifest, sources: &[Source]) -> Result<Value, CliError> {
    if response.status < 300 {
        return Ok(response.body);
    }
    let message = response.body["message"].as_str().unwrap_or("refused without a reason");
    if response.status >= 500 || response.status == 429 {
        return Err(CliError::new(code::ENGINE, message));
    }
    let field = response.body.pointer("/details/causes/0/field").and_then(Value::as_str);
    let unknown =
        message.split_once("unknown field \"").and_then(|(_, rest)| rest.split_once('"')).map(|(path, _)| path);
    let place = manifest.place(sources, unknown.or(field).unwrap_or("metadata"));
    let what = match unknown {
        Some(path) => {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            let parent = if parent.is_empty() { String::new() } else { format!(".{parent}") };
            format!("unknown field `{name}` in {}{parent}", manifest.kind())
        }
        None => message.to_owned(),
    };
    Err(CliError::new(code::USAGE, what).at(place))
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

    #[test]
    fn defaults_do_not_make_a_manifest_another_one() {
        let wanted = json!({"a": 1, "b": {"c": [1, {"d": 2}]}, "n": null, "e": [], "o": {"p": {}}});
        assert!(is_within(&wanted, &json!({"a": 1, "b": {"c": [1, {"d": 2, "x": 3}], "y": 4}, "z": 5})));
        let limits = |text: Value| json!({"limits": {"memory": text}});
        assert!(is_within(&limits(json!("1024Mi")), &limits(json!("1Gi"))));
        assert!(!is_within(&limits(json!("1023Mi")), &limits(json!("1Gi"))));
        assert!(!is_within(&wanted, &json!({"a": 2, "b": {"c": [1, {"d": 2}]}})));
        assert!(!is_within(&wanted, &json!({"a": 1, "b": {"c": [1]}})));
    }
}
