//! From what the store kept to a mirror, and from a mirror to what the store keeps.
//!
//! Knows what is dirty, not how it is written. Invariant: restoring what was recovered after any number of folds gives the
//! mirror that applying the same batches gave.

use super::doc::PlainDoc;
use super::merge::Limits;
use super::mirror::{Dirty, Docs, Heads, Mirror, Rings};
use super::objects::PlainObject;
use super::pods::{PodChunk, Pods};
use super::read::View;
use crate::base::JobId;
use crate::model::{CHUNK_PODS, DocWrite, Event, Fold, JobRecord, JobStatus, Kind, PodRecord, Recovered};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::IntoIter;

impl View {
    /// The view of what a store gave back at boot.
    #[must_use]
    pub fn restore(recovered: &Recovered) -> Self {
        Self::restore_with(recovered, Limits::default())
    }

    pub(super) fn restore_with(recovered: &Recovered, limits: Limits) -> Self {
        let mut mirror = Mirror::new(recovered.uid_key, Rings::new(0, limits));
        for DocWrite { kind, name, rv, json, .. } in recovered.docs.iter().filter(|doc| doc.kind != Kind::Job) {
            let doc = json.as_ref().map(|json| Arc::new(PlainDoc::new(*kind, Arc::clone(name), Arc::clone(json))));
            let objects = match kind {
                Kind::PriorityClass => &mut mirror.classes,
                Kind::Node => &mut mirror.nodes,
                _ => &mut mirror.namespaces,
            };
            objects.extend(doc.map(|doc| (Arc::clone(name), PlainObject { rv: *rv, doc })));
        }
        let head = |doc: &DocWrite| Some((doc.job?, (doc.rv, doc.json.clone()?)));
        let heads: Heads = recovered.docs.iter().filter_map(head).collect();
        restore_folded(&mut mirror, recovered, &heads);
        let docs = Docs::Heads(&heads);
        recovered.batches.iter().for_each(|batch| mirror.apply(batch, &docs));
        mirror.bury_missing();
        // Nothing happened between the last version of an earlier boot and this boot's first.
        mirror.rv = recovered.last_rv.max(recovered.first_rv.saturating_sub(1));
        mirror.rings = Rings::new(recovered.last_rv, limits);
        Self::over(mirror)
    }

    /// Takes what changed since the last fold, as it is now; whoever takes it keeps it in a store. O(what changed), under the
    /// lock, but no pod is copied.
    #[must_use]
    pub fn fold(&self) -> Folding {
        let mut mirror = self.write();
        let events_after = mirror.rv;
        let dirty = std::mem::replace(&mut mirror.dirty, Dirty { events_after, ..Dirty::default() });
        let entries = dirty.jobs.iter().filter_map(|job| mirror.jobs.get(job));
        let living = entries.map(|entry| {
            let is_ahead = entry.record.status != entry.shown;
            (entry.record.clone(), is_ahead.then(|| Arc::clone(&entry.shown)))
        });
        let buried = dirty.jobs.iter().filter_map(|job| Some((mirror.gone.get(job)?.clone(), None)));
        let chunk = |(job, number): &(JobId, u32)| {
            let chunks = &mirror.jobs.get(job)?.pods.chunks;
            Some((*job, *number, Arc::clone(chunks.get(*number as usize)?)))
        };
        let kept = &mirror.events.kept;
        let new = kept.range(kept.partition_point(|event| event.made_rv <= dirty.events_after)..);
        Folding {
            last_rv: mirror.rv,
            removed: dirty.removed.into_iter(),
            jobs: living.chain(buried).collect::<Vec<_>>().into_iter(),
            chunks: dirty.chunks.iter().filter_map(chunk).collect::<Vec<_>>().into_iter(),
            events: new.map(|event| (event.made_rv, Arc::clone(&event.event))).collect::<Vec<_>>().into_iter(),
            events_from: kept.front().map_or(mirror.rv + 1, |event| event.made_rv),
            is_over: false,
        }
    }

    /// How many facts there were since the last fold, and how many pods they were about.
    #[must_use]
    pub fn changes_since_fold(&self) -> u64 {
        self.read().dirty.changes
    }

