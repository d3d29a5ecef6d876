//! The pod template: the fields that people use, in the order of the reference (kubernetes: `ValidatePodTemplateSpec`,
//! `ValidatePodSpec`). Fields that this version does not offer are refused afterwards, by `offered`.

use super::text::{dns_label, dns_subdomain, label_value, qualified_name};
use super::{containers, meta};
use crate::api::field::{FieldErrors, quoted};
use k8s_openapi::api::core::v1::{NodeAffinity, NodeSelectorTerm, PodSpec, PodTemplateSpec, Toleration, Volume};
use std::collections::BTreeSet;
use std::fmt::Arguments;

/// What `spec.template` breaks.
pub(super) fn validate(template: &PodTemplateSpec, errors: &mut FieldErrors) {
    let metadata = template.metadata.as_ref();
    // The reference leaves `metadata` out of these two paths.
    meta::labels(metadata.and_then(|metadata| metadata.labels.as_ref()), format_args!("spec.template.labels"), errors);
    meta::annotations(
        metadata.and_then(|metadata| metadata.annotations.as_ref()),
        format_args!("spec.template.annotations"),
        errors,
    );
    let Some(pod) = &template.spec else { return };
    pod_spec(pod, format_args!("spec.template.spec"), errors);
    if pod.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        let path = "spec.template.spec.ephemeralContainers";
        errors.forbidden(path, "ephemeral containers not allowed in pod template");
    }
}

fn pod_spec(pod: &PodSpec, path: Arguments<'_>, errors: &mut FieldErrors) {
    // The reference warns about a negative grace and takes it as 1 s; here it is refused (see `model::PodTemplate`).
    let grace = pod.termination_grace_period_seconds;
    super::scalars::not_negative(grace, format_args!("{path}.terminationGracePeriodSeconds"), errors);
    volumes(pod.volumes.as_deref().unwrap_or(&[]), format_args!("{path}.volumes"), errors);
    containers::validate(pod, path, errors);
    one_of(&pod.restart_policy, &["Always", "OnFailure", "Never"], format_args!("{path}.restartPolicy"), errors);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(&pod.dns_policy, &policies, format_args!("{path}.dnsPolicy"), errors);
    meta::labels(pod.node_selector.as_ref(), format_args!("{path}.nodeSelector"), errors);
    let affinity = pod.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    if let Some(affinity) = affinity {
        node_affinity(affinity, format_args!("{path}.affinity.nodeAffinity"), errors);
    }
    scheduling_gates(pod, format_args!("{path}.schedulingGates"), errors);
    name(&pod.service_account_name, dns_subdomain, format_args!("{path}.serviceAccountName"), errors);
    name(&pod.node_name, dns_subdomain, format_args!("{path}.nodeName"), errors);
    if let Some(seconds) = pod.active_deadline_seconds.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.invalid(format!("{path}.activeDeadlineSeconds"), seconds.to_string(), detail);
    }
    name(&pod.hostname, dns_label, format_args!("{path}.hostname"), errors);
    name(&pod.subdomain, dns_label, format_args!("{path}.subdomain"), errors);
    for (at, toleration) in pod.tolerations.iter().flatten().enumerate() {
        tolerate(toleration, format_args!("{path}.tolerations[{at}]"), errors);
    }
    name(&pod.priority_class_name, dns_subdomain, format_args!("{path}.priorityClassName"), errors);
    if pod.preemption_policy.is_some() {
        let policies = ["Never", "PreemptLowerPriority"];
        one_of(&pod.preemption_policy, &policies, format_args!("{path}.preemptionPolicy"), errors);
    }
}

/// A word of a list; defaults have replaced an empty one.
fn one_of(value: &Option<String>, supported: &[&str], path: Arguments<'_>, errors: &mut FieldErrors) {
    match value.as_deref().unwrap_or("") {
        "" => errors.required(path, ""),
        value if supported.contains(&value) => {}
        value => errors.not_supported(path, quoted(value), supported),
    }
}

/// An optional name; an empty one is none.
fn name(value: &Option<String>, rule: fn(&str) -> Vec<String>, path: Arguments<'_>, errors: &mut FieldErrors) {
    let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { return };
    for message in rule(value) {
        errors.invalid(path, quoted(value), message);
    }
}

