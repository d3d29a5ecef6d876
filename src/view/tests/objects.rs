//! What is found, and shapes that no golden has.

use super::{AT, World, end, ended, job_json, parsed, write};
use crate::base::{JobId, NO_INDEX, Uid};
use crate::model::{
    CHUNK_PODS, EngineKind, EventNote, Fact, Kind, PodEnd, PodPriority, PodRecord, PreemptionPolicy, Reason, Waiting,
};
use crate::view::{PodObject, View};
use serde_json::Value;
use std::sync::Arc;

fn names(view: &View, namespace: Option<&str>) -> Vec<String> {
    view.pods(namespace, None).1.iter().map(|pod| pod.name()).collect()
}

fn pod_json(pod: &PodObject) -> Value {
    parsed(|out| pod.render(out))
}

#[test]
fn every_pod_is_found_by_its_name() {
    let mut world = World::new();
    let (long, longer) = ("j".repeat(58), "j".repeat(63));
    for (job, name) in [(1, "a"), (2, "a-12"), (3, &long), (4, &longer), (5, "a-1")] {
        world.create_job(job, "default", name);
        let indexes: &[(u32, u32)] = if job == 1 || job == 4 { &[(10, 50)] } else { &[] };
        world.create_pods(job, 0, 50, indexes, AT);
    }
    let (_, pods) = world.view.pods(Some("default"), None);
    assert_eq!(pods.iter().count(), 250);
    for pod in pods.iter() {
        let found = world.view.pod("default", &pod.name()).unwrap_or_else(|| panic!("{} is not found", pod.name()));
        assert_eq!((found.record, found.uid()), (pod.record, pod.uid()));
    }
    let some = world.view.pod_by_ordinal(JobId(1), 0).expect("there").name();
    for name in ["", "a", "a-", "a-bcdfg", "a-10-aaaaa", "é-é-é", "none-bcdfg", &some[1..], &format!("{some}x")] {
        assert!(world.view.pod("default", name).is_none(), "{name}");
    }
    assert!(world.view.pod("other", &some).is_none());
}

#[test]
fn skipped_and_removed_ordinals_are_never_shown() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, CHUNK_PODS + 2, 2, &[], AT);
    let rv = world.happens(vec![Fact::PodsRemoved { job: JobId(1), ordinals: vec![CHUNK_PODS + 2] }]);
    assert_eq!(names(&world.view, None).len(), 1);
    for ordinal in [0, CHUNK_PODS, CHUNK_PODS + 2, CHUNK_PODS + 4, 10 * CHUNK_PODS] {
        assert!(world.view.pod_by_ordinal(JobId(1), ordinal).is_none(), "{ordinal}");
    }
    assert_eq!((world.view.pod_by_ordinal(JobId(1), CHUNK_PODS + 3).is_some(), world.view.rv()), (true, rv));
}

#[test]
fn a_list_is_not_touched_by_what_happens_later() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 3, &[], AT);
    let (rv, before) = world.view.pods(None, None);
    world.happens(vec![ended(1, end(1, 0, AT)), Fact::PodsRemoved { job: JobId(1), ordinals: vec![0] }]);
    world.create_pods(1, 3, 1, &[], AT);
    assert_eq!(rv, 4);
    let shown: Vec<(&str, u64)> = before.iter().map(|pod| (pod.phase(), pod.record.rv)).collect();
    assert_eq!(shown, [("Pending", 2), ("Pending", 3), ("Pending", 4)]);
    assert_eq!(names(&world.view, None).len(), 3);
}

