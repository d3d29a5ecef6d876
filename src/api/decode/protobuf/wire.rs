//! Protobuf's wire format: a message as a sequence of numbered fields.
//!
//! Knows no message. Invariant: any bytes end in a field or a [`Fault`], and every step reads at least one byte.

use super::Fault;

/// What a field carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2: a text, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5, which no field of ours has.
    Fixed,
}

/// A field as it stands in a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) payload: Payload<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn bytes(&self, name: &str) -> Result<&'a [u8], Fault> {
        match self.payload {
            Payload::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong_type(name)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes(name)?)
            .map_err(|_| Fault::broken(format!("proto: field {name} contains invalid UTF-8")))
    }

    pub(super) fn varint(&self, name: &str) -> Result<u64, Fault> {
        match self.payload {
            Payload::Varint(value) => Ok(value),
            _ => Err(wrong_type(name)),
        }
    }
}

fn wrong_type(name: &str) -> Fault {
    Fault::broken(format!("proto: wrong wireType for field {name}"))
}

fn cut() -> Fault {
    Fault::broken("unexpected EOF")
}

/// The fields of a message in order; ends after the first fault.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Result<Field<'a>, Fault> {
        let key = varint(&mut self.0)?;
        let (number, wire_type) = (key >> 3, key & 7);
        // kubernetes' messages have no groups (wire types 3 and 4).
        let payload = match wire_type {
            0 => Payload::Varint(varint(&mut self.0)?),
            1 => self.take(8).map(|_| Payload::Fixed)?,
            2 => {
                let len = varint(&mut self.0)?;
                Payload::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Payload::Fixed)?,
            _ => return Err(Fault::broken(format!("proto: illegal wireType {wire_type}"))),
        };
        match number {
            0 => Err(Fault::broken(format!("proto: illegal tag 0 (wire type {wire_type})"))),
            number => Ok(Field { number, payload }),
        }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Fault> {
        let (taken, rest) = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len)).ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Takes a number of up to ten bytes, seven bits each, the lowest first.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(cut)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Fault::broken("proto: integer overflow"))
}
