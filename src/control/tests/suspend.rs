//! Vectors 45, 46, 52 to 57 and 131: suspension and resumption.

use super::{Spec, World};
use crate::model::EventNote;

#[test]
fn v053_a_job_that_is_suspended_from_the_start_has_no_pods_and_no_start() {
    let mut w = World::of(Spec::new(2, 5).suspended());
    w.step("Suspended(JobSuspended)");
    w.status("");
    assert_eq!(w.job_status().start_time, None);
    assert_eq!(&*w.job_status().conditions[0].message, "Job suspended");
    assert_eq!(w.take_events(), [EventNote::Suspended]);
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn v054_suspension_stops_the_pods_and_counts_none() {
    let mut w = World::started(Spec::new(2, 4), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.take_events();
    w.update(|spec| spec.suspend = true);
    w.step("-0 -1 Suspended(JobSuspended)");
    w.status("t2");
    assert_eq!(w.job_status().start_time, None);
    let deleted = |ordinal| EventNote::SuccessfulDelete { ordinal, index: crate::base::NO_INDEX };
    assert_eq!(w.take_events(), [deleted(0), deleted(1), EventNote::Suspended]);
    w.advance(1000);
    w.end_stopped();
    w.step("~0 ~1");
    w.status("");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn v055_resumption_starts_anew() {
    let mut w = World::of(Spec::new(2, 4).suspended());
    w.step("Suspended(JobSuspended)");
    w.advance(60_000);
    w.update(|spec| spec.suspend = false);
    w.take_events();
    w.step("+0 +1 Suspended(JobResumed)");
    w.status("a2");
    assert_eq!(w.job_status().start_time, Some(w.now));
    let condition = &w.job_status().conditions[0];
    assert!(!condition.is_true() && condition.at == w.now && &*condition.message == "Job resumed");
    assert_eq!(w.take_events().last(), Some(&EventNote::Resumed));
    w.exits([0, 1], 0);
    w.advance(1000);
    w.step("S0 S1 +2 +3");
    w.exits([2, 3], 0);
    w.step("S2 S3 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.conditions("Suspended(JobResumed) SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn v055_a_job_that_was_suspended_twice_has_one_condition() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    for round in 0..2 {
        w.update(|spec| spec.suspend = true);
        w.step(&format!("-{round} Suspended(JobSuspended)"));
        w.end_stopped();
        w.step(&format!("~{round}"));
        w.advance(1000);
        w.update(|spec| spec.suspend = false);
        w.step(&format!("+{} Suspended(JobResumed)", round + 1));
        w.conditions("Suspended(JobResumed)");
    }
}

#[test]
fn v052_the_deadline_does_not_pass_while_the_job_is_suspended() {
    let mut w = World::of(Spec::new(0, 1).deadline_s(10));
    w.step("");
    w.advance(15_000);
    w.update(|spec| spec.suspend = true);
    w.step("Suspended(JobSuspended)");
    w.conditions("Suspended(JobSuspended)");
    assert_eq!(w.due_in_ms(), None);
    w.advance(1_000_000);
    w.step("");
    w.update(|spec| spec.suspend = false);
    w.step("Suspended(JobResumed)");
    w.step_due_in(10_000, "FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded)");
}

#[test]
fn v045_restarts_of_a_suspended_job_do_not_count() {
    let mut w = World::started(Spec::new(2, 4).on_failure(), "+0 +1");
    w.exits([0, 1], 1);
    w.step("C0 C1 R0 R1 >0 >1");
    w.update(|spec| spec.suspend = true);
    w.step("-0 -1 Suspended(JobSuspended)");
    w.status("t2");
}

#[test]
fn v046_completion_comes_before_suspension() {
    let mut w = World::started(Spec::new(4, 4).on_failure(), "+0..3");
    w.exits([0, 1, 2], 1);
    w.step("C0..2 R0..2 >0..2");
    w.update(|spec| spec.suspend = true);
    w.exits(0..4, 0);
    w.advance(1000);
    let did = w.try_step();
    assert!(did.ends_with("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)"), "{did}");
    w.status("s4");
    w.conditions("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn v057_a_suspended_job_of_no_completions_completes_without_a_start() {
    let mut w = World::of(Spec::new(2, 0).suspended());
    w.step("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    assert_eq!(w.job_status().start_time, None);
    assert_eq!(w.job_status().completion_time, Some(w.now));
}

#[test]
fn v131_a_work_queue_with_a_success_completes_when_it_is_suspended() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.run([1]);
    w.step("");
    w.update(|spec| spec.suspend = true);
    w.exit(0, 0);
    w.step("S0 -1 SuccessCriteriaMet(CompletionsReached)");
    w.status("t1 s1");
    w.end_stopped();
    w.step("~1 Complete(CompletionsReached)");
    w.status("s1");
    w.conditions("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn the_back_off_goes_on_while_the_job_is_suspended() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 1);
    w.update(|spec| spec.suspend = true);
    w.step("F0 Suspended(JobSuspended)");
    w.advance(4000);
    w.update(|spec| spec.suspend = false);
    w.step("Suspended(JobResumed)");
    w.step_due_in(6000, "+1");
}

#[test]
fn a_suspended_job_stays_so_after_a_crash() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.update(|spec| spec.suspend = true);
    w.step("-0 Suspended(JobSuspended)");
    w.crash();
    w.step("~0");
    w.status("");
    w.conditions("Suspended(JobSuspended)");
}
