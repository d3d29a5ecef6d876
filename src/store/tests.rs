//! The contract of [`Store`], through the trait.

use super::{CEILING_BLOCK, Sqlite, Store, StoreError};
use crate::base::{JobId, NO_INDEX, Time, Uid};
use crate::model::{
    Batch, CHUNK_PODS, Chunk, DocWrite, Event, EventNote, Fact, Fold, JobRecord, Kind, PodRecord, Recovered,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const AT: Time = Time(1_795_405_437_000);

fn created(job: u32) -> Fact {
    Fact::JobCreated { job: JobId(job), uid: Uid(7), namespace: "default".into(), name: "pi".into(), at: AT }
}

fn doc(name: &str, rv: u64, json: Option<&str>) -> DocWrite {
    let json = json.map(Into::into);
    DocWrite { kind: Kind::Namespace, job: None, namespace: "".into(), name: name.into(), rv, json }
}

fn batch(first_rv: u64, facts: Vec<Fact>, docs: Vec<DocWrite>) -> Batch {
    Batch { first_rv, facts, docs }
}

fn pods(first_rv: u64, first: u32, count: u32) -> Batch {
    batch(first_rv, vec![Fact::PodsCreated { job: JobId(1), at: AT, first, count, indexes: Vec::new() }], Vec::new())
}

fn folded(last_rv: u64) -> Fold {
    let record = PodRecord::new(JobId(1), 0, NO_INDEX, AT, 2);
    Fold {
        last_rv,
        jobs: vec![JobRecord::created_by(&created(1), 1).expect("a creation")],
        chunks: vec![Chunk {
            job: JobId(1),
            number: 0,
            records: vec![record],
            messages: vec![],
            marks: vec![],
            failures: vec![],
            restarts: vec![],
        }],
        events: vec![(3, Event { job: JobId(1), at: AT, note: EventNote::Completed })],
        ..Fold::default()
    }
}

fn opened(path: &Path) -> (Sqlite, Recovered) {
    let mut store = Sqlite::open(path).expect("a file that can be opened");
    let recovered = store.recover().expect("a good store");
    (store, recovered)
}

fn dir() -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("coracle.db");
    (dir, path)
}

fn job_doc(job: u32, rv: u64, json: Option<&str>) -> DocWrite {
    let (kind, job, json) = (Kind::Job, Some(JobId(job)), json.map(Into::into));
    DocWrite { kind, job, namespace: "default".into(), name: "pi".into(), rv, json }
}

/// What every new store does, wherever it lies.
fn check_new(store: &mut dyn Store) {
    let recovered = store.recover().expect("a new store");
    assert_eq!((recovered.boot, recovered.first_rv, recovered.last_rv), (1, 1, 0));
    assert!(recovered.docs.is_empty() && recovered.jobs.is_empty() && recovered.batches.is_empty());
    store.commit(&batch(1, vec![created(1)], vec![doc("pi", 1, Some("{}"))])).expect("room");
    store.commit(&pods(2, 0, 1)).expect("room");
    store.fold(&folded(2)).expect("room");
    store.commit(&pods(3, 1, 2)).expect("room");
    let again = store.recover().expect("its own rows");
    assert_eq!(again.docs, [doc("pi", 1, Some("{}"))]);
    assert_eq!((again.jobs, again.chunks, again.events), (folded(2).jobs, folded(2).chunks, folded(2).events));
    assert_eq!(again.batches, [pods(3, 1, 2)], "a fold takes the place of the batches that it covers, no more");
    assert_eq!((again.uid_key, again.boot, again.last_rv), (recovered.uid_key, 2, 4));
    assert_ne!(again.seed, recovered.seed);
}

#[test]
fn a_store_in_memory_keeps_what_was_committed() {
    check_new(&mut Sqlite::in_memory().expect("memory"));
}

#[test]
fn a_store_on_disk_keeps_what_was_committed() {
    let (_dir, path) = dir();
    check_new(&mut Sqlite::open(&path).expect("a new file"));
}

