//! Create, update and patch of Jobs.

use crate::api::client::{Answer, JOBS_PATH, JSON, MERGE_PATCH, PROTOBUF, has_condition, job, with_server};
use crate::api::decode::{BODY_BYTES_MAX, DEPTH_MAX};
use crate::api::job::{Identity, Request, admit_create, read_create};
use crate::api::write::jobs::{at_version, new_job};
use crate::api::write::shown;
use crate::base::{Time, Uid};
use crate::control::{DeleteJob, Propagation};
use serde_json::{Value, json};

const PATH: &str = "/apis/batch/v1/namespaces/default/jobs/a";

#[test]
fn broken_protobuf_bodies_are_refused() {
    with_server(async |server| {
        let cases: [(&[u8], &str); 5] = [
            (
                b"{}",
                "the object provided is unrecognized (must be of type Job): provided data does not appear to be a protobuf \
                 message, expected prefix [107 56 115 0] ({})",
            ),
            (b"k8s\0\x12", "the object provided is unrecognized (must be of type Job): unexpected EOF (6b38730012)"),
            (b"k8s\0\x12\x02\x0a\x05", "Job in version \"v1\" cannot be handled as a Job: unexpected EOF"),
            (
                b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod",
                "Pod in version \"v1\" cannot be handled as a Job: converting (v1.Pod) to (batch.Job): unknown conversion",
            ),
            (
                // spec.template.spec.volumes
                b"k8s\0\x12\x08\x12\x06\x32\x04\x12\x02\x0a\x00",
                "spec.template.spec.volumes is set in a protobuf body and cannot be converted by this version of Coracle; \
                 send JSON or YAML",
            ),
        ];
        for (body, message) in cases {
            let answer = server.send("POST", JOBS_PATH, PROTOBUF, body).await;
            assert_eq!((answer.status, answer.message()), (400, message));
        }
        let huge = vec![0; BODY_BYTES_MAX + 1];
        assert_eq!(server.send("POST", JOBS_PATH, PROTOBUF, huge).await.status, 413);
        server
    });
}

#[test]
fn bodies_of_every_accepted_type_make_the_same_job() {
    with_server(async |server| {
        let text = |name: &str| job(name, "0").to_string();
        for (nth, content_type) in ["", JSON, "application/json; charset=utf-8", "application/yaml"].iter().enumerate()
        {
            let name = format!("j{nth}");
            let answer = server.send("POST", JOBS_PATH, content_type, text(&name)).await;
            assert_eq!(answer.status, 201, "{content_type}: {}", answer.text);
        }
        let answer = server.send("POST", JOBS_PATH, "text/plain", text("j")).await;
        assert_eq!(answer.status, 415);
        server
    });
}

