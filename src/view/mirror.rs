//! What is durable, in memory.
//!
//! Knows how each fact changes what is shown. Start with [`Mirror::apply`]. Invariant: a change is in a ring if and only
//! if it is in the mirror, under the same version.

use super::doc::{JobDoc, JobKey, PlainDoc};
use super::events::EventLog;
use super::merge::Limits;
use super::objects::{EventObject, JobObject, PlainObject, PodObject};
use super::past::{Births, Graves};
use super::pods::{PodStep, Pods, place_of};
use super::ring::{Entry, Ring};
use super::watch::ChangeKind;
use crate::base::{JobId, PodNames, Time, Uid, UidKey};
use crate::model::{Batch, DocWrite, Event, Fact, IndexRun, JobRecord, JobStatus, Kind, PodMeta, PodRecord};
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
    pub(super) nodes: Ring<PlainObject>,
    /// What is not in the mirror of changes that the ring of pods has dropped.
    pub(super) births: Births,
    pub(super) graves: Graves,
    /// The last version at which a pod's labels changed, or one went that had others than its template's.
    pub(super) relabelled: u64,
    pub(super) limits: Limits,
}

impl Rings {
    pub(super) fn new(rv: u64, limits: Limits) -> Self {
        let bytes_max = limits.ring_bytes;
        Self {
            births: Births::new(rv, limits.births),
            graves: Graves::new(rv, limits.graves_bytes),
            relabelled: rv,
            limits,
            jobs: Ring::new(rv, bytes_max),
            pods: Ring::new(rv, bytes_max),
            events: Ring::new(rv, bytes_max),
            namespaces: Ring::new(rv, bytes_max),
            classes: Ring::new(rv, bytes_max),
            nodes: Ring::new(rv, bytes_max),
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

/// The documents of Jobs and their versions.
pub(super) type Heads = BTreeMap<JobId, (u64, Arc<str>)>;

/// Where the documents of Jobs come from while facts are applied.
#[derive(Debug)]
pub(super) enum Docs<'a> {
    /// The documents of the same batch, by version.
    Batch(BTreeMap<u64, &'a DocWrite>),
    /// Head state: facts are replayed.
    Heads(&'a Heads),
}

impl Docs<'_> {
    fn of_new_job(&self, rv: u64, job: JobId) -> (u64, Arc<str>) {
        let found = match self {
            Docs::Batch(docs) => docs.get(&rv).and_then(|doc| Some((rv, doc.json.clone()?))),
            Docs::Heads(heads) => heads.get(&job).cloned(),
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
    /// The Jobs that are gone while their pods were kept, by namespace and name. They are in `jobs` and not in `names`.
    pub(super) orphans: BTreeMap<Arc<str>, BTreeSet<(Arc<str>, JobId)>>,
    pub(super) uids: BTreeMap<Uid, JobId>,
    pub(super) namespaces: BTreeMap<Arc<str>, PlainObject>,
    pub(super) classes: BTreeMap<Arc<str>, PlainObject>,
    pub(super) nodes: BTreeMap<Arc<str>, PlainObject>,
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
            orphans: BTreeMap::new(),
            uids: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            classes: BTreeMap::new(),
            nodes: BTreeMap::new(),
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
            Fact::PodsDeleted { at, pods, .. } => {
                self.step(rv, job, pods.iter().map(|pod| (pod.ordinal, PodStep::Deleted(*at, pod))));
            }
            Fact::EndedPodsRemoved { ordinals, .. } => self.remove_ended(rv, *ordinals, job),
            Fact::JobOrphaned { ordinals, .. } => self.orphan_job(rv, *ordinals, job, before),
            Fact::PodChanged { ordinal, meta, .. } => {
                self.step(rv, job, std::iter::once((*ordinal, PodStep::Changed(meta.as_deref()))));
            }
            Fact::PodUngated { ordinal, .. } => {
                self.step(rv, job, std::iter::once((*ordinal, PodStep::Ungated)));
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
            Fact::PriorityResolved { .. } | Fact::NoRoom { .. } | Fact::Unplaced { .. } => {
                entry.doc = Arc::new(entry.doc.placed(entry.record.placement.clone()));
            }
            Fact::JobCreated { .. }
            | Fact::JobStarted { .. }
            | Fact::BackoffSet { .. }
            | Fact::ConditionSet { .. }
            | Fact::IndexesLimited { .. }
            | Fact::IndexesCut { .. }
            | Fact::IndexesRerun { .. }
            | Fact::Recorded { .. }
            | Fact::DocWritten
            | Fact::EventsExpired { .. } => {}
        }
    }

    fn create_job(&mut self, rv: u64, fact: &Fact, docs: &Docs<'_>) {
        let record = JobRecord::created_by(fact, rv).expect("the caller looked at the fact");
        let head = docs.of_new_job(rv, record.id);
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
        if record.placement.orphaned {
            let orphans = self.orphans.entry(Arc::clone(&record.namespace)).or_default();
            orphans.insert((Arc::clone(&record.name), id));
        } else {
            let names = self.names.entry(Arc::clone(&record.namespace)).or_default();
            names.insert(Arc::clone(&record.name), id);
        }
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
            let weight = object.extra_bytes();
            self.rings.pods.push(Entry { rv, kind: ChangeKind::Deleted, object, before: Some(before), weight });
        }
        // From here on only the rings keep the document and the status alive.
        self.rings.pods.charge(entry.doc.bytes());
        let weight = entry.doc.bytes() + status_bytes(&entry.shown);
        let object = entry.object();
        let rv = object.rv;
        self.rings.jobs.push(Entry { rv, kind: ChangeKind::Deleted, object, before: Some(before), weight });
        self.rings.graves.push(entry.doc, entry.pods, first_rv);
    }

    /// The Job is gone and its pods are not: what they have of its document is kept with them.
    fn orphan_job(&mut self, first_rv: u64, ordinals: u32, job: JobId, before: JobObject) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        let record = &entry.record;
        entry.doc = Arc::new(entry.doc.placed(record.placement.clone()));
        let (namespace, name) = (Arc::clone(&record.namespace), Arc::clone(&record.name));
        let there: Vec<u32> = entry.pods.objects(&entry.doc).map(|pod| pod.record.ordinal).collect();
        self.orphans.entry(Arc::clone(&namespace)).or_default().insert((Arc::clone(&name), job));
        if let Some(names) = self.names.get_mut(&namespace) {
            // A later Job may have taken the name, when facts are replayed.
            if names.get(&name) == Some(&job) {
                names.remove(&name);
            }
            if names.is_empty() {
                self.names.remove(&namespace);
            }
        }
        for ordinal in there {
            self.step(first_rv + u64::from(ordinal), job, std::iter::once((ordinal, PodStep::Orphaned)));
        }
        let rv = first_rv + u64::from(ordinals);
        let weight = before.doc.bytes() + status_bytes(&before.status);
        let object = JobObject { rv, ..before.clone() };
        self.rings.jobs.push(Entry { rv, kind: ChangeKind::Deleted, object, before: Some(before), weight });
    }

    /// The Job's pods that have ended are gone.
    fn remove_ended(&mut self, first_rv: u64, ordinals: u32, job: JobId) {
        let Some(entry) = self.jobs.get(&job) else { return };
        // A pod that left the Job is not the Job's to delete.
        let is_owned = |pod: &PodObject| {
            let meta = pod.mark.as_deref().and_then(|mark| mark.meta.as_deref());
            meta.is_none_or(|meta| !PodMeta::read(meta).owner_references.is_empty())
        };
        let ended = entry.pods.objects(&entry.doc).filter(|pod| pod.record.is_terminal() && is_owned(pod));
        let ended: Vec<u32> = ended.map(|pod| pod.record.ordinal).collect();
        debug_assert!(ended.last().is_none_or(|last| *last < ordinals), "a pod has no version to go at");
        for ordinal in ended {
            self.step(first_rv + u64::from(ordinal), job, std::iter::once((ordinal, PodStep::Removed)));
        }
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
        if let Some(orphans) = self.orphans.get_mut(&record.namespace) {
            orphans.remove(&(Arc::clone(&record.name), job));
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

    /// Takes out the folded Jobs that were gone already and are kept for their Events: they have no document.
    pub(super) fn bury_missing(&mut self) {
        let missing = self.jobs.values().filter(|entry| entry.doc.json.is_empty());
        let missing: Vec<JobId> = missing.map(|entry| entry.record.id).collect();
        missing.into_iter().for_each(|job| drop(self.bury(job)));
    }

    fn create_pods(&mut self, rv: u64, job: JobId, at: Time, first: u32, count: u32, indexes: &[IndexRun]) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        let changed = entry.pods.next_ordinal().min(first);
        self.rings.births.push(rv, job, first, count);
        entry.pods.skip_to(job, first, count);
        for (nth, (ordinal, index)) in Fact::created_pods(first, count, indexes).enumerate() {
            let rv = rv + nth as u64;
            let record = PodRecord::new(job, ordinal, index, at, rv);
            entry.pods.push(record, first + count - ordinal);
            let failures = entry.record.failures_of(index);
            entry.pods.set_failures(ordinal, failures);
            let job = Arc::clone(&entry.doc);
            let object = PodObject { record, message: None, mark: None, failures, restarts: None, job };
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
            let weight = after.extra_bytes();
            let entry = Entry { rv, kind, object: after, before: Some(before), weight };
            if entry.is_relabelled() {
                self.rings.relabelled = rv;
            }
            self.rings.pods.push(entry);
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
        match kind {
            Kind::PriorityClass => &self.classes,
            Kind::Node => &self.nodes,
            Kind::Namespace | Kind::Job => &self.namespaces,
        }
    }

    fn write_plain(&mut self, write: &DocWrite) {
        let (objects, ring) = match write.kind {
            Kind::PriorityClass => (&mut self.classes, &mut self.rings.classes),
            Kind::Node => (&mut self.nodes, &mut self.rings.nodes),
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
    size_of::<JobStatus>()
        + status.completed.bytes()
        + failed
        + status.conditions.iter().map(|c| c.message.len()).sum::<usize>()
}
