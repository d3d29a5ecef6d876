//! Which priority pods get, and which of them go first (kubernetes: the admission plugin `Priority`).

use super::{Spec, World};
use crate::control::Capacity;
use crate::model::{EventNote, PodPriority, PreemptionPolicy};
use std::sync::Arc;

fn with_class(spec: Spec, class: &str) -> Spec {
    let mut spec = spec;
    Arc::make_mut(&mut spec.0.template).priority_class = class.to_owned();
    spec
}

fn priority(w: &World) -> Option<(&str, i32, PreemptionPolicy)> {
    let PodPriority { class, value, preemption_policy } = w.record().placement.priority.as_ref()?;
    Some((class.as_deref().unwrap_or(""), *value, *preemption_policy))
}

#[track_caller]
fn forbidden(w: &mut World, why: &str) {
    let why = format!("pods \"pi-\" is forbidden: {why}").into();
    assert_eq!(w.take_events(), [EventNote::FailedCreate { why }]);
}

#[test]
fn a_class_that_is_not_there_is_waited_for() {
    let mut w = World::of(with_class(Spec::new(1, 1), "high"));
    w.step("");
    forbidden(&mut w, "no PriorityClass with name high was found");
    w.class("other", "\"value\":1");
    w.step("");
    forbidden(&mut w, "no PriorityClass with name high was found");
    w.crash();
    w.class("high", "\"value\":1000,\"preemptionPolicy\":\"Never\"");
    w.step("+0");
    assert_eq!(priority(&w), Some(("high", 1000, PreemptionPolicy::Never)));
    w.crash();
    w.step(">0");
    assert_eq!(priority(&w), Some(("high", 1000, PreemptionPolicy::Never)));
}

#[test]
fn a_job_that_waits_for_a_class_is_deleted() {
    let mut w = World::of(with_class(Spec::new(1, 1), "high"));
    w.step("");
    w.delete();
    w.step("deleted");
    w.class("high", "\"value\":1000");
    w.step("");
}

#[test]
fn the_default_class_counts_for_pods_without_one_and_the_lowest_of_several() {
    let mut w = World::empty();
    w.class("b", "\"value\":7,\"globalDefault\":true");
    w.class("a", "\"value\":8,\"globalDefault\":true");
    w.create("pi", Spec::new(2, 2));
    w.step("+0 +1");
    assert_eq!(priority(&w), Some(("b", 7, PreemptionPolicy::PreemptLowerPriority)));
}

#[test]
fn later_pods_have_the_priority_of_the_first_ones() {
    let mut w = World::started(Spec::new(1, 2), "+0");
    assert_eq!(priority(&w), None);
    w.class("late", "\"value\":7,\"globalDefault\":true");
    w.exit(0, 0);
    w.step("S0 +1");
    assert_eq!(priority(&w), None);
}

#[test]
fn a_class_that_goes_leaves_pods_and_lets_no_more_be_made() {
    let mut w = World::empty();
    w.class("high", "\"value\":1000");
    w.create("pi", with_class(Spec::new(1, 2), "high"));
    w.step("+0");
    w.delete_class("high");
    w.exit(0, 0);
    w.step("S0");
    assert_eq!(w.take_events().len(), 2);
    w.advance(100);
    w.class("high", "\"value\":1000");
    w.step("+1");
}

#[test]
fn what_a_template_says_must_be_what_the_class_says() {
    let text = "must not be provided in pod spec; priority admission controller computed";
    let cases: [(Option<i32>, Option<PreemptionPolicy>, String); 3] = [
        (Some(999), None, format!("the integer value of priority (999) {text} 1000 from the given PriorityClass name")),
        (
            Some(1000),
            Some(PreemptionPolicy::PreemptLowerPriority),
            format!(
                "the string value of PreemptionPolicy (PreemptLowerPriority) {text} Never from the given PriorityClass name"
            ),
        ),
        (Some(1000), Some(PreemptionPolicy::Never), String::new()),
    ];
    for (value, policy, why) in cases {
        let mut w = World::empty();
        w.class("high", "\"value\":1000,\"preemptionPolicy\":\"Never\"");
        let mut spec = with_class(Spec::new(1, 1), "high");
        let template = Arc::make_mut(&mut spec.0.template);
        (template.priority, template.preemption_policy) = (value, policy);
        w.create("pi", spec);
        if why.is_empty() {
            w.step("+0");
        } else {
            w.step("");
            forbidden(&mut w, &why);
        }
    }
}

#[test]
fn pods_of_a_higher_priority_go_first_whenever_they_came() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.class("high", "\"value\":1000");
    w.class("low", "\"value\":-1");
    w.create("low", with_class(Spec::new(2, 2), "low"));
    w.step("+0 +1(waits)");
    w.create("pi", Spec::new(1, 1));
    w.step("pi/+0(waits)");
    w.create("high", with_class(Spec::new(1, 1), "high"));
    w.step("high/+0(waits)");
    for (job, next) in [("low", "high"), ("high", "pi"), ("pi", "low")] {
        w.focus(job);
        w.exit(0, 0);
        let did = w.try_step();
        assert!(did.contains(&format!("{next}/>")), "{did}");
    }
}
