//! The sandbox through its contract, [`Runtime`]: guests in, exit codes out.
//!
//! What a guest sees must not depend on the engine that runs it: `on_small` and `on_large` hold the same tests.

mod checked;
mod engines;
mod floors;
mod hosts;
mod on_large;
mod on_small;
mod refused;

use super::{Sandbox, SandboxConfig};
use crate::exec::{Busy, LoadError, Outcome, PodLog, PodSetup, Runtime, Stream, Texts};
use crate::model::{EngineKind, PodTemplate};
use crate::modules::Modules;
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The memory limit of pods that give none.
const MEMORY_DEFAULT: u64 = 64 << 20;

/// A sandbox and the modules it runs, on the engine that the tests are for.
struct OnEngine<const IS_LARGE: bool> {
    sandbox: Sandbox,
    modules: Arc<Modules>,
}

type World = OnEngine<false>;

/// A pod that ended.
struct End {
    outcome: Outcome,
    stdout: String,
    stderr: String,
}

impl<const IS_LARGE: bool> OnEngine<IS_LARGE> {
    fn new(slots: usize) -> Self {
        let modules = Arc::new(Modules::open(None).expect("in memory"));
        let config = SandboxConfig { cache_dir: None, memory_bytes_default: MEMORY_DEFAULT, slots };
        let sandbox = Sandbox::new(config, Arc::clone(&modules)).expect("an engine");
        Self { sandbox, modules }
    }

    /// One that most tests share.
    fn shared() -> &'static Self {
        static SMALL: OnceLock<OnEngine<false>> = OnceLock::new();
        static LARGE: OnceLock<OnEngine<true>> = OnceLock::new();
        let (small, large): (&dyn Any, &dyn Any) = (&SMALL, &LARGE);
        let shared: &'static OnceLock<Self> =
            [small, large].into_iter().find_map(|any| any.downcast_ref()).expect("one of both");
        shared.get_or_init(|| Self::new(64))
    }

    /// Adds a module in text form and returns the image name that it runs under.
    fn image(&self, text: &str) -> String {
        let digest = self.modules.add(&wat::parse_str(text).expect("good text")).expect("small");
        format!("test@{digest}")
    }

    fn load(&self, image: &str, fuel: Option<u64>) -> Result<super::Code, LoadError> {
        let template =
            PodTemplate { image: image.to_owned(), fuel, wants_whole_cpu: IS_LARGE, ..PodTemplate::default() };
        let code = self.sandbox.load(&template)?;
        if IS_LARGE {
            assert_eq!(self.sandbox.engine(&code), EngineKind::Large);
        }
        Ok(code)
    }

    fn run(&self, image: &str, pod: PodSetup) -> End {
        self.try_run(image, pod).expect("a free slot")
    }

    /// Runs a pod to its end, with ticks, on a current-thread runtime with timers.
    fn try_run(&self, image: &str, pod: PodSetup) -> Result<End, Busy> {
        let code = self.load(image, pod.fuel).unwrap_or_else(|error| panic!("{}", error.message));
        let (outcome, stdout, stderr) = self.run_code(code, pod)?;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ok(End { outcome, stdout: text(stdout), stderr: text(stderr) })
    }

    /// As [`World::try_run`]; gives the outcome, stdout and stderr.
    fn run_code(&self, code: super::Code, pod: PodSetup) -> Result<(Outcome, Vec<u8>, Vec<u8>), Busy> {
        let log = PodLog::default();
        let outcome = self.ticking(|| in_runtime(self.sandbox.run(code, pod, log.clone())))?;
        let runs = log.take();
        let bytes = |stream| runs.iter().filter(|(of, _)| *of == stream).flat_map(|(_, bytes)| bytes.clone()).collect();
        Ok((outcome, bytes(Stream::Stdout), bytes(Stream::Stderr)))
    }

    /// Does `work` while another thread ticks.
    fn ticking<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    self.sandbox.tick();
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            });
            let _stop = Stop(&stopped);
            work()
        })
    }
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
}

/// A pod that gives nothing.
fn bare() -> PodSetup {
    PodSetup { args: Texts::default(), env: Texts::default(), memory_bytes_max: None, fuel: None }
}

fn with_args(args: &[&str]) -> PodSetup {
    PodSetup { args: args.iter().collect(), ..bare() }
}

fn program(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") {body}))"#
    )
}
