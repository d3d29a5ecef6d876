//! Create, update and patch of namespaces.

use crate::api::client::{JSON, MERGE_PATCH, with_server};
use crate::control::DocChange;
use crate::model::Kind;
use serde_json::{Value, json};

const ALL: &str = "/api/v1/namespaces";
const PATH: &str = "/api/v1/namespaces/team";

#[test]
fn a_namespace_is_labelled_and_annotated() {
    with_server(async |server| {
        let created = server.post(ALL, &json!({"metadata": {"name": "team", "labels": {"a": "b"}}})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.body["metadata"].get("annotations"), None);
        let labelled = server.patch(PATH, &json!({"metadata": {"labels": {"x": "y", "a": null}}})).await;
        assert_eq!(labelled.status, 200, "{}", labelled.text);
        let name_label = json!({"kubernetes.io/metadata.name": "team", "x": "y"});
        assert_eq!(labelled.body["metadata"]["labels"], name_label);
        let kept = server.patch(PATH, &json!({"metadata": {"labels": {"kubernetes.io/metadata.name": "z"}}})).await;
        assert_eq!((kept.status, &kept.body), (200, &labelled.body));
        let dropped = server.patch(PATH, &json!({"metadata": {"labels": null, "annotations": {"k": "v"}}})).await;
        let metadata = &dropped.body["metadata"];
        assert_eq!(metadata["labels"], json!({"kubernetes.io/metadata.name": "team"}));
        assert_eq!(metadata["annotations"], json!({"k": "v"}));
        for field in ["uid", "creationTimestamp"] {
            assert_eq!(metadata[field], created.body["metadata"][field]);
        }
        // Spec and status are the server's.
        let same = server.patch(PATH, &json!({"spec": {"finalizers": []}, "status": {"phase": "Gone"}})).await;
        assert_eq!((same.status, &same.body), (200, &dropped.body));
        server
    });
}

