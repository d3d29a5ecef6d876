//! DELETE and eviction of pods, and Jobs that go with their pods or without them.

use crate::api::client::{JOBS_PATH, JSON, PODS_PATH, Server, has_condition, job, with_server};
use serde_json::{Value, json};

const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/a";

fn is_running(pods: &Value) -> bool {
    pods["items"][0]["status"]["phase"] == "Running"
}

/// The one pod of the Job `a`, running, and its path.
async fn running_pod(server: &Server, job: &Value) -> (String, Value) {
    let created = server.post(JOBS_PATH, job).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let pod = server.wait_for(PODS_PATH, is_running).await["items"][0].clone();
    (format!("{PODS_PATH}/{}", pod["metadata"]["name"].as_str().expect("a name")), pod)
}

/// The changes of pods since a version, until one that `test` holds for.
async fn changes_of_pods(server: &Server, from: &Value, count: usize) -> Vec<Value> {
    let rv = from["metadata"]["resourceVersion"].as_str().expect("a version");
    let view = server.engine.handle().view();
    let path = format!("{PODS_PATH}?watch=true&resourceVersion={rv}&timeoutSeconds=1");
    loop {
        let shown = view.rv();
        let lines = server.get(&path).await.text;
        let changes: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        if changes.len() >= count {
            return changes;
        }
        view.shown(shown + 1).await;
    }
}

#[test]
fn a_deleted_pod_ends_counts_and_goes() {
    with_server(async |server| {
        let (path, pod) = running_pod(&server, &job("a", "wait")).await;
        let deleted = server.send("DELETE", &path, JSON, r#"{"propagationPolicy":"Background"}"#).await;
        assert_eq!(deleted.status, 200, "{}", deleted.text);
        let metadata = &deleted.body["metadata"];
        assert_eq!((&deleted.body["kind"], &metadata["uid"]), (&json!("Pod"), &pod["metadata"]["uid"]));
        assert_eq!(metadata["deletionGracePeriodSeconds"], 30);
        assert!(metadata["deletionTimestamp"].is_string());
        assert_eq!(metadata["finalizers"], json!(["batch.kubernetes.io/job-tracking"]));
        assert_eq!(metadata["generation"], 2);
        assert_eq!(deleted.body["status"]["phase"], "Running");
        assert!(!deleted.text.contains("DisruptionTarget"));
        let changes = changes_of_pods(&server, &pod, 3).await;
        let types: Vec<&Value> = changes.iter().map(|change| &change["type"]).collect();
        assert_eq!(types, ["MODIFIED", "MODIFIED", "DELETED"]);
        assert_eq!(changes[2]["object"]["status"]["phase"], "Failed");
        assert_eq!(server.get(&path).await.status, 404);
        let job = server.wait_for(JOB, has_condition("Failed")).await;
        assert_eq!(job["status"]["failed"], 1);
        server
    });
}

#[test]
fn the_grace_of_a_deletion_is_the_clients() {
    with_server(async |server| {
        let cases = [
            ("?gracePeriodSeconds=5", "", 5),
            ("", r#"{"gracePeriodSeconds":0}"#, 0),
            ("?gracePeriodSeconds=-7", "", 1),
        ];
        for (query, body, grace) in cases {
            let (path, _) = running_pod(&server, &job("a", "wait")).await;
            let deleted = server.send("DELETE", &format!("{path}{query}"), JSON, body).await;
            assert_eq!(deleted.body["metadata"]["deletionGracePeriodSeconds"], grace, "{query} {body}");
            server.wait_for(&path, |pod| pod["kind"] == "Status").await;
            server.send("DELETE", &format!("{JOB}?propagationPolicy=Background"), "", "").await;
        }
        server
    });
}

#[test]
fn a_pod_that_has_ended_is_deleted_at_once() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "exit 0")).await;
        server.wait_for(JOB, has_condition("Complete")).await;
        let pod = server.get(PODS_PATH).await.body["items"][0].clone();
        let path = format!("{PODS_PATH}/{}", pod["metadata"]["name"].as_str().expect("a name"));
        let deleted = server.send("DELETE", &path, "", "").await;
        assert_eq!(deleted.status, 200, "{}", deleted.text);
        assert_eq!(deleted.body["metadata"]["deletionGracePeriodSeconds"], 0);
        assert_eq!(server.get(&path).await.status, 404);
        assert_eq!(server.send("DELETE", &path, "", "").await.status, 404);
        let changes = changes_of_pods(&server, &pod, 1).await;
        assert_eq!(changes[0]["type"], "DELETED");
        assert_eq!(changes[0]["object"]["metadata"]["resourceVersion"], deleted.body["metadata"]["resourceVersion"]);
        assert_eq!(server.get(JOB).await.body["status"]["succeeded"], 1);
        server
    });
}

