//! A state from what was durable, after a stop or a crash.
//!
//! Pods that were shown running are lost with the engine that ran them: they end as a kubelet would end them, but the loss
//! does not count against the Job, and the pod is replaced at once (`docs/ARCHITECTURE.md` says why). Pods that were never
//! shown running start again as the same pods.

use super::effects::Effects;
use super::job::indexes_to_retry;
use super::kept::KeptEvents;
use super::live::{Live, Place};
use super::state::{Config, Job, State, Touched};
use crate::base::{JobId, NO_INDEX, Time};
use crate::model::{
    Counted, DocWrite, Fact, JobRecord, JobSpec, LogExtent, PodEnd, PodMark, PodMeta, PodRecord, Reason,
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
        state
    }

    fn restore_job(&mut self, restored: RestoredJob, logs: &BTreeMap<(JobId, u32), LogExtent>, fx: &mut Effects) {
        let id = restored.record.id;
        let (doc_rv, doc) = &restored.doc;
        let mut job = Job::new(restored.record, restored.spec, (*doc_rv, doc), self.uid_key);
        let ungated: BTreeSet<u32> =
            restored.marks.iter().filter(|(_, mark)| mark.ungated).map(|(ordinal, _)| *ordinal).collect();
        job.touched = restore_touched(&job, restored.marks, &restored.pods);
        self.jobs.insert(id, Box::new(job));
        self.note_needs(id);
        let (mut ends, mut gone, mut held) = (Vec::new(), Vec::new(), BTreeSet::new());
        for pod in restored.pods {
            let stopping = pod.has(PodRecord::STOPPING);
            if pod.has(PodRecord::STARTED) || stopping {
                let mut end = self.lost(&pod, logs.get(&(id, pod.ordinal)).copied());
                let job = self.job(id);
                if job.is_stray(pod.ordinal) {
                    end.counted = Counted::Strayed;
                }
                if stopping && job.may_go(pod.ordinal) {
                    gone.push(pod.ordinal);
                }
                job.on_ended(pod.ordinal);
                ends.push(end);
            } else {
                if !self.job(id).is_stray(pod.ordinal) {
                    held.insert(pod.index);
                }
                self.restart(&pod, ungated.contains(&pod.ordinal));
            }
        }
        if !ends.is_empty() {
            self.record(fx, Fact::PodsEnded { job: id, ends });
        }
        if !gone.is_empty() {
            self.record(fx, Fact::PodsRemoved { job: id, ordinals: gone });
        }
        let job = self.job(id);
        if job.spec.is_indexed() && !job.record.status.is_finished() {
            job.retry = indexes_to_retry(&job.record, &held);
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
            counted: if stopping { Counted::Dropped } else { Counted::Ignored },
            was_ready: pod.has(PodRecord::STARTED),
            was_stopping: stopping,
            disrupted: true,
            log: log.unwrap_or_default(),
            fuel_k: 0,
            peak_pages: 0,
            message: Some("The engine stopped while the pod was running; its end is not known".into()),
        }
    }

    fn restart(&mut self, pod: &PodRecord, is_ungated: bool) {
        debug_assert!(pod.index == NO_INDEX || self.jobs[&pod.job].spec.is_indexed());
        let holds_index = !self.job(pod.job).is_stray(pod.ordinal);
        let live = Live { refusals: pod.attempts, holds_index, ..Live::new(pod.job, pod.ordinal, pod.index) };
        if self.job(pod.job).has_gates() && !is_ungated {
            self.pods.insert(Live { place: Place::Gated, ..live });
            return;
        }
        let slot = self.pods.insert(live);
        let priority = self.jobs[&pod.job].record.placement.value();
        self.sched.wait(pod.job, priority, (slot, pod.ordinal));
    }
}

/// What clients did to the Job's pods. Those in `living` have not ended.
fn restore_touched(job: &Job, marks: Vec<(u32, PodMark)>, living: &[PodRecord]) -> BTreeMap<u32, Touched> {
    let is_living = |ordinal: u32| living.iter().any(|pod| pod.ordinal == ordinal);
    let uid = job.record.uid.to_string();
    let touched = |(ordinal, mark): (u32, PodMark)| {
        let meta = mark.meta?;
        let read = PodMeta::read(&meta);
        let is_ours = job.record.placement.orphaned || read.controller() == Some(&*uid);
        let is_stray = !is_ours && is_living(ordinal);
        let is_doomed = mark.stop.is_some() && !is_living(ordinal);
        Some((ordinal, Touched { is_kept: !read.finalizers.is_empty(), is_stray, is_doomed, meta }))
    };
    marks.into_iter().filter_map(touched).collect()
}
