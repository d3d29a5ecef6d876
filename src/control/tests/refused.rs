//! Pods that could not start.

use super::{Spec, World};
use crate::control::Capacity;
use crate::model::Reason;

#[test]
fn a_refused_pod_is_tried_again_after_10_s_doubling_to_300_s() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    for (try_number, delay_s) in [10, 20, 40, 80, 160, 300, 300].into_iter().enumerate() {
        w.refuse(0, Reason::ErrImagePull);
        w.step(if try_number == 0 { "W0(ErrImagePull)" } else { "W0(ImagePullBackOff)" });
        w.status("a1");
        w.step_due_in(delay_s * 1000, ">0");
    }
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn other_reasons_stay_as_they_are() {
    for reason in [Reason::InvalidImageName, Reason::CreateContainerError] {
        let mut w = World::started(Spec::new(1, 1), "+0");
        let expected = format!("W0({})", reason.as_str());
        w.refuse(0, reason);
        w.step(&expected);
        w.advance(10_000);
        w.step(">0");
        w.refuse(0, reason);
        w.step(&expected);
    }
}

#[test]
fn a_refused_pod_is_no_failure_and_is_not_replaced() {
    let mut w = World::started(Spec::new(2, 2).backoff_limit(0), "+0 +1");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.status("a2");
    w.conditions("");
}

#[test]
fn a_stopped_pod_that_waits_for_its_next_try_is_gone_at_once() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0(gone)");
    w.status("");
    w.advance(10_000);
    w.step("");
}

/// The slot of a pod that is gone may hold another one when its timer fires.
#[test]
fn the_timer_of_a_pod_that_is_gone_starts_nobody_else() {
    let mut w = World::started(Spec::new(1, 2), "+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0(gone)");
    w.update(|spec| spec.parallelism = 1);
    w.step("+1");
    w.advance(5000);
    w.refuse(1, Reason::ErrImagePull);
    w.step("W1(ErrImagePull)");
    w.advance(5000);
    w.step("");
    w.step_due_in(5000, ">1");
}

#[test]
fn the_timer_of_a_pod_that_is_gone_starts_nobody_of_another_job() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("a", Spec::new(1, 1));
    w.step("+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0(gone)");
    w.create("b", Spec::new(1, 1));
    w.step("b/+0");
    w.advance(5000);
    w.refuse(0, Reason::ErrImagePull);
    w.step("b/W0(ErrImagePull)");
    w.advance(5000);
    w.step("");
    w.advance(5000);
    w.step("b/>0");
}

#[test]
fn a_stop_that_crosses_a_refusal_ends_the_pod() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0 -1");
    w.refuse(0, Reason::ErrImagePull);
    w.refuse(1, Reason::CreateContainerError);
    w.step("~0 ~1");
    w.status("");
}

#[test]
fn a_deadline_ends_a_job_that_cannot_start() {
    let mut w = World::of(Spec::new(1, 1).deadline_s(10));
    w.step("+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.step_due_in(10_000, "FailureTarget(DeadlineExceeded) -0(gone) Failed(DeadlineExceeded)");
    w.status("f1");
}