/// Splicing a version and a status in gives what printing the tree would.
#[test]
fn a_new_job_is_printed_as_its_tree_would_be() {
    let identity = Identity { uid: Uid(7 << 64 | 1 << 63), created: Time(1_795_405_437_123), name_draw: 1 };
    let mut full = job("a", "0");
    full["metadata"]["labels"] = json!({ "uid": Uid(8).to_string(), "zone": "a" });
    full["metadata"]["annotations"] = json!({ "text": r#"{"uid":"7"},"status":{}}"#, "tool/uid": "}" });
    for body in [job("a", "0"), full] {
        let text = body.to_string();
        let request = Request {
            body: text.as_bytes(),
            content_type: None,
            namespace: "default",
            field_validation: Default::default(),
        };
        let admitted = admit_create(read_create(&request).expect("a body"), "default", &identity).expect("a Job");
        for rv in [None, Some(12_345)] {
            let printed = shown(&admitted.doc, rv, Some(json!({}))).expect("a document");
            assert_eq!(new_job(&admitted.doc, identity.uid, rv), printed);
        }
    }
}

#[test]
fn creating_holds_to_the_rules_of_its_options() {
    with_server(async |server| {
        let with = |key: &str, value: Value| {
            let mut body = job("b", "0");
            body["metadata"][key] = value;
            body
        };
        let mut unknown = job("b", "0");
        unknown["spec"]["foo"] = json!(1);
        let strict = format!("{JOBS_PATH}?fieldValidation=Strict");
        let long = format!("{JOBS_PATH}?fieldManager={}", "m".repeat(129));
        let other = format!("{JOBS_PATH}?dryRun=Some");
        let cases: [(&str, Value, u16, &str); 7] = [
            (
                JOBS_PATH,
                with("resourceVersion", json!("5")),
                400,
                "resourceVersion should not be set on objects to be created",
            ),
            (
                JOBS_PATH,
                with("namespace", json!("other")),
                400,
                "the namespace of the provided object does not match the namespace sent on the request",
            ),
            (
                &strict,
                unknown.clone(),
                400,
                "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \"spec.foo\"",
            ),
            (
                &long,
                job("b", "0"),
                422,
                "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes",
            ),
            (
                &other,
                job("b", "0"),
                422,
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
            ),
            ("/apis/batch/v1/namespaces/none/jobs", job("b", "0"), 404, "namespaces \"none\" not found"),
            ("/apis/batch/v1/namespaces/none/jobs?dryRun=All", job("b", "0"), 404, "namespaces \"none\" not found"),
        ];
        for (path, body, status, message) in cases {
            let answer = server.post(path, &body).await;
            assert_eq!((answer.status, answer.message()), (status, message));
        }
        let warned = server.post(JOBS_PATH, &unknown).await;
        assert_eq!(warned.status, 201, "{}", warned.text);
        assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"spec.foo\\\"\"");
        server
    });
}

#[test]
fn what_is_wrong_is_told_in_the_order_of_the_reference() {
    with_server(async |server| {
        let mut invalid = job("b", "0");
        invalid["spec"]["parallelism"] = json!(-1);
        let nowhere = "/apis/batch/v1/namespaces/none/jobs";
        for path in [nowhere.to_owned(), format!("{nowhere}?dryRun=All")] {
            let answer = server.post(&path, &invalid).await;
            assert_eq!((answer.status, answer.message()), (404, "namespaces \"none\" not found"), "{path}");
        }
        invalid["metadata"]["resourceVersion"] = json!("5");
        assert_eq!(server.post(nowhere, &invalid).await.status, 404);
        invalid["spec"]["foo"] = json!(1);
        assert_eq!(server.post(&format!("{nowhere}?fieldValidation=Strict"), &invalid).await.status, 400);
        invalid["metadata"]["namespace"] = json!("other");
        assert_eq!(server.post(nowhere, &invalid).await.status, 400);
        server
    });
}

#[test]
fn another_version_is_told_before_the_faults_of_a_change() {
    with_server(async |server| {
        let old = server.post(JOBS_PATH, &job("a", "wait")).await.body;
        server.patch(PATH, &json!({"metadata": {"labels": {"x": "y"}}})).await;
        let version = &old["metadata"]["resourceVersion"];
        let late = json!({"metadata": {"resourceVersion": version}, "spec": {"parallelism": -1, "completions": 9}});
        let mut put = old.clone();
        json_patch::merge(&mut put, &late);
        let dry = format!("{PATH}?dryRun=All");
        for answer in [server.patch(PATH, &late).await, server.put(PATH, &put).await, server.put(&dry, &put).await] {
            assert_eq!(answer.status, 409, "{}", answer.text);
            assert!(answer.message().contains("the object has been modified"), "{}", answer.text);
        }
        // Its name and its uid come before the version, the uid in a PUT only.
        let with = |key: &str| {
            let mut body = put.clone();
            body["metadata"][key] = json!("other");
            body
        };
        assert_eq!(server.put(PATH, &with("name")).await.status, 400);
        let other = server.put(PATH, &with("uid")).await;
        assert!(other.message().contains("Precondition failed: UID"), "{}", other.text);
        assert_eq!(server.put(&format!("{JOBS_PATH}/none"), &put).await.status, 400);
        put["metadata"]["resourceVersion"] = json!("0");
        assert_eq!(server.put(PATH, &put).await.status, 422, "0 names no version");
        server
    });
}

/// The texts of an answer's `Warning` headers.
fn warnings(answer: &Answer) -> Vec<String> {
    let texts = answer.headers.get_all("warning").iter();
    texts.map(|value| String::from_utf8(value.as_bytes().to_vec()).expect("UTF-8")).collect()
}

#[test]
fn warnings_are_told_once_in_full_and_not_without_end() {
    with_server(async |server| {
        let mut body = job("a", "0").to_string();
        body.insert_str(1, r#""é":1,"é":2,"é":3,"#);
        let created = server.send("POST", JOBS_PATH, JSON, body).await;
        let wanted = [r#"299 - "unknown field \"é\"""#, r#"299 - "duplicate field \"é\"""#];
        assert_eq!((created.status, warnings(&created)), (201, wanted.map(str::to_owned).to_vec()));
        let mut many = job("b", "0");
        many["spec"]["template"]["spec"]["containers"][0]["env"] = vec![json!({"name": "A".repeat(300)}); 1000].into();
        let created = server.post(JOBS_PATH, &many).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let lengths: Vec<usize> = warnings(&created).iter().map(|text| text.chars().count()).collect();
        assert_eq!(lengths, [256 + "299 - \"\"".len() + 1; 16], "a quote in each is escaped");
        server
    });
}

/// What becomes of an object once it is written is another answer's business.
#[test]
fn a_write_is_answered_with_what_was_written() {
    with_server(async |server| {
        let handle = server.engine.handle().clone();
        let delete = || DeleteJob {
            namespace: "default".into(),
            name: "a".into(),
            uid: None,
            rv: None,
            propagation: Propagation::Background,
            doc: (0, "{}".into()),
        };
        for _ in 0..20 {
            let body = job("a", "wait");
            let (created, deleted) = tokio::join!(server.post(JOBS_PATH, &body), handle.delete_job(delete()));
            let (metadata, deleted) = (&created.body["metadata"], deleted.expect("it was there"));
            assert_eq!((created.status, &created.body["status"]), (201, &json!({})), "{}", created.text);
            assert_eq!(metadata["uid"], deleted.job_uid.expect("a Job").to_string());
            let version: Option<u64> = metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            assert!(version.is_some_and(|version| version < deleted.rv), "{metadata}");

            server.post(JOBS_PATH, &job("a", "wait")).await;
            let change = json!({"metadata": {"labels": {"x": "y"}}});
            let (patched, deleted) = tokio::join!(server.patch(PATH, &change), handle.delete_job(delete()));
            deleted.expect("it was there");
            assert_eq!((patched.status, &patched.body["metadata"]["labels"]["x"]), (200, &json!("y")));
        }
        server
    });
}

#[test]
fn a_change_that_the_view_has_forgotten_is_answered_all_the_same() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "0")).await;
        let done = server.wait_for(PATH, has_condition("Complete")).await;
        let handle = server.engine.handle();
        let old = handle.view().job("default", "a").expect("the Job");
        let doc = old.doc.json.replace("\"generation\":1", "\"generation\":2");
        let answer: Value =
            serde_json::from_str(&at_version(handle, &old, &doc, 1 << 40).expect("JSON")).expect("JSON");
        let mut wanted = done;
        wanted["metadata"]["generation"] = json!(2);
        wanted["metadata"]["resourceVersion"] = json!((1_u64 << 40).to_string());
        assert_eq!(answer, wanted);
        server
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    with_server(async |server| {
        let dry = server.post(&format!("{JOBS_PATH}?dryRun=All"), &job("a", "0")).await;
        assert_eq!((dry.status, &dry.body["status"]), (201, &json!({})), "{}", dry.text);
        assert!(dry.body["metadata"]["uid"].is_string());
        assert_eq!(server.get(PATH).await.status, 404);
        server.post(JOBS_PATH, &job("a", "0")).await;
        let done = server.wait_for(PATH, has_condition("Complete")).await;
        assert_eq!(server.post(&format!("{JOBS_PATH}?dryRun=All"), &job("a", "0")).await.status, 409);
        let patch = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"parallelism": 3}});
        let mut put = done.clone();
        json_patch::merge(&mut put, &patch);
        for dry in [
            server.patch(&format!("{PATH}?dryRun=All"), &patch).await,
            server.put(&format!("{PATH}?dryRun=All"), &put).await,
        ] {
            assert_eq!(dry.status, 200, "{}", dry.text);
            assert_eq!(
                (&dry.body["metadata"]["labels"]["x"], &dry.body["spec"]["parallelism"]),
                (&json!("y"), &json!(3))
            );
            assert_eq!((&dry.body["metadata"]["generation"], &dry.body["status"]), (&json!(2), &done["status"]));
            assert_eq!(dry.body["metadata"]["resourceVersion"], done["metadata"]["resourceVersion"]);
        }
        let options = json!({"propagationPolicy": "Background", "dryRun": ["All"]});
        let dry = server.send("DELETE", PATH, JSON, options.to_string()).await;
        assert_eq!((dry.status, &dry.body["status"]), (200, &json!("Success")));
        assert_eq!(server.get(PATH).await.body, done);
        server
    });
}

