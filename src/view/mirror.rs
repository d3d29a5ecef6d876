//! What is durable, in memory.
//!
//! Knows how each fact changes what is shown. Start with [`Mirror::apply`]. Invariant: a change is in a ring if and only
//! if it is in the mirror, under the same version.

use super::doc::{JobDoc, JobKey, PlainDoc};
use super::events::EventLog;
use super::objects::{EventObject, JobObject, PlainObject, PodObject};
use super::pods::{PodStep, Pods, place_of};
use super::ring::{Entry, Ring};
use super::watch::ChangeKind;
use crate::base::{JobId, PodNames, Time, Uid, UidKey};
use crate::model::{Batch, DocWrite, Event, Fact, IndexRun, JobRecord, JobStatus, Kind, PodRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A Job.
#[derive(Clone, Debug)]
pub(super) struct JobEntry {
    pub(super) record: JobRecord,
    pub(super) doc: Arc<JobDoc>,
    /// The status as it was last published.
    pub(super) shown: Arc<JobStatus>,
    pub(super) pods: Pods,
}

impl JobEntry {
    pub(super) fn object(&self) -> JobObject {
        JobObject {
            rv: self.record.rv,
            created: self.record.created,
            doc: Arc::clone(&self.doc),
            status: Arc::clone(&self.shown),
        }
    }

    /// Its pods, for a reader.
    pub(super) fn share(&self) -> (Arc<JobDoc>, Pods) {
        (Arc::clone(&self.doc), self.pods.clone())
    }
}

/// Recent changes, by kind of object.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) jobs: Ring<JobObject>,
    pub(super) pods: Ring<PodObject>,
    pub(super) events: Ring<EventObject>,
    pub(super) namespaces: Ring<PlainObject>,
    pub(super) classes: Ring<PlainObject>,
}

impl Rings {
    pub(super) fn new(rv: u64, bytes_max: usize) -> Self {
        Self {
            jobs: Ring::new(rv, bytes_max),
            pods: Ring::new(rv, bytes_max),
            events: Ring::new(rv, bytes_max),
            namespaces: Ring::new(rv, bytes_max),
            classes: Ring::new(rv, bytes_max),
        }
    }
}

/// What the store's compact state does not know yet.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) jobs: BTreeSet<JobId>,
    pub(super) chunks: BTreeSet<(JobId, u32)>,
    pub(super) removed: BTreeSet<JobId>,
    /// Facts, and pods that they were about.
    pub(super) changes: u64,
    /// The last version of an event that it does know.
    pub(super) events_after: u64,
}

/// The documents of Jobs and their versions, by namespace and name.
pub(super) type Heads = BTreeMap<(Arc<str>, Arc<str>), (u64, Arc<str>)>;

/// Where the documents of Jobs come from while facts are applied.
#[derive(Debug)]
pub(super) enum Docs<'a> {
    /// The documents of the same batch, by version.
    Batch(BTreeMap<u64, &'a DocWrite>),
    /// Head state, by namespace and name: facts are replayed.
    Heads(&'a Heads),
}

impl Docs<'_> {
    fn of_new_job(&self, rv: u64, namespace: &Arc<str>, name: &Arc<str>) -> (u64, Arc<str>) {
        let found = match self {
            Docs::Batch(docs) => docs.get(&rv).and_then(|doc| Some((rv, doc.json.clone()?))),
            Docs::Heads(heads) => heads.get(&(Arc::clone(namespace), Arc::clone(name))).cloned(),
        };
        // A replayed Job that is gone by now has no document; its `JobRemoved` follows before anyone reads.
        found.unwrap_or_else(|| (0, Arc::from("")))
    }
}

#[derive(Debug)]
pub(super) struct Mirror {
    /// The last version that is shown.
    pub(super) rv: u64,
    pub(super) uid_key: UidKey,
    /// Boxed, so that half-empty nodes cost little.
    pub(super) jobs: BTreeMap<JobId, Box<JobEntry>>,
    /// Jobs that are gone but have Events: their records without status.
    pub(super) gone: BTreeMap<JobId, JobRecord>,
    /// Jobs by namespace and name.
    pub(super) names: BTreeMap<Arc<str>, BTreeMap<Arc<str>, JobId>>,
    pub(super) uids: BTreeMap<Uid, JobId>,
    pub(super) namespaces: BTreeMap<Arc<str>, PlainObject>,
    pub(super) classes: BTreeMap<Arc<str>, PlainObject>,
    pub(super) events: EventLog,
    pub(super) rings: Rings,
    pub(super) dirty: Dirty,
}

