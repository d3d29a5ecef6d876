//! What a watcher of pods missed, merged: of each pod the state that it has now.
//!
//! For cursors that are far behind or whose changes the ring has dropped. Records have the version of their last change, so
//! the mirror itself says what changed: it is gathered in steps, sorted by version and told; a pod that changes meanwhile is
//! left to the next time. Knows no selector. Invariant: what was told in order up to a version makes, with what is told from
//! there, the state of now; a pod is added once, and deleted only if it was added. Whoever missed that the labels of a pod
//! changed gets [`Expired`]: what a selector sees of a pod stays as it is otherwise.

use super::doc::JobDoc;
use super::mirror::{JobEntry, Mirror};
use super::objects::{Object, PodObject};
use super::past::{BIRTHS_MAX, GRAVES_BYTES_MAX};
use super::pods::{Pods, place_of};
use super::ring::RING_BYTES_MAX;
use super::watch::{Change, ChangeKind, Cursor, Expired, Filter};
use crate::base::JobId;
use crate::model::PodRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What bounds the memory of changes, and when a watcher's are merged. Tests have less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) ring_bytes: usize,
    pub(super) births: usize,
    pub(super) graves_bytes: usize,
    /// A cursor with more entries of the ring ahead is far behind.
    pub(super) far_behind: u64,
    /// How many changes are gathered at a time, 16 bytes each; twice as many while they are gathered.
    pub(super) gathered: usize,
    /// How many records are looked at in a step, under the lock: about 100 µs.
    pub(super) looks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ring_bytes: RING_BYTES_MAX,
            births: BIRTHS_MAX,
            graves_bytes: GRAVES_BYTES_MAX,
            far_behind: 1024,
            gathered: 1 << 15,
            looks: 8192,
        }
    }
}

/// Of so many Jobs a cursor remembers which pods were told; with more it gets [`Expired`].
const TOLD_JOBS_MAX: usize = 1 << 16;

/// What looking at a Job costs beside its records, in records.
const JOB_LOOKS: usize = 16;

/// A change of a pod, in order of versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    rv: u64,
    job: JobId,
    ordinal: u32,
}

/// A cursor that was far behind.
#[derive(Clone, Debug)]
pub(super) struct Merge {
    told: Told,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Gather(Gather),
    /// What to tell, the newest first, and the version up to which all is told with it.
    Tell(Vec<Key>, u64),
    /// The ring is followed. Pods that were never told are new until this version.
    Follow(u64),
}

impl Merge {
    /// Whether there is something to do without another change.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Follow(_))
    }
}

/// Which of the pods that were created since the cursor fell behind it was told of. Whatever is older it knows.
#[derive(Clone, Debug)]
struct Told {
    /// The creations up to this version are in `jobs`.
    through: u64,
    jobs: BTreeMap<JobId, New>,
}

/// A Job's new pods: a bit for each from the first one on.
#[derive(Clone, Debug)]
struct New {
    first: u32,
    told: Vec<u64>,
}

impl Told {
    fn knows(&self, job: JobId, ordinal: u32) -> bool {
        let Some(new) = self.jobs.get(&job) else { return true };
        let Some(nth) = ordinal.checked_sub(new.first) else { return true };
        new.told.get((nth / 64) as usize).is_some_and(|word| word >> (nth % 64) & 1 == 1)
    }

    fn note(&mut self, job: JobId, ordinal: u32) {
        let new = self.jobs.entry(job).or_insert_with(|| New { first: ordinal, told: Vec::new() });
        let Some(nth) = ordinal.checked_sub(new.first) else { return };
        let word = (nth / 64) as usize;
        if new.told.len() <= word {
            new.told.resize(word + 1, 0);
        }
        new.told[word] |= 1 << (nth % 64);
    }

    /// Makes of a change what it is for someone who was told so much; `None` when it is nothing.
    fn correct(&mut self, change: Change) -> Option<Change> {
        let Object::Pod(pod) = &change.object else { return Some(change) };
        let (job, ordinal) = (pod.record.job, pod.record.ordinal);
        match change.kind {
            ChangeKind::Deleted => self.knows(job, ordinal).then_some(change),
            ChangeKind::Modified if self.knows(job, ordinal) => Some(change),
            ChangeKind::Added | ChangeKind::Modified => {
                self.note(job, ordinal);
                Some(Change { kind: ChangeKind::Added, before: None, ..change })
            }
        }
    }
}

/// Looking for what changed above `since` and not above `until`.
#[derive(Clone, Debug)]
struct Gather {
    since: u64,
    until: u64,
    place: Place,
    found: Vec<Key>,
    /// Versions from here on are left to the next time.
    cut: u64,
}

/// Where it goes on: at this chunk of this Job, or of the first one behind it. Jobs that are gone come last: one that goes
/// meanwhile is met there.
#[derive(Clone, Copy, Debug)]
enum Place {
    Jobs(JobId, usize),
    Graves(JobId, usize),
    End,
}

