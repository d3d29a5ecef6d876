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
fn a_cursor_stops_at_its_limit_and_goes_on() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let mut cursor = follow(&world.view, Topic::Pods, 0);
    world.create_pods(1, 0, 5, &[], AT);
    let mut rvs = Vec::new();
    for _ in 0..3 {
        let changes = world.view.poll(&mut cursor, 2).expect("nothing was dropped");
        rvs.push(changes.iter().map(|change| change.rv).collect::<Vec<_>>());
    }
    assert_eq!(rvs, [vec![2, 3], vec![4, 5], vec![6]]);
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
fn events_that_expire_are_deleted_under_a_new_version() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.record(1, AT, EventNote::Completed);
    world.record(1, AT, EventNote::Completed);
    let mut cursor = follow(&world.view, Topic::Events, 3);
    let rv = world.create_pods(1, 0, 1, &[], AT.plus_ms(crate::view::EVENT_KEPT_MS));
    assert_eq!(kinds(&world.view, &mut cursor), [(rv, "DELETED"), (rv, "DELETED")]);
    assert!(world.view.events(None).1.is_empty());
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
