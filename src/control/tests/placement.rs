//! Pods wait for what they ask of the node (kubernetes: kube-scheduler's filters).

use super::{Spec, World};
use crate::base::NO_INDEX;
use crate::control::{PodChange, Propagation};
use crate::model::{EventNote, Needs, NodeOperator, NodeRequirement, NodeTerm, PodTemplate};
use std::sync::Arc;

fn asking(mut spec: Spec, needs: Needs) -> Spec {
    spec.0.template = Arc::new(PodTemplate { needs: Some(Box::new(needs)), ..PodTemplate::clone(&spec.0.template) });
    spec
}

/// Of the node's four CPUs.
fn cpu(cpu_m: u64) -> Needs {
    Needs { cpu_m, ..Needs::default() }
}

const NO_VICTIMS: &str = "no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found \
                          for incoming pod.";
const NO_HELP: &str =
    "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

fn said(w: &mut World) -> Vec<EventNote> {
    w.take_events().into_iter().filter(|note| matches!(note, EventNote::Unschedulable { .. })).collect()
}

/// Why the Job's pods wait.
fn why(w: &World) -> String {
    w.record().placement.unplaced.as_ref().map(|unplaced| unplaced.why.to_string()).unwrap_or_default()
}

#[test]
fn ninety_pods_of_a_fifth_of_the_cpu_all_finish_and_none_fails() {
    let mut w = World::of(asking(Spec::new(90, 90).backoff_limit(0), cpu(800)));
    w.step("+0..4 +5..89(waits)");
    let text = format!("0/1 nodes are available: 1 Insufficient cpu. {NO_VICTIMS}");
    assert_eq!(why(&w), text);
    assert_eq!(said(&mut w), [EventNote::Unschedulable { ordinal: 5, index: NO_INDEX, why: text.into() }]);
    for first in (0..90).step_by(5) {
        w.run(first..first + 5);
        w.try_step();
        assert_eq!(w.workers.alive.len(), 5);
        w.advance(1000);
        w.exits(first..first + 5, 0);
        w.try_step();
    }
    w.status("s90");
    assert_eq!((why(&w), said(&mut w)), (String::new(), vec![]));
}

#[test]
fn a_pod_that_can_never_fit_waits_for_ever() {
    let mut w = World::of(asking(Spec::new(1, 1), cpu(4001)));
    w.step("+0(waits)");
    assert_eq!(why(&w), format!("0/1 nodes are available: 1 Insufficient cpu. {NO_HELP}"));
    w.settle();
    w.advance(100_000_000);
    w.step("");
    w.status("a1");
    w.crash();
    w.step("");
    w.status("a1");
    w.delete();
    w.step("deleted");
}

#[test]
fn memory_and_what_the_node_has_not_are_named_in_order() {
    let needs = Needs { memory_bytes: 2 << 30, others: vec!["example.com/gpu".to_owned()], ..cpu(5000) };
    let mut w = World::of(asking(Spec::new(1, 1), needs));
    w.step("+0(waits)");
    let short = "1 Insufficient cpu, 1 Insufficient example.com/gpu, 1 Insufficient memory";
    assert_eq!(why(&w), format!("0/1 nodes are available: {short}. {NO_HELP}"));
}

#[test]
fn a_job_that_does_not_fit_holds_up_no_other_and_goes_on_when_there_is_room() {
    let mut w = World::empty();
    w.create("a", asking(Spec::new(1, 1), cpu(3000)));
    w.create("b", asking(Spec::new(1, 1), cpu(2000)));
    w.create("c", asking(Spec::new(1, 1), cpu(1000)));
    w.create("d", Spec::new(1, 1));
    w.step("a/+0 b/+0(waits) c/+0 d/+0");
    w.focus("c");
    w.exit(0, 0);
    w.step("c/S0 c/SuccessCriteriaMet(CompletionsReached) c/Complete(CompletionsReached)");
    w.focus("a");
    w.exit(0, 1);
    w.step("a/F0 b/>0");
    w.focus("b");
    assert_eq!(why(&w), "");
    // The pod that takes its place has to wait now.
    w.focus("a");
    w.advance(10_000);
    w.step("a/+1(waits)");
    w.settle();
    w.focus("b");
    w.delete();
    w.step("b/-0 b/deleted");
    w.end_stopped();
    w.step("a/>1");
}

