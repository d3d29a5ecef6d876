//! The settings of both engines, with and without fuel.
//!
//! The large one: full-speed code and memories of up to 4 GiB. The small one: memories and stacks of the arena, for many pods
//! at once and for short ones.
//!
//! The numbers in the comments are CPU time a pod, wasmtime 48 on Linux 6.18.

use super::arena::{Arena, Creator};
use crate::modules::{MEMORIES_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use std::num::NonZeroUsize;
use std::sync::Arc;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// The most pods of the small engine that can be alive at once: 25.6 TB of address space, no memory before they start.
pub const SLOTS_MAX_S: usize = 100_000;

/// The most pods of the large engine that can be alive at once. Each slot takes two of the kernel's 65,530 mappings before
/// its first pod (the guard page of its stack) and some more with one: 20,000 slots ran out of them at 6,365 pods. A slot
/// reserves 4 GiB of address space.
pub const SLOTS_MAX_L: usize = 4096;

/// Whether instructions are counted. Part of the compiled code: each variant has its own engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fuel {
    Counted,
    Free,
}

/// Guard behind each memory of the large engine: an access that the compiler did not check traps there.
const GUARD_BYTES: u64 = 32 << 20;
/// What stays resident of a memory when its pod has ended. The pages that were written are found by PAGEMAP_SCAN and
/// zeroed: 9 µs a pod where `madvise` takes 28.
const MEMORY_KEEP_RESIDENT: usize = 1 << 20;
const TABLE_KEEP_RESIDENT: usize = 4096;
const BACKTRACE_FRAMES_MAX: usize = 64;
/// What a small pod's own calls may take of its stack; the rest is for the host's calls.
const WASM_STACK_BYTES_MAX: usize = 128 << 10;

/// The small engine: slots of `arena`, each access checked by the compiled code.
///
/// # Errors
/// wasmtime refuses the settings, which is a defect of this build.
pub(super) fn small(arena: &Arc<Arena>, fuel: Fuel) -> wasmtime::Result<Engine> {
    let mut config = common(fuel);
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .with_host_memory(Arc::new(Creator(Arc::clone(arena))))
        .with_host_stack(Arc::new(Creator(Arc::clone(arena))))
        // The arena's slots are writable as a whole: it is the compiled code that must check every access.
        .signals_based_traps(false)
        .memory_reservation(u64::try_from(arena.slot_bytes()).expect("a 64-bit system"))
        .memory_guard_size(0)
        .guard_before_linear_memory(false)
        .memory_may_move(false)
        .memory_init_cow(false)
        .max_wasm_stack(WASM_STACK_BYTES_MAX)
        .async_stack_size(arena.stack_bytes());
    Engine::new(&config)
}

/// The large engine, with room for `slots` pods, or for as many as the address space takes: each one reserves 4 GiB and
/// its guard, so a refusal is answered by asking for half.
///
/// # Errors
/// Not even one slot can be had.
pub(super) fn large(slots: usize, fuel: Fuel) -> wasmtime::Result<(Engine, usize)> {
    let asked = slots.clamp(1, SLOTS_MAX_L);
    let mut slots = asked;
    loop {
        match Engine::new(&pooled(slots, fuel)) {
            Ok(engine) => {
                if slots < asked {
                    tracing::warn!(asked, slots, "the address space holds fewer large pods than asked for");
                }
                return Ok((engine, slots));
            }
            Err(error) if slots == 1 => return Err(error),
            Err(_) => slots /= 2,
        }
    }
}

fn common(fuel: Fuel) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(fuel == Fuel::Counted)
        .async_stack_zeroing(false)
        // Details would parse the guest's DWARF on every trap, on the worker: 4 ms. `symbolise` does it later.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
    config
}

fn pooled(slots: usize, fuel: Fuel) -> Config {
    let mut config = common(fuel);
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)))
        .memory_reservation(MEMORY_BYTES_MAX)
        .memory_guard_size(GUARD_BYTES)
        .signals_based_traps(true);
    config
}

fn pool(slots: usize) -> PoolingAllocationConfig {
    let count = |n: usize| u32::try_from(n).expect("at most SLOTS_MAX_L");
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(count(slots))
        .total_stacks(count(slots))
        // A module with more than one memory takes as many slots; the smallest pool still fits the largest module.
        .total_memories(count(slots.max(MEMORIES_MAX)))
        .total_tables(count(slots.max(TABLES_MAX)))
        .max_memories_per_module(count(MEMORIES_MAX))
        .max_tables_per_module(count(TABLES_MAX))
        .max_memory_size(usize::try_from(MEMORY_BYTES_MAX).expect("a 64-bit system"))
        .table_elements(usize::try_from(TABLE_ELEMENTS_MAX).expect("a 64-bit system"))
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .pagemap_scan(pagemap_scan());
    pool
}

/// PAGEMAP_SCAN does not see dirty pages that were swapped out, so they would keep what the last pod wrote: it is used
/// only where there is no swap.
fn pagemap_scan() -> Enabled {
    if may_swap() { Enabled::No } else { Enabled::Auto }
}

/// Whether this system has swap, or does not say.
pub(super) fn may_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").map_or(true, |swaps| has_swap(&swaps))
}

/// `/proc/swaps` is a line of titles and a line for each area.
fn has_swap(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_seen() {
        assert!(!has_swap("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"));
        assert!(has_swap("Filename Type Size Used Priority\n/dev/sda2 partition 8388604 0 -2\n"));
    }

    #[test]
    fn the_engines_take_the_features_that_modules_are_inspected_for() {
        let arena = Arena::new(1).expect("one slot");
        for fuel in [Fuel::Free, Fuel::Counted] {
            let (large, _) = large(1, fuel).expect("one slot");
            let small = small(&arena, fuel).expect("good settings");
            assert_eq!([large, small].map(|engine| engine.get_wasm_features()), [crate::modules::features(); 2]);
        }
    }

    #[test]
    fn the_small_engine_never_trusts_the_mapping() {
        let engine = small(&Arena::new(1).expect("one slot"), Fuel::Free).expect("good settings");
        assert!(!engine.get_signals_based_traps(), "an arena's slot has no guard");
    }

    #[test]
    fn slots_are_clamped_to_what_the_system_can_hold() {
        assert_eq!(large(0, Fuel::Free).expect("one slot").1, 1);
        let (_, slots) = large(usize::MAX, Fuel::Free).expect("fewer slots");
        assert!((1..=SLOTS_MAX_L).contains(&slots), "{slots}");
        assert_eq!(Arena::new(0).expect("one slot").slots(), 1);
        let slots = Arena::new(usize::MAX).expect("fewer slots").slots();
        assert!((1..=SLOTS_MAX_S).contains(&slots), "{slots}");
    }
}
