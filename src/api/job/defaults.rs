//! What the server fills in: defaults, identity, the generated selector.
//!
//! Owns the create pipeline up to validation (kubernetes: `SetDefaults_Job`,
//! `SetDefaults_PodSpec`, `generateSelector`). It judges nothing. Invariant: defaulting twice changes nothing.

use super::labels::{CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME};

use crate::base::{Quantity, QuantityError, Time, Uid};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time as MetaTime};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// kubernetes: `SetDefaults_Job`, when nothing else is given.
const BACKOFF_LIMIT: i32 = 6;

/// Seconds between SIGTERM and SIGKILL (kubernetes: `DefaultTerminationGracePeriodSeconds`).
const GRACE_SECONDS: i64 = 30;

/// What a new object gets from the server.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// Stands for the suffix of a name made from `generateName`.
    pub name_draw: u64,
}

/// Rewrites what the reference accepts in a body and the typed Job does not: numbers as quantities, `null` in maps of
/// texts. Quantities become canonical.
///
/// # Errors
/// A quantity that is none: the reference's decoder refuses it too.
pub(super) fn normalise(value: &mut Value) -> Result<(), String> {
    texts_for_nulls(value.pointer_mut("/metadata"));
    texts_for_nulls(value.pointer_mut("/spec/selector"));
    texts_for_nulls(value.pointer_mut("/spec/template/metadata"));
    value.pointer_mut("/spec/template/spec").map_or(Ok(()), quantities)
}

/// `null` in maps of texts becomes an empty text.
pub(in crate::api) fn texts_for_nulls(holder: Option<&mut Value>) {
    let Some(Value::Object(holder)) = holder else { return };
    for key in ["labels", "annotations", "matchLabels"] {
        if let Some(Value::Object(texts)) = holder.get_mut(key) {
            texts.values_mut().filter(|text| text.is_null()).for_each(|text| *text = Value::String(String::new()));
        }
    }
}

/// Recursion is bounded by the depth of the tree (`decode::DEPTH_MAX`).
fn quantities(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(quantities),
        Value::Object(fields) => fields.iter_mut().try_for_each(|(key, field)| match (key.as_str(), &mut *field) {
            ("limits" | "requests" | "overhead", Value::Object(amounts)) => amounts.values_mut().try_for_each(quantity),
            ("sizeLimit" | "divisor", Value::Number(_) | Value::String(_)) => quantity(field),
            _ => quantities(field),
        }),
        _ => Ok(()),
    }
}

fn quantity(value: &mut Value) -> Result<(), String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => std::mem::take(text),
        Value::Null => "0".to_owned(),
        // The type says what is wrong.
        _ => return Ok(()),
    };
    let exact = Quantity::parse(&text).ok_or_else(|| QuantityError.to_string())?;
    *value = Value::String(exact.canonical());
    Ok(())
}

/// Fills in what the client left out; the same on create and on update. True when the Job took its template's labels.
pub(super) fn set_defaults(job: &mut Job) -> bool {
    let spec = job.spec.get_or_insert_default();
    set_job_defaults(spec);
    set_pod_defaults(spec.template.spec.get_or_insert_default());
    share_labels(job)
}

/// Labels of the template become the Job's when the Job has none. The reference does so when it decodes a body and again
/// when it reads from storage, so generated labels show up too.
pub(super) fn share_labels(job: &mut Job) -> bool {
    let template = job.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let labels = template.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let shared = job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty) && !labels.is_empty();
    if shared {
        job.metadata.labels = Some(labels);
    }
    shared
}

fn set_job_defaults(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let backoff_limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { BACKOFF_LIMIT };
    spec.backoff_limit.get_or_insert(backoff_limit);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        fill(&mut pattern.status, "True");
    }
}

/// An empty text counts as absent where the reference's type is no pointer.
fn fill(field: &mut Option<String>, default: &str) {
    if field.as_ref().is_none_or(String::is_empty) {
        *field = Some(default.to_owned());
    }
}

