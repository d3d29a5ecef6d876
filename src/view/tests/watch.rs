//! Following changes.

use super::{AT, World, end, ended, job_json, write};
use crate::base::{JobId, Uid};
use crate::model::{EventNote, Fact, Kind};
use crate::view::{ChangeKind, Cursor, Expired, Filter, Object, Topic, View};

fn follow(view: &View, topic: Topic, rv: u64) -> Cursor {
    view.watch_from(topic, Filter::default(), rv).expect("nothing was dropped")
}

fn kinds(view: &View, cursor: &mut Cursor) -> Vec<(u64, &'static str)> {
    let changes = view.poll(cursor, usize::MAX).expect("nothing was dropped");
    changes.iter().map(|change| (change.rv, change.kind.as_str())).collect()
}

#[test]
fn a_change_carries_the_object_as_it_was_then_and_before() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let mut cursor = follow(&world.view, Topic::Pods, world.view.rv());
    world.create_pods(1, 0, 2, &[], AT);
    world.happens(vec![ended(1, end(0, 1, AT)), Fact::PodsRemoved { job: JobId(1), ordinals: vec![0] }]);
    let changes = world.view.poll(&mut cursor, usize::MAX).expect("nothing was dropped");
    let phase = |object: &Object| match object {
        Object::Pod(pod) => pod.phase(),
        other => panic!("{other:?}"),
    };
    let seen: Vec<_> = changes
        .iter()
        .map(|change| (change.kind, change.object.rv(), phase(&change.object), change.before.as_ref().map(phase)))
        .collect();
    assert_eq!(
        seen,
        [
            (ChangeKind::Added, 2, "Pending", None),
            (ChangeKind::Added, 3, "Pending", None),
            (ChangeKind::Modified, 4, "Failed", Some("Pending")),
            (ChangeKind::Deleted, 5, "Failed", Some("Failed")),
        ]
    );
}

#[test]
fn jobs_are_added_modified_and_deleted() {
    let mut world = World::new();
    let mut cursor = follow(&world.view, Topic::Jobs, 0);
    world.create_job(1, "default", "a");
    world.happens(vec![Fact::JobStarted { job: JobId(1), at: AT }, Fact::StatusPublished { job: JobId(1) }]);
    let json = job_json("default", "a", Uid::v4(2), "");
    world.happens_with(vec![Fact::JobChanged { job: JobId(1) }], vec![write(Kind::Job, "default", "a", Some(&json))]);
    world.delete_job(1, "default", "a", 0);
    assert_eq!(kinds(&world.view, &mut cursor), [(1, "ADDED"), (2, "MODIFIED"), (3, "MODIFIED"), (4, "DELETED")]);
}

#[test]
fn every_pod_of_a_deleted_job_is_deleted_once_each_at_its_own_version() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_job(2, "default", "b");
    world.create_pods(1, 1, 3, &[], AT);
    world.create_pods(2, 0, 1, &[], AT);
    world.happens(vec![ended(1, end(1, 0, AT)), Fact::PodsRemoved { job: JobId(1), ordinals: vec![2] }]);
    let mut pods = follow(&world.view, Topic::Pods, world.view.rv());
    let mut jobs = follow(&world.view, Topic::Jobs, world.view.rv());
    let rv = world.delete_job(1, "default", "a", 4);
    assert_eq!(world.view.rv(), rv + 4);
    let changes = world.view.poll(&mut pods, usize::MAX).expect("nothing was dropped");
    let seen: Vec<_> = changes.iter().map(|change| (change.rv, change.object.rv(), change.kind.as_str())).collect();
    // Ordinal 0 was never given, 2 was gone before.
    assert_eq!(seen, [(rv + 1, rv + 1, "DELETED"), (rv + 3, rv + 3, "DELETED")]);
    let Object::Pod(first) = &changes[0].object else { panic!("{changes:?}") };
    assert_eq!((first.phase(), changes[0].before.as_ref().map(Object::rv)), ("Succeeded", Some(7)));
    assert_eq!(kinds(&world.view, &mut jobs), [(rv + 4, "DELETED")]);
    assert_eq!(world.view.pods(None, None).1.iter().count(), 1, "the other Job's");
}

#[test]
fn deleting_more_pods_than_the_ring_holds_overtakes_a_watcher() {
    let mut world = World::with_ring_bytes(64 << 10);
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 5000, &[], AT);
    let mut late = follow(&world.view, Topic::Pods, world.view.rv());
    let rv = world.delete_job(1, "default", "a", 5000);
    assert!(world.view.poll(&mut late, 10).is_err());
    let mut fresh = follow(&world.view, Topic::Pods, rv + 4998);
    assert_eq!(kinds(&world.view, &mut fresh), [(rv + 4999, "DELETED")]);
}