#[test]
fn documents_and_facts_are_there_after_a_drop() {
    let (_dir, path) = dir();
    let (mut store, first) = opened(&path);
    let one = batch(1, vec![created(1)], vec![doc("pi", 1, Some("{}")), doc("e", 1, Some("{\"a\":1}"))]);
    let two = batch(2, vec![Fact::JobChanged { job: JobId(1) }], vec![doc("pi", 2, None)]);
    store.commit(&one).expect("room");
    store.commit(&two).expect("room");
    drop(store);
    let (_store, again) = opened(&path);
    assert_eq!(again.docs, [doc("e", 1, Some("{\"a\":1}"))], "the other one was removed");
    assert_eq!(again.batches, [Batch { docs: vec![], ..one }, Batch { docs: vec![], ..two }]);
    assert_eq!((again.uid_key, first.boot, again.boot), (first.uid_key, 1, 2));
}

#[test]
fn batches_without_versions_keep_their_place() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    let started = batch(1, vec![Fact::JobStarted { job: JobId(1), at: AT }], Vec::new());
    store.commit(&started).expect("room");
    store.commit(&batch(1, vec![created(1)], Vec::new())).expect("room");
    store.commit(&batch(2, Vec::new(), Vec::new())).expect("room");
    drop(store);
    let (_store, again) = opened(&path);
    assert_eq!(again.batches, [started, batch(1, vec![created(1)], Vec::new())]);
}

#[test]
fn a_fold_forgets_jobs_that_are_gone_but_keeps_what_it_writes_of_them() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    store.fold(&folded(2)).expect("room");
    let buried = Fold { chunks: Vec::new(), removed: vec![JobId(1)], last_rv: 3, ..folded(3) };
    store.fold(&buried).expect("room");
    drop(store);
    let (mut store, again) = opened(&path);
    assert_eq!((again.jobs.len(), again.chunks.len()), (1, 0));
    store.fold(&Fold { jobs: Vec::new(), ..buried }).expect("room");
    drop(store);
    assert!(opened(&path).1.jobs.is_empty());
}

/// A fold of two chunks, in as many pieces and one that ends it.
fn pieces(last_rv: u64, state: u64) -> [Fold; 3] {
    let piece = |number: u32| {
        let record = PodRecord::new(JobId(1), number * CHUNK_PODS, NO_INDEX, AT, state);
        let chunk = Chunk {
            job: JobId(1),
            number,
            records: vec![record],
            messages: vec![],
            marks: vec![],
            failures: vec![],
            restarts: vec![],
        };
        Fold { last_rv, goes_on: true, chunks: vec![chunk], ..Fold::default() }
    };
    let last = Fold { chunks: Vec::new(), events: Vec::new(), events_from: state, ..folded(last_rv) };
    [piece(0), piece(1), last]
}

/// What was recovered: the versions of the chunks' records, and the first versions of the batches.
fn found(path: &Path) -> (Vec<u64>, Vec<u64>) {
    let (_store, again) = opened(path);
    let records = again.chunks.iter().map(|chunk| chunk.records[0].rv).collect();
    (records, again.batches.iter().map(|batch| batch.first_rv).collect())
}

#[test]
fn a_fold_in_pieces_counts_from_the_last_one_on_and_covers_what_came_before_the_first() {
    for (crash_after, version, batches) in [(1, 7, vec![2, 3]), (2, 7, vec![2, 3, 3]), (3, 9, vec![3, 3, 4])] {
        let (_dir, path) = dir();
        let (mut store, _) = opened(&path);
        store.commit(&batch(1, vec![created(1)], Vec::new())).expect("room");
        pieces(1, 7).iter().for_each(|piece| store.fold(piece).expect("room"));
        store.commit(&pods(2, 0, 1)).expect("room");
        // The first has no version of its own, and is after the fold all the same.
        let after =
            [batch(3, vec![Fact::JobStarted { job: JobId(1), at: AT }], Vec::new()), pods(3, 1, 1), pods(4, 2, 1)];
        for (piece, batch) in pieces(2, 9).iter().zip(&after).take(crash_after) {
            store.fold(piece).expect("room");
            store.commit(batch).expect("room");
            store.tidy().expect("room");
        }
        drop(store);
        assert_eq!(found(&path), (vec![version; 2], batches), "after piece {crash_after}");
    }
}

