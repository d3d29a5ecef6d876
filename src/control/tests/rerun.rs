//! Parts of a Job that run again.

use super::{Spec, World};

const COMPLETE: &str = "SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)";

fn indexed(parallelism: u32, completions: u32) -> Spec {
    Spec::new(parallelism, completions).indexed()
}

#[test]
fn a_completed_index_runs_again_in_a_finished_job() {
    let mut w = World::started(indexed(2, 2).deadline_s(50), "+0:0 +1:1");
    w.exits([0, 1], 0);
    w.step(&format!("S0 S1 {COMPLETE}"));
    w.advance(100_000);
    w.rerun(Some("1"));
    w.step("rerun +2:1");
    w.status("a1 s1 [0]");
    w.conditions("");
    assert_eq!((w.job_status().start_time, w.job_status().completion_time), (Some(w.now), None));
    w.advance(1000);
    w.exit(2, 0);
    w.step(&format!("S2 {COMPLETE}"));
    w.status("s2 [0,1]");
    assert_eq!(w.job_status().completion_time, Some(w.now));
}

#[test]
fn what_has_failed_runs_again_with_new_limits() {
    let mut w = World::started(indexed(3, 3).per_index(0), "+0:0 +1:1 +2:2");
    w.exits([0, 2], 1);
    w.exit(1, 0);
    let did = w.try_step();
    assert!(did.ends_with("FailureTarget(FailedIndexes) Failed(FailedIndexes)"), "{did}");
    w.status("s1 f2 [1] /0,2/");
    w.rerun(None);
    w.step("rerun +3:0 +4:2");
    w.status("a2 s1 [1] //");
    w.advance(1000);
    w.exits([3, 4], 0);
    let did = w.try_step();
    assert!(did.ends_with(COMPLETE), "{did}");
    w.status("s3 [0-2] //");
}

#[test]
fn a_failed_job_without_failed_indexes_goes_on_where_it_was() {
    let mut w = World::started(indexed(2, 4).backoff_limit(0), "+0:0 +1:1");
    w.exit(0, 0);
    w.exit(1, 1);
    w.step("S0 F1 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.rerun(None);
    w.step("rerun +2:1 +3:2");
    w.status("a2 s1 [0]");
    let mut w = World::started(Spec::new(1, 2).backoff_limit(0), "+0");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.rerun(None);
    w.step("rerun +1");
    w.status("a1");
    w.conditions("");
}

#[test]
fn an_index_runs_again_while_the_job_runs() {
    let mut w = World::started(indexed(2, 3).per_index(0), "+0:0 +1:1");
    w.run([1]);
    w.exit(0, 1);
    w.step("X0 +2:2");
    w.exit(2, 0);
    w.step("S2");
    w.advance(1000);
    w.rerun(Some("0-2"));
    w.step("rerun +3:0");
    w.status("a2 r1 f1 //");
    w.exit(1, 0);
    w.step("S1 +4:2");
}

#[test]
fn what_cannot_run_again_is_refused() {
    let mut w = World::started(indexed(1, 2), "+0:0");
    w.rerun(Some("0"));
    w.step("!NothingToRun");
    w.rerun(None);
    w.step("!NothingToRun");
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE}"));
    w.rerun(None);
    w.step("!NothingToRun");
    let mut w = World::started(Spec::new(2, 2).backoff_limit(0), "+0 +1");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1");
    w.rerun(None);
    w.step("!Ending");
}

#[test]
fn a_job_that_goes_on_is_not_deleted_for_its_earlier_end() {
    let mut w = World::started(indexed(1, 1).ttl_s(10), "+0:0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE}"));
    w.advance(5000);
    w.rerun(Some("0"));
    w.step("rerun +1:0");
    w.advance(100_000);
    w.step("");
    w.exit(1, 0);
    w.step(&format!("S1 {COMPLETE}"));
    w.step_due_in(10_000, "deleted");
}

#[test]
fn a_rerun_survives_a_crash() {
    let mut w = World::started(indexed(1, 1), "+0:0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE}"));
    w.advance(1000);
    w.rerun(Some("0"));
    w.step("rerun +1:0");
    w.crash();
    w.step(">1");
    w.exit(1, 0);
    w.step(&format!("S1 {COMPLETE}"));
}

#[test]
fn a_job_may_have_its_own_back_off() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(9).backoff_delays(500, 1500), "+0");
    for (ordinal, delay_ms) in [(0, 500), (1, 1000), (2, 1500), (3, 1500)] {
        w.exit(ordinal, 1);
        w.step(&format!("F{ordinal}"));
        w.settle();
        w.step_due_in(delay_ms - 100, &format!("+{}", ordinal + 1));
        w.advance(1000);
    }
    let mut w = World::started(indexed(1, 1).per_index(9).backoff_delays(2000, 3000), "+0:0");
    for (ordinal, delay_ms) in [(0, 2000), (1, 3000), (2, 3000)] {
        w.exit(ordinal, 1);
        w.step(&format!("H{ordinal}"));
        w.settle();
        w.step_due_in(delay_ms - 100, &format!("+{}:0", ordinal + 1));
        w.step(&format!("={ordinal}"));
        w.advance(1000);
    }
}
