//! Admission as a whole: recorded bodies, and that whatever is admitted can be read back.

use super::*;
use crate::base::{Time, Uid};
use crate::model::{CompletionMode, EnvValue, FieldPath};
use proptest::prelude::*;
use serde_json::json;

const UID: &str = "8a360e54-d949-48aa-b2f0-d33a2c91d94f";

fn identity() -> Identity {
    // 2026-11-23T04:49:07Z, as recorded.
    Identity { uid: Uid::parse(UID).expect("a uid"), created: Time(1_795_409_347_500), name_draw: 7 }
}

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).expect(&path)
}

fn request<'a>(body: &'a [u8], namespace: &'a str) -> Request<'a> {
    Request { body, content_type: None, namespace, field_validation: FieldValidation::Strict }
}

fn create(body: &Value) -> Result<Admitted, Status> {
    admitted(&request(body.to_string().as_bytes(), "default"), &identity())
}

fn admitted(request: &Request<'_>, identity: &Identity) -> Result<Admitted, Status> {
    admit_create(read_create(request)?, request.namespace, identity)
}

fn doc(admitted: &Admitted) -> Value {
    serde_json::from_str(&admitted.doc).expect("a document is JSON")
}

fn good() -> Value {
    json!({"metadata": {"name": "pi"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}})
}

#[test]
fn what_kubectl_applies_is_stored_as_the_reference_answers() {
    for (kubectl, namespace) in [("1.32", "cap132"), ("1.36", "cap136")] {
        let response = golden(&format!("apply-create-{kubectl}.response.json"));
        let mut wanted: Value = serde_json::from_slice(&response).expect("JSON");
        let uid = Uid::parse(wanted["metadata"]["uid"].as_str().expect("a uid")).expect("a uid");
        let body = golden(&format!("apply-create-{kubectl}.body.json"));
        let identity = Identity { uid, ..identity() };
        let admitted = admitted(&request(&body, namespace), &identity).expect("a good Job");
        wanted.as_object_mut().expect("an object").remove("status");
        let mut found = doc(&admitted);
        found["metadata"].as_object_mut().expect("an object").remove("creationTimestamp");
        for masked in ["resourceVersion", "managedFields", "creationTimestamp"] {
            wanted["metadata"].as_object_mut().expect("an object").remove(masked);
        }
        assert_eq!(found, wanted, "kubectl {kubectl}");
        assert_eq!(admitted.name, "long");
        assert_eq!(admitted.warnings, [""; 0]);
        assert_eq!(admitted.spec.template.command, ["sleep", "600"]);
    }
}

#[test]
fn the_controller_reads_what_the_client_wrote() {
    let spec = create(&json!({"metadata": {"name": "pi"}, "spec": {
        "completions": 5, "parallelism": 3, "completionMode": "Indexed", "activeDeadlineSeconds": 9, "backoffLimit": 2,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}}]},
        "template": {"metadata": {"labels": {"a": "b"}, "annotations": {"coracle.dev/fuel": "1000"}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [{"name": "c", "image": "i:1",
            "resources": {"limits": {"memory": 67_108_864}},
            "env": [{"name": "E", "value": "v"}, {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]}]}}}}))
    .expect("a good Job")
    .spec;
    assert_eq!(
        (spec.parallelism, spec.completions, spec.backoff_limit, spec.active_deadline_s),
        (3, Some(5), 2, Some(9))
    );
    assert_eq!(spec.mode, CompletionMode::Indexed);
    assert!(spec.only_replace_failed);
    assert_eq!(spec.template.memory_bytes_max, Some(64 << 20));
    assert_eq!((spec.template.fuel, spec.template.grace_s), (Some(1000), 5));
    assert_eq!(spec.template.env[1].value, EnvValue::Field(FieldPath::Uid));
    assert_eq!(spec.template.labels["a"], "b");
    assert_eq!(spec.template.labels["job-name"], "pi");
}

