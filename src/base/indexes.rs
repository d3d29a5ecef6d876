//! Sets of completion indexes, in memory and in Kubernetes' text form.

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A set of completion indexes (`completedIndexes`, `failedIndexes`). A million indexes with 3,000 holes take 12 KB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexSet(RoaringBitmap);

/// Why a text is no index list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexesError {
    /// A part is no number.
    #[error("cannot convert string to integer for index: {0:?}")]
    NotANumber(String),
    /// A number is not below the Job's completions.
    #[error("too large index: {0:?}")]
    TooLarge(String),
    /// The numbers do not increase.
    #[error("non-increasing order, previous: {0}, current: {1}")]
    NotIncreasing(u32, u32),
    /// A part has more than one `-`.
    #[error(
        "the fragment {0:?} violates the requirement that an index interval can have at most two parts separated by '-'"
    )]
    ManyParts(String),
}

impl IndexSet {
    /// Adds `index`; true when it was not there.
    pub fn insert(&mut self, index: u32) -> bool {
        self.0.insert(index)
    }

    /// Removes `index`; true when it was there.
    pub fn remove(&mut self, index: u32) -> bool {
        self.0.remove(index)
    }

    /// Whether `index` is in the set.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.0.contains(index)
    }

    /// Removes every index from `end` on.
    pub fn truncate(&mut self, end: u32) {
        self.0.remove_range(end..);
    }

    /// How many indexes are in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> u32 {
        u32::try_from(self.0.intersection_len(&other.0)).unwrap_or(u32::MAX)
    }

    /// The indexes from `first` on, lowest first.
    pub fn iter_from(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        self.0.range(first..)
    }

    /// How many indexes there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.serialized_size()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The indexes, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// Reads Kubernetes' form, every index below `completions`; an empty text is the empty set.
    ///
    /// # Errors
    /// The first part that breaks a rule, in Kubernetes' words (kubernetes: `validateIndexesFormat`).
    pub fn parse(text: &str, completions: u32) -> Result<Self, IndexesError> {
        let mut set = RoaringBitmap::new();
        let mut previous: Option<u32> = None;
        let check = |part: &str, previous: Option<u32>| {
            let index: u32 = part.parse().map_err(|_| IndexesError::NotANumber(part.to_owned()))?;
            if index >= completions {
                return Err(IndexesError::TooLarge(part.to_owned()));
            }
            match previous {
                Some(last) if last >= index => Err(IndexesError::NotIncreasing(last, index)),
                _ => Ok(index),
            }
        };
        for fragment in text.split(',').filter(|_| !text.is_empty()) {
            let parts: Vec<&str> = fragment.split('-').collect();
            let first = check(parts[0], previous)?;
            let last = match parts.len() {
                1 => first,
                2 => check(parts[1], Some(first))?,
                _ => return Err(IndexesError::ManyParts(fragment.to_owned())),
            };
            set.insert_range(first..=last);
            previous = Some(last);
        }
        Ok(Self(set))
    }
}

/// Kubernetes' form: increasing, comma separated; two neighbours as `a,b`, three or more as `a-b` (kubernetes:
/// `orderedIntervals.String`).
impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges = self.0.iter();
        let mut separator = "";
        while let Some(range) = ranges.next_range() {
            let (first, last) = (*range.start(), *range.end());
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                1 => write!(f, "{separator}{first},{last}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        Self(indexes.into_iter().collect())
    }
}

/// On disk: roaring's portable serialisation, the compact form for both dense and scattered sets.
impl Serialize for IndexSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IndexSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RoaringBitmap::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_print_as_kubernetes_prints_them() {
        let cases: [(&[u32], &str); 5] =
            [(&[], ""), (&[3], "3"), (&[0, 1], "0,1"), (&[0, 1, 2], "0-2"), (&[2, 4, 5, 7, 8, 9], "2,4,5,7-9")];
        for (indexes, text) in cases {
            let set: IndexSet = indexes.iter().copied().collect();
            assert_eq!(set.to_string(), text);
            assert_eq!(IndexSet::parse(text, 10), Ok(set));
        }
    }

    #[test]
    fn bad_lists_are_refused_in_kubernetes_words() {
        let cases = [
            ("a", "cannot convert string to integer for index: \"a\""),
            ("1,", "cannot convert string to integer for index: \"\""),
            ("10", "too large index: \"10\""),
            ("3,1", "non-increasing order, previous: 3, current: 1"),
            ("3-3", "non-increasing order, previous: 3, current: 3"),
            (
                "1-2-3",
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(IndexSet::parse(text, 10).expect_err(text).to_string(), message);
        }
    }
}
