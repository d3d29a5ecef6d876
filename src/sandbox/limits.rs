//! What a guest may take of memory.

use crate::modules::TABLE_ELEMENTS_MAX;
use std::fmt;
use wasmtime::ResourceLimiter;

/// What an element of a table takes (wasmtime: a pointer).
const TABLE_ELEMENT_BYTES: usize = 8;

/// The sum of a guest's memories and tables, and its limit.
#[derive(Debug)]
pub(super) struct Limits {
    limit_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    /// What the growth that is under way adds, to be given back if it fails.
    growing_bytes: u64,
}

/// A guest asked for more than its limit. Ends it, unlike a growth past its own declared maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverLimit {
    pub(super) limit_bytes: u64,
    pub(super) asked_bytes: u64,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory limit {} reached (asked for {})", Mib(self.limit_bytes), Mib(self.asked_bytes))
    }
}

impl std::error::Error for OverLimit {}

/// Bytes as MiB with one digit after the point, rounded up so that a little over a limit does not look like it.
struct Mib(u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u128::from(self.0) * 10).div_ceil(1 << 20);
        match tenths % 10 {
            0 => write!(f, "{} MiB", tenths / 10),
            tenth => write!(f, "{}.{tenth} MiB", tenths / 10),
        }
    }
}

impl Limits {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, used_bytes: 0, peak_bytes: 0, growing_bytes: 0 }
    }

    pub(super) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: usize) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The module's own maximum, or what no pod can have: -1, as the WebAssembly specification says.
            self.growing_bytes = 0;
            return Ok(false);
        }
        let added = u64::try_from(desired.saturating_sub(current).saturating_mul(unit)).unwrap_or(u64::MAX);
        let asked_bytes = self.used_bytes.saturating_add(added);
        if asked_bytes > self.limit_bytes {
            return Err(OverLimit { limit_bytes: self.limit_bytes, asked_bytes }.into());
        }
        self.growing_bytes = added;
        self.used_bytes = asked_bytes;
        self.peak_bytes = self.peak_bytes.max(asked_bytes);
        Ok(true)
    }

    fn give_back(&mut self) {
        self.used_bytes -= std::mem::take(&mut self.growing_bytes);
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current, desired, maximum, 1)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What no pod can have, on either engine: only the pool has such a maximum of its own.
        let pod_maximum = usize::try_from(TABLE_ELEMENTS_MAX).expect("a 64-bit system");
        let maximum = maximum.map_or(pod_maximum, |maximum| maximum.min(pod_maximum));
        self.grow(current, desired, Some(maximum), TABLE_ELEMENT_BYTES)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_to_a_tenth() {
        let over = |asked_bytes| OverLimit { limit_bytes: 64 << 20, asked_bytes }.to_string();
        assert_eq!(over((64 << 20) + (64 << 10)), "memory limit 64 MiB reached (asked for 64.1 MiB)");
        assert_eq!(over((64 << 20) + 1), "memory limit 64 MiB reached (asked for 64.1 MiB)");
        assert_eq!(over(65 << 20), "memory limit 64 MiB reached (asked for 65 MiB)");
        assert_eq!(over(u64::MAX), "memory limit 64 MiB reached (asked for 17592186044416 MiB)");
    }

    #[test]
    fn memories_and_tables_add_up() {
        let mut limits = Limits::new(1000);
        assert!(limits.memory_growing(0, 600, None).expect("fits"));
        assert!(limits.table_growing(0, 50, None).expect("fits exactly"));
        assert_eq!(limits.peak_bytes(), 1000);
        let error = limits.table_growing(50, 51, None).expect_err("one element too many");
        assert_eq!(error.downcast_ref(), Some(&OverLimit { limit_bytes: 1000, asked_bytes: 1008 }));
    }

    #[test]
    fn a_growth_that_fails_gives_back_what_it_took() {
        let mut limits = Limits::new(1000);
        assert!(limits.memory_growing(0, 600, Some(2000)).expect("fits"));
        assert!(limits.memory_growing(600, 1000, Some(2000)).expect("fits"));
        limits.memory_grow_failed(wasmtime::Error::msg("no memory")).expect("taken note");
        assert!(!limits.memory_growing(600, 2001, Some(2000)).expect("past its maximum"));
        limits.memory_grow_failed(wasmtime::Error::msg("past its maximum")).expect("taken note");
        assert!(limits.memory_growing(600, 1000, Some(2000)).expect("fits again"));
        assert!(limits.memory_growing(1000, 1001, Some(2000)).is_err());
    }
}