#[test]
fn a_cursor_stops_at_its_limit_and_goes_on() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let mut cursor = follow(&world.view, Topic::Pods, 0);
    world.create_pods(1, 0, 5, &[], AT);
    let mut rvs = Vec::new();
    for _ in 0..3 {
        let changes = world.view.poll(&mut cursor, 2).expect("nothing was dropped");
        rvs.push((changes.iter().map(|change| change.rv).collect::<Vec<_>>(), cursor.rv()));
    }
    assert_eq!(rvs, [(vec![2, 3], 3), (vec![4, 5], 5), (vec![6], 6)], "a bookmark says what was given, and no more");
    assert_eq!(cursor.rv(), world.view.rv());
    assert!(world.view.poll(&mut cursor, 2).expect("nothing was dropped").is_empty());
}

#[test]
fn a_quiet_topic_still_moves_its_cursor() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let mut cursor = follow(&world.view, Topic::Namespaces, 0);
    world.create_pods(1, 0, 5, &[], AT);
    assert!(kinds(&world.view, &mut cursor).is_empty());
    assert_eq!(cursor.rv(), 6, "a bookmark says how far it is");
}

#[test]
fn a_filter_keeps_to_a_namespace_and_to_a_job() {
    let mut world = World::new();
    let of = |namespace: Option<&str>, job: Option<u32>| Filter {
        namespace: namespace.map(Into::into),
        job: job.map(JobId),
        ..Filter::default()
    };
    let filters = [of(None, None), of(Some("a"), None), of(Some("b"), None), of(None, Some(2)), of(Some("a"), Some(2))];
    let mut cursors = filters.map(|filter| world.view.watch_from(Topic::Pods, filter, 0).expect("nothing was dropped"));
    world.create_job(1, "a", "j");
    world.create_job(2, "b", "j");
    world.create_pods(1, 0, 1, &[], AT);
    world.create_pods(2, 0, 2, &[], AT);
    assert_eq!(cursors.each_mut().map(|cursor| kinds(&world.view, cursor).len()), [3, 1, 2, 2, 0]);
}

#[test]
fn a_watcher_that_is_overtaken_is_told() {
    let mut world = World::with_ring_bytes(4096);
    world.create_job(1, "default", "a");
    let mut late = follow(&world.view, Topic::Pods, 1);
    let mut jobs = follow(&world.view, Topic::Jobs, 0);
    world.create_pods(1, 0, 100, &[], AT);
    let expired = world.view.poll(&mut late, 10).expect_err("100 pods do not fit into the ring");
    assert_eq!(expired.wanted, 1);
    assert!((2..101).contains(&expired.oldest), "{expired}");
    let again = world.view.watch_from(Topic::Pods, Filter::default(), expired.oldest - 1);
    assert_eq!(again.expect_err("too old"), Expired { wanted: expired.oldest - 1, oldest: expired.oldest });
    let mut fresh = follow(&world.view, Topic::Pods, expired.oldest);
    assert_eq!(kinds(&world.view, &mut fresh).len() as u64, 101 - expired.oldest);
    assert_eq!(kinds(&world.view, &mut jobs), [(1, "ADDED")], "pods do not overtake a watcher of Jobs");
}

#[test]
fn events_that_expire_are_deleted_each_at_its_own_version() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.record(1, AT, EventNote::Completed);
    world.record(1, AT, EventNote::Completed);
    let mut cursor = follow(&world.view, Topic::Events, 3);
    let event = crate::model::Event { job: JobId(1), at: AT, note: EventNote::Completed };
    let rv = world.happens(vec![Fact::Recorded { event }, Fact::EventsExpired { count: 3 }]);
    let told = [(rv, "ADDED"), (rv + 1, "DELETED"), (rv + 2, "DELETED"), (rv + 3, "DELETED")];
    for (nth, (from, _)) in told.iter().enumerate() {
        let mut resumed = follow(&world.view, Topic::Events, *from);
        assert_eq!(kinds(&world.view, &mut resumed), told[nth + 1..], "resumed at {from}");
    }
    assert_eq!(kinds(&world.view, &mut cursor), told);
    let (listed, events) = world.view.events(None);
    assert_eq!((listed, events.len()), (rv + 3, 0));
}

#[test]
fn waiting_ends_with_the_change_that_was_waited_for() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let cursor = follow(&world.view, Topic::Pods, world.view.rv());
    let applied = std::thread::scope(|scope| {
        let (view, cursor) = (&world.view, &cursor);
        let waiter = scope.spawn(move || {
            runtime.block_on(view.changed(cursor));
            runtime.block_on(view.shown(3));
            view.rv()
        });
        let facts = |first| vec![Fact::PodsCreated { job: JobId(1), at: AT, first, count: 1, indexes: Vec::new() }];
        view.apply(&crate::model::Batch { first_rv: 2, facts: facts(0), docs: Vec::new() });
        view.apply(&crate::model::Batch { first_rv: 3, facts: facts(1), docs: Vec::new() });
        waiter.join().expect("no panic")
    });
    assert_eq!(applied, 3);
}
