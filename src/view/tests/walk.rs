//! Walking pods in steps.

use super::{AT, World};
use crate::base::JobId;
use crate::model::{CHUNK_PODS, Fact};
use crate::view::{PodList, PodPlace};

/// Names of the pods behind `place`.
fn walked(list: &PodList, mut place: PodPlace) -> Vec<String> {
    let mut names = Vec::new();
    while list.job(place).is_some() {
        names.extend(list.next_of_job(&mut place).map(|pod| pod.name()));
    }
    names
}

#[test]
fn a_walk_in_steps_gives_what_an_unbroken_one_gives() {
    let mut world = World::new();
    for (job, namespace, name) in [(1, "b", "j"), (2, "a", "k"), (3, "a", "j")] {
        world.create_job(job, namespace, name);
    }
    let last = CHUNK_PODS + 1;
    world.create_pods(1, 0, last + 1, &[], AT);
    world.create_pods(2, 0, 3, &[], AT);
    let ordinals = (1..CHUNK_PODS).chain([last]).collect();
    world.happens(vec![Fact::PodsRemoved { job: JobId(1), ordinals }]);
    let (_, list) = world.view.pods(None, None);
    let names: Vec<String> = list.iter().map(|pod| pod.name()).collect();
    assert_eq!(names.len(), 5);
    assert_eq!(walked(&list, PodPlace::default()), names);
    for (namespace, job, ordinal, behind) in [
        ("", "", 0, 0),
        ("a", "j", 7, 0),
        ("a", "k", 0, 1),
        ("a", "k", 2, 3),
        ("a", "z", 0, 3),
        ("b", "j", 0, 4),
        ("b", "j", 1, 4),
        ("b", "j", CHUNK_PODS - 1, 4),
        ("b", "j", CHUNK_PODS, 5),
        ("b", "j", u32::MAX, 5),
        ("c", "", 0, 5),
    ] {
        let ids = [("b", "j", 1), ("a", "k", 2), ("a", "j", 3)];
        let id = ids.iter().find(|(space, name, _)| (*space, *name) == (namespace, job)).map_or(0, |(_, _, id)| *id);
        let id = JobId(id);
        let place = list.place_behind(namespace, job, id, ordinal);
        assert_eq!(walked(&list, place), names[behind..], "{namespace}/{job}/{ordinal}");
        assert_eq!(list.count_from(place), 5 - behind, "{namespace}/{job}/{ordinal}");
    }
}

#[test]
fn objects_are_found_by_name_in_one_namespace_and_in_all() {
    let mut world = World::new();
    world.create_job(1, "a", "j");
    world.create_job(2, "b", "j");
    world.create_pods(2, 0, 1, &[], AT);
    let (_, pods) = world.view.pods(None, None);
    let name = pods.iter().next().expect("a pod").name();
    let counts =
        |namespace| (world.view.jobs_named(namespace, "j").1.len(), world.view.pods_named(namespace, &name).1.len());
    assert_eq!(
        [counts(None), counts(Some("a")), counts(Some("b")), counts(Some("c"))],
        [(2, 1), (1, 0), (1, 1), (0, 0)]
    );
    assert_eq!(world.view.jobs_named(None, "none").1.len(), 0);
}

#[test]
fn pods_are_found_by_the_name_of_their_job() {
    let mut world = World::new();
    world.create_job(1, "a", "j");
    world.create_job(2, "b", "j");
    world.create_job(3, "b", "k");
    (1..=3).for_each(|job| _ = world.create_pods(job, 0, job, &[], AT));
    let jobs = |world: &World, namespace, name| {
        let (_, list) = world.view.pods_of_jobs_named(namespace, name);
        list.iter().map(|pod| pod.record.job.0).collect::<Vec<_>>()
    };
    assert_eq!(jobs(&world, None, "j"), [1, 2, 2]);
    assert_eq!(jobs(&world, Some("b"), "j"), [2, 2]);
    assert!(jobs(&world, Some("c"), "j").is_empty() && jobs(&world, None, "none").is_empty());
    world.delete_job(2, "b", "j", 2);
    world.create_job(4, "b", "j");
    world.create_pods(4, 0, 1, &[], AT);
    assert_eq!(jobs(&world, Some("b"), "j"), [4]);
}
