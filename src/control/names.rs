//! Pod names that another Job's pods may hold.
//!
//! Two Jobs draw pod names from the same prefix only if one is a NonIndexed `x-<number>` and the other an Indexed `x`, or
//! if both names are so long that their prefixes are cut. Such rivals are so rare that the check may be generous: an
//! ordinal is skipped when any rival has ever had a pod of that suffix.

use super::state::{Job, State};
use crate::base::{JobId, NAMES_PER_PREFIX, PodNames};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Names that share this many bytes may end in the same cut prefix: 58 less the longest `-<index>-`.
const CUT_BYTES: usize = 46;

/// The rivals of a Job: their names' order and how many they have used.
#[derive(Debug)]
pub(super) struct Taken(Vec<(PodNames, u32)>);

impl Taken {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next ordinal of `job` whose suffix no rival has used; `NAMES_PER_PREFIX` when none is left.
    pub(super) fn first_free(&self, job: &Job) -> u32 {
        let is_free = |ordinal: u32| {
            let suffix = job.names.suffix(ordinal);
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

/// The name without its last number, if it ends in one.
fn without_number(name: &str) -> Option<&str> {
    let short = name.trim_end_matches(|c: char| c.is_ascii_digit());
    short.strip_suffix('-').filter(|short| is_indexed_form(short, name))
}

impl State {
    /// The rivals of a Job, found by name: the cost does not grow with the number of Jobs that are none.
    pub(super) fn taken_names(&self, id: JobId) -> Taken {
        let job = &self.jobs[&id];
        let names = &self.by_name[&job.record.namespace];
        let own: &str = &job.record.name;
        let mut rivals: Vec<JobId> = Vec::new();
        if job.spec.is_indexed() {
            // ':' follows '9': these are the names that go on with a number.
            let (first, past) = (format!("{own}-0"), format!("{own}-:"));
            let numbered = names.range::<str, _>((Included(first.as_str()), Excluded(past.as_str())));
            rivals.extend(numbered.filter(|(name, _)| is_indexed_form(own, name)).map(|(_, other)| *other));
        } else if let Some(other) = without_number(own).and_then(|short| names.get(short)) {
            rivals.push(*other);
        }
        rivals.retain(|other| self.jobs[other].spec.is_indexed() != job.spec.is_indexed());
        if own.len() >= CUT_BYTES {
            let stem = &own[..own.floor_char_boundary(CUT_BYTES)];
            let alike =
                names.range::<str, _>((Included(stem), Unbounded)).take_while(|(name, _)| name.starts_with(stem));
            rivals.extend(alike.map(|(_, other)| *other).filter(|other| *other != id));
        }
        // Pods that were kept have names of the Job that made them.
        let orphans = self.orphans.get(&job.record.namespace).into_iter().flatten();
        let stem = |name: &str| name[..name.floor_char_boundary(CUT_BYTES)].to_owned();
        let is_alike = |name: &str| {
            let is_cut = name.len() >= CUT_BYTES && own.len() >= CUT_BYTES && stem(name) == stem(own);
            name == own || is_cut || is_indexed_form(own, name) || is_indexed_form(name, own)
        };
        rivals.extend(orphans.filter(|(name, _)| is_alike(name)).map(|(_, id)| *id));
        let used = |other: &JobId| (self.jobs[other].names, self.jobs[other].record.next_ordinal);
        Taken(rivals.iter().map(used).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_number_is_the_indexed_form_of_the_rest() {
        let cases = [
            ("a-1", Some("a")),
            ("a-1-2", Some("a-1")),
            ("a-", None),
            ("a", None),
            ("12", None),
            ("a1", None),
            ("", None),
        ];
        for (name, short) in cases {
            assert_eq!(without_number(name), short, "{name}");
        }
        assert!(is_indexed_form("a", "a-12") && !is_indexed_form("a", "a-b") && !is_indexed_form("a", "a-1b"));
    }
}
