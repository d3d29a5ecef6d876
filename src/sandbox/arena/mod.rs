//! Memories and stacks of small pods: a slot each in two large mappings, cleaned between pods without changing a mapping.
//!
//! Owns which slot is whose and when it is clean; knows nothing of modules and templates. Start with [`Arena::seat`]; `map`
//! speaks with the kernel. Invariant: a slot that is handed out holds only zeros in its memory, and nobody else has it.
//!
//! Only for engines with `signals_based_traps(false)`: every byte of a slot can be read and written, so it is the compiled
//! code that must check each access against the memory's size, as it does with that setting.

#![expect(unsafe_code, reason = "wasmtime's contract for memories and stacks of one's own is unsafe")]

mod map;
mod slots;
#[cfg(test)]
mod tests;

use map::{Guards, Map, PageMap};
use slots::Slots;
use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType, StackCreator, StackMemory};

/// Address space of one memory, bytes: the largest memory limit of a pod that fits.
pub(super) const SLOT_BYTES: usize = 256 << 20;
/// Where the address space is short, slots are halved down to this.
const SLOT_BYTES_MIN: usize = 16 << 20;
/// Where the address space is short, there are fewer slots before they become smaller.
const SLOTS_FEW: usize = 1024;
/// A stack and its guard page, bytes.
const STACK_SLOT_BYTES: usize = 256 << 10;

/// A memory up to this size is zeroed as it is: cheaper than asking which of its pages were written.
const ZERO_BYTES_MAX: usize = 64 << 10;
/// Of a larger one, at the most this much is kept resident and zeroed, bytes; the rest goes back to the kernel.
const KEEP_BYTES_MAX: usize = 1 << 20;

/// What holds a slot. It is free when none of these is set.
const SEAT: u8 = 1;
const MEMORY: u8 = 2;
const STACK: u8 = 4;
const HOLDERS: u8 = SEAT | MEMORY | STACK;
/// Its stack has its guard.
const GUARDED: u8 = 8;
/// Its memory was given back to the kernel when it was freed.
const COLD: u8 = 16;

/// Room for the memories and stacks of many pods.
#[derive(Debug)]
pub(super) struct Arena {
    memories: Map,
    stacks: Map,
    slot_bytes: usize,
    guards: Guards,
    pagemap: Option<PageMap>,
    states: Box<[AtomicU8]>,
    slots: Slots,
}

thread_local! {
    /// The seat whose pod is polled on this thread: its arena's address and its slot.
    static SEATED: Cell<Option<(usize, u32)>> = const { Cell::new(None) };
}

impl Arena {
    /// An arena of `slots` slots, or of fewer or smaller ones where the address space is short.
    ///
    /// # Errors
    /// Not even one small slot can be had.
    pub(super) fn new(slots: usize) -> io::Result<Arc<Self>> {
        Self::with_pagemap(slots, PageMap::open())
    }

    fn with_pagemap(asked: usize, pagemap: Option<PageMap>) -> io::Result<Arc<Self>> {
        let asked = asked.clamp(1, super::engine::SLOTS_MAX_S);
        let (memories, shape) = reserve(asked)?;
        let stacks = Map::reserve(shape.slots * STACK_SLOT_BYTES)?;
        // SAFETY: the mapping was just made, nobody uses it.
        let guards = unsafe { Guards::probe(&stacks) };
        let slots = shape.slots.min(guards.slots_max());
        if (slots, shape.slot_bytes) != (asked, SLOT_BYTES) {
            let slot_mib = shape.slot_bytes >> 20;
            tracing::warn!(asked, slots, slot_mib, ?guards, "the system holds fewer or smaller pods than asked for");
        }
        Ok(Arc::new(Self {
            memories,
            stacks,
            slot_bytes: shape.slot_bytes,
            guards,
            pagemap,
            states: std::iter::repeat_with(AtomicU8::default).take(slots).collect(),
            slots: Slots::new(u32::try_from(slots).expect("at most SLOTS_MAX_S")),
        }))
    }

    /// How many pods have room at once.
    pub(super) fn slots(&self) -> usize {
        self.states.len()
    }

    /// Address space of a memory, bytes.
    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// Size of a stack without its guard, bytes.
    pub(super) fn stack_bytes(&self) -> usize {
        STACK_SLOT_BYTES - map::page_bytes()
    }

    /// Whether pages that were written are found by PAGEMAP_SCAN.
    pub(super) fn scans(&self) -> bool {
        self.pagemap.is_some()
    }