#[test]
fn a_merge_patch_changes_what_it_names() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "wait")).await;
        let path = format!("{PATH}?fieldManager=kubectl-label");
        let labelled = server.patch(&path, &json!({"metadata": {"labels": {"x": "y", "job-name": null}}})).await;
        assert_eq!(labelled.status, 200, "{}", labelled.text);
        let metadata = &labelled.body["metadata"];
        assert_eq!((&metadata["labels"]["x"], &metadata["generation"]), (&json!("y"), &json!(1)));
        assert_eq!(metadata["labels"].get("job-name"), None);
        let scaled = server.patch(PATH, &json!({"spec": {"parallelism": 0}, "status": {"active": 99}})).await;
        assert_eq!(
            (&scaled.body["spec"]["parallelism"], &scaled.body["metadata"]["generation"]),
            (&json!(0), &json!(2))
        );
        assert_ne!(scaled.body["status"]["active"], 99);
        let unlabelled = server.patch(PATH, &json!({"metadata": {"labels": {"x": null}}})).await;
        assert_eq!(unlabelled.body["metadata"]["labels"].get("x"), None);
        server
    });
}

#[test]
fn a_patch_that_changes_nothing_keeps_the_version() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "0")).await;
        let done = server.wait_for(PATH, has_condition("Complete")).await;
        let uid = &done["metadata"]["uid"];
        for patch in [
            json!({}),
            json!({"spec": {"parallelism": 1}}),
            json!({"metadata": {"annotations": null}}),
            json!({"metadata": {"uid": uid}}),
            json!({"metadata": {"uid": null, "creationTimestamp": null, "generation": 77}}),
            json!({"metadata": {"resourceVersion": done["metadata"]["resourceVersion"]}}),
        ] {
            let same = server.patch(PATH, &patch).await;
            assert_eq!((same.status, &same.body), (200, &done), "{patch}: {}", same.text);
        }
        server
    });
}