impl Gather {
    /// Takes what changed of a chunk, whose pods have the versions that `rv` gives.
    fn chunk(&mut self, pods: &Pods, chunk: usize, rv: impl Fn(&PodRecord) -> u64, max: usize) -> usize {
        let Some(chunk) = pods.chunks.get(chunk) else { return 0 };
        for record in &chunk.records {
            let key = Key { rv: rv(record), job: record.job, ordinal: record.ordinal };
            if key.rv > self.since && key.rv <= self.until && key.rv < self.cut {
                self.found.push(key);
            }
        }
        if self.found.len() > 2 * max {
            let (_, last, _) = self.found.select_nth_unstable(max);
            self.cut = last.rv;
            self.found.truncate(max);
        }
        chunk.records.len()
    }

    /// What to tell, the newest first, and up to which version it is everything.
    fn done(&mut self, max: usize) -> (Vec<Key>, u64) {
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable();
        // A Job that went meanwhile was met twice.
        found.dedup();
        if let Some(key) = found.get(max) {
            self.cut = key.rv;
            found.truncate(max);
        }
        found.shrink_to_fit();
        found.reverse();
        (found, self.until.min(self.cut.saturating_sub(1)))
    }
}

/// The place behind a chunk of a Job.
fn behind(job: JobId, chunk: usize, chunks: usize) -> Option<(JobId, usize)> {
    if chunk + 1 < chunks { Some((job, chunk + 1)) } else { Some((JobId(job.0.checked_add(1)?), 0)) }
}

impl Mirror {
    /// Whether the changes that pods' watchers missed since `rv` can still be told.
    pub(super) fn knows_since(&self, rv: u64) -> bool {
        let rings = &self.rings;
        rings.births.evicted_rv() <= rv && rings.graves.evicted_rv() <= rv && rings.relabelled <= rv
    }

    /// A step of a cursor of pods that wants to have changes merged, before or instead of one along the ring. `None` when
    /// the ring is to be followed; else whether the caller is to look at `changes`.
    ///
    /// # Errors
    /// When what the cursor missed is no longer known.
    pub(super) fn merge(
        &self,
        cursor: &mut Cursor,
        limit: usize,
        changes: &mut Vec<Change>,
    ) -> Result<Option<bool>, Expired> {
        let expired = Expired { wanted: cursor.rv, oldest: self.rings.pods.evicted_rv() };
        let is_under_way = cursor.merge.as_ref().is_some_and(|merge| merge.is_under_way());
        if !is_under_way && !self.is_far_behind(cursor) {
            return Ok(None);
        }
        if is_under_way && (self.rings.graves.evicted_rv() > cursor.rv || self.rings.relabelled > cursor.rv) {
            return Err(expired);
        }
        if !is_under_way {
            cursor.merge = Some(Box::new(self.begin(cursor).ok_or(expired)?));
        }
        let Some(mut merge) = cursor.merge.take() else { return Ok(None) };
        let is_done = match &mut merge.stage {
            Stage::Gather(gather) => {
                let is_over = self.gather(gather, &cursor.filter);
                if is_over {
                    let (keys, through) = gather.done(self.rings.limits.gathered);
                    merge.stage = Stage::Tell(keys, through);
                }
                !is_over
            }
            Stage::Tell(keys, through) => {
                let is_over = self.tell(keys, &mut merge.told, cursor, limit, changes);
                if is_over {
                    cursor.rv = cursor.rv.max(*through);
                    cursor.seq = self.rings.pods.seek(cursor.rv).unwrap_or(0);
                    merge.stage = Stage::Follow(self.rv);
                }
                !is_over && changes.len() >= limit
            }
            Stage::Follow(_) => false,
        };
        cursor.merge = Some(merge);
        Ok(Some(is_done))
    }

    fn is_far_behind(&self, cursor: &Cursor) -> bool {
        let ring = &self.rings.pods;
        ring.since(cursor.seq).is_none() || ring.end().saturating_sub(cursor.seq) > self.rings.limits.far_behind
    }

    /// `None` when too much happened since.
    fn begin(&self, cursor: &mut Cursor) -> Option<Merge> {
        let told = cursor.merge.take().map(|merge| merge.told);
        let mut told = told.unwrap_or_else(|| Told { through: cursor.rv, jobs: BTreeMap::new() });
        // What was followed along the ring was noted there.
        let from = told.through.max(cursor.rv);
        let rings = &self.rings;
        if rings.births.evicted_rv() > from || rings.graves.evicted_rv().max(rings.relabelled) > cursor.rv {
            return None;
        }
        let known = |job| {
            let living = self.jobs.get(&job).map(|entry| (&entry.doc, &entry.pods));
            living.or_else(|| self.rings.graves.get(job).map(|grave| (&grave.doc, &grave.pods)))
        };
        told.jobs.retain(|job, _| known(*job).is_some());
        for (job, first) in self.rings.births.after(from) {
            if known(job).is_some_and(|(doc, pods)| cursor.filter.takes_any_of(doc, pods)) {
                told.jobs.entry(job).or_insert_with(|| New { first, told: Vec::new() });
            }
        }
        told.through = self.rv.max(from);
        let gather = Gather {
            since: cursor.rv,
            until: self.rv.max(cursor.rv),
            place: Place::Jobs(JobId(0), 0),
            found: Vec::new(),
            cut: u64::MAX,
        };
        (told.jobs.len() <= TOLD_JOBS_MAX).then_some(Merge { told, stage: Stage::Gather(gather) })
    }