#[test]
fn a_namespace_is_put() {
    with_server(async |server| {
        let created = server.post(ALL, &json!({"metadata": {"name": "team"}})).await.body;
        let mut changed = created.clone();
        changed["metadata"]["labels"] = json!({"x": "y"});
        let dry = server.put(&format!("{PATH}?dryRun=All"), &changed).await;
        assert_eq!((dry.status, &dry.body["metadata"]["labels"]["x"]), (200, &json!("y")), "{}", dry.text);
        assert_eq!(server.get(PATH).await.body, created);
        let put = server.put(PATH, &changed).await;
        assert_eq!((put.status, &put.body["metadata"]["labels"]["x"]), (200, &json!("y")), "{}", put.text);
        assert_ne!(put.body["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
        let late = server.put(PATH, &changed).await;
        assert_eq!(late.status, 409, "{}", late.text);
        let other = json!({"metadata": {"name": "team", "uid": "x"}});
        assert_eq!(server.put(PATH, &other).await.status, 409);
        assert_eq!(server.put(PATH, &json!({"metadata": {"name": "other"}})).await.status, 400);
        assert_eq!(server.put(&format!("{ALL}/none"), &json!({"metadata": {"name": "none"}})).await.status, 404);
        server
    });
}

#[test]
fn another_version_of_a_namespace_is_told_before_the_faults_of_a_change() {
    with_server(async |server| {
        let mut put = server.post(ALL, &json!({"metadata": {"name": "team"}})).await.body;
        let late = json!({"metadata": {"resourceVersion": "1", "labels": {"a b": ""}}});
        json_patch::merge(&mut put, &late);
        for answer in [server.patch(PATH, &late).await, server.put(PATH, &put).await] {
            assert_eq!(answer.status, 409, "{}", answer.text);
        }
        server
    });
}

#[test]
fn a_namespace_is_answered_as_it_was_written() {
    with_server(async |server| {
        let handle = server.engine.handle().clone();
        for nth in 0..20 {
            let name = format!("team-{nth}");
            // What another client writes right after it.
            let changed = json!({"metadata": {"name": name, "uid": "u", "labels": {"other": "x"}}}).to_string();
            let (name, base_rv) = (name.as_str().into(), handle.view().rv() + 1);
            let change = DocChange { kind: Kind::Namespace, name, base_rv, doc: changed.into() };
            let body = json!({"metadata": {"name": change.name.as_ref()}});
            let (created, changed) = tokio::join!(server.post(ALL, &body), handle.update_doc(change));
            changed.expect("it was there");
            assert_eq!(created.status, 201, "{}", created.text);
            assert_eq!(created.body["metadata"]["resourceVersion"], base_rv.to_string());
            assert_eq!(created.body["metadata"]["labels"].get("other"), None);
        }
        server
    });
}

#[test]
fn names_of_namespaces_are_generated() {
    with_server(async |server| {
        let body = json!({"metadata": {"generateName": "team-"}});
        let created = server.post(ALL, &body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let metadata = &created.body["metadata"];
        let name = metadata["name"].as_str().expect("a name");
        assert!(name.starts_with("team-") && name.len() == 10, "{name}");
        assert_eq!(
            (&metadata["generateName"], &metadata["labels"]["kubernetes.io/metadata.name"]),
            (&json!("team-"), &json!(name))
        );
        server
    });
}

#[test]
fn a_dry_run_makes_no_namespace() {
    with_server(async |server| {
        let dry = server.post(&format!("{ALL}?dryRun=All"), &json!({"metadata": {"name": "team"}})).await;
        assert_eq!((dry.status, &dry.body["status"]["phase"]), (201, &json!("Active")), "{}", dry.text);
        assert_eq!(server.get(PATH).await.status, 404);
        let taken = server.post(&format!("{ALL}?dryRun=All"), &json!({"metadata": {"name": "default"}})).await;
        assert_eq!((taken.status, taken.message()), (409, "namespaces \"default\" already exists"));
        server
    });
}

#[test]
fn what_a_namespace_may_not_have_is_refused() {
    with_server(async |server| {
        server.post(ALL, &json!({"metadata": {"name": "team"}})).await;
        let not_offered = "not offered by this version of Coracle";
        let cases: [(&str, Value, u16, &str); 11] = [
            ("POST", json!({"metadata": {}}), 422, "metadata.name: Required value: name or generateName is required"),
            (
                "POST",
                json!({"metadata": {"name": "A.b"}}),
                422,
                "Namespace \"A.b\" is invalid: metadata.name: Invalid value",
            ),
            ("POST", json!({"metadata": {"name": "b", "labels": {"a b": ""}}}), 422, "metadata.labels: Invalid value"),
            (
                "POST",
                json!({"metadata": {"name": "b", "resourceVersion": "1"}}),
                400,
                "resourceVersion should not be set",
            ),
            (
                "POST",
                json!({"metadata": {"name": "b"}, "spec": {"finalizers": ["a/b"]}}),
                422,
                "spec.finalizers: Forbidden",
            ),
            ("POST", json!({"metadata": {"name": "b", "finalizers": ["a/b"]}}), 422, not_offered),
            ("PATCH", json!({"metadata": {"finalizers": ["a/b"]}}), 422, not_offered),
            ("PATCH", json!({"metadata": {"annotations": {"coracle.dev/x": ""}}}), 422, not_offered),
            ("PATCH", json!({"metadata": {"labels": {"a": "b c"}}}), 422, "metadata.labels: Invalid value"),
            ("PATCH", json!({"metadata": {"uid": "x"}}), 422, "metadata.uid: Invalid value: \"x\": field is immutable"),
            ("PATCH", json!({"metadata": {"resourceVersion": "1"}}), 409, "the object has been modified"),
        ];
        for (method, body, status, message) in cases {
            let (path, content_type) = if method == "POST" { (ALL, JSON) } else { (PATH, MERGE_PATCH) };
            let answer = server.send(method, path, content_type, body.to_string()).await;
            assert_eq!(answer.status, status, "{body}: {}", answer.text);
            assert!(answer.message().contains(message), "{message:?} is not in {:?}", answer.message());
        }
        server
    });
}
