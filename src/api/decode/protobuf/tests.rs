//! The tables against the messages of an independent library, and bodies that are broken.

use super::*;
use k8s_pb::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};
use k8s_pb::api::core::v1::{
    Container, ContainerPort, ContainerRestartRule, ContainerRestartRuleOnExitCodes, EnvVar, EnvVarSource, Namespace,
    NamespaceSpec, ObjectFieldSelector, PodSpec, PodTemplateSpec, ResourceRequirements, Toleration,
};
use k8s_pb::apimachinery::pkg::api::resource::Quantity;
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta;
use proptest::prelude::*;
use prost::Message;
use serde_json::json;
use std::collections::BTreeMap;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn quantities(key: &str, amount: &str) -> BTreeMap<String, Quantity> {
    BTreeMap::from([(key.to_owned(), Quantity { string: text(amount) })])
}

/// A message with every field that is read; each struct is written out, so that a field that the library has and this test
/// does not know is an error of the compiler.
fn job() -> Job {
    Job {
        metadata: Some(metadata()),
        spec: Some(JobSpec {
            parallelism: Some(-1),
            completions: Some(2),
            active_deadline_seconds: Some(1 << 40),
            pod_failure_policy: Some(PodFailurePolicy {
                rules: vec![PodFailurePolicyRule {
                    action: text("FailJob"),
                    on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                        container_name: text(""),
                        operator: text("In"),
                        values: vec![1, -2, 300],
                    }),
                    on_pod_conditions: vec![PodFailurePolicyOnPodConditionsPattern {
                        r#type: text("DisruptionTarget"),
                        status: text("True"),
                    }],
                }],
            }),
            success_policy: Some(SuccessPolicy {
                rules: vec![SuccessPolicyRule { succeeded_indexes: text("0-3"), succeeded_count: Some(4) }],
            }),
            backoff_limit: Some(7),
            backoff_limit_per_index: Some(12),
            max_failed_indexes: Some(13),
            selector: Some(meta::LabelSelector {
                match_labels: texts(&[("a", "b")]),
                match_expressions: vec![meta::LabelSelectorRequirement {
                    key: text("k"),
                    operator: text("In"),
                    values: vec!["v".to_owned()],
                }],
            }),
            manual_selector: Some(true),
            template: Some(PodTemplateSpec { metadata: Some(metadata()), spec: Some(pod()) }),
            ttl_seconds_after_finished: Some(8),
            completion_mode: text("Indexed"),
            suspend: Some(false),
            pod_replacement_policy: text("Failed"),
            managed_by: text("x/y"),
        }),
        status: Some(k8s_pb::api::batch::v1::JobStatus { active: Some(3), ..Default::default() }),
    }
}

fn metadata() -> meta::ObjectMeta {
    meta::ObjectMeta {
        name: text("n"),
        generate_name: text("g-"),
        namespace: text("ns"),
        self_link: text("/x"),
        uid: text("u"),
        resource_version: text("6"),
        generation: Some(7),
        creation_timestamp: Some(meta::Time { seconds: Some(1_795_409_347), nanos: Some(5) }),
        deletion_timestamp: Some(meta::Time { seconds: None, nanos: None }),
        deletion_grace_period_seconds: Some(10),
        labels: texts(&[("a", "b"), ("c", "")]),
        annotations: texts(&[("d", "é")]),
        owner_references: vec![meta::OwnerReference {
            api_version: text("batch/v1"),
            kind: text("CronJob"),
            name: text("c"),
            uid: text("o"),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }],
        finalizers: vec!["f/1".to_owned(), "f/2".to_owned()],
        managed_fields: vec![meta::ManagedFieldsEntry { manager: text("kubectl"), ..Default::default() }],
    }
}

fn metadata_json() -> Value {
    json!({
        "name": "n", "generateName": "g-", "namespace": "ns", "selfLink": "/x", "uid": "u", "resourceVersion": "6",
        "generation": 7, "creationTimestamp": "2026-11-23T04:49:07Z", "deletionTimestamp": null,
        "deletionGracePeriodSeconds": 10, "labels": {"a": "b", "c": ""}, "annotations": {"d": "é"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": "o", "controller": true,
            "blockOwnerDeletion": false}],
        "finalizers": ["f/1", "f/2"],
    })
}

