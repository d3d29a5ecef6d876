//! Reading the mirror, following it, and the one way of writing it.
//!
//! Knows the lock: it is held while Arcs are cloned, never while anything is rendered. Invariant: the commit thread is the
//! only caller of [`View::apply`] and [`View::fold`].

use super::doc::{JobDoc, JobKey};
use super::mirror::{Docs, JobEntry, Mirror};
use super::objects::{EventObject, JobObject, Object, PlainObject, PodObject};
use super::pods::{Pods, restarts_of};
use super::ring::{Entry, Ring};
use super::watch::{Change, Cursor, Expired, Filter, Topic};
use crate::base::{JobId, PREFIX_MAX, SUFFIX_LEN, Uid};
use crate::model::{Batch, JobRecord, Kind, PodMark, PodRecord, Restarts};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

/// What readers see: everything that is durable, and nothing else.
#[derive(Debug)]
pub struct View {
    mirror: RwLock<Mirror>,
    /// The last version that is shown.
    rv: watch::Sender<u64>,
    /// The ends of the rings.
    ends: [watch::Sender<u64>; 6],
}

/// A Job as the controller takes it over at boot.
#[derive(Clone, Debug)]
pub struct JobSnapshot {
    /// Its record.
    pub record: JobRecord,
    /// Its document and the document's version.
    pub doc: Arc<JobDoc>,
    /// Its pods that have neither ended nor gone, in order of their ordinals.
    pub pods: Vec<PodRecord>,
    /// What is marked of its pods that are there.
    pub marks: Vec<(u32, PodMark)>,
    /// What is kept of the pods whose container was started again, by ordinal; also of those that have ended.
    pub restarts: BTreeMap<u32, Restarts>,
}

/// Pods at one version, made into objects one by one.
#[derive(Clone, Debug)]
pub struct PodList {
    pub(super) jobs: Vec<(Arc<JobDoc>, Pods)>,
}

impl PodList {
    /// The pods: in order of their Jobs' namespace and name, then of their ordinals.
    pub fn iter(&self) -> impl Iterator<Item = PodObject> + '_ {
        self.jobs.iter().flat_map(|(job, pods)| pods.objects(job))
    }
}

/// How many entries of a ring a watcher looks at while it holds the lock: about 100 µs.
const SCAN_MAX: usize = 8192;

