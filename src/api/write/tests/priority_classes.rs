//! Create, update, patch and delete of PriorityClasses, and what a Job's pods get of them.

use crate::api::client::{JSON, MERGE_PATCH, with_server};
use serde_json::{Value, json};

const ALL: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const PATH: &str = "/apis/scheduling.k8s.io/v1/priorityclasses/high";

#[test]
fn a_priority_class_lives() {
    with_server(async |server| {
        let created = server.post(ALL, &json!({"metadata": {"name": "high"}, "value": 1000})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let body = &created.body;
        assert_eq!(
            (&body["value"], &body["preemptionPolicy"], &body["metadata"]["generation"]),
            (&json!(1000), &json!("PreemptLowerPriority"), &json!(1))
        );
        assert!(body.get("globalDefault").is_none() && body.get("status").is_none(), "{}", created.text);
        assert_eq!(server.get(PATH).await.body, *body);
        let change = json!({"metadata": {"labels": {"a": "b"}}, "description": "of a kind", "globalDefault": true});
        let patched = server.patch(PATH, &change).await;
        assert_eq!((patched.status, &patched.body["description"]), (200, &json!("of a kind")), "{}", patched.text);
        let list = server.get(&format!("{ALL}?labelSelector=a%3Db")).await.body;
        assert_eq!(list["items"], json!([patched.body]));
        let dry = server.send("DELETE", &format!("{PATH}?dryRun=All"), JSON, String::new()).await;
        assert_eq!(dry.status, 200, "{}", dry.text);
        let deleted = server.send("DELETE", PATH, JSON, String::new()).await;
        let details = &deleted.body["details"];
        assert_eq!((deleted.status, &deleted.body["status"]), (200, &json!("Success")), "{}", deleted.text);
        assert_eq!((&details["kind"], &details["uid"]), (&json!("priorityclasses"), &body["metadata"]["uid"]));
        assert_eq!(server.get(PATH).await.status, 404);
        server
    });
}

#[test]
fn the_classes_of_the_system_are_there_and_stay() {
    with_server(async |server| {
        let list = server.get(ALL).await.body;
        let names: Vec<(&Value, &Value)> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| (&item["metadata"]["name"], &item["value"]))
            .collect();
        let wanted = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
        let wanted = wanted.map(|(name, value)| (json!(name), json!(value)));
        assert_eq!(names, wanted.iter().map(|(name, value)| (name, value)).collect::<Vec<_>>());
        let path = format!("{ALL}/system-node-critical");
        let deleted = server.send("DELETE", &path, JSON, String::new()).await;
        let why = "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority class and \
                   cannot be deleted";
        assert_eq!((deleted.status, deleted.message()), (403, why));
        server
    });
}

#[test]
fn what_a_priority_class_may_not_be_is_refused() {
    with_server(async |server| {
        server.post(ALL, &json!({"metadata": {"name": "high"}, "value": 1000, "globalDefault": true})).await;
        let prefix = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: ";
        let class = |name: &str, value: i32| json!({"metadata": {"name": name}, "value": value});
        let cases: [(&str, Value, u16, String); 9] = [
            (
                "POST",
                class("a", 1_000_000_001),
                422,
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000".to_owned(),
            ),
            ("POST", class("system-x", 1), 422, format!("{prefix}system-x is not a known system priority class")),
            (
                "POST",
                class("system-node-critical", 1),
                422,
                format!("{prefix}value of system-node-critical PriorityClass must be 2000001000"),
            ),
            ("POST", class("A", 1), 422, "metadata.name: Invalid value: \"A\"".to_owned()),
            (
                "POST",
                json!({"metadata": {"name": "a"}, "preemptionPolicy": "x"}),
                422,
                "preemptionPolicy: Unsupported value: \"x\": supported values: \"Never\", \"PreemptLowerPriority\"".to_owned(),
            ),
            (
                "POST",
                json!({"metadata": {"name": "a"}, "value": 1, "globalDefault": true}),
                403,
                "priorityclasses.scheduling.k8s.io \"a\" is forbidden: PriorityClass high is already marked as default. Only \
                 one default can exist"
                    .to_owned(),
            ),
            ("PATCH", json!({"value": 7}), 422, "value: Forbidden: may not be changed in an update.".to_owned()),
            (
                "PATCH",
                json!({"preemptionPolicy": "Never"}),
                422,
                "preemptionPolicy: Invalid value: \"Never\": field is immutable".to_owned(),
            ),
            ("PATCH", json!({"metadata": {"finalizers": ["a/b"]}}), 422, "not offered by this version".to_owned()),
        ];
        for (method, body, status, message) in cases {
            let (path, content_type) = if method == "POST" { (ALL, JSON) } else { (PATH, MERGE_PATCH) };
            let answer = server.send(method, path, content_type, body.to_string()).await;
            assert_eq!(answer.status, status, "{body}: {}", answer.text);
            assert!(answer.message().contains(&message), "{message:?} is not in {:?}", answer.message());
        }
        server
    });
}
