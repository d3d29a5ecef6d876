//! The engine over a scripted runtime: what is answered is durable, what is durable comes back.

use super::*;
use crate::base::Uid;
use crate::control::{NewJob, WriteError};
use crate::exec::{Busy, LoadError, Outcome, PodLog, PodSetup, Stream, Trace};
use crate::model::{Batch, ConditionType, Fold, JobSpec, PodTemplate, Reason, Recovered};
use crate::store::Sqlite;
use std::path::Path;

/// Guests that print their first argument and end with it as their exit code; `wait` never ends.
struct Scripted;

impl Runtime for Scripted {
    type Code = ();

    fn cached(&self, _: &PodTemplate) -> Option<()> {
        Some(())
    }

    fn load(&self, _: &PodTemplate) -> Result<(), LoadError> {
        Ok(())
    }

    fn run(&self, (): (), pod: PodSetup, log: PodLog) -> impl Future<Output = Result<Outcome, Busy>> + 'static {
        async move {
            let word = pod.args.get(1).cloned().unwrap_or_default();
            log.write(Stream::Stdout, word.as_bytes());
            if word == "wait" {
                std::future::pending::<()>().await;
            }
            let exit_code = word.parse().unwrap_or(0);
            let reason = if exit_code == 0 { Reason::Completed } else { Reason::Error };
            Ok(Outcome { exit_code, reason, fuel: 0, peak_bytes: 0, message: None, trace: None })
        }
    }

    fn explain(&self, (): &(), _: &Trace) -> String {
        String::new()
    }

    fn tick(&self) {}

    fn slots(&self) -> usize {
        128
    }
}

fn start(store: Box<dyn Store>, dir: Option<&Path>) -> Engine {
    let config = EngineConfig { workers: 2, log_dir: dir.map(|dir| dir.join("logs")), log_bytes_max: 1 << 20 };
    Engine::start(&config, store, Arc::new(Scripted)).expect("the engine starts")
}

fn on_disk(dir: &Path) -> Engine {
    start(Box::new(Sqlite::open(&dir.join("store.db")).expect("a store")), Some(dir))
}

fn job(name: &str, word: &str, completions: u32, parallelism: u32) -> NewJob {
    let doc = serde_json::json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": "default", "uid": Uid::v4(7).to_string()},
        "spec": {
            "completionMode": "Indexed", "completions": completions, "parallelism": parallelism, "backoffLimit": 0,
            "template": {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i", "args": [word]}]}},
        },
    })
    .to_string();
    NewJob {
        namespace: "default".into(),
        name: name.into(),
        uid: Uid::v4(7),
        created: now(),
        spec: JobSpec::from_doc(&doc).expect("a document"),
        doc: doc.into(),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Waits until the Job is as `test` wants it.
async fn wait_for(
    handle: &Handle,
    name: &str,
    test: impl Fn(&crate::model::JobStatus) -> bool,
) -> crate::view::JobObject {
    loop {
        let rv = handle.view().rv();
        if let Some(job) = handle.view().job("default", name).filter(|job| test(&job.status)) {
            return job;
        }
        handle.view().shown(rv + 1).await;
    }
}

#[test]
fn a_job_runs_to_its_end_and_its_logs_are_there() {
    let engine = start(Box::new(Sqlite::in_memory().expect("a store")), None);
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
fn a_failing_job_fails_with_its_exit_code_kept() {
    let engine = start(Box::new(Sqlite::in_memory().expect("a store")), None);
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
        let waits = wait_for(&handle, "waits", |status| status.ready == 4).await;
        assert!(waits.rv > last_rv, "versions go on");
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

/// A store that fails from the first commit with a Job on.
struct Failing(Sqlite);

impl Store for Failing {
    fn recover(&mut self) -> Result<Recovered, StoreError> {
        self.0.recover()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.facts.iter().any(|fact| fact.job().is_some()) {
            return Err(StoreError::Full);
        }
        self.0.commit(batch)
    }

    fn fold(&mut self, fold: &Fold) -> Result<(), StoreError> {
        self.0.fold(fold)
    }
}

#[test]
fn a_store_that_fails_acknowledges_nothing_and_says_so() {
    let engine = start(Box::new(Failing(Sqlite::in_memory().expect("a store"))), None);
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

#[test]
fn a_job_in_a_namespace_that_is_not_there_is_refused() {
    let engine = start(Box::new(Sqlite::in_memory().expect("a store")), None);
    let answer = block_on(engine.handle().create_job(NewJob { namespace: "nope".into(), ..job("a", "0", 1, 1) }));
    assert_eq!(answer, Err(RequestError::Refused(WriteError::NoNamespace)));
    engine.stop();
}
