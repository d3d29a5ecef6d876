//! What a pod costs with nothing of Coracle around it: the number to hold the engine's own against.

use super::pod::{self, Guest};
use super::runtime::Sandbox;
use crate::exec::{Busy, LoadError, Runtime as _, Texts};
use crate::model::PodTemplate;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

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
    /// The guest sleeps or waits: this loop has nothing else to do meanwhile.
    #[error("`{image}` waits for something; the floor is measured with guests that run through")]
    Pending {
        /// The image.
        image: String,
    },
    /// More threads than slots.
    #[error("no free slot: fewer slots than threads")]
    Busy,
}

/// Whether a guest that is pending asked for another turn.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls until the end, or until the guest waits. At an epoch tick a guest is pending too, and has woken itself.
fn poll_through<F: Future>(mut run: Pin<&mut F>, woken: &Woken, waker: &Waker) -> Poll<F::Output> {
    loop {
        let polled = run.as_mut().poll(&mut Context::from_waker(waker));
        if polled.is_ready() || !woken.0.swap(false, Ordering::Relaxed) {
            return polled;
        }
    }
}

impl Sandbox {
    /// Runs `pods` guests on `threads` threads, each one made, run and dropped before the next, on the engine that an
    /// ordinary pod of this image gets; output goes nowhere, nothing is logged or kept. The caller takes the time.
    ///
    /// # Errors
    /// [`FloorError`]; the first thread's that failed.
    pub fn floor(&self, image: &str, args: &[String], threads: usize, pods: u64) -> Result<FloorResult, FloorError> {
        let template = PodTemplate { image: image.to_owned(), ..PodTemplate::default() };
        let code = self.load(&template).map_err(FloorError::Load)?;
        let args: &Texts = &args.iter().collect();
        let limit = self.config.memory_bytes_default;
        let threads = u64::try_from(threads.max(1)).unwrap_or(u64::MAX);
        let one = |thread: u64| {
            // Both hosts take the time from tokio, whose timers want a runtime around them.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime without IO needs nothing that can fail");
            let _inside = runtime.enter();
            let share = pods / threads + u64::from(thread < pods % threads);
            let mut result = FloorResult::default();
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            for _ in 0..share {
                let guest = Guest::new(code.0.host, args.clone(), Texts::default(), limit, None);
                match poll_through(pin!(pod::run(code.clone(), guest, None)), &woken, &waker) {
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
