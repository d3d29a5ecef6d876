//! PATCH of the node.

use crate::api::client::{JOBS_PATH, MERGE_PATCH, PODS_PATH, has_condition, job, with_server};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/nodes/coracle";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

#[test]
fn a_cordoned_node_takes_no_pods_and_says_so() {
    with_server(async |server| {
        let before = server.get(PATH).await.body;
        let cordoned = server.send("PATCH", PATH, STRATEGIC, r#"{"spec":{"unschedulable":true}}"#).await;
        assert_eq!(
            (cordoned.status, &cordoned.body["spec"]["unschedulable"]),
            (200, &json!(true)),
            "{}",
            cordoned.text
        );
        assert_eq!(server.get(PATH).await.body, cordoned.body);
        let selected = server.get("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue").await.body;
        assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
        server.post(JOBS_PATH, &job("a", "exit 0")).await;
        let waits = |pods: &Value| pods["items"][0]["status"]["conditions"][0]["reason"] == "Unschedulable";
        let pod = server.wait_for(PODS_PATH, waits).await["items"][0].clone();
        assert!(pod["spec"].get("nodeName").is_none());
        let of_node = server.get(&format!("{PODS_PATH}?fieldSelector=spec.nodeName%3Dcoracle")).await.body;
        assert_eq!(of_node["items"], json!([]));
        let free = server.send("PATCH", PATH, STRATEGIC, r#"{"spec":{"unschedulable":null}}"#).await;
        assert_eq!(free.body["spec"], before["spec"]);
        let job = format!("{JOBS_PATH}/a");
        server.wait_for(&job, has_condition("Complete")).await;
        server
    });
}

#[test]
fn a_watcher_of_nodes_is_told_what_clients_write() {
    with_server(async |server| {
        let path = "/api/v1/nodes?watch=true&timeoutSeconds=1&fieldSelector=spec.unschedulable%3Dtrue";
        let write = async {
            for patch in [r#"{"spec":{"unschedulable":true}}"#, r#"{"metadata":{"labels":{"a":"b"}}}"#] {
                assert_eq!(server.send("PATCH", PATH, MERGE_PATCH, patch).await.status, 200);
                tokio::task::yield_now().await;
            }
        };
        let (told, ()) = tokio::join!(server.get(path), write);
        let first: Value = serde_json::from_str(told.text.lines().next().expect("an event")).expect("JSON");
        assert_eq!((&first["type"], &first["object"]["spec"]["unschedulable"]), (&json!("ADDED"), &json!(true)));
        server
    });
}

#[test]
fn what_is_the_machines_is_not_written() {
    with_server(async |server| {
        let before = server.get(PATH).await.body;
        let cases = [
            (MERGE_PATCH, json!({"spec": {"taints": []}}), 422, "spec.taints: Forbidden"),
            (MERGE_PATCH, json!({"metadata": {"finalizers": ["a.io/b"]}}), 422, "metadata.finalizers: Forbidden"),
            (MERGE_PATCH, json!({"metadata": {"labels": {"a b": "c"}}}), 422, "metadata.labels: Invalid value"),
            (MERGE_PATCH, json!({"metadata": {"resourceVersion": "1"}}), 409, "has been modified"),
            (MERGE_PATCH, json!({"spec": {"unschedulable": 5}}), 422, "spec.unschedulable: Invalid value: 5"),
            (STRATEGIC, json!({"spec": {"taints": []}}), 400, "are not offered"),
            (STRATEGIC, json!({"$patch": "delete"}), 400, "are not offered"),
            ("application/json-patch+json", json!([]), 415, ""),
        ];
        for (media, patch, status, message) in cases {
            let answer = server.send("PATCH", PATH, media, patch.to_string()).await;
            assert_eq!(answer.status, status, "{patch}: {}", answer.text);
            assert!(answer.message().contains(message), "{message:?} is not in {:?}", answer.message());
        }
        assert_eq!(server.get(PATH).await.body, before);
        assert_eq!(server.patch("/api/v1/nodes/other", &json!({})).await.status, 404);
        let dry = server.patch(&format!("{PATH}?dryRun=All"), &json!({"spec": {"unschedulable": true}})).await;
        assert_eq!((dry.status, server.get(PATH).await.body), (200, before));
        server
    });
}