fn pod() -> PodSpec {
    PodSpec {
        volumes: Vec::new(),
        init_containers: vec![Container { name: text("init"), ..Default::default() }],
        containers: vec![container(), Container::default()],
        ephemeral_containers: Vec::new(),
        restart_policy: text("Never"),
        termination_grace_period_seconds: Some(30),
        active_deadline_seconds: Some(5),
        dns_policy: text("ClusterFirst"),
        node_selector: texts(&[("os", "x")]),
        service_account_name: text("sa"),
        service_account: text("old"),
        automount_service_account_token: Some(false),
        node_name: text("node"),
        host_network: Some(true),
        host_pid: Some(false),
        host_ipc: Some(true),
        share_process_namespace: Some(true),
        security_context: Some(Default::default()),
        image_pull_secrets: Vec::new(),
        hostname: text("h"),
        subdomain: text("s"),
        affinity: None,
        scheduler_name: text("default-scheduler"),
        tolerations: vec![Toleration {
            key: text("k"),
            operator: text("Exists"),
            value: text("v"),
            effect: text("NoExecute"),
            toleration_seconds: Some(-3),
        }],
        host_aliases: Vec::new(),
        priority_class_name: text("p"),
        priority: Some(25),
        dns_config: None,
        readiness_gates: Vec::new(),
        runtime_class_name: text("r"),
        enable_service_links: Some(true),
        preemption_policy: text("Never"),
        overhead: quantities("cpu", "1m"),
        topology_spread_constraints: Vec::new(),
        set_hostname_as_fqdn: Some(true),
        os: None,
        host_users: Some(true),
        scheduling_gates: Vec::new(),
        resource_claims: Vec::new(),
        resources: None,
        hostname_override: text("over"),
        workload_ref: None,
    }
}

fn container() -> Container {
    Container {
        name: text("c"),
        image: text("i:1"),
        command: vec!["sh".to_owned(), String::new()],
        args: vec!["x".to_owned()],
        working_dir: text("/w"),
        ports: vec![ContainerPort {
            name: text("p"),
            host_port: Some(1),
            container_port: Some(80),
            protocol: text("TCP"),
            host_ip: text("::"),
        }],
        env_from: Vec::new(),
        env: vec![
            EnvVar { name: text("E"), value: text("v"), value_from: None },
            EnvVar {
                name: text("F"),
                value: text(""),
                value_from: Some(EnvVarSource {
                    field_ref: Some(ObjectFieldSelector { api_version: text("v1"), field_path: text("metadata.uid") }),
                    resource_field_ref: None,
                    config_map_key_ref: None,
                    secret_key_ref: None,
                    file_key_ref: None,
                }),
            },
        ],
        resources: Some(ResourceRequirements {
            limits: quantities("memory", "1Gi"),
            requests: quantities("cpu", "100m"),
            claims: Vec::new(),
        }),
        resize_policy: Vec::new(),
        restart_policy: text("Always"),
        restart_policy_rules: vec![ContainerRestartRule {
            action: text("Restart"),
            exit_codes: Some(ContainerRestartRuleOnExitCodes { operator: text("In"), values: vec![3, 42] }),
        }],
        volume_mounts: Vec::new(),
        volume_devices: Vec::new(),
        liveness_probe: None,
        readiness_probe: None,
        startup_probe: None,
        lifecycle: None,
        termination_message_path: text("/dev/termination-log"),
        termination_message_policy: text("File"),
        image_pull_policy: text("IfNotPresent"),
        security_context: Some(Default::default()),
        stdin: Some(true),
        stdin_once: Some(false),
        tty: Some(true),
    }
}

