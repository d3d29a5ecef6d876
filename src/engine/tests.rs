//! The engine over a scripted runtime: what is answered is durable, what is durable comes back.

use super::testing::{failing, in_memory, on_disk, start};
use super::*;
use crate::base::Uid;
use crate::control::{DeleteJob, DocChange, NewJob, Propagation, WriteError};
use crate::model::{Batch, ConditionType, Fold, JobSpec, JobStatus, Kind, Reason, Recovered};
use crate::store::Sqlite;
use crate::view::{ChangeKind, Filter, JobObject, Topic};
use std::sync::atomic::{AtomicU64, Ordering};

fn job(name: &str, word: &str, completions: u32, parallelism: u32) -> NewJob {
    let uid = Uid::v4(u128::from(name.as_bytes()[0]));
    let doc = serde_json::json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": "default", "uid": uid.to_string()},
        "spec": {
            "completionMode": "Indexed", "completions": completions, "parallelism": parallelism, "backoffLimit": 0,
            "template": {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i", "args": [word]}]}},
        },
    })
    .to_string();
    NewJob {
        namespace: "default".into(),
        name: name.into(),
        uid,
        created: now(),
        spec: JobSpec::from_doc(&doc).expect("a document"),
        doc: doc.into(),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Waits until the Job is as `test` wants it.
async fn wait_for(handle: &Handle, name: &str, test: impl Fn(&JobStatus) -> bool) -> JobObject {
    wait_after(handle, 0, name, test).await
}

/// Waits until the Job is, at a version above `after`, as `test` wants it.
async fn wait_after(handle: &Handle, after: u64, name: &str, test: impl Fn(&JobStatus) -> bool) -> JobObject {
    loop {
        let rv = handle.view().rv();
        if let Some(job) = handle.view().job("default", name).filter(|job| job.rv > after && test(&job.status)) {
            return job;
        }
        handle.view().shown(rv + 1).await;
    }
}

#[test]
fn a_job_runs_to_its_end_and_its_logs_are_there() {
    let engine = in_memory();
    let handle = engine.handle().clone();
    block_on(async {
        handle.create_job(job("a", "0", 5000, 1000)).await.expect("created");
        let done = wait_for(&handle, "a", |status| status.is_finished()).await;
        assert_eq!((done.status.succeeded, done.status.failed), (5000, 0));
    });
    let (_, pods) = handle.view().pods(Some("default"), None);
    assert_eq!(pods.iter().count(), 5000);
    for pod in pods.iter() {
        let entries = handle.logs().read(pod.record.log).expect("a log");
        assert_eq!(entries.iter().map(|entry| entry.bytes.len()).sum::<usize>(), 1);
    }
    engine.stop();
}

#[test]
fn the_ends_of_logs_are_let_go_of_once_they_are_shown_or_their_job_is_gone() {
    let engine = in_memory();
    let handle = engine.handle().clone();
    block_on(async {
        handle.create_job(job("gone", "wait", 128, 128)).await.expect("created");
        wait_for(&handle, "gone", |status| status.ready == 128).await;
        let mut pods: Vec<_> = handle.view().pods(None, None).1.iter().map(|pod| pod.record).collect();
        while pods.iter().any(|pod| handle.logs().newest(pod.job, pod.ordinal).is_none()) {
            tokio::task::yield_now().await;
        }
        handle.delete_job(deletion("gone")).await.expect("deleted");
        handle.create_job(job("done", "0", 500, 500)).await.expect("created");
        wait_for(&handle, "done", |status| status.is_finished()).await;
        pods.extend(handle.view().pods(None, None).1.iter().map(|pod| pod.record));
        assert_eq!(pods.len(), 628);
        while pods.iter().any(|pod| handle.logs().newest(pod.job, pod.ordinal).is_some()) {
            tokio::task::yield_now().await;
        }
    });
    engine.stop();
}

#[test]
fn a_failing_job_fails_with_its_exit_code_kept() {
    let engine = in_memory();
    let handle = engine.handle().clone();
    block_on(async {
        handle.create_job(job("a", "3", 1, 1)).await.expect("created");
        let done = wait_for(&handle, "a", |status| status.is_finished()).await;
        assert!(done.status.condition(ConditionType::Failed).is_some());
    });
    let (_, pods) = handle.view().pods(None, None);
    assert_eq!(pods.iter().map(|pod| pod.record.exit_code).collect::<Vec<_>>(), [3]);
    engine.stop();
}

#[test]
fn what_was_there_before_a_stop_is_there_after_it_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = on_disk(dir.path());
    let last_rv = block_on(async {
        let handle = engine.handle().clone();
        handle.create_job(job("waits", "wait", 4, 4)).await.expect("created");
        handle.create_job(job("done", "0", 10, 10)).await.expect("created");
        wait_for(&handle, "waits", |status| status.ready == 4).await;
        wait_for(&handle, "done", |status| status.is_finished()).await;
        handle.view().rv()
    });
    engine.stop();
    let engine = on_disk(dir.path());
    let handle = engine.handle().clone();
    block_on(async {
        let again = handle.create_job(job("done", "0", 10, 10)).await;
        assert_eq!(again, Err(RequestError::Refused(WriteError::AlreadyExists)));
        let waits = wait_after(&handle, last_rv, "waits", |status| status.ready == 4).await;
        assert_eq!((waits.status.active, waits.status.failed), (4, 0), "the loss does not count");
    });
    let (_, pods) = handle.view().pods(None, Some(handle.view().job("default", "waits").expect("there").doc.key.uid));
    let lost: Vec<_> = pods.iter().filter(|pod| pod.record.exit_code == 137).collect();
    assert_eq!(lost.len(), 4);
    for pod in lost {
        assert_eq!(pod.record.reason, Reason::ContainerStatusUnknown);
        let entries = handle.logs().read(pod.record.log).expect("a log");
        assert_eq!(entries.iter().flat_map(|entry| entry.bytes.to_vec()).collect::<Vec<u8>>(), b"wait");
    }
    engine.stop();
}

