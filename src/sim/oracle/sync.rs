//! One sync, in the order of questions that the specification lists (section 7.2).

use super::rules;
use super::{Backoff, Condition, Job, NewPod, Pod, Spec, Verdict, Work};
use crate::base::Time;
use crate::model::Phase;
use std::collections::BTreeSet;

/// What a sync works with: the pods as they were listed.
struct Sync<'a> {
    spec: &'a Spec,
    now: Time,
    pods: Vec<Pod>,
    completed: BTreeSet<u32>,
    failed_indexes: BTreeSet<u32>,
    succeeded: u32,
    failed: u32,
    backoff: Backoff,
}

impl Job {
    /// Looks at everything once. Among pods that may be removed with equal right, those in `preferred` go.
    pub(in crate::sim) fn sync(&mut self, spec: &Spec, now: Time, preferred: &BTreeSet<u32>) -> Work {
        let mut work = Work::default();
        if !spec.is_ours() || self.status.is_finished() {
            return work;
        }
        if self.status.start_time.is_none() && !spec.suspend {
            self.status.start_time = Some(now);
        }
        let sync = self.look(spec, now);
        let mut verdict = self.finish_condition(&sync, &mut work);
        if verdict.is_some() {
            let all: Vec<u32> = sync.pods.iter().filter(|pod| pod.is_active()).map(|pod| pod.id).collect();
            self.delete(all, true, now, &mut work);
        } else {
            let active = match count(&sync.pods, Pod::is_active) {
                active if self.deleting => active,
                active => self.manage(&sync, active, preferred, &mut work),
            };
            let is_complete = match spec.completions {
                None => sync.succeeded > 0 && active == 0,
                Some(completions) => sync.succeeded >= completions && active == 0,
            };
            if is_complete {
                verdict = Some(Verdict::success("CompletionsReached", "Reached expected number of succeeded pods"));
            } else if !self.deleting {
                self.suspend_or_resume(spec, now);
            }
        }
        self.track(&sync, verdict, now);
        self.count_pods(&work);
        if !spec.suspend
            && let (Some(start), Some(ms)) = (self.status.start_time, spec.deadline_ms)
        {
            work.again = work.again.into_iter().chain([start.plus_ms(ms)]).filter(|at| *at > now).min();
        }
        work
    }

