//! Watchers of pods that are far behind.

use super::{AT, World, end, ended};
use crate::base::{JobId, Rng};
use crate::model::{CHUNK_PODS, Claim, DeletedPod, EngineKind, Fact};
use crate::view::merge::Limits;
use crate::view::{ChangeKind, Cursor, Expired, Filter, JobTest, Object, PodObject, Topic, View};
use std::collections::BTreeMap;
use std::sync::Arc;

fn merging() -> Filter {
    Filter { merges: true, ..Filter::default() }
}

fn follow(view: &View, filter: Filter, rv: u64) -> Result<Cursor, Expired> {
    view.watch_from(Topic::Pods, filter, rv)
}

/// Versions, kinds and ordinals of everything that there is to tell.
fn told(view: &View, cursor: &mut Cursor) -> Vec<(u64, &'static str, u32)> {
    let mut told = Vec::new();
    loop {
        let changes = view.poll(cursor, usize::MAX).expect("all is known");
        if changes.is_empty() && !cursor.is_under_way() {
            return told;
        }
        told.extend(changes.iter().map(|change| {
            let Object::Pod(pod) = &change.object else { panic!("{change:?}") };
            assert_eq!(pod.record.rv, change.rv);
            (change.rv, change.kind.as_str(), pod.record.ordinal)
        }));
    }
}

fn small() -> Limits {
    Limits { far_behind: 4, gathered: 4, looks: 64, ..Limits::default() }
}

#[test]
fn what_was_missed_is_told_once_a_pod_in_order_of_versions() {
    let mut world = World::with_limits(small());
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 3, &[], AT); // 2, 3, 4
    let mut late = follow(&world.view, merging(), world.view.rv()).expect("all is known");
    world.create_pods(1, 3, 3, &[], AT); // 5, 6, 7
    world.happens(vec![ended(1, end(4, 0, AT)), ended(1, end(0, 0, AT))]); // 8, 9
    world.happens(vec![Fact::PodsRemoved { job: JobId(1), ordinals: vec![1, 3] }]); // 10, 11
    world.happens(vec![ended(1, end(4, 0, AT))]); // 12
    let expected = [(7, "ADDED", 5), (9, "MODIFIED", 0), (10, "DELETED", 1), (12, "ADDED", 4)];
    assert_eq!(told(&world.view, &mut late), expected);
    assert_eq!(late.rv(), world.view.rv());
    world.happens(vec![ended(1, end(4, 0, AT))]);
    assert_eq!(told(&world.view, &mut late), [(13, "MODIFIED", 4)], "the ring is followed again");
}

#[test]
fn a_pod_that_changes_while_it_is_told_of_is_added_with_its_later_change() {
    let mut world = World::with_limits(small());
    world.create_job(1, "default", "a");
    let mut late = follow(&world.view, merging(), world.view.rv()).expect("all is known");
    world.create_pods(1, 0, 6, &[], AT); // 2 to 7
    let first = world.view.poll(&mut late, 1).expect("all is known");
    assert_eq!((first.len(), first[0].rv, late.rv()), (1, 2, 2));
    world.happens(vec![ended(1, end(1, 0, AT)), ended(1, end(0, 0, AT))]); // 8, 9
    world.happens(vec![Fact::PodsRemoved { job: JobId(1), ordinals: vec![2] }]); // 10
    let expected = [(5, "ADDED", 3), (6, "ADDED", 4), (7, "ADDED", 5), (8, "ADDED", 1), (9, "MODIFIED", 0)];
    assert_eq!(told(&world.view, &mut late), expected);
    assert_eq!(late.rv(), 10);
}

#[test]
fn the_ring_need_not_hold_what_the_mirror_knows() {
    let limits = Limits { ring_bytes: 4096, ..Limits::default() };
    let mut world = World::with_limits(limits);
    world.create_job(1, "default", "a");
    let pods = 2 * CHUNK_PODS + 10;
    let mut late = follow(&world.view, merging(), 1).expect("all is known");
    world.create_pods(1, 0, pods, &[], AT);
    world.happens((0..pods).map(|ordinal| ended(1, end(ordinal, 0, AT))).collect());
    assert!(follow(&world.view, Filter::default(), 1).is_err());
    for cursor in [&mut late, &mut follow(&world.view, merging(), 1).expect("all is known")] {
        let first = 2 + u64::from(pods);
        let expected: Vec<_> = (0..pods).map(|ordinal| (first + u64::from(ordinal), "ADDED", ordinal)).collect();
        assert_eq!(told(&world.view, cursor), expected);
    }
    let mut middle = follow(&world.view, merging(), 2 + u64::from(pods) / 2).expect("all is known");
    let kinds = told(&world.view, &mut middle);
    let added = kinds.iter().filter(|(_, kind, _)| *kind == "ADDED").count();
    assert_eq!((added, kinds.len()), ((pods - pods / 2 - 1) as usize, pods as usize));
    let rv = world.delete_job(1, "default", "a", pods);
    let gone = told(&world.view, &mut middle);
    assert_eq!((gone.len(), gone[0]), (pods as usize, (rv, "DELETED", 0)));
}