impl View {
    pub(super) fn over(mirror: Mirror) -> Self {
        let rv = watch::Sender::new(mirror.rv);
        Self { mirror: RwLock::new(mirror), rv, ends: std::array::from_fn(|_| watch::Sender::new(0)) }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Mirror> {
        self.mirror.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Mirror> {
        self.mirror.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a batch that is durable.
    pub fn apply(&self, batch: &Batch) {
        let docs = batch.docs.iter().filter(|doc| doc.kind == Kind::Job);
        let docs = docs.map(|doc| (doc.rv, doc)).collect();
        let (rv, ends) = {
            let mut mirror = self.write();
            mirror.apply(batch, &Docs::Batch(docs));
            let rings = &mirror.rings;
            (
                mirror.rv,
                [
                    rings.jobs.end(),
                    rings.pods.end(),
                    rings.events.end(),
                    rings.namespaces.end(),
                    rings.classes.end(),
                    rings.nodes.end(),
                ],
            )
        };
        for (sender, end) in self.ends.iter().zip(ends) {
            sender.send_if_modified(|last| std::mem::replace(last, end) != end);
        }
        self.rv.send_if_modified(|last| std::mem::replace(last, rv) != rv);
    }

    /// The last version that is shown.
    #[must_use]
    pub fn rv(&self) -> u64 {
        *self.rv.borrow()
    }

    /// Waits until the version `rv` is shown.
    pub async fn shown(&self, rv: u64) {
        let mut shown = self.rv.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = shown.wait_for(|last| *last >= rv).await;
    }

    /// A Job by its name.
    #[must_use]
    pub fn job(&self, namespace: &str, name: &str) -> Option<JobObject> {
        let mirror = self.read();
        let id = mirror.names.get(namespace)?.get(name)?;
        Some(mirror.jobs.get(id)?.object())
    }

    /// A Job by its uid.
    #[must_use]
    pub fn job_by_uid(&self, uid: Uid) -> Option<JobObject> {
        let mirror = self.read();
        let entry = mirror.jobs.get(mirror.uids.get(&uid)?)?;
        (!entry.record.placement.orphaned).then(|| entry.object())
    }

    /// The Jobs of a namespace or of all, in order of namespace and name, and the version at which they are so.
    #[must_use]
    pub fn jobs(&self, namespace: Option<&str>) -> (u64, Vec<JobObject>) {
        let mirror = self.read();
        (mirror.rv, mirror.in_order(namespace).map(JobEntry::object).collect())
    }

    /// The Jobs that have not ended, in order of namespace and name.
    #[must_use]
    pub fn jobs_unfinished(&self) -> Vec<JobObject> {
        let mirror = self.read();
        mirror.in_order(None).filter(|entry| !entry.shown.is_finished()).map(JobEntry::object).collect()
    }

    /// A pod by its name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<PodObject> {
        self.read().pod(namespace, name)
    }

    /// The record of a pod; also of one that is gone, as long as its Job is there.
    #[must_use]
    pub fn pod_record(&self, job: JobId, ordinal: u32) -> Option<PodRecord> {
        self.read().jobs.get(&job)?.pods.get(ordinal).copied()
    }

    /// A pod by its Job and ordinal.
    #[cfg(test)]
    pub(crate) fn pod_by_ordinal(&self, job: JobId, ordinal: u32) -> Option<PodObject> {
        let mirror = self.read();
        let entry = mirror.jobs.get(&job)?;
        entry.pods.object(ordinal, &entry.doc)
    }

    /// The pods of a namespace, of a Job, or all, and the version at which they are so.
    #[must_use]
    pub fn pods(&self, namespace: Option<&str>, job: Option<Uid>) -> (u64, PodList) {
        let mirror = self.read();
        let jobs = match job {
            None => mirror.with_pods(mirror.in_order(namespace), namespace, |_| true),
            Some(uid) => {
                let entry = mirror.uids.get(&uid).and_then(|id| mirror.jobs.get(id)).map(Box::as_ref);
                let is_in = |entry: &&JobEntry| namespace.is_none_or(|namespace| *entry.record.namespace == *namespace);
                entry.filter(is_in).map(JobEntry::share).into_iter().collect()
            }
        };
        (mirror.rv, PodList { jobs })
    }

    /// The pods of the Jobs of this name in a namespace or in all, and the version at which they are so.
    #[must_use]
    pub fn pods_of_jobs_named(&self, namespace: Option<&str>, name: &str) -> (u64, PodList) {
        let mirror = self.read();
        (
            mirror.rv,
            PodList { jobs: mirror.with_pods(mirror.jobs_named(namespace, name), namespace, |job| job == name) },
        )
    }

    /// The Jobs of this name in a namespace or in all, and the version at which they are so.
    #[must_use]
    pub fn jobs_named(&self, namespace: Option<&str>, name: &str) -> (u64, Vec<JobObject>) {
        let mirror = self.read();
        (mirror.rv, mirror.jobs_named(namespace, name).map(JobEntry::object).collect())
    }

    /// The pods of this name in a namespace or in all, and the version at which they are so.
    #[must_use]
    pub fn pods_named(&self, namespace: Option<&str>, name: &str) -> (u64, Vec<PodObject>) {
        let mirror = self.read();
        let spaces = mirror.spaces(namespace).map(|(namespace, _)| namespace);
        let orphans = mirror.orphan_spaces(namespace).map(|(namespace, _)| namespace);
        let spaces: BTreeSet<&Arc<str>> = spaces.chain(orphans).collect();
        (mirror.rv, spaces.into_iter().filter_map(|namespace| mirror.pod(namespace, name)).collect())
    }

    /// The Events in a namespace or in all, oldest first, and the version at which they are so.
    #[must_use]
    pub fn events(&self, namespace: Option<&str>) -> (u64, Vec<EventObject>) {
        let mirror = self.read();
        let wanted = |event: &&EventObject| namespace.is_none_or(|namespace| *event.job.namespace == *namespace);
        (mirror.rv, mirror.events.kept.iter().filter(wanted).cloned().collect())
    }

    /// An Event by its name.
    #[must_use]
    pub fn event(&self, namespace: &str, name: &str) -> Option<EventObject> {
        let mirror = self.read();
        // A name begins with the Job's, so that few are written out to be compared.
        let is_it = |event: &&EventObject| {
            *event.job.namespace == *namespace && name.starts_with(&*event.involved().2) && event.name() == name
        };
        mirror.events.kept.iter().find(is_it).cloned()
    }

    /// The objects of a kind that are only documents, in order of their names, and the version at which they are so.
    #[must_use]
    pub fn plain(&self, kind: Kind) -> (u64, Vec<PlainObject>) {
        let mirror = self.read();
        (mirror.rv, mirror.plain(kind).values().cloned().collect())
    }

    /// An object of such a kind by its name.
    #[must_use]
    pub fn plain_named(&self, kind: Kind, name: &str) -> Option<PlainObject> {
        self.read().plain(kind).get(name).cloned()
    }

    /// A namespace by its name.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<PlainObject> {
        self.plain_named(Kind::Namespace, name)
    }

    /// All Jobs for the controller's recovery, in order of their ids.
    #[must_use]
    pub fn jobs_snapshot(&self) -> Vec<JobSnapshot> {
        let living = |pod: &&PodRecord| !pod.is_terminal() && !pod.has(PodRecord::REMOVED);
        let snapshot = |entry: &JobEntry| JobSnapshot {
            record: entry.record.clone(),
            doc: Arc::clone(&entry.doc),
            pods: entry.pods.chunks.iter().flat_map(|chunk| chunk.records.iter().filter(living).copied()).collect(),
            marks: entry.pods.marks().collect(),
            restarts: entry.pods.chunks.iter().flat_map(|chunk| chunk.extras.iter().filter_map(restarts_of)).collect(),
        };
        self.read().jobs.values().map(|entry| snapshot(entry)).collect()
    }

    /// Starts to follow the changes above `rv`. A version that is not shown yet is waited for.
    ///
    /// # Errors
    /// When changes above `rv` were dropped already, and cannot be merged either.
    pub fn watch_from(&self, topic: Topic, filter: Filter, rv: u64) -> Result<Cursor, Expired> {
        let mirror = self.read();
        let rings = &mirror.rings;
        let (seq, oldest) = match topic {
            Topic::Jobs => (rings.jobs.seek(rv), rings.jobs.evicted_rv()),
            Topic::Pods => (rings.pods.seek(rv), rings.pods.evicted_rv()),
            Topic::Events => (rings.events.seek(rv), rings.events.evicted_rv()),
            Topic::Namespaces => (rings.namespaces.seek(rv), rings.namespaces.evicted_rv()),
            Topic::PriorityClasses => (rings.classes.seek(rv), rings.classes.evicted_rv()),
            Topic::Nodes => (rings.nodes.seek(rv), rings.nodes.evicted_rv()),
        };
        // Far behind, then.
        let merged = (topic == Topic::Pods && filter.merges && mirror.knows_since(rv)).then_some(0);
        Ok(Cursor { topic, filter, seq: seq.or(merged).ok_or(Expired { wanted: rv, oldest })?, rv, merge: None })
    }

    /// Up to `limit` changes that the cursor has not given yet, oldest first; none when there are none at the moment.
    ///
    /// # Errors
    /// When changes that it has not given were dropped.
    pub fn poll(&self, cursor: &mut Cursor, limit: usize) -> Result<Vec<Change>, Expired> {
        let mut changes = Vec::new();
        loop {
            let mirror = self.read();
            let is_done = match cursor.topic {
                Topic::Pods => mirror.poll_pods(cursor, limit, &mut changes),
                _ => mirror.poll_others(cursor, limit, &mut changes),
            }?;
            if is_done {
                return Ok(changes);
            }
        }
    }

    /// How many changes of pods there were since the start.
    #[must_use]
    pub fn pod_changes(&self) -> u64 {
        *self.ends[Topic::Pods as usize].borrow()
    }

    /// Waits until [`View::poll`] has something to look at; it may still give nothing.
    pub async fn changed(&self, cursor: &Cursor) {
        if cursor.is_under_way() {
            // What is gathered is gathered in steps, between which others have their turn.
            return tokio::task::yield_now().await;
        }
        let mut end = self.ends[cursor.topic as usize].subscribe();
        let _ = end.wait_for(|end| *end > cursor.seq).await;
    }
}

/// Looks at up to [`SCAN_MAX`] entries from `at` on, which is a version and a number. True when `changes` is full or the end
/// was reached.
fn scan<T: Clone>(
    ring: &Ring<T>,
    shown: u64,
    (at_rv, seq): (&mut u64, &mut u64),
    limit: usize,
    changes: &mut Vec<Change>,
    mut takes: impl FnMut(&Entry<T>) -> bool,
    wrap: impl Fn(T) -> Object,
) -> Result<bool, Expired> {
    let expired = Expired { wanted: *at_rv, oldest: ring.evicted_rv() };
    for entry in ring.since(*seq).ok_or(expired)?.take(SCAN_MAX) {
        if changes.len() >= limit {
            return Ok(true);
        }
        // No other entry has this version, so it is complete with this one.
        *at_rv = entry.rv.max(*at_rv);
        *seq += 1;
        let Entry { rv, kind, .. } = *entry;
        if takes(entry) {
            let object = wrap(entry.object.clone());
            changes.push(Change { rv, kind, object, before: entry.before.clone().map(&wrap) });
        }
    }
    let is_end = *seq >= ring.end();
    if is_end {
        *at_rv = shown.max(*at_rv);
    }
    Ok(is_end)
}

impl Mirror {
    /// A step of a cursor of pods: whether it is done for now.
    fn poll_pods(&self, cursor: &mut Cursor, limit: usize, changes: &mut Vec<Change>) -> Result<bool, Expired> {
        if cursor.filter.merges
            && let Some(is_done) = self.merge(cursor, limit, changes)?
        {
            return Ok(is_done);
        }
        let ring = &self.rings.pods;
        let Cursor { filter, rv, seq, .. } = cursor;
        scan(ring, self.rv, (rv, seq), limit, changes, filter.takes_pods(), Object::Pod)?;
        cursor.correct(changes);
        Ok(changes.len() >= limit || cursor.seq >= ring.end())
    }