    /// Steps 5 and 7.
    fn look<'a>(&self, spec: &'a Spec, now: Time) -> Sync<'a> {
        let status = &self.status;
        let pods = self.pods.clone();
        let valid = |pod: &&Pod| pod.finalizer && (!spec.indexed || pod.index.is_some_and(|i| spec.has_index(i)));
        let new_succeeded: Vec<&Pod> = pods.iter().filter(valid).filter(|pod| pod.phase == Phase::Succeeded).collect();
        let new_failed: Vec<&Pod> = pods.iter().filter(valid).filter(|pod| pod.is_failed(spec)).collect();
        let counted = new_failed.iter().filter(|pod| rules::counts(spec, pod)).count();
        let mut completed: BTreeSet<u32> =
            status.completed_indexes.iter().copied().filter(|index| spec.has_index(*index)).collect();
        completed.extend(new_succeeded.iter().filter_map(|pod| pod.index).filter(|_| spec.indexed));
        let succeeded = if spec.indexed { size(completed.len()) } else { status.succeeded + size(new_succeeded.len()) };
        let ends = |pods: &[&Pod]| -> Vec<Time> {
            pods.iter().filter(|pod| !rules::is_lost(spec, pod)).map(|pod| rules::finish_time(pod)).collect()
        };
        let backoff = rules::backoff_after(self.backoff, &ends(&new_succeeded), &ends(&new_failed));
        let failed_indexes = rules::failed_indexes(spec, &status.failed_indexes, &new_failed);
        let failed = status.failed + size(counted);
        Sync { spec, now, completed, failed_indexes, succeeded, failed, backoff, pods: pods.clone() }
    }

    /// Step 8: the first hit wins.
    fn finish_condition(&self, sync: &Sync<'_>, work: &mut Work) -> Option<Verdict> {
        let (spec, status, now) = (sync.spec, &self.status, sync.now);
        let decided = status.is_true("SuccessCriteriaMet").or_else(|| status.is_true("FailureTarget"));
        if let Some(condition) = decided {
            return Some(Verdict::of(condition));
        }
        let failed = sync.pods.iter().filter(|pod| pod.is_failed(spec));
        let matched = failed.filter_map(|pod| rules::first_match(spec, pod));
        work.messages = matched.filter(|(rule, _)| rule.action == "FailJob").map(|(_, message)| message).collect();
        if let Some(message) = work.messages.first() {
            return Some(Verdict::failure("PodFailurePolicy", message));
        }
        if sync.failed > spec.backoff_limit || rules::too_many_restarts(spec, &sync.pods) {
            return Some(Verdict::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
        }
        let running_ms = status.start_time.filter(|_| !spec.suspend).map(|start| now.since_ms(start));
        if let (Some(running_ms), Some(deadline_ms)) = (running_ms, spec.deadline_ms)
            && running_ms >= deadline_ms
        {
            return Some(Verdict::failure("DeadlineExceeded", "Job was active longer than specified deadline"));
        }
        if spec.indexed && spec.per_index.is_some() {
            let (failed, completed) = (sync.failed_indexes.len(), sync.completed.len());
            if spec.max_failed.is_some_and(|max| failed > max as usize) {
                let message = "Job has exceeded the specified maximal number of failed indexes";
                return Some(Verdict::failure("MaxFailedIndexesExceeded", message));
            }
            if failed > 0 && spec.completions.is_some_and(|completions| failed + completed >= completions as usize) {
                return Some(Verdict::failure("FailedIndexes", "Job has failed indexes"));
            }
        }
        rules::success_policy(spec, &sync.completed)
    }

    /// Section 7.3; how many pods are active after it.
    fn manage(&mut self, sync: &Sync<'_>, active: u32, preferred: &BTreeSet<u32>, work: &mut Work) -> u32 {
        let (spec, now) = (sync.spec, sync.now);
        if spec.suspend {
            let all = sync.pods.iter().filter(|pod| pod.is_active()).map(|pod| pod.id).collect();
            self.delete(all, false, now, work);
            return 0;
        }
        let wanted = match spec.completions {
            None if sync.succeeded > 0 => active,
            None => spec.parallelism,
            Some(completions) => spec.parallelism.min(completions.saturating_sub(sync.succeeded)),
        };
        let removed = for_removal(sync, active.saturating_sub(wanted) as usize, preferred);
        if !removed.is_empty() {
            let left = active - size(removed.len());
            self.delete(removed, false, now, work);
            return left;
        }
        let terminating = if spec.only_replace_failed() { count(&sync.pods, Pod::is_terminating) } else { 0 };
        let missing = wanted.saturating_sub(active).saturating_sub(terminating);
        if missing > 0 {
            create(sync, missing, work);
        }
        active + size(work.create.len())
    }

    /// Deletes pods; those that keep the finalizer are counted later in this sync.
    fn delete(&mut self, ids: Vec<u32>, keeps_finalizer: bool, now: Time, work: &mut Work) {
        for pod in self.pods.iter_mut().filter(|pod| ids.contains(&pod.id)) {
            pod.deleted = Some(now);
            pod.finalizer &= keeps_finalizer;
        }
        work.delete.extend(ids);
    }

    /// Step 9, the last two items.
    fn suspend_or_resume(&mut self, spec: &Spec, now: Time) {
        if spec.suspend {
            if self.status.ensure("Suspended", true, "JobSuspended", "Job suspended", now) {
                self.status.start_time = None;
            }
        } else if self.status.ensure("Suspended", false, "JobResumed", "Job resumed", now) {
            self.status.start_time = Some(now);
        }
    }

    /// Section 10: counts the pods that may be let go of, and finishes.
    fn track(&mut self, sync: &Sync<'_>, verdict: Option<Verdict>, now: Time) {
        let spec = sync.spec;
        let is_failing = verdict.as_ref().is_some_and(|verdict| verdict.failed);
        let listed: Vec<Pod> = sync.pods.iter().filter(|pod| pod.finalizer).cloned().collect();
        self.status.completed_indexes.retain(|index| spec.has_index(*index));
        for was in listed {
            let pod = self.pods.iter_mut().find(|pod| pod.id == was.id).expect("a listed pod");
            if !pod.finalizer {
                continue;
            }
            let has_failed = was.is_failed(spec);
            let may_go = self.deleting
                || verdict.is_some()
                || was.phase == Phase::Succeeded
                || (has_failed && !is_delayed(sync, &was));
            if !may_go {
                continue;
            }
            pod.finalizer = false;
            let is_valid = !spec.indexed || was.index.is_some_and(|index| spec.has_index(index));
            if was.phase == Phase::Succeeded {
                match was.index {
                    Some(index) if spec.indexed && is_valid => drop(self.status.completed_indexes.insert(index)),
                    _ if spec.indexed => {}
                    _ => self.status.succeeded += 1,
                }
            } else if (has_failed || is_failing) && is_valid && rules::counts(spec, &was) {
                self.status.failed += 1;
            }
        }
        if spec.indexed {
            self.status.succeeded = size(self.status.completed_indexes.len());
            self.status.failed_indexes.clone_from(&sync.failed_indexes);
        }
        self.backoff = sync.backoff;
        if let Some(verdict) = verdict {
            self.finish(&verdict, now);
        }
    }

    fn finish(&mut self, verdict: &Verdict, now: Time) {
        let (first, second) =
            if verdict.failed { ("FailureTarget", "Failed") } else { ("SuccessCriteriaMet", "Complete") };
        self.status.ensure(first, true, verdict.reason, &verdict.message, now);
        if self.pods.iter().any(Pod::is_terminating) {
            return;
        }
        let condition =
            Condition { kind: second, status: true, reason: verdict.reason, message: verdict.message.clone(), at: now };
        self.status.conditions.push(condition);
        if !verdict.failed {
            self.status.completion_time = Some(now);
        }
    }

    /// Counts the pods again, after those were added or left out that a sync created.
    pub(in crate::sim) fn recount(&mut self) {
        if !self.status.is_finished() {
            self.count_pods(&Work::default());
        }
    }

    /// 2.2: active, ready and terminating after the creations and deletions of the sync.
    fn count_pods(&mut self, work: &Work) {
        self.status.active = count(&self.pods, Pod::is_active) + size(work.create.len());
        self.status.ready = count(&self.pods, |pod| pod.is_active() && pod.ready.is_some());
        self.status.terminating = count(&self.pods, Pod::is_terminating);
    }
}

