//! Vectors 68 to 73: completion indexes. Vectors 74 and 76 (two pods with one index, pods without an index) cannot come
//! about: only this state machine gives indexes.

use super::{Spec, World};

#[test]
fn v068_the_lowest_indexes_come_first() {
    let mut w = World::of(Spec::new(2, 5).indexed());
    w.step("+0:0 +1:1");
    w.status("a2");
}

#[test]
fn v069_a_failed_index_runs_again() {
    let mut w = World::started(Spec::new(2, 3).indexed(), "+0:0 +1:1");
    w.exit_at(1, 1, w.now);
    w.exit_at(0, 0, w.now.plus_ms(1));
    w.advance(1);
    w.step("F1 S0 +2:1 +3:2");
    w.exits([2, 3], 0);
    w.step("S2 S3 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s3 f1 [0-2]");
}

#[test]
fn v070_a_failing_job_keeps_its_completed_indexes() {
    let mut w = World::started(Spec::new(3, 3).indexed().backoff_limit(0), "+0:0 +1:1 +2:2");
    w.run([2]);
    w.exit(0, 0);
    w.exit(1, 1);
    w.step("S0 F1 FailureTarget(BackoffLimitExceeded) -2");
    w.status("t1 s1 f2 [0]");
    w.advance(1000);
    w.end_stopped();
    w.step("~2 Failed(BackoffLimitExceeded)");
    w.status("s1 f2 [0]");
}

#[test]
fn v071_completed_indexes_do_not_come_again() {
    let mut w = World::started(Spec::new(2, 3).indexed(), "+0:0 +1:1");
    w.exits([0, 1], 0);
    w.step("S0 S1 +2:2");
    w.status("a1 s2 [0,1]");
}

#[test]
fn v072_the_gaps_are_filled_before_new_indexes() {
    let spec = Spec::new(10, 20).indexed();
    let created: Vec<String> = (0..10).map(|n| format!("+{n}:{n}")).collect();
    let mut w = World::started(spec, &created.join(" "));
    w.run([0]);
    w.exits([1, 6], 1);
    for ordinal in [2, 4, 5, 7, 8, 9] {
        w.exit_at(ordinal, 0, w.now.plus_ms(1));
    }
    w.update(|spec| spec.parallelism = 8);
    w.advance(1);
    w.step("F1 F6 S2 S4 S5 S7..9 +10:1 +11:6 +12:10 +13:11 +14:12 +15:13");
    w.status("a8 r1 s6 f2 [2,4,5,7-9]");
}

#[test]
fn v073_failed_indexes_come_back_after_the_back_off() {
    let mut w = World::started(Spec::new(3, 4).indexed(), "+0:0 +1:1 +2:2");
    w.exits([0, 2], 1);
    w.step("F0 F2");
    w.step_due_in(20_000, "+3:0 +4:2");
    w.status("a3 f2");
}

#[test]
fn an_index_of_a_stopped_pod_comes_back_first() {
    let mut w = World::started(Spec::new(3, 5).indexed(), "+0:0 +1:1 +2:2");
    w.run([0]);
    w.update(|spec| spec.parallelism = 1);
    w.step("-1 -2");
    w.end_stopped();
    w.step("~1 ~2");
    w.update(|spec| spec.parallelism = 4);
    w.step("+3:1 +4:2 +5:3");
    w.status("a4 r1");
}

/// The same pod, once told to stop, counts for nothing.
#[test]
fn a_success_that_crosses_the_stop_leaves_the_index_open() {
    let mut w = World::started(Spec::new(2, 2).indexed(), "+0:0 +1:1");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.exit(1, 0);
    w.step("~1");
    w.status("a1");
    w.exit(0, 0);
    w.step("S0 +2:1");
    w.status("a1 s1 [0]");
}

#[test]
fn an_index_refused_while_it_is_stopped_comes_back() {
    let mut w = World::started(Spec::new(1, 1).indexed().replace_failed(), "+0:0");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0");
    w.refuse(0, crate::model::Reason::ErrImagePull);
    w.step("~0");
    w.update(|spec| spec.parallelism = 1);
    w.step("+1:0");
}

#[test]
fn v077_raised_completions_add_indexes() {
    let mut w = World::started(Spec::new(3, 3).indexed(), "+0:0 +1:1 +2:2");
    w.update(|spec| (spec.parallelism, spec.completions) = (4, Some(4)));
    w.step("+3:3");
    w.exits(0..4, 0);
    w.step("S0..3 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s4 [0-3]");
}
