//! The recent changes of one kind of object, bounded in bytes.
//!
//! Knows nothing of what it holds but its weight. Invariant: versions increase from the oldest entry to the newest, and
//! every change above `evicted_rv` is still there.

use super::objects::PodObject;
use super::watch::ChangeKind;
use std::collections::VecDeque;

/// How much the changes of one kind may weigh together, bytes: about 140,000 pod changes. What is older is dropped, and a
/// watcher that still needed it gets [`super::Expired`].
pub const RING_BYTES_MAX: usize = 32 << 20;

/// A change of one object.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) rv: u64,
    pub(super) kind: ChangeKind,
    pub(super) object: T,
    /// The object before the change; `None` when it is new.
    pub(super) before: Option<T>,
    /// What the entry keeps alive beside itself, bytes.
    pub(super) weight: usize,
}

impl Entry<PodObject> {
    /// Whether the pod has or had other metadata than its template says, and that changed or went with it.
    pub(super) fn is_relabelled(&self) -> bool {
        let meta = |pod: &PodObject| pod.mark.as_ref().and_then(|mark| mark.meta.clone());
        let before = self.before.as_ref().and_then(meta);
        before != meta(&self.object) || (before.is_some() && self.kind == ChangeKind::Deleted)
    }
}

#[derive(Debug)]
pub(super) struct Ring<T> {
    entries: VecDeque<Entry<T>>,
    /// How many entries were dropped; the number of the oldest one that is left.
    first: u64,
    bytes: usize,
    bytes_max: usize,
    /// The highest version of which an entry was dropped.
    evicted_rv: u64,
}

impl<T> Ring<T> {
    /// An empty ring that can serve watches from `rv` on.
    pub(super) fn new(rv: u64, bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, bytes: 0, bytes_max, evicted_rv: rv }
    }

    pub(super) fn push(&mut self, entry: Entry<T>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.rv < entry.rv), "a version belongs to one change");
        self.bytes += size_of::<Entry<T>>() + entry.weight;
        self.entries.push_back(entry);
        self.evict();
    }

    /// What older entries share is kept alive by this ring alone from here on: `bytes` more, until the newest entry that can
    /// hold it goes.
    pub(super) fn charge(&mut self, bytes: usize) {
        let Some(newest) = self.entries.back_mut() else { return };
        newest.weight += bytes;
        self.bytes += bytes;
        self.evict();
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= size_of::<Entry<T>>() + oldest.weight;
            self.first += 1;
            self.evicted_rv = oldest.rv;
        }
    }

    /// The number that the next entry gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The lowest version from which nothing is missing.
    pub(super) fn evicted_rv(&self) -> u64 {
        self.evicted_rv
    }

    /// The number of the first entry above `rv`; `None` when some of those were dropped.
    pub(super) fn seek(&self, rv: u64) -> Option<u64> {
        let at = self.entries.partition_point(|entry| entry.rv <= rv);
        (rv >= self.evicted_rv).then_some(self.first + at as u64)
    }

    /// The entries from number `seq` on, oldest first; `None` when some of them were dropped.
    pub(super) fn since(&self, seq: u64) -> Option<impl Iterator<Item = &Entry<T>>> {
        let skip = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        Some(self.entries.range(skip.min(self.entries.len())..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(rv: u64) -> Entry<u64> {
        Entry { rv, kind: ChangeKind::Added, object: rv, before: None, weight: 0 }
    }

    fn holding(entries: usize) -> Ring<u64> {
        Ring::new(10, entries * size_of::<Entry<u64>>())
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_says_so() {
        let mut ring = holding(3);
        (11..=13).for_each(|rv| ring.push(entry(rv)));
        assert_eq!((ring.seek(10), ring.evicted_rv()), (Some(0), 10));
        ring.push(entry(14));
        assert_eq!((ring.seek(10), ring.evicted_rv()), (None, 11));
        assert!(ring.since(0).is_none());
        let left: Vec<u64> = ring.since(1).expect("still there").map(|entry| entry.object).collect();
        assert_eq!(left, [12, 13, 14]);
        assert_eq!(ring.end(), 4);
    }

    #[test]
    fn weight_counts_against_the_bound() {
        let mut ring = holding(3);
        ring.push(entry(11));
        ring.push(Entry { weight: 3 * size_of::<Entry<u64>>(), ..entry(12) });
        assert_eq!((ring.end(), ring.evicted_rv()), (2, 12), "one that is too heavy drops itself as well");
    }

    #[test]
    fn what_only_the_ring_keeps_alive_goes_with_the_newest_entry_that_can_hold_it() {
        let mut ring = holding(4);
        ring.charge(1000);
        assert_eq!((ring.end(), ring.evicted_rv()), (0, 10), "an empty ring holds nothing");
        (11..=12).for_each(|rv| ring.push(entry(rv)));
        ring.charge(2 * size_of::<Entry<u64>>());
        assert_eq!(ring.evicted_rv(), 10);
        ring.push(entry(13));
        assert_eq!(ring.evicted_rv(), 11);
        ring.push(entry(14));
        assert_eq!(ring.evicted_rv(), 12);
        (15..=16).for_each(|rv| ring.push(entry(rv)));
        assert_eq!((ring.evicted_rv(), ring.end()), (12, 6), "its weight went with it");
    }

    #[test]
    fn a_version_before_the_ring_began_has_expired() {
        assert_eq!(holding(3).seek(9), None);
        assert_eq!(holding(3).seek(99), Some(0));
    }
}
