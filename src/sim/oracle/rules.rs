//! The rules that a sync asks, one function each, over plain lists.

use super::spec::{FailureRule, Spec, parse_indexes};
use super::{Backoff, Container, Pod, Verdict};
use crate::base::Time;
use std::collections::BTreeSet;

/// 8.1: delay after `n` failures, ms.
pub(super) fn delay_ms(spec: &Spec, n: u32) -> u64 {
    if n == 0 {
        return 0;
    }
    let (mut delay, most) = spec.delays_ms;
    for _ in 1..n {
        delay *= 2;
        if delay >= most {
            break;
        }
    }
    delay.min(most)
}

/// 8.1: when a pod ended.
pub(super) fn finish_time(pod: &Pod) -> Time {
    let ends: Option<Vec<Time>> = pod.containers.iter().map(|c| c.ended.map(|(_, at)| at)).collect();
    if let Some(latest) = ends.and_then(|ends| ends.into_iter().max()) {
        return latest;
    }
    if let Some(at) = pod.unready_since {
        return at;
    }
    match pod.deleted {
        // deletionTimestamp is the request and the grace period; what is kept here is the request.
        Some(at) => at,
        None => pod.created,
    }
}

/// 8.1: the record after a sync that sees these new successes and failures.
pub(super) fn backoff_after(old: Backoff, succeeded: &[Time], failed: &[Time]) -> Backoff {
    let count = |times: &[Time]| u32::try_from(times.len()).expect("few pods");
    let Some(success) = succeeded.iter().max() else {
        let last = failed.iter().copied().chain([old.last]).max().expect("one at least");
        return Backoff { n: old.n + count(failed), last };
    };
    let later: Vec<Time> = failed.iter().copied().filter(|at| at > success).collect();
    Backoff { n: count(&later), last: later.into_iter().max().unwrap_or_default() }
}

/// 8.2: the first rule that matches, with the message that it would give a `FailJob`.
pub(super) fn first_match<'a>(spec: &'a Spec, pod: &Pod) -> Option<(&'a FailureRule, String)> {
    first_of_all(spec, pod).filter(|_| !is_lost(spec, pod))
}

fn first_of_all<'a>(spec: &'a Spec, pod: &Pod) -> Option<(&'a FailureRule, String)> {
    let rules = spec.failure_policy.as_ref()?;
    rules.iter().enumerate().find_map(|(at, rule)| Some((rule, matches(rule, at, pod)?)))
}

/// Coracle: a pod that ended with the engine counts nowhere, unless a rule about its condition says so.
pub(super) fn is_lost(spec: &Spec, pod: &Pod) -> bool {
    let is_meant = |rule: &FailureRule| rule.codes.is_none() && rule.action != "Ignore";
    pod.lost && !first_of_all(spec, pod).is_some_and(|(rule, _)| is_meant(rule))
}

fn matches(rule: &FailureRule, at: usize, pod: &Pod) -> Option<String> {
    if let Some(codes) = &rule.codes {
        let qualifies = |container: &&Container| match container.ended {
            None | Some((0, _)) => false,
            Some((code, _)) => {
                let named = codes.container.as_ref().is_none_or(|name| *name == container.name);
                let listed = codes.values.contains(&i64::from(code));
                named && if codes.operator == "In" { listed } else { !listed }
            }
        };
        // containerStatuses, then initContainerStatuses.
        let (init, main): (Vec<_>, Vec<_>) = pod.containers.iter().partition(|container| container.init);
        let container = main.into_iter().chain(init).find(qualifies)?;
        let (code, _) = container.ended.expect("it qualifies");
        let (name, pod) = (&container.name, &pod.name);
        return Some(format!(
            "Container {name} for pod {pod} failed with exit code {code} matching FailJob rule at index {at}"
        ));
    }
    let condition = pod.conditions.iter().find(|condition| rule.conditions.contains(condition))?;
    Some(format!("Pod {} has condition {} matching FailJob rule at index {at}", pod.name, condition.0))
}

/// 8.2: whether the failure of a pod counts.
pub(super) fn counts(spec: &Spec, pod: &Pod) -> bool {
    !is_lost(spec, pod) && first_match(spec, pod).is_none_or(|(rule, _)| rule.action != "Ignore")
}

/// 8.3: whether the restarts in place are too many.
pub(super) fn too_many_restarts(spec: &Spec, pods: &[Pod]) -> bool {
    if !spec.on_failure {
        return false;
    }
    let sum: u32 = pods.iter().filter(|pod| !pod.is_terminal()).map(Pod::restarts).sum();
    if spec.backoff_limit == 0 { sum > 0 } else { sum >= spec.backoff_limit }
}

/// 8.4: the failed indexes: those of before and those that fail now.
pub(super) fn failed_indexes(spec: &Spec, before: &BTreeSet<u32>, new_failed: &[&Pod]) -> BTreeSet<u32> {
    let mut failed: BTreeSet<u32> = before.iter().copied().filter(|index| spec.has_index(*index)).collect();
    let Some(limit) = spec.per_index else { return failed };
    for pod in new_failed {
        let fails_index = first_match(spec, pod).is_some_and(|(rule, _)| rule.action == "FailIndex");
        if fails_index || (counts(spec, pod) && pod.failures >= limit) {
            failed.extend(pod.index);
        }
    }
    failed
}

/// 8.4: of an index that waits for another pod, the failed one that keeps its finalizer until then.
pub(super) fn delayed<'a>(new_failed: &[&'a Pod], index: u32) -> Option<&'a Pod> {
    let of_index = new_failed.iter().copied().filter(|pod| pod.index == Some(index));
    of_index.max_by_key(|pod| (pod.failures + pod.ignored, finish_time(pod)))
}

/// 8.5: the place of a pod among those that are removed: the lowest goes first.
pub(super) fn removal_rank(pod: &Pod) -> impl Ord + use<> {
    let ready = pod.ready.is_some();
    let most = pod.containers.iter().map(|container| container.restarts).max().unwrap_or(0);
    let newest_first = |at: Time| u64::MAX - at.0;
    // Not assigned, Pending, not Ready, more recently ready, more restarts, newer.
    (
        pod.assigned,
        pod.is_running(),
        ready,
        pod.ready.map_or(0, newest_first),
        u32::MAX - most,
        newest_first(pod.created),
    )
}

/// 8.6: whether the success policy is satisfied.
pub(super) fn success_policy(spec: &Spec, completed: &BTreeSet<u32>) -> Option<Verdict> {
    let completions = spec.completions.filter(|_| spec.indexed && !completed.is_empty())?;
    for (at, rule) in spec.success_policy.iter().flatten().enumerate() {
        let is_met = match (&rule.indexes, rule.count) {
            (Some(text), count) => {
                let listed = parse_indexes(text, completions);
                let k = listed.intersection(completed).count();
                !listed.is_empty() && (k == listed.len() || count.is_some_and(|count| k >= count as usize))
            }
            (None, Some(count)) => completed.len() >= count as usize,
            (None, None) => false,
        };
        if is_met {
            return Some(Verdict::success("SuccessPolicy", &format!("Matched rules at index {at}")));
        }
    }
    None
}
