//! The Jobs that clients of a history write, and how they change them: documents as the API stores them.
//!
//! Knows what validation lets through; draws nothing that it refuses. Invariant: a document says everything that `control` and
//! the oracle read of it.

use crate::base::{Rng, Uid};
use serde_json::{Value, json};

/// Draws from a seed.
pub(super) struct Draw<'a>(pub(super) &'a mut Rng);

impl Draw<'_> {
    /// A number from `from` on, below `to`.
    pub(super) fn number(&mut self, from: u32, to: u32) -> u32 {
        from + u32::try_from(self.0.next_u64() % u64::from(to - from)).expect("small")
    }

    /// Once in `n` times.
    pub(super) fn once_in(&mut self, n: u32) -> bool {
        self.number(0, n) == 0
    }

    /// One of them.
    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.number(0, u32::try_from(of.len()).expect("few")) as usize].clone()
    }
}

/// A Job to create.
pub(super) fn new_job(draw: &mut Draw<'_>, name: &str, uid: Uid) -> Value {
    let indexed = draw.once_in(2);
    let mut spec = json!({
        "parallelism": draw.number(0, 7),
        "completionMode": if indexed { "Indexed" } else { "NonIndexed" },
        "backoffLimit": if draw.once_in(2) { draw.number(0, 5) } else { 6 },
        "template": {
            "metadata": {"labels": {"job-name": name}},
            "spec": {
                "containers": [{"name": "main", "image": "i"}],
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 30
            }
        }
    });
    if indexed || !draw.once_in(4) {
        spec["completions"] = json!(draw.number(0, 14));
    }
    if draw.once_in(4) {
        spec["activeDeadlineSeconds"] = json!(draw.number(0, 2000));
    }
    let per_index = indexed && draw.once_in(3);
    if per_index {
        limit_indexes(draw, &mut spec);
    }
    if indexed && draw.once_in(4) {
        spec["successPolicy"] = json!({"rules": success_rules(draw, spec["completions"].as_u64().unwrap_or(0))});
    }
    if draw.once_in(6) {
        spec["suspend"] = json!(true);
    }
    if draw.once_in(6) {
        spec["ttlSecondsAfterFinished"] = json!(draw.one(&[0, 1, 100, 1000]));
    }
    if draw.once_in(12) {
        spec["managedBy"] = json!(draw.one(&["kubernetes.io/job-controller", "example.com/x"]));
    }
    if draw.once_in(3) {
        spec["podFailurePolicy"] = json!({"rules": failure_rules(draw, per_index)});
        spec["podReplacementPolicy"] = json!("Failed");
    } else {
        if draw.once_in(4) {
            spec["template"]["spec"]["restartPolicy"] = json!("OnFailure");
        }
        spec["podReplacementPolicy"] = json!(if draw.once_in(3) { "Failed" } else { "TerminatingOrFailed" });
    }
    let mut metadata = json!({"name": name, "namespace": "default", "uid": uid.to_string(), "generation": 1});
    if draw.once_in(6) {
        metadata["annotations"] = json!({
            "coracle.dev/backoff-base": draw.one(&["200ms", "2s", "10s"]),
            "coracle.dev/backoff-max": draw.one(&["10s", "1m", "10m"])
        });
    }
    json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": metadata, "spec": spec})
}

fn limit_indexes(draw: &mut Draw<'_>, spec: &mut Value) {
    spec["backoffLimitPerIndex"] = json!(draw.number(0, 3));
    let completions = u32::try_from(spec["completions"].as_u64().unwrap_or(0)).expect("few");
    if draw.once_in(2) {
        spec["maxFailedIndexes"] = json!(draw.number(0, completions.min(4) + 1));
    }
    if !draw.once_in(3) {
        spec["backoffLimit"] = json!(0x7fff_ffff);
    }
}

