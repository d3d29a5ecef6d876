//! Lists that were cut: every page comes from the same one.
//!
//! Knows what is kept and for how long, not how it is read. Whoever reads a list to its end takes it from nobody: a page may be
//! asked for again, and others may have tokens of it. Invariant: at most [`LISTS_MAX`] lists of together
//! [`OBJECTS_MAX`] objects are kept (of one that is bigger, only it), the one that was used last the longest.

use super::items::{Items, Scope};
use crate::api::table::Kind;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many lists are kept.
const LISTS_MAX: usize = 64;

/// How many objects they have together. A pod that changed after its list was made costs 64 bytes.
const OBJECTS_MAX: usize = 4_000_000;

/// How long a list is kept after it was used last (kubernetes: etcd's compaction, 5 minutes).
const KEPT: Duration = Duration::from_secs(300);

/// Which list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ListKey {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) scope: Scope,
    pub(super) rv: u64,
}

#[derive(Debug)]
struct Entry {
    key: ListKey,
    items: Arc<Items>,
    objects: usize,
    used: Instant,
}

/// The lists that are kept; the one that was used last is at the back.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<VecDeque<Entry>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list, if it is still there.
    pub(super) fn get(&self, key: &ListKey, now: Instant) -> Option<Arc<Items>> {
        let mut entries = self.lock();
        entries.retain(|entry| now.duration_since(entry.used) < KEPT);
        let at = entries.iter().position(|entry| entry.key == *key)?;
        let mut entry = entries.remove(at)?;
        entry.used = now;
        let items = Arc::clone(&entry.items);
        entries.push_back(entry);
        Some(items)
    }

    /// Keeps a list of so many objects, in place of those that were not used the longest.
    pub(super) fn put(&self, key: ListKey, items: Arc<Items>, objects: usize, now: Instant) {
        let mut entries = self.lock();
        entries.retain(|entry| now.duration_since(entry.used) < KEPT && entry.key != key);
        entries.push_back(Entry { key, items, objects, used: now });
        let mut total: usize = entries.iter().map(|entry| entry.objects).sum();
        while entries.len() > 1 && (entries.len() > LISTS_MAX || total > OBJECTS_MAX) {
            total -= entries.pop_front().map_or(0, |entry| entry.objects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rv: u64) -> ListKey {
        ListKey { kind: Kind::Job, namespace: None, scope: Scope::All, rv }
    }

    fn items() -> Arc<Items> {
        Arc::new(Items::Objects(Vec::new()))
    }

    fn there(kept: &Kept, rvs: &[u64], now: Instant) -> Vec<bool> {
        rvs.iter().map(|&rv| kept.get(&key(rv), now).is_some()).collect()
    }

    #[test]
    fn the_list_that_was_used_last_stays_longest() {
        let (kept, now) = (Kept::default(), Instant::now());
        let max = LISTS_MAX as u64;
        (1..=max).for_each(|rv| kept.put(key(rv), items(), 1, now));
        assert_eq!(there(&kept, &[1], now), [true]);
        kept.put(key(max + 1), items(), 1, now);
        assert_eq!(there(&kept, &[1, 2, 3, max + 1], now), [true, false, true, true]);
    }

    #[test]
    fn big_lists_leave_room_for_few() {
        let (kept, now) = (Kept::default(), Instant::now());
        kept.put(key(1), items(), OBJECTS_MAX - 1, now);
        kept.put(key(2), items(), 1, now);
        assert_eq!(there(&kept, &[1, 2], now), [true, true]);
        kept.put(key(3), items(), 1, now);
        assert_eq!(there(&kept, &[1, 2, 3], now), [false, true, true]);
        kept.put(key(4), items(), OBJECTS_MAX + 1, now);
        assert_eq!(there(&kept, &[2, 3, 4], now), [false, false, true]);
    }

    #[test]
    fn a_list_that_is_not_used_goes() {
        let (kept, now) = (Kept::default(), Instant::now());
        kept.put(key(1), items(), 1, now);
        let later = now + KEPT / 2;
        assert_eq!(there(&kept, &[1], later), [true]);
        assert_eq!(there(&kept, &[1], later + KEPT), [false]);
    }
}