#[test]
fn a_store_that_fails_acknowledges_nothing_and_says_so() {
    let engine = failing();
    let handle = engine.handle().clone();
    block_on(async {
        let answer = handle.create_job(job("a", "0", 1, 1)).await;
        assert!(matches!(answer, Err(RequestError::Stopped(_))), "{answer:?}");
        assert!(matches!(handle.health(), Health::Failed(_)));
        assert!(handle.view().job("default", "a").is_none(), "nothing is shown that is not durable");
        let answer = handle.create_job(job("b", "0", 1, 1)).await;
        assert!(matches!(answer, Err(RequestError::Stopped(_))), "{answer:?}");
    });
    engine.stop();
}

/// A store that always has something to tidy, and counts.
struct Untidy(Sqlite, Arc<AtomicU64>, Arc<AtomicU64>);

impl Store for Untidy {
    fn recover(&mut self) -> Result<Recovered, StoreError> {
        self.0.recover()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.commit(batch)
    }

    fn fold(&mut self, fold: &Fold) -> Result<(), StoreError> {
        self.0.fold(fold)
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        self.2.fetch_add(1, Ordering::SeqCst);
        self.0.tidy().map(|_| true)
    }
}

#[test]
fn housekeeping_goes_on_while_nothing_waits_and_holds_up_no_commit() {
    let (commits, tidied) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let store = Untidy(Sqlite::in_memory().expect("a store"), Arc::clone(&commits), Arc::clone(&tidied));
    let engine = start(Box::new(store), None);
    let handle = engine.handle().clone();
    block_on(async {
        handle.create_job(job("a", "0", 300, 30)).await.expect("created");
        wait_for(&handle, "a", |status| status.is_finished()).await;
    });
    let idle = commits.load(Ordering::SeqCst);
    while tidied.load(Ordering::SeqCst) < idle + 100 {
        std::thread::yield_now();
    }
    engine.stop();
}

fn deletion(name: &str) -> DeleteJob {
    DeleteJob {
        namespace: "default".into(),
        name: name.into(),
        uid: None,
        rv: None,
        propagation: Propagation::Background,
        doc: (0, "{}".into()),
    }
}

#[test]
fn deleting_a_job_ends_its_guests_and_gives_their_room_to_others() {
    let engine = in_memory();
    let handle = engine.handle().clone();
    block_on(async {
        for round in 0..3 {
            // As many as there is room for, and some that wait.
            handle.create_job(job("a", "wait", 200, 200)).await.expect("created");
            wait_for(&handle, "a", |status| status.ready == 128).await;
            let cursor = handle.view().watch_from(Topic::Pods, Filter::default(), handle.view().rv());
            let deleted = handle.delete_job(deletion("a")).await.expect("deleted");
            assert!(handle.view().rv() >= deleted.rv && handle.view().job("default", "a").is_none(), "round {round}");
            assert_eq!(handle.view().pods(None, None).1.iter().count(), 0);
            let changes = handle.view().poll(&mut cursor.expect("recent"), usize::MAX).expect("they fit");
            let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
            assert_eq!((count(ChangeKind::Modified), count(ChangeKind::Deleted)), (128, 200));
        }
        handle.create_job(job("b", "0", 300, 300)).await.expect("created");
        wait_for(&handle, "b", |status| status.is_finished()).await;
    });
    engine.stop();
}

