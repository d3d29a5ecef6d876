//! Field by field against what Kubernetes v1.36.2 answered (`tests/goldens`).

use super::{World, end, ended, parsed};
use crate::base::{JobId, NO_INDEX, Time, Uid};
use crate::model::{Condition, ConditionReason, ConditionType, EngineKind, EventNote, Fact};
use serde_json::Value;

macro_rules! golden {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../../tests/goldens/", $name, ".json"))).expect("JSON")
    };
}

fn time(value: &Value) -> Time {
    let text = value.as_str().expect("a time");
    let at: jiff::Timestamp = text.parse().expect("RFC 3339");
    Time(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} is no text"))
}

/// Takes `keys` out of an object.
fn without(value: &mut Value, pointer: &str, keys: &[&str]) {
    if let Some(object) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
        keys.iter().for_each(|key| drop(object.remove(*key)));
    }
}

/// Where two values differ, as `path: theirs != ours`.
fn differences(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let get = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or_else(|| Value::from("(absent)"))
                };
                differences(&format!("{path}/{key}"), &get(a), &get(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (nth, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{nth}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{path}: {a} != {b}")),
    }
}

fn assert_same(theirs: &Value, ours: &Value) {
    let mut found = Vec::new();
    differences("", theirs, ours, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A world with the Job of a golden, and the golden.
fn world_of(golden: &Value) -> World {
    let mut doc = golden.clone();
    without(&mut doc, "", &["status"]);
    without(&mut doc, "/metadata", &["resourceVersion"]);
    let uid = Uid::parse(text(golden, "/metadata/uid")).expect("a uid");
    let at = time(&golden["metadata"]["creationTimestamp"]);
    let mut world = World::new();
    let (namespace, name) = (text(golden, "/metadata/namespace"), text(golden, "/metadata/name"));
    world.create_job_from(1, namespace, name, uid, &doc.to_string(), at);
    let start = golden.pointer("/status/startTime").map_or(at, time);
    world.happens(vec![Fact::JobStarted { job: JobId(1), at: start }]);
    world
}

fn publish(world: &mut World) -> u64 {
    world.happens(vec![Fact::StatusPublished { job: JobId(1) }])
}

fn conditions(golden: &Value, kinds: [ConditionType; 2], reason: ConditionReason) -> Vec<Fact> {
    let condition = |(kind, shown): (ConditionType, &Value)| Fact::ConditionSet {
        job: JobId(1),
        condition: Condition {
            kind,
            at: time(&shown["lastTransitionTime"]),
            reason,
            message: text(shown, "/message").into(),
        },
    };
    let shown = golden["status"]["conditions"].as_array().expect("conditions");
    kinds.into_iter().zip(shown).map(condition).collect()
}

fn assert_job(world: &World, mut theirs: Value, rv: u64) {
    let (namespace, name) = (text(&theirs, "/metadata/namespace"), text(&theirs, "/metadata/name"));
    let job = world.view.job(namespace, name).expect("there");
    let mut ours = parsed(|out| job.render(out));
    assert_eq!(ours["metadata"]["resourceVersion"], rv.to_string());
    without(&mut ours, "/metadata", &["resourceVersion"]);
    without(&mut theirs, "/metadata", &["resourceVersion"]);
    assert_same(&theirs, &ours);
}

#[test]
fn a_job_before_its_first_sync_has_an_empty_status() {
    let mut golden = golden!("job-running");
    let world = world_of(&golden);
    golden["status"] = serde_json::json!({});
    assert_job(&world, golden, 1);
}

#[test]
fn a_running_job_is_shown_as_kubernetes_shows_it() {
    let golden = golden!("job-running");
    let mut world = world_of(&golden);
    let at = time(&golden["status"]["startTime"]);
    world.create_pods(1, 0, 1, &[], at);
    world.happens(vec![Fact::PodsStarted { job: JobId(1), pods: vec![(0, at, EngineKind::Small)] }]);
    let rv = publish(&mut world);
    assert_job(&world, golden, rv);
}

#[test]
fn a_complete_job_is_shown_as_kubernetes_shows_it() {
    let golden = golden!("job-complete");
    let mut world = world_of(&golden);
    let at = time(&golden["status"]["startTime"]);
    world.create_pods(1, 0, 2, &[], at);
    world.happens(vec![ended(1, end(0, 0, at)), ended(1, end(1, 0, at))]);
    let kinds = [ConditionType::SuccessCriteriaMet, ConditionType::Complete];
    world.happens(conditions(&golden, kinds, ConditionReason::CompletionsReached));
    let rv = publish(&mut world);
    assert_job(&world, golden, rv);
}

#[test]
fn a_failed_job_is_shown_as_kubernetes_shows_it() {
    let golden = golden!("job-failed");
    let mut world = world_of(&golden);
    let at = time(&golden["status"]["startTime"]);
    world.create_pods(1, 0, 1, &[], at);
    world.happens(vec![ended(1, end(0, 3, at))]);
    let kinds = [ConditionType::FailureTarget, ConditionType::Failed];
    world.happens(conditions(&golden, kinds, ConditionReason::BackoffLimitExceeded));
    let rv = publish(&mut world);
    assert_job(&world, golden, rv);
}

#[test]
fn an_indexed_job_is_shown_as_kubernetes_shows_it() {
    // Coracle has no backoffLimitPerIndex: its conditions and failedIndexes stay out.
    let mut golden = golden!("job-indexed");
    without(&mut golden, "/status", &["conditions", "failedIndexes"]);
    let mut world = world_of(&golden);
    let at = time(&golden["status"]["startTime"]);
    world.create_pods(1, 0, 5, &[(0, 4), (3, 1)], at);
    let codes = [0, 0, 0, 1, 1];
    let ends = codes.iter().zip([0, 1, 2, 3, 3]).zip(0..).map(|((code, index), ordinal)| {
        let mut end = end(ordinal, *code, at);
        end.index = index;
        ended(1, end)
    });
    world.happens(ends.collect());
    let rv = publish(&mut world);
    assert_job(&world, golden, rv);
}

/// Runs the pod of a golden in the Job of another and compares; `code` is its exit code if it ended.
fn assert_pod(job: &Value, mut theirs: Value, code: Option<u8>) {
    let mut world = world_of(job);
    let created = time(&theirs["metadata"]["creationTimestamp"]);
    let index = theirs.pointer("/metadata/labels/batch.kubernetes.io~1job-completion-index");
    let index: Option<u32> = index.map(|text| text.as_str().expect("text").parse().expect("a number"));
    let indexes: Vec<(u32, u32)> = index.map(|index| (index, 1)).into_iter().collect();
    world.create_pods(1, 0, 1, &indexes, created);
    let state = &theirs["status"]["containerStatuses"][0]["state"];
    let rv = if let Some(code) = code {
        let (started, finished) = (time(&state["terminated"]["startedAt"]), time(&state["terminated"]["finishedAt"]));
        let mut end = end(0, code, started);
        (end.run_ms, end.index) = (finished.since_ms_u32(started), index.unwrap_or(NO_INDEX));
        world.happens(vec![ended(1, end)])
    } else {
        let started = time(&state["running"]["startedAt"]);
        world.happens(vec![Fact::PodsStarted { job: JobId(1), pods: vec![(0, started, EngineKind::Small)] }])
    };
    let pod = world.view.pod_by_ordinal(JobId(1), 0).expect("there");
    let mut ours = parsed(|out| pod.render(out));
    assert_eq!(ours["metadata"]["resourceVersion"], rv.to_string());
    assert_eq!(ours["metadata"]["name"], pod.name());
    assert_eq!(ours["metadata"]["uid"], pod.uid().to_string());
    assert!(pod.name().starts_with(text(&theirs, "/metadata/generateName")));
    mask_pod(&mut theirs);
    mask_pod(&mut ours);
    assert_same(&theirs, &ours);
}

/// Takes out what another cluster cannot have in common with us, and what the recording kubelet did differently from a real
/// one (`PodReadyToStartContainers` stayed True after the end).
fn mask_pod(pod: &mut Value) {
    without(pod, "/metadata", &["name", "uid", "resourceVersion"]);
    without(pod, "/metadata/annotations", &["batch.kubernetes.io/job-index-failure-count"]);
    without(pod, "/spec", &["volumes", "tolerations", "nodeName"]);
    without(pod, "/spec/containers/0", &["volumeMounts"]);
    let is_over = pod["status"]["phase"] != "Running";
    if is_over && pod["status"]["conditions"][0]["type"] == "PodReadyToStartContainers" {
        without(pod, "/status/conditions/0", &["status", "lastTransitionTime"]);
    }
    // The recording kubelet gave other times to what happened within a second.
    for condition in pod["status"]["conditions"].as_array_mut().expect("conditions") {
        without(condition, "", &["lastTransitionTime"]);
    }
    for pointer in ["/status/podIP", "/status/podIPs/0/ip", "/status/containerStatuses/0/containerID"] {
        *pod.pointer_mut(pointer).expect("every started pod has it") = Value::from("masked");
    }
    if let Some(id) = pod.pointer_mut("/status/containerStatuses/0/state/terminated/containerID") {
        *id = Value::from("masked");
    }
}

#[test]
fn a_running_pod_is_shown_as_kubernetes_shows_it() {
    assert_pod(&golden!("job-running"), golden!("pod-running"), None);
}

#[test]
fn a_succeeded_pod_is_shown_as_kubernetes_shows_it() {
    assert_pod(&golden!("job-complete"), golden!("pod-succeeded"), Some(0));
}

#[test]
fn a_failed_pod_is_shown_as_kubernetes_shows_it() {
    assert_pod(&golden!("job-failed"), golden!("pod-failed"), Some(3));
}

#[test]
fn an_indexed_pod_is_shown_as_kubernetes_shows_it() {
    assert_pod(&golden!("job-indexed"), golden!("pod-indexed"), Some(0));
}

#[test]
fn events_are_shown_as_kubernetes_shows_them() {
    let list = golden!("events-list");
    for mut theirs in list["items"].as_array().expect("items").iter().cloned() {
        let job =
            if theirs["involvedObject"]["name"] == "bad" { golden!("job-failed") } else { golden!("job-complete") };
        let mut world = world_of(&job);
        let note = match text(&theirs, "/reason") {
            "SuccessfulCreate" => EventNote::SuccessfulCreate { ordinal: 0, index: NO_INDEX },
            "Completed" => EventNote::Completed,
            _ => EventNote::JobFailed {
                reason: ConditionReason::BackoffLimitExceeded,
                message: text(&theirs, "/message").into(),
            },
        };
        world.record(1, time(&theirs["firstTimestamp"]), note);
        let (_, events) = world.view.events(Some("sam"));
        let mut ours = parsed(|out| events[0].render(out));
        assert!(text(&ours, "/metadata/name").len() == text(&theirs, "/metadata/name").len(), "same form of name");
        for event in [&mut theirs, &mut ours] {
            without(event, "", &["kind", "apiVersion"]);
            without(event, "/metadata", &["name", "uid", "resourceVersion"]);
            without(event, "/involvedObject", &["resourceVersion"]);
            if event["reason"] == "SuccessfulCreate" {
                let message = text(event, "/message").to_owned();
                event["message"] = Value::from(&message[..message.len() - 5]);
            }
        }
        assert_same(&theirs, &ours);
    }
}

#[test]
fn a_namespace_is_shown_as_kubernetes_shows_it() {
    let theirs = golden!("namespace");
    let mut doc = theirs.clone();
    without(&mut doc, "", &["status"]);
    without(&mut doc, "/metadata", &["resourceVersion"]);
    let mut world = World::new();
    world.happens_with(
        vec![Fact::DocWritten],
        vec![super::write(crate::model::Kind::Namespace, "", "sam", Some(&doc.to_string()))],
    );
    let mut ours = parsed(|out| world.view.namespace("sam").expect("there").render(out));
    ours["metadata"]["resourceVersion"] = theirs["metadata"]["resourceVersion"].clone();
    assert_same(&theirs, &ours);
}
