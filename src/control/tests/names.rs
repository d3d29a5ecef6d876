//! Pod names that two Jobs could both give.

use super::{Spec, World};
use crate::base::{PodNames, Uid};

/// Two uids whose Jobs give the same suffix: the first with ordinal `a`, the second with ordinal `b`.
fn colliding(first: Uid, b: u32) -> (u32, Uid) {
    let names = PodNames::new(first);
    let suffix = |names: PodNames, ordinal| String::from_utf8(names.suffix(ordinal).to_vec()).expect("ascii");
    let second = (1000..).map(Uid::v4).find_map(|uid| {
        let theirs = names.ordinal(&suffix(PodNames::new(uid), b))?;
        (theirs < 100).then_some((theirs, uid))
    });
    second.expect("one in 150,000")
}

#[test]
fn a_name_that_a_rival_has_given_is_skipped() {
    let first = Uid::v4(1);
    let (taken, second) = colliding(first, 1);
    let mut w = World::empty();
    w.create_as("default", "x", first, Spec::new(100, 100).indexed());
    w.try_step();
    // Pods of `x` with index 0 are called `x-0-…`, like those of `x-0`.
    w.create_as("default", "x-0", second, Spec::new(3, 3));
    w.step("x-0/+0 x-0/+2 x-0/+3");
    assert!(taken < 100);
}

#[test]
fn a_name_that_no_rival_could_give_is_not_skipped() {
    let first = Uid::v4(1);
    let (_, second) = colliding(first, 1);
    for (one, other) in [("x", "y-0"), ("x", "x-a"), ("x", "x-0-0")] {
        let mut w = World::empty();
        w.create_as("default", one, first, Spec::new(100, 100).indexed());
        w.try_step();
        w.create_as("default", other, second, Spec::new(3, 3));
        let did = w.try_step();
        assert_eq!(did, format!("{other}/+0..2"), "{one} and {other}");
    }
}

/// Pods of a NonIndexed `x` are called `x-…`, never `x-0-…`.
#[test]
fn a_job_without_indexes_is_no_rival_of_a_numbered_one() {
    let first = Uid::v4(1);
    let (_, second) = colliding(first, 1);
    let mut w = World::empty();
    w.create_as("default", "x", first, Spec::new(100, 100));
    w.try_step();
    w.create_as("default", "x-0", second, Spec::new(3, 3));
    w.step("x-0/+0..2");
}

#[test]
fn the_other_namespace_is_no_rival() {
    let first = Uid::v4(1);
    let (_, second) = colliding(first, 1);
    let mut w = World::empty();
    w.namespace("team");
    w.create_as("default", "x", first, Spec::new(100, 100).indexed());
    w.try_step();
    w.create_as("team", "x-0", second, Spec::new(3, 3));
    w.step("x-0/+0..2");
}

#[test]
fn names_so_long_that_they_are_cut_are_rivals() {
    let first = Uid::v4(1);
    let (_, second) = colliding(first, 1);
    let (one, other): (&str, &str) = (
        "long-name-long-name-long-name-long-name-long-name-long-name-1",
        "long-name-long-name-long-name-long-name-long-name-long-name-2",
    );
    let mut w = World::empty();
    w.create_as("default", one, first, Spec::new(100, 100));
    w.try_step();
    w.create_as("default", other, second, Spec::new(3, 3));
    w.step(&format!("{other}/+0 {other}/+2 {other}/+3"));
}
