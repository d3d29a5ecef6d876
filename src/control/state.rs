//! Everything that is true, and how it is reached.

use super::effects::Effects;
use super::job::events::EventBudget;
use super::sched::{Capacity, Sched};
use super::timers::{Due, Timers};
use crate::base::{JobId, NO_INDEX, PodNames, Time, UidKey};
use crate::model::{Batch, Counted, DocWrite, Event, EventNote, Fact, JobRecord, JobSpec, Kind, PodEnd, RunPlan};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a state is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The store's key for pod uids.
    pub uid_key: UidKey,
    /// The first resourceVersion to give.
    pub first_rv: u64,
    /// What the workers can hold.
    pub capacity: Capacity,
}

/// All truth, owned by one thread.
#[derive(Debug)]
pub struct State {
    pub(super) now: Time,
    pub(super) uid_key: UidKey,
    pub(super) next_rv: u64,
    pub(super) next_job: u32,
    pub(super) namespaces: BTreeSet<Arc<str>>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Job by namespace and name.
    pub(super) by_name: BTreeMap<Arc<str>, BTreeMap<Arc<str>, JobId>>,
    pub(super) pods: Pods,
    pub(super) sched: Sched,
    pub(super) timers: Timers,
    /// Jobs to look at in this step.
    pub(super) dirty: BTreeSet<JobId>,
}

/// A Job that may still change.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: JobRecord,
    pub(super) spec: JobSpec,
    /// The resourceVersion of its document.
    pub(super) doc_rv: u64,
    pub(super) plan: Arc<RunPlan>,
    /// Indexes below `record.next_index` that need another pod (Indexed).
    pub(super) retry: BTreeSet<u32>,
    /// What happened since the last sync.
    pub(super) news: News,
    pub(super) events: EventBudget,
    /// When its status was last published.
    pub(super) published: Time,
    /// Its status differs from the published one.
    pub(super) unpublished: bool,
}

/// Ends that a sync has not looked at.
#[derive(Debug, Default)]
pub(super) struct News {
    /// End of the latest success.
    pub(super) success: Option<Time>,
    /// Ends of failures, ignored ones included.
    pub(super) failures: Vec<Time>,
    /// Message of the first `FailJob` match.
    pub(super) fail_job: Option<Arc<str>>,
}

/// A pod that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) job: JobId,
    pub(super) ordinal: u32,
    pub(super) index: u32,
    pub(super) created: Time,
    pub(super) place: Place,
    /// Told to stop.
    pub(super) stopping: bool,
    /// How often its start was refused.
    pub(super) refusals: u16,
}

/// How far a pod is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Waits for its turn, or for its next try.
    Waiting,
    /// Handed to this worker.
    Queued(u32),
    /// Runs on this worker since then.
    Running(u32, Time),
}

impl Live {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.place, Place::Running(..))
    }

    /// The facts' form of this pod's end, without anything that only a worker knows.
    pub(super) fn end(&self, counted: Counted, at: Time) -> PodEnd {
        PodEnd {
            ordinal: self.ordinal,
            index: self.index,
            started: at,
            run_ms: 0,
            exit_code: 0,
            reason: crate::model::Reason::None,
            counted,
            was_ready: self.is_running(),
            was_stopping: self.stopping,
            disrupted: false,
            log: crate::model::LogExtent::default(),
            fuel_k: 0,
            peak_pages: 0,
            message: None,
        }
    }
}

/// The pods that have not ended, by slot. A slot is free again once its pod has ended.
#[derive(Debug, Default)]
pub(super) struct Pods {
    slots: Vec<Option<Live>>,
    free: Vec<u32>,
}

impl Pods {
    pub(super) fn insert(&mut self, pod: Live) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(pod);
            return slot;
        }
        self.slots.push(Some(pod));
        u32::try_from(self.slots.len() - 1).expect("fewer than u32::MAX live pods")
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Live> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Live> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The pod that a worker speaks of. Workers only speak of pods that they were given and that have not ended.
    pub(super) fn reported(&mut self, slot: u32, job: JobId, ordinal: u32) -> &mut Live {
        let pod = self.get_mut(slot).expect("a worker reports a pod that has ended");
        assert!(pod.job == job && pod.ordinal == ordinal, "a worker reports a pod that is not in its slot");
        pod
    }

    pub(super) fn remove(&mut self, slot: u32) -> Live {
        let pod = self.slots[slot as usize].take().expect("a pod ends once");
        self.free.push(slot);
        pod
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Live)> {
        (0..).zip(&self.slots).filter_map(|(slot, pod)| Some((slot, pod.as_ref()?)))
    }
}

