//! The contract between the workers and a sandbox.

use super::{PodLog, Texts};
use crate::model::{EngineKind, PodTemplate, Reason};
use std::future::Future;

/// Runs guests. Implemented by the sandbox, and by a scripted fake in tests.
pub trait Runtime: Send + Sync + 'static {
    /// A module compiled, linked and ready to instantiate; cheap to clone.
    type Code: Clone + Send + Sync + 'static;

    /// The code for this template, if [`Runtime::load`] made it before. Called on a worker for every pod: no IO, no
    /// compiling, no lock held for long.
    fn cached(&self, template: &PodTemplate) -> Option<Self::Code>;

    /// Finds, compiles and links the module of this template. Called on the `compile` thread; may block for seconds.
    ///
    /// # Errors
    /// [`LoadError`] when the module is unknown or refused. The pod waits and the load is tried again later.
    fn load(&self, template: &PodTemplate) -> Result<Self::Code, LoadError>;

    /// Compiles and links a module that is about to be kept, so that a bad one is refused before a pod waits for it.
    /// `name` is what the messages call it. Called on a blocking thread; may take seconds. A module that is refused leaves
    /// nothing behind.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot run.
    fn check(&self, name: &str, bytes: &[u8]) -> Result<Checked, LoadError>;

    /// Lets go of everything made of the module with this SHA-256; pods that run keep theirs. Called on a blocking thread.
    fn forget(&self, sha256: &[u8; 32]);

    /// The engine that runs pods with this code.
    fn engine(&self, code: &Self::Code) -> EngineKind;

    /// Runs one pod. The future is created and polled on one worker thread, inside the context of that thread's tokio
    /// runtime (timers on). It must return `Pending` at every epoch tick at the latest, and must free everything when
    /// dropped: dropping is how a pod is stopped. It resolves to [`Busy`] when there is no room for another instance.
    fn run(
        &self,
        code: Self::Code,
        pod: PodSetup,
        log: PodLog,
    ) -> impl Future<Output = Result<Outcome, Busy>> + 'static;

    /// Turns a trap's frames into text with function, file and line, the guest's own frames first, at the most 4 KiB.
    /// Called on the `compile` thread; bounded work, whatever the module's debug information says.
    fn explain(&self, code: &Self::Code, trace: &Trace) -> String;

    /// Makes every running guest yield soon. Called each 10 ms while a guest is alive.
    fn tick(&self);

    /// How many pods can be alive at once.
    fn slots(&self) -> usize;
}

/// What [`Runtime::check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It was compiled now.
    Compiled,
    /// Its code was there already.
    Cached,
}

/// What a pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSetup {
    /// Arguments, `argv[0]` first.
    pub args: Texts,
    /// The whole environment, each as `NAME=value`.
    pub env: Texts,
    /// Limit on the sum of its memories and tables, bytes; `None` takes the server's default.
    pub memory_bytes_max: Option<u64>,
    /// Fuel; `None` is unlimited.
    pub fuel: Option<u64>,
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code: the guest's own, or 128 + the nearest signal.
    pub exit_code: u8,
    /// `Completed`, `Error`, `OomKilled` or `FuelExhausted`.
    pub reason: Reason,
    /// Fuel spent; 0 when none was set.
    pub fuel: u64,
    /// Highest sum of memories and tables, bytes.
    pub peak_bytes: u64,
    /// What went wrong, for `terminated.message`.
    pub message: Option<Box<str>>,
    /// Frames to explain later, innermost first.
    pub trace: Option<Trace>,
}

/// A trap's frames: function index and byte offset in the module, innermost first, at the most 64.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trace(pub Vec<(u32, Option<u32>)>);

/// No room for another instance right now; the pod is tried again when another has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why a module cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// `ErrImagePull`, `InvalidImageName` or `CreateContainerError`.
    pub reason: Reason,
    /// `state.waiting.message`: what, where and what to do.
    pub message: Box<str>,
}

/// A guest's output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// fd 1.
    Stdout,
    /// fd 2.
    Stderr,
}