impl Mirror {
    pub(super) fn new(uid_key: UidKey, rings: Rings) -> Self {
        Self {
            rv: 0,
            uid_key,
            jobs: BTreeMap::new(),
            gone: BTreeMap::new(),
            names: BTreeMap::new(),
            uids: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            classes: BTreeMap::new(),
            events: EventLog::default(),
            rings,
            dirty: Dirty::default(),
        }
    }

    pub(super) fn apply(&mut self, batch: &Batch, docs: &Docs<'_>) {
        for doc in batch.docs.iter().filter(|doc| doc.kind != Kind::Job) {
            self.write_plain(doc);
        }
        for (rv, fact) in batch.numbered() {
            self.apply_fact(rv, fact, docs);
        }
        self.rv = batch.docs.iter().map(|doc| doc.rv).fold(self.rv.max(batch.next_rv().saturating_sub(1)), u64::max);
        self.dirty.changes += batch.facts.len() as u64 + batch.pods();
    }

    fn apply_fact(&mut self, rv: u64, fact: &Fact, docs: &Docs<'_>) {
        match fact {
            Fact::JobCreated { .. } => return self.create_job(rv, fact, docs),
            Fact::Recorded { event } => return self.record(rv, event),
            Fact::EventsExpired { count } => return self.expire_events(rv, *count),
            _ => {}
        }
        // A document without a Job was written before its fact is reached.
        let Some(job) = fact.job() else { return };
        // Facts about a Job that is gone change nothing that is shown.
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        self.dirty.jobs.insert(job);
        let before = entry.object();
        entry.record.apply(fact, rv);
        match fact {
            Fact::JobChanged { .. } => self.change_job(rv, job, before, docs),
            Fact::StatusPublished { .. } => {
                entry.shown = Arc::clone(&entry.record.status);
                let (object, weight) = (entry.object(), status_bytes(&entry.shown));
                self.rings.jobs.push(Entry { rv, kind: ChangeKind::Modified, object, before: Some(before), weight });
            }
            Fact::PodsCreated { at, first, count, indexes, .. } => {
                self.create_pods(rv, job, *at, *first, *count, indexes)
            }
            Fact::PodsStarted { pods, .. } => {
                self.step(rv, job, pods.iter().map(|(ordinal, at, engine)| (*ordinal, PodStep::Started(*at, *engine))));
            }
            Fact::PodsWaiting { pods, .. } => {
                self.step(rv, job, pods.iter().map(|waiting| (waiting.ordinal, PodStep::Waiting(waiting))));
            }
            Fact::PodsStopping { at, ordinals, .. } => {
                self.step(rv, job, ordinals.iter().map(|ordinal| (*ordinal, PodStep::Stopping(*at))));
            }
            Fact::PodsEnded { ends, .. } => {
                self.step(rv, job, ends.iter().map(|end| (end.ordinal, PodStep::Ended(end))))
            }
            Fact::PodsRemoved { ordinals, .. } => {
                self.step(rv, job, ordinals.iter().map(|ordinal| (*ordinal, PodStep::Removed)));
            }
            Fact::PodsReleased { ordinals, .. } => {
                self.step(rv, job, ordinals.iter().map(|ordinal| (*ordinal, PodStep::Released)));
            }
            Fact::ContainersExited { exits, .. } => {
                self.step(rv, job, exits.iter().map(|exit| (exit.ordinal, PodStep::ContainerExited(exit))));
            }
            Fact::ContainersRestarted { ordinals, .. } => {
                self.step(rv, job, ordinals.iter().map(|ordinal| (*ordinal, PodStep::ContainerRestarted)));
            }
            Fact::JobRemoved { ordinals, .. } => self.remove_job(rv, *ordinals, job, before),
            Fact::PriorityResolved { .. } | Fact::NoRoom { .. } => {
                let (doc, placement) = (&entry.doc, entry.record.placement.clone());
                entry.doc = Arc::new(JobDoc::new(Arc::clone(&doc.key), doc.rv, Arc::clone(&doc.json), placement));
            }
            Fact::JobCreated { .. }
            | Fact::JobStarted { .. }
            | Fact::BackoffSet { .. }
            | Fact::ConditionSet { .. }
            | Fact::IndexesLimited { .. }
            | Fact::IndexesCut { .. }
            | Fact::Recorded { .. }
            | Fact::DocWritten
            | Fact::EventsExpired { .. } => {}
        }
    }

    fn create_job(&mut self, rv: u64, fact: &Fact, docs: &Docs<'_>) {
        let record = JobRecord::created_by(fact, rv).expect("the caller looked at the fact");
        let head = docs.of_new_job(rv, &record.namespace, &record.name);
        let weight = head.1.len();
        self.dirty.jobs.insert(record.id);
        let object = self.insert_job(record, head, Arc::default(), Pods::default()).object();
        self.rings.jobs.push(Entry { rv, kind: ChangeKind::Added, object, before: None, weight });
    }

