//! What must hold after every step.

use super::live::{Live, Place};
use super::state::{Job, State};
use crate::base::{JobId, NO_INDEX};
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// Panics with the reason if the state contradicts itself. Costs time in proportion to everything that is alive; for
    /// tests and the simulator.
    pub fn check(&self) {
        let mut pods: BTreeMap<JobId, Vec<&Live>> = BTreeMap::new();
        for (_, pod) in self.pods.iter() {
            assert!(self.jobs.contains_key(&pod.job), "pod {}/{} has no Job", pod.job.0, pod.ordinal);
            pods.entry(pod.job).or_default().push(pod);
        }
        for (id, pods) in &pods {
            assert_eq!(self.pods.of_job(*id).count(), pods.len(), "job {}: pods that are in no list", id.0);
        }
        let none = Vec::new();
        for (id, job) in &self.jobs {
            check_job(job, pods.get(id).unwrap_or(&none));
        }
        self.check_places();
    }

    fn check_places(&self) {
        let count = |test: fn(&Place) -> bool| self.pods.iter().filter(|(_, pod)| test(&pod.place)).count();
        let (queued, running) = self.sched.totals();
        assert_eq!(queued as usize, count(|place| matches!(place, Place::Queued(_))), "pods queued on workers");
        assert_eq!(running as usize, count(|place| matches!(place, Place::Running(..))), "pods running on workers");
        let mut seen = BTreeSet::new();
        for (id, (slot, ordinal)) in self.sched.waiters() {
            if let Some(pod) = self.pods.get(slot).filter(|pod| pod.job == id && pod.ordinal == ordinal) {
                assert_eq!(pod.place, Place::Waiting, "pod {}/{ordinal} waits and is on a worker", id.0);
                assert!(seen.insert((id, ordinal)), "pod {}/{ordinal} waits twice", id.0);
            }
        }
    }
}

fn check_job(job: &Job, pods: &[&Live]) {
    let id = job.record.id.0;
    let status = &job.record.status;
    let count = |test: &dyn Fn(&Live) -> bool| u32::try_from(pods.iter().filter(|pod| test(pod)).count()).expect("few");
    assert_eq!(status.active, count(&|pod| !pod.stopping), "job {id}: active");
    assert_eq!(status.terminating, count(&|pod| pod.stopping), "job {id}: terminating");
    assert_eq!(status.ready, count(&|pod| !pod.stopping && pod.is_running()), "job {id}: ready");
    assert!(!status.is_finished() || pods.is_empty(), "job {id}: finished with pods alive");
    let ordinals: BTreeSet<u32> = pods.iter().map(|pod| pod.ordinal).collect();
    assert_eq!(ordinals.len(), pods.len(), "job {id}: an ordinal given twice");
    assert!(ordinals.iter().all(|ordinal| *ordinal < job.record.next_ordinal), "job {id}: an ordinal out of nowhere");
    if job.spec.is_indexed() {
        check_indexes(job, pods);
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
    let open = (0..job.record.next_index).filter(|index| !held.contains(index) && !status.completed.contains(*index));
    assert!(status.is_finished() || open.eq(job.retry.iter().copied()), "job {id}: an index is lost");
    assert!(job.retry.iter().all(|index| *index < job.record.next_index), "job {id}: a retry out of nowhere");
    assert!(job.retry.iter().all(|index| !status.completed.contains(*index)), "job {id}: a retry of a completed index");
}
