//! What kubectl 1.32 and 1.36 wrote, byte for byte, against what Kubernetes v1.36.2 answered.

use crate::api::client::{JOBS_PATH, MERGE_PATCH, PROTOBUF, has_condition, with_server};
use crate::api::decode::protobuf;
use serde_json::{Value, json};

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/goldens/writes/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).expect(&path)
}

/// A recorded answer in protobuf, as JSON without kind, version and status.
fn answered(name: &str, table: &[protobuf::Field]) -> Value {
    protobuf::value_of(&golden(name), table)
}

/// Puts a word in the place of what differs from server to server, and takes out what is not offered.
fn masked(mut object: Value) -> Value {
    let uid = object["metadata"]["uid"].as_str().expect("a uid").to_owned();
    if let Some(fields) = object.as_object_mut() {
        ["kind", "apiVersion", "status"].iter().for_each(|key| drop(fields.remove(*key)));
    }
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    for key in ["resourceVersion", "creationTimestamp", "managedFields"] {
        metadata.remove(key);
    }
    // Protobuf says what JSON leaves out: texts that are empty, numbers that are 0, switches that are off.
    prune(&mut object);
    serde_json::from_str(&object.to_string().replace(&uid, "UID")).expect("JSON")
}

fn prune(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|key, field| {
                let is_kept = ["suspend", "manualSelector"].contains(&key.as_str());
                !field.is_null() && *field != json!("") && *field != json!(0) && (is_kept || *field != json!(false))
            });
        }
        _ => {}
    }
}

#[test]
fn namespaces_are_created_as_kubectl_creates_them() {
    for (create, name) in [("1.32-create-ns-35", "cap132"), ("1.36-create-ns-01", "cap136")] {
        with_server(async |server| {
            let path = "/api/v1/namespaces?fieldManager=kubectl-create&fieldValidation=Strict";
            let created = server.send("POST", path, PROTOBUF, golden(&format!("{create}.body.pb"))).await;
            assert_eq!(created.status, 201, "{}", created.text);
            assert_eq!(created.headers["content-type"], "application/json");
            assert_eq!(created.text.matches("\"status\"").count(), 1, "{}", created.text);
            let wanted = answered(&format!("{create}.response.pb"), &protobuf::NAMESPACE);
            assert_eq!(created.body["metadata"]["name"], name);
            assert_eq!(created.body["status"], json!({"phase": "Active"}));
            assert_eq!(masked(created.body), masked(wanted), "{create}");
            server
        });
    }
}

#[test]
fn jobs_are_created_and_changed_as_kubectl_does_it() {
    let cases = [
        ("cap132", "1.32-create-job-36", ["1.32-patch-merge-50", "1.32-label-53", "1.32-annotate-54"]),
        ("cap136", "1.36-create-job-02", ["1.36-patch-merge-16", "1.36-label-19", "1.36-annotate-20"]),
    ];
    for (namespace, create, patches) in cases {
        with_server(async |server| {
            server.post("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await;
            let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
            let path = format!("{jobs}?fieldManager=kubectl-create&fieldValidation=Strict");
            let created = server.send("POST", &path, PROTOBUF, golden(&format!("{create}.body.pb"))).await;
            assert_eq!(created.status, 201, "{}", created.text);
            let wanted = answered(&format!("{create}.response.pb"), &protobuf::JOB);
            assert_eq!(masked(created.body), masked(wanted), "{create}");
            // Between the recorded commands others set this label and suspended the Job.
            let path = format!("{jobs}/pj");
            server.wait_for(&path, has_condition("Complete")).await;
            server.patch(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await;
            for patch in patches {
                let body = golden(&format!("{patch}.body.json"));
                let patched = server.send("PATCH", &format!("{path}?fieldManager=kubectl-x"), MERGE_PATCH, body).await;
                assert_eq!(patched.status, 200, "{}", patched.text);
                let response = golden(&format!("{patch}.response.json"));
                let mut wanted: Value = serde_json::from_slice(&response).expect("JSON");
                wanted["spec"]["suspend"] = json!(false);
                wanted["metadata"]["generation"] = json!(2);
                assert_eq!(masked(patched.body), masked(wanted), "{patch}");
            }
            server
        });
    }
}

#[test]
fn a_job_made_from_a_cron_job_is_read_and_refused_for_what_is_not_offered() {
    with_server(async |server| {
        for name in ["1.32-create-job-from-38", "1.36-create-job-from-04"] {
            let mut value = protobuf::value_of(&golden(&format!("{name}.body.pb")), &protobuf::JOB);
            let metadata = &value["metadata"];
            assert_eq!(metadata["annotations"], json!({"cronjob.kubernetes.io/instantiate": "manual"}));
            assert_eq!(metadata["ownerReferences"][0]["kind"], "CronJob");
            assert_eq!(metadata["ownerReferences"][0]["controller"], true);
            let container = &value["spec"]["template"]["spec"]["containers"][0];
            assert_eq!((&container["command"], &container["resources"]), (&json!(["date"]), &json!({})));
            value["metadata"]["namespace"] = json!("default");
            let as_json = server.post(JOBS_PATH, &value).await;
            assert_eq!(as_json.status, 422, "{}", as_json.text);
            // The same bytes are refused with the same words, in the namespace that they name.
            let namespace = if name.starts_with("1.32") { "cap132" } else { "cap136" };
            server.post("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await;
            let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
            let answer = server.send("POST", &path, PROTOBUF, golden(&format!("{name}.body.pb"))).await;
            assert_eq!((answer.status, answer.message()), (422, as_json.message()));
            assert!(answer.message().contains("metadata.ownerReferences: Forbidden"), "{}", answer.text);
            assert!(!answer.message().contains("restartPolicy"), "{}", answer.text);
        }
        server
    });
}