    pub(super) fn insert_job(
        &mut self,
        record: JobRecord,
        (doc_rv, json): (u64, Arc<str>),
        shown: Arc<JobStatus>,
        pods: Pods,
    ) -> &JobEntry {
        let id = record.id;
        let names = self.names.entry(Arc::clone(&record.namespace)).or_default();
        names.insert(Arc::clone(&record.name), id);
        self.uids.insert(record.uid, id);
        let key = Arc::new(key_of(&record, self.uid_key));
        let doc = Arc::new(JobDoc::new(key, doc_rv, json, record.placement.clone()));
        self.jobs.entry(id).insert_entry(Box::new(JobEntry { record, doc, shown, pods })).into_mut()
    }

    /// A client changed the Job. While facts are replayed the document already is the last one.
    fn change_job(&mut self, rv: u64, job: JobId, before: JobObject, docs: &Docs<'_>) {
        let Docs::Batch(docs) = docs else { return };
        let Some(json) = docs.get(&rv).and_then(|doc| doc.json.clone()) else { return };
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        let weight = json.len();
        entry.doc = Arc::new(JobDoc::new(Arc::clone(&entry.doc.key), rv, json, entry.record.placement.clone()));
        let object = entry.object();
        self.rings.jobs.push(Entry { rv, kind: ChangeKind::Modified, object, before: Some(before), weight });
    }

    /// The Job and every pod that it has are gone.
    fn remove_job(&mut self, first_rv: u64, ordinals: u32, job: JobId, before: JobObject) {
        let Some(entry) = self.bury(job) else { return };
        debug_assert!(entry.pods.next_ordinal() <= ordinals, "a pod has no version to go at");
        for before in entry.pods.objects(&entry.doc) {
            let rv = first_rv + u64::from(before.record.ordinal);
            let object = before.removed(rv);
            let weight = object.message.as_ref().map_or(0, |text| text.len());
            self.rings.pods.push(Entry { rv, kind: ChangeKind::Deleted, object, before: Some(before), weight });
        }
        // From here on only the rings keep the document and the status alive.
        self.rings.pods.charge(entry.doc.bytes());
        let weight = entry.doc.bytes() + status_bytes(&entry.shown);
        let object = entry.object();
        let rv = object.rv;
        self.rings.jobs.push(Entry { rv, kind: ChangeKind::Deleted, object, before: Some(before), weight });
    }

    /// Takes a Job out; its record stays for as long as an Event is about it.
    fn bury(&mut self, job: JobId) -> Option<Box<JobEntry>> {
        let entry = self.jobs.remove(&job)?;
        let record = &entry.record;
        if let Some(names) = self.names.get_mut(&record.namespace) {
            // A later Job may have taken the name, when facts are replayed.
            if names.get(&record.name) == Some(&job) {
                names.remove(&record.name);
            }
            if names.is_empty() {
                self.names.remove(&record.namespace);
            }
        }
        self.uids.remove(&record.uid);
        self.dirty.removed.insert(job);
        self.dirty.jobs.remove(&job);
        let mut chunks = self.dirty.chunks.split_off(&(job, 0));
        self.dirty.chunks.extend(chunks.split_off(&(JobId(job.0.saturating_add(1)), 0)));
        if self.events.has_any(job) {
            self.dirty.jobs.insert(job);
            self.gone.insert(job, JobRecord { status: Arc::default(), ..record.clone() });
        }
        Some(entry)
    }

    /// Takes out the folded Jobs that were gone already and are kept for their Events: they have no document, or a later
    /// Job has taken their name.
    pub(super) fn bury_missing(&mut self) {
        let is_there = |entry: &JobEntry| {
            let names = self.names.get(&entry.record.namespace);
            !entry.doc.json.is_empty()
                && names.and_then(|names| names.get(&entry.record.name)) == Some(&entry.record.id)
        };
        let missing: Vec<JobId> =
            self.jobs.values().filter(|entry| !is_there(entry)).map(|entry| entry.record.id).collect();
        missing.into_iter().for_each(|job| drop(self.bury(job)));
    }

