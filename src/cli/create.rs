//! From manifests to Jobs: namespaces are created first, and every Job is checked before the first one is created.
//!
//! Speaks to an engine in this process or to a server, through a [`Door`]; the requests and the error texts are the same.

use super::error::{CliError, code};
use super::follow::Followed;
use super::manifest::{Manifest, Source};
use super::progress::Mode;
use super::remote::{Connection, RemoteError};
use super::tell;
use crate::api::{Answer, Api, path_segment};
use crate::base::Quantity;
use serde_json::{Map, Value};

/// What is to be run.
pub(super) struct Work {
    pub(super) sources: Vec<Source>,
    pub(super) manifests: Vec<Manifest>,
    /// Where a manifest that names no namespace belongs.
    pub(super) namespace: String,
    /// One program alone: its output is raw and its exit code is ours.
    pub(super) is_program: bool,
}

impl Work {
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().filter(move |manifest| manifest.kind() == kind)
    }
}

/// Whoever takes the manifests.
pub(super) enum Door<'a> {
    /// The engine in this process.
    Local(&'a Api),
    /// A server.
    Server(&'a mut Connection),
}

impl Door<'_> {
    async fn get(&mut self, path: &str) -> Result<Answer, CliError> {
        match self {
            Self::Local(api) => Ok(api.get(path).await),
            Self::Server(connection) => connection.get(path).await.map_err(RemoteError::told),
        }
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, CliError> {
        match self {
            Self::Local(api) => Ok(api.post(path, body).await),
            Self::Server(connection) => connection.post(path, body).await.map_err(RemoteError::told),
        }
    }

    fn place(&self) -> &'static str {
        match self {
            Self::Local(_) => "in the data directory",
            Self::Server(_) => "on the server",
        }
    }

    /// What to do about a Job that is there.
    fn help(&self, name: &str, namespace: &str) -> String {
        match self {
            Self::Local(_) => "give the Job another name, or name another --data-dir".to_owned(),
            Self::Server(_) => format!("give the Job another name, or kubectl delete job {name} -n {namespace}"),
        }
    }
}

pub(super) async fn create_all(work: &Work, door: &mut Door<'_>, mode: Mode) -> Result<Vec<Followed>, CliError> {
    let mut jobs = Vec::new();
    for manifest in work.of_kind("Job") {
        let (job, is_new) = create_job(manifest, work, door).await?;
        if is_new && mode == Mode::Plain {
            tell(&format!("job.batch/{} created", job.name));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

fn jobs_path(manifest: &Manifest, work: &Work) -> String {
    let namespace = manifest.namespace().unwrap_or(&work.namespace);
    format!("/apis/batch/v1/namespaces/{}/jobs", path_segment(namespace))
}

/// Every manifest is looked at before the first Job is created; a Job is looked at in its namespace, so namespaces are made.
pub(super) async fn check_all(work: &Work, door: &mut Door<'_>) -> Result<(), CliError> {
    if let Some(manifest) = work.manifests.iter().find(|manifest| !matches!(manifest.kind(), "Job" | "Namespace")) {
        let what = format!("kind {:?} cannot be run; Job and Namespace can", manifest.kind());
        return Err(CliError::new(code::USAGE, what).at(manifest.place(&work.sources, "kind")));
    }
    for manifest in work.of_kind("Namespace") {
        create_namespace(manifest, &work.sources, door).await?;
    }
    for manifest in work.of_kind("Job") {
        let path = format!("{}?dryRun=All&fieldValidation=Strict", jobs_path(manifest, work));
        let answer = door.post(&path, &manifest.document.value).await?;
        // A Job may be there from an earlier run.
        if answer.status != 409 {
            accepted(answer, manifest, &work.sources)?;
        }
    }
    Ok(())
}

/// Creates the Job, or finds the same one there; true when it is new.
async fn create_job(manifest: &Manifest, work: &Work, door: &mut Door<'_>) -> Result<(Followed, bool), CliError> {
    let sources = &work.sources;
    let collection = jobs_path(manifest, work);
    let path = format!("{collection}?fieldValidation=Strict&fieldManager=coracle-run");
    let response = door.post(&path, &manifest.document.value).await?;
    let is_new = response.status != 409;
    for warning in &response.warnings {
        tell(&format!("warning: {warning}"));
    }
    let job = if is_new {
        accepted(response, manifest, sources)?
    } else {
        let name = manifest.document.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let there = accepted(door.get(&format!("{collection}/{}", path_segment(name))).await?, manifest, sources)?;
        if !is_within(&manifest.document.value["spec"], &there["spec"]) {
            let what = format!("Job {name:?} is {} already, with another spec", door.place());
            let error = CliError::new(code::USAGE, what).at(manifest.place(sources, "metadata.name"));
            return Err(error.help(door.help(name, manifest.namespace().unwrap_or(&work.namespace))));
        }
        there
    };
    Ok((Followed::new(&job, is_new), is_new))
}

async fn create_namespace(manifest: &Manifest, sources: &[Source], door: &mut Door<'_>) -> Result<(), CliError> {
    let response = door.post("/api/v1/namespaces?fieldValidation=Strict", &manifest.document.value).await?;
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
fn accepted(response: Answer, manifest: &Manifest, sources: &[Source]) -> Result<Value, CliError> {
    if response.status < 300 {
        return Ok(response.body);
    }
    let message = response.body["message"].as_str().unwrap_or("refused without a reason");
    if response.status >= 500 || response.status == 429 {
        return Err(CliError::new(code::ENGINE, message));
    }
    if response.status == 404 && response.body["details"]["kind"] == "namespaces" {
        let error = CliError::new(code::USAGE, message).at(manifest.place(sources, "metadata.namespace"));
        return Err(error.help("put the Namespace's manifest beside the Job's, or name a namespace that is there"));
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
    use serde_json::json;

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
