//! Pods: the template's pieces with the record put in.
//!
//! Shapes as a kubelet writes them (kubernetes: kubelet, `generateAPIPodStatus`). Invariant: conditions come in the kubelet's order.

use super::template::PodTemplatePieces;
use super::{NO_ROOM, TRACKING_FINALIZER, put, put_json};
use crate::base::join_prefix;
use crate::model::{EngineKind, Phase, Placement, PodMeta, PodRecord, Reason, Terminated};
use crate::view::objects::PodObject;

/// What is said of a pod that waits for its gates (kubernetes: kube-scheduler, `SchedulingGates`).
const GATED: &str = "Scheduling is blocked due to non-empty scheduling gates";

/// `status.phase` as the API writes it.
pub(in crate::view) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    }
}

/// Appends a pod.
pub(in crate::view) fn pod(pod: &PodObject, out: &mut String) {
    let parsed = pod.job.parsed();
    let pieces = &parsed.pod;
    let uid = pod.uid().to_string();
    let times = Times::of(pod);
    out.reserve(4096);
    out.push_str(r#"{"kind":"Pod","apiVersion":"v1","metadata":"#);
    metadata(pod, pieces, parsed.spec.template.grace_s, &uid, &times, out);
    let spec = match (pod.is_placed(), pod.is_gated()) {
        (true, _) => &pieces.spec,
        (false, true) => &pieces.gated_spec,
        (false, false) => &pieces.unplaced_spec,
    };
    spec.render(pod.record.index, pod.failures, out);
    put(out, format_args!(r#","status":{{"phase":"{}","conditions":["#, pod.phase()));
    conditions(pod, pieces, &times, out);
    out.push(']');
    if !is_queued(&pod.record) {
        started_status(pod, pieces, &uid, &times, out);
    }
    put(out, format_args!(r#","qosClass":"{}"}}}}"#, pieces.qos));
}

/// Appends a pod's metadata.
pub(in crate::view) fn pod_metadata(pod: &PodObject, out: &mut String) {
    let parsed = pod.job.parsed();
    out.reserve(1024);
    let (uid, times) = (pod.uid().to_string(), Times::of(pod));
    metadata(pod, &parsed.pod, parsed.spec.template.grace_s, &uid, &times, out);
    out.push('}');
}

/// Nothing was tried with it yet.
pub(in crate::view) fn is_queued(record: &PodRecord) -> bool {
    record.phase == Phase::Pending && record.reason == Reason::None
}

/// The times of a pod as text.
struct Times {
    created: String,
    /// When its first container started, or else it was created.
    first: String,
    /// When its container started, or else it was created.
    start: String,
    /// When it, or the container that is started again, ended; empty while it has not.
    finished: String,
}

impl Times {
    fn of(pod: &PodObject) -> Self {
        let (record, restarts) = (&pod.record, pod.restarts.as_ref());
        let start = record.started().unwrap_or(record.created).to_string();
        let finished = record.finished().or_else(|| Some(restarts?.last.finished()));
        Self {
            created: record.created.to_string(),
            first: restarts.map_or_else(|| start.clone(), |restarts| restarts.first_started.to_string()),
            start,
            finished: finished.map(|at| at.to_string()).unwrap_or_default(),
        }
    }
}

/// Whether its container runs.
fn is_running(record: &PodRecord) -> bool {
    record.phase == Phase::Running && record.has(PodRecord::STARTED)
}

/// Appends the metadata without its closing brace: the pieces of the spec begin with it.
fn metadata(pod: &PodObject, pieces: &PodTemplatePieces, grace_s: u32, uid: &str, times: &Times, out: &mut String) {
    let key = &pod.job.key;
    let indexed = pod.record.index().map(|index| join_prefix(&key.name, Some(index)));
    let generate_name = indexed.as_deref().unwrap_or(&pieces.generate_name);
    out.push_str(r#"{"name":""#);
    out.push_str(&pod.name());
    put(out, format_args!(r#"","generateName":"{generate_name}","namespace":"{}","uid":"{uid}","#, key.namespace));
    // kubernetes: `BeforeDelete` counts a graceful deletion as a change of the spec.
    let generation = if pod.record.has(PodRecord::STOPPING) { 2 } else { 1 };
    put(out, format_args!(r#""resourceVersion":"{}","generation":{generation},"#, pod.record.rv));
    put(out, format_args!(r#""creationTimestamp":"{}""#, times.created));
    let mark = pod.mark.as_deref();
    if let Some((mark, stop)) = mark.and_then(|mark| Some((mark, mark.stop?))) {
        let grace_s = mark.grace_s.unwrap_or(grace_s);
        let at = stop.plus_ms(u64::from(grace_s) * 1000);
        put(out, format_args!(r#","deletionTimestamp":"{at}","deletionGracePeriodSeconds":{grace_s}"#));
    }
    match mark.and_then(|mark| mark.meta.as_deref()) {
        Some(meta) => changed_metadata(pod, PodMeta::read(meta), out),
        None => {
            pieces.metadata.render(pod.record.index, pod.failures, out);
            if is_tracked(pod) {
                put(out, format_args!(r#","finalizers":["{TRACKING_FINALIZER}"]"#));
            }
        }
    }
}

/// Whether the Job controller has yet to count it.
fn is_tracked(pod: &PodObject) -> bool {
    let has_ended = pod.record.is_terminal() && !pod.record.has(PodRecord::HELD);
    !has_ended && !pod.job.placement.orphaned
}

/// Appends what a client made of the metadata.
fn changed_metadata(pod: &PodObject, mut meta: PodMeta, out: &mut String) {
    let is_owned = meta.controller().is_some_and(|uid| *uid == *pod.job.key.uid.to_string());
    if is_owned && is_tracked(pod) {
        meta.finalizers.push(TRACKING_FINALIZER.to_owned());
    }
    if pod.job.placement.orphaned {
        meta.owner_references.retain(|owner| *owner.uid != *pod.job.key.uid.to_string());
    }
    let json = meta.write();
    // The members of an object, without its braces.
    if json.len() > 2 {
        put(out, format_args!(",{}", &json[1..json.len() - 1]));
    }
}

fn conditions(pod: &PodObject, pieces: &PodTemplatePieces, times: &Times, out: &mut String) {
    let record = &pod.record;
    if !is_queued(record) {
        let (is_ready, at, reason) = match record.phase {
            Phase::Pending => (false, &times.created, r#","reason":"ContainersNotReady""#),
            Phase::Running if is_running(record) => (true, &times.start, ""),
            Phase::Running => (false, &times.finished, r#","reason":"ContainersNotReady""#),
            Phase::Succeeded => (false, &times.finished, r#","reason":"PodCompleted""#),
            Phase::Failed => (false, &times.finished, r#","reason":"PodFailed""#),
        };
        let mut ready = reason.to_owned();
        if !is_ready && !record.is_terminal() {
            let name = pieces.container.trim_matches('"');
            put(&mut ready, format_args!(r#","message":"containers with unready status: [{name}]""#));
        }
        let initialized = if record.phase == Phase::Succeeded { reason } else { "" };
        let (sandbox, sandbox_at) = if record.is_terminal() { (false, at) } else { (true, &times.first) };
        condition("PodReadyToStartContainers", sandbox, sandbox_at, "", out);
        condition("Initialized", true, &times.first, initialized, out);
        condition("Ready", is_ready, at, &ready, out);
        condition("ContainersReady", is_ready, at, &ready, out);
    }
    let Placement { no_room, unplaced, .. } = &pod.job.placement;
    let waits = is_queued(record) && !record.has(PodRecord::STOPPING);
    let unplaced = unplaced.as_ref().map(|unplaced| (unplaced.since, "Unschedulable", &*unplaced.why));
    let unplaced = unplaced.or_else(|| no_room.map(|since| (since, "Unschedulable", NO_ROOM)));
    let unplaced = if pod.is_gated() { Some((record.created, "SchedulingGated", GATED)) } else { unplaced };
    match unplaced.filter(|_| waits) {
        None => condition("PodScheduled", true, &times.created, "", out),
        Some((since, reason, why)) => {
            let at = since.max(record.created).to_string();
            let mut rest = format!(r#","reason":"{reason}","message":"#);
            put_json(&mut rest, why);
            condition("PodScheduled", false, &at, &rest, out);
        }
    }
    if let Some(stop) = pod.mark.as_deref().filter(|mark| mark.evicted).and_then(|mark| mark.stop) {
        let rest = r#","reason":"EvictionByEvictionAPI","message":"Eviction API: evicting""#;
        condition("DisruptionTarget", true, &stop.to_string(), rest, out);
    } else if record.has(PodRecord::DISRUPTED) {
        let rest = r#","reason":"EngineLost","message":"Coracle stopped while the pod was running""#;
        condition("DisruptionTarget", true, &times.finished, rest, out);
    }
    out.pop();
}

/// Appends a condition and a comma; `rest` is what follows its times.
fn condition(kind: &str, status: bool, at: &str, rest: &str, out: &mut String) {
    let status = if status { "True" } else { "False" };
    put(out, format_args!(r#"{{"type":"{kind}","status":"{status}","lastProbeTime":null,"#));
    put(out, format_args!(r#""lastTransitionTime":"{at}"{rest}}},"#));
}

/// Appends what a pod has from the first attempt to start it on. Guests have no address but the server's.
fn started_status(pod: &PodObject, pieces: &PodTemplatePieces, uid: &str, times: &Times, out: &mut String) {
    let is_pending = pod.record.phase == Phase::Pending;
    let is_running = is_running(&pod.record);
    out.push_str(r#","hostIP":"127.0.0.1","hostIPs":[{"ip":"127.0.0.1"}],"#);
    if !is_pending {
        out.push_str(r#""podIP":"127.0.0.1","podIPs":[{"ip":"127.0.0.1"}],"#);
    }
    let (first, name, image) = (&times.first, &pieces.container, &pieces.image);
    put(out, format_args!(r#""startTime":"{first}","containerStatuses":[{{"name":{name},"state":{{"#));
    match pod.record.phase {
        Phase::Pending => waiting(pod, out),
        Phase::Running if is_running => put(out, format_args!(r#""running":{{"startedAt":"{}"}}"#, times.start)),
        Phase::Running => waiting_again(pod, pieces, uid, out),
        Phase::Succeeded | Phase::Failed => terminated(&state_of(pod, times), uid, out),
    }
    out.push_str(r#"},"lastState":{"#);
    if let Some(restarts) = &pod.restarts {
        terminated(&TerminatedState::of(&restarts.last), uid, out);
    }
    let restarts = pod.restarts.as_ref().map_or(0, |restarts| restarts.count);
    put(out, format_args!(r#"}},"ready":{is_running},"restartCount":{restarts},"image":{image},"#));
    if is_pending {
        out.push_str(r#""imageID":"","#);
    } else {
        put(out, format_args!(r#""imageID":{image},"#));
        container_id(pod.record.engine(), uid, out);
    }
    put(out, format_args!(r#""started":{is_running}}}]"#));
}

fn waiting(pod: &PodObject, out: &mut String) {
    put(out, format_args!(r#""waiting":{{"reason":"{}""#, pod.record.reason.as_str()));
    message(pod.message.as_deref(), out);
    out.push('}');
}

/// A container that is started again (kubernetes: kubelet, `doBackOff`).
fn waiting_again(pod: &PodObject, pieces: &PodTemplatePieces, uid: &str, out: &mut String) {
    let Some(restarts) = pod.restarts.as_ref().filter(|restarts| restarts.is_waiting) else {
        let reason = if pod.record.reason == Reason::None { "ContainerCreating" } else { pod.record.reason.as_str() };
        put(out, format_args!(r#""waiting":{{"reason":"{reason}""#));
        message(pod.message.as_deref(), out);
        return out.push('}');
    };
    let (name, namespace) = (pod.name(), &pod.job.key.namespace);
    let (container, delay) = (pieces.container.trim_matches('"'), go_duration(restarts.back_off_ms / 1000));
    put(out, format_args!(r#""waiting":{{"reason":"CrashLoopBackOff","message":"back-off {delay} "#));
    put(out, format_args!(r#"restarting failed container={container} pod={name}_{namespace}({uid})"}}"#));
}

/// Whole seconds as Go prints a duration: `10s`, `1m20s`, `5m0s`.
fn go_duration(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// `state.terminated` or `lastState.terminated`.
struct TerminatedState<'a> {
    code: u8,
    reason: Reason,
    message: Option<&'a str>,
    started: String,
    finished: String,
    engine: Option<EngineKind>,
}

impl<'a> TerminatedState<'a> {
    fn of(last: &'a Terminated) -> Self {
        Self {
            code: last.exit_code,
            reason: last.reason,
            message: last.message.as_deref(),
            started: last.started.to_string(),
            finished: last.finished().to_string(),
            engine: last.engine,
        }
    }
}

fn state_of<'a>(pod: &'a PodObject, times: &Times) -> TerminatedState<'a> {
    TerminatedState {
        code: pod.record.exit_code,
        reason: pod.record.reason,
        message: pod.message.as_deref(),
        started: times.start.clone(),
        finished: times.finished.clone(),
        engine: pod.record.engine(),
    }
}

fn terminated(state: &TerminatedState<'_>, uid: &str, out: &mut String) {
    let (code, reason) = (state.code, state.reason.as_str());
    put(out, format_args!(r#""terminated":{{"exitCode":{code},"reason":"{reason}""#));
    message(state.message, out);
    let (start, finished) = (&state.started, &state.finished);
    put(out, format_args!(r#","startedAt":"{start}","finishedAt":"{finished}","#));
    container_id(state.engine, uid, out);
    out.pop();
    out.push('}');
}

/// Appends the id of a container whose guest ran, and a comma. Its scheme names the runtime (kubernetes:
/// `<type>://<container_id>`), which is one of the engines.
fn container_id(engine: Option<EngineKind>, uid: &str, out: &mut String) {
    if let Some(engine) = engine {
        let scheme = match engine {
            EngineKind::Small => "coracle-s",
            EngineKind::Large => "coracle-l",
        };
        put(out, format_args!(r#""containerID":"{scheme}://{uid}","#));
    }
}

fn message(message: Option<&str>, out: &mut String) {
    if let Some(message) = message {
        out.push_str(r#","message":"#);
        put_json(out, message);
    }
}
