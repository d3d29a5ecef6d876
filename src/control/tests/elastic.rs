//! Vectors 75 and 77 to 81: Indexed Jobs whose completions change.

use super::{Spec, World};
use crate::model::JobSpec;

fn scale(to: u32) -> impl FnOnce(&mut JobSpec) {
    move |spec| (spec.parallelism, spec.completions) = (to, Some(to))
}

#[test]
fn v075_pods_out_of_range_are_stopped_and_their_ends_do_not_count() {
    let mut w = World::started(Spec::new(9, 9).indexed(), "+0:0 +1:1 +2:2 +3:3 +4:4 +5:5 +6:6 +7:7 +8:8");
    w.exits([1, 2, 3, 4], 1);
    w.step("F1..4");
    w.update(|spec| (spec.parallelism, spec.completions) = (2, Some(5)));
    w.exits([0, 6], 0);
    w.exit(8, 1);
    w.step("S0 D6 D8 -5 -7");
    w.status("t2 s1 f4 [0]");
    w.end_stopped();
    w.step("~5 ~7 +9:1 +10:2");
    w.status("a2 s1 f4 [0]");
}

#[test]
fn v075_what_is_missing_is_created_after_what_is_out_of_range_was_stopped() {
    let mut w = World::started(Spec::new(2, 4).indexed(), "+0:0 +1:1");
    w.exits([0, 1], 0);
    w.step("S0 S1 +2:2 +3:3");
    w.update(scale(1));
    w.step("-2 -3 SuccessCriteriaMet(CompletionsReached)");
    let mut w = World::started(Spec::new(3, 6).indexed(), "+0:0 +1:1 +2:2");
    w.exit(0, 0);
    w.step("S0 +3:3");
    w.update(|spec| spec.completions = Some(3));
    w.step("-3");
    w.status("a2 t1 s1 [0]");
    w.step("");
    assert_eq!(w.record().next_ordinal, 4);
}

#[test]
fn v077_completions_rise_with_parallelism() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.update(scale(4));
    w.step("+3:3");
    w.exits(0..4, 0);
    let did = w.try_step();
    assert!(did.ends_with("Complete(CompletionsReached)"), "{did}");
    w.status("s4 [0-3]");
}

#[test]
fn v078_successes_out_of_range_are_dropped_and_failures_stay() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.run([0]);
    w.exit(1, 0);
    w.exit_at(2, 1, w.now.plus_ms(5));
    w.step("S1 F2");
    w.status("a1 r1 s1 f1 [1]");
    w.update(scale(1));
    w.step("");
    w.status("a1 r1 f1");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s1 f1 [0]");
}

#[test]
fn v079_a_dropped_index_runs_again_when_completions_rise_again() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.exit(2, 0);
    w.step("S2");
    w.status("a2 s1 [2]");
    w.update(scale(2));
    w.step("");
    w.status("a2");
    w.update(scale(3));
    w.step("+3:2");
    w.exit(3, 0);
    w.step("S3");
    w.status("a2 s1 [2]");
}

#[test]
fn v080_no_completions_complete_the_job() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.run(0..3);
    w.step("");
    w.update(scale(0));
    w.step("-0..2 SuccessCriteriaMet(CompletionsReached)");
    w.status("t3");
    w.end_stopped();
    w.step("~0..2 Complete(CompletionsReached)");
    w.status("");
}

#[test]
fn v081_fewer_completions_are_reached_at_once() {
    let mut w = World::started(Spec::new(2, 2).indexed(), "+0:0 +1:1");
    w.run([1]);
    w.exit(0, 0);
    w.step("S0");
    w.update(scale(1));
    w.step("-1 SuccessCriteriaMet(CompletionsReached)");
    w.status("t1 s1 [0]");
    w.end_stopped();
    w.step("~1 Complete(CompletionsReached)");
    w.status("s1 [0]");
}

#[test]
fn failed_indexes_out_of_range_are_dropped_too() {
    let mut w = World::started(Spec::new(3, 3).indexed().per_index(0), "+0:0 +1:1 +2:2");
    w.exit(2, 1);
    w.step("X2");
    w.status("a2 f1 /2/");
    w.update(scale(2));
    w.step("");
    w.status("a2 f1 //");
    w.update(scale(3));
    w.step("+3:2");
    w.status("a3 f1 //");
}

#[test]
fn a_held_failure_out_of_range_is_let_go_and_does_not_count() {
    let mut w = World::started(Spec::new(3, 3).indexed().per_index(1), "+0:0 +1:1 +2:2");
    w.exit(2, 1);
    w.step("H2");
    w.update(scale(2));
    w.step("=2");
    w.status("a2 //");
    w.update(scale(3));
    w.step("+3:2");
    assert_eq!(w.record().failures_of(2).all(), 0, "its history is forgotten");
}

#[test]
fn a_change_of_completions_survives_a_crash() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.exit(2, 0);
    w.step("S2");
    w.update(scale(2));
    w.step("");
    w.crash();
    w.step(">0 >1");
    w.update(scale(3));
    w.step("+3:2");
}

#[test]
fn a_failing_job_counts_no_pod_that_is_out_of_range() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.run(0..3);
    w.step("");
    w.update(|spec| {
        scale(1)(spec);
        spec.active_deadline_s = Some(1);
    });
    w.try_step();
    w.status("t3 f1");
}
