//! Rules of the selector and the generated labels.

use super::*;

const LABELS: &str = "spec.template.metadata.labels";

#[test]
fn generated_labels_are_the_servers() {
    let labels = |key: &str, value: &str| {
        let mut labels = serde_json::Map::new();
        labels.insert(key.to_owned(), value.into());
        json!({"spec": {"template": {"metadata": {"labels": labels}}}})
    };
    let uid = format!("{LABELS}[controller-uid]: Invalid value: \"x\": must be '{UID}'");
    let prefixed = format!("{LABELS}[batch.kubernetes.io/job-name]: Invalid value: \"x\": must be 'pi'");
    check(vec![
        ("the same name", labels("job-name", "pi"), &[]),
        (
            "another name",
            labels("job-name", "x"),
            &["spec.template.metadata.labels[job-name]: Invalid value: \"x\": must be 'pi'"],
        ),
        ("another name, prefixed", labels("batch.kubernetes.io/job-name", "x"), &[&prefixed]),
        ("another uid", labels("controller-uid", "x"), &[&uid]),
    ]);
}

#[test]
fn a_job_whose_labels_are_gone_is_refused() {
    let mut job = prepared(good());
    job.spec.as_mut().expect("spec").template.metadata = None;
    let wanted: Vec<String> = [
        ("controller-uid", UID),
        ("job-name", "pi"),
        ("batch.kubernetes.io/controller-uid", UID),
        ("batch.kubernetes.io/job-name", "pi"),
    ]
    .iter()
    .map(|(key, value)| format!("{LABELS}[{key}]: Required value: must be '{value}'"))
    .chain([format!("{LABELS}: Invalid value: {{}}: `selector` does not match template `labels`")])
    .collect();
    assert_eq!(texts(&validate_create(&job)), wanted);
}

#[test]
fn a_selector_of_ones_own_is_not_the_generated_one() {
    let errors = errors_of(&json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}));
    assert_eq!(
        errors,
        [
            format!(
                "spec.selector: Invalid value: {{\"matchLabels\":{{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"{UID}\"}}}}: `selector` not auto-generated"
            ),
            format!(
                "{LABELS}: Invalid value: {{\"batch.kubernetes.io/controller-uid\":\"{UID}\",\"batch.kubernetes.io/job-name\":\"pi\",\"controller-uid\":\"{UID}\",\"job-name\":\"pi\"}}: `selector` does not match template `labels`"
            ),
        ]
    );
}

#[test]
fn a_manual_selector_must_be_there_and_match() {
    check(vec![
        (
            "none",
            json!({"spec": {"manualSelector": true}}),
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`",
            ],
        ),
        (
            "one that matches",
            json!({"spec": {"manualSelector": true, "selector": {"matchExpressions": [
                {"key": "a", "operator": "In", "values": ["b", "c"]},
                {"key": "x", "operator": "DoesNotExist"},
                {"key": "a", "operator": "Exists"},
                {"key": "a", "operator": "NotIn", "values": ["d"]},
            ]}, "template": {"metadata": {"labels": {"a": "b"}}}}}),
            &[],
        ),
        (
            "one that does not",
            json!({"spec": {"manualSelector": true, "selector": {"matchLabels": {"a": "c"}},
                "template": {"metadata": {"labels": {"a": "b"}}}}}),
            &[
                "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            ],
        ),
    ]);
}

#[test]
fn the_syntax_of_expressions() {
    let key = format!("spec.selector.matchExpressions[2].key: Invalid value: \"a b\": {QUALIFIED}");
    let value = format!("spec.selector.matchExpressions[3].values[0]: Invalid value: \"x y\": {LABEL_VALUE}");
    check(vec![(
        "all faults",
        json!({"spec": {"manualSelector": true, "selector": {"matchExpressions": [
            {"key": "a", "operator": "In"},
            {"key": "a", "operator": "Exists", "values": ["b"]},
            {"key": "a b", "operator": "Near"},
            {"key": "a", "operator": "NotIn", "values": ["x y"]},
        ]}}}),
        &[
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "spec.selector.matchExpressions[2].operator: Invalid value: \"Near\": not a valid selector operator",
            &key,
            &value,
        ],
    )]);
}