#[test]
fn a_deletion_that_is_no_longer_known_ends_a_watch_that_has_not_heard_of_it() {
    let limits = Limits { ring_bytes: 4096, graves_bytes: 100_000, ..Limits::default() };
    let mut world = World::with_limits(limits);
    for (job, name) in [(1, "a"), (2, "b")] {
        world.create_job(job, "default", name);
        world.create_pods(job, 0, 1000, &[], AT);
    }
    let mut late = follow(&world.view, merging(), world.view.rv()).expect("all is known");
    let rv = world.delete_job(1, "default", "a", 1000);
    let mut early = late.clone();
    assert_eq!(told(&world.view, &mut early).len(), 1000);
    let last = world.delete_job(2, "default", "b", 1000);
    let expired = world.view.poll(&mut late, 1).expect_err("the first Job's are forgotten");
    assert_eq!(expired.wanted, rv - 1);
    assert_eq!(told(&world.view, &mut early)[0], (last, "DELETED", 0));
    assert!(follow(&world.view, merging(), rv + 998).is_err());
    assert_eq!(told(&world.view, &mut follow(&world.view, merging(), rv + 999).expect("known")).len(), 1000);
}

#[test]
fn creations_that_are_no_longer_known_end_a_watch() {
    let mut world = World::with_limits(Limits { births: 2, ring_bytes: 1024, ..small() });
    world.create_job(1, "default", "a");
    for nth in 0..3 {
        world.create_pods(1, nth * 10, 10, &[], AT); // 2 to 11, 12 to 21, 22 to 31
    }
    assert!(follow(&world.view, merging(), 10).is_err());
    assert_eq!(told(&world.view, &mut follow(&world.view, merging(), 11).expect("known")).len(), 20);
}

fn relabelled(ordinal: u32, meta: Option<&str>) -> Fact {
    Fact::PodChanged { job: JobId(1), ordinal, meta: meta.map(Box::from), claim: Claim::Same }
}