#[test]
fn a_patch_that_cannot_be_made_is_refused() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "0")).await;
        let done = server.wait_for(PATH, has_condition("Complete")).await;
        let accepted = "the body of the request was in an unknown format - accepted media types include: \
                        application/merge-patch+json";
        for content_type in [
            "",
            JSON,
            "application/json-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ] {
            let answer = server.send("PATCH", PATH, content_type, "{}").await;
            assert_eq!((answer.status, answer.message()), (415, accepted), "{content_type}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        let strict = format!("{PATH}?fieldValidation=Strict");
        let forced = format!("{PATH}?force=true");
        let cases: [(&str, &str, u16, &str); 15] = [
            (PATH, "", 400, "error decoding patch: unexpected end of JSON input"),
            (PATH, "{", 400, "error decoding patch: "),
            (PATH, "[]", 400, "error decoding patch: a merge patch is a JSON object"),
            (PATH, &deep, 400, "nested deeper than 64 levels"),
            (&strict, r#"{"spec":{"paralelism":2}}"#, 422, "strict decoding error: unknown field \"spec.paralelism\""),
            (
                &strict,
                r#"{"spec":{"parallelism":2,"parallelism":3}}"#,
                422,
                "strict decoding error: duplicate field \"spec.parallelism\"",
            ),
            (PATH, r#"{"spec":{"parallelism":"x"}}"#, 422, "spec.parallelism: invalid type"),
            (PATH, r#"{"kind":"Pod"}"#, 422, "\"\" is invalid: patch: Invalid value"),
            (PATH, r#"{"spec":{"parallelism":-1}}"#, 422, "spec.parallelism: Invalid value: -1"),
            (PATH, r#"{"spec":{"completions":9}}"#, 422, "spec.completions: Invalid value: 9: field is immutable"),
            (PATH, r#"{"metadata":{"uid":"x"}}"#, 422, "metadata.uid: Invalid value: \"x\": field is immutable"),
            (PATH, r#"{"metadata":{"finalizers":["a b"]}}"#, 422, "metadata.finalizers: Invalid value: \"a b\""),
            (
                PATH,
                r#"{"metadata":{"name":"b"}}"#,
                400,
                "the name of the object (b) does not match the name on the URL (a)",
            ),
            (PATH, r#"{"metadata":{"resourceVersion":"x"}}"#, 400, "invalid resource version \"x\""),
            (&forced, "{}", 422, "force: Forbidden: may not be specified for non-apply patch"),
        ];
        for (path, patch, status, message) in cases {
            let answer = server.send("PATCH", path, MERGE_PATCH, patch.to_owned()).await;
            assert_eq!(answer.status, status, "{patch}: {}", answer.text);
            assert!(answer.message().contains(message), "{message:?} is not in {:?}", answer.message());
        }
        assert_eq!(server.get(PATH).await.body, done);
        assert_eq!(server.patch(&format!("{JOBS_PATH}/none"), &json!({})).await.status, 404);
        assert_eq!(server.patch(JOBS_PATH, &json!({})).await.status, 405);
        assert_eq!(server.patch("/api/v1/namespaces/default/events/x", &json!({})).await.status, 405);
        server
    });
}

#[test]
fn a_version_in_a_patch_or_a_put_must_be_the_last() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "0")).await;
        let done = server.wait_for(PATH, has_condition("Complete")).await;
        let seen = done["metadata"]["resourceVersion"].clone();
        let optimistic = |text: &str| json!({"metadata": {"resourceVersion": seen, "annotations": {"k": text}}});
        assert_eq!(server.patch(PATH, &optimistic("1")).await.status, 200);
        let late = server.patch(PATH, &optimistic("2")).await;
        let message = "Operation cannot be fulfilled on jobs.batch \"a\": the object has been modified; please apply your \
                       changes to the latest version and try again";
        assert_eq!((late.status, late.message()), (409, message));
        assert_eq!(server.put(PATH, &done).await.message(), message);
        let never = json!({"metadata": {"resourceVersion": "999999999"}});
        assert_eq!(server.patch(PATH, &never).await.message(), message);
        let mut unconditional = done.clone();
        unconditional["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
        let put = server.put(PATH, &unconditional).await;
        assert_eq!((put.status, put.body["metadata"].get("annotations")), (200, None), "{}", put.text);
        server
    });
}

#[test]
fn a_put_is_held_against_its_path() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "0")).await;
        let done = server.wait_for(PATH, has_condition("Complete")).await;
        let with = |key: &str, value: Value| {
            let mut body = done.clone();
            body["metadata"][key] = value;
            body
        };
        let cases = [
            (with("name", json!("b")), 400, "the name of the object (b) does not match the name on the URL (a)"),
            (
                with("name", json!("")),
                400,
                "the name of the object (a based on URL) was undeterminable: name must be provided",
            ),
            (
                with("namespace", json!("other")),
                400,
                "the namespace of the provided object does not match the namespace sent on the request",
            ),
            (
                with("uid", json!("x")),
                409,
                "Operation cannot be fulfilled on jobs.batch \"a\": Precondition failed: UID in",
            ),
            (
                with("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
                422,
                "metadata.deletionTimestamp: Invalid value: \"2026-01-01T00:00:00Z\": field is immutable",
            ),
        ];
        for (body, status, message) in cases {
            let answer = server.put(PATH, &body).await;
            assert_eq!(answer.status, status, "{}", answer.text);
            assert!(answer.message().contains(message), "{message:?} is not in {:?}", answer.message());
        }
        let same = server.put(PATH, &with("generation", json!(7))).await;
        assert_eq!((same.status, &same.body), (200, &done));
        server
    });
}

