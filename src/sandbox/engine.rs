//! The engine's settings, with and without fuel: full-speed code and large memories, cleaned cheaply between pods.
//!
//! The numbers in the comments are CPU time a pod, wasmtime 48 on Linux 6.18.

use crate::modules::{MEMORIES_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use std::num::NonZeroUsize;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// The most pods that can be alive at once. Each slot takes two of the kernel's 65,530 mappings before its first pod
/// (the guard page of its stack) and some more with one: 20,000 slots ran out of them at 6,365 pods.
pub const SLOTS_MAX: usize = 10_000;

/// Whether instructions are counted. Part of the compiled code: each variant has its own engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fuel {
    Counted,
    Free,
}

/// Guard behind each memory: an access that the compiler did not check traps there.
const GUARD_BYTES: u64 = 32 << 20;
/// What stays resident of a memory when its pod has ended. The pages that were written are found by PAGEMAP_SCAN and
/// zeroed: 9 µs a pod where `madvise` takes 28.
const MEMORY_KEEP_RESIDENT: usize = 1 << 20;
const TABLE_KEEP_RESIDENT: usize = 4096;
const BACKTRACE_FRAMES_MAX: usize = 64;

/// An engine with room for `slots` pods, or for as many as the address space takes: each one reserves 4 GiB and its
/// guard, so a refusal is answered by asking for half.
///
/// # Errors
/// Not even one slot can be had.
pub(super) fn engine(slots: usize, fuel: Fuel) -> wasmtime::Result<(Engine, usize)> {
    let asked = slots.clamp(1, SLOTS_MAX);
    let mut slots = asked;
    loop {
        match Engine::new(&config(slots, fuel)) {
            Ok(engine) => {
                if slots < asked {
                    tracing::warn!(asked, slots, "the address space holds fewer pods than asked for");
                }
                return Ok((engine, slots));
            }
            Err(error) if slots == 1 => return Err(error),
            Err(_) => slots /= 2,
        }
    }
}

fn config(slots: usize, fuel: Fuel) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)))
        .memory_reservation(MEMORY_BYTES_MAX)
        .memory_guard_size(GUARD_BYTES)
        .signals_based_traps(true)
        .epoch_interruption(true)
        .consume_fuel(fuel == Fuel::Counted)
        .async_stack_zeroing(false)
        // Details would parse the guest's DWARF on every trap, on the worker: 4 ms. `symbolise` does it later.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
    config
}

fn pool(slots: usize) -> PoolingAllocationConfig {
    let count = |n: usize| u32::try_from(n).expect("at most SLOTS_MAX");
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
    match std::fs::read_to_string("/proc/swaps") {
        Ok(swaps) if !has_swap(&swaps) => Enabled::Auto,
        _ => Enabled::No,
    }
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
    fn the_engine_takes_the_features_that_modules_are_inspected_for() {
        let (engine, _) = engine(1, Fuel::Free).expect("one slot");
        assert_eq!(engine.get_wasm_features(), crate::modules::features());
    }

    #[test]
    fn slots_are_clamped_to_what_the_system_can_hold() {
        assert_eq!(engine(0, Fuel::Free).expect("one slot").1, 1);
        let (_, slots) = engine(usize::MAX, Fuel::Free).expect("fewer slots");
        assert!((1..=SLOTS_MAX).contains(&slots), "{slots}");
    }
}