#[test]
fn what_a_fold_replaced_is_deleted_piece_by_piece_and_nothing_else() {
    let mut store = Sqlite::in_memory().expect("memory");
    store.recover().expect("a new store");
    let chunk = |number, rv| {
        let record = PodRecord::new(JobId(1), number * CHUNK_PODS, NO_INDEX, AT, rv);
        Chunk {
            job: JobId(1),
            number,
            records: vec![record],
            messages: vec![],
            marks: vec![],
            failures: vec![],
            restarts: vec![],
        }
    };
    store.commit(&batch(1, vec![created(1)], Vec::new())).expect("room");
    store.fold(&Fold { chunks: (0..40).map(|number| chunk(number, 1)).collect(), ..folded(1) }).expect("room");
    (0..600).for_each(|nth| store.commit(&pods(2 + nth, 0, 1)).expect("room"));
    store.fold(&Fold { chunks: (0..39).map(|number| chunk(number, 2)).collect(), ..folded(601) }).expect("room");
    store.commit(&pods(602, 0, 1)).expect("room");
    let mut seen = vec![(store.count("chunks"), store.count("batches"))];
    assert_eq!(seen, [(79, 602)]);
    while store.tidy().expect("room") {
        seen.push((store.count("chunks"), store.count("batches")));
    }
    let batches: Vec<u64> = seen.iter().map(|(_, batches)| *batches).collect();
    let steps = |counts: &[u64]| counts.windows(2).map(|pair| pair[0] - pair[1]).max();
    assert!(steps(&batches) <= Some(256), "{seen:?}");
    let chunks: Vec<u64> = seen.iter().map(|(chunks, _)| *chunks).collect();
    assert!(steps(&chunks) <= Some(16), "{seen:?}");
    assert_eq!(seen.last(), Some(&(40, 1)));
    store.fold(&Fold { removed: vec![JobId(1)], last_rv: 602, ..Fold::default() }).expect("room");
    while store.tidy().expect("room") {}
    let tables = ["chunks", "jobs", "batches", "removed"].map(|table| store.count(table));
    assert_eq!(tables, [0; 4], "of a Job that is gone nothing is left");
}

#[test]
fn events_are_written_once_and_go_by_their_versions() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    let event = |rv| (rv, Event { job: JobId(1), at: AT, note: EventNote::Completed });
    let with = |events: &[u64], events_from| Fold {
        events: events.iter().map(|rv| event(*rv)).collect(),
        events_from,
        ..folded(20)
    };
    store.fold(&with(&[3, 4], 3)).expect("room");
    store.fold(&with(&[7, 9], 4)).expect("room");
    store.fold(&Fold { goes_on: true, ..with(&[11], 9) }).expect("room");
    drop(store);
    let (mut store, again) = opened(&path);
    assert_eq!(again.events, [event(4), event(7), event(9)], "the third fold was not complete");
    store.fold(&with(&[12], 9)).expect("room");
    while store.tidy().expect("room") {}
    assert_eq!(store.count("events"), 2, "the first two are in one row, which is kept no more");
    drop(store);
    assert_eq!(opened(&path).1.events, [event(9), event(12)]);
}

#[test]
fn the_number_of_a_batch_never_comes_again() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    (1..4).for_each(|rv| store.commit(&pods(rv, 0, 1)).expect("room"));
    store.fold(&folded(3)).expect("room");
    while store.tidy().expect("room") {}
    for rv in 4..6 {
        drop(store);
        store = opened(&path).0;
        store.commit(&pods(rv, 0, 1)).expect("room");
    }
    drop(store);
    assert_eq!(found(&path).1, [4, 5], "a fold does not cover what came after it");
}

#[test]
fn the_log_is_moved_into_the_database_once_it_is_long() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    let in_database = || std::fs::metadata(&path).expect("a file").len();
    let before = in_database();
    let large = "x".repeat(100_000);
    let mut commits = 0;
    while !store.tidy().expect("room") {
        commits += 1;
        store.commit(&batch(commits, vec![Fact::DocWritten], vec![doc("a", commits, Some(&large))])).expect("room");
        assert!(commits < 100);
    }
    assert!(commits > 10 && before < large.len() as u64 && in_database() > large.len() as u64, "{commits}");
    assert!(!store.tidy().expect("room"), "once");
}

#[test]
fn no_version_comes_again_after_any_boot() {
    let (_dir, path) = dir();
    let mut shown = 0;
    for boot in 1..=4 {
        let (mut store, recovered) = opened(&path);
        assert_eq!(recovered.boot, boot);
        assert!(recovered.first_rv > shown, "{} was shown before", recovered.first_rv);
        let big = u32::try_from(CEILING_BLOCK).expect("fits") * boot;
        let first = recovered.first_rv;
        store.commit(&pods(first, 0, big)).expect("room");
        shown = pods(first, 0, big).next_rv() - 1;
        if boot % 2 == 0 {
            store.fold(&Fold { last_rv: shown, ..Fold::default() }).expect("room");
        }
    }
    let (_store, recovered) = opened(&path);
    assert_eq!(recovered.last_rv, shown, "a fold keeps the last version as well");
    assert!(recovered.batches.is_empty(), "the last boot folded");
}

