//! The store in one SQLite file.
//!
//! Knows tables and transactions; `folds.rs` has what folds write and leave. Start with [`Sqlite::open`]. Invariant: one
//! `commit` is one transaction, synced before it returns; the version ceiling on disk is above every version that a committed
//! batch took, and `next_job` above every Job that one created.

use super::folds::{self, Folds};
use super::rows;
use super::{Store, StoreError};
use crate::base::{JobId, UidKey};
use crate::model::{Batch, Chunk, CodecError, DocWrite, Event, Fold, JobStatus, Kind, Recovered};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// By how much the persisted version ceiling is raised at a time: a boot skips at the most so many versions.
pub const CEILING_BLOCK: u64 = 1 << 20;

/// `application_id` of a store: "CORA".
const APPLICATION_ID: i64 = 0x434f_5241;

/// The version of the tables.
const STORE_FORMAT: i64 = 3;

/// What the tables hold. `gen` numbers the fold that wrote a row, see `folds.rs`; `seq` never comes again. Documents of Jobs
/// have the Jobs' numbers as keys, so that new ones lie side by side and few pages are written for many.
const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE docs (kind INTEGER, ns TEXT, name TEXT, rv INTEGER NOT NULL, json TEXT NOT NULL,
        PRIMARY KEY (kind, ns, name));
    CREATE TABLE job_docs (job INTEGER PRIMARY KEY, ns TEXT NOT NULL, name TEXT NOT NULL, rv INTEGER NOT NULL,
        json TEXT NOT NULL);
    CREATE TABLE jobs (id INTEGER, gen INTEGER, state BLOB NOT NULL, PRIMARY KEY (id, gen)) WITHOUT ROWID;
    CREATE TABLE chunks (job INTEGER, no INTEGER, gen INTEGER, records BLOB NOT NULL, PRIMARY KEY (job, no, gen));
    CREATE TABLE removed (job INTEGER, gen INTEGER, PRIMARY KEY (job, gen)) WITHOUT ROWID;
    CREATE TABLE events (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, gen INTEGER NOT NULL, events BLOB NOT NULL);
    CREATE TABLE batches (seq INTEGER PRIMARY KEY, rv_first INTEGER NOT NULL, rv_last INTEGER NOT NULL,
        facts BLOB NOT NULL);";

/// The log is moved into the database when about so many of its pages were written, by [`Store::tidy`]: a few milliseconds.
const CHECKPOINT_PAGES: usize = 1024;

/// Pages of the log that a transaction takes beside what is in it.
const TRANSACTION_PAGES: usize = 4;

/// Bytes of a page that hold something.
const PAGE_BYTES: usize = 4000;

/// A store in a file, or in memory for one run.
#[derive(Debug)]
pub struct Sqlite {
    db: Connection,
    ceiling: u64,
    /// The number of the last batch.
    seq: i64,
    folds: Folds,
    /// About how many pages of the log were written since it was moved into the database.
    log_pages: usize,
    /// Reused for the facts of each batch.
    facts: Vec<u8>,
}

impl Sqlite {
    /// Opens the store in the file `path` and locks it; a file that is not there is made.
    ///
    /// # Errors
    /// [`StoreError::Locked`] at once when another process has it, [`StoreError::Corrupt`] when it is no database.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path).map_err(|error| failed("opening the store", &error))?;
        Self::over(db)
    }

    /// A store that lives as long as this value.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::over(Connection::open_in_memory().map_err(|error| failed("opening a store in memory", &error))?)
    }

    fn over(db: Connection) -> Result<Self, StoreError> {
        let setup = || {
            db.busy_timeout(Duration::ZERO)?;
            db.set_prepared_statement_cache_capacity(32);
            // Exclusive before WAL: then there is no shared memory, and the first access takes the lock for good.
            db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
            db.pragma_update(None, "wal_autocheckpoint", 0)?;
            db.execute_batch("BEGIN IMMEDIATE; COMMIT")
        };
        setup().map_err(|error| failed("locking the store", &error))?;
        Ok(Self { db, ceiling: 0, seq: 0, folds: Folds::default(), log_pages: 0, facts: Vec::new() })
    }

    /// Makes the disk full at so many pages.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.db.pragma_update(None, "max_page_count", pages).expect("a good number");
    }

    /// How many rows a table has.
    #[cfg(test)]
    pub(super) fn count(&self, table: &str) -> u64 {
        let rows = self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        u64::try_from(rows.expect("a table")).expect("a count")
    }

    fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.db.transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// A transaction that is durable with the next commit, not before: the log keeps their order. `write` gives the bytes that
    /// it wrote.
    fn unsynced(&mut self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize>) -> rusqlite::Result<()> {
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        let written = self.begin().and_then(|tx| {
            let bytes = write(&tx)?;
            tx.commit()?;
            Ok(bytes)
        });
        self.db.pragma_update(None, "synchronous", "FULL")?;
        self.log_pages += TRANSACTION_PAGES + written? / PAGE_BYTES;
        Ok(())
    }

    /// Moves the log into the database, so that it begins anew with the next transaction.
    fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.log_pages = 0;
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }
}

