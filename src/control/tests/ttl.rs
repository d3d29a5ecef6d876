//! Vector 130: ttlSecondsAfterFinished; and 126, 127: managedBy.

use super::{Spec, World};

const COMPLETE: &str = "SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)";

#[test]
fn v130_a_finished_job_is_deleted_when_its_time_has_come() {
    let mut w = World::started(Spec::new(1, 1).ttl_s(10), "+0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE}"));
    w.step_due_in(10_000, "deleted");
    assert!(w.store.jobs.is_empty());
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_failed_job_is_deleted_too() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(0).ttl_s(10), "+0");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.step_due_in(10_000, "deleted");
}

#[test]
fn a_time_of_zero_deletes_the_job_at_its_end() {
    let mut w = World::started(Spec::new(1, 1).ttl_s(0), "+0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE} deleted"));
}

#[test]
fn the_time_may_be_set_and_changed_after_the_end() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE}"));
    w.advance(5000);
    w.update(|spec| spec.ttl_s = Some(60));
    w.step("");
    assert_eq!(w.due_in_ms(), Some(55_000));
    w.update(|spec| spec.ttl_s = None);
    w.step("");
    assert_eq!(w.due_in_ms(), None);
    w.update(|spec| spec.ttl_s = Some(5));
    w.step("deleted");
}

#[test]
fn the_time_goes_on_over_a_crash() {
    let mut w = World::started(Spec::new(1, 1).ttl_s(10), "+0");
    w.exit(0, 0);
    w.step(&format!("S0 {COMPLETE}"));
    w.advance(4000);
    w.crash();
    w.step("");
    w.step_due_in(6000, "deleted");
}

#[test]
fn v126_somebody_elses_job_is_left_alone() {
    let mut w = World::of(Spec::new(2, 2).ttl_s(0).foreign());
    w.step("");
    w.advance(100_000);
    w.update(|spec| spec.suspend = true);
    w.step("");
    w.status("");
    assert_eq!(*w.job_status(), crate::model::JobStatus::default());
    assert_eq!((w.take_events().len(), w.due_in_ms()), (0, None));
    w.crash();
    w.step("");
    w.delete();
    w.step("deleted");
}

#[test]
fn v127_our_own_name_is_as_none() {
    let doc = |rest: &str| {
        format!(
            r#"{{"spec":{{"parallelism":1,"backoffLimit":6,{rest}"template":{{"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
        )
    };
    let spec = |rest: &str| crate::model::JobSpec::from_doc(&doc(rest)).expect("a good document");
    assert_eq!(spec(r#""managedBy":"kubernetes.io/job-controller","#), spec(""));
    assert!(spec(r#""managedBy":"example.com/x","#).is_foreign && !spec("").is_foreign);
}