#[test]
fn preconditions_and_dry_runs_of_pods() {
    with_server(async |server| {
        let (path, pod) = running_pod(&server, &job("a", "wait")).await;
        for (field, hint) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let body = json!({"preconditions": {field: "7"}}).to_string();
            let answer = server.send("DELETE", &path, JSON, body).await;
            let start = "Operation cannot be fulfilled on Pod \"";
            assert!(answer.status == 409 && answer.message().starts_with(start), "{}", answer.text);
            assert!(answer.message().contains(&format!("the {hint} in the precondition (7)")), "{}", answer.text);
        }
        let dry = server.send("DELETE", &format!("{path}?dryRun=All"), "", "").await;
        assert!(dry.status == 200 && dry.body["metadata"]["deletionTimestamp"].is_string(), "{}", dry.text);
        assert_eq!(server.get(&path).await.body["metadata"], pod["metadata"]);
        let preconditions =
            json!({"uid": pod["metadata"]["uid"], "resourceVersion": pod["metadata"]["resourceVersion"]});
        let body = json!({"preconditions": preconditions}).to_string();
        assert_eq!(server.send("DELETE", &path, JSON, body).await.status, 200);
        let missing = server.send("DELETE", &format!("{PODS_PATH}/none"), "", "").await;
        assert_eq!((missing.status, missing.message()), (404, "pods \"none\" not found"));
        server
    });
}

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}, "deleteOptions": {}})
}

#[test]
fn an_evicted_pod_says_so_and_ends() {
    with_server(async |server| {
        let (path, pod) = running_pod(&server, &job("a", "wait")).await;
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let evict = format!("{path}/eviction");
        let dry = server.post(&format!("{evict}?dryRun=All"), &eviction(name)).await;
        assert_eq!(dry.status, 201, "{}", dry.text);
        assert_eq!(server.get(&path).await.body["metadata"], pod["metadata"]);
        let other = server.post(&evict, &eviction("b")).await;
        let why = "name in URL does not match name in Eviction object";
        assert_eq!((other.status, other.message()), (400, why));
        let missing = server.post(&format!("{PODS_PATH}/none/eviction"), &eviction("none")).await;
        assert_eq!((missing.status, missing.message()), (404, "pods \"none\" not found"));
        let mut stale = eviction(name);
        stale["deleteOptions"] = json!({"preconditions": {"resourceVersion": "1"}});
        assert_eq!(server.post(&evict, &stale).await.status, 409);
        let done = server.post(&evict, &eviction(name)).await;
        let wanted = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        assert_eq!((done.status, done.body), (201, wanted));
        let changes = changes_of_pods(&server, &pod, 3).await;
        for change in &changes {
            let conditions = change["object"]["status"]["conditions"].as_array().expect("conditions");
            let found = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").expect("disrupted");
            assert_eq!(
                (&found["status"], &found["reason"], &found["message"]),
                (&json!("True"), &json!("EvictionByEvictionAPI"), &json!("Eviction API: evicting"))
            );
        }
        server
    });
}

