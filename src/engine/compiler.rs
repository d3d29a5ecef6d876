//! A module that is about to be kept, looked at by whoever will run it.
//!
//! Knows nothing of uploads. Invariant: it works on threads of its own, never on the one that asks.

use super::now;
use crate::exec::{Checked, LoadError, Runtime, as_compilation};
use crate::model::Reason;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};

/// Modules that are compiled for uploads at once, at the most: a compilation uses every core.
pub const COMPILES_MAX: usize = 2;

/// A module that can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedModule {
    /// Whether it was compiled for this check.
    pub checked: Checked,
    /// How long that took, ms.
    pub ms: u64,
}

type Check = dyn Fn(&str, &[u8]) -> Result<Checked, LoadError> + Send + Sync;
type Forget = dyn Fn(&[u8; 32]) + Send + Sync;

/// The runtime, as far as it is asked about modules.
#[derive(Clone)]
pub(super) struct Compiler {
    check: Arc<Check>,
    forget: Arc<Forget>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Compiler {
    pub(super) fn new<R: Runtime>(runtime: &Arc<R>) -> Self {
        let (check, forget) = (Arc::clone(runtime), Arc::clone(runtime));
        Self {
            check: Arc::new(move |name, bytes| check.check(name, bytes)),
            forget: Arc::new(move |sha256| forget.forget(sha256)),
            room: Arc::new(Semaphore::new(COMPILES_MAX)),
        }
    }

    pub(super) async fn check(&self, name: &str, bytes: Arc<[u8]>) -> Result<CheckedModule, LoadError> {
        let _room = self.room.acquire().await.expect("the semaphore is never closed");
        let (check, called) = (Arc::clone(&self.check), name.to_owned());
        let start = now();
        let (answer, checked) = oneshot::channel();
        // Not one of tokio's: a thread does not get its priority back. One that cannot be started drops its end.
        let thread = std::thread::Builder::new().name("check".to_owned());
        drop(thread.spawn(move || _ = answer.send(as_compilation(|| check(&called, &bytes)))));
        let checked = checked.await;
        let refused = |_dropped| {
            let message = format!("`{name}` cannot be compiled: the compiler failed");
            LoadError { reason: Reason::CreateContainerError, message: message.into() }
        };
        let checked = checked.map_err(refused)??;
        Ok(CheckedModule { checked, ms: now().since_ms(start) })
    }

    pub(super) fn forget(&self, sha256: &[u8; 32]) {
        (self.forget)(sha256);
    }
}
