//! An engine for tests: the real one over a scripted runtime.

use super::{Engine, EngineConfig};
use crate::exec::{Busy, Checked, LoadError, Outcome, PodLog, PodSetup, Runtime, Stream, Trace};
use crate::model::{Batch, EngineKind, Fact, Fold, PodTemplate, Reason, Recovered};
use crate::store::{Sqlite, Store, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

/// Guests that print their first argument and end with it as their exit code; `wait` never ends, and `copy=<path>` prints what is
/// appended to that file until the file is gone.
/// Modules whose name begins with `refused` cannot be linked.
struct Scripted;

impl Runtime for Scripted {
    type Code = ();

    fn cached(&self, _: &PodTemplate) -> Option<()> {
        Some(())
    }

    fn load(&self, _: &PodTemplate) -> Result<(), LoadError> {
        Ok(())
    }

    fn check(&self, name: &str, _: &[u8]) -> Result<Checked, LoadError> {
        if name.starts_with("refused") {
            let message = format!("`{name}` cannot be linked: scripted");
            return Err(LoadError { reason: Reason::CreateContainerError, message: message.into() });
        }
        Ok(Checked::Compiled)
    }

    fn forget(&self, _: &[u8; 32]) {}

    fn engine(&self, (): &()) -> EngineKind {
        EngineKind::Small
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would borrow the runtime, and the future must not")]
    fn run(&self, (): (), pod: PodSetup, log: PodLog) -> impl Future<Output = Result<Outcome, Busy>> + 'static {
        async move {
            let word = pod.args.iter().nth(1).unwrap_or_default().to_owned();
            if let Some(path) = word.strip_prefix("copy=") {
                copy(Path::new(path), &log).await;
                return Ok(ended(0));
            }
            log.write(Stream::Stdout, word.as_bytes());
            if word == "wait" {
                std::future::pending::<()>().await;
            }
            Ok(ended(word.parse().unwrap_or(0)))
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

fn ended(exit_code: u8) -> Outcome {
    let reason = if exit_code == 0 { Reason::Completed } else { Reason::Error };
    Outcome { exit_code, reason, fuel: 0, peak_bytes: 0, message: None, trace: None }
}

async fn copy(path: &Path, log: &PodLog) {
    let mut copied = 0;
    while let Ok(text) = std::fs::read(path) {
        log.write(Stream::Stdout, &text[copied..]);
        copied = text.len();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// An engine over `store`.
pub(crate) fn start(store: Box<dyn Store>, dir: Option<&Path>) -> Engine {
    let config = EngineConfig { workers: 2, log_dir: dir.map(|dir| dir.join("logs")), log_bytes_max: 1 << 20 };
    Engine::start(&config, store, Arc::new(Scripted)).expect("the engine starts")
}

/// An engine whose state is in `dir`.
pub(crate) fn on_disk(dir: &Path) -> Engine {
    start(Box::new(Sqlite::open(&dir.join("store.db")).expect("a store")), Some(dir))
}

/// An engine that keeps nothing.
pub(crate) fn in_memory() -> Engine {
    start(Box::new(Sqlite::in_memory().expect("a store")), None)
}

/// A store that is full when its rule says so of a batch.
struct Ruled<F>(Sqlite, F);

impl<F: FnMut(&Batch) -> bool + Send> Store for Ruled<F> {
    fn recover(&mut self) -> Result<Recovered, StoreError> {
        self.0.recover()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if (self.1)(batch) {
            return Err(StoreError::Full);
        }
        self.0.commit(batch)
    }

    fn fold(&mut self, fold: &Fold) -> Result<(), StoreError> {
        self.0.fold(fold)
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        self.0.tidy()
    }
}

/// An engine whose store fails with the first Job.
pub(crate) fn failing() -> Engine {
    let has_job = |batch: &Batch| batch.facts.iter().any(|fact| fact.job().is_some());
    start(Box::new(Ruled(Sqlite::in_memory().expect("a store"), has_job)), None)
}

/// An engine that keeps nothing and shows no pod's end: it waits for one until the sender is gone, and what is sent makes its
/// store fail.
pub(crate) fn held() -> (Engine, Sender<()>) {
    let (sender, told) = channel();
    let ends = move |batch: &Batch| {
        let ends = batch.facts.iter().any(|fact| matches!(fact, Fact::PodsEnded { .. }));
        ends && told.recv().is_ok()
    };
    (start(Box::new(Ruled(Sqlite::in_memory().expect("a store"), ends)), None), sender)
}
