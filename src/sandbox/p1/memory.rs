//! A guest's memory as the host sees it during one call.
//!
//! Every access is checked: range first, then alignment, in the order of fields in which wasmtime-wasi goes, so that a bad
//! pointer ends a guest with the same words under both hosts.

use std::fmt;
use std::num::TryFromIntError;
use std::ops::Range;

/// The memory that a guest exports.
pub(super) struct Memory<'a>(pub(super) &'a mut [u8]);

/// A part of a guest's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    start: u32,
    len: u32,
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("start", &self.start).field("len", &self.len).finish()
    }
}

/// A call that breaks the interface's contract; it ends the guest. wasmtime-wasi's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("Pointer overflow")]
    Overflow,
    #[error("Pointer out of bounds: {0:?}")]
    OutOfBounds(Region),
    #[error("Pointer not aligned to {1}: {0:?}")]
    NotAligned(Region, usize),
    #[error("Invalid enum value {0}")]
    Enum(&'static str),
    #[error("Invalid flag value {0}")]
    Flag(&'static str),
    #[error("{0}")]
    Integer(TryFromIntError),
    #[error("requested len {0} exceeds limit {1}")]
    TooLong(u32, u32),
}

/// `at + by` in a guest's address space.
pub(super) fn add(at: u32, by: u32) -> Result<u32, Fault> {
    at.checked_add(by).ok_or(Fault::Overflow)
}

impl Memory<'_> {
    /// The bytes from `start` on, as a range into the memory.
    pub(super) fn range(&self, start: u32, len: u32) -> Result<Range<usize>, Fault> {
        let range = start as usize..start as usize + len as usize;
        if range.end > self.0.len() {
            return Err(Fault::OutOfBounds(Region { start, len }));
        }
        Ok(range)
    }

    /// The range of a number, which lies at a multiple of its size.
    fn number<const N: usize>(&self, at: u32) -> Result<Range<usize>, Fault> {
        let len = u32::try_from(N).expect("at most 8");
        let range = self.range(at, len)?;
        if range.start.is_multiple_of(N) { Ok(range) } else { Err(Fault::NotAligned(Region { start: at, len }, N)) }
    }

    fn read<const N: usize>(&self, at: u32) -> Result<[u8; N], Fault> {
        let range = self.number::<N>(at)?;
        Ok(*self.0[range].first_chunk().expect("as long as its range"))
    }

    pub(super) fn read_u8(&self, at: u32) -> Result<u8, Fault> {
        self.read(at).map(u8::from_le_bytes)
    }

    pub(super) fn read_u16(&self, at: u32) -> Result<u16, Fault> {
        self.read(at).map(u16::from_le_bytes)
    }

    pub(super) fn read_u32(&self, at: u32) -> Result<u32, Fault> {
        self.read(at).map(u32::from_le_bytes)
    }

    pub(super) fn read_u64(&self, at: u32) -> Result<u64, Fault> {
        self.read(at).map(u64::from_le_bytes)
    }

    /// Writes a number, in little-endian bytes.
    pub(super) fn write<const N: usize>(&mut self, at: u32, bytes: [u8; N]) -> Result<(), Fault> {
        let range = self.number::<N>(at)?;
        self.0[range].copy_from_slice(&bytes);
        Ok(())
    }

    /// Writes bytes and returns where the next ones go. No bytes can be written anywhere.
    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Result<u32, Fault> {
        let len = u32::try_from(bytes.len()).map_err(Fault::Integer)?;
        if !bytes.is_empty() {
            let range = self.range(at, len)?;
            self.0[range].copy_from_slice(bytes);
        }
        add(at, len)
    }
}
