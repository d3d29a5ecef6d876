//! Pods that find no room wait, and it is said (kubernetes: kube-scheduler, `FailedScheduling`).

use super::{Spec, World};
use crate::base::NO_INDEX;
use crate::control::Capacity;
use crate::control::room::{NO_ROOM_AFTER_MS, NO_ROOM_EVERY_MS};
use crate::model::EventNote;

const FOUR: Capacity = Capacity { workers: 1, queue_max: 512, alive_max: 4 };

fn no_room(ordinal: u32) -> EventNote {
    EventNote::FailedScheduling { ordinal, index: NO_INDEX }
}

fn said(w: &mut World) -> Vec<EventNote> {
    w.take_events().into_iter().filter(|note| matches!(note, EventNote::FailedScheduling { .. })).collect()
}

/// Four pods run, the fifth has waited for as long as is not said yet.
fn five_on_four() -> World {
    let mut w = World::with_capacity(FOUR);
    w.create("pi", Spec::new(5, 5));
    w.step("+0..3 +4(waits)");
    w.run(0..4);
    w.step("");
    w.advance(NO_ROOM_AFTER_MS);
    w
}

#[test]
fn ten_sleepers_on_four_places_wait_with_an_event_and_none_fails() {
    let mut w = World::with_capacity(FOUR);
    w.create("pi", Spec::new(10, 10));
    w.step("+0..3 +4..9(waits)");
    w.run(0..4);
    w.step("");
    w.advance(NO_ROOM_AFTER_MS - 1);
    w.step("");
    assert_eq!((said(&mut w), w.record().placement.no_room), (vec![], None));
    w.step_due_in(1, "");
    assert_eq!((said(&mut w), w.record().placement.no_room), (vec![no_room(4)], Some(w.now)));
    w.advance(1000);
    w.step("");
    assert_eq!(said(&mut w), [], "once for all of them");
    w.advance(NO_ROOM_EVERY_MS);
    w.step("");
    assert_eq!(said(&mut w), [no_room(4)], "and again after a while");
    w.exits(0..4, 0);
    w.step("S0..3 >4..7");
    w.run(4..8);
    w.step("");
    assert!(w.record().placement.no_room.is_some(), "two still wait");
    w.exits(4..8, 0);
    w.step("S4..7 >8 >9");
    assert_eq!(w.record().placement.no_room, None);
    w.exits(8..10, 0);
    w.try_step();
    w.status("s10");
    assert_eq!(said(&mut w), []);
}

#[test]
fn a_moment_in_a_queue_is_not_said() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 4, alive_max: 8 });
    w.create("pi", Spec::new(10, 10));
    w.step("+0..3 +4..9(waits)");
    for _ in 0..3 {
        w.advance(NO_ROOM_AFTER_MS);
        w.step("");
    }
    assert_eq!((said(&mut w), w.due_in_ms()), (vec![], None));
}

#[test]
fn room_in_time_is_not_said() {
    let mut w = five_on_four();
    w.exit(0, 0);
    w.step("S0 >4");
    assert_eq!((said(&mut w), w.record().placement.no_room), (vec![], None));
    w.settle();
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_restart_forgets_that_there_was_no_room() {
    let mut w = five_on_four();
    w.step("");
    w.crash();
    w.try_step();
    w.run([4]);
    w.try_step();
    assert!(w.job_status().failed == 0 && w.job_status().active == 5);
}

#[test]
fn pods_whose_worker_has_no_slot_wait_with_an_event_too() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 512, alive_max: 512 });
    w.create("pi", Spec::new(4, 4));
    w.step("+0..3");
    w.run(0..2);
    w.step("");
    w.crowd(2);
    w.step("");
    assert_eq!((said(&mut w), w.record().placement.no_room), (vec![no_room(2)], Some(w.now)));
    let since = w.now;
    w.advance(1000);
    w.crowd(2);
    w.step("");
    assert_eq!((said(&mut w), w.record().placement.no_room), (vec![], Some(since)), "once");
    w.run([2]);
    w.step("");
    assert_eq!(w.record().placement.no_room, Some(since), "one still waits");
    w.exit(3, 0);
    w.step("S3");
    assert_eq!(w.record().placement.no_room, None);
    w.exits(0..3, 0);
    w.try_step();
    w.status("s4");
}
