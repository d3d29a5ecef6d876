//! Vectors 83 to 97: podFailurePolicy.

use super::{Spec, World};
use crate::base::{PodNames, Uid};
use crate::model::FailureAction::{Count, FailIndex, FailJob, Ignore};

/// Ignore 1, 2, 3; fail the Job at 5, 6, 7.
fn r1(spec: Spec) -> Spec {
    spec.rule(Ignore, "In", &[1, 2, 3]).rule(FailJob, "In", &[5, 6, 7])
}

fn one(spec: Spec) -> World {
    World::started(spec, "+0")
}

#[test]
fn v083_a_rule_for_another_container_does_not_match() {
    let spec = Spec::new(1, 1).rule_for(Some("monitoring"), FailJob, "In", &[42]);
    let mut w = one(spec);
    w.exit(0, 42);
    w.step("F0");
    w.step_due_in(10_000, "+1");
    w.status("a1 f1");
}

#[test]
fn v083_a_rule_for_this_container_matches() {
    let mut w = one(Spec::new(1, 1).rule_for(Some("main"), FailJob, "In", &[42]));
    w.exit(0, 42);
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
}

#[test]
fn v085_a_fail_job_rule_fails_the_job_and_says_why() {
    let mut w = World::empty();
    let uid = Uid::v4(85);
    w.create_as("default", "mypod", uid, r1(Spec::new(1, 1)));
    w.step("+0");
    w.exit(0, 5);
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
    w.status("f1");
    let pod = PodNames::new(uid).pod_name("mypod", None, 0);
    w.message(&format!(
        "Container main for pod default/{pod} failed with exit code 5 matching FailJob rule at index 1"
    ));
}

