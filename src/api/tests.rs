//! The router without sockets, over a whole engine with a scripted runtime.

use super::Api;
use crate::engine::Engine;
use crate::engine::testing::in_memory;
use serde_json::{Value, json};

const JOBS_PATH: &str = "/apis/batch/v1/namespaces/default/jobs";

/// Runs `test` against the API of a fresh engine.
fn with_api<F: Future<Output = ()>>(test: impl FnOnce(Api, Engine) -> F) {
    let engine = in_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test(
        Api::new(
            engine.handle().clone(),
            std::sync::Arc::new(crate::modules::Modules::open(None).expect("modules in memory")),
        ),
        engine,
    ));
}

fn job(name: &str, word: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i", "args": [word]}],
        }}},
    })
}

async fn wait_for(api: &Api, engine: &Engine, path: &str, test: impl Fn(&Value) -> bool) -> Value {
    loop {
        let rv = engine.handle().view().rv();
        let answer = api.get(path).await;
        if test(&answer.body) {
            return answer.body;
        }
        engine.handle().view().shown(rv + 1).await;
    }
}

fn has_condition(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |job| {
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == kind))
    }
}

#[test]
fn a_job_is_created_runs_and_is_read_back_with_its_pod_log_and_events() {
    with_api(async |api, engine| {
        let created = api.post(&format!("{JOBS_PATH}?fieldValidation=Strict"), &job("a", "0")).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.body["metadata"]["generation"], 1);
        let done = wait_for(&api, &engine, &format!("{JOBS_PATH}/a"), has_condition("Complete")).await;
        assert_eq!(done["status"]["succeeded"], 1);
        assert_eq!(done["metadata"]["uid"], created.body["metadata"]["uid"]);
        let pods = api.get("/api/v1/namespaces/default/pods").await.body;
        assert_eq!(pods["kind"], "PodList");
        let name = pods["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
        assert!(name.starts_with("a-"), "{name}");
        let pod = api.get(&format!("/api/v1/namespaces/default/pods/{name}")).await.body;
        assert_eq!(pod["status"]["phase"], "Succeeded");
        let log = api.get(&format!("/api/v1/namespaces/default/pods/{name}/log")).await;
        assert_eq!((log.status, log.text.as_str()), (200, "0"));
        let events = api.get("/api/v1/namespaces/default/events").await.body;
        let reasons: Vec<&str> =
            events["items"].as_array().expect("items").iter().filter_map(|event| event["reason"].as_str()).collect();
        assert_eq!(reasons, ["SuccessfulCreate", "Completed"]);
        let jobs = api.get("/apis/batch/v1/jobs").await.body;
        assert_eq!((jobs["kind"].as_str(), jobs["items"].as_array().map(Vec::len)), (Some("JobList"), Some(1)));
        engine.stop();
    });
}

#[test]
fn refusals_are_statuses_in_kubernetes_words() {
    with_api(async |api, engine| {
        api.post(JOBS_PATH, &job("a", "wait")).await;
        let unknown = json!({"metadata": {"name": "b"}, "spec": {"paralelism": 1, "template": {}}});
        let cases = [
            (api.post(JOBS_PATH, &job("a", "0")).await, 409, "jobs.batch \"a\" already exists"),
            (api.get(&format!("{JOBS_PATH}/none")).await, 404, "jobs.batch \"none\" not found"),
            (api.get("/api/v1/namespaces/default/pods/none").await, 404, "pods \"none\" not found"),
            (api.get("/api/v1/namespaces/none").await, 404, "namespaces \"none\" not found"),
            (
                api.post("/apis/batch/v1/namespaces/none/jobs", &job("a", "0")).await,
                404,
                "namespaces \"none\" not found",
            ),
            (api.post("/apis/batch/v1/jobs", &job("a", "0")).await, 405, "the server does not allow this method"),
            (api.get("/apis/batch/v1/nonsense").await, 404, "the server could not find the requested resource"),
            (
                api.post(&format!("{JOBS_PATH}?fieldValidation=Strict"), &unknown).await,
                400,
                "strict decoding error: unknown field \"spec.paralelism\"",
            ),
            (api.get(&format!("{JOBS_PATH}?labelSelector=a%3Db%3Dc")).await, 400, "found '=', expected: ',' or"),
            (
                api.post("/api/v1/namespaces", &json!({"metadata": {"name": "A b"}})).await,
                422,
                "Namespace \"A b\" is invalid",
            ),
            (api.post("/api/v1/namespaces", &json!({"metadata": {"name": "default"}})).await, 409, "already exists"),
        ];
        for (answer, status, text) in cases {
            assert_eq!(answer.status, status, "{}", answer.text);
            assert_eq!(answer.body["kind"], "Status");
            assert_eq!(answer.body["code"], status);
            let message = answer.body["message"].as_str().unwrap_or_default();
            assert!(message.contains(text), "{text:?} is not in {message:?}");
        }
        engine.stop();
    });
}