#[test]
fn what_a_deleted_job_still_runs_is_reserved_until_it_ends() {
    let mut w = World::of(asking(Spec::new(1, 1), cpu(4000)));
    w.step("+0");
    w.delete();
    w.create("next", asking(Spec::new(1, 1), cpu(4000)));
    w.step("-0 deleted +0(waits)");
    w.end_stopped();
    w.step(">0");
}

#[test]
fn orphans_and_refused_pods_give_back_what_they_took() {
    let mut w = World::of(asking(Spec::new(1, 1), cpu(4000)));
    w.step("+0");
    w.delete_with(Propagation::Orphan);
    w.create("next", asking(Spec::new(1, 1), cpu(4000)));
    w.step("pi/orphaned next/+0(waits)");
    w.focus("pi");
    w.exit(0, 0);
    w.step("pi/S0 next/>0");
    w.focus("next");
    w.refuse(0, crate::model::Reason::ErrImagePull);
    w.step("next/W0(ErrImagePull)");
    w.create("third", asking(Spec::new(1, 1), cpu(4000)));
    w.step("third/+0");
}

#[test]
fn a_cordoned_node_takes_no_pods_but_those_that_bear_it() {
    let mut w = World::empty();
    w.write_node(r#"{"metadata":{},"spec":{"unschedulable":true}}"#);
    w.create("a", Spec::new(2, 2));
    w.create("b", asking(Spec::new(1, 1), Needs { tolerates_cordon: true, ..Needs::default() }));
    w.step("a/+0(waits) a/+1(waits) b/+0");
    w.focus("a");
    assert_eq!(why(&w), format!("0/1 nodes are available: 1 node(s) were unschedulable. {NO_HELP}"));
    assert_eq!(said(&mut w).len(), 1);
    w.crash();
    w.try_step();
    w.write_node(r#"{"metadata":{},"spec":{}}"#);
    w.step("a/>0 a/>1");
    assert_eq!(why(&w), "");
}

#[test]
fn pods_go_where_their_selector_and_affinity_say() {
    let selector = |value: &str| Needs {
        selector: [("disk".to_owned(), value.to_owned())].into_iter().collect(),
        ..Needs::default()
    };
    let linux = NodeRequirement {
        key: "kubernetes.io/os".to_owned(),
        operator: NodeOperator::In,
        values: vec!["linux".to_owned()],
    };
    let term = NodeTerm { match_expressions: vec![linux], ..NodeTerm::default() };
    let mut w = World::empty();
    w.create("a", asking(Spec::new(1, 1), Needs { terms: Some(vec![term]), ..Needs::default() }));
    w.create("b", asking(Spec::new(1, 1), selector("fast")));
    w.step("a/+0 b/+0(waits)");
    let text = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    assert_eq!(why(&w), format!("{text} {NO_HELP}"));
    w.write_node(r#"{"metadata":{"labels":{"disk":"fast"}},"spec":{}}"#);
    w.step("b/>0");
}

#[test]
fn gated_pods_wait_without_an_event_until_their_gates_are_gone() {
    let gated = Needs { gates: vec!["a.io/b".to_owned()], ..cpu(100) };
    let mut w = World::of(asking(Spec::new(3, 3), gated));
    w.step("+0..2(waits)");
    assert_eq!((why(&w), said(&mut w)), (String::new(), vec![]));
    w.change_pod(1, None, PodChange::Ungate);
    w.step("u1 >1");
    w.change_pod(1, None, PodChange::Ungate);
    w.step("");
    w.delete_pod(2);
    w.step("x2F(gone)");
    w.crash();
    w.step(">1");
    w.change_pod(0, None, PodChange::Ungate);
    w.step("u0 >0");
    w.exits([0, 1], 0);
    w.step("S1 S0 +3(waits)");
}
