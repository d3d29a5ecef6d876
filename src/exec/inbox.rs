//! What other threads have to tell a worker.
//!
//! Owns the hand-over and the wake-up, knows nothing of what is handed over. Invariant: a message that was sent is taken at
//! the latest in the worker's next turn, and messages are taken in the order in which they were sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Messages for one worker. Bounded by its senders: see [`super::WorkersConfig::queue_max`].
#[derive(Debug)]
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    is_urgent: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    messages: Vec<T>,
    waker: Option<Waker>,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { messages: Vec::new(), waker: None }), is_urgent: AtomicBool::new(false) }
    }

    /// Sends a message and wakes the worker.
    pub(super) fn send(&self, message: T) {
        Self::push(&mut self.state(), message);
    }

    /// As [`Inbox::send`], and has the worker end its turn after the guest that runs now.
    pub(super) fn send_urgent(&self, message: T) {
        let mut state = self.state();
        self.is_urgent.store(true, Ordering::Relaxed);
        Self::push(&mut state, message);
    }

    fn push(state: &mut State<T>, message: T) {
        state.messages.push(message);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }

    /// Whether an urgent message may be waiting.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_urgent.load(Ordering::Relaxed)
    }

    /// Moves all messages to `into`; from here on `waker` is woken by new ones.
    pub(super) fn take(&self, into: &mut Vec<T>, waker: &Waker) {
        let mut state = self.state();
        self.is_urgent.store(false, Ordering::Relaxed);
        into.append(&mut state.messages);
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
