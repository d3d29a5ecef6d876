//! A state from what was durable, after a stop or a crash.
//!
//! Pods that were shown running are lost with the engine that ran them: they end as a kubelet would end them, but the loss
//! does not count against the Job, and the pod is replaced at once (`docs/ARCHITECTURE.md` says why). Pods that were never
//! shown running start again as the same pods, and so do those whose container had ended and waited for its next start.

use super::effects::Effects;
use super::job::restarts::LiveRestarts;
use super::job::{count_lost, indexes, recount, replaced};
use super::kept::KeptEvents;
use super::live::{Live, Place};
use super::state::{Config, Job, State, Touched};
use super::timers::Due;
use crate::base::{JobId, NO_INDEX, Time};
use crate::model::{
    Counted, DocWrite, JobRecord, JobSpec, LogExtent, PodEnd, PodMark, PodMeta, PodRecord, Reason, Restarts,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the engine died with; 128 + SIGKILL.
const LOST_EXIT_CODE: u8 = 137;

/// A Job as it was durable.
#[derive(Debug)]
pub struct RestoredJob {
    /// Its record.
    pub record: JobRecord,
    /// What its document says.
    pub spec: JobSpec,
    /// Its document and the resourceVersion of that.
    pub doc: (u64, Arc<str>),
    /// Its pods that have not ended.
    pub pods: Vec<PodRecord>,
    /// What is kept of those whose container was started again, by ordinal.
    pub restarts: BTreeMap<u32, Restarts>,
    /// What clients did to its pods that are there.
    pub marks: Vec<(u32, PodMark)>,
}

/// Everything that was durable.
#[derive(Debug, Default)]
pub struct Restored {
    /// The objects that are only documents.
    pub docs: Vec<DocWrite>,
    /// The Jobs.
    pub jobs: Vec<RestoredJob>,
    /// When the Events that are kept were recorded, in order of their versions.
    pub events: Vec<Time>,
    /// The logs that lost pods had written.
    pub logs: BTreeMap<(JobId, u32), LogExtent>,
}

impl State {
    /// Rebuilds the state at `now` and says in `fx` what became of the pods that were running.
    #[must_use]
    pub fn restore(config: Config, restored: Restored, now: Time, fx: &mut Effects) -> Self {
        let mut state = Self::new(config);
        state.now = now;
        state.kept_events = KeptEvents::restored(&restored.events, now);
        for doc in restored.docs {
            state.keep_doc((doc.kind, doc.name), doc.rv, doc.json.as_ref());
        }
        for job in restored.jobs {
            let id = job.record.id;
            assert!(id.0 < state.next_job, "Job {} is there and its number is still to be given", id.0);
            let (namespace, name) = (Arc::clone(&job.record.namespace), Arc::clone(&job.record.name));
            if job.record.placement.orphaned {
                state.orphans.entry(namespace).or_default().insert((name, id));
            } else {
                state.by_name.entry(namespace).or_default().insert(name, id);
            }
            state.restore_job(job, &restored.logs, fx);
        }
        state.sync_what_counts(fx);
        state
    }

    /// What follows from a loss that counts is durable with it: another crash would forget what is news.
    fn sync_what_counts(&mut self, fx: &mut Effects) {
        let has_news = |job: &Job| job.news.fail_job.is_some() || !job.news.failures.is_empty();
        let ids: Vec<JobId> = self.jobs.iter().filter(|(_, job)| has_news(job)).map(|(id, _)| *id).collect();
        for id in ids {
            super::job::sync(self, id, fx);
        }
    }

    fn restore_job(&mut self, restored: RestoredJob, logs: &BTreeMap<(JobId, u32), LogExtent>, fx: &mut Effects) {
        let id = restored.record.id;
        let (doc_rv, doc) = &restored.doc;
        let mut job = Job::new(restored.record, restored.spec, (*doc_rv, doc), self.uid_key);
        let marks: BTreeMap<u32, PodMark> = restored.marks.into_iter().collect();
        (job.touched, job.doomed) = restore_marks(&marks, &restored.pods);
        self.jobs.insert(id, Box::new(job));
        self.note_needs(id);
        let (mut ends, mut held) = (Vec::new(), BTreeSet::new());
        for pod in restored.pods {
            if pod.has(PodRecord::STARTED) || pod.has(PodRecord::STOPPING) {
                let mut end = self.lost(&pod, logs.get(&(id, pod.ordinal)).copied());
                let was_deleted = marks.get(&pod.ordinal).is_some_and(|mark| mark.grace_s.is_some());
                end.counted = count(self.job(id), &end, was_deleted);
                ends.push(end);
            } else {
                if !self.job(id).is_stray(pod.ordinal) {
                    held.insert(pod.index);
                }
                let is_ungated = marks.get(&pod.ordinal).is_some_and(|mark| mark.ungated);
                self.restart(&pod, restored.restarts.get(&pod.ordinal), is_ungated);
            }
        }
        self.record_ends(id, ends, fx);
        let job = self.job(id);
        if job.spec.is_indexed() && !job.record.status.is_finished() {
            indexes::restore(job, &held);
            job.replaced = replaced(&job.record, &held);
            recount(job);
        }
        job.unpublished = !job.record.status.is_finished();
        self.dirty.insert(id);
    }

    /// How a pod ends that was running when the engine died.
    fn lost(&self, pod: &PodRecord, log: Option<LogExtent>) -> PodEnd {
        let started = pod.started().unwrap_or(self.now);
        let stopping = pod.has(PodRecord::STOPPING);
        PodEnd {
            ordinal: pod.ordinal,
            index: pod.index,
            started,
            run_ms: self.now.since_ms_u32(started),
            exit_code: LOST_EXIT_CODE,
            reason: Reason::ContainerStatusUnknown,
            engine: pod.engine(),
            counted: Counted::Dropped,
            was_ready: pod.has(PodRecord::STARTED),
            was_stopping: stopping,
            disrupted: true,
            log: log.unwrap_or_default(),
            fuel_k: 0,
            peak_pages: 0,
            message: Some("The engine stopped while the pod was running; its end is not known".into()),
        }
    }

    fn restart(&mut self, pod: &PodRecord, restarts: Option<&Restarts>, is_ungated: bool) {
        debug_assert!(pod.index == NO_INDEX || self.jobs[&pod.job].spec.is_indexed());
        let (id, ordinal) = (pod.job, pod.ordinal);
        let holds_index = !self.job(id).is_stray(ordinal);
        let live = Live { refusals: pod.attempts, holds_index, ..Live::new(id, ordinal, pod.index) };
        if self.job(id).has_gates() && !is_ungated {
            self.pods.insert(Live { place: Place::Gated, ..live });
            return;
        }
        let slot = self.pods.insert(live);
        if let Some(kept) = restarts {
            let job = self.job(id);
            job.restarts.insert(ordinal, LiveRestarts::restored(kept));
            job.restart_sum += if holds_index { kept.count } else { 0 };
        }
        let due = restarts.filter(|kept| kept.is_waiting).map(Restarts::due);
        if let Some(at) = due {
            self.pods.named(slot, id, ordinal).place = Place::Refused(at);
            return self.timers.set(at, Due::Pod(slot, id, ordinal));
        }
        let priority = self.jobs[&id].record.placement.value();
        self.sched.wait(id, priority, (slot, ordinal));
    }
}

/// What a pod counts for that is lost: nothing if the controller stopped it, or if it counted when a client deleted it.
fn count(job: &mut Job, end: &PodEnd, was_deleted: bool) -> Counted {
    let counts_by_end = was_deleted && job.spec.only_replace_failed && !job.spec.life.is_deleted;
    match (job.is_stray(end.ordinal), end.was_stopping && !counts_by_end) {
        (true, _) => Counted::Strayed,
        (false, true) => Counted::Dropped,
        (false, false) => count_lost(job, end),
    }
}

/// The pods whose metadata clients changed, and those that clients deleted and that are kept. Those in `living`, which are in
/// order of their ordinals, have not ended.
fn restore_marks(marks: &BTreeMap<u32, PodMark>, living: &[PodRecord]) -> (BTreeMap<u32, Touched>, BTreeSet<u32>) {
    let touched = |(ordinal, mark): (&u32, &PodMark)| {
        let meta = mark.meta.clone()?;
        Some((*ordinal, Touched { is_kept: !PodMeta::read(&meta).finalizers.is_empty(), meta }))
    };
    let has_ended = |ordinal: &u32| living.binary_search_by_key(ordinal, |pod| pod.ordinal).is_err();
    let doomed = marks.iter().filter(|(ordinal, mark)| mark.stop.is_some() && has_ended(ordinal));
    (marks.iter().filter_map(touched).collect(), doomed.map(|(ordinal, _)| *ordinal).collect())
}