fn pod_json() -> Value {
    json!({
        "initContainers": [{"name": "init"}],
        "containers": [{
            "name": "c", "image": "i:1", "command": ["sh", ""], "args": ["x"], "workingDir": "/w",
            "ports": [{"name": "p", "hostPort": 1, "containerPort": 80, "protocol": "TCP", "hostIP": "::"}],
            "env": [{"name": "E", "value": "v"}, {"name": "F", "value": "",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}}],
            "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}}, "restartPolicy": "Always",
            "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [3, 42]}}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent", "securityContext": {}, "stdin": true, "stdinOnce": false, "tty": true,
        }, {}],
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "activeDeadlineSeconds": 5,
        "dnsPolicy": "ClusterFirst", "nodeSelector": {"os": "x"}, "serviceAccountName": "sa", "serviceAccount": "old",
        "automountServiceAccountToken": false, "nodeName": "node", "hostNetwork": true, "hostPID": false,
        "hostIPC": true, "shareProcessNamespace": true, "securityContext": {}, "hostname": "h", "subdomain": "s",
        "schedulerName": "default-scheduler", "tolerations": [{"key": "k", "operator": "Exists", "value": "v",
            "effect": "NoExecute", "tolerationSeconds": -3}],
        "priorityClassName": "p", "priority": 25, "runtimeClassName": "r", "enableServiceLinks": true,
        "preemptionPolicy": "Never", "overhead": {"cpu": "1m"}, "setHostnameAsFQDN": true, "hostUsers": true,
        "hostnameOverride": "over",
    })
}

#[test]
fn every_field_that_is_read_has_the_number_and_the_form_of_the_published_messages() {
    let wanted = json!({
        "metadata": metadata_json(),
        "spec": {
            "parallelism": -1, "completions": 2, "activeDeadlineSeconds": 1_i64 << 40, "backoffLimit": 7,
            "backoffLimitPerIndex": 12, "maxFailedIndexes": 13, "manualSelector": true, "ttlSecondsAfterFinished": 8,
            "completionMode": "Indexed", "suspend": false, "podReplacementPolicy": "Failed", "managedBy": "x/y",
            "selector": {"matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]},
            "podFailurePolicy": {"rules": [{"action": "FailJob",
                "onExitCodes": {"containerName": "", "operator": "In", "values": [1, -2, 300]},
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]},
            "successPolicy": {"rules": [{"succeededIndexes": "0-3", "succeededCount": 4}]},
            "template": {"metadata": metadata_json(), "spec": pod_json()},
        },
    });
    assert_eq!(object(&job().encode_to_vec(), &JOB), Ok(wanted.clone()));
    // The library that types JSON knows the same names.
    let typed: k8s_openapi::api::batch::v1::Job = serde_json::from_value(wanted.clone()).expect("a typed Job");
    let shown = serde_json::to_value(typed).expect("JSON");
    let (shown, wanted) = (&shown["spec"], &wanted["spec"]);
    for (key, value) in wanted.as_object().expect("an object").iter().filter(|(key, _)| *key != "template") {
        assert_eq!(&shown[key], value, "{key}");
    }
}

#[test]
fn namespaces_and_options_of_a_delete_are_read() {
    let namespace = Namespace {
        metadata: Some(meta::ObjectMeta { name: text("n"), ..Default::default() }),
        spec: Some(NamespaceSpec { finalizers: vec!["kubernetes".to_owned()] }),
        status: Some(Default::default()),
    };
    let wanted = json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}});
    assert_eq!(object(&namespace.encode_to_vec(), &NAMESPACE), Ok(wanted));
    let options = meta::DeleteOptions {
        grace_period_seconds: Some(0),
        preconditions: Some(meta::Preconditions { uid: text("u"), resource_version: text("5") }),
        orphan_dependents: Some(false),
        propagation_policy: text("Background"),
        dry_run: vec!["All".to_owned()],
        ignore_store_read_error_with_cluster_breaking_potential: Some(true),
    };
    let wanted = json!({
        "gracePeriodSeconds": 0, "preconditions": {"uid": "u", "resourceVersion": "5"}, "orphanDependents": false,
        "propagationPolicy": "Background", "dryRun": ["All"], "ignoreStoreReadErrorWithClusterBreakingPotential": true,
    });
    assert_eq!(object(&options.encode_to_vec(), &DELETE_OPTIONS), Ok(wanted));
}