#[test]
fn patches_at_the_same_time_are_all_made() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "wait")).await;
        let labels = ["l1", "l2", "l3", "l4"];
        let patch = async |label: &str| server.patch(PATH, &json!({"metadata": {"labels": {label: "x"}}})).await;
        let [a, b, c, d] = labels;
        let answers = tokio::join!(patch(a), patch(b), patch(c), patch(d));
        for answer in [answers.0, answers.1, answers.2, answers.3] {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        let job = server.get(PATH).await.body;
        assert!(labels.iter().all(|label| job["metadata"]["labels"][*label] == "x"), "{job}");
        server
    });
}

#[test]
fn patches_do_not_make_an_object_larger_than_a_body() {
    with_server(async |server| {
        server.post(JOBS_PATH, &job("a", "wait")).await;
        let many = |letter: char| {
            let labels: serde_json::Map<String, Value> =
                (0..24_000).map(|n| (format!("{letter}{n:060}"), json!("x"))).collect();
            json!({"metadata": {"labels": labels}})
        };
        assert_eq!(server.patch(PATH, &many('a')).await.status, 200);
        let answer = server.patch(PATH, &many('b')).await;
        assert_eq!((answer.status, answer.message()), (413, "Request entity too large: limit is 3145728"));
        server
    });
}
