//! Which slots are free, for several threads at once.
//!
//! Owns numbers, nothing of what lies behind them. Invariant: a number is in one list or with one taker.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Free slots of a thread that keep the pages they have; further ones are given back to the kernel.
pub(super) const WARM_MAX: usize = 64;

/// More threads than these share lists.
const SHARDS: usize = 64;

/// The free slots of the threads of one shard. A cache line of its own, or threads would slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Free>);

#[derive(Debug, Default)]
struct Free {
    /// The last used first: its pages are in the caches.
    warm: Vec<u32>,
    cold: Vec<u32>,
}

/// The free slots.
#[derive(Debug)]
pub(super) struct Slots {
    shards: Box<[Shard]>,
    /// Slots from here on were never used.
    fresh: AtomicU32,
    count: u32,
}

thread_local! {
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread's shard.
fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.get().unwrap_or_else(|| {
        let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        SHARD.set(Some(shard));
        shard
    })
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(), fresh: AtomicU32::new(0), count }
    }

    fn shard(&self, at: usize) -> MutexGuard<'_, Free> {
        self.shards[at].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free slot: of this thread, never used before, or of another thread.
    pub(super) fn take(&self) -> Option<u32> {
        let own = own();
        self.take_of(own)
            .or_else(|| self.take_fresh())
            .or_else(|| (1..SHARDS).find_map(|step| self.take_of((own + step) % SHARDS)))
    }

    fn take_of(&self, at: usize) -> Option<u32> {
        let mut free = self.shard(at);
        free.warm.pop().or_else(|| free.cold.pop())
    }

    fn take_fresh(&self) -> Option<u32> {
        let next = |fresh: u32| (fresh < self.count).then_some(fresh + 1);
        self.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    /// Whether another free slot of this thread would be one too many to keep its pages.
    pub(super) fn has_enough_warm(&self) -> bool {
        self.shard(own()).warm.len() >= WARM_MAX
    }

    /// Frees a slot that keeps its pages; false, and not freed, when there are enough of those.
    pub(super) fn give_warm(&self, slot: u32) -> bool {
        let mut free = self.shard(own());
        let has_room = free.warm.len() < WARM_MAX;
        if has_room {
            free.warm.push(slot);
        }
        has_room
    }

    /// Frees a slot whose pages are gone.
    pub(super) fn give_cold(&self, slot: u32) {
        self.shard(own()).cold.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_slot_is_taken_once_wherever_it_was_freed() {
        let slots = Slots::new(200);
        let all = || std::iter::from_fn(|| slots.take()).collect::<Vec<_>>();
        let first = all();
        assert_eq!(first.iter().copied().collect::<BTreeSet<_>>(), (0..200).collect());
        assert_eq!((first.len(), slots.take()), (200, None));
        let slots = &slots;
        std::thread::scope(|scope| {
            for part in first.chunks(70) {
                scope.spawn(move || {
                    for slot in part {
                        if !slots.give_warm(*slot) {
                            slots.give_cold(*slot);
                        }
                    }
                });
            }
        });
        let mut again = all();
        again.sort_unstable();
        assert_eq!(again, (0..200).collect::<Vec<_>>(), "from the lists of other threads");
    }

    #[test]
    fn a_thread_keeps_so_many_warm_slots_and_takes_the_last_one_first() {
        let slots = Slots::new(u32::MAX);
        let taken: Vec<u32> = std::iter::from_fn(|| slots.take()).take(WARM_MAX + 1).collect();
        let (last, kept) = taken.split_last().expect("some");
        for slot in kept {
            assert!(!slots.has_enough_warm() && slots.give_warm(*slot));
        }
        assert!(slots.has_enough_warm() && !slots.give_warm(*last));
        slots.give_cold(*last);
        let again: Vec<u32> = std::iter::from_fn(|| slots.take()).take(WARM_MAX + 1).collect();
        assert_eq!(again[..WARM_MAX], kept.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(again.last(), Some(last));
    }
}
