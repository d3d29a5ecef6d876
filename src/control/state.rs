//! Everything that is true, and how it is reached.

use super::effects::Effects;
use super::job::events::EventBudget;
use super::job::indexes::Resting;
use super::job::recount;
use super::job::restarts::LiveRestarts;
use super::kept::KeptEvents;
use super::live::{Live, Place, Pods};
use super::sched::{Capacity, Sched};
use super::timers::{Due, Timers};
use crate::base::{JobId, NO_INDEX, PodNames, Time, UidKey};
use crate::model::{
    Batch, Claim, Counted, DocWrite, Event, EventNote, Fact, JobRecord, JobSpec, Kind, NodeShape, PodMeta, PodTemplate,
    PriorityClass, RunPlan, Selector,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a state is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's key for pod uids.
    pub uid_key: UidKey,
    /// The first resourceVersion to give.
    pub first_rv: u64,
    /// The number of the first Job that is created.
    pub next_job: u32,
    /// What the workers can hold.
    pub capacity: Capacity,
    /// What the node has.
    pub node: Arc<NodeShape>,
}

/// All truth, owned by one thread.
#[derive(Debug)]
pub struct State {
    pub(super) now: Time,
    pub(super) uid_key: UidKey,
    pub(super) next_rv: u64,
    pub(super) next_job: u32,
    /// The objects that are only documents, and their resourceVersions.
    pub(super) docs: BTreeMap<(Kind, Arc<str>), u64>,
    /// What the PriorityClasses say.
    pub(super) classes: BTreeMap<Arc<str>, PriorityClass>,
    /// Jobs without pods until the PriorityClasses change.
    pub(super) without_class: BTreeSet<JobId>,
    /// Boxed, so that half-empty nodes cost little.
    pub(super) jobs: BTreeMap<JobId, Box<Job>>,
    /// Job by namespace and name.
    pub(super) by_name: BTreeMap<Arc<str>, BTreeMap<Arc<str>, JobId>>,
    /// The Jobs that are gone while their pods were kept, by namespace: name and number. They are in `jobs` too.
    pub(super) orphans: BTreeMap<Arc<str>, BTreeSet<(Arc<str>, JobId)>>,
    pub(super) pods: Pods,
    pub(super) sched: Sched,
    pub(super) timers: Timers,
    /// When those who still wait are told that there is no room.
    pub(super) room_due: Option<Time>,
    pub(super) kept_events: KeptEvents,
    /// No pod is handed to a worker any more.
    pub(super) is_draining: bool,
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
    /// Its document, of one that has finalizers or is being deleted.
    pub(super) doc: Option<Arc<str>>,
    /// Its pods' names.
    pub(super) names: PodNames,
    /// What its pods run; `None` once it has finished.
    pub(super) plan: Option<Arc<RunPlan>>,
    /// Indexes below `record.next_index` that need another pod (Indexed).
    pub(super) retry: BTreeSet<u32>,
    /// Those of them that may not have it yet.
    pub(super) resting: Resting,
    /// Held pods whose failures another pod carries on.
    pub(super) replaced: Vec<u32>,
    /// For each rule of `successPolicy`, how many of its indexes are completed.
    pub(super) success_hits: Vec<u32>,
    /// `completions` was lowered: pods may be out of range.
    pub(super) is_cut: bool,
    /// By ordinal, of the pods whose container was started again.
    pub(super) restarts: BTreeMap<u32, LiveRestarts>,
    /// All of them together, but for pods that left the Job.
    pub(super) restart_sum: u32,
    /// The pods whose metadata clients changed.
    pub(super) touched: BTreeMap<u32, Touched>,
    /// Pods that have ended, were deleted, and are kept by a finalizer.
    pub(super) doomed: BTreeSet<u32>,
    /// What happened since the last sync.
    pub(super) news: News,
    pub(super) events: EventBudget,
    /// When it was last said that a pod finds no room, or does not fit.
    pub(super) no_room_said: Option<Time>,
    /// When its status was last published.
    pub(super) published: Time,
    /// Its status differs from the published one.
    pub(super) unpublished: bool,
    /// A condition is not published yet.
    pub(super) urgent: bool,
    /// When its timer fires.
    pub(super) wake: Option<Time>,
}