#[test]
fn lists_are_in_order_and_keep_to_a_namespace_or_a_job() {
    let mut world = World::new();
    for (job, namespace, name) in [(1, "b", "z"), (2, "b", "a"), (3, "a", "m")] {
        world.create_job(job, namespace, name);
        world.create_pods(job, 0, job, &[], AT);
    }
    let listed = |namespace| {
        let jobs = world.view.jobs(namespace).1;
        jobs.iter().map(|job| format!("{}/{}", job.doc.key.namespace, job.doc.key.name)).collect::<Vec<_>>()
    };
    assert_eq!(listed(None), ["a/m", "b/a", "b/z"]);
    assert_eq!(listed(Some("b")), ["b/a", "b/z"]);
    assert!(listed(Some("c")).is_empty());
    let count =
        |namespace, job: Option<u128>| world.view.pods(namespace, job.map(|job| Uid::v4(job + 1))).1.iter().count();
    assert_eq!(
        (count(None, None), count(Some("b"), None), count(None, Some(2)), count(Some("a"), Some(2))),
        (6, 3, 2, 0)
    );
    assert_eq!(world.view.job_by_uid(Uid::v4(4)).map(|job| job.doc.key.id), Some(JobId(3)));
}

#[test]
fn a_pod_takes_64_bytes() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 10, &[], AT);
    world.create_pods(1, 10, 3 * CHUNK_PODS - 10, &[], AT);
    let mirror = world.view.read();
    let chunks = &mirror.jobs[&JobId(1)].pods.chunks;
    let bytes: usize = chunks.iter().map(|chunk| chunk.records.capacity() * size_of::<PodRecord>()).sum();
    assert_eq!(bytes, 3 * CHUNK_PODS as usize * 64);
}

#[test]
fn a_queued_pod_is_pending_and_scheduled() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 1, &[], AT);
    let pod = pod_json(&world.view.pod_by_ordinal(JobId(1), 0).expect("there"));
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(pod["status"]["conditions"].as_array().map(Vec::len), Some(1));
    assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
    assert!(pod["status"].get("containerStatuses").is_none());
    assert_eq!(pod["metadata"]["finalizers"][0], super::super::TRACKING_FINALIZER);
}

#[test]
fn a_pod_whose_image_cannot_be_had_waits_and_says_why() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 1, &[], AT);
    let waiting = Waiting { ordinal: 0, reason: Reason::ErrImagePull, message: "no \"module\"".into() };
    world.happens(vec![Fact::PodsWaiting { job: JobId(1), pods: vec![waiting] }]);
    let object = world.view.pod_by_ordinal(JobId(1), 0).expect("there");
    assert_eq!(object.record.attempts, 1);
    let pod = pod_json(&object);
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "ErrImagePull");
    assert_eq!(status["state"]["waiting"]["message"], "no \"module\"");
    assert_eq!((&status["imageID"], status.get("containerID")), (&Value::from(""), None));
    assert_eq!(pod["status"]["conditions"][2]["reason"], "ContainersNotReady");
    assert_eq!(pod["status"]["conditions"][2]["message"], "containers with unready status: [c]");
    world.happens(vec![Fact::PodsStarted { job: JobId(1), pods: vec![(0, AT, EngineKind::Small)] }]);
    let object = world.view.pod_by_ordinal(JobId(1), 0).expect("there");
    assert_eq!((object.message, object.record.reason), (None, Reason::None), "what it waited for is over");
}

/// kubernetes: `<type>://<container_id>`; a container that never ran has no id.
#[test]
fn a_containers_id_names_the_engine_from_the_start_to_the_end() {
    let id = |world: &World, ordinal: u32| {
        let pod = pod_json(&world.view.pod_by_ordinal(JobId(1), ordinal).expect("there"));
        let status = &pod["status"]["containerStatuses"][0];
        let of_end = status["state"]["terminated"].get("containerID").cloned();
        let id = status.get("containerID").cloned();
        assert!(of_end.is_none() || of_end == id, "{status}");
        let (uid, id) = (pod["metadata"]["uid"].clone(), id?.as_str()?.to_owned());
        assert_eq!(id.split_once("://").map(|(_, id)| id), uid.as_str());
        id.split_once("://").map(|(scheme, _)| scheme.to_owned())
    };
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 4, &[], AT);
    let pods = vec![(0, AT, EngineKind::Small), (1, AT, EngineKind::Large)];
    world.happens(vec![Fact::PodsStarted { job: JobId(1), pods }]);
    let shown = |world: &World| [0, 1, 2, 3].map(|ordinal| id(world, ordinal));
    let [small, large] = ["coracle-s", "coracle-l"].map(|scheme| Some(scheme.to_owned()));
    assert_eq!(shown(&world), [small.clone(), large.clone(), None, None]);
    // The first ended with the engine, whose end knows what the start said; the last was stopped before it ran.
    let ends = [EngineKind::Small, EngineKind::Large, EngineKind::Large].map(Some).into_iter().chain([None]);
    let ends = (0..).zip(ends).map(|(ordinal, engine)| PodEnd { engine, ..end(ordinal, 137, AT) }).collect();
    world.happens(vec![Fact::PodsEnded { job: JobId(1), ends }]);
    assert_eq!(shown(&world), [small, large.clone(), large, None]);
}