    /// Room for a pod; `None` when every slot is taken.
    pub(super) fn seat(&self) -> Option<Seat<'_>> {
        let slot = self.slots.take()?;
        let before = self.state(slot).fetch_or(SEAT, Ordering::Acquire);
        assert!(before & HOLDERS == 0, "a free slot has no holder");
        Some(Seat { arena: self, slot })
    }

    fn state(&self, slot: u32) -> &AtomicU8 {
        &self.states[slot as usize]
    }

    /// Takes the memory or the stack of the pod that is polled on this thread.
    fn claim(&self, holder: u8) -> Result<u32, &'static str> {
        let Some((arena, slot)) = SEATED.get() else { return Err("no pod is polled on this thread") };
        if arena != std::ptr::from_ref(self).addr() {
            return Err("the pod that is polled has its seat in another arena");
        }
        if self.state(slot).fetch_or(holder, Ordering::Acquire) & holder != 0 {
            return Err("a pod of a small slot has one memory and one stack");
        }
        Ok(slot)
    }

    /// Gives up one hold on a slot; with the last one it is free.
    fn let_go(&self, slot: u32, holder: u8) {
        let before = self.state(slot).fetch_and(!holder, Ordering::AcqRel);
        if before & HOLDERS == holder {
            self.free(slot);
        }
    }

    fn free(&self, slot: u32) {
        let is_cold = self.state(slot).fetch_and(!COLD, Ordering::Relaxed) & COLD != 0;
        if !is_cold && self.slots.give_warm(slot) {
            return;
        }
        let memory = if is_cold { 0..0 } else { self.memory_at(slot, self.slot_bytes) };
        // SAFETY: the last holder is gone and the slot is in no list yet: nobody else uses these ranges.
        unsafe {
            self.memories.discard(memory);
            self.stacks.discard(self.stack_at(slot));
        }
        self.slots.give_cold(slot);
    }

    /// Zeroes the first `bytes` of a slot's memory, the only ones that can have been written. What would only wait among
    /// too many free slots goes back to the kernel at once.
    fn clean(&self, slot: u32, bytes: usize) {
        let dirty = self.memory_at(slot, bytes.next_multiple_of(map::page_bytes()));
        // SAFETY: the caller is dropping the memory: nobody uses its range any more and nobody will before it is free.
        unsafe {
            if self.slots.has_enough_warm() {
                self.memories.discard(self.memory_at(slot, self.slot_bytes));
                self.state(slot).fetch_or(COLD, Ordering::Relaxed);
            } else if bytes <= ZERO_BYTES_MAX {
                self.memories.zero(dirty);
            } else {
                let rest = match &self.pagemap {
                    Some(pagemap) => pagemap.zero_written(&self.memories, dirty, KEEP_BYTES_MAX),
                    None => dirty,
                };
                self.memories.discard(rest);
            }
        }
    }

    fn memory_at(&self, slot: u32, bytes: usize) -> Range<usize> {
        debug_assert!(bytes <= self.slot_bytes, "a memory is not larger than its slot");
        let start = slot as usize * self.slot_bytes;
        start..start + bytes
    }

    fn guard_at(slot: u32) -> Range<usize> {
        let start = slot as usize * STACK_SLOT_BYTES;
        start..start + map::page_bytes()
    }

    fn stack_at(&self, slot: u32) -> Range<usize> {
        let guard = Self::guard_at(slot);
        guard.end..guard.start + STACK_SLOT_BYTES
    }
}

/// How an arena is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    slots: usize,
    slot_bytes: usize,
}

/// What to ask for, the best first: all slots at full size, fewer, smaller, and fewer still.
fn shapes(asked: usize) -> impl Iterator<Item = Shape> {
    let halves = |from: usize, down_to: usize| {
        std::iter::successors(Some(from), move |n| (*n > down_to).then_some((n / 2).max(down_to)))
    };
    let few = asked.min(SLOTS_FEW);
    let full = halves(asked, few).map(|slots| Shape { slots, slot_bytes: SLOT_BYTES });
    let small = halves(SLOT_BYTES, SLOT_BYTES_MIN).skip(1).map(move |slot_bytes| Shape { slots: few, slot_bytes });
    let last = halves(few, 1).skip(1).map(|slots| Shape { slots, slot_bytes: SLOT_BYTES_MIN });
    full.chain(small).chain(last)
}

