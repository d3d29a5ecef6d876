//! Vectors 1 to 22: which pods there are and how they count.

use super::{Spec, World};

#[test]
fn v001_a_new_job_starts_and_creates_as_many_pods_as_parallelism_says() {
    let mut w = World::of(Spec::new(2, 5));
    w.step("+0 +1");
    w.status("a2");
    w.conditions("");
    assert_eq!(w.job_status().start_time, Some(w.now));
}

#[test]
fn v002_a_work_queue_starts_as_many_pods_as_parallelism_says() {
    let mut w = World::of(Spec::new(2, None));
    w.step("+0 +1");
    w.status("a2");
}

#[test]
fn v003_pending_pods_are_active() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.step("");
    w.status("a2");
}

#[test]
fn v004_running_pods_are_ready() {
    let mut w = World::started(Spec::new(3, 5), "+0..2");
    w.run([0, 2]);
    w.step("");
    w.status("a3 r2");
}

#[test]
fn v005_after_a_success_the_next_pod_comes() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.run([0]);
    w.exit(1, 0);
    w.step("S1 +2");
    w.status("a2 r1 s1");
}

#[test]
fn v006_a_work_queue_at_full_parallelism_stays() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.status("a2 r2");
}

#[test]
fn v007_a_work_queue_below_parallelism_fills_up() {
    let mut w = World::started(Spec::new(1, None), "+0");
    w.run([0]);
    w.update(|spec| spec.parallelism = 2);
    w.step("+1");
    w.status("a2 r1");
}

#[test]
fn v008_a_pod_too_many_is_stopped_and_does_not_count() {
    let mut w = World::started(Spec::new(3, 5), "+0..2");
    w.run([0, 1, 2]);
    w.step("");
    w.update(|spec| spec.parallelism = 2);
    w.step("-2");
    w.status("a2 r2 t1");
    w.end_stopped();
    w.step("~2");
    w.status("a2 r2");
}

#[test]
fn v009_eight_pods_too_many_are_stopped() {
    let mut w = World::started(Spec::new(10, 10), "+0..9");
    w.run(0..10);
    w.step("");
    w.update(|spec| spec.parallelism = 2);
    w.step("-2..9");
    w.status("a2 r2 t8");
}

/// Clients cannot lower completions here; the state machine is told to.
#[test]
fn v010_no_more_pods_than_completions_are_missing() {
    let mut w = World::started(Spec::new(5, 5), "+0..4");
    w.run([0, 1, 2]);
    w.exits([3, 4], 0);
    w.update(|spec| (spec.parallelism, spec.completions) = (3, Some(4)));
    w.step("S3 S4 -2");
    w.status("a2 r2 t1 s2");
}

#[test]
fn v011_successes_are_replaced_up_to_parallelism() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.exits([0, 1], 0);
    w.step("S0 S1 +2 +3");
    w.status("a2 s2");
}

#[test]
fn v012_all_completions_reached() {
    let mut w = World::started(Spec::new(5, 5), "+0..4");
    w.exits(0..5, 0);
    w.step("S0..4 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s5");
    w.message("Reached expected number of succeeded pods");
    assert_eq!(w.job_status().completion_time, Some(w.now));
}

#[test]
fn v013_a_work_queue_with_a_success_creates_nothing() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.run([0]);
    w.exit(1, 0);
    w.step("S1");
    w.status("a1 r1 s1");
    w.conditions("");
}

#[test]
fn v014_a_work_queue_completes_when_all_pods_succeeded() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.exits([0, 1], 0);
    w.step("S0 S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s2");
}

#[test]
fn v015_a_work_queue_completes_with_one_success_and_one_failure() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.exit(0, 0);
    w.exit(1, 1);
    w.step("S0 F1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s1 f1");
}

#[test]
fn v016_a_failure_is_replaced_after_ten_seconds() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 1);
    w.step("F0");
    w.status("f1");
    w.step_due_in(10_000, "+1");
    w.status("a1 f1");
}

#[test]
fn v017_a_success_after_the_failure_lifts_the_back_off() {
    let mut w = World::started(Spec::new(3, 5), "+0..2");
    w.update(|spec| spec.parallelism = 2);
    w.exit_at(2, 1, w.now.plus_ms(1));
    w.exit_at(1, 0, w.now.plus_ms(2));
    w.advance(2);
    w.step("F2 S1 +3");
    w.status("a2 s1 f1");
}

#[test]
fn v018_no_completions_complete_at_once() {
    let mut w = World::of(Spec::new(1, 0));
    w.step("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("");
    assert_eq!(w.job_status().start_time, Some(w.now));
}

#[test]
fn v019_no_parallelism_runs_nothing() {
    let mut w = World::of(Spec::new(0, 3));
    w.step("");
    w.status("");
    w.conditions("");
    assert_eq!(w.job_status().start_time, Some(w.now));
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn v020_lowered_parallelism_stops_pods() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    w.run([0, 1, 2]);
    w.step("");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1 -2");
    w.status("a1 r1 t2");
}

/// The API's defaults; the state machine sees one and one.
#[test]
fn v021_a_job_without_numbers_runs_one_pod() {
    let mut w = World::of(Spec::new(1, 1));
    w.step("+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn v022_a_work_queue_with_a_success_waits_for_the_others() {
    let mut w = World::started(Spec::new(4, None), "+0..3");
    w.run([1, 2, 3]);
    w.exit(0, 0);
    w.step("S0");
    w.status("a3 r3 s1");
    w.advance(1000);
    w.exits([1, 2], 0);
    w.step("S1 S2");
    w.exit(3, 0);
    w.step("S3 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s4");
}
