//! Pods: the template's pieces with the record put in.
//!
//! Shapes as a kubelet writes them (kubernetes: kubelet, `generateAPIPodStatus`). Invariant: conditions come in the kubelet's order.

use super::template::PodTemplatePieces;
use super::{NO_ROOM, TRACKING_FINALIZER, put, put_json};
use crate::base::join_prefix;
use crate::model::{EngineKind, Phase, Placement, PodMeta, PodRecord, Reason};
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
    let times = Times::of(&pod.record);
    out.reserve(4096);
    out.push_str(r#"{"kind":"Pod","apiVersion":"v1","metadata":"#);
    metadata(pod, pieces, parsed.spec.template.grace_s, &uid, &times, out);
    let spec = match (pod.is_placed(), pod.is_gated()) {
        (true, _) => &pieces.spec,
        (false, true) => &pieces.gated_spec,
        (false, false) => &pieces.unplaced_spec,
    };
    spec.render(pod.record.index, out);
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
    let (uid, times) = (pod.uid().to_string(), Times::of(&pod.record));
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
    /// When the guest started, or else was created.
    start: String,
    /// When it ended; empty while it has not.
    finished: String,
}

impl Times {
    fn of(record: &PodRecord) -> Self {
        Self {
            created: record.created.to_string(),
            start: record.started().unwrap_or(record.created).to_string(),
            finished: record.finished().map(|at| at.to_string()).unwrap_or_default(),
        }
    }
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
            pieces.metadata.render(pod.record.index, out);
            if !pod.record.is_terminal() && !pod.job.placement.orphaned {
                put(out, format_args!(r#","finalizers":["{TRACKING_FINALIZER}"]"#));
            }
        }
    }
}

/// Appends what a client made of the metadata.
fn changed_metadata(pod: &PodObject, mut meta: PodMeta, out: &mut String) {
    let is_owned = meta.controller().is_some_and(|uid| *uid == *pod.job.key.uid.to_string());
    if is_owned && !pod.record.is_terminal() && !pod.job.placement.orphaned {
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
            Phase::Running => (true, &times.start, ""),
            Phase::Succeeded => (false, &times.finished, r#","reason":"PodCompleted""#),
            Phase::Failed => (false, &times.finished, r#","reason":"PodFailed""#),
        };
        let mut ready = reason.to_owned();
        if record.phase == Phase::Pending {
            let name = pieces.container.trim_matches('"');
            put(&mut ready, format_args!(r#","message":"containers with unready status: [{name}]""#));
        }
        let initialized = if record.phase == Phase::Succeeded { reason } else { "" };
        let (sandbox, sandbox_at) = if record.is_terminal() { (false, at) } else { (true, &times.start) };
        condition("PodReadyToStartContainers", sandbox, sandbox_at, "", out);
        condition("Initialized", true, &times.start, initialized, out);
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
    }
    if record.has(PodRecord::DISRUPTED) {
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
    let is_running = pod.record.phase == Phase::Running;
    out.push_str(r#","hostIP":"127.0.0.1","hostIPs":[{"ip":"127.0.0.1"}],"#);
    if !is_pending {
        out.push_str(r#""podIP":"127.0.0.1","podIPs":[{"ip":"127.0.0.1"}],"#);
    }
    let (start, name, image) = (&times.start, &pieces.container, &pieces.image);
    put(out, format_args!(r#""startTime":"{start}","containerStatuses":[{{"name":{name},"state":{{"#));
    match pod.record.phase {
        Phase::Pending => waiting(pod, out),
        Phase::Running => put(out, format_args!(r#""running":{{"startedAt":"{start}"}}"#)),
        Phase::Succeeded | Phase::Failed => terminated(pod, uid, times, out),
    }
    put(out, format_args!(r#"}},"lastState":{{}},"ready":{is_running},"restartCount":0,"image":{image},"#));
    if is_pending {
        out.push_str(r#""imageID":"","#);
    } else {
        put(out, format_args!(r#""imageID":{image},"#));
        container_id(pod, uid, out);
    }
    put(out, format_args!(r#""started":{is_running}}}]"#));
}

fn waiting(pod: &PodObject, out: &mut String) {
    put(out, format_args!(r#""waiting":{{"reason":"{}""#, pod.record.reason.as_str()));
    message(pod, out);
    out.push('}');
}

fn terminated(pod: &PodObject, uid: &str, times: &Times, out: &mut String) {
    let (code, reason) = (pod.record.exit_code, pod.record.reason.as_str());
    put(out, format_args!(r#""terminated":{{"exitCode":{code},"reason":"{reason}""#));
    message(pod, out);
    let (start, finished) = (&times.start, &times.finished);
    put(out, format_args!(r#","startedAt":"{start}","finishedAt":"{finished}","#));
    container_id(pod, uid, out);
    out.pop();
    out.push('}');
}

/// Appends the id of a container whose guest ran, and a comma. Its scheme names the runtime (kubernetes:
/// `<type>://<container_id>`), which is one of the engines.
fn container_id(pod: &PodObject, uid: &str, out: &mut String) {
    if let Some(engine) = pod.record.engine() {
        let scheme = match engine {
            EngineKind::Small => "coracle-s",
            EngineKind::Large => "coracle-l",
        };
        put(out, format_args!(r#""containerID":"{scheme}://{uid}","#));
    }
}

fn message(pod: &PodObject, out: &mut String) {
    if let Some(message) = &pod.message {
        out.push_str(r#","message":"#);
        put_json(out, message);
    }
}