fn set_pod_defaults(pod: &mut PodSpec) {
    fill(&mut pod.restart_policy, "Always");
    fill(&mut pod.dns_policy, "ClusterFirst");
    fill(&mut pod.scheduler_name, "default-scheduler");
    pod.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    pod.security_context.get_or_insert_with(PodSecurityContext::default);
    // `serviceAccount` is the old name of `serviceAccountName`; the reference shows both.
    let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let account = named(&pod.service_account_name).or_else(|| named(&pod.service_account));
    pod.service_account_name.clone_from(&account);
    pod.service_account = account;
    pod.containers.iter_mut().chain(pod.init_containers.iter_mut().flatten()).for_each(set_container_defaults);
}

fn set_container_defaults(container: &mut Container) {
    let policy = if is_latest(container.image.as_deref().unwrap_or("")) { "Always" } else { "IfNotPresent" };
    fill(&mut container.image_pull_policy, policy);
    fill(&mut container.termination_message_path, "/dev/termination-log");
    fill(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        fill(&mut port.protocol, "TCP");
    }
    let sources = container.env.iter_mut().flatten().filter_map(|env| env.value_from.as_mut());
    for field in sources.filter_map(|source| source.field_ref.as_mut()) {
        fill(&mut field.api_version, "v1");
    }
    container.resources.get_or_insert_default();
}

/// Whether an image name has the tag `latest`, or neither tag nor digest (kubernetes: `parsers.ParseImageName`).
fn is_latest(image: &str) -> bool {
    let (name, has_digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !has_digest && !last.is_empty(),
    }
}

/// Identity and the generated selector of a new Job; what only the server may say is overwritten. `shared_labels`: the Job
/// took its template's labels; the reference shares one map between the two, so generated labels go into both.
pub(super) fn prepare_create(job: &mut Job, namespace: &str, identity: &Identity, shared_labels: bool) {
    let metadata = &mut job.metadata;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let (None, Some(prefix)) = (given(&metadata.name), given(&metadata.generate_name)) {
        metadata.name = Some(crate::base::generated_name(&prefix, identity.name_draw));
    }
    metadata.namespace = Some(namespace.to_owned());
    metadata.uid = Some(identity.uid.to_string());
    metadata.creation_timestamp = Some(meta_time(identity.created));
    metadata.generation = Some(1);
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link = None;
    metadata.resource_version = None;
    metadata.managed_fields = None;
    job.status = None;
    generate_selector(job);
    if shared_labels {
        job.metadata.labels = None;
        share_labels(job);
    }
}

/// Seconds since 1970 as the API shows them; times of the engine's clock always fit.
fn meta_time(time: Time) -> MetaTime {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    MetaTime(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

fn generate_selector(job: &mut Job) {
    let name = job.metadata.name.clone().unwrap_or_default();
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let Some(spec) = &mut job.spec else { return };
    if spec.manual_selector == Some(true) {
        return;
    }
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    let generated =
        [(CONTROLLER_UID, &uid), (JOB_NAME, &name), (LEGACY_CONTROLLER_UID, &uid), (LEGACY_JOB_NAME, &name)];
    for (key, value) in generated {
        labels.entry(key.to_owned()).or_insert_with(|| value.clone());
    }
    let selector = spec.selector.get_or_insert_with(LabelSelector::default);
    selector.match_labels.get_or_insert_default().entry(CONTROLLER_UID.to_owned()).or_insert(uid);
}

/// What a change cannot touch is taken from the stored Job (kubernetes: `rest.BeforeUpdate`).
pub(super) fn prepare_update(job: &mut Job, old: &Job) {
    let metadata = &mut job.metadata;
    metadata.namespace.clone_from(&old.metadata.namespace);
    if metadata.uid.as_ref().is_none_or(String::is_empty) {
        metadata.uid.clone_from(&old.metadata.uid);
    }
    metadata.creation_timestamp.clone_from(&old.metadata.creation_timestamp);
    metadata.generation = old.metadata.generation;
    if old.metadata.deletion_timestamp.is_some() {
        metadata.deletion_timestamp.clone_from(&old.metadata.deletion_timestamp);
    }
    if metadata.deletion_grace_period_seconds.is_none() {
        metadata.deletion_grace_period_seconds = old.metadata.deletion_grace_period_seconds;
    }
    metadata.self_link = None;
    metadata.managed_fields = None;
    job.status = None;
}
