//! The spec of a Job as the oracle reads it: straight from the document, every field of the API that decides something.
//!
//! Knows nothing of `model::JobSpec`, so that an error in reading one of the two shows. Invariant: the document went
//! through validation; a field of another shape panics.

use serde_json::Value;
use std::collections::BTreeSet;

/// kubernetes: `batch/v1 JobSpec`, and what of the template decides.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sim) struct Spec {
    pub(in crate::sim) parallelism: u32,
    pub(in crate::sim) completions: Option<u32>,
    pub(in crate::sim) indexed: bool,
    pub(in crate::sim) backoff_limit: u32,
    pub(in crate::sim) per_index: Option<u32>,
    pub(in crate::sim) max_failed: Option<u32>,
    pub(in crate::sim) deadline_ms: Option<u64>,
    pub(in crate::sim) ttl_ms: Option<u64>,
    pub(in crate::sim) suspend: bool,
    pub(in crate::sim) failure_policy: Option<Vec<FailureRule>>,
    pub(in crate::sim) success_policy: Option<Vec<SuccessRule>>,
    /// `podReplacementPolicy: Failed` as written; what counts is [`Spec::only_replace_failed`].
    pub(in crate::sim) replace_failed: bool,
    pub(in crate::sim) managed_by: Option<String>,
    pub(in crate::sim) on_failure: bool,
    /// Coracle's own annotations replace the first and the longest delay of 8.1, ms.
    pub(in crate::sim) delays_ms: (u64, u64),
}

/// kubernetes: `PodFailurePolicyRule`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sim) struct FailureRule {
    pub(in crate::sim) action: String,
    pub(in crate::sim) codes: Option<ExitCodes>,
    /// Type and status.
    pub(in crate::sim) conditions: Vec<(String, String)>,
}

/// kubernetes: `PodFailurePolicyOnExitCodesRequirement`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sim) struct ExitCodes {
    pub(in crate::sim) container: Option<String>,
    pub(in crate::sim) operator: String,
    pub(in crate::sim) values: Vec<i64>,
}

/// kubernetes: `SuccessPolicyRule`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sim) struct SuccessRule {
    pub(in crate::sim) indexes: Option<String>,
    pub(in crate::sim) count: Option<u32>,
}

impl Spec {
    /// Reads the document of a Job; what is unset has its default (kubernetes: `SetDefaults_Job`).
    pub(in crate::sim) fn of(document: &Value) -> Self {
        let spec = &document["spec"];
        let per_index = number(&spec["backoffLimitPerIndex"]);
        let (parallelism, completions) = (number(&spec["parallelism"]), number(&spec["completions"]));
        let failure_policy = list(&spec["podFailurePolicy"]["rules"], failure_rule);
        Self {
            parallelism: parallelism.unwrap_or(1),
            completions: completions.or_else(|| parallelism.is_none().then_some(1)),
            indexed: spec["completionMode"] == "Indexed",
            backoff_limit: number(&spec["backoffLimit"]).unwrap_or_else(|| per_index.map_or(6, |_| 0x7fff_ffff)),
            per_index,
            max_failed: number(&spec["maxFailedIndexes"]),
            deadline_ms: spec["activeDeadlineSeconds"].as_u64().map(|seconds| seconds.saturating_mul(1000)),
            ttl_ms: spec["ttlSecondsAfterFinished"].as_u64().map(|seconds| seconds.saturating_mul(1000)),
            suspend: spec["suspend"] == true,
            replace_failed: match spec["podReplacementPolicy"].as_str() {
                Some(policy) => policy == "Failed",
                None => failure_policy.is_some(),
            },
            failure_policy,
            success_policy: list(&spec["successPolicy"]["rules"], success_rule),
            managed_by: text(&spec["managedBy"]),
            on_failure: spec["template"]["spec"]["restartPolicy"] == "OnFailure",
            delays_ms: (delay(document, "base", 10_000), delay(document, "max", 600_000)),
        }
    }

    /// 7.1: whether a pod is replaced only once it has ended.
    pub(in crate::sim) fn only_replace_failed(&self) -> bool {
        self.replace_failed || self.failure_policy.is_some()
    }

    /// 7.2 step 2.
    pub(in crate::sim) fn is_ours(&self) -> bool {
        self.managed_by.as_deref().is_none_or(|name| name == "kubernetes.io/job-controller")
    }

    /// Whether a completion index is one that the Job has.
    pub(super) fn has_index(&self, index: u32) -> bool {
        self.completions.is_some_and(|completions| index < completions)
    }
}

fn number(value: &Value) -> Option<u32> {
    Some(u32::try_from(value.as_u64()?).expect("an int32 that is not negative"))
}

/// An annotation in whole units: `500ms`, `2s` or `5m`.
fn delay(document: &Value, which: &str, default_ms: u64) -> u64 {
    let annotations = &document["metadata"]["annotations"];
    let Some(text) = annotations[format!("coracle.dev/backoff-{which}")].as_str() else { return default_ms };
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let read = |(unit, ms): &(&str, u64)| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * ms);
    units.iter().find_map(read).expect("a duration of one unit")
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn list<T>(value: &Value, read: fn(&Value) -> T) -> Option<Vec<T>> {
    Some(value.as_array()?.iter().map(read).collect())
}

fn failure_rule(rule: &Value) -> FailureRule {
    let codes = &rule["onExitCodes"];
    let pattern = |pattern: &Value| {
        let status = text(&pattern["status"]).unwrap_or_else(|| "True".to_owned());
        (text(&pattern["type"]).expect("a pattern has a type"), status)
    };
    FailureRule {
        action: text(&rule["action"]).expect("a rule has an action"),
        codes: codes.is_object().then(|| ExitCodes {
            container: text(&codes["containerName"]),
            operator: text(&codes["operator"]).expect("exit codes have an operator"),
            values: codes["values"].as_array().expect("exit codes").iter().filter_map(Value::as_i64).collect(),
        }),
        conditions: rule["onPodConditions"].as_array().into_iter().flatten().map(pattern).collect(),
    }
}

fn success_rule(rule: &Value) -> SuccessRule {
    SuccessRule { indexes: text(&rule["succeededIndexes"]), count: number(&rule["succeededCount"]) }
}

/// 2.3: reads an index list as the controller does, clamped to `completions`.
pub(super) fn parse_indexes(text: &str, completions: u32) -> BTreeSet<u32> {
    let mut set = BTreeSet::new();
    for fragment in text.split(',') {
        let mut ends = fragment.split('-').map(str::parse::<u32>);
        let Some(Ok(first)) = ends.next() else { continue };
        let last = match ends.next() {
            None => first,
            Some(Ok(last)) => last,
            Some(Err(_)) => continue,
        };
        if first >= completions {
            break;
        }
        set.extend(first..=last.min(completions - 1));
    }
    set
}

/// 2.3: prints an index list.
pub(in crate::sim) fn print_indexes(set: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for index in set.iter().copied() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let print = |(first, last): &(u32, u32)| match last - first {
        0 => format!("{first}"),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(print).collect::<Vec<_>>().join(",")
}