    /// How many Jobs have changed since the last fold or are gone.
    #[must_use]
    pub fn jobs_since_fold(&self) -> usize {
        let mirror = self.read();
        mirror.dirty.jobs.len() + mirror.dirty.removed.len()
    }
}

/// How much a piece of a fold carries, in records of pods: about a millisecond of the commit thread.
const PIECE_RECORDS: usize = 2 * CHUNK_PODS as usize;

/// What a row costs beside what is in it, in records of pods.
const ROW_RECORDS: usize = 64;

/// What was not folded at one moment, taken out in bounded pieces. It shares chunks with the mirror: one that changes
/// before its piece is taken is copied.
#[derive(Debug)]
pub struct Folding {
    last_rv: u64,
    removed: std::collections::btree_set::IntoIter<JobId>,
    jobs: IntoIter<(JobRecord, Option<Arc<JobStatus>>)>,
    chunks: IntoIter<(JobId, u32, Arc<PodChunk>)>,
    events: IntoIter<(u64, Arc<Event>)>,
    events_from: u64,
    is_over: bool,
}

impl Folding {
    fn is_empty(&self) -> bool {
        let is_empty = self.removed.len() == 0 && self.jobs.len() == 0;
        is_empty && self.chunks.len() == 0 && self.events.len() == 0
    }

    fn fill(&mut self, piece: &mut Fold) {
        let mut records = 0;
        while records < PIECE_RECORDS {
            records += if let Some(job) = self.removed.next() {
                piece.removed.push(job);
                ROW_RECORDS
            } else if let Some((record, shown)) = self.jobs.next() {
                let failed = record.status.failed_indexes.as_ref().map_or(0, |failed| failed.bytes());
                let indexes = record.status.completed.bytes() + failed;
                let once = record.per_index.as_ref().map_or(0, |per_index| per_index.failed_once.len());
                let records = indexes / size_of::<PodRecord>() + once;
                piece.shown.extend(shown.map(|status| (record.id, JobStatus::clone(&status))));
                piece.jobs.push(record);
                ROW_RECORDS + records
            } else if let Some((job, number, chunk)) = self.chunks.next() {
                piece.chunks.push(chunk.fold(job, number));
                ROW_RECORDS + chunk.records.len()
            } else if let Some((rv, event)) = self.events.next() {
                piece.events.push((rv, Event::clone(&event)));
                1
            } else {
                return;
            };
        }
    }
}

impl Iterator for Folding {
    type Item = Fold;

    /// The next piece; the last one is there even if nothing changed.
    fn next(&mut self) -> Option<Fold> {
        if self.is_over {
            return None;
        }
        let mut piece = Fold { last_rv: self.last_rv, events_from: self.events_from, ..Fold::default() };
        self.fill(&mut piece);
        self.is_over = self.is_empty();
        piece.goes_on = !self.is_over;
        Some(piece)
    }
}

fn restore_folded(mirror: &mut Mirror, recovered: &Recovered, heads: &Heads) {
    let shown: BTreeMap<JobId, &JobStatus> = recovered.shown.iter().map(|(job, status)| (*job, status)).collect();
    for record in &recovered.jobs {
        let shown = shown.get(&record.id).map(|status| Arc::new(JobStatus::clone(status)));
        let shown = shown.unwrap_or_else(|| Arc::clone(&record.status));
        let head = heads.get(&record.id).cloned();
        let head = head.unwrap_or_else(|| (0, Arc::from("")));
        mirror.insert_job(record.clone(), head, shown, Pods::default());
    }
    for chunk in &recovered.chunks {
        if let Some(entry) = mirror.jobs.get_mut(&chunk.job) {
            debug_assert_eq!(entry.pods.chunks.len(), chunk.number as usize, "chunks come in order");
            entry.pods.chunks.push(Arc::new(PodChunk::restore(chunk)));
        }
    }
    mirror.dirty.events_after = recovered.events.last().map_or(0, |(rv, _)| *rv);
    for (rv, event) in &recovered.events {
        if let Some(key) = mirror.key_of_any(event.job) {
            mirror.events.push(*rv, event.clone(), key);
        }
    }
}