#[test]
fn who_missed_that_a_pod_has_other_labels_lists_again() {
    let mut world = World::with_limits(small());
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 6, &[], AT); // 2 to 7
    let mut late = follow(&world.view, merging(), 1).expect("all is known");
    world.happens(vec![relabelled(0, Some(r#"{"labels":{"a":"b"}}"#))]); // 8
    assert_eq!(world.view.poll(&mut late, 1).expect_err("a selector saw another pod").wanted, 1);
    // From there on it is as it is.
    let mut late = follow(&world.view, merging(), 8).expect("all is known");
    world.happens((0..6).map(|ordinal| ended(1, end(ordinal, 0, AT))).collect()); // 9 to 14
    assert_eq!(told(&world.view, &mut late).len(), 6);
    // Its labels go with it.
    let mut late = follow(&world.view, merging(), 14).expect("all is known");
    world.happens(vec![Fact::PodsRemoved { job: JobId(1), ordinals: (0..6).collect() }]);
    assert!(world.view.poll(&mut late, 1).is_err());
}

#[test]
fn a_pod_with_its_own_labels_may_be_wanted_where_its_job_is_not() {
    let mut world = World::with_limits(small());
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 6, &[], AT);
    let rv = world.happens(vec![relabelled(0, Some(r#"{"labels":{"a":"b"}}"#))]);
    let none = Filter { test: Some(JobTest(Arc::new(|_| false))), ..merging() };
    let (mut late, mut early) = (follow(&world.view, none.clone(), rv), follow(&world.view, none, rv));
    let (late, early) = (late.as_mut().expect("known"), early.as_mut().expect("known"));
    for ordinal in 0..6 {
        world.happens(vec![ended(1, end(ordinal, 0, AT))]);
        let expected: &[_] = if ordinal == 0 { &[(rv + 1, "MODIFIED", 0)] } else { &[] };
        assert_eq!(told(&world.view, early), expected);
    }
    assert_eq!(told(&world.view, late), [(rv + 1, "MODIFIED", 0)]);
}

#[test]
fn pods_of_an_orphaned_job_are_told_of_as_the_others() {
    let mut world = World::with_limits(small());
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 3, &[], AT); // 2, 3, 4
    let named = Filter { named: Some("a".into()), ..merging() };
    let mut late = follow(&world.view, named, 1).expect("all is known");
    world.happens(vec![ended(1, end(1, 0, AT))]); // 5
    let rv = world.happens(vec![Fact::JobOrphaned { job: JobId(1), at: AT, ordinals: 3 }]);
    world.happens(vec![Fact::PodsRemoved { job: JobId(1), ordinals: vec![2] }]);
    assert_eq!(told(&world.view, &mut late), [(rv, "ADDED", 0), (rv + 1, "ADDED", 1)]);
}

/// What a client knows of pods: their versions.
type Cache = BTreeMap<(JobId, u32), u64>;

fn key(pod: &PodObject) -> (JobId, u32) {
    (pod.record.job, pod.record.ordinal)
}

struct Client {
    filter: Filter,
    cursor: Cursor,
    cache: Cache,
    /// It went on from a version that it had read of while changes were merged: of pods that were left out it hears without
    /// an addition.
    resumed: bool,
    expired: u32,
    events: u32,
}

fn listed(view: &View, filter: &Filter) -> (u64, Cache) {
    let (rv, list) = view.pods(filter.namespace.as_deref(), None);
    let wanted = list.iter().filter(|pod| filter.takes_pod(pod));
    (rv, wanted.map(|pod| (key(&pod), pod.record.rv)).collect())
}

impl Client {
    fn new(view: &View, filter: Filter) -> Self {
        let (rv, cache) = listed(view, &filter);
        let cursor = follow(view, filter.clone(), rv).expect("it is now");
        Self { filter, cursor, cache, resumed: false, expired: 0, events: 0 }
    }

    fn poll(&mut self, view: &View, limit: usize) -> bool {
        let before = self.cursor.rv();
        let Ok(changes) = view.poll(&mut self.cursor, limit) else {
            let expired = self.expired + 1;
            *self = Self { expired, events: self.events, ..Self::new(view, self.filter.clone()) };
            return true;
        };
        assert!(changes.len() <= limit && self.cursor.rv() >= before);
        let mut last = before;
        for change in &changes {
            let Object::Pod(pod) = &change.object else { panic!("{change:?}") };
            assert!(change.rv > last && pod.record.rv == change.rv, "{change:?} after {last}");
            last = change.rv;
            let known = self.cache.contains_key(&key(pod));
            assert!(known != (change.kind == ChangeKind::Added) || self.resumed && !known, "{change:?}, {known}");
            match change.kind {
                ChangeKind::Deleted => drop(self.cache.remove(&key(pod))),
                ChangeKind::Added | ChangeKind::Modified => drop(self.cache.insert(key(pod), change.rv)),
            }
        }
        assert!(last <= self.cursor.rv());
        self.events += u32::try_from(changes.len()).expect("few");
        !changes.is_empty() || self.cursor.is_under_way()
    }

    /// What a bookmark would say is true: nothing that last changed until then is missing.
    fn check(&self, view: &View, gone: &Cache) {
        let (_, list) = listed(view, &self.filter);
        for (pod, rv) in list.iter().filter(|(_, rv)| **rv <= self.cursor.rv()) {
            assert_eq!(self.cache.get(pod), Some(rv), "{pod:?}");
        }
        for pod in self.cache.keys().filter(|pod| !list.contains_key(pod)) {
            assert!(gone[pod] > self.cursor.rv(), "{pod:?} is gone");
        }
    }

    /// A new watch from the last version that it has read of.
    fn resume(&mut self, view: &View) {
        self.resumed |= self.cursor.merge.is_some();
        if let Ok(cursor) = follow(view, self.filter.clone(), self.cursor.rv()) {
            self.cursor = cursor;
        }
    }
}

struct History {
    world: World,
    rng: Rng,
    jobs: BTreeMap<u32, Made>,
    next_job: u32,
}

/// A Job's namespace, how many ordinals it gave, and which of its pods have not ended.
struct Made {
    namespace: &'static str,
    ordinals: u32,
    running: Vec<u32>,
}

impl History {
    fn below(&mut self, end: usize) -> u32 {
        u32::try_from(self.rng.next_u64() % end as u64).expect("small")
    }

    fn happens(&mut self) {
        let nth = self.below(self.jobs.len().max(1)) as usize;
        let Some((job, mut made)) = self.jobs.keys().nth(nth).copied().and_then(|job| self.jobs.remove_entry(&job))
        else {
            return self.create();
        };
        let pods: Vec<u32> = (0..=self.below(5)).map(|_| self.below(made.ordinals as usize + 1)).collect();
        let id = JobId(job);
        match self.below(24) {
            0 => self.create(),
            20 => drop(self.world.happens(vec![Fact::EndedPodsRemoved { job: id, ordinals: made.ordinals }])),
            21 if self.below(4) == 0 => {
                self.world.happens(vec![Fact::JobOrphaned { job: id, at: AT, ordinals: made.ordinals }]);
            }
            // What a test says of a Job it says of its pods, or else a selector would be asked.
            22 if job % 2 == 1 && self.below(8) == 0 => {
                let meta = Some(r#"{"labels":{"a":"b"}}"#.into());
                let change = Fact::PodChanged { job: id, ordinal: pods[0], meta, claim: Claim::Same };
                self.world.happens(vec![change]);
            }
            23 => {
                let pods = pods.into_iter().map(DeletedPod::ended).collect();
                self.world.happens(vec![Fact::PodsDeleted { job: id, at: AT, pods }]);
            }
            1 if self.jobs.len() > 2 => {
                self.world.delete_job(job, made.namespace, &format!("j{job}"), made.ordinals);
                return;
            }
            2..=5 if made.ordinals < 60 => {
                let (first, count) = (made.ordinals + self.below(2), 1 + self.below(8));
                self.world.create_pods(job, first, count, &[], AT);
                made.ordinals = first + count;
                made.running.extend(first..first + count);
            }
            2..=8 => drop(self.world.happens(vec![Fact::PodsRemoved { job: JobId(job), ordinals: pods }])),
            9..=13 => {
                let pods = pods.into_iter().map(|ordinal| (ordinal, AT, EngineKind::Small)).collect();
                self.world.happens(vec![Fact::PodsStarted { job: JobId(job), pods }]);
            }
            _ if made.running.is_empty() => {}
            _ => {
                let nth = self.below(made.running.len()) as usize;
                self.world.happens(vec![ended(job, end(made.running.swap_remove(nth), 0, AT))]);
            }
        }
        self.jobs.insert(job, made);
    }

    fn create(&mut self) {
        let (job, namespace) = (self.next_job, if self.below(2) == 0 { "a" } else { "b" });
        self.next_job += 1;
        self.world.create_job(job, namespace, &format!("j{job}"));
        self.jobs.insert(job, Made { namespace, ordinals: 0, running: Vec::new() });
    }
}

fn filters() -> Vec<Filter> {
    let odd = JobTest(Arc::new(|job| job.key.id.0 % 2 == 1));
    vec![
        merging(),
        Filter { namespace: Some("a".into()), ..merging() },
        Filter { named: Some("j1".into()), ..merging() },
        Filter { job: Some(JobId(2)), ..merging() },
        Filter { test: Some(odd), ..merging() },
        Filter::default(),
    ]
}

fn run(seed: u64, limits: Limits) -> (u32, u32) {
    let mut history =
        History { world: World::with_limits(limits), rng: Rng::new(seed), jobs: BTreeMap::new(), next_job: 1 };
    // Reads everything at once.
    let mut reference = follow(&history.world.view, Filter::default(), 0).expect("it is now");
    let mut clients: Vec<Client> =
        filters().into_iter().map(|filter| Client::new(&history.world.view, filter)).collect();
    let (mut gone, mut changes) = (Cache::new(), 0);
    for _ in 0..400 {
        history.happens();
        for change in history.world.view.poll(&mut reference, usize::MAX).expect("it is never late") {
            let Object::Pod(pod) = &change.object else { panic!("{change:?}") };
            changes += 1;
            if change.kind == ChangeKind::Deleted {
                gone.insert(key(pod), change.rv);
            }
        }
        for client in &mut clients {
            match history.below(40) {
                0 => client.resume(&history.world.view),
                1 => while client.poll(&history.world.view, 3) {},
                2..=6 => {
                    let limit = 1 + history.below(5) as usize;
                    client.poll(&history.world.view, limit);
                }
                _ => continue,
            }
            client.check(&history.world.view, &gone);
        }
    }
    for client in &mut clients {
        while client.poll(&history.world.view, 3) {}
        assert_eq!(client.cache, listed(&history.world.view, &client.filter).1, "seed {seed}");
        assert_eq!(client.cursor.rv(), history.world.view.rv());
    }
    (changes - clients[0].events.min(changes), clients.iter().map(|client| client.expired).sum())
}

#[test]
fn whatever_happens_a_client_ends_with_what_a_list_shows() {
    let ring_bytes = 100 * 240;
    let tight = Limits { ring_bytes, births: 8, graves_bytes: 4000, far_behind: 5, gathered: 7, looks: 40 };
    let (mut merged, mut expired) = (0, 0);
    for seed in 0..20 {
        let wide = Limits { births: 1000, graves_bytes: 1 << 20, ..tight };
        merged += run(seed, wide).0;
        expired += run(seed, tight).1;
    }
    assert!(merged > 500 && expired > 5, "{merged} {expired}");
}
