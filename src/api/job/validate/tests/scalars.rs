//! Rules of the numbers and words of a JobSpec.

use super::*;

#[test]
fn no_number_is_negative() {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        let mut patch = json!({"spec": {"completionMode": "Indexed", "completions": 1, "backoffLimitPerIndex": 0}});
        patch["spec"][field] = json!(-1);
        let errors = errors_of(&patch);
        assert_eq!(errors[0], format!("spec.{field}: Invalid value: -1: must be greater than or equal to 0"));
    }
}

#[test]
fn completion_modes() {
    check(vec![
        ("NonIndexed", json!({"spec": {"completionMode": "NonIndexed"}}), &[]),
        ("Indexed, both unset", json!({"spec": {"completionMode": "Indexed"}}), &[]),
        (
            "Indexed, completions unset",
            json!({"spec": {"completionMode": "Indexed", "parallelism": 2}}),
            &["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            "another word",
            json!({"spec": {"completionMode": "Ordered"}}),
            &["spec.completionMode: Unsupported value: \"Ordered\": supported values: \"NonIndexed\", \"Indexed\""],
        ),
        (
            "empty",
            json!({"spec": {"completionMode": ""}}),
            &["spec.completionMode: Unsupported value: \"\": supported values: \"NonIndexed\", \"Indexed\""],
        ),
        (
            "parallelism at the limit",
            json!({"spec": {"completionMode": "Indexed", "completions": 1, "parallelism": 100_000}}),
            &[],
        ),
        (
            "parallelism above the limit",
            json!({"spec": {"completionMode": "Indexed", "completions": 1, "parallelism": 100_001}}),
            &[
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
            ],
        ),
        ("parallelism without a limit", json!({"spec": {"parallelism": 200_000}}), &[]),
    ]);
}

#[test]
fn limits_of_failed_indexes() {
    let indexed = |completions: i64, failed: Option<i64>, parallelism: i64| {
        json!({"spec": {"completionMode": "Indexed", "completions": completions, "parallelism": parallelism,
            "backoffLimitPerIndex": 1, "maxFailedIndexes": failed}})
    };
    check(vec![
        (
            "without a limit for each index",
            json!({"spec": {"completionMode": "Indexed", "completions": 1, "maxFailedIndexes": 1}}),
            &["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"],
        ),
        ("as many as completions", indexed(5, Some(5), 1), &[]),
        (
            "more than completions",
            indexed(5, Some(6), 1),
            &["spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"],
        ),
        ("many completions at the limits", indexed(100_000, None, 100_000), &[]),
        ("more completions at the limits", indexed(100_001, Some(10_000), 10_000), &[]),
        (
            "more completions need a limit",
            indexed(100_001, None, 1),
            &["spec.maxFailedIndexes: Required value: must be specified when completions is above 100000"],
        ),
        (
            "more completions above the limits",
            indexed(100_001, Some(10_001), 10_001),
            &[
                "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
                "spec.maxFailedIndexes: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
            ],
        ),
        (
            "above every limit",
            indexed(200_000, Some(100_001), 1),
            &[
                "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000",
                "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
            ],
        ),
        (
            "NonIndexed",
            json!({"spec": {"backoffLimitPerIndex": 1, "maxFailedIndexes": 2}}),
            &[
                "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
                "spec.maxFailedIndexes: Invalid value: 2: requires indexed completion mode",
            ],
        ),
    ]);
}

#[test]
fn managed_by() {
    let managed_by = |name: &str| json!({"spec": {"managedBy": name}});
    let host = format!("spec.managedBy: Invalid value: \"A.io\": {SUBDOMAIN}");
    let path = r#"spec.managedBy: Invalid value: "a b": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#;
    let no_path = |name: &str| {
        format!("spec.managedBy: Invalid value: {name:?}: must be a domain-prefixed path (such as \"acme.io/foo\")")
    };
    check(vec![
        ("a path", managed_by("acme.io/foo"), &[]),
        ("ours", managed_by("kubernetes.io/job-controller"), &[]),
        ("empty", managed_by(""), &["spec.managedBy: Required value"]),
        ("no path", managed_by("acme"), &[&no_path("acme")]),
        ("an empty path", managed_by("acme.io/"), &[&no_path("acme.io/")]),
        ("an empty host", managed_by("/foo"), &[&no_path("/foo")]),
        ("a bad host", managed_by("A.io/b"), &[&host]),
        ("a bad path", managed_by("a.io/a b"), &[path]),
        ("63 bytes", managed_by(&format!("a.io/{}", "b".repeat(58))), &[]),
        (
            "64 bytes",
            managed_by(&format!("a.io/{}", "b".repeat(59))),
            &["spec.managedBy: Too long: may not be more than 63 bytes"],
        ),
    ]);
}

#[test]
fn pod_replacement_policies() {
    let failing = json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]});
    check(vec![
        ("Failed", json!({"spec": {"podReplacementPolicy": "Failed"}}), &[]),
        (
            "another word",
            json!({"spec": {"podReplacementPolicy": "Never"}}),
            &[
                "spec.podReplacementPolicy: Unsupported value: \"Never\": supported values: \"Failed\", \"TerminatingOrFailed\"",
            ],
        ),
        (
            "with a failure policy",
            json!({"spec": {"podReplacementPolicy": "TerminatingOrFailed", "podFailurePolicy": failing}}),
            &["spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\""],
        ),
    ]);
}

#[test]
fn restart_policies() {
    let policy = |policy: Value| json!({"spec": {"template": {"spec": {"restartPolicy": policy}}}});
    let mut failing = policy(json!("OnFailure"));
    failing["spec"]["podFailurePolicy"] =
        json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]});
    let required = "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"";
    check(vec![
        ("unset", policy(Value::Null), &[required]),
        ("empty", policy(json!("")), &[required]),
        ("Always", policy(json!("Always")), &[required]),
        ("OnFailure", policy(json!("OnFailure")), &[]),
        (
            "another word",
            policy(json!("Sometimes")),
            &[
                "spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
                "spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"OnFailure\", \"Never\"",
            ],
        ),
        (
            "OnFailure with a failure policy",
            failing,
            &[
                "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when podFailurePolicy is specified",
            ],
        ),
    ]);
}
