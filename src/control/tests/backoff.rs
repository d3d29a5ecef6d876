//! Vectors 24 to 37: backoffLimit and the delay before a replacement.

use super::{Spec, World};

#[test]
fn v024_a_running_pod_at_limit_zero_is_no_failure() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(0), "+0");
    w.run([0]);
    w.step("");
    w.status("a1 r1");
    w.conditions("");
}

#[test]
fn v025_limit_zero_fails_at_the_first_failure() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(0), "+0");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.status("f1");
    w.message("Job has reached the specified backoff limit");
    assert_eq!(w.job_status().completion_time, None);
}

#[test]
fn v026_limit_one_bears_one_failure() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(1), "+0");
    w.exit(0, 1);
    w.step("F0");
    w.step_due_in(10_000, "+1");
    w.status("a1 f1");
}

#[test]
fn v027_limit_one_fails_at_the_second_failure() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(1), "+0");
    w.exit(0, 1);
    w.step("F0");
    w.advance(10_000);
    w.step("+1");
    w.exit(1, 1);
    w.step("F1 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.status("f2");
    w.advance(1_000_000);
    w.step("");
    assert_eq!(w.record().next_ordinal, 2, "pods in all");
}

#[test]
fn v028_six_failures_back_off_320_s() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.run([0]);
    for (ordinal, delay_s) in [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320)] {
        w.exit(ordinal, 1);
        w.step(&format!("F{ordinal}"));
        w.step_due_in(delay_s * 1000, &format!("+{}", ordinal + 1));
        w.advance(1000);
    }
    w.status("a2 r1 f6");
}

#[test]
fn v029_the_seventh_failure_is_one_too_many() {
    let mut w = World::started(Spec::new(7, 7), "+0..6");
    w.exits(0..7, 1);
    w.step("F0..6 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.status("f7");
}

#[test]
fn v030_when_failing_every_remaining_pod_counts_as_failed() {
    let mut w = World::started(Spec::new(3, 3).backoff_limit(0), "+0..2");
    w.run([0, 1]);
    w.step("");
    w.exit(2, 1);
    w.step("F2 FailureTarget(BackoffLimitExceeded) -0 -1");
    w.status("t2 f3");
    w.advance(1000);
    w.end_stopped();
    w.step("~0 ~1 Failed(BackoffLimitExceeded)");
    w.status("f3");
}

#[test]
fn v030_waiting_pods_of_a_failing_job_count_as_failed_too() {
    let mut w = World::started(Spec::new(2, 2).backoff_limit(0), "+0 +1");
    w.refuse(1, crate::model::Reason::ErrImagePull);
    w.step("W1(ErrImagePull)");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1(gone) Failed(BackoffLimitExceeded)");
    w.status("f2");
}

#[test]
fn v032_instant_failures_are_ever_further_apart() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    for (ordinal, delay_s) in [(0, 10), (1, 20), (2, 40), (3, 80), (4, 160), (5, 320)] {
        w.exit(ordinal, 1);
        w.step(&format!("F{ordinal}"));
        w.advance(delay_s * 1000 - 1);
        w.step("");
        w.advance(1);
        // Kubernetes looks again a second later when less than a second is left.
        let did = w.try_step();
        if did.is_empty() {
            w.step_due_in(999, &format!("+{}", ordinal + 1));
        } else {
            assert_eq!(did, format!("+{}", ordinal + 1));
        }
        w.advance(1000);
    }
    w.exit(6, 1);
    w.step("F6 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.status("f7");
}

#[test]
fn delays_end_at_ten_minutes() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(100), "+0");
    for (ordinal, delay_s) in [10, 20, 40, 80, 160, 320, 600, 600, 600].into_iter().enumerate() {
        w.exit(u32::try_from(ordinal).expect("few"), 1);
        w.step(&format!("F{ordinal}"));
        w.step_due_in(delay_s * 1000, &format!("+{}", ordinal + 1));
        w.advance(1000);
    }
}

#[test]
fn v033_nothing_is_created_during_the_back_off() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 1);
    w.step("F0");
    w.status("f1");
    w.advance(9000);
    w.step("");
    w.step_due_in(1000, "+1");
}

/// kubernetes: a sync that waits comes again after at least a second.
#[test]
fn v033_less_than_a_second_of_back_off_is_a_second() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 1);
    w.advance(9500);
    w.step("F0");
    w.step_due_in(1000, "+1");
}

#[test]
fn v034_failures_seen_together_all_count() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    w.exit_at(0, 1, w.now.plus_ms(3));
    w.exit_at(1, 1, w.now.plus_ms(5));
    w.exit_at(2, 1, w.now.plus_ms(4));
    w.advance(1005);
    w.step("F0..2");
    w.step_due_in(39_000, "+3..5");
}

#[test]
fn v035_only_failures_after_the_last_success_count() {
    let mut w = World::started(Spec::new(5, 10), "+0..4");
    for (ordinal, code, at_ms) in [(0, 1, 0), (1, 1, 1), (2, 1, 3), (3, 1, 4), (4, 0, 2)] {
        w.exit_at(ordinal, code, w.now.plus_ms(at_ms));
    }
    w.advance(4);
    w.step("F0..3 S4");
    w.step_due_in(20_000, "+5..9");
}

#[test]
fn v036_a_success_at_the_same_time_as_the_failure_lifts_the_back_off() {
    let mut w = World::started(Spec::new(2, 3), "+0 +1");
    w.exit(0, 1);
    w.exit(1, 0);
    w.step("F0 S1 +2 +3");
}

#[test]
fn v037_one_more_failure_doubles_the_delay() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    w.exits([0, 1], 1);
    w.step("F0 F1");
    w.exit(2, 1);
    w.step("F2");
    w.advance(39_999);
    w.step("");
    w.advance(1001);
    w.step("+3..5");
}

#[test]
fn a_lowered_backoff_limit_fails_a_job_that_is_above_it() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.run([0]);
    w.exit(1, 1);
    w.step("F1");
    w.update(|spec| spec.backoff_limit = 0);
    w.step("FailureTarget(BackoffLimitExceeded) -0");
    w.status("t1 f2");
}

#[test]
fn raised_parallelism_waits_for_the_back_off_too() {
    let mut w = World::started(Spec::new(1, 5), "+0");
    w.exit(0, 1);
    w.step("F0");
    w.update(|spec| spec.parallelism = 3);
    w.step("");
    w.advance(10_000);
    w.step("+1..3");
}