fn with_pod(change: impl FnOnce(&mut PodSpec)) -> Vec<u8> {
    let mut pod = PodSpec { containers: vec![Container::default()], ..Default::default() };
    change(&mut pod);
    let template = Some(PodTemplateSpec { metadata: None, spec: Some(pod) });
    Job { spec: Some(JobSpec { template, ..Default::default() }), ..Default::default() }.encode_to_vec()
}

fn with_container(change: impl FnOnce(&mut Container)) -> Vec<u8> {
    with_pod(|pod| change(&mut pod.containers[0]))
}

fn some<T: Default>() -> T {
    T::default()
}

#[test]
fn a_field_that_is_not_read_is_named() {
    let container = "containers[0].";
    let source = |source: EnvVarSource| {
        with_container(|container| {
            container.env = vec![EnvVar::default(), EnvVar { value_from: Some(source), ..Default::default() }];
        })
    };
    let cases = [
        (with_pod(|pod| pod.volumes.push(some())), "volumes".to_owned()),
        (with_pod(|pod| pod.image_pull_secrets.push(some())), "imagePullSecrets".to_owned()),
        (with_pod(|pod| pod.affinity = Some(some())), "affinity".to_owned()),
        (with_pod(|pod| pod.host_aliases.push(some())), "hostAliases".to_owned()),
        (with_pod(|pod| pod.dns_config = Some(some())), "dnsConfig".to_owned()),
        (with_pod(|pod| pod.readiness_gates.push(some())), "readinessGates".to_owned()),
        (with_pod(|pod| pod.topology_spread_constraints.push(some())), "topologySpreadConstraints".to_owned()),
        (with_pod(|pod| pod.ephemeral_containers.push(some())), "ephemeralContainers".to_owned()),
        (with_pod(|pod| pod.os = Some(some())), "os".to_owned()),
        (with_pod(|pod| pod.scheduling_gates.push(some())), "schedulingGates".to_owned()),
        (with_pod(|pod| pod.resource_claims.push(some())), "resourceClaims".to_owned()),
        (with_pod(|pod| pod.resources = Some(some())), "resources".to_owned()),
        (with_pod(|pod| pod.workload_ref = Some(some())), "workloadRef".to_owned()),
        (
            with_pod(|pod| {
                let context = k8s_pb::api::core::v1::PodSecurityContext { run_as_user: Some(2), ..some() };
                pod.security_context = Some(context);
            }),
            "securityContext.field number 2".to_owned(),
        ),
        (with_container(|c| c.volume_mounts.push(some())), format!("{container}volumeMounts")),
        (with_container(|c| c.liveness_probe = Some(some())), format!("{container}livenessProbe")),
        (with_container(|c| c.readiness_probe = Some(some())), format!("{container}readinessProbe")),
        (with_container(|c| c.lifecycle = Some(some())), format!("{container}lifecycle")),
        (with_container(|c| c.env_from.push(some())), format!("{container}envFrom")),
        (with_container(|c| c.volume_devices.push(some())), format!("{container}volumeDevices")),
        (with_container(|c| c.startup_probe = Some(some())), format!("{container}startupProbe")),
        (with_container(|c| c.resize_policy.push(some())), format!("{container}resizePolicy")),
        (
            with_container(|c| c.resources = Some(ResourceRequirements { claims: vec![some()], ..some() })),
            format!("{container}resources.claims"),
        ),
        (
            source(EnvVarSource { resource_field_ref: Some(some()), ..some() }),
            format!("{container}env[1].valueFrom.resourceFieldRef"),
        ),
        (
            source(EnvVarSource { config_map_key_ref: Some(some()), ..some() }),
            format!("{container}env[1].valueFrom.configMapKeyRef"),
        ),
        (
            source(EnvVarSource { secret_key_ref: Some(some()), ..some() }),
            format!("{container}env[1].valueFrom.secretKeyRef"),
        ),
        (
            source(EnvVarSource { file_key_ref: Some(some()), ..some() }),
            format!("{container}env[1].valueFrom.fileKeyRef"),
        ),
    ];
    for (message, path) in cases {
        let wanted = Err(Fault::Unread(format!("spec.template.spec.{path}")));
        assert_eq!(object(&message, &JOB), wanted);
    }
}