#[test]
fn in_the_foreground_the_job_is_shown_until_its_pods_are_gone() {
    with_server(async |server| {
        let (path, _) = running_pod(&server, &job("a", "wait")).await;
        let deleted = server.send("DELETE", JOB, JSON, r#"{"propagationPolicy":"Foreground"}"#).await;
        let metadata = &deleted.body["metadata"];
        assert_eq!((deleted.status, &deleted.body["kind"]), (200, &json!("Job")), "{}", deleted.text);
        assert_eq!(metadata["finalizers"], json!(["foregroundDeletion"]));
        assert_eq!((&metadata["deletionGracePeriodSeconds"], &metadata["generation"]), (&json!(0), &json!(2)));
        assert!(metadata["deletionTimestamp"].is_string());
        server.wait_for(JOB, |job| job["kind"] == "Status").await;
        assert_eq!(server.get(&path).await.status, 404);
        server
    });
}

#[test]
fn orphaned_pods_lose_their_owner_and_go_on() {
    with_server(async |server| {
        for (nth, body) in [r#"{"propagationPolicy":"Orphan"}"#, r#"{"orphanDependents":true}"#, ""].iter().enumerate()
        {
            let (path, _) = running_pod(&server, &job("a", "wait")).await;
            let deleted = server.send("DELETE", JOB, JSON, *body).await;
            assert_eq!((deleted.status, &deleted.body["kind"]), (200, &json!("Job")), "{}", deleted.text);
            assert_eq!(deleted.body["metadata"]["finalizers"], json!(["orphan"]));
            let warning = deleted.header("warning");
            assert_eq!(warning.contains("child pods are preserved by default"), nth == 2, "{warning}");
            server.wait_for(JOB, |job| job["kind"] == "Status").await;
            let pod = server.get(&path).await.body;
            assert_eq!(pod["status"]["phase"], "Running");
            let metadata = pod["metadata"].as_object().expect("metadata");
            assert!(!metadata.contains_key("ownerReferences") && !metadata.contains_key("finalizers"), "{pod}");
            assert!(metadata.contains_key("labels"));
            // The name is free, and both Jobs' pods are there.
            server.post(JOBS_PATH, &job("a", "wait")).await;
            let both = |pods: &Value| pods["items"].as_array().is_some_and(|items| items.len() == 2);
            server.wait_for(PODS_PATH, both).await;
            let page = server.get(&format!("{PODS_PATH}?limit=1")).await.body;
            let next = page["metadata"]["continue"].as_str().expect("more");
            let rest = server.get(&format!("{PODS_PATH}?limit=1&continue={next}")).await.body;
            assert_ne!(page["items"][0]["metadata"]["uid"], rest["items"][0]["metadata"]["uid"]);
            assert_eq!(server.send("DELETE", &format!("{JOB}?propagationPolicy=Background"), "", "").await.status, 200);
            let left = server.get(PODS_PATH).await.body;
            assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
            assert_eq!(server.send("DELETE", &path, "", "").await.status, 200);
            server.wait_for(&path, |pod| pod["kind"] == "Status").await;
        }
        server
    });
}

#[test]
fn v130_a_finalizer_keeps_a_job_until_it_is_removed() {
    with_server(async |server| {
        let mut kept = job("a", "wait");
        kept["metadata"]["finalizers"] = json!(["a.io/b"]);
        let (path, _) = running_pod(&server, &kept).await;
        let deleted = server.send("DELETE", &format!("{JOB}?propagationPolicy=Background"), "", "").await;
        assert_eq!((deleted.status, &deleted.body["kind"]), (200, &json!("Job")), "{}", deleted.text);
        let again = server.send("DELETE", &format!("{JOB}?propagationPolicy=Background"), "", "").await;
        assert_eq!(again.body["metadata"]["deletionTimestamp"], deleted.body["metadata"]["deletionTimestamp"]);
        assert_eq!(server.get(&path).await.body["status"]["phase"], "Running");
        let more = server.patch(JOB, &json!({"metadata": {"finalizers": ["a.io/b", "a.io/c"]}})).await;
        assert!(more.status == 422 && more.message().contains("no new finalizers can be added"), "{}", more.text);
        let freed = server.patch(JOB, &json!({"metadata": {"finalizers": null}})).await;
        assert_eq!(freed.status, 200, "{}", freed.text);
        assert_eq!(server.get(JOB).await.status, 404);
        assert_eq!(server.get(&path).await.status, 404);
        server
    });
}

/// The Job's pods, one of which was changed.
#[test]
fn v124_and_v125_the_metadata_of_a_pod_decides_whose_it_is() {
    with_server(async |server| {
        let (path, pod) = running_pod(&server, &job("a", "wait")).await;
        let labelled = server.patch(&path, &json!({"metadata": {"labels": {"tier": "x"}}})).await;
        assert_eq!(labelled.status, 200, "{}", labelled.text);
        assert_eq!(labelled.body["metadata"]["labels"]["tier"], "x");
        assert_eq!(labelled.body["metadata"]["finalizers"], pod["metadata"]["finalizers"]);
        let selected = server.get(&format!("{PODS_PATH}?labelSelector=tier%3Dx")).await.body;
        assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
        let same = server.patch(&path, &json!({"metadata": {"labels": {"tier": "x"}}})).await;
        assert_eq!(same.body["metadata"]["resourceVersion"], labelled.body["metadata"]["resourceVersion"]);
        let freed = server.patch(&path, &json!({"metadata": {"ownerReferences": null}})).await;
        assert!(freed.body["metadata"].get("ownerReferences").is_none(), "{}", freed.text);
        let again = server.get(&path).await.body;
        assert_eq!(again["metadata"]["ownerReferences"], pod["metadata"]["ownerReferences"]);
        let released = server.patch(&path, &json!({"metadata": {"labels": null}})).await;
        assert_eq!(released.status, 200, "{}", released.text);
        let two = |pods: &Value| pods["items"].as_array().is_some_and(|items| items.len() == 2);
        server.wait_for(PODS_PATH, two).await;
        let stray = server.get(&path).await.body;
        for gone in ["labels", "ownerReferences", "finalizers"] {
            assert!(stray["metadata"].get(gone).is_none(), "{gone}: {stray}");
        }
        let of_job = server.get(&format!("{PODS_PATH}?labelSelector=job-name%3Da")).await.body;
        assert_eq!(of_job["items"].as_array().map(Vec::len), Some(1));
        server.send("DELETE", &format!("{JOB}?propagationPolicy=Background"), "", "").await;
        assert_eq!(server.get(JOB).await.status, 404);
        assert_eq!(server.get(&path).await.body["status"]["phase"], "Running");
        server
    });
}

#[test]
fn what_may_not_be_changed_of_a_pod_is_refused() {
    with_server(async |server| {
        let (path, pod) = running_pod(&server, &job("a", "wait")).await;
        let cases = [
            (json!({"spec": {"nodeName": "b"}}), 422, "spec: Forbidden: pod updates may not change fields other than"),
            (json!({"metadata": {"labels": {"a b": "c"}}}), 422, "metadata.labels: Invalid value: \"a b\""),
            (json!({"metadata": {"uid": "x"}}), 409, "UID in precondition: x"),
            (json!({"metadata": {"name": "b"}}), 400, "does not match the name on the URL"),
            (json!({"metadata": {"resourceVersion": "1"}}), 409, "the object has been modified"),
            (json!({"metadata": {"labels": 5}}), 400, "metadata: "),
            (json!({"metadata": {"finalizers": ["a b"]}}), 422, "metadata.finalizers: Invalid value: \"a b\""),
        ];
        for (patch, status, message) in cases {
            let answer = server.patch(&path, &patch).await;
            assert_eq!(answer.status, status, "{patch}: {}", answer.text);
            assert!(answer.message().contains(message), "{message:?} is not in {:?}", answer.message());
        }
        assert_eq!(server.get(&path).await.body["metadata"], pod["metadata"]);
        let mut put = pod.clone();
        put["metadata"]["annotations"] = json!({"note": "mine"});
        let answer = server.put(&path, &put).await;
        assert_eq!(
            (answer.status, &answer.body["metadata"]["annotations"]["note"]),
            (200, &json!("mine")),
            "{}",
            answer.text
        );
        assert_eq!(server.put(&path, &put).await.status, 409);
        server
    });
}

#[test]
fn gated_pods_wait_until_a_client_removes_the_gates() {
    with_server(async |server| {
        let mut gated = job("a", "exit 0");
        gated["spec"]["template"]["spec"]["schedulingGates"] = json!([{"name": "a.io/b"}]);
        server.post(JOBS_PATH, &gated).await;
        let one = |pods: &Value| pods["items"].as_array().is_some_and(|items| items.len() == 1);
        let pod = server.wait_for(PODS_PATH, one).await["items"][0].clone();
        assert_eq!(pod["spec"]["schedulingGates"], json!([{"name": "a.io/b"}]));
        assert!(pod["spec"].get("nodeName").is_none());
        let condition = &pod["status"]["conditions"][0];
        assert_eq!((&condition["type"], &condition["status"]), (&json!("PodScheduled"), &json!("False")));
        assert_eq!(condition["reason"], "SchedulingGated");
        let path = format!("{PODS_PATH}/{}", pod["metadata"]["name"].as_str().expect("a name"));
        let both = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"schedulingGates": null}});
        assert_eq!(server.patch(&path, &both).await.status, 422);
        let freed = server.patch(&path, &json!({"spec": {"schedulingGates": null}})).await;
        assert_eq!(freed.status, 200, "{}", freed.text);
        assert!(freed.body["spec"].get("schedulingGates").is_none());
        server.wait_for(JOB, has_condition("Complete")).await;
        server
    });
}