/// Reserves the memories. Where the address space is short, the rest of the process is left as much as is taken.
fn reserve(asked: usize) -> io::Result<(Map, Shape)> {
    let mut error = io::Error::from(io::ErrorKind::OutOfMemory);
    for (tries, shape) in shapes(asked).enumerate() {
        let bytes = shape.slots * shape.slot_bytes;
        let room = if tries == 0 { bytes } else { bytes * 2 };
        match Map::reserve(room).and_then(|map| {
            if room == bytes {
                Ok(map)
            } else {
                drop(map);
                Map::reserve(bytes)
            }
        }) {
            Ok(map) => return Ok((map, shape)),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// A pod's hold on a slot. Its memory and its stack are made while [`Seat::enter`] runs, and hold the slot as well.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    arena: &'a Arena,
    slot: u32,
}

impl Seat<'_> {
    /// Does `work` (one poll of the pod) with this seat as the one that memories and stacks are taken from.
    pub(super) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Leave(Option<(usize, u32)>);
        impl Drop for Leave {
            fn drop(&mut self) {
                SEATED.set(self.0);
            }
        }
        let _leave = Leave(SEATED.replace(Some((std::ptr::from_ref(self.arena).addr(), self.slot))));
        work()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.arena.let_go(self.slot, SEAT);
    }
}

/// What wasmtime asks for memories and stacks.
pub(super) struct Creator(pub(super) Arc<Arena>);

/// A memory in its slot.
struct Memory {
    arena: Arc<Arena>,
    slot: u32,
    bytes: usize,
}

// SAFETY: a memory lies in a range of its own (its slot was claimed for it alone and is freed when it is dropped) that is
// readable and writable as a whole, never moves, and holds zeros. The compiled code checks each access against the size:
// `engine` sets `signals_based_traps(false)` wherever it sets this creator, so no guard is needed behind it.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let slot_bytes = self.0.slot_bytes;
        if minimum > slot_bytes || reserved.is_some_and(|reserved| reserved > slot_bytes) || guard > 0 {
            return Err(format!("a memory of {minimum} bytes does not fit a slot of {slot_bytes}"));
        }
        let slot = self.0.claim(MEMORY).map_err(str::to_owned)?;
        Ok(Box::new(Memory { arena: Arc::clone(&self.0), slot, bytes: minimum }))
    }
}

// SAFETY: as above; the size only grows, within the slot, all of which is readable and writable.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.arena.slot_bytes
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes > self.arena.slot_bytes {
            return Err(wasmtime::Error::msg("the slot is full"));
        }
        // Never less: what was written once has to be cleaned.
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.arena.memories.at(self.arena.memory_at(self.slot, 0).start)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.arena.clean(self.slot, self.bytes);
        self.arena.let_go(self.slot, MEMORY);
    }
}

/// A stack in its slot.
struct Stack {
    arena: Arc<Arena>,
    slot: u32,
}

// SAFETY: a stack lies in a range of its own, page-aligned, with a guard page beneath it that is there before the stack is
// handed out. It may hold what another pod's host calls left: `async_stack_zeroing` is refused, and compiled code never
// reads of its stack what it did not write.
unsafe impl StackCreator for Creator {
    fn new_stack(&self, size: usize, zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let arena = &self.0;
        if zeroed || size > arena.stack_bytes() {
            return Err(wasmtime::Error::msg("the arena has no such stacks"));
        }
        let slot = arena.claim(STACK).map_err(wasmtime::Error::msg)?;
        let stack = Stack { arena: Arc::clone(arena), slot };
        if arena.state(slot).load(Ordering::Relaxed) & GUARDED == 0 {
            // SAFETY: the slot is this stack's, and nothing of it is in use yet.
            unsafe { arena.guards.install(&arena.stacks, Arena::guard_at(slot)) }?;
            arena.state(slot).fetch_or(GUARDED, Ordering::Relaxed);
        }
        Ok(Box::new(stack))
    }
}

// SAFETY: see `StackCreator`.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        let arena = &self.arena;
        // One past the last byte of the range.
        arena.stacks.at(arena.stack_at(self.slot).start).wrapping_add(arena.stack_bytes())
    }

    fn range(&self) -> Range<usize> {
        let start = self.arena.stacks.at(self.arena.stack_at(self.slot).start).addr();
        start..start + self.arena.stack_bytes()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let start = self.arena.stacks.at(Arena::guard_at(self.slot).start);
        start..start.wrapping_add(map::page_bytes())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.arena.let_go(self.slot, STACK);
    }
}
