//! Threads, commit, watermark: what joins `control`, `store`, `view` and `exec` into one running engine.
//!
//! Knows nothing of HTTP and nothing of Kubernetes' JSON. [`Engine::start`] recovers and starts the threads; [`Handle`] is
//! what everybody else holds. Invariant: nothing reaches the view, and no reply is given, before it is durable.

mod boot;
mod commit;
mod compiler;
mod control;
mod handle;
mod inbox;
mod machine;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::base::{Rng, Time};
use crate::exec::{Logs, LogsError, Runtime, Workers, WorkersConfig, WorkersError};
use crate::model::SpecError;
use crate::store::{Store, StoreError};
use crate::view::View;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use compiler::{COMPILES_MAX, CheckedModule};
pub use handle::{Handle, Health, RequestError};

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Worker threads, at least 1; one a core is right.
    pub workers: u32,
    /// Where logs are kept; `None` keeps them in unlinked temporary files.
    pub log_dir: Option<PathBuf>,
    /// Bytes of all logs together; the oldest go first.
    pub log_bytes_max: u64,
}

/// Pods handed to a worker that have not started, at the most: enough for a few milliseconds of the shortest pods.
const QUEUE_MAX: u32 = 512;

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store does not open or recover.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workers do not start.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The logs cannot be kept.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// A stored Job cannot be read.
    #[error("Job {namespace}/{name}: {source}")]
    Spec {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// Why.
        #[source]
        source: SpecError,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running engine. Stop it with [`Engine::stop`]; dropping it leaves the threads to the end of the process.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    booted_rv: u64,
    workers: Arc<Workers>,
    control: JoinHandle<()>,
    commit: JoinHandle<()>,
}

impl Engine {
    /// Recovers what the store holds, starts every thread and returns once the first commit is durable.
    ///
    /// # Errors
    /// [`EngineError`]; nothing runs then.
    pub fn start<R: Runtime>(
        config: &EngineConfig,
        mut store: Box<dyn Store>,
        runtime: Arc<R>,
    ) -> Result<Self, EngineError> {
        tracing::info!("recovering");
        let recovered = store.recover()?;
        let view = Arc::new(View::restore(&recovered));
        let logs = Arc::new(Logs::open(config.log_dir.as_deref(), recovered.boot, config.log_bytes_max)?);
        let slots = u32::try_from(runtime.slots()).unwrap_or(u32::MAX);
        let capacity = crate::control::Capacity {
            workers: config.workers,
            queue_max: QUEUE_MAX,
            alive_max: (slots / config.workers).max(1),
        };
        let compiler = compiler::Compiler::new(&runtime);
        let pods_max = capacity.workers.saturating_mul(capacity.alive_max);
        let node = Arc::new(machine::node());
        let handle = Handle::new(Arc::clone(&view), Arc::clone(&logs), compiler, (pods_max, Arc::clone(&node)));
        let workers = Arc::new(Workers::start(
            runtime,
            WorkersConfig {
                workers: capacity.workers,
                queue_max: capacity.queue_max as usize,
                alive_max: capacity.alive_max as usize,
            },
            Arc::clone(&logs),
            now,
            handle.report_fn(),
        )?);
        // What became of the pods of the last boot is durable before a guest of this one writes a line: their logs are
        // looked for in the segments of the boot before.
        let (state, losses) = boot::restore(&recovered, &view, &logs, (capacity, node))?;
        if !losses.is_empty() {
            store.commit(&losses)?;
            view.apply(&losses);
        }
        let booted_rv = view.rv();
        let commits = Arc::new(commit::Mailbox::default());
        let commit = commit::spawn(store, Arc::clone(&commits), handle.clone())?;
        let control = control::spawn(state, handle.clone(), commits, Arc::clone(&workers))?;
        handle.create_predefined(&mut Rng::new(recovered.seed));
        tracing::info!(boot = recovered.boot, first_rv = recovered.first_rv, "recovered");
        Ok(Self { handle, booted_rv, workers, control, commit })
    }

    /// What clients of the engine use.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The last resourceVersion before this boot: whatever happened in it has a higher one.
    #[must_use]
    pub fn booted_rv(&self) -> u64 {
        self.booted_rv
    }

    /// Stops: no more starts, guests in flight are dropped, what was decided is committed, every thread is joined. Pods in
    /// flight end at the next start, as after a crash.
    pub fn stop(self) {
        self.handle.close();
        let ended = self.control.join().is_ok();
        if let Ok(workers) = Arc::try_unwrap(self.workers) {
            workers.shutdown();
        }
        debug_assert!(ended, "a panic of the control thread aborts");
        _ = self.commit.join();
    }
}

/// The engine's clock.
#[expect(clippy::disallowed_methods, reason = "the one place where the engine reads the time")]
#[must_use]
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
