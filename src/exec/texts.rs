//! Arguments or an environment in one buffer, in the form in which WASI copies them into a guest.
//!
//! A sleeper keeps two of these; pods with the same arguments share them. Invariant: a buffer is a whole number of records
//! (length with the NUL, text, NUL), and every text is UTF-8.

use std::sync::Arc;

/// Before each text: its length and its NUL's, four bytes.
const RECORD_HEADER: usize = 4;

/// Longer texts, and more room for what they are made from, are not kept for the next pod, bytes.
pub(super) const KEPT_BYTES_MAX: usize = 4 << 10;

/// Texts, each with the NUL that ends it in a guest's memory. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Texts(Arc<[u8]>);

/// Texts in the making.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    /// Adds one text, given in parts. All texts together must stay far below 4 GiB
    /// ([`SETUP_BYTES_MAX`](super::SETUP_BYTES_MAX)).
    pub(super) fn push(&mut self, parts: &[&str]) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let with_nul = u32::try_from(bytes + 1).expect("far below 4 GiB");
        self.0.extend_from_slice(&with_nul.to_le_bytes());
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
        self.0.push(0);
    }

    /// Forgets all texts, and room for more than [`KEPT_BYTES_MAX`].
    pub(super) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_BYTES_MAX);
    }
}

impl Texts {
    /// Becomes the texts of `records`, and a copy of it for a pod. Nothing is allocated when they are the same as before, or
    /// as long and no pod has those before any more.
    pub(super) fn renew(&mut self, records: &Records) -> Self {
        let records = &*records.0;
        if records.len() > KEPT_BYTES_MAX {
            *self = Self::default();
            return Self(records.into());
        }
        if *self.0 != *records {
            match Arc::get_mut(&mut self.0).filter(|room| room.len() == records.len()) {
                Some(room) => room.copy_from_slice(records),
                None => self.0 = records.into(),
            }
        }
        self.clone()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with_nuls().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they take in a guest's memory, NULs included, bytes.
    #[must_use]
    pub fn guest_bytes(&self) -> usize {
        self.with_nuls().map(<[u8]>::len).sum()
    }

    /// Each with its NUL.
    pub fn with_nuls(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<RECORD_HEADER>()?;
            let (text, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = after;
            Some(text)
        })
    }

    /// Each as text.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.with_nuls().map(|text| {
            let (_, text) = text.split_last().expect("a NUL ends it");
            std::str::from_utf8(text).expect("it was made of text")
        })
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut records = Records::default();
        texts.into_iter().for_each(|text| records.push(&[text.as_ref()]));
        Self(records.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let cases: [&[&str]; 4] = [&[], &[""], &["app", "", "é=\0"], &["x"; 300]];
        for texts in cases {
            let all: Texts = texts.iter().collect();
            assert_eq!(all.iter().collect::<Vec<_>>(), texts);
            assert_eq!((all.len(), all.is_empty()), (texts.len(), texts.is_empty()));
            assert_eq!(all.guest_bytes(), texts.iter().map(|text| text.len() + 1).sum::<usize>());
            assert!(all.with_nuls().zip(texts).all(|(with_nul, text)| with_nul == [text.as_bytes(), b"\0"].concat()));
        }
    }

    fn records(texts: &[&str]) -> Records {
        let mut records = Records::default();
        texts.iter().for_each(|text| records.push(&[&text[..1], &text[1..]]));
        records
    }

    #[test]
    fn texts_are_renewed_in_their_room_when_no_pod_has_them() {
        let mut last = Texts::default();
        let first = last.renew(&records(&["HOSTNAME=pi-1", "A=1"]));
        let same = last.renew(&records(&["HOSTNAME=pi-1", "A=1"]));
        assert!(Arc::ptr_eq(&first.0, &same.0), "the same texts are shared");
        let second = last.renew(&records(&["HOSTNAME=pi-2", "A=2"]));
        assert_eq!(first.iter().collect::<Vec<_>>(), ["HOSTNAME=pi-1", "A=1"], "a pod has them");
        let room = second.0.as_ptr();
        drop(second);
        let third = last.renew(&records(&["HOSTNAME=pi", "A=333"]));
        assert_eq!(third.iter().collect::<Vec<_>>(), ["HOSTNAME=pi", "A=333"]);
        assert_eq!(third.0.as_ptr(), room);
        let longer = last.renew(&records(&["HOSTNAME=pi-10"]));
        assert_eq!((longer.len(), third.len()), (1, 2));
    }

    #[test]
    fn long_texts_are_not_kept() {
        let mut last = Texts::default();
        for (bytes, is_kept) in [(KEPT_BYTES_MAX, true), (KEPT_BYTES_MAX + 1, false)] {
            let text = "x".repeat(bytes - RECORD_HEADER - 1);
            let mut records = records(&[&text]);
            assert_eq!(last.renew(&records).iter().collect::<Vec<_>>(), [text]);
            assert_eq!(!last.is_empty(), is_kept);
            records.clear();
            assert!(records.0.capacity() <= KEPT_BYTES_MAX);
        }
    }
}
