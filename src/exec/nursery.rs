//! The guests of one worker: their futures, and who was woken.
//!
//! Owns slots that are used again and again, so that a short pod allocates no waker. Knows nothing of reports. Invariant: a
//! slot's waker only ever names the slot; a wake-up that comes late polls another guest once for nothing, which every
//! future must bear.

use super::guard::guarded;
use super::run::BoxedRun;
use super::{Busy, Outcome, PodLog};
use crate::base::{JobId, Time};
use crate::model::{Launch, LogExtent};
use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Slots that are kept when no guest is left.
const IDLE_SLOTS_MAX: usize = 1024;

/// A pod whose guest was instantiated, or is about to be.
pub(super) struct Guest<C> {
    pub(super) launch: Launch,
    pub(super) code: C,
    pub(super) started: Time,
    /// `Started` was reported.
    pub(super) is_announced: bool,
    pub(super) log: PodLog,
    /// The end of what is in the log's segments.
    pub(super) extent: LogExtent,
    /// It has output that waits for the worker's next flush.
    pub(super) is_dirty: bool,
    pub(super) run: BoxedRun,
}

impl<C> Guest<C> {
    pub(super) fn key(&self) -> (JobId, u32) {
        (self.launch.job, self.launch.ordinal)
    }
}

/// What a run that is over gave; a panic of the sandbox gives its text.
pub(super) type End = Result<Result<Outcome, Busy>, Box<str>>;

/// How a turn of a guest ended.
pub(super) enum Turn<C> {
    /// It waits or was interrupted by a tick.
    Parked,
    /// It ended and is in the nursery no more.
    Ended(Guest<C>, End),
}

struct Slot<C> {
    guest: Option<Guest<C>>,
    wake: Arc<SlotWake>,
    waker: Waker,
    /// The guest woke itself in its last turn: a tick interrupted it, it waits for nothing.
    is_computing: bool,
}

/// Wakes one slot.
struct SlotWake {
    slot: usize,
    is_woken: AtomicBool,
    bell: Arc<Bell>,
}

/// Slots that were woken, and whom to tell.
#[derive(Default)]
struct Bell {
    state: Mutex<BellState>,
}

#[derive(Default)]
struct BellState {
    woken: Vec<usize>,
    worker: Option<Waker>,
}

impl Wake for SlotWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.bell.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.woken.push(self.slot);
        if let Some(worker) = &state.worker {
            worker.wake_by_ref();
        }
    }
}

/// One worker's guests.
pub(super) struct Nursery<C> {
    slots: Vec<Slot<C>>,
    free: Vec<usize>,
    by_pod: HashMap<(JobId, u32), usize>,
    bell: Arc<Bell>,
    /// Woken guests that had waited for something.
    woken: VecDeque<usize>,
    /// Woken guests that only wait for their next turn.
    computing: VecDeque<usize>,
}

impl<C> Nursery<C> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_pod: HashMap::new(),
            bell: Arc::default(),
            woken: VecDeque::new(),
            computing: VecDeque::new(),
        }
    }

    /// How many guests are parked.
    pub(super) fn len(&self) -> usize {
        self.by_pod.len()
    }

    /// Collects who was woken; from here on `worker` is told of others.
    pub(super) fn take_woken(&mut self, worker: &Waker) {
        let mut state = self.bell.state.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in state.woken.drain(..) {
            let is_computing = self.slots.get(slot).is_some_and(|slot| slot.is_computing);
            if is_computing { &mut self.computing } else { &mut self.woken }.push_back(slot);
        }
        if !state.worker.as_ref().is_some_and(|known| known.will_wake(worker)) {
            state.worker = Some(worker.clone());
        }
    }

    /// How many woken guests that waited for something wait for a turn.
    pub(super) fn woken(&self) -> usize {
        self.woken.len()
    }

    /// The longest woken slot of those.
    pub(super) fn next_woken(&mut self) -> Option<usize> {
        self.woken.pop_front()
    }

    /// How many interrupted guests wait for a turn.
    pub(super) fn computing(&self) -> usize {
        self.computing.len()
    }

    /// The longest interrupted slot.
    pub(super) fn next_computing(&mut self) -> Option<usize> {
        self.computing.pop_front()
    }

    /// The guest in a slot.
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Guest<C>> {
        self.slots.get_mut(slot)?.guest.as_mut()
    }

    /// Takes out all guests.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Guest<C>> {
        self.by_pod.clear();
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.guest)
    }

    /// Gives a new guest its first turn. Returns the slot in which it is if it was parked.
    pub(super) fn start(&mut self, guest: Guest<C>) -> (usize, Turn<C>) {
        let slot = self.free.pop().unwrap_or_else(|| self.add_slot());
        let pod = guest.key();
        self.slots[slot].guest = Some(guest);
        let turn = self.turn(slot).expect("the guest was just put there");
        match turn {
            Turn::Parked => drop(self.by_pod.insert(pod, slot)),
            Turn::Ended(..) => self.free.push(slot),
        }
        (slot, turn)
    }

    /// Gives the guest in `slot` a turn; `None` when there is none.
    pub(super) fn poll(&mut self, slot: usize) -> Option<Turn<C>> {
        let turn = self.turn(slot)?;
        if let Turn::Ended(guest, _) = &turn {
            self.by_pod.remove(&guest.key());
            self.release(slot);
        }
        Some(turn)
    }

    fn turn(&mut self, slot: usize) -> Option<Turn<C>> {
        let Slot { guest, wake, waker, is_computing } = self.slots.get_mut(slot)?;
        let run = &mut guest.as_mut()?.run;
        wake.is_woken.store(false, Ordering::Release);
        let mut context = Context::from_waker(waker);
        // A worker's turn is one poll for tokio: its budget for one task is not meant for hundreds of guests.
        let run = poll_fn(|context| run.as_mut().poll(context));
        let polled = guarded(|| pin!(tokio::task::coop::unconstrained(run)).poll(&mut context));
        *is_computing = wake.is_woken.load(Ordering::Acquire);
        let end = match polled {
            Ok(Poll::Pending) => return Some(Turn::Parked),
            Ok(Poll::Ready(end)) => Ok(end),
            Err(panic) => Err(panic),
        };
        guest.take().map(|guest| Turn::Ended(guest, end))
    }

    /// Takes out the guest of a pod.
    pub(super) fn remove(&mut self, pod: (JobId, u32)) -> Option<Guest<C>> {
        let slot = self.by_pod.remove(&pod)?;
        let guest = self.slots[slot].guest.take();
        self.release(slot);
        guest
    }

    fn release(&mut self, slot: usize) {
        self.free.push(slot);
        if self.by_pod.is_empty() && self.slots.len() > IDLE_SLOTS_MAX {
            self.slots = Vec::new();
            self.free = Vec::new();
            self.by_pod.shrink_to(IDLE_SLOTS_MAX);
        }
    }

    fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let wake = Arc::new(SlotWake { slot, is_woken: AtomicBool::new(false), bell: self.bell.clone() });
        self.slots.push(Slot { guest: None, waker: wake.clone().into(), wake, is_computing: false });
        slot
    }
}
