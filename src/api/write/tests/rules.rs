//! Rules of Jobs that clients can turn, through the whole server.

use crate::api::client::{JOBS_PATH, PODS_PATH, has_condition, job, with_server};
use serde_json::{Value, json};

fn in_spec(name: &str, word: &str, spec: &Value) -> Value {
    let mut job = job(name, word);
    for (key, value) in spec.as_object().expect("an object") {
        job["spec"][key] = value.clone();
    }
    job
}

fn path(name: &str) -> String {
    format!("{JOBS_PATH}/{name}")
}

#[test]
fn a_container_that_fails_is_started_again_in_its_pod() {
    with_server(async |server| {
        let mut body = in_spec("a", "1", &json!({"backoffLimit": 6}));
        body["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
        let created = server.post(JOBS_PATH, &body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let container = |pods: &Value| pods["items"][0]["status"]["containerStatuses"][0].clone();
        let waits = |pods: &Value| container(pods)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
        let restarted = |pods: &Value| container(pods)["restartCount"] == 1;
        let pods = server.wait_for(PODS_PATH, |pods| waits(pods) && restarted(pods)).await;
        assert_eq!(pods["items"].as_array().map(Vec::len), Some(1), "the same pod");
        assert_eq!(container(&pods)["lastState"]["terminated"]["exitCode"], 1);
        let name = pods["items"][0]["metadata"]["name"].as_str().expect("a name");
        // The log is that of the last container alone.
        let log = server.get(&format!("{PODS_PATH}/{name}/log")).await;
        assert_eq!((log.status, log.text.as_str()), (200, "1"));
        let followed = server.get(&format!("{PODS_PATH}/{name}/log?follow=true")).await;
        assert_eq!((followed.status, followed.text.as_str()), (200, "1"), "it ends with the container");
        let status = server.get(&path("a")).await.body["status"].take();
        assert_eq!((&status["active"], &status["ready"], &status["failed"]), (&json!(1), &json!(0), &Value::Null));
        server
    });
}

#[test]
fn a_job_is_suspended_changed_and_resumed() {
    with_server(async |server| {
        server.post(JOBS_PATH, &in_spec("a", "wait", &json!({"suspend": true}))).await;
        let is_suspended = has_condition("Suspended");
        let job = server.wait_for(&path("a"), &is_suspended).await;
        assert_eq!(job["status"]["startTime"], Value::Null);
        let labels = json!({"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}});
        let changed = server.patch(&path("a"), &labels).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        server.patch(&path("a"), &json!({"spec": {"suspend": false}})).await;
        let pods = server.wait_for(PODS_PATH, |pods| pods["items"][0]["status"]["phase"] == "Running").await;
        assert_eq!(pods["items"][0]["metadata"]["labels"]["x"], "y");
        let refused =
            server.patch(&path("a"), &json!({"spec": {"template": {"metadata": {"labels": {"x": "z"}}}}})).await;
        assert!(
            refused.status == 422 && refused.message().contains("spec.template: Invalid value"),
            "{}",
            refused.text
        );
        server.patch(&path("a"), &json!({"spec": {"suspend": true}})).await;
        server.wait_for(PODS_PATH, |pods| pods["items"] == json!([])).await;
        server
    });
}

#[test]
fn completions_of_an_indexed_job_change() {
    with_server(async |server| {
        let spec = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2});
        server.post(JOBS_PATH, &in_spec("a", "wait", &spec)).await;
        let active = |count: u32| move |job: &Value| job["status"]["active"] == count;
        server.wait_for(&path("a"), active(2)).await;
        let changed = server.patch(&path("a"), &json!({"spec": {"completions": 3, "parallelism": 3}})).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        server.wait_for(&path("a"), active(3)).await;
        server
    });
}

#[test]
fn a_finished_job_goes_by_itself_and_somebody_elses_stays_untouched() {
    with_server(async |server| {
        let foreign = in_spec("b", "0", &json!({"managedBy": "example.com/x", "ttlSecondsAfterFinished": 0}));
        server.post(JOBS_PATH, &foreign).await;
        server.post(JOBS_PATH, &in_spec("a", "0", &json!({"ttlSecondsAfterFinished": 0}))).await;
        let left = |jobs: &Value| jobs["items"].as_array().is_some_and(|jobs| jobs.len() == 1);
        let jobs = server.wait_for(JOBS_PATH, left).await;
        assert_eq!((&jobs["items"][0]["metadata"]["name"], &jobs["items"][0]["status"]), (&json!("b"), &json!({})));
        assert_eq!(server.get(PODS_PATH).await.body["items"], json!([]));
        server
    });
}

#[test]
fn failed_indexes_run_again() {
    with_server(async |server| {
        let spec = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0});
        server.post(JOBS_PATH, &in_spec("a", "1", &spec)).await;
        server.wait_for(&path("a"), has_condition("Failed")).await;
        let rerun = format!("{}/rerun", path("a"));
        let refused = [
            (json!({}), 422, "either indexes or failed: true must be given"),
            (json!({"failed": false}), 422, "either indexes or failed: true must be given"),
            (json!({"failed": true, "indexes": "0"}), 422, "may not be given together with failed"),
            (json!({"indexes": "7"}), 422, "too large index"),
            (json!({"indexes": 7}), 400, "invalid type"),
            (json!({"all": true}), 400, "unknown field"),
        ];
        for (body, status, message) in refused {
            let answer = server.post(&rerun, &body).await;
            assert!(answer.status == status && answer.message().contains(message), "{body}: {}", answer.text);
        }
        let answer = server.post(&rerun, &json!({"indexes": "0"})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        server.wait_for(PODS_PATH, |pods| pods["items"].as_array().is_some_and(|pods| pods.len() == 3)).await;
        server.wait_for(&path("a"), has_condition("Failed")).await;
        let missing = server.post(&format!("{}/rerun", path("b")), &json!({"failed": true})).await;
        assert_eq!(missing.status, 404, "{}", missing.text);
        server.post(JOBS_PATH, &in_spec("c", "0", &json!({}))).await;
        server.wait_for(&path("c"), has_condition("Complete")).await;
        let nothing = server.post(&format!("{}/rerun", path("c")), &json!({"failed": true})).await;
        assert!(nothing.status == 409 && nothing.message().contains("nothing of it has ended"), "{}", nothing.text);
        server
    });
}
