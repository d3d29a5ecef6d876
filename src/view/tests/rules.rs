//! What the rules of Jobs show: suspension, failed indexes, failures that are carried on, containers that start again.

use super::{AT, World, end, ended, job_json, parsed};
use crate::base::{JobId, Uid};
use crate::model::{
    Condition, ConditionReason, ConditionType, ContainerExit, Counted, EngineKind, Fact, LogExtent, PodEnd, Reason,
    Terminated,
};
use crate::view::pods::PodChunk;
use serde_json::{Value, json};

const JOB: JobId = JobId(1);

/// A world with the Job `a` whose spec has `more`.
fn with(more: &str) -> World {
    let mut world = World::new();
    let uid = Uid::v4(2);
    world.create_job_from(1, "default", "a", uid, &job_json("default", "a", uid, more), AT);
    world
}

fn status(world: &mut World) -> Value {
    world.happens(vec![Fact::StatusPublished { job: JOB }]);
    let job = world.view.job("default", "a").expect("there");
    parsed(|out| job.render(out))["status"].take()
}

fn pod(world: &World, ordinal: u32) -> Value {
    let pods = world.view.pods(Some("default"), None).1;
    let pod = pods.iter().find(|pod| pod.record.ordinal == ordinal).expect("there");
    parsed(|out| pod.render(out))
}

fn suspended(reason: ConditionReason, at_s: u64) -> Fact {
    let condition =
        Condition { kind: ConditionType::Suspended, at: AT.plus_ms(at_s * 1000), reason, message: "m".into() };
    Fact::ConditionSet { job: JOB, condition }
}

#[test]
fn a_suspended_job_has_no_start_and_a_resumed_one_has_a_false_condition() {
    let mut world = with("");
    world.happens(vec![suspended(ConditionReason::JobSuspended, 0)]);
    let condition = |status: &str, reason: &str, at: &str| {
        json!({"type": "Suspended", "status": status, "reason": reason, "message": "m", "lastProbeTime": at,
            "lastTransitionTime": at})
    };
    let at = "2026-11-23T03:43:57Z";
    let mut wanted = json!({"terminating": 0, "ready": 0, "uncountedTerminatedPods": {}});
    wanted["conditions"] = json!([condition("True", "JobSuspended", at)]);
    assert_eq!(status(&mut world), wanted);
    world.happens(vec![suspended(ConditionReason::JobResumed, 1)]);
    let at = "2026-11-23T03:43:58Z";
    wanted["conditions"] = json!([condition("False", "JobResumed", at)]);
    wanted["startTime"] = json!(at);
    assert_eq!(status(&mut world), wanted);
}