    fn create_pods(&mut self, rv: u64, job: JobId, at: Time, first: u32, count: u32, indexes: &[IndexRun]) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        let changed = entry.pods.next_ordinal().min(first);
        entry.pods.skip_to(job, first, count);
        for (nth, (ordinal, index)) in Fact::created_pods(first, count, indexes).enumerate() {
            let rv = rv + nth as u64;
            let record = PodRecord::new(job, ordinal, index, at, rv);
            entry.pods.push(record, first + count - ordinal);
            let failures = entry.record.failures_of(index);
            entry.pods.set_failures(ordinal, failures);
            let job = Arc::clone(&entry.doc);
            let object = PodObject { record, message: None, stop: None, failures, restarts: None, job };
            self.rings.pods.push(Entry { rv, kind: ChangeKind::Added, object, before: None, weight: 0 });
        }
        let chunk = |ordinal: u32| ordinal / crate::model::CHUNK_PODS;
        self.dirty.chunks.extend((chunk(changed)..=chunk(first + count.max(1) - 1)).map(|number| (job, number)));
    }

    /// Applies the steps of pods of one Job; each takes the next version.
    fn step<'a>(&mut self, first_rv: u64, job: JobId, steps: impl Iterator<Item = (u32, PodStep<'a>)>) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        let mut dirty = None;
        for (nth, (ordinal, step)) in steps.enumerate() {
            let rv = first_rv + nth as u64;
            let Some((before, after)) = entry.pods.step(ordinal, rv, step, &entry.doc) else { continue };
            let number = u32::try_from(place_of(ordinal).0).expect("ordinals are 32 bits");
            if dirty.replace(number) != Some(number) {
                self.dirty.chunks.insert((job, number));
            }
            let kind = if after.record.has(PodRecord::REMOVED) { ChangeKind::Deleted } else { ChangeKind::Modified };
            let weight = after.message.as_ref().map_or(0, |text| text.len());
            self.rings.pods.push(Entry { rv, kind, object: after, before: Some(before), weight });
        }
    }

    fn record(&mut self, rv: u64, event: &Event) {
        let Some(job) = self.key_of_any(event.job) else { return };
        let object = self.events.push(rv, event.clone(), job);
        self.rings.events.push(Entry { rv, kind: ChangeKind::Added, object, before: None, weight: 0 });
    }

    /// The key of a Job that is there, or was and has Events.
    pub(super) fn key_of_any(&self, job: JobId) -> Option<Arc<JobKey>> {
        let living = self.jobs.get(&job).map(|entry| Arc::clone(&entry.doc.key));
        living.or_else(|| Some(Arc::new(key_of(self.gone.get(&job)?, self.uid_key))))
    }

    fn expire_events(&mut self, first_rv: u64, count: u32) {
        for rv in first_rv..first_rv + u64::from(count) {
            let Some(before) = self.events.pop() else { return };
            let job = before.event.job;
            if !self.events.has_any(job) && self.gone.remove(&job).is_some() {
                self.dirty.jobs.remove(&job);
                self.dirty.removed.insert(job);
            }
            let object = EventObject { rv, ..before.clone() };
            self.rings.events.push(Entry { rv, kind: ChangeKind::Deleted, object, before: Some(before), weight: 0 });
        }
    }

    /// The objects of a kind that are only documents.
    pub(super) fn plain(&self, kind: Kind) -> &BTreeMap<Arc<str>, PlainObject> {
        if kind == Kind::PriorityClass { &self.classes } else { &self.namespaces }
    }

    fn write_plain(&mut self, write: &DocWrite) {
        let (objects, ring) = match write.kind {
            Kind::PriorityClass => (&mut self.classes, &mut self.rings.classes),
            Kind::Namespace | Kind::Job => (&mut self.namespaces, &mut self.rings.namespaces),
        };
        let before = objects.get(&write.name).cloned();
        let rv = write.rv;
        let (kind, object) = match (&write.json, &before) {
            (Some(json), before) => {
                let doc = Arc::new(PlainDoc::new(write.kind, Arc::clone(&write.name), Arc::clone(json)));
                let object = PlainObject { rv, doc };
                objects.insert(Arc::clone(&write.name), object.clone());
                (if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added }, object)
            }
            (None, Some(last)) => {
                objects.remove(&write.name);
                (ChangeKind::Deleted, PlainObject { rv, doc: Arc::clone(&last.doc) })
            }
            (None, None) => return,
        };
        let weight = object.doc.json.len();
        ring.push(Entry { rv, kind, object, before, weight });
    }
}

fn key_of(record: &JobRecord, uid_key: UidKey) -> JobKey {
    JobKey {
        id: record.id,
        uid: record.uid,
        namespace: Arc::clone(&record.namespace),
        name: Arc::clone(&record.name),
        names: PodNames::new(record.uid),
        uid_key,
    }
}

/// About what a status takes beside its struct, bytes.
fn status_bytes(status: &JobStatus) -> usize {
    let failed = status.failed_indexes.as_ref().map_or(0, |failed| failed.bytes());
    size_of::<JobStatus>() + status.completed.bytes() + failed + status.conditions.iter().map(|c| c.message.len()).sum::<usize>()
}