/// Creates the Jobs 1 and 2, deletes 2 and, if told so, folds.
fn newest_deleted(path: &Path, is_folded: bool) {
    let (mut store, recovered) = opened(path);
    assert_eq!(recovered.next_job, 0);
    store.commit(&batch(1, vec![created(1), created(2)], vec![doc("pi", 2, Some("{}"))])).expect("room");
    let removed = Fact::JobRemoved { job: JobId(2), at: AT, ordinals: 0 };
    store.commit(&batch(3, vec![removed], vec![doc("pi", 3, None)])).expect("room");
    if is_folded {
        store.fold(&Fold { removed: vec![JobId(2)], chunks: Vec::new(), ..folded(3) }).expect("room");
    }
}

#[test]
fn the_number_of_a_deleted_job_never_comes_again() {
    for is_folded in [false, true] {
        let (_dir, path) = dir();
        newest_deleted(&path, is_folded);
        for _ in 0..2 {
            let (_store, again) = opened(&path);
            assert_eq!((again.next_job, again.batches.is_empty()), (3, is_folded));
        }
    }
}

#[test]
fn a_store_without_a_kept_number_knows_it_from_its_jobs() {
    for (is_folded, next_job) in [(false, 3), (true, 2)] {
        let (_dir, path) = dir();
        newest_deleted(&path, is_folded);
        let again = tampered(&path, "DELETE FROM meta WHERE key = 'next_job'").expect("a good store");
        assert_eq!(again.next_job, next_job);
    }
}

#[test]
fn a_store_that_is_in_use_is_locked_at_once() {
    let (_dir, path) = dir();
    let (_store, _) = opened(&path);
    let second = Sqlite::open(&path).and_then(|mut store| store.recover());
    assert!(matches!(second, Err(StoreError::Locked)), "{second:?}");
}

#[test]
fn a_file_that_is_no_database_is_corrupt() {
    let (_dir, path) = dir();
    std::fs::write(&path, "not a database, but long enough to look like one".repeat(40)).expect("room");
    assert!(matches!(Sqlite::open(&path), Err(StoreError::Corrupt(why)) if why.contains("locking the store")));
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let (_dir, path) = dir();
    let other = rusqlite::Connection::open(&path).expect("a new file");
    other.execute_batch("CREATE TABLE theirs (a)").expect("room");
    drop(other);
    let refused = Sqlite::open(&path).and_then(|mut store| store.recover());
    assert!(matches!(refused, Err(StoreError::Corrupt(why)) if why.contains("another program")));
}

/// Runs SQL on a store that was closed, then opens it.
fn tampered(path: &Path, sql: &str) -> Result<Recovered, StoreError> {
    let db = rusqlite::Connection::open(path).expect("a file");
    db.execute_batch(sql).expect("good SQL");
    drop(db);
    Sqlite::open(path).and_then(|mut store| store.recover())
}

#[test]
fn documents_of_jobs_are_kept_by_number() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    let first = vec![job_doc(1, 1, Some("{}")), job_doc(2, 2, Some("{}")), doc("a", 3, Some("{}"))];
    store.commit(&batch(1, vec![created(1), created(2), Fact::DocWritten], first)).expect("room");
    let second = vec![job_doc(1, 4, None), job_doc(2, 5, Some("{\"a\":1}")), job_doc(3, 6, Some("{}"))];
    let facts = vec![Fact::JobChanged { job: JobId(1) }, Fact::JobChanged { job: JobId(2) }, created(3)];
    store.commit(&batch(4, facts, second)).expect("room");
    drop(store);
    let (_store, again) = opened(&path);
    let kept = [doc("a", 3, Some("{}")), job_doc(2, 5, Some("{\"a\":1}")), job_doc(3, 6, Some("{}"))];
    assert_eq!(again.docs, kept);
}

#[test]
fn another_format_is_refused() {
    let (_dir, path) = dir();
    drop(opened(&path));
    let refused = tampered(&path, "PRAGMA user_version = 99");
    assert!(matches!(refused, Err(StoreError::Format { found: 99, expected: 3 })), "{refused:?}");
}