/// A pod whose metadata a client changed.
#[derive(Debug)]
pub(super) struct Touched {
    /// As `PodMark::meta`.
    pub(super) meta: Box<str>,
    /// A client's finalizer keeps it.
    pub(super) is_kept: bool,
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

impl Job {
    pub(super) fn new(record: JobRecord, spec: JobSpec, (doc_rv, doc): (u64, &Arc<str>), uid_key: UidKey) -> Self {
        let plan = Some(Self::plan(&record, &spec, uid_key));
        let mut job = Self {
            doc: spec.life.keeps_doc().then(|| Arc::clone(doc)),
            names: PodNames::new(record.uid),
            record,
            spec,
            doc_rv,
            plan,
            retry: BTreeSet::new(),
            resting: Resting::default(),
            replaced: Vec::new(),
            success_hits: Vec::new(),
            is_cut: false,
            restarts: BTreeMap::new(),
            restart_sum: 0,
            touched: BTreeMap::new(),
            doomed: BTreeSet::new(),
            news: News::default(),
            events: EventBudget::default(),
            no_room_said: None,
            published: Time::default(),
            unpublished: true,
            urgent: false,
            wake: None,
        };
        recount(&mut job);
        job
    }

    pub(super) fn plan(record: &JobRecord, spec: &JobSpec, uid_key: UidKey) -> Arc<RunPlan> {
        Arc::new(RunPlan {
            job_name: Arc::clone(&record.name),
            namespace: Arc::clone(&record.namespace),
            job_uid: record.uid,
            names: PodNames::new(record.uid),
            uid_key,
            template: Arc::clone(&spec.template),
        })
    }

    /// Whether its pods wait for clients to remove their scheduling gates.
    pub(super) fn has_gates(&self) -> bool {
        self.spec.template.needs.as_ref().is_some_and(|needs| !needs.gates.is_empty())
    }

    /// Whether a pod that has not ended left the Job.
    pub(super) fn is_stray(&self, ordinal: u32) -> bool {
        !self.record.strays.is_empty() && self.record.strays.contains(&ordinal)
    }

    /// Whether a deleted pod that has ended goes: neither a client's finalizer keeps it nor that its failure is not counted.
    pub(super) fn may_go(&self, ordinal: u32) -> bool {
        let is_kept = self.touched.get(&ordinal).is_some_and(|touched| touched.is_kept);
        !is_kept && !self.record.per_index.as_ref().is_some_and(|per_index| per_index.held.contains_key(&ordinal))
    }

    /// Whether there is a pod that would outlive the Job.
    pub(super) fn has_strays(&self) -> bool {
        let uid = self.record.uid.to_string();
        self.touched.values().any(|touched| PodMeta::read(&touched.meta).controller() != Some(&*uid))
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
            next_job: config.next_job,
            docs: BTreeMap::new(),
            classes: BTreeMap::new(),
            without_class: BTreeSet::new(),
            jobs: BTreeMap::new(),
            by_name: BTreeMap::new(),
            orphans: BTreeMap::new(),
            pods: Pods::default(),
            sched: Sched::new(config.capacity, config.node),
            timers: Timers::default(),
            room_due: None,
            kept_events: KeptEvents::default(),
            is_draining: false,
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
        self.work_due().into_iter().chain(self.kept_events.due()).min()
    }

    /// When there is something to do for a Job or a pod.
    pub(super) fn work_due(&self) -> Option<Time> {
        if self.dirty.is_empty() { self.timers.next() } else { Some(self.now) }
    }

    pub(super) fn job(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("a Job is removed with everything that refers to it")
    }

    /// A Job has finished: lets go of what only its pods needed, once none is left that left the Job.
    pub(super) fn retire(&mut self, id: JobId) {
        let job = self.job(id);
        job.news = News::default();
        // Only a Job that goes on claims pods; one that runs again gets its spec anew.
        job.spec.selector = Selector::default();
        if job.record.strays.is_empty() {
            job.plan = None;
            job.spec.template = PodTemplate::unset();
            self.sched.forget_needs(id);
        }
    }

    /// A Job's active pods with their slots.
    pub(super) fn active_pods(&self, id: JobId) -> impl Iterator<Item = (u32, &Live)> {
        let job = &self.jobs[&id];
        self.pods.of_job(id).filter(|(_, pod)| !pod.stopping && !job.is_stray(pod.ordinal))
    }

    /// The slots of a Job's active pods, in order of their ordinals.
    pub(super) fn active_slots(&self, id: JobId) -> Vec<u32> {
        let active = self.active_pods(id);
        let mut slots: Vec<(u32, u32)> = active.map(|(slot, pod)| (pod.ordinal, slot)).collect();
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
            job.unpublished |= changes_status(&fact, &job.record.strays);
            job.record.apply(&fact, rv);
            if let Fact::PodsRemoved { ordinals, .. } = &fact
                && !(job.touched.is_empty() && job.doomed.is_empty())
            {
                ordinals.iter().for_each(|ordinal| {
                    job.touched.remove(ordinal);
                    job.doomed.remove(ordinal);
                });
            }
        }
        fx.batch.facts.push(fact);
        rv
    }

