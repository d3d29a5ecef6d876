//! DELETE of a Job.

use crate::api::client::{JOBS_PATH, JSON, PODS_PATH, PROTOBUF, job, with_server};
use prost::Message as _;
use serde_json::{Value, json};

const PATH: &str = "/apis/batch/v1/namespaces/default/jobs/a";

#[test]
fn a_job_is_deleted_with_its_pods() {
    with_server(async |server| {
        let background = json!({"propagationPolicy": "Background"}).to_string();
        let options = k8s_pb::apimachinery::pkg::apis::meta::v1::DeleteOptions {
            propagation_policy: Some("Background".to_owned()),
            ..Default::default()
        };
        let kind = b"\x0a\x19\x0a\x08batch/v1\x12\x0dDeleteOptions".to_vec();
        let message = options.encode_to_vec();
        let raw = [&[0x12, u8::try_from(message.len()).expect("short")][..], &message].concat();
        let protobuf = [b"k8s\0".to_vec(), kind, raw].concat();
        let in_full = json!({"kind": "DeleteOptions", "apiVersion": "batch/v1", "propagationPolicy": "Background",
            "gracePeriodSeconds": 0});
        let old = json!({"orphanDependents": false, "apiVersion": "v1"});
        let by_query = format!("{PATH}?propagationPolicy=Background&gracePeriodSeconds=5");
        let cases: [(&str, &str, Vec<u8>); 8] = [
            (PATH, JSON, background.into_bytes()),
            (PATH, "", json!({"propagationPolicy": "Background"}).to_string().into_bytes()),
            (PATH, JSON, in_full.to_string().into_bytes()),
            (PATH, JSON, old.to_string().into_bytes()),
            (PATH, "application/yaml", b"propagationPolicy: Background".to_vec()),
            (PATH, PROTOBUF, protobuf),
            (&by_query, JSON, Vec::new()),
            (&by_query, JSON, b"{}".to_vec()),
        ];
        for (path, content_type, body) in cases {
            let created = server.post(JOBS_PATH, &job("a", "wait")).await;
            assert_eq!(created.status, 201, "{}", created.text);
            let uid = &created.body["metadata"]["uid"];
            let deleted = server.send("DELETE", path, content_type, body).await;
            let details = json!({"name": "a", "group": "batch", "kind": "jobs", "uid": uid});
            let wanted = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": details});
            assert_eq!((deleted.status, &deleted.body), (200, &wanted), "{path} {content_type}");
            assert_eq!(server.get(PATH).await.status, 404);
            assert_eq!(server.get(PODS_PATH).await.body["items"], json!([]));
        }
        server
    });
}

