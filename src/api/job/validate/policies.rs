//! podFailurePolicy and successPolicy (kubernetes: `validatePodFailurePolicy`, `validateSuccessPolicy`).

use super::scalars::not_negative;
use super::text::qualified_name;
use crate::api::field::{FieldErrors, json, quoted};
use crate::api::job::COMPLETIONS_MAX;
use crate::base::IndexSet;
use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
    SuccessPolicy, SuccessPolicyRule,
};
use std::collections::BTreeSet;

/// Rules of either policy; further ones are not looked at, because the list is refused anyway (kubernetes: `maxPodFailurePolicyRules`, `maxSuccessPolicyRule`).
const RULES_MAX: usize = 20;
/// kubernetes: `maxPodFailurePolicyOnExitCodesValues`.
const EXIT_CODES_MAX: usize = 255;
/// kubernetes: `maxPodFailurePolicyOnPodConditionsPatterns`.
const CONDITIONS_MAX: usize = 20;
/// kubernetes: `maxJobSuccessPolicySucceededIndexesLimit`.
const INDEXES_BYTES_MAX: usize = 64 * 1024;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// `valid values: ["In" "NotIn"]`, as Go prints a list with `%q`.
fn valid_values(values: &[&str]) -> String {
    let list: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("valid values: [{}]", list.join(" "))
}

/// A word that must be there and be one of `supported`.
fn one_of(value: &str, supported: &[&str], path: String, errors: &mut FieldErrors) {
    if value.is_empty() {
        errors.required(path, valid_values(supported));
    } else if !supported.contains(&value) {
        errors.not_supported(path, quoted(value), supported);
    }
}

/// kubernetes: `validatePodFailurePolicy`.
pub(super) fn failure(spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(policy) = &spec.pod_failure_policy else { return };
    let path = "spec.podFailurePolicy.rules";
    if policy.rules.len() > RULES_MAX {
        errors.too_many(path, policy.rules.len(), RULES_MAX);
    }
    for (at, rule) in policy.rules.iter().enumerate().take(RULES_MAX) {
        failure_rule(spec, rule, &format!("{path}[{at}]"), errors);
    }
}

fn failure_rule(spec: &JobSpec, rule: &PodFailurePolicyRule, path: &str, errors: &mut FieldErrors) {
    if rule.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
        let detail = "requires the backoffLimitPerIndex to be set";
        errors.invalid(format!("{path}.action"), quoted(&rule.action), detail);
    } else {
        one_of(&rule.action, &ACTIONS, format!("{path}.action"), errors);
    }
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(spec, codes, &format!("{path}.onExitCodes"), errors);
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or(&[]);
    conditions(patterns, &format!("{path}.onPodConditions"), errors);
    match (rule.on_exit_codes.is_some(), patterns.is_empty()) {
        (true, false) => {
            errors.invalid_unprinted(path, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (false, true) => {
            errors.invalid_unprinted(path, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn has_container(spec: &JobSpec, name: &str) -> bool {
    spec.template.spec.as_ref().is_some_and(|pod| {
        pod.containers.iter().chain(pod.init_containers.iter().flatten()).any(|container| container.name == name)
    })
}

fn exit_codes(spec: &JobSpec, codes: &PodFailurePolicyOnExitCodesRequirement, path: &str, errors: &mut FieldErrors) {
    one_of(&codes.operator, &OPERATORS, format!("{path}.operator"), errors);
    if let Some(name) = codes.container_name.as_deref().filter(|name| !has_container(spec, name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.invalid(format!("{path}.containerName"), quoted(name), detail);
    }
    let path = format!("{path}.values");
    if codes.values.is_empty() {
        errors.invalid(&path, "[]", "at least one value is required");
    } else if codes.values.len() > EXIT_CODES_MAX {
        errors.too_many(&path, codes.values.len(), EXIT_CODES_MAX);
    }
    let mut seen = BTreeSet::new();
    for (at, &code) in codes.values.iter().enumerate() {
        if code == 0 && codes.operator == "In" {
            errors.invalid(format!("{path}[{at}]"), "0", "must not be 0 for the In operator");
        }
        if !seen.insert(code) {
            errors.duplicate(format!("{path}[{at}]"), code.to_string());
        }
    }
    if !codes.values.is_sorted() {
        errors.invalid(&path, json(&codes.values), "must be ordered");
    }
}

fn conditions(patterns: &[PodFailurePolicyOnPodConditionsPattern], path: &str, errors: &mut FieldErrors) {
    if patterns.len() > CONDITIONS_MAX {
        errors.too_many(path, patterns.len(), CONDITIONS_MAX);
    }
    for (at, pattern) in patterns.iter().enumerate() {
        for message in qualified_name(&pattern.type_) {
            errors.invalid(format!("{path}[{at}].type"), quoted(&pattern.type_), message);
        }
        let status = pattern.status.as_deref().unwrap_or("");
        one_of(status, &STATUSES, format!("{path}[{at}].status"), errors);
    }
}

/// kubernetes: `validateSuccessPolicy`.
pub(super) fn success(spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(policy) = &spec.success_policy else { return };
    if spec.completion_mode.as_deref() != Some("Indexed") {
        errors.invalid("spec.successPolicy", json(policy), "requires indexed completion mode");
        return;
    }
    success_rules(policy, spec.completions.unwrap_or(0), errors);
}

fn success_rules(policy: &SuccessPolicy, completions: i32, errors: &mut FieldErrors) {
    let path = "spec.successPolicy.rules";
    if policy.rules.is_empty() {
        errors.required(path, "at least one rules must be specified when the successPolicy is specified");
    }
    if policy.rules.len() > RULES_MAX {
        errors.too_many(path, policy.rules.len(), RULES_MAX);
    }
    for (at, rule) in policy.rules.iter().enumerate().take(RULES_MAX) {
        success_rule(rule, completions, &format!("{path}[{at}]"), errors);
    }
}

fn success_rule(rule: &SuccessPolicyRule, completions: i32, path: &str, errors: &mut FieldErrors) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let listed = rule.succeeded_indexes.as_deref().map(|text| indexes(text, completions, path, errors));
    let Some(count) = rule.succeeded_count else { return };
    let path = format!("{path}.succeededCount");
    not_negative(Some(i64::from(count)), &path, errors);
    let mut at_most = |max: i64, what: &str| {
        if i64::from(count) > max {
            errors.invalid(
                &path,
                count.to_string(),
                format!("must be less than or equal to {max} (the number of {what})"),
            );
        }
    };
    at_most(i64::from(completions), "specified completions");
    if let Some(listed) = listed {
        at_most(i64::from(listed), "indexes in the specified succeededIndexes field");
    }
}

/// How many indexes are listed; 0 when the list is refused. A Job above our own limit of completions is refused for that,
/// before its list could take as much memory as it likes.
fn indexes(text: &str, completions: i32, path: &str, errors: &mut FieldErrors) -> u32 {
    let path = format!("{path}.succeededIndexes");
    if text.len() > INDEXES_BYTES_MAX {
        errors.too_long(&path, INDEXES_BYTES_MAX);
    }
    if i64::from(completions) > COMPLETIONS_MAX {
        return u32::MAX;
    }
    match IndexSet::parse(text, u32::try_from(completions).unwrap_or(0)) {
        Ok(set) => set.len(),
        Err(error) => {
            errors.invalid(&path, quoted(text), format!("error parsing succeededIndexes: {error}"));
            0
        }
    }
}