impl Store for Sqlite {
    fn recover(&mut self) -> Result<Recovered, StoreError> {
        let tx = self.begin().map_err(|error| failed("beginning to recover", &error))?;
        check_format(&tx)?;
        let folds = folds::clean(&tx).map_err(|error| failed("cleaning up after folds", &error))?;
        let mut recovered = read_meta(&tx)?;
        recovered.docs = read_docs(&tx)?;
        (recovered.jobs, recovered.shown) = read_jobs(&tx)?;
        recovered.chunks = read_chunks(&tx)?;
        recovered.events = read_events(&tx)?;
        let seq;
        (recovered.batches, seq) = read_batches(&tx)?;
        let batches = recovered.batches.last().map_or(0, |batch| batch.next_rv().saturating_sub(1));
        recovered.last_rv = recovered.docs.iter().map(|doc| doc.rv).fold(recovered.last_rv.max(batches), u64::max);
        recovered.first_rv = recovered.first_rv.max(recovered.last_rv + 1);
        // A store that was written before numbers were kept still holds every Job that it ever had.
        let held = recovered.jobs.iter().map(|record| record.id.0 + 1);
        let held = held.chain(recovered.batches.iter().filter_map(Batch::next_job));
        recovered.next_job = held.fold(recovered.next_job, u32::max);
        let ceiling = recovered.first_rv + CEILING_BLOCK;
        let numbered =
            put_meta(&tx, "boot", i64::from(recovered.boot)).and_then(|()| put_meta(&tx, "ceiling", int(ceiling)));
        numbered.and_then(|()| tx.commit()).map_err(|error| failed("numbering this boot", &error))?;
        (self.ceiling, self.seq, self.folds) = (ceiling, seq.max(folds.covered), folds);
        Ok(recovered)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut facts = std::mem::take(&mut self.facts);
        facts.clear();
        batch.encode_facts(&mut facts);
        let last = batch.docs.iter().map(|doc| doc.rv).fold(batch.next_rv().saturating_sub(1), u64::max);
        let ceiling = if last + CEILING_BLOCK / 2 > self.ceiling { last + CEILING_BLOCK } else { self.ceiling };
        let is_raised = ceiling != self.ceiling;
        let seq = self.seq + 1;
        let committed = self.begin().and_then(|tx| {
            if !batch.facts.is_empty() {
                let (first, last) = (int(batch.first_rv), int(batch.next_rv().saturating_sub(1)));
                tx.prepare_cached("INSERT INTO batches (seq, rv_first, rv_last, facts) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![seq, first, last, facts])?;
            }
            batch.docs.iter().try_for_each(|doc| write_doc(&tx, doc))?;
            if let Some(next_job) = batch.next_job() {
                put_meta(&tx, "next_job", next_job)?;
            }
            if is_raised {
                put_meta(&tx, "ceiling", int(ceiling))?;
            }
            tx.commit()
        });
        let bytes =
            facts.len() + batch.docs.iter().map(|doc| doc.json.as_ref().map_or(0, |json| json.len())).sum::<usize>();
        self.facts = facts;
        committed.map_err(|error| failed("committing a batch", &error))?;
        (self.ceiling, self.seq) = (ceiling, seq);
        self.log_pages += TRANSACTION_PAGES + bytes / PAGE_BYTES;
        Ok(())
    }

    fn fold(&mut self, piece: &Fold) -> Result<(), StoreError> {
        let mut folds = std::mem::take(&mut self.folds);
        let seq = self.seq;
        let written = self.unsynced(|tx| folds.write(tx, piece, seq));
        self.folds = folds;
        written.map_err(|error| failed("folding", &error))?;
        if !piece.goes_on {
            self.folds.complete();
        }
        Ok(())
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        if self.log_pages >= CHECKPOINT_PAGES {
            self.checkpoint().map_err(|error| failed("moving the log into the database", &error))?;
            return Ok(true);
        }
        let mut folds = std::mem::take(&mut self.folds);
        let cleared = if folds.is_clear() { Ok(false) } else { self.unsynced(|tx| folds.clear(tx)).map(|()| true) };
        self.folds = folds;
        cleared.map_err(|error| failed("clearing what was folded", &error))
    }
}

/// Creates the tables in an empty database, refuses one of another program or format.
fn check_format(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let number = |pragma: &str| {
        tx.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|error| failed("reading the format", &error))
    };
    let (application, format) = (number("application_id")?, number("user_version")?);
    let is_empty = tx
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0))
        .map_err(|error| failed("reading the tables' names", &error))?;
    if is_empty && application == 0 {
        let create = || {
            tx.execute_batch(TABLES)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", STORE_FORMAT)
        };
        return create().map_err(|error| failed("creating the tables", &error));
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Corrupt(format!(
            "the file is a database of another program (application_id {application})"
        )));
    }
    if format != STORE_FORMAT {
        return Err(StoreError::Format { found: format, expected: STORE_FORMAT });
    }
    Ok(())
}

