//! Rules of containers.

use super::*;

/// The only container, with these fields.
fn container(fields: &Value) -> Value {
    let mut container = json!({"name": "c", "image": "i"});
    merge(&mut container, fields);
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

fn at(field: &str, body: &str) -> String {
    format!("spec.template.spec.containers[0].{field}: {body}")
}

#[test]
fn names_and_images() {
    let list = |containers: &Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    check(vec![
        ("no container", list(&json!([])), &["spec.template.spec.containers: Required value"]),
        ("no name", container(&json!({"name": ""})), &[&at("name", "Required value")]),
        ("a bad name", container(&json!({"name": "A b"})), &[&at("name", &format!("Invalid value: \"A b\": {LABEL}"))]),
        ("no image", container(&json!({"image": null})), &[&at("image", "Required value")]),
        (
            "a name twice",
            list(&json!([{"name": "c", "image": "i"}, {"name": "c", "image": "i"}])),
            &["spec.template.spec.containers[1].name: Duplicate value: \"c\""],
        ),
        (
            "a name again in an init container",
            json!({"spec": {"template": {"spec": {"initContainers": [{"name": "c", "image": "i"}, {"name": "d"}]}}}}),
            &[
                "spec.template.spec.initContainers[0].name: Duplicate value: \"c\"",
                "spec.template.spec.initContainers[1].image: Required value",
            ],
        ),
        (
            "other policies",
            container(&json!({"imagePullPolicy": "Often", "terminationMessagePolicy": "None"})),
            &[
                &at(
                    "terminationMessagePolicy",
                    "Unsupported value: \"None\": supported values: \"File\", \"FallbackToLogsOnError\"",
                ),
                &at(
                    "imagePullPolicy",
                    "Unsupported value: \"Often\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
                ),
            ],
        ),
    ]);
}

#[test]
fn restart_policies_and_their_rules() {
    let rule = |action: &str, codes: &Value| json!([{"action": action, "exitCodes": codes}]);
    let with = |rules: &Value| container(&json!({"restartPolicy": "Never", "restartPolicyRules": rules}));
    let codes = |count: i32| json!({"operator": "In", "values": (0..count).collect::<Vec<i32>>()});
    let many: Vec<Value> = std::iter::repeat_n(rule("Restart", &codes(1))[0].clone(), 21).collect();
    let in_rule = |field: &str, body: &str| at(&format!("restartPolicyRules[0].{field}"), body);
    check(vec![
        ("a policy", container(&json!({"restartPolicy": "Always"})), &[]),
        (
            "an unknown policy",
            container(&json!({"restartPolicy": "Sometimes"})),
            &[&at(
                "restartPolicy",
                "Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            )],
        ),
        (
            "rules without a policy",
            container(&json!({"restartPolicyRules": rule("Restart", &codes(1))})),
            &[&at("restartPolicy", "Required value: must specify restartPolicy when restart rules are used")],
        ),
        ("as many as there may be", with(&json!(many[1..])), &[]),
        (
            "too many rules",
            with(&json!(many)),
            &[&at("restartPolicyRules", "Too many: 21: must have at most 20 items")],
        ),
        (
            "an unknown action",
            with(&rule("Stop", &codes(1))),
            &[&in_rule(
                "action",
                "Unsupported value: \"Stop\": supported values: \"Restart\", \"RestartAllContainers\"",
            )],
        ),
        (
            "no exit codes",
            with(&json!([{"action": "Restart"}])),
            &[&in_rule("exitCodes", "Required value: must be specified")],
        ),
        (
            "an unknown operator",
            with(&rule("Restart", &json!({"operator": "", "values": [1]}))),
            &[&in_rule("exitCodes.operator", "Unsupported value: \"\": supported values: \"In\", \"NotIn\"")],
        ),
        ("as many exit codes as there may be", with(&rule("Restart", &codes(255))), &[]),
        (
            "too many exit codes",
            with(&rule("Restart", &codes(256))),
            &[&in_rule("exitCodes.values", "Too many: 256: must have at most 255 items")],
        ),
    ]);
}

#[test]
fn the_recorded_422_comes_out_field_by_field() {
    let path = format!("{}/tests/goldens/status-422-invalid.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a golden")).expect("JSON");
    let job = prepared(json!({
        "metadata": {"name": "inv"},
        "spec": {"parallelism": -1, "template": {"spec": {"containers": [{"name": "A b"}]}}},
    }));
    let status = crate::api::Status::invalid("batch", "Job", "inv", &validate_create(&job));
    assert_eq!(serde_json::to_value(&status).expect("JSON"), golden);
}

#[test]
fn ports() {
    check(vec![
        (
            "good ones",
            container(&json!({"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 65_535}]})),
            &[],
        ),
        (
            "faults",
            container(&json!({"ports": [
                {},
                {"containerPort": 65_536, "hostPort": -1, "protocol": "HTTP"},
                {"containerPort": 1, "name": "a"},
                {"containerPort": 2, "name": "a"},
                {"containerPort": 3, "name": "7"},
            ]})),
            &[
                &at("ports[0].containerPort", "Required value"),
                &at("ports[1].containerPort", "Invalid value: 65536: must be between 1 and 65535, inclusive"),
                &at("ports[1].hostPort", "Invalid value: -1: must be between 1 and 65535, inclusive"),
                &at("ports[1].protocol", "Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\""),
                &at("ports[3].name", "Duplicate value: \"a\""),
                &at("ports[4].name", "Invalid value: \"7\": must contain at least one letter (a-z)"),
            ],
        ),
    ]);
}

#[test]
fn variables() {
    let env = |env: &Value| container(&json!({"env": [env]}));
    let source = |source: &Value| env(&json!({"name": "A", "valueFrom": source}));
    let field = |path: &str| source(&json!({"fieldRef": {"fieldPath": path}}));
    let name = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    let paths = "supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
                 \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"";
    check(vec![
        ("no name", env(&json!({"value": "x"})), &[&at("env[0].name", "Required value")]),
        ("a name with a space", env(&json!({"name": "a b"})), &[]),
        (
            "a name with =",
            env(&json!({"name": "a=b"})),
            &[&at("env[0].name", &format!("Invalid value: \"a=b\": {name}"))],
        ),
        (
            "no source",
            source(&json!({})),
            &[&at(
                "env[0].valueFrom",
                "Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            )],
        ),
        (
            "a value and a source",
            env(&json!({"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
            &[&at("env[0].valueFrom", "Invalid value: \"\": may not be specified when `value` is not empty")],
        ),
        (
            "two sources",
            source(&json!({"fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": {"name": "s", "key": "k"}})),
            &[&at("env[0].valueFrom", "Invalid value: \"\": may not have more than one field specified at a time")],
        ),
        ("a label", field("metadata.labels['a.io/b']"), &[]),
        ("an annotation in upper case", field("metadata.annotations['A.io/B']"), &[]),
        ("the node", field("spec.nodeName"), &[]),
        ("no path", field(""), &[&at("env[0].valueFrom.fieldRef.fieldPath", "Required value")]),
        (
            "a bad label",
            field("metadata.labels['a b']"),
            &[&at("env[0].valueFrom.fieldRef", &format!("Invalid value: \"a b\": {QUALIFIED}"))],
        ),
        (
            "a path of no pod",
            field("spec.foo"),
            &[&at(
                "env[0].valueFrom.fieldRef.fieldPath",
                "Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo",
            )],
        ),
        (
            "a subscript where there is none",
            field("metadata.name['a']"),
            &[&at(
                "env[0].valueFrom.fieldRef.fieldPath",
                "Invalid value: \"metadata.name['a']\": error converting fieldPath: field label does not support subscript: metadata.name['a']",
            )],
        ),
        (
            "a path of files only",
            field("metadata.labels"),
            &[&at("env[0].valueFrom.fieldRef.fieldPath", &format!("Unsupported value: \"metadata.labels\": {paths}"))],
        ),
        (
            "another version",
            source(&json!({"fieldRef": {"apiVersion": "v2", "fieldPath": "metadata.name"}})),
            &[&at(
                "env[0].valueFrom.fieldRef.fieldPath",
                "Invalid value: \"metadata.name\": error converting fieldPath: unsupported pod version: v2",
            )],
        ),
    ]);
}

#[test]
fn volume_mounts() {
    check(vec![(
        "faults",
        container(&json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"mountPath": "/a"}, {"name": "v"}]})),
        &[
            &at("volumeMounts[0].name", "Not found: \"v\""),
            &at("volumeMounts[1].name", "Required value"),
            &at("volumeMounts[1].name", "Not found: \"\""),
            &at("volumeMounts[1].mountPath", "Invalid value: \"/a\": must be unique"),
            &at("volumeMounts[2].name", "Not found: \"v\""),
            &at("volumeMounts[2].mountPath", "Required value"),
        ],
    )]);
}

#[test]
fn resources() {
    let resources =
        |limits: &Value, requests: &Value| container(&json!({"resources": {"limits": limits, "requests": requests}}));
    let standard = "must be a standard resource for containers";
    check(vec![
        (
            "requests below limits",
            resources(&json!({"memory": "1Gi", "cpu": 1}), &json!({"memory": "512Mi", "cpu": "0.5"})),
            &[],
        ),
        (
            "a request above its limit",
            resources(&json!({"memory": "64Mi"}), &json!({"memory": "0.5Gi"})),
            &[&at(
                "resources.requests",
                "Invalid value: \"512Mi\": must be less than or equal to memory limit of 64Mi",
            )],
        ),
        (
            "negative ones",
            resources(&json!({"memory": "-1Mi"}), &json!({"cpu": -1})),
            &[
                &at("resources.limits[memory]", "Invalid value: \"-1Mi\": must be greater than or equal to 0"),
                &at("resources.requests[cpu]", "Invalid value: \"-1\": must be greater than or equal to 0"),
            ],
        ),
        (
            "other names",
            resources(&json!({"memroy": "1", "pods": "1"}), &json!({})),
            &[
                &at(
                    "resources.limits[memroy]",
                    "Invalid value: \"memroy\": must be a standard resource type or fully qualified",
                ),
                &at("resources.limits[memroy]", &format!("Invalid value: \"memroy\": {standard}")),
                &at("resources.limits[pods]", &format!("Invalid value: \"pods\": {standard}")),
            ],
        ),
        ("an extended resource", resources(&json!({"a.io/gpu": 1}), &json!({"a.io/gpu": 1})), &[]),
        (
            "half an extended resource, its limit missing",
            resources(&json!({}), &json!({"a.io/gpu": "0.5"})),
            &[
                &at("resources.requests[a.io/gpu]", "Invalid value: 500m: must be an integer"),
                &at("resources.limits", "Required value: Limit must be set for non overcommitable resources"),
            ],
        ),
        (
            "an extended resource that differs",
            resources(&json!({"a.io/gpu": 2}), &json!({"a.io/gpu": 1})),
            &[&at("resources.requests", "Invalid value: \"1\": must be equal to a.io/gpu limit of 2")],
        ),
    ]);
}