/// kubernetes: `ValidateVolumes`, without the sources.
fn volumes(volumes: &[Volume], path: Arguments<'_>, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = format_args!("{path}[{at}].name");
        if volume.name.is_empty() {
            errors.required(path, "");
        }
        for message in Some(&volume.name).filter(|name| !name.is_empty()).into_iter().flat_map(|name| dns_label(name)) {
            errors.invalid(path, quoted(&volume.name), message);
        }
        if !names.insert(&volume.name) {
            errors.duplicate(path, quoted(&volume.name));
        }
    }
}

/// kubernetes: `validateSchedulingGates`.
fn scheduling_gates(pod: &PodSpec, path: Arguments<'_>, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (at, gate) in pod.scheduling_gates.iter().flatten().enumerate() {
        for message in qualified_name(&gate.name) {
            errors.invalid(format!("{path}[{at}]"), quoted(&gate.name), message);
        }
        if !names.insert(&gate.name) {
            errors.duplicate(format!("{path}[{at}]"), quoted(&gate.name));
        }
    }
}

/// kubernetes: `validateNodeAffinity`.
fn node_affinity(affinity: &NodeAffinity, path: Arguments<'_>, errors: &mut FieldErrors) {
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        let path = format!("{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        if required.node_selector_terms.is_empty() {
            errors.required(&path, "must have at least one node selector term");
        }
        for (at, term) in required.node_selector_terms.iter().enumerate() {
            node_term(term, format_args!("{path}[{at}]"), errors);
        }
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (at, term) in preferred.enumerate() {
        let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{at}]");
        if !(1..=100).contains(&term.weight) {
            errors.invalid(format!("{path}.weight"), term.weight.to_string(), "must be in the range 1-100");
        }
        node_term(&term.preference, format_args!("{path}.preference"), errors);
    }
}

/// kubernetes: `ValidateNodeSelectorTerm`.
fn node_term(term: &NodeSelectorTerm, path: Arguments<'_>, errors: &mut FieldErrors) {
    for (at, rule) in term.match_expressions.iter().flatten().enumerate() {
        let (path, values) = (format!("{path}.matchExpressions[{at}]"), rule.values.as_deref().unwrap_or(&[]));
        let of_values = format!("{path}.values");
        match rule.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(of_values, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(of_values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Gt" | "Lt" if values.len() != 1 => {
                errors.required(of_values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => errors.invalid(format!("{path}.operator"), quoted(other), "not a valid selector operator"),
        }
        for message in qualified_name(&rule.key) {
            errors.invalid(format!("{path}.key"), quoted(&rule.key), message);
        }
    }
    for (at, rule) in term.match_fields.iter().flatten().enumerate() {
        let path = format!("{path}.matchFields[{at}]");
        match rule.operator.as_str() {
            "In" | "NotIn" if rule.values.as_ref().is_none_or(|values| values.len() != 1) => {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(format!("{path}.values"), detail);
            }
            "In" | "NotIn" => {}
            other => errors.invalid(format!("{path}.operator"), quoted(other), "not a valid selector operator"),
        }
        if rule.key != "metadata.name" {
            errors.invalid(format!("{path}.key"), quoted(&rule.key), "not a valid field selector key");
        }
    }
}

/// kubernetes: `ValidateTolerations`.
fn tolerate(toleration: &Toleration, path: Arguments<'_>, errors: &mut FieldErrors) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, operator) = (text(&toleration.key), text(&toleration.operator));
    let (value, effect) = (text(&toleration.value), text(&toleration.effect));
    for message in Some(&key).filter(|key| !key.is_empty()).into_iter().flat_map(|key| qualified_name(key)) {
        errors.invalid(format!("{path}.key"), quoted(&key), message);
    }
    if key.is_empty() && operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.invalid(format!("{path}.operator"), quoted(&operator), detail);
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(format!("{path}.effect"), quoted(&effect), detail);
    }
    match operator.as_str() {
        "" | "Equal" => {
            let messages = label_value(&value);
            if !messages.is_empty() {
                errors.invalid(format!("{path}.operator"), quoted(&value), messages.join(";"));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.invalid(format!("{path}.operator"), quoted(&value), detail);
        }
        other => errors.not_supported(format!("{path}.operator"), quoted(other), &["Equal", "Exists"]),
    }
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if !effect.is_empty() && !effects.contains(&effect.as_str()) {
        errors.not_supported(format!("{path}.effect"), quoted(&effect), &effects);
    }
}
