//! What must hold after every step.

use super::kept::EVENTS_MAX;
use super::live::{Live, Place};
use super::state::{Job, State};
use crate::base::{JobId, NO_INDEX};
use crate::model::ConditionType;
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// Panics with the reason if the state contradicts itself. Costs time in proportion to everything that is alive; for
    /// tests and the simulator.
    pub fn check(&self) {
        let mut pods: BTreeMap<JobId, Vec<&Live>> = BTreeMap::new();
        for (_, pod) in self.pods.iter() {
            let is_left_over = pod.stopping && pod.worker().is_some();
            let is_known = self.jobs.contains_key(&pod.job) || is_left_over;
            assert!(is_known, "pod {}/{} has no Job", pod.job.0, pod.ordinal);
            pods.entry(pod.job).or_default().push(pod);
        }
        for (id, pods) in &pods {
            assert_eq!(self.pods.of_job(*id).count(), pods.len(), "job {}: pods that are in no list", id.0);
        }
        let none = Vec::new();
        for (id, job) in &self.jobs {
            check_job(job, pods.get(id).unwrap_or(&none));
            let is_needed = !job.record.strays.is_empty() || job.record.placement.orphaned;
            let is_retired = job.plan.is_none() || is_needed || self.dirty.contains(id);
            assert!(
                is_retired || !job.record.status.is_finished(),
                "job {}: finished, and keeps what its pods ran",
                id.0
            );
        }
        self.check_names();
        self.check_places();
        self.check_turns();
        self.check_timers();
        assert!(self.kept_events.len() <= EVENTS_MAX, "more Events are kept than there may be");
    }

    /// Every Job is found by its name, and nothing else is.
    fn check_names(&self) {
        let named = self.by_name.values().flat_map(|names| names.values());
        let orphans = self.orphans.values().flatten();
        assert_eq!(named.count() + orphans.count(), self.jobs.len(), "as many names as Jobs");
        for (namespace, orphans) in &self.orphans {
            for (name, id) in orphans {
                let record = &self.jobs[id].record;
                assert!(record.placement.orphaned && record.namespace == *namespace && record.name == *name);
            }
        }
        for (id, job) in self.jobs.iter().filter(|(_, job)| !job.record.placement.orphaned) {
            assert_eq!(self.job_named(&job.record.namespace, &job.record.name), Ok(*id), "a name leads to another Job");
            assert!(id.0 < self.next_job, "the number of job {} is still to be given", id.0);
        }
        assert!(self.by_name.values().all(|names| !names.is_empty()), "a namespace without a Job is kept");
        let gone = self.dirty.iter().find(|id| !self.jobs.contains_key(id));
        assert_eq!(gone, None, "a Job that is gone is to be looked at");
    }

    /// Every Job that has pods waiting has one turn.
    fn check_turns(&self) {
        let (turns, waiting) = self.sched.jobs();
        let waiting: Vec<JobId> = waiting.collect();
        let mut turns: Vec<JobId> = turns.filter(|id| self.jobs.contains_key(id)).collect();
        turns.sort_unstable();
        assert_eq!(turns, waiting, "turns of Jobs, and Jobs that wait");
    }

    fn check_places(&self) {
        let count = |test: fn(&Place) -> bool| self.pods.iter().filter(|(_, pod)| test(&pod.place)).count();
        let (queued, running) = self.sched.totals();
        assert_eq!(queued as usize, count(|place| matches!(place, Place::Queued(_))), "pods queued on workers");
        assert_eq!(running as usize, count(|place| matches!(place, Place::Running(..))), "pods running on workers");
        let on_workers = self.pods.iter().filter(|(_, pod)| pod.worker().is_some());
        let needs = on_workers.filter_map(|(_, pod)| self.jobs.get(&pod.job)?.spec.template.needs.as_deref());
        let asked = needs.fold((0, 0), |(cpu, memory), needs| (cpu + needs.cpu_m, memory + needs.memory_bytes));
        let (cpu, memory) = self.sched.reserved();
        // What is left of Jobs that are gone, or have finished, is reserved until it has ended.
        assert!(asked.0 <= cpu && asked.1 <= memory, "pods run on what is not reserved");
        let mut seen = BTreeSet::new();
        for (id, (slot, ordinal)) in self.sched.waiters() {
            let pod = self.pods.get(slot).filter(|pod| pod.job == id && pod.ordinal == ordinal);
            let place = pod.map(|pod| pod.place);
            assert_eq!(place, Some(Place::Waiting), "pod {}/{ordinal} waits for its turn", id.0);
            assert!(seen.insert((id, ordinal)), "pod {}/{ordinal} waits twice", id.0);
        }
        let waiting = |pod: &Live| pod.place == Place::Waiting && !seen.contains(&(pod.job, pod.ordinal));
        let forgotten = self.pods.iter().find(|(_, pod)| waiting(pod));
        assert!(forgotten.is_none(), "{forgotten:?} waits for nothing");
    }

    /// What is due is bounded by what there is.
    fn check_timers(&self) {
        let mut timers = BTreeMap::new();
        for (id, at) in self.timers.of_jobs() {
            assert_eq!(timers.insert(id, at), None, "job {} has two timers", id.0);
        }
        let wakes = self.jobs.iter().filter_map(|(id, job)| Some((*id, job.wake?)));
        assert!(wakes.eq(timers), "timers and Jobs differ");
        let refused = |(slot, pod): (u32, &Live)| match pod.place {
            Place::Refused(at) => Some((at, (slot, pod.job, pod.ordinal))),
            _ => None,
        };
        let mut due: Vec<_> = self.pods.iter().filter_map(refused).collect();
        due.sort_unstable();
        assert!(due.into_iter().eq(self.timers.of_pods()), "timers and refused pods differ");
        let idle = self.jobs.values().find(|job| job.record.status.is_finished() && job.wake.is_some());
        let has_reason = |job: &Job| job.unpublished || job.spec.ttl_s.is_some();
        assert!(idle.is_none_or(|job| has_reason(job)), "{idle:?} is finished and has a timer");
    }
}