impl Job {
    pub(super) fn new(record: JobRecord, spec: JobSpec, doc_rv: u64, uid_key: UidKey) -> Self {
        let plan = Self::plan(&record, &spec, uid_key);
        Self {
            record,
            spec,
            doc_rv,
            plan,
            retry: BTreeSet::new(),
            news: News::default(),
            events: EventBudget::default(),
            published: Time::default(),
            unpublished: true,
        }
    }

    fn plan(record: &JobRecord, spec: &JobSpec, uid_key: UidKey) -> Arc<RunPlan> {
        Arc::new(RunPlan {
            job_name: Arc::clone(&record.name),
            namespace: Arc::clone(&record.namespace),
            job_uid: record.uid,
            names: PodNames::new(record.uid),
            uid_key,
            template: spec.template.clone(),
        })
    }

    /// Whether pods of this completion index still count (always, in a NonIndexed Job).
    pub(super) fn index_counts(&self, index: u32) -> bool {
        index == NO_INDEX || self.spec.completions.is_some_and(|completions| index < completions)
    }
}

impl State {
    /// A state without any object.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            now: Time::default(),
            uid_key: config.uid_key,
            next_rv: config.first_rv,
            next_job: 0,
            namespaces: BTreeSet::new(),
            jobs: BTreeMap::new(),
            by_name: BTreeMap::new(),
            pods: Pods::default(),
            sched: Sched::new(config.capacity),
            timers: Timers::default(),
            dirty: BTreeSet::new(),
        }
    }

    /// The records of all Jobs, in order of their numbers.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRecord> {
        self.jobs.values().map(|job| &job.record)
    }

    /// When [`State::step`] must be called at the latest, input or not.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.dirty.is_empty() { self.timers.next() } else { Some(self.now) }
    }

    pub(super) fn job(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("Jobs are not removed while something refers to them")
    }

    /// The slots of a Job's pods, in order of their ordinals.
    pub(super) fn slots_of(&self, id: JobId) -> Vec<u32> {
        let mut slots: Vec<(u32, u32)> =
            self.pods.iter().filter(|(_, pod)| pod.job == id).map(|(slot, pod)| (pod.ordinal, slot)).collect();
        slots.sort_unstable();
        slots.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Applies a fact to the records and puts it into the batch. Every change goes through here.
    pub(super) fn record(&mut self, fx: &mut Effects, fact: Fact) -> u64 {
        if fx.batch.is_empty() {
            fx.batch = Batch { first_rv: self.next_rv, ..std::mem::take(&mut fx.batch) };
        }
        let rv = self.next_rv;
        self.next_rv += fact.versions();
        let changed = fact.job().filter(|_| !matches!(fact, Fact::JobCreated { .. } | Fact::Recorded { .. }));
        if let Some(id) = changed {
            let job = self.job(id);
            job.record.apply(&fact, rv);
            job.unpublished |= !matches!(fact, Fact::StatusPublished { .. } | Fact::PodsRemoved { .. });
        }
        fx.batch.facts.push(fact);
        rv
    }

    /// Puts a document into the batch, with a version of its own or of the fact that came just before.
    pub(super) fn write_doc(
        fx: &mut Effects,
        kind: Kind,
        namespace: &Arc<str>,
        name: &Arc<str>,
        rv: u64,
        doc: &Arc<str>,
    ) {
        fx.batch.docs.push(DocWrite {
            kind,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            rv,
            json: Some(Arc::clone(doc)),
        });
    }

    /// Records an Event about a Job, if its budget allows.
    pub(super) fn note(&mut self, fx: &mut Effects, id: JobId, note: EventNote) {
        let now = self.now;
        if self.job(id).events.allows(&note, now) {
            self.record(fx, Fact::Recorded { event: Event { job: id, at: now, note } });
        }
    }

    pub(super) fn wake_at(&mut self, at: Time, id: JobId) {
        self.timers.set(at, Due::Job(id));
    }
}
