//! Rules of metadata.

use super::*;

#[test]
fn names() {
    let long = "a".repeat(64);
    let label = format!("\"{long}\": must be no more than 63 bytes");
    let of_template = format!("spec.template.labels: Invalid value: {label}");
    let upper = format!("metadata.name: Invalid value: \"A\": {SUBDOMAIN}");
    check(vec![
        ("a subdomain", json!({"metadata": {"name": "a.b"}}), &[]),
        (
            "neither name nor prefix",
            json!({"metadata": {"name": null}}),
            &["metadata.name: Required value: name or generateName is required"],
        ),
        ("upper case", json!({"metadata": {"name": "A"}}), &[&upper]),
        // The two generated labels of the name are too long, in the order of the keys.
        ("64 bytes", json!({"metadata": {"name": long}}), &[&of_template, &of_template]),
        ("a prefix with a dash", json!({"metadata": {"name": null, "generateName": "a-"}}), &[]),
    ]);
}

#[test]
fn a_bad_prefix_is_refused_with_the_name_made_from_it() {
    let errors = errors_of(&json!({"metadata": {"name": null, "generateName": "Pi-"}}));
    assert_eq!(errors[0], format!("metadata.generateName: Invalid value: \"Pi-\": {SUBDOMAIN}"));
    assert!(errors[1].starts_with("metadata.name: Invalid value: \"Pi-"), "{}", errors[1]);
}

#[test]
fn the_namespace_is_a_label() {
    let mut job = prepared(good());
    job.metadata.namespace = Some("a.b".to_owned());
    assert_eq!(texts(&validate_create(&job)), ["metadata.namespace: Invalid value: \"a.b\": must not contain dots"]);
}

#[test]
fn labels_and_annotations() {
    let key = format!("metadata.labels: Invalid value: \"a b\": {QUALIFIED}");
    let value = format!("metadata.labels: Invalid value: \"x y\": {LABEL_VALUE}");
    let annotation = format!("metadata.annotations: Invalid value: \"a b\": {QUALIFIED}");
    check(vec![
        ("a key", json!({"metadata": {"labels": {"a b": "x"}}}), &[&key]),
        ("a value", json!({"metadata": {"labels": {"a": "x y"}}}), &[&value]),
        ("an annotation", json!({"metadata": {"annotations": {"a b": "x y"}}}), &[&annotation]),
        ("upper case in an annotation's prefix", json!({"metadata": {"annotations": {"Example.COM/a": "x"}}}), &[]),
        ("annotations at the limit", json!({"metadata": {"annotations": {"a": "x".repeat(262_143)}}}), &[]),
        (
            "annotations above the limit",
            json!({"metadata": {"annotations": {"a": "x".repeat(262_144)}}}),
            &["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
    ]);
}

#[test]
fn owners() {
    let owner =
        |name: &str| json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": "u", "controller": true});
    let both = r#"[{"apiVersion":"batch/v1","controller":true,"kind":"CronJob","name":"a","uid":"u"},{"apiVersion":"batch/v1","controller":true,"kind":"CronJob","name":"b","uid":"u"}]"#;
    let controllers = format!(
        "metadata.ownerReferences: Invalid value: {both}: Only one reference can have Controller set to true. Found \"true\" in \
         references for CronJob/a and CronJob/b"
    );
    let event = r#"metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}: /v1, Kind=Event is disallowed from being an owner"#;
    check(vec![
        ("one controller", json!({"metadata": {"ownerReferences": [owner("a")]}}), &[]),
        ("two controllers", json!({"metadata": {"ownerReferences": [owner("a"), owner("b")]}}), &[&controllers]),
        (
            "an empty reference",
            json!({"metadata": {"ownerReferences": [{}]}}),
            &[
                "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
                "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
            ],
        ),
        (
            "an event",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"}]}}),
            &[event],
        ),
    ]);
}

#[test]
fn finalizers() {
    let bad = format!("metadata.finalizers: Invalid value: \"a b\": {QUALIFIED}");
    check(vec![
        ("a good one", json!({"metadata": {"finalizers": ["a.io/b"]}}), &[]),
        ("a bad one", json!({"metadata": {"finalizers": ["a b"]}}), &[&bad]),
        (
            "both of the collector's",
            json!({"metadata": {"finalizers": ["orphan", "foregroundDeletion"]}}),
            &[
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
            ],
        ),
    ]);
}

#[test]
fn the_last_pods_host_name_is_a_label() {
    let indexed = |name: &str, completions: i32| json!({"metadata": {"name": name}, "spec": {"completionMode": "Indexed", "completions": completions}});
    let name = "a".repeat(61);
    let dotted = "metadata.name: Invalid value: \"a.b\": will not able to create pod with invalid DNS label: a.b-1";
    let long = format!(
        "metadata.name: Invalid value: \"{name}\": will not able to create pod with invalid DNS label: {name}-10"
    );
    check(vec![
        ("63 bytes with the index", indexed(&name, 10), &[]),
        ("64 bytes with the index", indexed(&name, 11), &[&long]),
        ("a dot", indexed("a.b", 2), &[dotted]),
        ("no completions", indexed("a.b", 0), &[]),
    ]);
}