    fn poll_others(&self, cursor: &mut Cursor, limit: usize, changes: &mut Vec<Change>) -> Result<bool, Expired> {
        let Cursor { topic, filter, rv, seq, .. } = cursor;
        let (rings, shown, at) = (&self.rings, self.rv, (rv, seq));
        let plain = |_: &Entry<PlainObject>| filter.takes_plain();
        match topic {
            Topic::Jobs => {
                let takes = |entry: &Entry<JobObject>| filter.takes_key(&entry.object.doc.key);
                scan(&rings.jobs, shown, at, limit, changes, takes, Object::Job)
            }
            Topic::Pods => scan(&rings.pods, shown, at, limit, changes, filter.takes_pods(), Object::Pod),
            Topic::Events => {
                let takes = |entry: &Entry<EventObject>| filter.takes_key(&entry.object.job);
                scan(&rings.events, shown, at, limit, changes, takes, Object::Event)
            }
            Topic::Namespaces => scan(&rings.namespaces, shown, at, limit, changes, plain, Object::Plain),
            Topic::PriorityClasses => scan(&rings.classes, shown, at, limit, changes, plain, Object::Plain),
            Topic::Nodes => scan(&rings.nodes, shown, at, limit, changes, plain, Object::Plain),
        }
    }

    /// Jobs in order of namespace and name.
    fn in_order(&self, namespace: Option<&str>) -> impl Iterator<Item = &JobEntry> {
        let ids = self.spaces(namespace).flat_map(|(_, names)| names.values());
        ids.filter_map(|id| self.jobs.get(id)).map(Box::as_ref)
    }

