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
    if draw.once_in(3) {
        spec["podFailurePolicy"] = json!({"rules": failure_rules(draw)});
        spec["podReplacementPolicy"] = json!("Failed");
    } else {
        spec["podReplacementPolicy"] = json!(if draw.once_in(3) { "Failed" } else { "TerminatingOrFailed" });
    }
    json!({
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {"name": name, "namespace": "default", "uid": uid.to_string(), "generation": 1},
        "spec": spec
    })
}

fn failure_rules(draw: &mut Draw<'_>) -> Vec<Value> {
    let count = draw.number(1, 4);
    (0..count).map(|_| failure_rule(draw)).collect()
}

fn failure_rule(draw: &mut Draw<'_>) -> Value {
    let action = draw.one(&["Ignore", "Ignore", "Count", "FailJob"]);
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
    match draw.number(0, 6) {
        0..=2 => spec["parallelism"] = json!(draw.number(0, 9)),
        3 => spec["backoffLimit"] = json!(draw.number(0, 9)),
        4 if draw.once_in(2) => drop(spec.as_object_mut().expect("a spec").remove("activeDeadlineSeconds")),
        4 => spec["activeDeadlineSeconds"] = json!(draw.number(0, 9) * 300),
        _ if spec["podFailurePolicy"].is_object() => {}
        _ => spec["podReplacementPolicy"] = json!(draw.one(&["Failed", "TerminatingOrFailed"])),
    }
}

/// Changes a Job so that it can end.
pub(super) fn let_end(job: &mut Value) {
    let spec = &mut job["spec"];
    if spec["parallelism"] == 0 {
        spec["parallelism"] = json!(1);
    }
}
