//! Pod names that another Job's pods may hold.
//!
//! Two Jobs draw pod names from the same prefix only if one is `x-<number>` and the other an Indexed `x`, or if both names
//! are so long that their prefixes are cut. Such rivals are so rare that the check may be generous: an ordinal is skipped
//! when any rival has ever had a pod of that suffix.

use super::state::{Job, State};
use crate::base::{JobId, NAMES_PER_PREFIX, PodNames};

/// Names that share this many bytes may end in the same cut prefix: 58 less the longest `-<index>-`.
const CUT_BYTES: usize = 46;

/// The rivals of a Job: their names' order and how many they have used.
#[derive(Debug)]
pub(super) struct Taken(Vec<(PodNames, u32)>);

impl Taken {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next ordinal of `job` whose suffix no rival has used.
    pub(super) fn first_free(&self, job: &Job) -> u32 {
        let is_free = |ordinal: u32| {
            let suffix = job.plan.names.suffix(ordinal);
            let text = std::str::from_utf8(&suffix).expect("suffixes are ASCII");
            self.0.iter().all(|(names, used)| names.ordinal(text).is_none_or(|theirs| theirs >= *used))
        };
        let next = job.record.next_ordinal;
        if self.is_empty() {
            return next;
        }
        (next..NAMES_PER_PREFIX).find(|ordinal| is_free(*ordinal)).unwrap_or(NAMES_PER_PREFIX)
    }
}

/// Whether `long` is `short` and a completion index.
fn is_indexed_form(short: &str, long: &str) -> bool {
    long.strip_prefix(short)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn are_rivals(a: &str, b: &str) -> bool {
    let cut =
        |name: &str| name.len() >= CUT_BYTES && name.as_bytes()[..CUT_BYTES] == a.as_bytes()[..CUT_BYTES.min(a.len())];
    is_indexed_form(a, b) || is_indexed_form(b, a) || cut(b)
}

impl State {
    pub(super) fn taken_names(&self, id: JobId) -> Taken {
        let job = &self.jobs[&id];
        let names = &self.by_name[&job.record.namespace];
        let own: &str = &job.record.name;
        // Rivals begin alike, and the shorter one sorts before the longer: look at what shares the first letters.
        let stem = own.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        let stem = &stem[..stem.floor_char_boundary(CUT_BYTES)];
        let near = names.range::<str, _>((std::ops::Bound::Included(stem), std::ops::Bound::Unbounded));
        let rivals = near
            .take_while(|(name, _)| name.starts_with(stem))
            .filter(|(name, other)| **other != id && are_rivals(own, name))
            .filter_map(|(_, other)| self.jobs.get(other))
            .map(|rival| (rival.plan.names, rival.record.next_ordinal));
        Taken(rivals.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_collide_are_rivals() {
        let long = "a".repeat(60);
        let cases = [
            ("a", "a-1", true),
            ("a-12", "a", true),
            ("a", "a-b", false),
            ("a", "a-", false),
            ("a", "b", false),
            ("a-1", "a-2", false),
            (long.as_str(), &long[..50], true),
            (long.as_str(), &long[..20], false),
        ];
        for (a, b, rivals) in cases {
            assert_eq!(are_rivals(a, b), rivals, "{a} {b}");
            assert_eq!(are_rivals(b, a), rivals, "{b} {a}");
        }
    }
}
