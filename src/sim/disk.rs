//! The store of a history: what was committed is there after a crash, and nothing else.
//!
//! Knows the contract of `store::Store`, and keeps facts as the bytes that would lie on disk. Invariant: what a boot gets
//! back is a function of the commits and the whole folds before it.

use crate::base::{JobId, UidKey};
use crate::model::{Batch, Chunk, DocWrite, Event, Fold, JobRecord, JobStatus, Kind, Recovered};
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Versions are given in blocks of this size, of which the next one is durable before any of it is shown.
const BLOCK: u64 = 1024;

/// What is durable.
#[derive(Debug, Default)]
pub(super) struct Disk {
    boot: u32,
    last_rv: u64,
    next_job: u32,
    docs: BTreeMap<(Kind, Arc<str>, Arc<str>), DocWrite>,
    folded: Folded,
    /// The pieces of a fold that goes on, and how many batches it will take the place of.
    pieces: (usize, Vec<Folded>),
    /// First version and encoded facts.
    batches: Vec<(u64, Vec<u8>)>,
}

/// Compact state.
#[derive(Debug, Default)]
struct Folded {
    jobs: BTreeMap<JobId, (JobRecord, Option<JobStatus>)>,
    chunks: BTreeMap<(JobId, u32), Chunk>,
    events: BTreeMap<u64, Event>,
    events_from: u64,
    removed: Vec<JobId>,
}

impl Folded {
    fn of(piece: &Fold) -> Self {
        let mut shown: BTreeMap<JobId, JobStatus> = piece.shown.iter().cloned().collect();
        let job = |record: &JobRecord| (record.id, (record.clone(), shown.remove(&record.id)));
        Self {
            jobs: piece.jobs.iter().map(job).collect(),
            chunks: piece.chunks.iter().map(|chunk| ((chunk.job, chunk.number), chunk.clone())).collect(),
            events: piece.events.iter().cloned().collect(),
            events_from: piece.events_from,
            removed: piece.removed.clone(),
        }
    }

    fn take(&mut self, piece: Self) {
        for job in &piece.removed {
            self.jobs.remove(job);
            self.chunks.retain(|(of, _), _| of != job);
        }
        self.jobs.extend(piece.jobs);
        self.chunks.extend(piece.chunks);
        self.events.extend(piece.events);
        self.events_from = self.events_from.max(piece.events_from);
        self.events.retain(|rv, _| *rv >= piece.events_from);
    }
}

impl Disk {
    /// The last version that is durable.
    pub(super) fn last_rv(&self) -> u64 {
        self.last_rv
    }

    /// The engine died: a fold that was not whole never was.
    pub(super) fn crash(&mut self) {
        self.pieces = (0, Vec::new());
    }
}

impl Store for Disk {
    fn recover(&mut self) -> Result<Recovered, StoreError> {
        self.boot += 1;
        let mut batches = Vec::with_capacity(self.batches.len());
        for (first_rv, bytes) in &self.batches {
            let facts = Batch::decode_facts(bytes)?;
            batches.push(Batch { first_rv: *first_rv, facts, docs: Vec::new() });
        }
        let shown = self.folded.jobs.values().filter_map(|(record, shown)| Some((record.id, shown.clone()?)));
        let recovered = Recovered {
            uid_key: UidKey(42),
            boot: self.boot,
            seed: u64::from(self.boot),
            last_rv: self.last_rv,
            first_rv: if self.boot == 1 { 1 } else { (self.last_rv / BLOCK + 1) * BLOCK },
            next_job: self.next_job,
            docs: self.docs.values().cloned().collect(),
            jobs: self.folded.jobs.values().map(|(record, _)| record.clone()).collect(),
            shown: shown.collect(),
            chunks: self.folded.chunks.values().cloned().collect(),
            events: self.folded.events.iter().map(|(rv, event)| (*rv, event.clone())).collect(),
            batches,
        };
        Ok(recovered)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        batch.encode_facts(&mut bytes);
        self.batches.push((batch.first_rv, bytes));
        self.last_rv = self.last_rv.max(batch.next_rv() - 1);
        self.next_job = self.next_job.max(batch.next_job().unwrap_or(0));
        for doc in &batch.docs {
            let key = (doc.kind, Arc::clone(&doc.namespace), Arc::clone(&doc.name));
            match doc.json {
                Some(_) => drop(self.docs.insert(key, doc.clone())),
                None => drop(self.docs.remove(&key)),
            }
        }
        Ok(())
    }

    fn fold(&mut self, piece: &Fold) -> Result<(), StoreError> {
        if self.pieces.1.is_empty() {
            self.pieces.0 = self.batches.len();
        }
        self.pieces.1.push(Folded::of(piece));
        if !piece.goes_on {
            let (covered, pieces) = std::mem::take(&mut self.pieces);
            pieces.into_iter().for_each(|piece| self.folded.take(piece));
            self.batches.drain(..covered);
        }
        Ok(())
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}
