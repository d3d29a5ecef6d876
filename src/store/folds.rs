//! What folds write, and what they leave to be deleted.
//!
//! Knows how a fold that takes many transactions counts as a whole or not at all: its rows carry its generation, beside those
//! of folds before, and the generation that `meta` names counts. Invariant: at every moment the rows of the newest generation
//! up to that one, with the batches after it, are the state; everything else may be deleted or not.

use super::rows;
use super::sqlite::{int, put_meta};
use crate::base::JobId;
use crate::model::{Fold, JobStatus};
use rusqlite::{Transaction, params};
use std::collections::{BTreeMap, VecDeque};

/// `meta`: the generation that counts.
const GENERATION: &str = "generation";
/// `meta`: the last batch that it covers.
const COVERED: &str = "covered";
/// `meta`: the lowest version of an event that is kept.
pub(super) const EVENTS_FROM: &str = "events_from";

/// Rows that one piece of clearing deletes, at the most; of chunks far fewer, for their size.
const CLEARED_ROWS: u32 = 256;
/// Chunks that one piece of clearing deletes, at the most: each may lie on many pages.
const CLEARED_LARGE: u32 = 16;
/// No further batch is deleted in a piece of clearing when those so far had so many bytes.
const CLEARED_BYTES: i64 = 1 << 20;

/// What a row takes in the log beside its blob, bytes.
const ROW_BYTES: usize = 64;

/// Deletes everything that does not count: in this order, what was left of an incomplete fold, what the last one covers.
const CLEAN: &str = "
    DELETE FROM jobs WHERE gen > :gen;
    DELETE FROM chunks WHERE gen > :gen;
    DELETE FROM removed WHERE gen > :gen;
    DELETE FROM events WHERE gen > :gen OR last < :from;
    DELETE FROM jobs WHERE EXISTS (SELECT 1 FROM removed WHERE removed.job = jobs.id AND removed.gen > jobs.gen);
    DELETE FROM chunks WHERE EXISTS (SELECT 1 FROM removed WHERE removed.job = chunks.job AND removed.gen > chunks.gen);
    DELETE FROM removed WHERE gen <= :gen;
    DELETE FROM jobs WHERE EXISTS (SELECT 1 FROM jobs newer WHERE newer.id = jobs.id AND newer.gen > jobs.gen);
    DELETE FROM chunks WHERE EXISTS
        (SELECT 1 FROM chunks newer WHERE newer.job = chunks.job AND newer.no = chunks.no AND newer.gen > chunks.gen);
    DELETE FROM batches WHERE seq <= :covered;";

/// Rows of generations below one that counts.
#[derive(Clone, Copy, Debug)]
enum Litter {
    Job(JobId),
    Chunk(JobId, u32),
    /// All of a Job that is gone.
    Removed(JobId),
}

/// The folds of a store.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// The generation that counts.
    generation: i64,
    /// The last batch that it covers.
    pub(super) covered: i64,
    /// The last batch that the fold under way covers.
    covers: Option<i64>,
    /// What becomes litter when the fold under way is complete.
    replaced: Vec<Litter>,
    /// What complete folds left, with their generations.
    litter: VecDeque<(i64, Litter)>,
    /// Batches that are covered may be there.
    has_batches: bool,
}

/// Deletes what a crash left, whatever was going on; afterwards there is one row of everything.
pub(super) fn clean(tx: &Transaction<'_>) -> rusqlite::Result<Folds> {
    let number = |key| -> rusqlite::Result<i64> {
        let mut found = tx.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        let mut rows = found.query([key])?;
        rows.next()?.map_or(Ok(0), |row| row.get(0))
    };
    let (generation, covered, from) = (number(GENERATION)?, number(COVERED)?, number(EVENTS_FROM)?);
    for statement in CLEAN.split_inclusive(';') {
        let mut statement = tx.prepare(statement)?;
        for (name, value) in [(":gen", generation), (":from", from), (":covered", covered)] {
            if let Some(at) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(at, value)?;
            }
        }
        statement.raw_execute()?;
    }
    Ok(Folds { generation, covered, ..Folds::default() })
}

impl Folds {
    /// Writes a piece beside what counts, and with the last one that the fold is what counts: once that is committed,
    /// [`Folds::complete`] follows. `seq` is the last batch's number. Gives about how many bytes it wrote.
    pub(super) fn write(&mut self, tx: &Transaction<'_>, piece: &Fold, seq: i64) -> rusqlite::Result<usize> {
        let covers = *self.covers.get_or_insert(seq);
        let generation = self.generation + 1;
        let bytes = self.write_rows(tx, piece, generation)?;
        if piece.goes_on {
            return Ok(bytes);
        }
        put_meta(tx, "last_rv", int(piece.last_rv))?;
        put_meta(tx, EVENTS_FROM, int(piece.events_from))?;
        put_meta(tx, COVERED, covers)?;
        put_meta(tx, GENERATION, generation)?;
        Ok(bytes)
    }

    /// The fold under way is what counts from here on.
    pub(super) fn complete(&mut self) {
        self.generation += 1;
        self.covered = self.covers.take().unwrap_or(self.covered);
        self.has_batches = true;
        let generation = self.generation;
        self.litter.extend(self.replaced.drain(..).map(|litter| (generation, litter)));
    }