#[test]
fn a_stopped_pod_has_a_deletion_timestamp_until_it_is_gone() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 1, &[], AT);
    let stopping =
        Fact::PodsStopping { job: JobId(1), at: AT.plus_ms(2000), ordinals: vec![0], ready: 0, counted_failed: false };
    world.happens(vec![stopping]);
    let pod = pod_json(&world.view.pod_by_ordinal(JobId(1), 0).expect("there"));
    assert_eq!(pod["metadata"]["deletionTimestamp"], AT.plus_ms(32_000).to_string());
    assert_eq!(
        (&pod["metadata"]["deletionGracePeriodSeconds"], &pod["metadata"]["generation"]),
        (&30.into(), &2.into())
    );
    let mut last = end(0, 143, AT);
    last.was_stopping = true;
    world.happens(vec![ended(1, last), Fact::PodsRemoved { job: JobId(1), ordinals: vec![0] }]);
    assert!(world.view.pod_by_ordinal(JobId(1), 0).is_none());
    assert!(world.view.read().jobs[&JobId(1)].pods.chunks[0].extras.is_empty(), "nothing is kept of it");
}

#[test]
fn a_pod_lost_with_the_engine_is_a_disruption_target() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    world.create_pods(1, 0, 1, &[], AT);
    let mut lost = end(0, 137, AT);
    (lost.disrupted, lost.reason, lost.message) = (true, Reason::ContainerStatusUnknown, Some("lost".into()));
    world.happens(vec![ended(1, lost)]);
    let pod = pod_json(&world.view.pod_by_ordinal(JobId(1), 0).expect("there"));
    let conditions = pod["status"]["conditions"].as_array().expect("conditions");
    assert_eq!(conditions.last().expect("one")["type"], "DisruptionTarget");
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&terminated["exitCode"], &terminated["message"]), (&137.into(), &"lost".into()));
    assert!(pod["metadata"].get("finalizers").is_none());
}

