//! Rules of an update.

use super::*;
use crate::api::job::defaults::{prepare_update, share_labels};

/// The errors of a PUT of the stored Job (`stored`: a patch of the good one) after `change`.
fn errors_after(stored: &Value, change: &Value) -> Vec<String> {
    errors_while(false, stored, change)
}

/// The same, where nothing of the Job runs.
fn errors_while(is_idle: bool, stored: &Value, change: &Value) -> Vec<String> {
    let mut old = prepared(changed(stored));
    share_labels(&mut old);
    let mut value = serde_json::to_value(&old).expect("JSON");
    merge(&mut value, change);
    let mut new: Job = serde_json::from_value(value).expect("a typed Job");
    set_defaults(&mut new);
    prepare_update(&mut new, &old);
    texts(&validate_update(&new, &old, is_idle))
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
fn v082_completions_change_with_parallelism_only() {
    assert_eq!(
        errors_after(&indexed(), &json!({"spec": {"completions": 5}})),
        ["spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"]
    );
}

fn suspended() -> Value {
    json!({"spec": {"suspend": true}})
}

fn in_template(spec: &Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

#[test]
fn the_template_of_a_suspended_job_may_change_in_parts() {
    let container =
        |resources: &str| json!([{"name": "c", "image": "i", "resources": {"limits": {"memory": resources}}}]);
    let terms = json!([{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]);
    let node_affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    for change in [
        json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}}}),
        in_template(&json!({"nodeSelector": {"disk": "ssd"}})),
        in_template(&json!({"tolerations": [{"operator": "Exists"}]})),
        in_template(&json!({"schedulingGates": [{"name": "a.io/b"}]})),
        in_template(&json!({"containers": container("1Gi")})),
        json!({"spec": {"suspend": false, "template": {"metadata": {"labels": {"a": "b"}}}}}),
    ] {
        assert_eq!(errors_while(true, &suspended(), &change), [""; 0], "{change}");
        let refused = errors_while(false, &suspended(), &change);
        assert!(refused.len() == 1 && refused[0].starts_with("spec.template: Invalid value: {"), "{refused:?}");
        assert_eq!(errors_while(true, &json!({}), &change).len(), 1, "only while it is suspended");
    }
    let with_affinity = json!({"spec": {"suspend": true, "template": {"spec": {"affinity": node_affinity}}}});
    assert_eq!(errors_while(true, &suspended(), &in_template(&json!({"affinity": node_affinity}))), [""; 0]);
    assert_eq!(errors_while(true, &with_affinity, &in_template(&json!({"affinity": null}))), [""; 0]);
}

#[test]
fn the_rest_of_a_suspended_jobs_template_may_not() {
    let preferred = json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": {"topologyKey": "a"}}]}});
    for change in [
        in_template(&json!({"containers": [{"name": "c", "image": "other"}]})),
        in_template(&json!({"containers": [{"name": "d", "image": "i"}]})),
        in_template(&json!({"terminationGracePeriodSeconds": 5})),
        in_template(&json!({"affinity": preferred})),
    ] {
        let errors = errors_while(true, &suspended(), &change);
        let is_it = |text: &&String| text.starts_with("spec.template.spec: Invalid value: {");
        assert_eq!(errors.iter().filter(is_it).count(), 1, "{change}: {errors:?}");
    }
    let with_pods = json!({"spec": {"suspend": true, "template": {"spec": {"affinity": preferred}}}});
    let errors = errors_while(true, &with_pods, &in_template(&json!({"affinity": null})));
    assert_eq!(errors.len(), 1, "{errors:?}");
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
        texts(&validate_update(&new, &old, false)),
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \
          []string{\"a.io/y\", \"a.io/z\"}"
        ]
    );
    new.metadata.finalizers = None;
    assert_eq!(texts(&validate_update(&new, &old, false)), [""; 0]);
}