#[test]
fn what_a_delete_may_not_ask_for_is_refused() {
    with_server(async |server| {
        let created = server.post(JOBS_PATH, &job("a", "wait")).await.body;
        let uid = created["metadata"]["uid"].as_str().expect("a uid");
        let invalid = |text: &str| format!("DeleteOptions.meta.k8s.io \"\" is invalid: {text}");
        let conflict = |text: &str| format!("Operation cannot be fulfilled on Job.batch \"a\": the {text}");
        let background = "propagationPolicy=Background";
        let cases: [(&str, Value, u16, String); 11] = [
            ("propagationPolicy=Fast", json!(null), 422, invalid(
                "propagationPolicy: Unsupported value: \"Fast\": supported values: \"Foreground\", \"Background\", \
                 \"Orphan\", \"nil\"")),
            ("", json!({"propagationPolicy": "Background", "orphanDependents": false}), 422, invalid(
                "propagationPolicy: Invalid value: \"Background\": orphanDependents and deletionPropagation cannot be both \
                 set")),
            (background, json!({"dryRun": ["Some"]}), 422, invalid(
                "dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"")),
            (background, json!({"dryrun": ["All"]}), 400,
                "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: strict decoding error: unknown field \
                 \"dryrun\"".to_owned()),
            (background, json!({"kind": "Pod"}), 400, "Pod in version \"v1\" cannot be handled as a DeleteOptions".to_owned()),
            (background, json!([]), 400, "must be of type DeleteOptions".to_owned()),
            ("gracePeriodSeconds=x", json!(null), 400, "strconv.ParseInt: parsing \"x\": invalid syntax".to_owned()),
            (background, json!({"ignoreStoreReadErrorWithClusterBreakingPotential": true}), 400,
                "ignoreStoreReadErrorWithClusterBreakingPotential is not offered".to_owned()),
            (background, json!({"preconditions": {"uid": "x"}}), 409, conflict(&format!(
                "UID in the precondition (x) does not match the UID in record ({uid}). The object might have been deleted \
                 and then recreated"))),
            (background, json!({"preconditions": {"resourceVersion": "1"}}), 409, conflict(
                "ResourceVersion in the precondition (1) does not match the ResourceVersion in record (")),
            (background, json!({"preconditions": {"resourceVersion": "1"}, "dryRun": ["All"]}), 409, conflict(
                "ResourceVersion in the precondition (1)")),
        ];
        for (query, body, status, message) in cases {
            let text = if body.is_null() { String::new() } else { body.to_string() };
            let answer = server.send("DELETE", &format!("{PATH}?{query}"), JSON, text).await;
            assert_eq!(answer.status, status, "{query} {body}: {}", answer.text);
            assert!(answer.message().contains(&message), "{message:?} is not in {:?}", answer.message());
        }
        assert_eq!(server.send("DELETE", PATH, "text/plain", "x").await.status, 415);
        let none = format!("{JOBS_PATH}/none?{background}");
        assert_eq!(server.send("DELETE", &none, "", "").await.message(), "jobs.batch \"none\" not found");
        assert_eq!(server.send("DELETE", &format!("{JOBS_PATH}?{background}"), "", "").await.status, 405);
        assert_eq!(server.send("DELETE", "/api/v1/namespaces/default", "", "").await.status, 405);
        assert_eq!(server.get(PATH).await.status, 200);
        server
    });
}

#[test]
fn what_was_changed_on_the_way_is_not_deleted() {
    with_server(async |server| {
        for nth in 0..20 {
            server.post(JOBS_PATH, &job("a", "wait")).await;
            let running = |pods: &Value| pods["items"][0]["status"]["phase"] == "Running";
            server.wait_for(PODS_PATH, running).await;
            let read = server.get(PATH).await.body;
            let wanted = json!({"resourceVersion": read["metadata"]["resourceVersion"]});
            let body = json!({"propagationPolicy": "Background", "preconditions": wanted}).to_string();
            let change = json!({"metadata": {"labels": {"nth": nth.to_string()}}});
            let (patched, deleted) = tokio::join!(server.patch(PATH, &change), server.send("DELETE", PATH, JSON, body));
            assert_eq!((patched.status, deleted.status), (200, 409), "{}", deleted.text);
            let message = "the ResourceVersion in the precondition (";
            assert!(deleted.message().contains(message), "{}", deleted.text);
            assert_eq!(
                server.send("DELETE", &format!("{PATH}?propagationPolicy=Background"), "", "").await.status,
                200
            );
        }
        server
    });
}

/// The view still shows the Job before it.
#[test]
fn the_uid_of_a_deletion_is_that_of_the_job_that_was_deleted() {
    with_server(async |server| {
        let path = format!("{PATH}?propagationPolicy=Background");
        for _ in 0..20 {
            server.post(JOBS_PATH, &job("a", "wait")).await;
            let (body, a) = (job("a", "wait"), server.send("DELETE", &path, "", ""));
            let (first, created, second) =
                tokio::join!(a, server.post(JOBS_PATH, &body), server.send("DELETE", &path, "", ""));
            assert_eq!((first.status, created.status), (200, 201), "{}", created.text);
            // If the first was shown already, there was nothing to delete.
            if second.status == 200 {
                assert_eq!(second.body["details"]["uid"], created.body["metadata"]["uid"]);
            } else {
                assert_eq!(server.send("DELETE", &path, "", "").await.status, 200);
            }
        }
        server
    });
}

#[test]
fn a_dry_run_in_the_query_is_heard_beside_a_body() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "wait")).await;
        let body = json!({"propagationPolicy": "Background"}).to_string();
        let answer = server.send("DELETE", &format!("{PATH}?dryRun=All"), JSON, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(server.get(PATH).await.status, 200);
        server
    });
}

#[test]
fn preconditions_that_hold_let_the_job_go() {
    with_server(async |server| {
        for field in ["uid", "resourceVersion"] {
            server.post(JOBS_PATH, &job("a", "wait")).await;
            let running = |pods: &Value| pods["items"][0]["status"]["phase"] == "Running";
            server.wait_for(PODS_PATH, running).await;
            let mut last = server.get(PATH).await;
            loop {
                let precondition = json!({field: last.body["metadata"][field]});
                let body = json!({"propagationPolicy": "Background", "preconditions": precondition});
                let answer = server.send("DELETE", PATH, JSON, body.to_string()).await;
                if answer.status == 200 {
                    break;
                }
                // The status of a Job that has just started may still be published.
                let now = server.get(PATH).await;
                assert_eq!((answer.status, field), (409, "resourceVersion"), "{}", answer.text);
                assert_ne!(now.body["metadata"][field], last.body["metadata"][field]);
                last = now;
            }
            assert_eq!(server.get(PATH).await.status, 404);
        }
        server
    });
}
