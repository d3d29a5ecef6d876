//! The router without sockets, over a whole engine with a scripted runtime.

use super::client::{JOBS_PATH, has_condition, job, with_server};
use serde_json::{Value, json};

#[test]
fn a_job_is_created_runs_and_is_read_back_with_its_pod_log_and_events() {
    with_server(async |server| {
        let created = server.post(&format!("{JOBS_PATH}?fieldValidation=Strict"), &job("a", "0")).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.body["metadata"]["generation"], 1);
        let done = server.wait_for(&format!("{JOBS_PATH}/a"), has_condition("Complete")).await;
        assert_eq!(done["status"]["succeeded"], 1);
        assert_eq!(done["metadata"]["uid"], created.body["metadata"]["uid"]);
        let pods = server.get("/api/v1/namespaces/default/pods").await.body;
        assert_eq!(pods["kind"], "PodList");
        let name = pods["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
        assert!(name.starts_with("a-"), "{name}");
        let pod = server.get(&format!("/api/v1/namespaces/default/pods/{name}")).await.body;
        assert_eq!(pod["status"]["phase"], "Succeeded");
        let log = server.get(&format!("/api/v1/namespaces/default/pods/{name}/log")).await;
        assert_eq!((log.status, log.text.as_str()), (200, "0"));
        let events = server.get("/api/v1/namespaces/default/events").await.body;
        let reasons: Vec<&str> =
            events["items"].as_array().expect("items").iter().filter_map(|event| event["reason"].as_str()).collect();
        assert_eq!(reasons, ["SuccessfulCreate", "Completed"]);
        let jobs = server.get("/apis/batch/v1/jobs").await.body;
        assert_eq!((jobs["kind"].as_str(), jobs["items"].as_array().map(Vec::len)), (Some("JobList"), Some(1)));
        server
    });
}

#[test]
fn refusals_are_statuses_in_kubernetes_words() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "wait")).await;
        let unknown = json!({"metadata": {"name": "b"}, "spec": {"paralelism": 1, "template": {}}});
        let cases = [
            (server.post(JOBS_PATH, &job("a", "0")).await, 409, "jobs.batch \"a\" already exists"),
            (server.get(&format!("{JOBS_PATH}/none")).await, 404, "jobs.batch \"none\" not found"),
            (server.get("/api/v1/namespaces/default/pods/none").await, 404, "pods \"none\" not found"),
            (server.get("/api/v1/namespaces/none").await, 404, "namespaces \"none\" not found"),
            (
                server.post("/apis/batch/v1/namespaces/none/jobs", &job("a", "0")).await,
                404,
                "namespaces \"none\" not found",
            ),
            (server.post("/apis/batch/v1/jobs", &job("a", "0")).await, 405, "the server does not allow this method"),
            (server.get("/apis/batch/v1/nonsense").await, 404, "the server could not find the requested resource"),
            (
                server.post(&format!("{JOBS_PATH}?fieldValidation=Strict"), &unknown).await,
                400,
                "strict decoding error: unknown field \"spec.paralelism\"",
            ),
            (server.get(&format!("{JOBS_PATH}?labelSelector=a%3Db%3Dc")).await, 400, "found '=', expected: ',' or"),
            (
                server.post("/api/v1/namespaces", &json!({"metadata": {"name": "A b"}})).await,
                422,
                "Namespace \"A b\" is invalid",
            ),
            (server.post("/api/v1/namespaces", &json!({"metadata": {"name": "default"}})).await, 409, "already exists"),
        ];
        for (answer, status, text) in cases {
            assert_eq!(answer.status, status, "{}", answer.text);
            assert_eq!(answer.body["kind"], "Status");
            assert_eq!(answer.body["code"], status);
            let message = answer.body["message"].as_str().unwrap_or_default();
            assert!(message.contains(text), "{text:?} is not in {message:?}");
        }
        server
    });
}

#[test]
fn generated_names_are_drawn_for_each_job() {
    with_server(async |server| {
        let mut manifest = job("", "0");
        manifest["metadata"] = json!({"generateName": "run-"});
        let names: std::collections::BTreeSet<String> =
            [server.post(JOBS_PATH, &manifest).await, server.post(JOBS_PATH, &manifest).await]
                .iter()
                .map(|answer| answer.body["metadata"]["name"].as_str().unwrap_or_default().to_owned())
                .collect();
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| name.starts_with("run-") && name.len() == 9), "{names:?}");
        server
    });
}

#[test]
fn a_new_namespace_takes_jobs() {
    with_server(async |server| {
        let created =
            server.post("/api/v1/namespaces", &json!({"metadata": {"name": "team-a", "labels": {"x": "y"}}})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.body["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "team-a", "x": "y"}));
        let answer = server.post("/apis/batch/v1/namespaces/team-a/jobs", &job("a", "0")).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(server.get("/apis/batch/v1/namespaces/default/jobs").await.body["items"], json!([]));
        let names = server.get("/api/v1/namespaces").await.body;
        assert_eq!(names["items"].as_array().map(Vec::len), Some(5));
        server
    });
}

#[test]
fn a_paused_job_goes_on_when_its_parallelism_is_raised_by_put() {
    with_server(async |server| {
        let mut paused = job("a", "0");
        paused["spec"]["parallelism"] = json!(0);
        let path = format!("{JOBS_PATH}/a");
        let created = server.post(JOBS_PATH, &paused).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let shown = server.wait_for(&path, |job| !job["status"]["startTime"].is_null()).await;
        let mut raised = shown.clone();
        raised["spec"]["parallelism"] = json!(1);
        let mut stale = raised.clone();
        let updated = server.put(&path, &raised).await;
        assert_eq!((updated.status, &updated.body["metadata"]["generation"]), (200, &json!(2)), "{}", updated.text);
        let done = server.wait_for(&path, has_condition("Complete")).await;
        assert_eq!(done["status"]["succeeded"], 1);
        stale["spec"]["parallelism"] = json!(3);
        let conflict = server.put(&path, &stale).await;
        assert_eq!(conflict.status, 409, "{}", conflict.text);
        assert!(conflict.text.contains("the object has been modified"), "{}", conflict.text);
        let same = server.put(&path, &done).await;
        assert_eq!(
            (same.status, &same.body["metadata"]["resourceVersion"]),
            (200, &done["metadata"]["resourceVersion"])
        );
        server
    });
}

#[test]
fn a_waiting_pod_has_no_log_and_a_living_one_has_what_it_wrote() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "wait")).await;
        let path = "/api/v1/namespaces/default/pods";
        let running = |pods: &Value| pods["items"][0]["status"]["phase"] == "Running";
        let pods = server.wait_for(path, running).await;
        let name = pods["items"][0]["metadata"]["name"].as_str().expect("a pod");
        // Its output is flushed a moment after it was written.
        let mut log = server.get(&format!("{path}/{name}/log")).await;
        while log.status == 200 && log.text.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            log = server.get(&format!("{path}/{name}/log")).await;
        }
        assert_eq!((log.status, log.text.as_str()), (200, "wait"));
        let other = server.get(&format!("{path}/{name}/log?container=x")).await;
        assert_eq!(other.status, 400);
        assert!(other.text.contains(&format!("container x is not valid for pod {name}")), "{}", other.text);
        server
    });
}
