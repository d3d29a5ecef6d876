//! The bare loop that the engine is measured against.

use super::World;
use crate::sandbox::{FloorError, FloorResult};

#[test]
fn every_pod_runs_once_however_they_are_shared() {
    let world = World::shared();
    let args = ["hello".to_owned()];
    for (threads, pods) in [(1, 5), (2, 5), (4, 2), (0, 1), (2, 0)] {
        let result = world.sandbox.floor("coracle/hello", &args, threads, pods).expect("it runs through");
        assert_eq!(result, FloorResult { succeeded: pods, failed: 0 }, "{threads} threads");
    }
    let args = ["exit-code".to_owned(), "3".to_owned()];
    let result = world.sandbox.floor("coracle/exit-code", &args, 1, 2).expect("it runs through");
    assert_eq!(result, FloorResult { succeeded: 0, failed: 2 });
}

/// It gives up its turn at each tick, which is not waiting.
#[test]
fn a_guest_that_computes_over_ticks_runs_through() {
    let args = ["pi".to_owned(), "20000".to_owned()];
    let world = World::shared();
    let result = world.ticking(|| world.sandbox.floor("coracle/pi", &args, 1, 1)).expect("it runs through");
    assert_eq!(result, FloorResult { succeeded: 1, failed: 0 });
}

#[test]
fn a_guest_that_waits_is_no_floor() {
    let args = ["sleep".to_owned(), "1000".to_owned()];
    let error = World::shared().sandbox.floor("coracle/sleep", &args, 1, 1).expect_err("it sleeps");
    assert!(matches!(error, FloorError::Pending { .. }), "{error}");
    let error = World::shared().sandbox.floor("nothing", &[], 1, 1).expect_err("unknown");
    assert!(matches!(error, FloorError::Load(_)), "{error}");
}