/// 8.4: the failed pod of an index that has no other pod yet is not let go of.
fn is_delayed(sync: &Sync<'_>, pod: &Pod) -> bool {
    let Some(index) = pod.index.filter(|_| sync.spec.per_index.is_some()) else { return false };
    let is_active = sync.pods.iter().any(|other| other.is_active() && other.index == Some(index));
    let is_over = sync.completed.contains(&index) || sync.failed_indexes.contains(&index);
    let is_open = sync.spec.has_index(index) && !is_over && !is_active;
    is_open && rules::delayed(&new_failed(sync), index).is_some_and(|last| last.id == pod.id)
}

fn new_failed<'a>(sync: &'a Sync<'_>) -> Vec<&'a Pod> {
    let spec = sync.spec;
    let valid = |pod: &&Pod| pod.finalizer && pod.index.is_none_or(|index| !spec.indexed || spec.has_index(index));
    sync.pods.iter().filter(valid).filter(|pod| pod.is_failed(spec)).collect()
}

/// 8.5: the pods to remove, `most` of them or more.
fn for_removal(sync: &Sync<'_>, most: usize, preferred: &BTreeSet<u32>) -> Vec<u32> {
    let spec = sync.spec;
    let mut active: Vec<&Pod> = sync.pods.iter().filter(|pod| pod.is_active()).collect();
    active.sort_by_key(|pod| (rules::removal_rank(pod), !preferred.contains(&pod.id)));
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for (at, pod) in active.iter().enumerate() {
        let is_invalid = spec.indexed && !pod.index.is_some_and(|index| spec.has_index(index));
        // The best of a duplicated index is the last.
        let is_duplicate = spec.indexed && active[at + 1..].iter().any(|better| better.index == pod.index);
        if is_invalid || is_duplicate { removed.push(pod.id) } else { left.push(pod.id) }
    }
    let more = most.saturating_sub(removed.len());
    removed.extend(left.into_iter().take(more));
    removed
}

