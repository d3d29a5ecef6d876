//! Newtypes for the ids that cross rooms.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A Job's number: given once, in order of creation, never again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct JobId(pub u32);

/// What an index field holds when the Job is not Indexed.
pub const NO_INDEX: u32 = u32::MAX;

/// A Kubernetes object's uid: 128 bits, printed as an RFC 9562 version 4 UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Uid(pub u128);

impl Uid {
    /// Puts the version and variant bits of a version 4 UUID over `bits`.
    #[must_use]
    pub fn v4(bits: u128) -> Self {
        let version = (bits & !(0xf_u128 << 76)) | (0x4_u128 << 76);
        Self((version & !(0x3_u128 << 62)) | (0x2_u128 << 62))
    }

    /// Reads the 36-character form; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text.as_bytes()[at] != b'-') {
            return None;
        }
        let hex: String = text.chars().filter(|&c| c != '-').collect();
        (hex.len() == 32).then(|| u128::from_str_radix(&hex, 16).ok().map(Self))?
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hi = self.0 >> 64;
        let lo = self.0 & u128::from(u64::MAX);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            hi >> 32,
            (hi >> 16) & 0xffff,
            hi & 0xffff,
            lo >> 48,
            lo & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_prints_as_version_4_and_reads_back() {
        for bits in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let uid = Uid::v4(bits);
            let text = uid.to_string();
            assert_eq!(text.as_bytes()[14], b'4', "{text}");
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
            assert_eq!(Uid::parse(&text), Some(uid));
        }
    }

    #[test]
    fn what_is_not_a_uid_is_refused() {
        for text in ["", "x", "01234567-89ab-4def-8123-456789abcde", "0123456789ab-4def-8123-456789abcdef-0000", "é"] {
            assert_eq!(Uid::parse(text), None, "{text}");
        }
    }
}