fn check_job(job: &Job, pods: &[&Live]) {
    let id = job.record.id.0;
    let status = &job.record.status;
    let own: Vec<&Live> = pods.iter().copied().filter(|pod| !job.is_stray(pod.ordinal)).collect();
    let count = |test: &dyn Fn(&Live) -> bool| u32::try_from(own.iter().filter(|pod| test(pod)).count()).expect("few");
    assert_eq!(status.active, count(&|pod| !pod.stopping), "job {id}: active");
    assert_eq!(status.terminating, count(&|pod| pod.stopping), "job {id}: terminating");
    assert_eq!(status.ready, count(&|pod| !pod.stopping && pod.is_running()), "job {id}: ready");
    let restarts = |pods: &[&Live]| -> u32 {
        pods.iter().filter_map(|pod| job.restarts.get(&pod.ordinal)).map(|restarts| restarts.count).sum()
    };
    assert!(!status.is_finished() || own.is_empty(), "job {id}: finished with pods alive");
    assert_eq!(restarts(&own), job.restart_sum, "job {id}: restarts of its pods");
    let forgotten = job.restarts.keys().find(|ordinal| !pods.iter().any(|pod| pod.ordinal == **ordinal));
    assert_eq!(forgotten, None, "job {id}: restarts of a pod that has ended");
    assert!(
        job.record.strays.iter().all(|stray| pods.iter().any(|pod| pod.ordinal == *stray)),
        "job {id}: a stray ended"
    );
    let ordinals: BTreeSet<u32> = pods.iter().map(|pod| pod.ordinal).collect();
    assert_eq!(ordinals.len(), pods.len(), "job {id}: an ordinal given twice");
    assert!(ordinals.iter().all(|ordinal| *ordinal < job.record.next_ordinal), "job {id}: an ordinal out of nowhere");
    if job.spec.is_indexed() {
        check_indexes(job, &own);
    } else {
        assert!(pods.iter().all(|pod| pod.index == NO_INDEX), "job {id}: an index in a NonIndexed Job");
    }
}

fn check_indexes(job: &Job, pods: &[&Live]) {
    let id = job.record.id.0;
    let status = &job.record.status;
    assert_eq!(status.succeeded, status.completed.len(), "job {id}: succeeded");
    let mut held = BTreeSet::new();
    for pod in pods.iter().filter(|pod| !pod.stopping) {
        assert!(held.insert(pod.index), "job {id}: index {} has two active pods", pod.index);
        assert!(!status.completed.contains(pod.index), "job {id}: index {} runs again", pod.index);
        assert!(!job.retry.contains(&pod.index), "job {id}: index {} runs and waits", pod.index);
    }
    let stopping = pods.iter().filter(|pod| pod.stopping && pod.holds_index);
    let twice = stopping.map(|pod| pod.index).find(|index| !held.insert(*index) || job.retry.contains(index));
    assert_eq!(twice, None, "job {id}: an index that a stopping pod holds is given away");
    let is_open =
        |index: &u32| !held.contains(index) && !status.completed.contains(*index) && !status.has_failed(*index);
    let pending: BTreeSet<u32> = job.retry.iter().copied().chain(job.resting.iter()).collect();
    let open = (0..job.record.next_index).filter(is_open);
    assert!(status.is_finished() || open.eq(pending.iter().copied()), "job {id}: an index is lost");
    assert!(!job.retry.iter().any(|index| job.resting.contains(*index)), "job {id}: an index rests and does not");
    check_held(job);
    assert!(job.retry.iter().all(|index| *index < job.record.next_index), "job {id}: a retry out of nowhere");
    assert!(job.retry.iter().all(|index| !status.completed.contains(*index)), "job {id}: a retry of a completed index");
}

fn check_held(job: &Job) {
    let (id, status) = (job.record.id.0, &job.record.status);
    let Some(per_index) = &job.record.per_index else { return };
    let is_pending = status.condition(ConditionType::FailureTarget).is_some()
        || status.condition(ConditionType::SuccessCriteriaMet).is_some();
    assert!(!is_pending || per_index.held.is_empty(), "job {id}: failures are held at the end");
    let counts = per_index.held.values().filter(|held| held.counts).count();
    assert_eq!(counts, per_index.held_failures as usize, "job {id}: held failures");
    for (ordinal, held) in &per_index.held {
        let is_last = per_index.is_last(*ordinal, *held)
            && job.resting.iter().chain(job.retry.iter().copied()).any(|i| i == held.index);
        assert!(is_last || job.replaced.contains(ordinal), "job {id}: pod {ordinal} is held for nothing");
    }
    for index in per_index.failed_once.keys() {
        assert!(!status.completed.contains(*index) && !status.has_failed(*index), "job {id}: index {index} has ended");
    }
    if let Some(failed) = &status.failed_indexes {
        assert_eq!(failed.common(&status.completed), 0, "job {id}: an index succeeded and failed");
    }
}