#[test]
fn a_deletion_that_means_another_job_is_refused() {
    let engine = in_memory();
    let handle = engine.handle().clone();
    block_on(async {
        let made = job("a", "0", 1, 1);
        let found = made.uid;
        handle.create_job(made).await.expect("created");
        let wrong = DeleteJob { uid: Some(Uid::v4(99)), ..deletion("a") };
        let refused = |error| Err(RequestError::Refused(error));
        assert_eq!(handle.delete_job(wrong).await, refused(WriteError::WrongUid { found }));
        assert_eq!(handle.delete_job(deletion("b")).await, refused(WriteError::NotFound));
        let deleted = handle.delete_job(DeleteJob { uid: Some(found), ..deletion("a") }).await;
        assert_eq!(deleted.expect("it is the one").job_uid, Some(found));
        assert_eq!(handle.delete_job(deletion("a")).await, refused(WriteError::NotFound));
    });
    engine.stop();
}

/// Folds the store between two boots.
fn fold(dir: &std::path::Path) {
    let mut store = Sqlite::open(&dir.join("store.db")).expect("a store");
    let view = View::restore(&store.recover().expect("a good store"));
    view.fold().for_each(|piece| store.fold(&piece).expect("room"));
}

#[test]
fn a_new_job_has_nothing_of_a_deleted_one_after_a_restart() {
    for is_folded in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = on_disk(dir.path());
        let old = block_on(async {
            let handle = engine.handle().clone();
            handle.create_job(job("a", "wait", 2, 2)).await.expect("created");
            let old = wait_for(&handle, "a", |status| status.ready == 2).await;
            handle.delete_job(deletion("a")).await.expect("deleted");
            old.doc.key.clone()
        });
        engine.stop();
        if is_folded {
            fold(dir.path());
        }
        let engine = on_disk(dir.path());
        let handle = engine.handle().clone();
        assert!(handle.view().jobs(None).1.is_empty() && handle.view().pods(None, None).1.iter().count() == 0);
        let about_old = handle.view().events(None).1.len();
        assert_eq!(about_old, 2, "the Events about the old one are kept");
        let new = block_on(async {
            let again = NewJob { uid: Uid::v4(1 << 80), ..job("a", "0", 1, 1) };
            handle.create_job(again).await.expect("the name is free");
            wait_for(&handle, "a", |status| status.is_finished()).await
        });
        let new_key = &new.doc.key;
        assert!(new_key.id > old.id, "a number is given again: {:?}", new_key.id);
        let (_, pods) = handle.view().pods(None, None);
        let pod = pods.iter().next().expect("one");
        let log = handle.logs().read(pod.record.log).expect("a log");
        assert_eq!(log.iter().flat_map(|entry| entry.bytes.clone()).collect::<Vec<u8>>(), b"0");
        let (_, events) = handle.view().events(None);
        let of = |uid| events.iter().filter(|event| event.job.uid == uid).count();
        assert_eq!((of(old.uid), of(new_key.uid)), (about_old, 2), "one pod, and its end");
        engine.stop();
    }
}

#[test]
fn a_namespace_is_changed_from_the_version_that_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let change = |base_rv| DocChange {
        kind: Kind::Namespace,
        name: "default".into(),
        base_rv,
        doc: r#"{"kind":"Namespace","metadata":{"name":"default","uid":"u","labels":{"a":"b"}}}"#.into(),
    };
    let engine = on_disk(dir.path());
    let made = engine.handle().view().namespace("default").expect("predefined").rv;
    let changed = block_on(engine.handle().update_doc(change(made))).expect("current").rv;
    engine.stop();
    let engine = on_disk(dir.path());
    let shown = engine.handle().view().namespace("default").expect("still there");
    assert_eq!((shown.rv, shown.labels()["a"].as_str()), (changed, "b"));
    let again = block_on(engine.handle().update_doc(change(made)));
    assert_eq!(again, Err(RequestError::Refused(WriteError::Conflict)));
    let nowhere = DocChange { name: "nowhere".into(), ..change(made) };
    let refused = block_on(engine.handle().update_doc(nowhere));
    assert_eq!(refused, Err(RequestError::Refused(WriteError::NotFound)));
    engine.stop();
}

#[test]
fn a_job_in_a_namespace_that_is_not_there_is_refused() {
    let engine = in_memory();
    let answer = block_on(engine.handle().create_job(NewJob { namespace: "nope".into(), ..job("a", "0", 1, 1) }));
    assert_eq!(answer, Err(RequestError::Refused(WriteError::NoNamespace)));
    engine.stop();
}