/// 7.3: the pods to create, `missing` at the most.
fn create(sync: &Sync<'_>, missing: u32, work: &mut Work) {
    let (spec, now) = (sync.spec, sync.now);
    let wait = |n: u32, last: Time| {
        (rules::delay_ms(spec, n).saturating_sub(now.since_ms(last)), last.plus_ms(rules::delay_ms(spec, n)))
    };
    let may_wait = |n: u32, over: Time| n > 0 && now.since_ms(over) < 1000;
    let new_pod = |index| NewPod { index, failures: 0, ignored: 0, may_wait: false };
    if spec.per_index.is_none() {
        let (remaining, over) = wait(sync.backoff.n, sync.backoff.last);
        if remaining > 0 {
            work.again = Some(now.plus_ms(remaining.max(1000)));
            return;
        }
        let may_wait = may_wait(sync.backoff.n, over);
        let pod = |index| NewPod { may_wait, ..new_pod(index) };
        work.create = match spec.indexed {
            true => pending_indexes(sync, missing).into_iter().map(|index| pod(Some(index))).collect(),
            false => (0..missing).map(|_| pod(None)).collect(),
        };
        return;
    }
    let failed = new_failed(sync);
    let mut shortest: Option<u64> = None;
    for index in pending_indexes(sync, missing) {
        let Some(last) = rules::delayed(&failed, index) else {
            work.create.push(new_pod(Some(index)));
            continue;
        };
        let is_lost = rules::is_lost(spec, last);
        let n = last.failures + last.ignored + 1;
        let end = rules::finish_time(last);
        let (remaining, over) = if is_lost { (0, end) } else { wait(n, end) };
        if remaining > 0 {
            shortest = Some(shortest.map_or(remaining, |other| other.min(remaining)));
            continue;
        }
        let (failures, ignored) = match (is_lost, rules::counts(spec, last)) {
            (true, _) => (last.failures, last.ignored),
            (_, true) => (last.failures + 1, last.ignored),
            (_, false) => (last.failures, last.ignored + 1),
        };
        let may_wait = !is_lost && may_wait(n, over);
        work.create.push(NewPod { index: Some(index), failures, ignored, may_wait });
    }
    work.again = shortest.map(|ms| now.plus_ms(ms));
}

/// 7.3: the lowest indexes that need a pod.
fn pending_indexes(sync: &Sync<'_>, most: u32) -> Vec<u32> {
    let spec = sync.spec;
    let holds = |pod: &&Pod| pod.is_active() || (spec.only_replace_failed() && pod.is_terminating());
    let held: BTreeSet<u32> = sync.pods.iter().filter(holds).filter_map(|pod| pod.index).collect();
    let is_free =
        |index: &u32| !sync.completed.contains(index) && !sync.failed_indexes.contains(index) && !held.contains(index);
    (0..spec.completions.unwrap_or(0)).filter(is_free).take(most as usize).collect()
}

fn count(pods: &[Pod], test: impl Fn(&Pod) -> bool) -> u32 {
    size(pods.iter().filter(|pod| test(pod)).count())
}

fn size(count: usize) -> u32 {
    u32::try_from(count).expect("few pods")
}