#[test]
fn a_number_that_no_table_has_is_named() {
    // metadata (1) with a field 99.
    assert_eq!(object(b"\x0a\x03\x98\x06\x01", &JOB), Err(Fault::Unread("metadata.field number 99".to_owned())));
    // A label with a third part.
    let entry = b"\x0a\x08\x5a\x06\x0a\x01a\x1a\x01b";
    assert_eq!(object(entry, &JOB), Err(Fault::Unread("metadata.labels.field number 3".to_owned())));
}

#[test]
fn repeated_parts_are_merged_as_protobuf_says() {
    let first =
        Job { metadata: Some(meta::ObjectMeta { name: text("a"), ..Default::default() }), ..Default::default() };
    let second = meta::ObjectMeta { name: text("b"), namespace: text("n"), ..Default::default() };
    let both = [first.encode_to_vec(), Job { metadata: Some(second), ..Default::default() }.encode_to_vec()].concat();
    assert_eq!(object(&both, &JOB), Ok(json!({"metadata": {"name": "b", "namespace": "n"}})));
}

#[test]
fn numbers_may_be_packed() {
    // spec (2) { podFailurePolicy (11) { rules (1) { onExitCodes (2) { values (3): packed 1, 300 } } } }
    let message = b"\x12\x0b\x5a\x09\x0a\x07\x12\x05\x1a\x03\x01\xac\x02";
    let value = object(message, &JOB).expect("a Job");
    assert_eq!(value.pointer("/spec/podFailurePolicy/rules/0/onExitCodes/values"), Some(&json!([1, 300])));
}

#[test]
fn broken_messages_are_told_apart() {
    let cases: [(&[u8], &str); 9] = [
        (b"\x0a", "unexpected EOF"),
        (b"\x0a\x05ab", "unexpected EOF"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "unexpected EOF"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow"),
        (b"\x0b", "proto: illegal wireType 3"),
        (b"\x02\x00", "proto: illegal tag 0 (wire type 2)"),
        (b"\x08\x01", "proto: wrong wireType for field metadata"),
        (b"\x0a\x03\x0a\x01\xff", "proto: field name contains invalid UTF-8"),
        // metadata.creationTimestamp (8) with a second far beyond the year 9999.
        (b"\x0a\x0b\x42\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "creationTimestamp is out of range"),
    ];
    for (message, why) in cases {
        assert_eq!(object(message, &JOB), Err(Fault::broken(why)), "{message:x?}");
    }
}

#[test]
fn envelopes_are_opened() {
    let empty = Envelope { api_version: "", kind: "", raw: &[] };
    assert_eq!(open(b"k8s\0"), Ok(empty));
    let whole = b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thing\x12\x03raw\x1a\x00\x22\x00";
    assert_eq!(open(whole), Ok(Envelope { api_version: "v1", kind: "Thing", raw: b"raw" }));
    let prefix = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
    let cases: [(&[u8], &str); 6] = [
        (b"", prefix),
        (b"k8s", prefix),
        (b"{\"kind\":\"Job\"}", prefix),
        (b"k8s\0\x12\x05raw", "unexpected EOF"),
        (b"k8s\0\x1a\x04gzip", "a contentEncoding is not supported"),
        (b"k8s\0\x22\x10application/json", "a contentType is not supported"),
    ];
    for (body, why) in cases {
        assert_eq!(open(body), Err(Fault::broken(why)), "{body:x?}");
    }
    for len in 5..whole.len() {
        _ = open(&whole[..len]);
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_value_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        _ = open(&bytes);
        _ = object(&bytes, &JOB);
    }

    #[test]
    fn a_damaged_message_never_panics(at in 0_usize..600, bit in 0_u8..8) {
        let mut message = job().encode_to_vec();
        let at = at % message.len();
        message[at] ^= 1 << bit;
        _ = object(&message, &JOB);
        _ = object(&message[..at], &JOB);
    }
}