/// What `meta` says, this boot's number and seed, and nothing else yet.
fn read_meta(tx: &Transaction<'_>) -> Result<Recovered, StoreError> {
    let number = |key| get_meta::<i64>(tx, key).and_then(|value| value.map(|value| unsigned(value, key)).transpose());
    let uid_key = match get_meta::<i64>(tx, "uid_key")? {
        Some(key) => UidKey(key.cast_unsigned()),
        None => {
            let key = random()?;
            put_meta(tx, "uid_key", key.cast_signed())
                .map_err(|error| failed("keeping the key of the uids", &error))?;
            UidKey(key)
        }
    };
    let boot = u32::try_from(number("boot")?.unwrap_or(0) + 1);
    let next_job = u32::try_from(number("next_job")?.unwrap_or(0));
    Ok(Recovered {
        uid_key,
        boot: boot.map_err(|_| StoreError::Corrupt("meta boot is not a number of boots".to_owned()))?,
        seed: random()?,
        last_rv: number("last_rv")?.unwrap_or(0),
        first_rv: number("ceiling")?.unwrap_or(1),
        next_job: next_job.map_err(|_| StoreError::Corrupt("meta next_job is not the number of a Job".to_owned()))?,
        docs: Vec::new(),
        jobs: Vec::new(),
        shown: Vec::new(),
        chunks: Vec::new(),
        events: Vec::new(),
        batches: Vec::new(),
    })
}

fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Sqlite(format!("the system gave no random number: {error}")))
}

/// Runs `read` over every row of a query; `what` says in an error which table it was.
fn each_row<T>(
    tx: &Transaction<'_>,
    what: &str,
    sql: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<T, RowError>,
) -> Result<Vec<T>, StoreError> {
    let in_table = |error: &rusqlite::Error| failed(&format!("reading {what}"), error);
    let mut statement = tx.prepare(sql).map_err(|error| in_table(&error))?;
    let mut found = statement.query([]).map_err(|error| in_table(&error))?;
    let mut all = Vec::new();
    while let Some(row) = found.next().map_err(|error| in_table(&error))? {
        let place = format!("{what}, row {}", all.len() + 1);
        all.push(read(row).map_err(|error| match error {
            RowError::Sqlite(error) => failed(&format!("reading {place}"), &error),
            RowError::Codec(error) => broken(&place, error),
            RowError::Value(value) => StoreError::Corrupt(format!("{place}: {value} cannot be there")),
        })?);
    }
    Ok(all)
}

/// What can be wrong with a row.
enum RowError {
    Sqlite(rusqlite::Error),
    Codec(CodecError),
    Value(i64),
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<CodecError> for RowError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

fn version(row: &Row<'_>, column: usize) -> Result<u64, RowError> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| RowError::Value(value))
}

fn read_docs(tx: &Transaction<'_>) -> Result<Vec<DocWrite>, StoreError> {
    let text = |row: &Row<'_>, column| row.get::<_, String>(column).map(Arc::<str>::from);
    let read = |row: &Row<'_>, kind, job| {
        let (namespace, name) = (text(row, 1)?, text(row, 2)?);
        Ok(DocWrite { kind, job, namespace, name, rv: version(row, 3)?, json: Some(text(row, 4)?) })
    };
    let mut docs = each_row(tx, "docs", "SELECT kind, ns, name, rv, json FROM docs ORDER BY kind, ns, name", |row| {
        let number: i64 = row.get(0)?;
        read(row, kind_of(number).ok_or(RowError::Value(number))?, None)
    })?;
    docs.extend(each_row(tx, "job_docs", "SELECT job, ns, name, rv, json FROM job_docs ORDER BY job", |row| {
        let number: i64 = row.get(0)?;
        let job = u32::try_from(number).map_err(|_| RowError::Value(number))?;
        read(row, Kind::Job, Some(JobId(job)))
    })?);
    Ok(docs)
}

type Jobs = (Vec<crate::model::JobRecord>, Vec<(JobId, JobStatus)>);

