//! The `tick` thread: has running guests yield every 10 ms.
//!
//! Owns the count of workers that have a guest alive; asleep when there is none. Knows nothing of guests. Invariant: while
//! a worker is counted, ticks go on.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a guest may run before another gets its turn.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a guest before the thread goes to sleep, so that a stream of short pods does not wake it for each.
const IDLE_TICKS: u32 = 20;

/// Counts workers with guests, and ticks.
#[derive(Debug, Default)]
pub(super) struct Ticker {
    busy: AtomicU32,
    ticks: AtomicU32,
    is_asleep: AtomicBool,
    is_closed: Mutex<bool>,
    wake: Condvar,
}

impl Ticker {
    /// A worker has a guest from now on.
    pub(super) fn enter(&self) {
        // SeqCst on both flags: either the thread sees the count, or this sees that the thread sleeps.
        self.busy.fetch_add(1, Ordering::SeqCst);
        if self.is_asleep.load(Ordering::SeqCst) {
            let _guard = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_one();
        }
    }

    /// A worker has no guest any more.
    pub(super) fn leave(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    /// Changes with every tick.
    pub(super) fn now(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Ends [`Ticker::run`].
    pub(super) fn close(&self) {
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_one();
    }

    /// Calls `tick` every [`TICK`] while a worker is counted. Returns after [`Ticker::close`].
    pub(super) fn run(&self, tick: impl Fn()) {
        let mut is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = 0;
        while !*is_closed {
            idle = if self.busy.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            is_closed = if idle <= IDLE_TICKS {
                self.wake.wait_timeout(is_closed, TICK).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.is_asleep.store(true, Ordering::SeqCst);
                let is_idle = |is_closed: &mut bool| !*is_closed && self.busy.load(Ordering::SeqCst) == 0;
                let guard = self.wake.wait_while(is_closed, is_idle).unwrap_or_else(PoisonError::into_inner);
                self.is_asleep.store(false, Ordering::SeqCst);
                guard
            };
            if self.busy.load(Ordering::SeqCst) > 0 {
                self.ticks.fetch_add(1, Ordering::Relaxed);
                tick();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;

    #[test]
    fn ticks_come_while_a_worker_is_counted_and_close_ends_a_sleeping_thread() {
        let ticker = Arc::new(Ticker::default());
        let (ticked, ticks) = mpsc::channel();
        let thread = std::thread::spawn({
            let ticker = ticker.clone();
            move || ticker.run(|| ticked.send(()).unwrap_or(()))
        });
        for _ in 0..3 {
            ticker.enter();
            ticks.recv().expect("a tick while a worker is busy");
            ticks.recv().expect("and another");
            ticker.leave();
            while !ticker.is_asleep.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            while ticks.try_recv().is_ok() {}
            let before = ticker.now();
            std::thread::yield_now();
            assert_eq!(ticker.now(), before, "no ticks without a guest");
        }
        ticker.close();
        thread.join().expect("the thread ends");
    }
}