#[test]
fn an_indexed_pod_has_its_index_everywhere() {
    let mut world = World::new();
    let uid = Uid::v4(2);
    let json = job_json("default", "a", uid, r#","completionMode":"Indexed""#);
    world.create_job_from(1, "default", "a", uid, &json, AT);
    world.create_pods(1, 0, 1, &[(12, 1)], AT);
    let object = world.view.pod_by_ordinal(JobId(1), 0).expect("there");
    let pod = pod_json(&object);
    let key = super::super::INDEX_KEY;
    assert_eq!((&pod["metadata"]["labels"][key], &pod["metadata"]["annotations"][key]), (&"12".into(), &"12".into()));
    assert_eq!(pod["metadata"]["labels"]["job-name"], "a");
    assert_eq!((&pod["spec"]["hostname"], &pod["metadata"]["generateName"]), (&"a-12".into(), &"a-12-".into()));
    assert_eq!(object.label(key).as_deref(), Some("12"));
    assert_eq!((object.label("job-name").as_deref(), object.label("x")), (Some("a"), None));
}

#[test]
fn a_client_changes_and_deletes_a_job() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let changed = job_json("default", "a", Uid::v4(2), r#","activeDeadlineSeconds":9"#);
    let rv = world
        .happens_with(vec![Fact::JobChanged { job: JobId(1) }], vec![write(Kind::Job, "default", "a", Some(&changed))]);
    let job = world.view.job("default", "a").expect("there");
    assert_eq!((job.rv, job.doc.rv, job.spec().active_deadline_s), (rv, rv, Some(9)));
    world.record(1, AT, EventNote::Completed);
    world.create_pods(1, 0, 3, &[], AT);
    world.delete_job(1, "default", "a", 3);
    assert!(world.view.job("default", "a").is_none() && world.view.job_by_uid(Uid::v4(2)).is_none());
    assert!(world.view.jobs(None).1.is_empty() && names(&world.view, None).is_empty());
    assert_eq!(world.view.events(None).1[0].job.name.as_ref(), "a", "its Events stay");
    world.create_job(2, "default", "a");
    assert_eq!(world.view.job("default", "a").map(|job| job.doc.key.id), Some(JobId(2)));
}

#[test]
fn nothing_is_held_of_a_deleted_job_but_its_recent_changes() {
    let mut world = World::with_ring_bytes(64 << 10);
    world.create_job(1, "default", "a");
    world.record(1, AT, EventNote::Completed);
    world.create_pods(1, 0, CHUNK_PODS + 1, &[], AT);
    let doc = Arc::downgrade(&world.view.job("default", "a").expect("there").doc);
    let chunk = Arc::downgrade(&world.view.read().jobs[&JobId(1)].pods.chunks[0]);
    drop(world.view.fold());
    world.delete_job(1, "default", "a", CHUNK_PODS + 1);
    assert!(chunk.upgrade().is_none() && doc.upgrade().is_some());
    {
        let mirror = world.view.read();
        assert!(mirror.jobs.is_empty() && mirror.names.is_empty() && mirror.uids.is_empty());
        assert!(mirror.dirty.chunks.is_empty());
        assert_eq!((mirror.gone.len(), mirror.dirty.removed.len()), (1, 1), "kept for its Event");
    }
    // Other Jobs push its changes out of the rings, and its Event goes.
    world.create_job(2, "default", "b");
    world.create_pods(2, 0, 1000, &[], AT);
    world.happens(vec![Fact::EventsExpired { count: 1 }]);
    for _ in 0..1000 {
        world.happens(vec![Fact::StatusPublished { job: JobId(2) }]);
    }
    assert!(doc.upgrade().is_none());
    assert!(world.view.read().gone.is_empty());
}

/// The texts of deleted Jobs count against the rings: each of these Jobs has one pod and a large document.
#[test]
fn documents_of_deleted_jobs_are_bounded() {
    let mut world = World::with_ring_bytes(64 << 10);
    let padding = format!(r#","activeDeadlineSeconds":9,"x":"{}""#, "x".repeat(16 << 10));
    let mut docs = Vec::new();
    for job in 1..100 {
        let uid = Uid::v4(u128::from(job) + 1);
        world.create_job_from(job, "default", "a", uid, &job_json("default", "a", uid, &padding), AT);
        world.create_pods(job, 0, 1, &[], AT);
        docs.push(Arc::downgrade(&world.view.job("default", "a").expect("there").doc));
        if job % 2 == 0 {
            world.happens(vec![Fact::PodsRemoved { job: JobId(job), ordinals: vec![0] }]);
        }
        world.delete_job(job, "default", "a", 1);
        assert!(docs.iter().filter(|doc| doc.upgrade().is_some()).count() <= 4);
    }
}

#[test]
fn events_go_when_a_fact_says_so_the_oldest_first() {
    let mut world = World::new();
    world.create_job(1, "default", "a");
    let made = [AT.plus_ms(1), AT, AT].map(|at| world.record(1, at, EventNote::Completed));
    world.happens(vec![Fact::EventsExpired { count: 2 }]);
    let left: Vec<u64> = world.view.events(None).1.iter().map(|event| event.made_rv).collect();
    assert_eq!(left, made[2..]);
    world.happens(vec![Fact::EventsExpired { count: 1 }]);
    assert!(world.view.events(None).1.is_empty());
}

#[test]
fn a_terminating_namespace_says_so() {
    let mut world = World::new();
    let json = r#"{"kind":"Namespace","metadata":{"name":"n","uid":"u","deletionTimestamp":"2026-11-23T03:44:38Z"}}"#;
    world.happens_with(vec![Fact::DocWritten], vec![write(Kind::Namespace, "", "n", Some(json))]);
    assert_eq!(world.view.namespace("n").expect("there").phase(), "Terminating");
    world.happens_with(vec![Fact::DocWritten], vec![write(Kind::Namespace, "", "n", None)]);
    assert!(world.view.plain(Kind::Namespace).1.is_empty());
}

#[test]
fn jobs_without_any_pod_bring_a_fold_nearer_as_well() {
    let mut world = World::new();
    world.create_job(0, "default", "a");
    assert_eq!(world.view.changes_since_fold(), 1);
    world.create_pods(0, 0, 3, &[], AT);
    world.delete_job(0, "default", "a", 3);
    assert_eq!(world.view.changes_since_fold(), 9, "three facts, twice three pods");
    assert_eq!(world.view.jobs_since_fold(), 1);
    drop(world.view.fold());
    assert_eq!((world.view.changes_since_fold(), world.view.jobs_since_fold()), (0, 0));
}

#[test]
fn pods_show_their_priority_and_that_there_is_no_room() {
    let mut world = World::new();
    world.create_job(0, "n", "j");
    let priority = PodPriority { class: Some("high".into()), value: 9, preemption_policy: PreemptionPolicy::Never };
    world.happens(vec![Fact::PriorityResolved { job: JobId(0), priority }]);
    world.create_pods(0, 0, 2, &[], AT);
    world.happens(vec![Fact::PodsStarted { job: JobId(0), pods: vec![(0, AT, EngineKind::Small)] }]);
    let pod = |world: &World, ordinal| {
        let pod = world.view.pod_by_ordinal(JobId(0), ordinal).expect("there");
        parsed(|out| pod.render(out))
    };
    let spec = &pod(&world, 1)["spec"];
    assert_eq!(
        (&spec["priority"], &spec["priorityClassName"], &spec["preemptionPolicy"]),
        (&9.into(), &"high".into(), &"Never".into())
    );
    let scheduled = |pod: &serde_json::Value| {
        let conditions = pod["status"]["conditions"].as_array().expect("conditions").clone();
        conditions.into_iter().find(|condition| condition["type"] == "PodScheduled").expect("always there")
    };
    world.happens(vec![Fact::NoRoom { job: JobId(0), since: Some(AT.plus_ms(5000)) }]);
    let waits = scheduled(&pod(&world, 1));
    assert_eq!((&waits["status"], &waits["reason"]), (&"False".into(), &"Unschedulable".into()));
    assert_eq!(waits["lastTransitionTime"], AT.plus_ms(5000).to_string());
    let text = "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No \
                preemption victims found for incoming pod.";
    assert_eq!(waits["message"], text);
    assert_eq!(scheduled(&pod(&world, 0))["status"], "True", "it runs");
    let rv = world.record(0, AT, EventNote::FailedScheduling { ordinal: 1, index: NO_INDEX });
    let (_, events) = world.view.events(None);
    let event = parsed(|out| events.iter().find(|event| event.rv == rv).expect("there").render(out));
    let (about, name) = (&event["involvedObject"], pod(&world, 1)["metadata"].clone());
    assert_eq!((&about["kind"], &about["name"], &about["uid"]), (&"Pod".into(), &name["name"], &name["uid"]));
    assert_eq!((&event["reason"], &event["type"]), (&"FailedScheduling".into(), &"Warning".into()));
    assert_eq!((&event["reportingComponent"], &event["message"]), (&"default-scheduler".into(), &text.into()));
    let found = world.view.event("n", event["metadata"]["name"].as_str().expect("a name"));
    assert_eq!(found.expect("by its name").rv, rv);
    world.happens(vec![Fact::NoRoom { job: JobId(0), since: None }]);
    assert_eq!(scheduled(&pod(&world, 1))["status"], "True");
}