#[test]
fn defaults_depend_on_what_is_given() {
    let spec_of = |patch: Value| {
        let mut job: Job = serde_json::from_value(json!({"spec": patch})).expect("a typed Job");
        defaults::set_defaults(&mut job);
        let once = job.clone();
        defaults::set_defaults(&mut job);
        assert_eq!(job, once, "defaulting twice changes nothing");
        serde_json::to_value(job.spec).expect("JSON")
    };
    let cases = [
        (
            json!({}),
            json!({"completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
            "suspend": false, "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed"}),
        ),
        (json!({"parallelism": 3}), json!({"completions": null, "parallelism": 3})),
        (json!({"completions": 3}), json!({"completions": 3, "parallelism": 1})),
        (json!({"parallelism": 0}), json!({"completions": null, "parallelism": 0})),
        (json!({"backoffLimitPerIndex": 1}), json!({"backoffLimit": 2_147_483_647})),
        (json!({"podFailurePolicy": {"rules": []}}), json!({"podReplacementPolicy": "Failed"})),
    ];
    for (given, wanted) in cases {
        let spec = spec_of(given.clone());
        for (key, value) in wanted.as_object().expect("an object") {
            assert_eq!(&spec[key], value, "{given}: {key}");
        }
    }
}

#[test]
fn images_without_a_tag_are_always_pulled() {
    for (image, policy) in [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("host:5000/a/busybox", "Always"),
        ("host:5000/a/busybox:v1", "IfNotPresent"),
        ("busybox@sha256:00", "IfNotPresent"),
        ("busybox:latest@sha256:00", "Always"),
    ] {
        let mut body = good();
        body["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        let admitted = create(&body).expect("a good Job");
        assert_eq!(doc(&admitted)["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn quantities_are_stored_in_canonical_form() {
    let mut body = good();
    body["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"limits": {"memory": "1024Mi"}, "requests": {"cpu": 0.5, "memory": 1_048_576}});
    assert_eq!(
        doc(&create(&body).expect("a good Job"))["spec"]["template"]["spec"]["containers"][0]["resources"],
        json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1048576"}})
    );
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "1 GB"}});
    assert_eq!(
        create(&body).expect_err("no quantity").message,
        "Job in version \"v1\" cannot be handled as a Job: quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn labels_of_the_job_follow_the_three_rules() {
    let generated = |doc: &Value| doc["metadata"]["labels"].get("job-name").is_some();
    let mut body = good();
    assert!(generated(&doc(&create(&body).expect("no labels at all"))));
    body["spec"]["template"]["metadata"] = json!({"labels": {"a": "b"}});
    let shared = doc(&create(&body).expect("labels on the template"));
    assert!(generated(&shared));
    assert_eq!(shared["metadata"]["labels"], shared["spec"]["template"]["metadata"]["labels"]);
    body["metadata"]["labels"] = json!({"a": "b"});
    let own = doc(&create(&body).expect("the same labels on both"));
    assert_eq!(own["metadata"]["labels"], json!({"a": "b"}));
}

#[test]
fn what_only_the_server_may_say_is_overwritten() {
    let mut body = good();
    body["status"] = json!({"succeeded": 7});
    body["metadata"] = json!({"name": "pi", "uid": "x", "generation": 9, "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5, "selfLink": "/x", "managedFields": [{}]});
    let doc = doc(&create(&body).expect("a good Job"));
    let metadata = doc["metadata"].as_object().expect("an object");
    assert_eq!(
        metadata.keys().collect::<Vec<_>>(),
        ["creationTimestamp", "generation", "labels", "name", "namespace", "uid"]
    );
    assert_eq!(metadata["uid"], UID);
    assert_eq!(metadata["generation"], 1);
    assert_eq!(metadata["creationTimestamp"], "2026-11-23T04:49:07Z");
    assert_eq!(metadata["namespace"], "default");
    assert!(doc.get("status").is_none());
}

#[test]
fn a_name_is_made_from_its_prefix() {
    let mut body = good();
    body["metadata"] = json!({"generateName": "pi-"});
    let admitted = create(&body).expect("a good Job");
    assert_eq!(admitted.name, crate::base::generated_name("pi-", 7));
    assert_eq!(doc(&admitted)["metadata"]["generateName"], "pi-");
    assert_eq!(admitted.spec.template.labels["job-name"], admitted.name);
    body["metadata"] = json!({"generateName": "pi-", "name": "own"});
    assert_eq!(create(&body).expect("a good Job").name, "own");
}

#[test]
fn bodies_for_another_place_or_time_are_refused() {
    let mut body = good();
    body["metadata"]["namespace"] = json!("other");
    let status = create(&body).expect_err("another namespace");
    assert_eq!(status.code(), 400);
    assert_eq!(status.message, "the namespace of the provided object does not match the namespace sent on the request");
    body["metadata"] = json!({"name": "pi", "resourceVersion": "5"});
    let status = create(&body).expect_err("a version");
    assert_eq!(
        (status.code(), status.message.as_str()),
        (400, "resourceVersion should not be set on objects to be created")
    );
}

#[test]
fn a_kubernetes_error_comes_before_ours() {
    let mut body = good();
    body["spec"]["template"]["spec"]["runtimeClassName"] = json!("x");
    let ours = create(&body).expect_err("not offered");
    assert_eq!(
        ours.message,
        "Job.batch \"pi\" is invalid: spec.template.spec.runtimeClassName: Forbidden: not offered by this version of \
         Coracle: runtime classes"
    );
    assert_eq!(ours.code(), 422);
    body["spec"]["parallelism"] = json!(-1);
    let theirs = create(&body).expect_err("invalid");
    assert_eq!(
        theirs.message,
        "Job.batch \"pi\" is invalid: spec.parallelism: Invalid value: -1: must be greater than or equal to 0"
    );
}

#[test]
fn what_means_nothing_is_not_stored_and_not_refused() {
    let mut body = good();
    let pod = &mut body["spec"]["template"]["spec"];
    pod["hostNetwork"] = json!(false);
    pod["volumes"] = json!([]);
    pod["nodeSelector"] = json!({});
    pod["hostname"] = json!("");
    pod["initContainers"] = json!(null);
    pod["containers"][0]["stdin"] = json!(false);
    pod["containers"][0]["workingDir"] = json!("");
    pod["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 0}]);
    let doc = doc(&create(&body).expect("a good Job"));
    assert_eq!(
        doc["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}])
    );
    for absent in ["hostNetwork", "volumes", "nodeSelector", "hostname", "initContainers"] {
        assert!(doc["spec"]["template"]["spec"].get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_label_may_be_called_like_a_field() {
    let mut body = good();
    body["metadata"]["labels"] = json!({"stdin": "", "suspend": "true", "nothing": null});
    assert_eq!(
        doc(&create(&body).expect("a good Job"))["metadata"]["labels"],
        json!({"stdin": "", "suspend": "true", "nothing": ""})
    );
}

#[test]
fn a_failure_policy_without_rules_is_kept() {
    let mut body = good();
    body["spec"]["podFailurePolicy"] = json!({});
    let admitted = create(&body).expect("a good Job");
    assert_eq!(doc(&admitted)["spec"]["podFailurePolicy"], json!({"rules": []}));
    assert!(admitted.spec.only_replace_failed);
}

#[test]
fn unknown_fields_warn_and_so_does_the_name() {
    let mut body = good();
    body["metadata"]["name"] = json!("a.b");
    body["spec"]["foo"] = json!(1);
    let text = body.to_string();
    let warn = Request { field_validation: FieldValidation::Warn, ..request(text.as_bytes(), "default") };
    let warnings = admitted(&warn, &identity()).expect("a good Job").warnings;
    assert_eq!(warnings[0], "unknown field \"spec.foo\"");
    assert!(warnings[1].starts_with("metadata.name: this is used in Pod names"), "{warnings:?}");
    assert_eq!(warnings.len(), 2);
}

#[test]
fn yaml_is_admitted_like_json() {
    let yaml = "metadata: {name: pi}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - {name: c, image: i}\n";
    let request = Request { content_type: Some("application/yaml"), ..request(yaml.as_bytes(), "default") };
    let admitted = admitted(&request, &identity()).expect("a good Job");
    assert_eq!(admitted.doc, create(&good()).expect("a good Job").doc);
}

/// The stored document after `change`, as a client would PUT it.
fn put(stored: &Admitted, change: impl FnOnce(&mut Value)) -> Result<AdmittedUpdate, Status> {
    let mut body = doc(stored);
    change(&mut body);
    let body = read_update(&request(body.to_string().as_bytes(), "default"), &stored.name)?;
    admit_update(&at(stored, 5..=7), body)
}

fn at(admitted: &Admitted, versions: RangeInclusive<u64>) -> Stored<'_> {
    Stored { doc: &admitted.doc, name: &admitted.name, versions, is_idle: false }
}

#[test]
fn a_put_of_the_same_job_changes_nothing() {
    let stored = create(&good()).expect("a good Job");
    let update = put(&stored, |body| {
        body["metadata"]["resourceVersion"] = json!("7");
        body["metadata"]["managedFields"] = json!([]);
        body["status"] = json!({"active": 3});
    })
    .expect("the same Job");
    assert!(!update.changed);
    assert_eq!(update.job.doc, stored.doc);
    assert!(update.names_version);
}

#[test]
fn a_change_holds_for_the_versions_that_have_its_document() {
    let stored = create(&good()).expect("a good Job");
    let from = |version: &str| put(&stored, |body| body["metadata"]["resourceVersion"] = json!(version));
    for (version, names_version) in [("5", true), ("7", true), ("", false), ("0", false)] {
        assert_eq!(from(version).expect(version).names_version, names_version, "{version}");
    }
    for (version, code) in [("4", 409), ("8", 409), ("x", 400), ("-1", 400)] {
        assert_eq!(from(version).expect_err(version).code(), code, "{version}");
    }
}

#[test]
fn a_changed_spec_is_a_new_generation_and_changed_labels_are_not() {
    let stored = create(&good()).expect("a good Job");
    let labelled = put(&stored, |body| body["metadata"]["labels"]["x"] = json!("y")).expect("a label");
    assert!(!labelled.changed);
    assert_ne!(labelled.job.doc, stored.doc);
    assert_eq!(doc(&labelled.job)["metadata"]["generation"], 1);
    assert!(!labelled.names_version);
    let scaled = put(&labelled.job, |body| body["spec"]["parallelism"] = json!(4)).expect("scaled");
    assert!(scaled.changed);
    assert_eq!(doc(&scaled.job)["metadata"]["generation"], 2);
    assert_eq!(scaled.job.spec.parallelism, 4);
}

#[test]
fn the_recorded_422_of_an_immutable_field_comes_out() {
    let mut body = good();
    body["metadata"]["name"] = json!("hello");
    body["spec"]["completions"] = json!(2);
    let stored = create(&body).expect("a good Job");
    let status = put(&stored, |body| body["spec"]["completions"] = json!(9)).expect_err("immutable");
    let wanted: Value = serde_json::from_slice(&golden("status-422-immutable.json")).expect("JSON");
    assert_eq!(serde_json::to_value(&status).expect("JSON"), wanted);
}

#[test]
fn a_put_that_is_about_another_object_is_refused() {
    let stored = create(&good()).expect("a good Job");
    let cases: [(&str, Value, u16, &str); 4] = [
        ("name", json!("x"), 400, "the name of the object (x) does not match the name on the URL (pi)"),
        ("name", json!(""), 400, "the name of the object (pi based on URL) was undeterminable: name must be provided"),
        (
            "namespace",
            json!("x"),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "uid",
            json!("x"),
            409,
            "Operation cannot be fulfilled on jobs.batch \"pi\": Precondition failed: UID in precondition: x, UID in object meta: 8a360e54-d949-48aa-b2f0-d33a2c91d94f",
        ),
    ];
    for (field, value, code, message) in cases {
        let status = put(&stored, |body| body["metadata"][field] = value).expect_err(field);
        assert_eq!((status.code(), status.message.as_str()), (code, message));
    }
}

#[test]
fn what_is_not_offered_cannot_be_put_either() {
    let stored = create(&good()).expect("a good Job");
    let change = |body: &mut Value| body["metadata"]["annotations"] = json!({"coracle.dev/x": "1"});
    let status = put(&stored, change).expect_err("not offered");
    assert_eq!(
        status.message,
        "Job.batch \"pi\" is invalid: metadata.annotations[coracle.dev/x]: Forbidden: not offered by this version of Coracle: an \
         annotation of this name"
    );
}

#[test]
fn a_patched_job_is_admitted_and_its_faults_are_422() {
    let stored = create(&good()).expect("a good Job");
    let patch = |change: fn(&mut Value), validation| {
        let mut value = doc(&stored);
        change(&mut value);
        let namespace = "default";
        let patched = Patched { value, repeated: &[], namespace, field_validation: validation };
        admit_patched(&at(&stored, 1..=1), patched)
    };
    let scaled = patch(|value| value["spec"]["parallelism"] = json!(4), FieldValidation::Strict).expect("scaled");
    assert!(scaled.changed);
    let unknown: fn(&mut Value) = |value| value["spec"]["foo"] = json!(1);
    assert_eq!(patch(unknown, FieldValidation::Warn).expect("warned").job.warnings, ["unknown field \"spec.foo\""]);
    let status = patch(unknown, FieldValidation::Strict).expect_err("strict");
    assert_eq!(status.code(), 422);
    // The leading space stands where the reference prints a kind that it does not know.
    assert!(status.message.starts_with(" \"\" is invalid: patch: Invalid value: \""), "{}", status.message);
    assert!(status.message.ends_with("\": strict decoding error: unknown field \"spec.foo\""), "{}", status.message);
    let status = patch(|value| value["spec"]["parallelism"] = json!("x"), FieldValidation::Warn).expect_err("a type");
    assert!(
        status.message.ends_with("spec.parallelism: invalid type: string \"x\", expected i32"),
        "{}",
        status.message
    );
    let uid = patch(|value| value["metadata"]["uid"] = json!("x"), FieldValidation::Warn).expect_err("a uid");
    assert!(uid.message.contains("metadata.uid: Invalid value: \"x\": field is immutable"), "{}", uid.message);
}

#[test]
fn a_stored_document_that_is_none_is_our_fault() {
    let text = good().to_string();
    let stored = Stored { doc: "{", name: "pi", versions: 1..=1, is_idle: false };
    let body = read_create(&request(text.as_bytes(), "default")).expect("a good body");
    let status = admit_update(&stored, body).expect_err("broken");
    assert_eq!(status.code(), 500);
}

/// Values that a client might write at a field, good and bad.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"memory": "1.5Gi"})),
        Just(json!({"memory": "99Ei", "cpu": 1})),
        Just(json!({"coracle.dev/fuel": "5"})),
        Just(json!({"coracle.dev/backoff-base": "5s", "coracle.dev/backoff-max": "1m"})),
        Just(json!({"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]})),
        Just(json!({"rules": [{"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget"}]}]})),
        Just(json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}])),
        Just(json!("OnFailure")),
        Just(json!("a.io/b")),
        Just(json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [3]}}]})),
        Just(json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}])),
        Just(json!([{"name": "A", "value": "x"}])),
        Just(json!("Indexed")),
        Just(json!("Failed")),
        "[a-z.]{0,8}".prop_map(Value::from),
    ]
}

