//! A DWARF reader that stops after so many reads.
//!
//! Debug information comes with the module, so it can be made to keep a reader busy for hours (every unit may refer to
//! the same large line program). All of a parser's work and memory comes from what it reads, so counting reads bounds
//! both.

use addr2line::gimli::{EndianSlice, Error, LittleEndian, Reader, ReaderOffsetId, Result};
use std::borrow::Cow;
use std::cell::Cell;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// A part of a section, and what is left to read of all.
#[derive(Clone, Debug)]
pub(super) struct Metered<'a> {
    slice: Slice<'a>,
    left: &'a Cell<u64>,
}

impl<'a> Metered<'a> {
    pub(super) fn new(bytes: &'a [u8], left: &'a Cell<u64>) -> Self {
        Self { slice: EndianSlice::new(bytes, LittleEndian), left }
    }

    /// Takes 1 and one more for each 16 bytes touched.
    fn spend(&self, bytes: usize) -> Result<()> {
        let cost = 1 + u64::try_from(bytes / 16).unwrap_or(u64::MAX);
        match self.left.get().checked_sub(cost) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(Error::UnexpectedEof(self.slice.offset_id()))
            }
        }
    }
}

impl<'a> Reader for Metered<'a> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.slice.len()
    }

    fn empty(&mut self) {
        self.slice.empty();
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        self.slice.truncate(len)
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.slice.offset_from(base.slice)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        self.slice.offset_id()
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.slice.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let found = self.slice.find(byte);
        self.spend(found.unwrap_or_else(|| self.slice.len()))?;
        found.ok_or_else(|| Error::UnexpectedEof(self.slice.offset_id()))
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        self.spend(0)?;
        self.slice.skip(len)
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        self.spend(0)?;
        Ok(Self { slice: self.slice.split(len)?, left: self.left })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.spend(self.slice.len())?;
        Ok(Cow::Borrowed(self.slice.slice()))
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        self.spend(self.slice.len())?;
        Ok(Cow::Borrowed(self.slice.to_string()?))
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        self.spend(self.slice.len())?;
        Ok(self.slice.to_string_lossy())
    }

    fn read_slice(&mut self, buf: &mut [u8]) -> Result<()> {
        self.spend(buf.len())?;
        self.slice.read_slice(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_when_everything_is_spent() {
        let left = Cell::new(10);
        let bytes = [7; 100];
        let mut reader = Metered::new(&bytes, &left);
        let mut read = 0;
        while reader.read_u8().is_ok() {
            read += 1;
        }
        assert_eq!(read, 10);
        assert!(reader.clone().split(1).is_err() && reader.find(7).is_err(), "a copy shares what is left");
        assert_eq!(left.get(), 0);
    }

    #[test]
    fn a_long_search_costs_more_than_a_short_one() {
        let left = Cell::new(3);
        let bytes = [7; 100];
        assert!(Metered::new(&bytes, &left).find(0).is_err());
        assert_eq!(left.get(), 0);
    }
}