    /// The pods of these Jobs, and of those that are gone while their pods were kept and whose names `takes` says yes to; in
    /// order of namespace, name and number.
    fn with_pods<'a>(
        &self,
        living: impl Iterator<Item = &'a JobEntry>,
        namespace: Option<&str>,
        takes: impl Fn(&str) -> bool,
    ) -> Vec<(Arc<JobDoc>, Pods)> {
        let mut jobs: Vec<(Arc<JobDoc>, Pods)> = living.map(JobEntry::share).collect();
        let before = jobs.len();
        jobs.extend(self.orphans_named(namespace, takes).map(JobEntry::share));
        if jobs.len() > before {
            jobs.sort_by(|(a, _), (b, _)| place_of_job(&a.key).cmp(&place_of_job(&b.key)));
        }
        jobs
    }

    /// The Jobs that are gone while their pods were kept and whose names `takes` says yes to.
    pub(super) fn orphans_named(
        &self,
        namespace: Option<&str>,
        takes: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = &JobEntry> {
        let orphans = self.orphan_spaces(namespace).flat_map(|(_, orphans)| orphans);
        orphans.filter(move |(name, _)| takes(name)).filter_map(|(_, id)| self.jobs.get(id)).map(Box::as_ref)
    }

    /// The Jobs that are gone while their pods were kept, of a namespace or of all.
    fn orphan_spaces(
        &self,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&Arc<str>, &BTreeSet<(Arc<str>, JobId)>)> {
        let range = match namespace {
            Some(one) => (Bound::Included(one), Bound::Included(one)),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        self.orphans.range::<str, _>(range)
    }

    /// The Jobs of this name, in order of their namespaces.
    pub(super) fn jobs_named(&self, namespace: Option<&str>, name: &str) -> impl Iterator<Item = &JobEntry> {
        self.spaces(namespace).filter_map(move |(_, names)| self.jobs.get(names.get(name)?)).map(Box::as_ref)
    }

    /// A namespace's Jobs by name, or those of all.
    fn spaces(&self, namespace: Option<&str>) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<Arc<str>, JobId>)> {
        let range = match namespace {
            Some(one) => (Bound::Included(one), Bound::Included(one)),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        self.names.range::<str, _>(range)
    }

    /// Finds a pod by its name: the Jobs that could have such a pod, then the suffix inverted.
    fn pod(&self, namespace: &str, name: &str) -> Option<PodObject> {
        let at = name.len().checked_sub(SUFFIX_LEN)?;
        let (prefix, suffix) = (name.get(..at)?, name.get(at..)?);
        self.pod_of_living(namespace, name, prefix, suffix).or_else(|| {
            let orphans = self.orphans.get(namespace)?;
            orphans.iter().find_map(|(job, id)| {
                if name.starts_with(&job[..job.len().min(PREFIX_MAX)]) { self.pod_of(*id, name, suffix) } else { None }
            })
        })
    }

    fn pod_of_living(&self, namespace: &str, name: &str, prefix: &str, suffix: &str) -> Option<PodObject> {
        let stem = prefix.strip_suffix('-').unwrap_or(prefix);
        let numbered = stem.rsplit_once('-').filter(|(_, index)| index.bytes().all(|byte| byte.is_ascii_digit()));
        let head = numbered.map_or(stem, |(job, _)| job);
        let names = self.names.get(namespace)?;
        let exact = [Some(stem), numbered.map(|(job, _)| job)].into_iter().flatten().filter_map(|job| names.get(job));
        // A prefix as long as this may have been cut, so that the Job's name is longer than what is left of it.
        let cut =
            (prefix.len() == PREFIX_MAX).then(|| names.range::<str, _>((Bound::Included(head), Bound::Unbounded)));
        let longer = cut.into_iter().flatten().take_while(|(job, _)| job.starts_with(head)).map(|(_, id)| id);
        exact.chain(longer).find_map(|id| self.pod_of(*id, name, suffix))
    }

    /// The pod of this name and suffix, if it is one of this Job's.
    fn pod_of(&self, id: JobId, name: &str, suffix: &str) -> Option<PodObject> {
        let entry = self.jobs.get(&id)?;
        let ordinal = entry.doc.key.names.ordinal(suffix)?;
        let record = entry.pods.get(ordinal)?;
        let is_it = entry.doc.key.pod_name(ordinal, record.index) == name;
        is_it.then(|| entry.pods.object(ordinal, &entry.doc))?
    }
}

/// Where a Job's pods stand in a list of pods.
pub(super) fn place_of_job(key: &JobKey) -> (&str, &str, JobId) {
    (&key.namespace, &key.name, key.id)
}