    /// Puts a document into the batch, or takes it away, with a version of the fact that came just before and is about it.
    pub(super) fn write_doc(
        fx: &mut Effects,
        kind: Kind,
        namespace: &Arc<str>,
        name: &Arc<str>,
        rv: u64,
        doc: Option<&Arc<str>>,
    ) {
        let job = fx.batch.facts.last().and_then(Fact::job).filter(|_| kind == Kind::Job);
        fx.batch.docs.push(DocWrite {
            kind,
            job,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            rv,
            json: doc.map(Arc::clone),
        });
    }

    /// Forgets a pod that waits here; whoever calls this takes care of [`State::sched`].
    pub(super) fn forget_pod(&mut self, slot: u32) -> Live {
        let pod = self.pods.remove(slot);
        if let Place::Refused(at) = pod.place {
            self.timers.cancel(at, Due::Pod(slot, pod.job, pod.ordinal));
        }
        pod
    }

    /// Records an Event about a Job, if its budget allows.
    pub(super) fn note(&mut self, fx: &mut Effects, id: JobId, note: EventNote) {
        let now = self.now;
        if self.job(id).events.allows(&note, now) {
            self.record(fx, Fact::Recorded { event: Event { job: id, at: now, note } });
            self.kept_events.push(now);
        }
    }

    /// Lets go of the Events that are too old or too many.
    pub(super) fn expire_events(&mut self, fx: &mut Effects) {
        let count = self.kept_events.take_due(self.now);
        if count > 0 {
            self.record(fx, Fact::EventsExpired { count });
        }
    }

    /// Looks at the Job again at `at`, or before: every look sets what comes after it, so the earliest is enough.
    pub(super) fn wake_at(&mut self, at: Time, id: JobId) {
        let job = self.job(id);
        if job.wake.is_some_and(|wake| wake <= at) {
            return;
        }
        self.forget_wake(id);
        self.job(id).wake = Some(at);
        self.timers.set(at, Due::Job(id));
    }

    pub(super) fn forget_wake(&mut self, id: JobId) {
        if let Some(at) = self.job(id).wake.take() {
            self.timers.cancel(at, Due::Job(id));
        }
    }

    /// The Job's timer has fired.
    pub(super) fn on_job_due(&mut self, id: JobId) {
        self.job(id).wake = None;
        self.dirty.insert(id);
    }
}

/// Whether a fact changes what `Job.status` shows, which says nothing of `strays`.
fn changes_status(fact: &Fact, strays: &BTreeSet<u32>) -> bool {
    match fact {
        Fact::PodsStarted { pods, .. } => pods.iter().any(|(ordinal, ..)| !strays.contains(ordinal)),
        Fact::PodsDeleted { pods, .. } => pods.iter().any(|pod| pod.counted != Counted::Strayed),
        Fact::PodsEnded { ends, .. } => ends.iter().any(|end| end.counted != Counted::Strayed),
        Fact::ContainersExited { exits, .. } => {
            exits.iter().any(|exit| exit.was_ready && !strays.contains(&exit.ordinal))
        }
        Fact::JobStarted { .. }
        | Fact::PodsCreated { .. }
        | Fact::PodsStopping { .. }
        | Fact::PodChanged { claim: Claim::Left { .. } | Claim::Joined { .. }, .. }
        | Fact::IndexesLimited { .. }
        | Fact::IndexesRerun { .. }
        | Fact::ConditionSet { .. } => true,
        Fact::PodsReleased { failed, .. } => *failed > 0,
        Fact::JobCreated { .. }
        | Fact::JobChanged { .. }
        | Fact::PodsWaiting { .. }
        | Fact::PodsRemoved { .. }
        | Fact::BackoffSet { .. }
        | Fact::StatusPublished { .. }
        | Fact::Recorded { .. }
        | Fact::DocWritten
        | Fact::JobRemoved { .. }
        | Fact::EventsExpired { .. }
        | Fact::PriorityResolved { .. }
        | Fact::ContainersRestarted { .. }
        // Whether it does is known where it is made.
        | Fact::IndexesCut { .. }
        | Fact::EndedPodsRemoved { .. }
        | Fact::JobOrphaned { .. }
        | Fact::PodChanged { claim: Claim::Same, .. }
        | Fact::PodUngated { .. }
        | Fact::Unplaced { .. }
        | Fact::NoRoom { .. } => false,
    }
}