    /// The first Job from this number on that the filter takes.
    fn job_from(&self, filter: &Filter, from: JobId) -> Option<(JobId, &JobEntry)> {
        let takes = |entry: &&JobEntry| entry.record.id >= from && filter.takes_any_of(&entry.doc, &entry.pods);
        let found = match (filter.job, &filter.named) {
            (Some(job), _) => self.jobs.get(&job).map(Box::as_ref).filter(takes),
            (None, Some(name)) => {
                let namespace = filter.namespace.as_deref();
                let orphans = self.orphans_named(namespace, |orphan| *orphan == **name);
                let named = self.jobs_named(namespace, name).chain(orphans);
                named.filter(takes).min_by_key(|entry| entry.record.id)
            }
            (None, None) => self.jobs.range(from..).map(|(_, entry)| entry.as_ref()).find(takes),
        };
        found.map(|entry| (entry.record.id, entry))
    }

    /// Looks at some records; true at the end.
    fn gather(&self, gather: &mut Gather, filter: &Filter) -> bool {
        let (max, mut looked) = (self.rings.limits.gathered, 0);
        while looked < self.rings.limits.looks {
            looked += JOB_LOOKS;
            gather.place = match gather.place {
                Place::Jobs(from, chunk) => match self.job_from(filter, from) {
                    None => Place::Graves(JobId(0), 0),
                    Some((job, entry)) => {
                        let chunk = if job == from { chunk } else { 0 };
                        looked += gather.chunk(&entry.pods, chunk, |record| record.rv, max);
                        let next = behind(job, chunk, entry.pods.chunks.len());
                        next.map_or(Place::Graves(JobId(0), 0), |(job, chunk)| Place::Jobs(job, chunk))
                    }
                },
                Place::Graves(from, chunk) => match self.rings.graves.from(from) {
                    None => Place::End,
                    Some((job, grave)) => {
                        let chunk = if job == from { chunk } else { 0 };
                        if filter.takes_any_of(&grave.doc, &grave.pods) {
                            looked += gather.chunk(&grave.pods, chunk, |record| grave.rv(record), max);
                        }
                        let next = behind(job, chunk, grave.pods.chunks.len());
                        next.map_or(Place::End, |(job, chunk)| Place::Graves(job, chunk))
                    }
                },
                Place::End => return true,
            };
        }
        false
    }

    /// Tells up to `limit` changes; true when all is told.
    fn tell(
        &self,
        keys: &mut Vec<Key>,
        told: &mut Told,
        cursor: &mut Cursor,
        limit: usize,
        changes: &mut Vec<Change>,
    ) -> bool {
        for _ in 0..self.rings.limits.looks {
            if changes.len() >= limit {
                return false;
            }
            let Some(key) = keys.pop() else { return true };
            cursor.rv = cursor.rv.max(key.rv);
            let Some(pod) = self.pod_at(key).filter(|pod| cursor.filter.takes_pod(pod)) else { continue };
            let is_gone = pod.record.has(PodRecord::REMOVED);
            let kind = if is_gone { ChangeKind::Deleted } else { ChangeKind::Modified };
            // What a selector sees of it is what it saw.
            let before = Some(Object::Pod(pod.clone()));
            changes.extend(told.correct(Change { rv: key.rv, kind, object: Object::Pod(pod), before }));
        }
        false
    }

    /// A pod at the version of its last change; `None` when it has changed since.
    fn pod_at(&self, key: Key) -> Option<PodObject> {
        let (chunk, place) = place_of(key.ordinal);
        let at = |pods: &Pods, job: &Arc<JobDoc>| {
            let chunk = pods.chunks.get(chunk)?;
            (place < chunk.records.len()).then(|| chunk.object(place, job))
        };
        if let Some(entry) = self.jobs.get(&key.job) {
            return at(&entry.pods, &entry.doc).filter(|pod| pod.record.rv == key.rv);
        }
        let grave = self.rings.graves.get(key.job)?;
        let pod = at(&grave.pods, &grave.doc)?;
        (grave.rv(&pod.record) == key.rv).then(|| pod.removed(key.rv))
    }
}

impl Cursor {
    /// Makes of what the ring gave what it is for a cursor that was told merged changes.
    pub(super) fn correct(&mut self, changes: &mut Vec<Change>) {
        let Some(merge) = &mut self.merge else { return };
        let given = std::mem::take(changes);
        changes.extend(given.into_iter().filter_map(|change| merge.told.correct(change)));
        if matches!(merge.stage, Stage::Follow(until) if self.rv >= until) {
            self.merge = None;
        }
    }
}