const POINTERS: [&str; 28] = [
    "metadata/labels",
    "metadata/annotations",
    "metadata/generateName",
    "spec/completions",
    "spec/parallelism",
    "spec/completionMode",
    "spec/backoffLimit",
    "spec/activeDeadlineSeconds",
    "spec/podFailurePolicy",
    "spec/podReplacementPolicy",
    "spec/suspend",
    "spec/backoffLimitPerIndex",
    "spec/maxFailedIndexes",
    "spec/managedBy",
    "spec/successPolicy",
    "spec/ttlSecondsAfterFinished",
    "spec/template/spec/restartPolicy",
    "spec/template/spec/containers/0/restartPolicy",
    "spec/template/spec/containers/0/restartPolicyRules",
    "spec/template/metadata/labels",
    "spec/template/metadata/annotations",
    "spec/template/spec/terminationGracePeriodSeconds",
    "spec/template/spec/serviceAccountName",
    "spec/template/spec/containers/0/resources/limits",
    "spec/template/spec/containers/0/resources/requests",
    "spec/template/spec/containers/0/env",
    "spec/template/spec/containers/0/args",
    "spec/template/spec/containers/0/image",
];

fn set(target: &mut Value, pointer: &str, value: Value) {
    let place = pointer.split('/').fold(target, |place, part| match part.parse::<usize>() {
        Ok(index) => &mut place[index],
        Err(_) => &mut place[part],
    });
    *place = value;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn admission_answers_without_a_fault_of_ours_and_is_stable(
        changes in proptest::collection::vec((proptest::sample::select(&POINTERS[..]), anything()), 0..3),
    ) {
        let mut body = good();
        for (pointer, value) in changes {
            set(&mut body, pointer, value);
        }
        match create(&body) {
            // 500 would mean a document that the controller cannot read.
            Err(status) => prop_assert!(matches!(status.code(), 400 | 422), "{status:?}"),
            Ok(admitted) => {
                prop_assert_eq!(JobSpec::from_doc(&admitted.doc).ok(), Some(admitted.spec.clone()));
                let again = put(&admitted, |_| ());
                prop_assert!(again.is_ok_and(|again| !again.changed && again.job.doc == admitted.doc));
            }
        }
    }
}
