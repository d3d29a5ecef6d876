//! What a pod costs with nothing of Coracle around it: the number to hold the engine's own against.

use super::pod::{self, Guest};
use super::runtime::Sandbox;
use super::stdio::Output;
use crate::exec::{Busy, LoadError, Runtime as _};
use crate::model::PodTemplate;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What the loop did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FloorResult {
    /// Pods that ended with 0.
    pub succeeded: u64,
    /// Pods that ended otherwise.
    pub failed: u64,
}

/// Why there is no floor to measure.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The module cannot be had.
    #[error("{}", .0.message)]
    Load(LoadError),
    /// The guest sleeps or waits: this loop polls each pod once.
    #[error("`{image}` waits for something; the floor is measured with guests that run through")]
    Pending {
        /// The image.
        image: String,
    },
    /// More threads than slots.
    #[error("no free slot: fewer slots than threads")]
    Busy,
}

impl Sandbox {
    /// Runs `pods` guests on `threads` threads, each one made, run and dropped before the next, polled once; output goes
    /// nowhere, nothing is logged or kept. The caller takes the time.
    ///
    /// # Errors
    /// [`FloorError`]; the first thread's that failed.
    pub fn floor(&self, image: &str, args: &[String], threads: usize, pods: u64) -> Result<FloorResult, FloorError> {
        let template = PodTemplate { image: image.to_owned(), ..PodTemplate::default() };
        let code = self.load(&template).map_err(FloorError::Load)?;
        let limit = self.config.memory_bytes_default;
        let threads = u64::try_from(threads.max(1)).unwrap_or(u64::MAX);
        let one = |thread: u64| {
            // wasmtime-wasi takes the time from tokio, whose timers want a runtime around them.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime without IO needs nothing that can fail");
            let _inside = runtime.enter();
            let share = pods / threads + u64::from(thread < pods % threads);
            let mut result = FloorResult::default();
            for _ in 0..share {
                let guest = Guest::new(args, &[], limit, Output::Nowhere, Output::Nowhere);
                let mut run = pin!(pod::run(code.clone(), guest, None));
                match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(outcome)) if outcome.exit_code == 0 => result.succeeded += 1,
                    Poll::Ready(Ok(_)) => result.failed += 1,
                    Poll::Ready(Err(Busy)) => return Err(FloorError::Busy),
                    Poll::Pending => return Err(FloorError::Pending { image: image.to_owned() }),
                }
            }
            Ok(result)
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
            running.into_iter().try_fold(FloorResult::default(), |sum, thread| {
                let result = thread.join().expect("the loop does not panic")?;
                Ok(FloorResult { succeeded: sum.succeeded + result.succeeded, failed: sum.failed + result.failed })
            })
        })
    }
}
