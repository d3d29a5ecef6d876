//! Rules of an update.

use super::*;
use crate::api::job::defaults::{prepare_update, share_labels};

/// The errors of a PUT of the stored Job (`stored`: a patch of the good one) after `change`.
fn errors_after(stored: &Value, change: &Value) -> Vec<String> {
    let mut old = prepared(changed(stored));
    share_labels(&mut old);
    let mut value = serde_json::to_value(&old).expect("JSON");
    merge(&mut value, change);
    let mut new: Job = serde_json::from_value(value).expect("a typed Job");
    set_defaults(&mut new);
    prepare_update(&mut new, &old);
    texts(&validate_update(&new, &old))
}

fn indexed() -> Value {
    json!({"spec": {"completionMode": "Indexed", "completions": 3, "parallelism": 3}})
}

#[test]
fn what_may_change_does() {
    for change in [
        json!({}),
        json!({"metadata": {"labels": {"x": "y"}, "annotations": {"a": "b"}}}),
        json!({"spec": {"parallelism": 7}}),
        json!({"spec": {"backoffLimit": 0, "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 5}}),
        json!({"spec": {"suspend": true, "podReplacementPolicy": "Failed"}}),
        json!({"spec": {"template": {"spec": {"volumes": [], "nodeSelector": {}}}}}),
        json!({"metadata": {"generation": 9, "creationTimestamp": "2001-01-01T00:00:00Z", "uid": ""}}),
    ] {
        assert_eq!(errors_after(&json!({}), &change), [""; 0], "{change}");
    }
    assert_eq!(errors_after(&indexed(), &json!({"spec": {"completions": 5, "parallelism": 5}})), [""; 0]);
}

#[test]
fn what_may_not_change_is_refused() {
    let cases = [
        (json!({}), json!({"spec": {"completions": 9}}), "spec.completions: Invalid value: 9: field is immutable"),
        (
            json!({}),
            json!({"spec": {"completions": null}}),
            "spec.completions: Invalid value: null: field is immutable",
        ),
        (
            indexed(),
            json!({"spec": {"completions": 5}}),
            "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism",
        ),
        (
            json!({}),
            json!({"spec": {"completionMode": "Indexed"}}),
            "spec.completionMode: Invalid value: \"Indexed\": field is immutable",
        ),
        (
            json!({}),
            json!({"spec": {"managedBy": "a.io/b"}}),
            "spec.managedBy: Invalid value: \"a.io/b\": field is immutable",
        ),
        (
            indexed(),
            json!({"spec": {"backoffLimitPerIndex": 1}}),
            "spec.backoffLimitPerIndex: Invalid value: 1: field is immutable",
        ),
        (
            indexed(),
            json!({"spec": {"successPolicy": {"rules": [{"succeededCount": 1}]}}}),
            "spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: field is immutable",
        ),
        (
            json!({"spec": {"podReplacementPolicy": "Failed"}}),
            json!({"spec": {"podFailurePolicy": {"rules": []}}}),
            "spec.podFailurePolicy: Invalid value: {\"rules\":[]}: field is immutable",
        ),
        (json!({}), json!({"metadata": {"uid": "x"}}), "metadata.uid: Invalid value: \"x\": field is immutable"),
        (
            json!({}),
            json!({"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}}),
            "metadata.deletionTimestamp: Invalid value: \"2001-01-01T00:00:00Z\": field is immutable",
        ),
    ];
    for (stored, change, error) in cases {
        let errors: Vec<String> =
            errors_after(&stored, &change).into_iter().filter(|text| !text.contains("not auto-generated")).collect();
        assert!(errors.iter().any(|text| text == error), "{change}: {errors:?}");
    }
}

#[test]
fn the_template_is_immutable() {
    for change in [
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}}),
        json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
        json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}),
    ] {
        let errors = errors_after(&json!({}), &change);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("spec.template: Invalid value: {"), "{errors:?}");
        assert!(errors[0].ends_with(": field is immutable"), "{errors:?}");
    }
}

#[test]
fn a_quantity_written_differently_is_no_change() {
    let with = |memory: &str| {
        json!({"spec": {"template": {"spec": {"containers": [
            {"name": "c", "image": "i", "resources": {"limits": {"memory": memory}}}]}}}})
    };
    assert_eq!(errors_after(&with("1Gi"), &with("1073741824")), [""; 0]);
    assert_eq!(errors_after(&with("1Gi"), &with("2Gi")).len(), 1);
}

#[test]
fn a_selector_that_the_client_left_out_is_missed_everywhere() {
    let errors = errors_after(&json!({}), &json!({"spec": {"selector": null}}));
    let unmatched = errors.iter().filter(|text| text.contains("does not match template")).count();
    let required = errors.iter().filter(|text| *text == "spec.selector: Required value").count();
    assert_eq!((unmatched, required), (2, 2));
    assert_eq!(errors.last().map(String::as_str), Some("spec.selector: Invalid value: null: field is immutable"));
}

#[test]
fn errors_of_creation_appear_twice_and_immutability_once() {
    let change = json!({"spec": {"parallelism": -1, "completions": 2}});
    let negative = "spec.parallelism: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!(
        errors_after(&json!({}), &change),
        [negative, negative, "spec.completions: Invalid value: 2: field is immutable"]
    );
}

#[test]
fn a_job_that_is_being_deleted_takes_no_new_finalizers() {
    let mut old = prepared(changed(&json!({"metadata": {"finalizers": ["a.io/x"]}})));
    old.metadata.deletion_timestamp.clone_from(&old.metadata.creation_timestamp);
    let mut new = old.clone();
    new.metadata.finalizers = Some(vec!["a.io/z".to_owned(), "a.io/x".to_owned(), "a.io/y".to_owned()]);
    assert_eq!(
        texts(&validate_update(&new, &old)),
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \
          []string{\"a.io/y\", \"a.io/z\"}"
        ]
    );
    new.metadata.finalizers = None;
    assert_eq!(texts(&validate_update(&new, &old)), [""; 0]);
}