#[test]
fn v085_the_message_names_the_pod_with_its_index() {
    let mut w = World::empty();
    let uid = Uid::v4(85);
    w.create_as("default", "mypod", uid, r1(Spec::new(2, 2).indexed()));
    w.step("+0:0 +1:1");
    w.exits([1, 0], 6);
    w.step("F1 F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
    let pod = PodNames::new(uid).pod_name("mypod", Some(1), 1);
    assert!(pod.starts_with("mypod-1-"));
    w.message(&format!(
        "Container main for pod default/{pod} failed with exit code 6 matching FailJob rule at index 1"
    ));
}

#[test]
fn v086_the_other_pods_are_stopped_and_count_as_failed() {
    let mut w = World::started(r1(Spec::new(2, 2)), "+0 +1");
    w.run([0]);
    w.exit(1, 5);
    w.step("F1 FailureTarget(PodFailurePolicy) -0");
    w.status("t1 f2");
    w.advance(1000);
    w.end_stopped();
    w.step("~0 Failed(PodFailurePolicy)");
    w.status("f2");
}

#[test]
fn v087_not_in_matches_what_is_not_listed() {
    let mut w = one(Spec::new(1, 1).rule(FailJob, "NotIn", &[5, 6, 7]));
    w.exit(0, 42);
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
    assert!(w.job_status().conditions[0].message.ends_with("matching FailJob rule at index 0"));
}

#[test]
fn v088_not_in_does_not_match_what_is_listed() {
    let mut w = one(Spec::new(1, 1).rule(FailJob, "NotIn", &[5, 6, 7]));
    w.exit(0, 5);
    w.step("F0");
    w.step_due_in(10_000, "+1");
    w.status("a1 f1");
}

#[test]
fn zero_never_matches_not_even_not_in() {
    let mut w = one(Spec::new(1, 1).rule(FailJob, "NotIn", &[5]));
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn v090_the_first_matching_rule_decides() {
    let mut w = one(Spec::new(1, 1).backoff_limit(0).rule(Ignore, "In", &[6]).rule(FailJob, "In", &[6]));
    w.exit(0, 6);
    w.step("I0");
    w.step_due_in(10_000, "+1");
    w.status("a1");
}

#[test]
fn v091_an_ignored_failure_does_not_count() {
    let mut w = one(r1(Spec::new(1, 1).backoff_limit(0)));
    w.exit(0, 1);
    w.step("I0");
    w.status("");
    w.step_due_in(10_000, "+1");
    w.status("a1");
}

#[test]
fn v092_without_a_match_the_failure_counts() {
    let mut w = one(r1(Spec::new(1, 1).backoff_limit(0)));
    w.exit(0, 10);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.status("f1");
}

#[test]
fn v093_count_before_ignore_counts() {
    let mut w = one(Spec::new(1, 1).rule(Count, "In", &[1, 2]).rule(Ignore, "In", &[2, 3]));
    w.exit(0, 2);
    w.step("F0");
    w.step_due_in(10_000, "+1");
    w.status("a1 f1");
}

/// Such a pod is one that was lost with the engine.
fn disrupted(spec: Spec) -> World {
    let mut w = one(spec);
    w.run([0]);
    w.step("");
    w.crash();
    w
}

#[test]
fn v094_a_disrupted_pod_can_be_ignored() {
    let mut w = disrupted(Spec::new(1, 1).backoff_limit(0).rule_on(Ignore, "DisruptionTarget"));
    w.step("I0 +1");
    w.status("a1");
}

#[test]
fn v095_a_disrupted_pod_can_fail_the_job() {
    let mut w = disrupted(Spec::new(1, 1).rule_on(FailJob, "DisruptionTarget"));
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
    w.status("f1");
    let pod = w.record();
    let name = PodNames::new(pod.uid).pod_name(&pod.name, None, 0);
    w.message(&format!("Pod default/{name} has condition DisruptionTarget matching FailJob rule at index 0"));
}

#[test]
fn a_disrupted_pod_can_count_and_fail_its_index() {
    let mut w = disrupted(Spec::new(1, 1).rule_on(Count, "DisruptionTarget"));
    w.step("F0");
    w.step_due_in(10_000, "+1");
    let mut w = World::started(Spec::new(1, 2).indexed().per_index(5).rule_on(FailIndex, "DisruptionTarget"), "+0:0");
    w.run([0]);
    w.step("");
    w.crash();
    w.step("X0 +1:1");
    w.status("a1 f1 /0/");
}

#[test]
fn rules_about_exit_codes_do_not_see_pods_that_were_lost() {
    let mut w = disrupted(Spec::new(1, 1).backoff_limit(0).rule(FailJob, "NotIn", &[1]));
    w.step("I0 +1");
    w.status("a1");
}

#[test]
fn conditions_that_every_failed_pod_has_match() {
    let mut w = one(Spec::new(1, 1).rule_on(FailJob, "DisruptionTarget").rule_on(FailJob, "PodScheduled"));
    w.exit(0, 3);
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
    let message = w.job_status().conditions[0].message.to_string();
    assert!(message.ends_with(" has condition PodScheduled matching FailJob rule at index 1"), "{message}");
    let mut w = one(Spec::new(1, 1).rule_on(FailJob, "Ready"));
    w.exit(0, 3);
    w.step("F0");
}

#[test]
fn v096_ignored_failures_back_off_ever_longer() {
    let mut w = one(r1(Spec::new(1, 1).backoff_limit(0)));
    for (ordinal, delay_s) in [(0, 10), (1, 20), (2, 40)] {
        w.exit(ordinal, 3);
        w.step(&format!("I{ordinal}"));
        w.step_due_in(delay_s * 1000, &format!("+{}", ordinal + 1));
        w.advance(1000);
    }
    w.status("a1");
}

#[test]
fn v097_the_message_stays_the_first_ones() {
    let mut w = World::started(r1(Spec::new(3, 3)), "+0..2");
    w.exit(1, 5);
    w.step("F1 FailureTarget(PodFailurePolicy) -0 -2");
    let first = w.job_status().conditions[0].message.to_string();
    assert!(first.contains("exit code 5"));
    // This exit crosses the stop.
    w.exit(0, 6);
    w.step("~0");
    w.end_stopped();
    w.step("~2 Failed(PodFailurePolicy)");
    w.message(&first);
}

#[test]
fn the_failure_policy_is_asked_before_the_backoff_limit_and_the_deadline() {
    let mut w = one(r1(Spec::new(1, 1).backoff_limit(0).deadline_s(1)));
    w.exit(0, 5);
    w.advance(5000);
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
}
