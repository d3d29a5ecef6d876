//! The cells of each kind's rows.
//!
//! kubernetes: `pkg/printers/internalversion/printers.go`, `printJob`, `printPod` and so on. Invariant: each function
//! appends exactly the cells of its kind's columns, with commas between.

use super::age::Age;
use crate::base::Time;
use crate::model::{Condition, ConditionType, Phase, PodRecord, PriorityClass, Reason};
use crate::view::{EventObject, JobObject, NODE_NAME, PlainObject, PodObject};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};

const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";

/// Appends a text as JSON.
fn text(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).expect("a str is always JSON"));
    }
}

/// Appends a comma and a text.
fn next(cell: &str, out: &mut String) {
    out.push(',');
    text(cell, out);
}

/// Appends a comma and a text that needs no escapes.
fn shown(cell: impl Display, out: &mut String) {
    write!(out, ",\"{cell}\"").expect("a String takes everything");
}

/// What is read of a Job's document for its row.
#[derive(Deserialize)]
struct JobParts {
    metadata: Times,
    spec: SpecParts,
}

/// What is read of the document of a namespace for its row.
#[derive(Deserialize)]
struct PlainParts {
    metadata: Times,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    creation_timestamp: Option<jiff::Timestamp>,
    deletion_timestamp: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
struct SpecParts {
    selector: Option<Selector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: BTreeSet<String>,
}

pub(super) fn job(job: &JobObject, now: Time, out: &mut String) {
    let parts: Option<JobParts> = serde_json::from_str(&job.doc.json).ok();
    let is_terminating = parts.as_ref().is_some_and(|parts| parts.metadata.deletion_timestamp.is_some());
    let spec = job.spec();
    text(&job.doc.key.name, out);
    next(job_status(job, is_terminating), out);
    let succeeded = job.status.succeeded;
    match spec.completions {
        Some(completions) => shown(format_args!("{succeeded}/{completions}"), out),
        None if spec.parallelism > 1 => shown(format_args!("{succeeded}/1 of {}", spec.parallelism), out),
        None => shown(format_args!("{succeeded}/1"), out),
    }
    match (job.status.start_time, job.status.completion_time) {
        (None, _) => next("", out),
        // A Job that failed has no completionTime: kubectl shows it growing for ever.
        (Some(start), None) => shown(Age::since(start, now), out),
        (Some(start), Some(completion)) => shown(Age::between(start, completion), out),
    }
    shown(Age::since(job.created, now), out);
    next(&spec.template.container, out);
    next(&spec.template.image, out);
    next(&selector(parts.and_then(|parts| parts.spec.selector)), out);
}

/// kubernetes: `printJob`; the first that is true.
fn job_status(job: &JobObject, is_terminating: bool) -> &'static str {
    let has = |kind| job.status.condition(kind).is_some_and(Condition::is_true);
    if has(ConditionType::Complete) {
        "Complete"
    } else if has(ConditionType::Failed) {
        "Failed"
    } else if is_terminating {
        "Terminating"
    } else if has(ConditionType::Suspended) {
        "Suspended"
    } else if has(ConditionType::FailureTarget) {
        "FailureTarget"
    } else if has(ConditionType::SuccessCriteriaMet) {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

/// kubernetes: `metav1.FormatLabelSelector`.
fn selector(selector: Option<Selector>) -> String {
    let Some(selector) = selector else { return NONE.to_owned() };
    let equal = selector.match_labels.into_iter().map(|(key, value)| {
        let text = format!("{key}={value}");
        (key, text)
    });
    let other = selector.match_expressions.into_iter().map(|Requirement { key, operator, values }| {
        let values = values.into_iter().collect::<Vec<_>>().join(",");
        let text = match operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        };
        (key, text)
    });
    let mut terms: Vec<(String, String)> = equal.chain(other).collect();
    terms.sort_by(|a, b| a.0.cmp(&b.0));
    if terms.is_empty() { NONE.to_owned() } else { terms.into_iter().map(|term| term.1).collect::<Vec<_>>().join(",") }
}

/// One container a pod, no init containers, no readiness gates: admission refuses the rest.
pub(super) fn pod(pod: &PodObject, now: Time, out: &mut String) {
    let record = &pod.record;
    text(&pod.name(), out);
    next(if is_running(record) { "1/1" } else { "0/1" }, out);
    if pod.is_gated() && !record.has(PodRecord::STOPPING) {
        next("SchedulingGated", out);
    } else {
        pod_status(record, out);
    }
    match &pod.restarts {
        // kubernetes: `printPod`, the count and the age of the last one.
        Some(restarts) if restarts.count > 0 => {
            shown(format_args!("{} ({} ago)", restarts.count, Age::since(restarts.last.finished(), now)), out);
        }
        _ => next("0", out),
    }
    shown(Age::since(record.created, now), out);
    // Guests have no address but the server's, from their start on.
    next(if record.phase == Phase::Pending { NONE } else { "127.0.0.1" }, out);
    next(if pod.is_placed() { NODE_NAME } else { NONE }, out);
    next(NONE, out);
    next(NONE, out);
}

fn is_running(record: &PodRecord) -> bool {
    record.phase == Phase::Running && record.has(PodRecord::STARTED)
}

fn pod_status(record: &PodRecord, out: &mut String) {
    let is_over = record.is_terminal();
    if record.has(PodRecord::STOPPING) && !is_over {
        next("Terminating", out);
    } else if record.reason != Reason::None && !is_running(record) {
        next(record.reason.as_str(), out);
    } else if is_over {
        shown(format_args!("ExitCode:{}", record.exit_code), out);
    } else if record.phase == Phase::Running {
        next("Running", out);
    } else {
        next("Pending", out);
    }
}

/// Appends `,"conditions":[…]` of a pod that has ended (kubernetes: `podSuccessConditions`, `podFailedConditions`).
pub(super) fn pod_conditions(pod: &PodObject, out: &mut String) {
    let (reason, message) = match pod.record.phase {
        Phase::Succeeded => ("Succeeded", "The pod has completed successfully."),
        Phase::Failed => ("Failed", "The pod failed."),
        Phase::Pending | Phase::Running => return,
    };
    out.push_str(r#","conditions":[{"type":"Completed","status":"True","reason":""#);
    out.push_str(reason);
    out.push_str(r#"","message":""#);
    out.push_str(message);
    out.push_str(r#""}]"#);
}

pub(super) fn event(event: &EventObject, now: Time, out: &mut String) {
    let seen = Age::since(event.event.at, now);
    write!(out, "\"{seen}\"").expect("a String takes everything");
    next(event.severity(), out);
    next(event.reason(), out);
    let (kind, _, name, _) = event.involved();
    shown(format_args!("{}/{name}", kind.to_lowercase()), out);
    next("", out);
    next(event.component(), out);
    next(&event.message(), out);
    shown(seen, out);
    out.push_str(",1");
    next(&event.name(), out);
}

pub(super) fn namespace(namespace: &PlainObject, now: Time, out: &mut String) {
    let parts: Option<PlainParts> = serde_json::from_str(&namespace.doc.json).ok();
    text(&namespace.doc.name, out);
    next(namespace.phase(), out);
    next(&age(parts.and_then(|parts| parts.metadata.creation_timestamp), now), out);
}

/// kubernetes: `printPriorityClass`; the value is a number.
pub(super) fn priority_class(class: &PlainObject, now: Time, out: &mut String) {
    let parts: Option<PlainParts> = serde_json::from_str(&class.doc.json).ok();
    let said = PriorityClass::from_doc(&class.doc.json).expect("a PriorityClass is validated before it is stored");
    text(&class.doc.name, out);
    write!(out, ",{},{}", said.value, said.global_default).expect("a String takes everything");
    next(&age(parts.and_then(|parts| parts.metadata.creation_timestamp), now), out);
    next(said.preemption_policy.as_str(), out);
}

fn age(at: Option<jiff::Timestamp>, now: Time) -> String {
    let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    at.map_or_else(|| UNKNOWN.to_owned(), |at| Age::since(Time(at), now).to_string())
}

pub(super) fn node(node: &Value, now: Time, out: &mut String) {
    let at = |pointer: &str| node.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let known = |pointer: &str| if at(pointer).is_empty() { UNKNOWN } else { at(pointer) };
    text(at("/metadata/name"), out);
    next(&node_status(node), out);
    next(&node_roles(node), out);
    next(&age(at("/metadata/creationTimestamp").parse().ok(), now), out);
    next(at("/status/nodeInfo/kubeletVersion"), out);
    next(node_address(node, "InternalIP"), out);
    next(node_address(node, "ExternalIP"), out);
    next(known("/status/nodeInfo/osImage"), out);
    let (kernel, architecture) = (known("/status/nodeInfo/kernelVersion"), at("/status/nodeInfo/architecture"));
    next(&if architecture.is_empty() { kernel.to_owned() } else { format!("{kernel} ({architecture})") }, out);
    next(known("/status/nodeInfo/containerRuntimeVersion"), out);
}

fn node_status(node: &Value) -> String {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let status = ready.map_or("Unknown", |ready| if ready["status"] == "True" { "Ready" } else { "NotReady" });
    let is_closed = node.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
    format!("{status}{}", if is_closed { ",SchedulingDisabled" } else { "" })
}

fn node_roles(node: &Value) -> String {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let roles: BTreeSet<String> =
        labels.into_iter().flatten().filter_map(role).filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { NONE.to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

fn node_address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
    let found = addresses.into_iter().flatten().find(|address| address["type"] == kind);
    found.and_then(|address| address["address"].as_str()).unwrap_or(NONE)
}
