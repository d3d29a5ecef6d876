//! From what the store kept to a mirror, and from a mirror to what the store keeps.
//!
//! Knows what is dirty, not how it is written. Invariant: restoring what was recovered after any number of folds gives the
//! mirror that applying the same batches gave.

use super::doc::PlainDoc;
use super::mirror::{Dirty, Docs, Heads, Mirror, Rings};
use super::objects::PlainObject;
use super::pods::{PodChunk, Pods};
use super::read::View;
use super::ring::RING_BYTES_MAX;
use crate::base::JobId;
use crate::model::{DocWrite, Fold, JobStatus, Kind, Recovered};
use std::collections::BTreeMap;
use std::sync::Arc;

impl View {
    /// The view of what a store gave back at boot.
    #[must_use]
    pub fn restore(recovered: &Recovered) -> Self {
        Self::restore_with(recovered, RING_BYTES_MAX)
    }

    pub(super) fn restore_with(recovered: &Recovered, ring_bytes_max: usize) -> Self {
        let mut mirror = Mirror::new(recovered.uid_key, Rings::new(0, ring_bytes_max));
        let jobs = recovered.docs.iter().filter(|doc| doc.kind == Kind::Job);
        for DocWrite { kind, name, rv, json, .. } in recovered.docs.iter().filter(|doc| doc.kind != Kind::Job) {
            let doc = json.as_ref().map(|json| Arc::new(PlainDoc::new(*kind, Arc::clone(name), Arc::clone(json))));
            let objects = if *kind == Kind::PriorityClass { &mut mirror.classes } else { &mut mirror.namespaces };
            objects.extend(doc.map(|doc| (Arc::clone(name), PlainObject { rv: *rv, doc })));
        }
        let head =
            |doc: &DocWrite| Some(((Arc::clone(&doc.namespace), Arc::clone(&doc.name)), (doc.rv, doc.json.clone()?)));
        let heads: Heads = jobs.filter_map(head).collect();
        restore_folded(&mut mirror, recovered, &heads);
        let docs = Docs::Heads(&heads);
        recovered.batches.iter().for_each(|batch| mirror.apply(batch, &docs));
        mirror.bury_missing();
        // Nothing happened between the last version of an earlier boot and this boot's first.
        mirror.rv = recovered.last_rv.max(recovered.first_rv.saturating_sub(1));
        mirror.rings = Rings::new(recovered.last_rv, ring_bytes_max);
        Self::over(mirror)
    }

    /// What changed since the last fold. It stays to be folded until [`View::folded`] is called, so that a store that fails
    /// loses nothing.
    #[must_use]
    pub fn fold(&self) -> Fold {
        let mirror = self.read();
        let dirty = &mirror.dirty;
        let entries = || dirty.jobs.iter().filter_map(|job| mirror.jobs.get(job));
        let buried = dirty.jobs.iter().filter_map(|job| mirror.gone.get(job));
        let ahead = entries().filter(|entry| entry.record.status != *entry.shown);
        let chunk = |(job, number): &(JobId, u32)| {
            let chunks = &mirror.jobs.get(job)?.pods.chunks;
            Some((*job, *number, Arc::clone(chunks.get(*number as usize)?)))
        };
        let chunks: Vec<_> = dirty.chunks.iter().filter_map(chunk).collect();
        let mut fold = Fold {
            last_rv: mirror.rv,
            removed: dirty.removed.iter().copied().collect(),
            jobs: entries().map(|entry| &entry.record).chain(buried).cloned().collect(),
            shown: ahead.map(|entry| (entry.record.id, JobStatus::clone(&entry.shown))).collect(),
            chunks: Vec::new(),
            events: mirror.events.kept.iter().map(|event| (event.made_rv, (*event.event).clone())).collect(),
        };
        drop(mirror);
        fold.chunks = chunks.iter().map(|(job, number, chunk)| chunk.fold(*job, *number)).collect();
        fold
    }

    /// The store has kept what [`View::fold`] gave, and nothing was applied since.
    pub fn folded(&self) {
        self.write().dirty = Dirty::default();
    }

    /// How many facts there were since the last fold, and how many pods they were about.
    #[must_use]
    pub fn changes_since_fold(&self) -> u64 {
        self.read().dirty.changes
    }
}

fn restore_folded(mirror: &mut Mirror, recovered: &Recovered, heads: &Heads) {
    let shown: BTreeMap<JobId, &JobStatus> = recovered.shown.iter().map(|(job, status)| (*job, status)).collect();
    for record in &recovered.jobs {
        let status = shown.get(&record.id).map_or(&record.status, |status| status);
        let head = heads.get(&(Arc::clone(&record.namespace), Arc::clone(&record.name))).cloned();
        let head = head.unwrap_or_else(|| (0, Arc::from("")));
        mirror.insert_job(record.clone(), head, Arc::new(status.clone()), Pods::default());
    }
    for chunk in &recovered.chunks {
        if let Some(entry) = mirror.jobs.get_mut(&chunk.job) {
            debug_assert_eq!(entry.pods.chunks.len(), chunk.number as usize, "chunks come in order");
            entry.pods.chunks.push(Arc::new(PodChunk::restore(chunk)));
        }
    }
    for (rv, event) in &recovered.events {
        if let Some(key) = mirror.key_of_any(event.job) {
            mirror.events.push(*rv, event.clone(), key);
        }
    }
}
