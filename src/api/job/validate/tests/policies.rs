//! Rules of podFailurePolicy and successPolicy.

use super::*;

const RULE: &str = "spec.podFailurePolicy.rules[0]";

fn rule(rule: &Value) -> Value {
    json!({"spec": {"podFailurePolicy": {"rules": [rule]}}})
}

fn codes(codes: &Value) -> Value {
    rule(&json!({"action": "Ignore", "onExitCodes": codes}))
}

fn conditions(conditions: &Value) -> Value {
    rule(&json!({"action": "Ignore", "onPodConditions": conditions}))
}

/// One error of the only rule.
fn at(field: &str, body: &str) -> String {
    format!("{RULE}{field}: {body}")
}

#[test]
fn rules_of_a_failure_policy() {
    let good = json!({"action": "Count", "onExitCodes": {"operator": "In", "values": [1]}});
    check(vec![
        ("no rule", json!({"spec": {"podFailurePolicy": {}}}), &[]),
        ("20 rules", json!({"spec": {"podFailurePolicy": {"rules": vec![good.clone(); 20]}}}), &[]),
        (
            "21 rules",
            json!({"spec": {"podFailurePolicy": {"rules": vec![good; 21]}}}),
            &["spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"],
        ),
        (
            "neither kind of match",
            rule(&json!({"action": "Ignore"})),
            &[&at("", "Invalid value: specifying one of OnExitCodes and OnPodConditions is required")],
        ),
        (
            "both kinds of match",
            rule(
                &json!({"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}, "onPodConditions": [{"type": "a"}]}),
            ),
            &[&at("", "Invalid value: specifying both OnExitCodes and OnPodConditions is not supported")],
        ),
    ]);
}

#[test]
fn actions() {
    let action = |action: &str| rule(&json!({"action": action, "onExitCodes": {"operator": "In", "values": [1]}}));
    check(vec![
        ("FailJob", action("FailJob"), &[]),
        ("Count", action("Count"), &[]),
        (
            "none",
            action(""),
            &[&at(".action", "Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]")],
        ),
        (
            "FailIndex without a limit for each index",
            action("FailIndex"),
            &[&at(".action", "Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set")],
        ),
        (
            "another word",
            action("Retry"),
            &[&at(
                ".action",
                "Unsupported value: \"Retry\": supported values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"",
            )],
        ),
    ]);
    let mut indexed = action("FailIndex");
    merge(&mut indexed, &json!({"spec": {"completionMode": "Indexed", "backoffLimitPerIndex": 1}}));
    assert_eq!(errors_of(&indexed), [""; 0]);
}

#[test]
fn exit_codes() {
    let most: Vec<i32> = (1..=255).collect();
    let more: Vec<i32> = (1..=256).collect();
    check(vec![
        ("0 with NotIn, a negative one", codes(&json!({"operator": "NotIn", "values": [-1, 0]})), &[]),
        ("the container", codes(&json!({"operator": "In", "values": [1], "containerName": "c"})), &[]),
        (
            "no operator",
            codes(&json!({"values": [1]})),
            &[&at(".onExitCodes.operator", "Required value: valid values: [\"In\" \"NotIn\"]")],
        ),
        (
            "another operator",
            codes(&json!({"operator": "Near", "values": [1]})),
            &[&at(".onExitCodes.operator", "Unsupported value: \"Near\": supported values: \"In\", \"NotIn\"")],
        ),
        (
            "another container",
            codes(&json!({"operator": "In", "values": [1], "containerName": "d"})),
            &[&at(
                ".onExitCodes.containerName",
                "Invalid value: \"d\": must be one of the container or initContainer names in the pod template",
            )],
        ),
        (
            "no values",
            codes(&json!({"operator": "In"})),
            &[&at(".onExitCodes.values", "Invalid value: []: at least one value is required")],
        ),
        ("255 values", codes(&json!({"operator": "In", "values": most})), &[]),
        (
            "256 values",
            codes(&json!({"operator": "In", "values": more})),
            &[&at(".onExitCodes.values", "Too many: 256: must have at most 255 items")],
        ),
        (
            "0 with In",
            codes(&json!({"operator": "In", "values": [0, 1]})),
            &[&at(".onExitCodes.values[0]", "Invalid value: 0: must not be 0 for the In operator")],
        ),
        (
            "a value twice, out of order",
            codes(&json!({"operator": "In", "values": [2, 2, 1]})),
            &[
                &at(".onExitCodes.values[1]", "Duplicate value: 2"),
                &at(".onExitCodes.values", "Invalid value: [2,2,1]: must be ordered"),
            ],
        ),
    ]);
}

#[test]
fn pod_conditions() {
    let pattern = json!({"type": "DisruptionTarget"});
    let name = at(".onPodConditions[0].type", &format!("Invalid value: \"a b\": {QUALIFIED}"));
    check(vec![
        ("a default status", conditions(&json!([pattern])), &[]),
        ("20 patterns", conditions(&json!(vec![pattern.clone(); 20])), &[]),
        (
            "21 patterns",
            conditions(&json!(vec![pattern; 21])),
            &[&at(".onPodConditions", "Too many: 21: must have at most 20 items")],
        ),
        ("a bad type", conditions(&json!([{"type": "a b"}])), &[&name]),
        (
            "another status",
            conditions(&json!([{"type": "a", "status": "Maybe"}])),
            &[&at(
                ".onPodConditions[0].status",
                "Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"",
            )],
        ),
    ]);
}

#[test]
fn a_status_that_defaults_did_not_fill_is_required() {
    let mut job = prepared(changed(&conditions(&json!([{"type": "a"}]))));
    let policy = job.spec.as_mut().and_then(|spec| spec.pod_failure_policy.as_mut()).expect("a policy");
    policy.rules[0].on_pod_conditions.as_mut().expect("patterns")[0].status = None;
    let wanted = at(".onPodConditions[0].status", "Required value: valid values: [\"False\" \"True\" \"Unknown\"]");
    assert_eq!(texts(&validate_create(&job)), [wanted]);
}

fn success(rules: &Value) -> Value {
    json!({"spec": {"completionMode": "Indexed", "completions": 10, "successPolicy": {"rules": rules}}})
}

fn indexes_error(indexes: &str, why: &str) -> String {
    format!(
        "spec.successPolicy.rules[0].succeededIndexes: Invalid value: {indexes:?}: error parsing succeededIndexes: {why}"
    )
}

#[test]
fn rules_of_a_success_policy() {
    let good = json!({"succeededCount": 1});
    check(vec![
        (
            "NonIndexed",
            json!({"spec": {"successPolicy": {"rules": [good]}}}),
            &[
                "spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: requires indexed completion mode",
            ],
        ),
        (
            "no rule",
            success(&json!([])),
            &[
                "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified",
            ],
        ),
        ("20 rules", success(&json!(vec![good.clone(); 20])), &[]),
        (
            "21 rules",
            success(&json!(vec![good; 21])),
            &["spec.successPolicy.rules: Too many: 21: must have at most 20 items"],
        ),
        (
            "an empty rule",
            success(&json!([{}])),
            &[
                "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
            ],
        ),
    ]);
}

#[test]
fn succeeded_indexes() {
    let indexes = |text: &str| success(&json!([{"succeededIndexes": text}]));
    let long = "0,".repeat(32_769);
    let too_long = errors_of(&indexes(&long));
    assert_eq!(too_long[0], "spec.successPolicy.rules[0].succeededIndexes: Too long: may not be more than 65536 bytes");
    check(vec![
        ("a list", indexes("0-2,4,9"), &[]),
        ("none", indexes(""), &[]),
        ("no number", indexes("a"), &[&indexes_error("a", "cannot convert string to integer for index: \"a\"")]),
        ("too large", indexes("10"), &[&indexes_error("10", "too large index: \"10\"")]),
        ("out of order", indexes("3,1"), &[&indexes_error("3,1", "non-increasing order, previous: 3, current: 1")]),
        (
            "three parts",
            indexes("1-2-3"),
            &[&indexes_error(
                "1-2-3",
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            )],
        ),
    ]);
}

#[test]
fn succeeded_counts() {
    let count = "spec.successPolicy.rules[0].succeededCount";
    let negative = format!("{count}: Invalid value: -1: must be greater than or equal to 0");
    let above =
        format!("{count}: Invalid value: 11: must be less than or equal to 10 (the number of specified completions)");
    let listed = format!(
        "{count}: Invalid value: 4: must be less than or equal to 3 (the number of indexes in the specified succeededIndexes field)"
    );
    check(vec![
        ("all", success(&json!([{"succeededCount": 10}])), &[]),
        ("negative", success(&json!([{"succeededCount": -1}])), &[&negative]),
        ("more than completions", success(&json!([{"succeededCount": 11}])), &[&above]),
        ("as many as listed", success(&json!([{"succeededCount": 3, "succeededIndexes": "1-3"}])), &[]),
        ("more than listed", success(&json!([{"succeededCount": 4, "succeededIndexes": "1-3"}])), &[&listed]),
    ]);
}
