//! When watchers of pods that are told much may go on: pods go first.
//!
//! Knows how fast pods change, nothing of what is told. Invariant: a stream that is told little never waits; the others
//! together get a chunk a turn for as long as pods change fast, and all they take as soon as these no longer do.

use crate::view::View;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a turn lasts while pods change fast: with chunks of 64 KiB, about 1,200 events a second for all watchers, which
/// cost the server and a client beside it 3 % of a core.
const TURN: Duration = Duration::from_millis(20);

/// Pods change fast when so many do in a turn: fewer cost little, whoever is told.
const FAST: u64 = 20;

/// So many events a stream may be told at any time.
const BURST: u32 = 256;

/// How long it takes until it may be told one more.
const ONE_MORE: Duration = Duration::from_millis(4);

/// How long a stream whose turn is far off sleeps before it looks whether pods still change fast.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A look counts no more turns than this, so that what begins after a quiet time is seen at once.
const LOOK_TURNS: u128 = 3;

/// What all streams share.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    sample: Sample,
    /// The last turn that was given.
    last: Instant,
}

/// How fast pods change.
#[derive(Debug)]
struct Sample {
    /// How many changes there were, and when.
    changes: u64,
    at: Instant,
    is_fast: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Shared { sample: Sample { changes: 0, at: now, is_fast: false }, last: now }))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether pods change fast.
    pub(super) fn is_fast(&self, view: &View) -> bool {
        self.lock().sample.look(view.pod_changes(), Instant::now())
    }

    /// Waits for a turn, for as long as pods change fast. A stream that is not read, or is dropped, holds up nobody.
    pub(super) async fn turn(&self, view: &View) {
        let due = self.lock().take_turn(Instant::now());
        while self.is_fast(view) {
            let now = Instant::now();
            if now >= due {
                return;
            }
            tokio::time::sleep_until(due.min(now + LOOK_EVERY)).await;
        }
    }
}

impl Shared {
    fn take_turn(&mut self, now: Instant) -> Instant {
        self.last = self.last.max(now) + TURN;
        self.last
    }
}

impl Sample {
    fn look(&mut self, changes: u64, now: Instant) -> bool {
        let turns = now.duration_since(self.at).as_nanos() / TURN.as_nanos();
        if turns > 0 {
            self.is_fast = u128::from(changes - self.changes) >= u128::from(FAST) * turns.min(LOOK_TURNS);
            (self.changes, self.at) = (changes, now);
        }
        self.is_fast
    }
}

/// What a stream may be told without waiting.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    at: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    /// Whether anything is left.
    pub(super) fn has_some(&mut self, now: Instant) -> bool {
        let more = now.duration_since(self.at).as_nanos() / ONE_MORE.as_nanos();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(BURST)).min(BURST);
            self.at = now;
        }
        self.left > 0
    }

    /// An event was told.
    pub(super) fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_change_fast_when_enough_of_them_do_in_a_turn() {
        let start = Instant::now();
        let mut sample = Sample { changes: 5, at: start, is_fast: false };
        assert!(!sample.look(5 + FAST, start + TURN / 2), "not before a turn is over");
        assert!(sample.look(5 + FAST, start + TURN));
        assert!(sample.look(5 + FAST, start + TURN + TURN / 2));
        assert!(!sample.look(4 + 2 * FAST, start + 2 * TURN));
        assert!(!sample.look(3 + 5 * FAST, start + 5 * TURN), "a longer look does not make them faster");
        assert!(sample.look(3 + 7 * FAST, start + 7 * TURN));
        assert!(sample.look(3 + 10 * FAST, start + 1000 * TURN), "fast again after a quiet time");
    }

    #[test]
    fn a_stream_may_be_told_a_burst_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..BURST {
            assert!(allowance.has_some(start));
            allowance.take();
        }
        assert!(!allowance.has_some(start) && !allowance.has_some(start + ONE_MORE / 2));
        assert!(allowance.has_some(start + ONE_MORE));
        allowance.take();
        assert!(!allowance.has_some(start + ONE_MORE));
        assert!(allowance.has_some(start + 1000 * BURST * ONE_MORE));
        assert_eq!(allowance.left, BURST);
    }

    #[test]
    fn a_turn_is_waited_for_only_while_pods_change_fast() {
        // Without a clock, whoever sleeps panics.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let view = View::restore(&crate::model::Recovered::empty());
        let pace = Pace::new();
        runtime.block_on(async { tokio::join!(pace.turn(&view), pace.turn(&view)) });
        let later = Instant::now() + Duration::from_secs(3600);
        pace.lock().sample = Sample { changes: 0, at: later, is_fast: true };
        let sleeps = std::panic::AssertUnwindSafe(|| runtime.block_on(pace.turn(&view)));
        assert!(std::panic::catch_unwind(sleeps).is_err());
    }

    #[test]
    fn turns_are_given_one_after_the_other() {
        let start = Instant::now();
        let mut shared = Shared { sample: Sample { changes: 0, at: start, is_fast: false }, last: start };
        let given: Vec<Instant> = (0..3).map(|_| shared.take_turn(start)).collect();
        assert_eq!(given, [start + TURN, start + 2 * TURN, start + 3 * TURN]);
        assert_eq!(shared.take_turn(start + 9 * TURN), start + 10 * TURN);
    }
}
