//! Rules of the pod template.

use super::*;

fn pod(fields: &Value) -> Value {
    json!({"spec": {"template": {"spec": fields}}})
}

#[test]
fn labels_and_annotations_have_the_reference_s_paths() {
    let value = format!("spec.template.labels: Invalid value: \"x y\": {LABEL_VALUE}");
    let key = format!("spec.template.annotations: Invalid value: \"a b\": {QUALIFIED}");
    check(vec![(
        "both",
        json!({"metadata": {"labels": {"own": "1"}}, "spec": {"template": {"metadata": {"labels": {"a": "x y"}, "annotations": {"a b": ""}}}}}),
        &[&value, &key],
    )]);
}

#[test]
fn labels_that_the_job_shares_are_checked_twice() {
    let of = |path: &str| format!("{path}: Invalid value: \"x y\": {LABEL_VALUE}");
    let patch = json!({"spec": {"template": {"metadata": {"labels": {"a": "x y"}}}}});
    assert_eq!(errors_of(&patch), [of("metadata.labels"), of("spec.template.labels")]);
}

#[test]
fn pods() {
    let of = |field: &str, value: &str, message: &str| {
        format!("spec.template.spec.{field}: Invalid value: {value:?}: {message}")
    };
    check(vec![
        (
            "a negative grace",
            pod(&json!({"terminationGracePeriodSeconds": -1})),
            &[
                "spec.template.spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            "another DNS policy",
            pod(&json!({"dnsPolicy": "Host"})),
            &[
                "spec.template.spec.dnsPolicy: Unsupported value: \"Host\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
            ],
        ),
        ("a node selector", pod(&json!({"nodeSelector": {"a": "x y"}})), &[&of("nodeSelector", "x y", LABEL_VALUE)]),
        ("a service account", pod(&json!({"serviceAccountName": "A"})), &[&of("serviceAccountName", "A", SUBDOMAIN)]),
        ("its old name", pod(&json!({"serviceAccount": "A"})), &[&of("serviceAccountName", "A", SUBDOMAIN)]),
        ("a node", pod(&json!({"nodeName": "A"})), &[&of("nodeName", "A", SUBDOMAIN)]),
        ("the longest deadline", pod(&json!({"activeDeadlineSeconds": 2_147_483_647})), &[]),
        (
            "no deadline",
            pod(&json!({"activeDeadlineSeconds": 0})),
            &[
                "spec.template.spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            ],
        ),
        ("a host name", pod(&json!({"hostname": "a.b"})), &[&of("hostname", "a.b", "must not contain dots")]),
        ("a subdomain", pod(&json!({"subdomain": "A"})), &[&of("subdomain", "A", LABEL)]),
        (
            "a preemption policy",
            pod(&json!({"preemptionPolicy": "X"})),
            &[
                "spec.template.spec.preemptionPolicy: Unsupported value: \"X\": supported values: \"Never\", \"PreemptLowerPriority\"",
            ],
        ),
        ("a priority class", pod(&json!({"priorityClassName": "A"})), &[&of("priorityClassName", "A", SUBDOMAIN)]),
        (
            "ephemeral containers",
            pod(&json!({"ephemeralContainers": [{"name": "e", "image": "i"}]})),
            &["spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"],
        ),
    ]);
}

#[test]
fn volumes() {
    let bad = format!("spec.template.spec.volumes[1].name: Invalid value: \"A\": {LABEL}");
    check(vec![(
        "all faults",
        pod(&json!({"volumes": [{"name": "v"}, {"name": "A"}, {"name": "v"}, {}]})),
        &[
            &bad,
            "spec.template.spec.volumes[2].name: Duplicate value: \"v\"",
            "spec.template.spec.volumes[3].name: Required value",
        ],
    )]);
}

#[test]
fn tolerations() {
    let path = "spec.template.spec.tolerations[0]";
    let of = |body: &str| format!("{path}.{body}");
    let one = |toleration: &Value| pod(&json!({"tolerations": [toleration]}));
    check(vec![
        ("everything", one(&json!({"operator": "Exists"})), &[]),
        ("for a while", one(&json!({"key": "a", "effect": "NoExecute", "tolerationSeconds": 5})), &[]),
        ("a bad key", one(&json!({"key": "a b"})), &[&of(&format!("key: Invalid value: \"a b\": {QUALIFIED}"))]),
        (
            "no key",
            one(&json!({})),
            &[&of(
                "operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            )],
        ),
        (
            "seconds without NoExecute",
            one(&json!({"key": "a", "tolerationSeconds": 5})),
            &[&of("effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set")],
        ),
        (
            "a bad value",
            one(&json!({"key": "a", "value": "x y"})),
            &[&of(&format!("operator: Invalid value: \"x y\": {LABEL_VALUE}"))],
        ),
        (
            "a value with Exists",
            one(&json!({"key": "a", "operator": "Exists", "value": "x"})),
            &[&of("operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'")],
        ),
        (
            "another operator and effect",
            one(&json!({"key": "a", "operator": "Near", "effect": "No"})),
            &[
                &of("operator: Unsupported value: \"Near\": supported values: \"Equal\", \"Exists\""),
                &of(
                    "effect: Unsupported value: \"No\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
                ),
            ],
        ),
    ]);
}