fn read_jobs(tx: &Transaction<'_>) -> Result<Jobs, StoreError> {
    let mut shown = Vec::new();
    let jobs = each_row(tx, "jobs", "SELECT state FROM jobs ORDER BY id", |row| {
        let job = rows::decode_job(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let record = job.record.into_owned();
        shown.extend(job.shown.map(|status| (record.id, status.into_owned())));
        Ok(record)
    })?;
    Ok((jobs, shown))
}

fn read_chunks(tx: &Transaction<'_>) -> Result<Vec<Chunk>, StoreError> {
    each_row(tx, "chunks", "SELECT job, no, records FROM chunks ORDER BY job, no", |row| {
        let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        Ok(rows::decode_chunk(JobId(row.get(0)?), row.get(1)?, bytes)?)
    })
}

fn read_events(tx: &Transaction<'_>) -> Result<Vec<(u64, Event)>, StoreError> {
    let from = get_meta::<i64>(tx, folds::EVENTS_FROM)?.unwrap_or(0);
    let from = unsigned(from, folds::EVENTS_FROM)?;
    let pieces = each_row(tx, "events", "SELECT events FROM events ORDER BY first", |row| {
        Ok(rows::decode_events(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?)
    })?;
    Ok(pieces.into_iter().flatten().filter(|(rv, _)| *rv >= from).collect())
}

/// The batches and the number of the last.
fn read_batches(tx: &Transaction<'_>) -> Result<(Vec<Batch>, i64), StoreError> {
    let (mut next, mut seq) = (0, 0);
    let batches = each_row(tx, "batches", "SELECT rv_first, rv_last, facts, seq FROM batches ORDER BY seq", |row| {
        let (first_rv, last) = (version(row, 0)?, row.get::<_, i64>(1)?);
        let facts = Batch::decode_facts(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let batch = Batch { first_rv, facts, docs: Vec::new() };
        if first_rv < next || int(batch.next_rv().saturating_sub(1)) != last {
            return Err(RowError::Value(last));
        }
        next = batch.next_rv();
        seq = row.get(3)?;
        Ok(batch)
    })?;
    Ok((batches, seq))
}

/// The number of a kind in `docs`.
fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Job => 0,
        Kind::Namespace => 1,
        Kind::PriorityClass => 2,
        Kind::Node => 3,
    }
}

fn kind_of(number: i64) -> Option<Kind> {
    [Kind::Namespace, Kind::PriorityClass, Kind::Node].into_iter().find(|kind| kind_number(*kind) == number)
}

fn write_doc(tx: &Transaction<'_>, doc: &DocWrite) -> rusqlite::Result<()> {
    let (kind, namespace, name) = (kind_number(doc.kind), &*doc.namespace, &*doc.name);
    match (&doc.json, doc.job) {
        (Some(json), Some(job)) => tx
            .prepare_cached("REPLACE INTO job_docs (job, ns, name, rv, json) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![job.0, namespace, name, int(doc.rv), &**json])?,
        (None, Some(job)) => tx.prepare_cached("DELETE FROM job_docs WHERE job = ?1")?.execute([job.0])?,
        (Some(json), None) => tx
            .prepare_cached("REPLACE INTO docs (kind, ns, name, rv, json) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![kind, namespace, name, int(doc.rv), &**json])?,
        (None, None) => tx
            .prepare_cached("DELETE FROM docs WHERE kind = ?1 AND ns = ?2 AND name = ?3")?
            .execute(params![kind, namespace, name])?,
    };
    Ok(())
}

pub(super) fn get_meta<T: rusqlite::types::FromSql>(tx: &Transaction<'_>, key: &str) -> Result<Option<T>, StoreError> {
    let found = tx.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional();
    found.map_err(|error| failed(&format!("reading meta {key}"), &error))
}

pub(super) fn put_meta(tx: &Transaction<'_>, key: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    tx.prepare_cached("REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute(params![key, value]).map(drop)
}

/// A version as SQLite keeps it.
pub(super) fn int(rv: u64) -> i64 {
    i64::try_from(rv).expect("versions are counted up from 1")
}

fn unsigned(value: i64, key: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("meta {key} is {value}")))
}

fn broken(place: &str, error: CodecError) -> StoreError {
    match error {
        CodecError::Corrupt(why) => StoreError::Corrupt(format!("{place}: {why}")),
        CodecError::Format { .. } => StoreError::Codec(error),
    }
}

/// What SQLite's error means for the caller; `what` was being done.
fn failed(what: &str, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(format!("{what}: {error}")),
        // A value of the wrong type, or a table that is not there, was never written by a store.
        None | Some(ErrorCode::Unknown) => StoreError::Corrupt(format!("{what}: {error}")),
        Some(_) => StoreError::Sqlite(format!("{what}: {error}")),
    }
}