#[test]
fn generated_names_are_drawn_for_each_job() {
    with_api(async |api, engine| {
        let mut manifest = job("", "0");
        manifest["metadata"] = json!({"generateName": "run-"});
        let names: std::collections::BTreeSet<String> =
            [api.post(JOBS_PATH, &manifest).await, api.post(JOBS_PATH, &manifest).await]
                .iter()
                .map(|answer| answer.body["metadata"]["name"].as_str().unwrap_or_default().to_owned())
                .collect();
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| name.starts_with("run-") && name.len() == 9), "{names:?}");
        engine.stop();
    });
}

#[test]
fn a_new_namespace_takes_jobs() {
    with_api(async |api, engine| {
        let created =
            api.post("/api/v1/namespaces", &json!({"metadata": {"name": "team-a", "labels": {"x": "y"}}})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.body["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "team-a", "x": "y"}));
        let answer = api.post("/apis/batch/v1/namespaces/team-a/jobs", &job("a", "0")).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(api.get("/apis/batch/v1/namespaces/default/jobs").await.body["items"], json!([]));
        let names = api.get("/api/v1/namespaces").await.body;
        assert_eq!(names["items"].as_array().map(Vec::len), Some(5));
        engine.stop();
    });
}

#[test]
fn a_paused_job_goes_on_when_its_parallelism_is_raised_by_put() {
    with_api(async |api, engine| {
        let mut paused = job("a", "0");
        paused["spec"]["parallelism"] = json!(0);
        let path = format!("{JOBS_PATH}/a");
        let created = api.post(JOBS_PATH, &paused).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let shown = wait_for(&api, &engine, &path, |job| !job["status"]["startTime"].is_null()).await;
        let mut raised = shown.clone();
        raised["spec"]["parallelism"] = json!(1);
        let mut stale = raised.clone();
        let updated = api.put(&path, &raised).await;
        assert_eq!((updated.status, &updated.body["metadata"]["generation"]), (200, &json!(2)), "{}", updated.text);
        let done = wait_for(&api, &engine, &path, has_condition("Complete")).await;
        assert_eq!(done["status"]["succeeded"], 1);
        stale["spec"]["parallelism"] = json!(3);
        let conflict = api.put(&path, &stale).await;
        assert_eq!(conflict.status, 409, "{}", conflict.text);
        assert!(conflict.text.contains("the object has been modified"), "{}", conflict.text);
        let same = api.put(&path, &done).await;
        assert_eq!(
            (same.status, &same.body["metadata"]["resourceVersion"]),
            (200, &done["metadata"]["resourceVersion"])
        );
        engine.stop();
    });
}

#[test]
fn a_waiting_pod_has_no_log_and_a_living_one_has_what_it_wrote() {
    with_api(async |api, engine| {
        api.post(JOBS_PATH, &job("a", "wait")).await;
        let path = "/api/v1/namespaces/default/pods";
        let running = |pods: &Value| pods["items"][0]["status"]["phase"] == "Running";
        let pods = wait_for(&api, &engine, path, running).await;
        let name = pods["items"][0]["metadata"]["name"].as_str().expect("a pod");
        // Its output is flushed a moment after it was written.
        let mut log = api.get(&format!("{path}/{name}/log")).await;
        while log.status == 200 && log.text.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            log = api.get(&format!("{path}/{name}/log")).await;
        }
        assert_eq!((log.status, log.text.as_str()), (200, "wait"));
        let other = api.get(&format!("{path}/{name}/log?container=x")).await;
        assert_eq!(other.status, 400);
        assert!(other.text.contains(&format!("container x is not valid for pod {name}")), "{}", other.text);
        engine.stop();
    });
}