#[test]
fn failed_indexes_are_shown_when_each_has_a_limit() {
    let mut world = with(r#","completionMode":"Indexed","backoffLimitPerIndex":1"#);
    world.happens(vec![Fact::IndexesLimited { job: JOB }, Fact::JobStarted { job: JOB, at: AT }]);
    assert_eq!(status(&mut world)["failedIndexes"], "");
    world.create_pods(1, 0, 2, &[(0, 2)], AT);
    world.happens(vec![ended(1, PodEnd { index: 1, counted: Counted::IndexFailed, ..end(1, 1, AT) })]);
    let shown = status(&mut world);
    assert_eq!((&shown["failedIndexes"], &shown["failed"]), (&json!("1"), &json!(1)));
    let mut plain = with(r#","completionMode":"Indexed""#);
    plain.happens(vec![Fact::JobStarted { job: JOB, at: AT }]);
    assert_eq!(status(&mut plain).get("failedIndexes"), None);
}

#[test]
fn a_pod_carries_the_failures_of_its_index_and_a_held_one_keeps_its_finalizer() {
    const COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
    const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
    let mut world = with(r#","completionMode":"Indexed","backoffLimitPerIndex":3"#);
    world.happens(vec![Fact::IndexesLimited { job: JOB }]);
    let index = ("batch.kubernetes.io/job-completion-index", "0");
    for (ordinal, counted) in [(0, Counted::Held), (1, Counted::HeldIgnored), (2, Counted::Held)] {
        world.create_pods(1, ordinal, 1, &[(0, 1)], AT);
        world.happens(vec![ended(1, PodEnd { index: 0, counted, ..end(ordinal, 1, AT) })]);
    }
    world.create_pods(1, 3, 1, &[(0, 1)], AT);
    let annotations = |ordinal| pod(&world, ordinal)["metadata"]["annotations"].take();
    assert_eq!(annotations(0), json!({index.0: index.1, COUNT: "0"}));
    assert_eq!(annotations(1), json!({index.0: index.1, COUNT: "1"}));
    assert_eq!(annotations(2), json!({index.0: index.1, COUNT: "1", IGNORED: "1"}));
    assert_eq!(annotations(3), json!({index.0: index.1, COUNT: "2", IGNORED: "1"}));
    let finalizers = |world: &World, ordinal| pod(world, ordinal)["metadata"]["finalizers"].take();
    assert_eq!(finalizers(&world, 2), json!(["batch.kubernetes.io/job-tracking"]));
    world.happens(vec![Fact::PodsReleased { job: JOB, ordinals: vec![2], failed: 1 }]);
    assert_eq!(finalizers(&world, 2), Value::Null);
    assert_eq!(world.view.pods(Some("default"), None).1.iter().map(|pod| pod.record.rv).max(), Some(world.view.rv()));
}

fn exited(at_s: u64, back_off_ms: u32) -> Fact {
    let terminated = Terminated {
        started: AT.plus_ms(at_s * 1000),
        run_ms: 2000,
        exit_code: 3,
        reason: Reason::Error,
        engine: Some(EngineKind::Small),
        message: Some("why".into()),
    };
    let log = LogExtent { segment: 1, offset: 2, bytes: 3 };
    let exit = ContainerExit { ordinal: 0, was_ready: true, back_off_ms, log, terminated };
    Fact::ContainersExited { job: JOB, exits: vec![exit] }
}

#[test]
fn a_container_that_is_started_again_is_shown_as_a_kubelet_shows_it() {
    let mut world = with("");
    world.create_pods(1, 0, 1, &[], AT);
    let started =
        |at_s: u64| Fact::PodsStarted { job: JOB, pods: vec![(0, AT.plus_ms(at_s * 1000), EngineKind::Small)] };
    world.happens(vec![started(1), exited(1, 80_000)]);
    let shown = pod(&world, 0);
    let (name, uid) =
        (shown["metadata"]["name"].as_str().expect("a name"), shown["metadata"]["uid"].as_str().expect("a uid"));
    let status = &shown["status"];
    let container = &status["containerStatuses"][0];
    assert_eq!((&status["phase"], &status["startTime"]), (&json!("Running"), &json!("2026-11-23T03:43:58Z")));
    let message = format!("back-off 1m20s restarting failed container=c pod={name}_default({uid})");
    assert_eq!(container["state"], json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}));
    let last = json!({"terminated": {"exitCode": 3, "reason": "Error", "message": "why",
        "startedAt": "2026-11-23T03:43:58Z", "finishedAt": "2026-11-23T03:44:00Z", "containerID": format!("coracle-s://{uid}")}});
    assert_eq!(container["lastState"], last);
    assert_eq!((&container["restartCount"], &container["ready"]), (&json!(0), &json!(false)));
    let ready =
        status["conditions"].as_array().expect("conditions").iter().find(|c| c["type"] == "Ready").expect("Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("ContainersNotReady")));
    world.happens(vec![Fact::ContainersRestarted { job: JOB, ordinals: vec![0] }]);
    let container = pod(&world, 0)["status"]["containerStatuses"][0].take();
    assert_eq!(
        (&container["state"], &container["restartCount"]),
        (&json!({"waiting": {"reason": "ContainerCreating"}}), &json!(1))
    );
    world.happens(vec![started(100)]);
    let shown = pod(&world, 0);
    let container = &shown["status"]["containerStatuses"][0];
    assert_eq!(container["state"], json!({"running": {"startedAt": "2026-11-23T03:45:37Z"}}));
    assert_eq!((&container["lastState"], &container["restartCount"]), (&last, &json!(1)));
    assert_eq!(shown["status"]["startTime"], "2026-11-23T03:43:58Z", "that of the first container");
    assert_eq!(world.view.pods(None, None).1.iter().next().expect("one").record.log, LogExtent::default());
    world.happens(vec![ended(1, end(0, 0, AT.plus_ms(100_000)))]);
    let container = pod(&world, 0)["status"]["containerStatuses"][0].take();
    assert_eq!((&container["lastState"], &container["restartCount"]), (&last, &json!(1)));
    assert_eq!(container["state"]["terminated"]["exitCode"], 0);
}

#[test]
fn what_few_pods_have_survives_a_fold() {
    let mut world = with(r#","completionMode":"Indexed","backoffLimitPerIndex":3"#);
    world.happens(vec![Fact::IndexesLimited { job: JOB }]);
    world.create_pods(1, 0, 1, &[(0, 1)], AT);
    world.happens(vec![ended(1, PodEnd { index: 0, counted: Counted::Held, ..end(0, 1, AT) })]);
    world.create_pods(1, 1, 1, &[(0, 1)], AT);
    let Fact::ContainersExited { exits, .. } = exited(1, 10_000) else { return };
    world.happens(vec![Fact::ContainersExited {
        job: JOB,
        exits: vec![ContainerExit { ordinal: 1, was_ready: false, ..exits[0].clone() }],
    }]);
    let mut folding = world.view.fold();
    let folded = folding.next().expect("a piece");
    let extras: Vec<_> = folded.chunks.iter().map(PodChunk::restore).map(|chunk| chunk.extras).collect();
    let extra = &extras[0][&1];
    assert!(
        extra.failures.counted == 1 && extra.restarts.as_ref().is_some_and(|restarts| restarts.back_off_ms == 10_000)
    );
}