#[test]
fn broken_rows_are_named() {
    let cases = [
        ("batches, row 2", "UPDATE batches SET facts = x'02ff' WHERE seq = 2"),
        ("batches, row 1", "UPDATE batches SET facts = 'text' WHERE seq = 1"),
        ("batches, row 2", "UPDATE batches SET rv_last = rv_last + 1 WHERE seq = 2"),
        ("batches, row 2", "UPDATE batches SET rv_first = -1 WHERE seq = 2"),
        ("docs, row 1", "UPDATE docs SET kind = 77"),
        ("job_docs, row 1", "UPDATE job_docs SET job = 1 << 32"),
        ("jobs, row 1", "UPDATE jobs SET state = x'0201'"),
        ("chunks, row 1", "UPDATE chunks SET records = x''"),
        ("meta ceiling", "UPDATE meta SET value = -5 WHERE key = 'ceiling'"),
        ("meta boot", "UPDATE meta SET value = 'x' WHERE key = 'boot'"),
        ("meta next_job", "UPDATE meta SET value = -1 WHERE key = 'next_job'"),
        ("meta next_job", "UPDATE meta SET value = 1 << 32 WHERE key = 'next_job'"),
        ("events, row 1", "UPDATE events SET events = x'02ff'"),
        ("no such table: chunks", "DROP TABLE chunks"),
    ];
    for (place, sql) in cases {
        let (_dir, path) = dir();
        let (mut store, _) = opened(&path);
        store.fold(&folded(0)).expect("room");
        store
            .commit(&batch(1, vec![created(1)], vec![doc("pi", 1, Some("{}")), job_doc(1, 1, Some("{}"))]))
            .expect("room");
        store.commit(&pods(2, 0, 1)).expect("room");
        drop(store);
        let refused = tampered(&path, sql);
        assert!(matches!(&refused, Err(StoreError::Corrupt(why)) if why.contains(place)), "{sql}: {refused:?}");
    }
}

#[test]
fn rows_of_another_encoding_are_told_from_broken_ones() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    store.commit(&pods(1, 0, 1)).expect("room");
    drop(store);
    let refused = tampered(&path, "UPDATE batches SET facts = x'0900'");
    assert!(matches!(refused, Err(StoreError::Codec(_))), "{refused:?}");
}

#[test]
fn a_damaged_page_is_corrupt() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    for nth in 0..200 {
        let name = format!("job-{nth}");
        store
            .commit(&batch(nth + 1, vec![Fact::DocWritten], vec![doc(&name, nth + 1, Some(&"x".repeat(1000)))]))
            .expect("room");
    }
    drop(store);
    let mut bytes = std::fs::read(&path).expect("closing moved everything into the file");
    bytes.iter_mut().skip(4096 * 8).for_each(|byte| *byte = 0xa5);
    std::fs::write(&path, bytes).expect("room");
    let refused = Sqlite::open(&path).and_then(|mut store| store.recover());
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
}

#[test]
fn a_full_disk_refuses_the_whole_batch_and_the_store_goes_on() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    store.limit_pages(24);
    let large = "x".repeat(200_000);
    let refused = store.commit(&batch(1, vec![created(1)], vec![doc("a", 1, Some("{}")), doc("b", 1, Some(&large))]));
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    store.commit(&batch(1, vec![created(2)], vec![doc("c", 1, Some("{}"))])).expect("what fits is kept");
    drop(store);
    let (_store, again) = opened(&path);
    assert_eq!(again.docs, [doc("c", 1, Some("{}"))], "nothing of the refused batch");
    assert_eq!(again.batches, [batch(1, vec![created(2)], Vec::new())]);
}

#[test]
fn a_fold_that_fails_leaves_the_batches() {
    let (_dir, path) = dir();
    let (mut store, _) = opened(&path);
    store.commit(&pods(1, 0, 1)).expect("room");
    store.limit_pages(24);
    let mut fold = folded(1);
    fold.chunks[0].messages = vec![(0, "x".repeat(200_000).into())];
    assert!(matches!(store.fold(&fold), Err(StoreError::Full)));
    drop(store);
    let (_store, again) = opened(&path);
    assert_eq!((again.batches, again.chunks), (vec![pods(1, 0, 1)], Vec::new()));
}