fn success_rules(draw: &mut Draw<'_>, completions: u64) -> Vec<Value> {
    let below = u32::try_from(completions).expect("few") + 1;
    let count = draw.number(1, 3);
    let rule = |draw: &mut Draw<'_>| {
        let (a, b) = (draw.number(0, below), draw.number(0, below));
        let (first, last) = (a.min(b), a.max(b));
        match draw.number(0, 3) {
            0 => json!({"succeededCount": a}),
            _ if u64::from(last) >= completions => json!({"succeededCount": last}),
            1 if first < last => {
                json!({"succeededIndexes": format!("{first}-{last}"), "succeededCount": draw.number(0, last - first + 2)})
            }
            _ if first < last => json!({"succeededIndexes": format!("{first},{last}")}),
            _ => json!({"succeededIndexes": format!("{first}")}),
        }
    };
    (0..count).map(|_| rule(draw)).collect()
}

fn failure_rules(draw: &mut Draw<'_>, per_index: bool) -> Vec<Value> {
    let count = draw.number(1, 4);
    (0..count).map(|_| failure_rule(draw, per_index)).collect()
}

fn failure_rule(draw: &mut Draw<'_>, per_index: bool) -> Value {
    let action = match per_index && draw.once_in(3) {
        true => "FailIndex",
        false => draw.one(&["Ignore", "Ignore", "Count", "FailJob"]),
    };
    if draw.once_in(5) {
        let kind = draw.one(&["DisruptionTarget", "DisruptionTarget", "DisruptionTarget", "ConfigIssue", "Ready"]);
        let status = if kind == "Ready" { draw.one(&["True", "False"]) } else { "True" };
        return json!({"action": action, "onPodConditions": [{"type": kind, "status": status}]});
    }
    let values: &[i32] = match draw.number(0, 5) {
        0 => &[1],
        1 => &[1, 2],
        2 => &[2, 3, 143],
        3 => &[5],
        _ => &[0, 1, 3, 143],
    };
    let operator = if values[0] == 0 || draw.once_in(4) { "NotIn" } else { "In" };
    let mut codes = json!({"operator": operator, "values": values});
    if draw.once_in(4) {
        codes["containerName"] = json!("main");
    }
    json!({"action": action, "onExitCodes": codes})
}

/// Changes a Job as a client may.
pub(super) fn change(draw: &mut Draw<'_>, job: &mut Value) {
    let generation = job["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
    job["metadata"]["generation"] = json!(generation);
    let spec = &mut job["spec"];
    match draw.number(0, 10) {
        0 | 1 => spec["parallelism"] = json!(draw.number(0, 9)),
        2 => spec["backoffLimit"] = json!(draw.number(0, 9)),
        3 if draw.once_in(2) => drop(spec.as_object_mut().expect("a spec").remove("activeDeadlineSeconds")),
        3 => spec["activeDeadlineSeconds"] = json!(draw.number(0, 9) * 300),
        4 | 5 => spec["suspend"] = json!(spec["suspend"] != true),
        6 if spec["completionMode"] == "Indexed" => resize(draw, spec),
        7 if spec["maxFailedIndexes"].is_u64() => spec["maxFailedIndexes"] = json!(draw.number(0, 3)),
        8 => spec["ttlSecondsAfterFinished"] = json!(draw.number(0, 300)),
        _ if spec["podFailurePolicy"].is_object() => {}
        _ => spec["podReplacementPolicy"] = json!(draw.one(&["Failed", "TerminatingOrFailed"])),
    }
}

/// Elastic: as many completions as pods at a time. What validation says about rules still holds.
fn resize(draw: &mut Draw<'_>, spec: &mut Value) {
    let size = draw.number(0, 9);
    let is_named = spec["successPolicy"].is_object() && spec["completions"].as_u64() > Some(u64::from(size));
    let is_few = spec["maxFailedIndexes"].as_u64() > Some(u64::from(size));
    if !is_named && !is_few {
        spec["completions"] = json!(size);
        spec["parallelism"] = json!(size);
    }
}

/// Changes a Job so that it can end.
pub(super) fn let_end(job: &mut Value) {
    let spec = &mut job["spec"];
    if spec["parallelism"] == 0 {
        spec["parallelism"] = json!(1);
    }
    spec["suspend"] = json!(false);
}