    fn write_rows(&mut self, tx: &Transaction<'_>, piece: &Fold, generation: i64) -> rusqlite::Result<usize> {
        let mut bytes = 0;
        let mut write = |sql: &str, keys: &[i64], blob: Option<Vec<u8>>| {
            let mut statement = tx.prepare_cached(sql)?;
            for (at, key) in keys.iter().enumerate() {
                statement.raw_bind_parameter(at + 1, key)?;
            }
            bytes += ROW_BYTES;
            if let Some(blob) = blob {
                bytes += blob.len();
                statement.raw_bind_parameter(keys.len() + 1, blob)?;
            }
            statement.raw_execute().map(drop)
        };
        for job in &piece.removed {
            write("REPLACE INTO removed (job, gen) VALUES (?1, ?2)", &[job.0.into(), generation], None)?;
            self.replaced.push(Litter::Removed(*job));
        }
        let shown: BTreeMap<JobId, &JobStatus> = piece.shown.iter().map(|(job, status)| (*job, status)).collect();
        for record in &piece.jobs {
            let state = rows::encode_job(record, shown.get(&record.id).copied());
            let keys = [record.id.0.into(), generation];
            write("REPLACE INTO jobs (id, gen, state) VALUES (?1, ?2, ?3)", &keys, Some(state))?;
            self.replaced.push(Litter::Job(record.id));
        }
        for chunk in &piece.chunks {
            let keys = [chunk.job.0.into(), chunk.number.into(), generation];
            let records = rows::encode_chunk(chunk);
            write("REPLACE INTO chunks (job, no, gen, records) VALUES (?1, ?2, ?3, ?4)", &keys, Some(records))?;
            self.replaced.push(Litter::Chunk(chunk.job, chunk.number));
        }
        if let (Some((first, _)), Some((last, _))) = (piece.events.first(), piece.events.last()) {
            let keys = [int(*first), int(*last), generation];
            let events = rows::encode_events(&piece.events);
            write("REPLACE INTO events (first, last, gen, events) VALUES (?1, ?2, ?3, ?4)", &keys, Some(events))?;
        }
        Ok(bytes)
    }

    /// Whether nothing is left to be deleted.
    pub(super) fn is_clear(&self) -> bool {
        self.litter.is_empty() && !self.has_batches
    }

    /// Deletes some of what does not count any more; gives about how many bytes that wrote.
    pub(super) fn clear(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<usize> {
        if self.has_batches {
            self.has_batches = clear_batches(tx, self.covered)?;
            if !self.has_batches {
                // Both end with a fold: events that went and batches that it covers.
                tx.prepare_cached("DELETE FROM events WHERE last < (SELECT value FROM meta WHERE key = ?1)")?
                    .execute([EVENTS_FROM])?;
            }
            return Ok(0);
        }
        let (mut rows, mut chunks) = (0, 0);
        while rows < CLEARED_ROWS && chunks < CLEARED_LARGE {
            let Some((generation, litter)) = self.litter.pop_front() else { break };
            rows += 1;
            match litter {
                Litter::Job(job) => _ = clear_job(tx, job, generation)?,
                Litter::Chunk(job, number) => chunks += clear_chunk(tx, job, number, generation)?,
                Litter::Removed(job) => {
                    chunks += clear_removed(tx, job, generation)?;
                    if chunks >= CLEARED_LARGE {
                        self.litter.push_front((generation, litter));
                    }
                }
            }
        }
        Ok(rows as usize * ROW_BYTES)
    }
}

fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

fn clear_job(tx: &Transaction<'_>, job: JobId, generation: i64) -> rusqlite::Result<u32> {
    tx.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND gen < ?2")?.execute(params![job.0, generation]).map(count)
}

fn clear_chunk(tx: &Transaction<'_>, job: JobId, number: u32, generation: i64) -> rusqlite::Result<u32> {
    tx.prepare_cached("DELETE FROM chunks WHERE job = ?1 AND no = ?2 AND gen < ?3")?
        .execute(params![job.0, number, generation])
        .map(count)
}

/// Deletes up to [`CLEARED_LARGE`] chunks of a Job that is gone, and when there were fewer, its row.
fn clear_removed(tx: &Transaction<'_>, job: JobId, generation: i64) -> rusqlite::Result<u32> {
    let some = "DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE job = ?1 AND gen < ?2 LIMIT ?3)";
    let chunks = tx.prepare_cached(some)?.execute(params![job.0, generation, CLEARED_LARGE]).map(count)?;
    if chunks < CLEARED_LARGE {
        clear_job(tx, job, generation)?;
        tx.prepare_cached("DELETE FROM removed WHERE job = ?1 AND gen <= ?2")?.execute(params![job.0, generation])?;
    }
    Ok(chunks)
}

/// Deletes the oldest batches up to `covered`; whether some are left.
fn clear_batches(tx: &Transaction<'_>, covered: i64) -> rusqlite::Result<bool> {
    let mut oldest =
        tx.prepare_cached("SELECT seq, length(facts) FROM batches WHERE seq <= ?1 ORDER BY seq LIMIT ?2")?;
    let mut found = oldest.query(params![covered, CLEARED_ROWS])?;
    let (mut last, mut rows, mut bytes) = (None, 0, 0);
    while bytes < CLEARED_BYTES
        && let Some(row) = found.next()?
    {
        (last, rows, bytes) = (Some(row.get::<_, i64>(0)?), rows + 1, bytes + row.get::<_, i64>(1)?);
    }
    drop(found);
    let Some(last) = last else { return Ok(false) };
    tx.prepare_cached("DELETE FROM batches WHERE seq <= ?1")?.execute([last])?;
    Ok(rows == CLEARED_ROWS || bytes >= CLEARED_BYTES)
}
