//! Arguments or an environment in one buffer, in the form in which WASI copies them into a guest.
//!
//! A short pod has two of these and a sleeper keeps them: one allocation each. Invariant: the buffer is a whole number of
//! records (length with the NUL, text, NUL), and every text is UTF-8.

/// Before each text: its length and its NUL's, four bytes.
const RECORD_HEADER: usize = 4;

/// Texts, each with the NUL that ends it in a guest's memory.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Texts {
    records: Vec<u8>,
    len: u32,
}

impl Texts {
    /// Room for `len` texts of `bytes` together, so that adding them allocates no more.
    #[must_use]
    pub fn with_capacity(len: usize, bytes: usize) -> Self {
        Self { records: Vec::with_capacity(bytes + len * (RECORD_HEADER + 1)), len: 0 }
    }

    /// Adds one text, given in parts. All texts together must stay far below 4 GiB
    /// ([`SETUP_BYTES_MAX`](super::SETUP_BYTES_MAX)).
    pub fn push(&mut self, parts: &[&str]) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let with_nul = u32::try_from(bytes + 1).expect("far below 4 GiB");
        self.records.extend_from_slice(&with_nul.to_le_bytes());
        for part in parts {
            self.records.extend_from_slice(part.as_bytes());
        }
        self.records.push(0);
        self.len += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they take in a guest's memory, NULs included, bytes.
    #[must_use]
    pub fn guest_bytes(&self) -> usize {
        self.records.len() - self.len as usize * RECORD_HEADER
    }

    /// Each with its NUL.
    pub fn with_nuls(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.records[..];
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
        let mut all = Self::default();
        for text in texts {
            all.push(&[text.as_ref()]);
        }
        all
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
            assert_eq!((all.len() as usize, all.is_empty()), (texts.len(), texts.is_empty()));
            assert_eq!(all.guest_bytes(), texts.iter().map(|text| text.len() + 1).sum::<usize>());
            assert!(all.with_nuls().zip(texts).all(|(with_nul, text)| with_nul == [text.as_bytes(), b"\0"].concat()));
        }
    }

    #[test]
    fn a_text_in_parts_fits_the_room_that_was_made() {
        let mut env = Texts::with_capacity(1, "HOSTNAME=pi-1".len());
        let room = env.records.capacity();
        env.push(&["HOSTNAME", "=", "pi-1"]);
        assert_eq!(env.iter().collect::<Vec<_>>(), ["HOSTNAME=pi-1"]);
        assert_eq!(env.records.capacity(), room);
    }
}
