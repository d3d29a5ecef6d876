//! The selector and the labels that it must find (kubernetes: `ValidateGeneratedSelector`).

use super::super::labels::{CONTROLLER_UID, JOB_NAME, LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME};
use super::text::{label_value, qualified_name};
use crate::api::field::{FieldErrors, json, quoted};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

fn template_labels(spec: &JobSpec) -> &Labels {
    const NONE: &Labels = &Labels::new();
    spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref()).unwrap_or(NONE)
}

/// The generated labels are on the template and the selector is the generated one (kubernetes:
/// `validateGeneratedSelector`).
pub(super) fn generated(job: &Job, spec: &JobSpec, errors: &mut FieldErrors) {
    let (Some(selector), false) = (&spec.selector, spec.manual_selector == Some(true)) else { return };
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let wanted = [(LEGACY_CONTROLLER_UID, uid), (LEGACY_JOB_NAME, name), (CONTROLLER_UID, uid), (JOB_NAME, name)];
    let labels = template_labels(spec);
    for (key, value) in wanted {
        let found = labels.get(key);
        if found.is_some_and(|found| found == value) {
            continue;
        }
        let (path, detail) = (format_args!("spec.template.metadata.labels[{key}]"), format!("must be '{value}'"));
        match found {
            None => errors.required(path, detail),
            Some(found) => errors.invalid(path, quoted(found), detail),
        }
    }
    let generated = |key: &str| wanted.iter().find(|(wanted, _)| *wanted == key).map(|(_, value)| *value);
    if matches(selector, generated) == Some(false) {
        errors.invalid("spec.selector", json(selector), "`selector` not auto-generated");
    }
}

/// The selector itself, and that it finds the template's labels.
pub(super) fn validate(spec: &JobSpec, errors: &mut FieldErrors) {
    match &spec.selector {
        None => errors.required("spec.selector", ""),
        Some(selector) => syntax(selector, errors),
    }
    let labels = template_labels(spec);
    // A nil selector finds nothing.
    if spec
        .selector
        .as_ref()
        .map_or(Some(false), |selector| matches(selector, |key| labels.get(key).map(String::as_str)))
        == Some(false)
    {
        let detail = "`selector` does not match template `labels`";
        errors.invalid("spec.template.metadata.labels", json(labels), detail);
    }
}

/// kubernetes: `ValidateLabelSelector`.
fn syntax(selector: &LabelSelector, errors: &mut FieldErrors) {
    super::meta::labels(selector.match_labels.as_ref(), format_args!("spec.selector.matchLabels"), errors);
    for (at, rule) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format_args!("spec.selector.matchExpressions[{at}]");
        let values = rule.values.as_deref().unwrap_or(&[]);
        match rule.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(
                    format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(format!("{path}.operator"), quoted(other), "not a valid selector operator"),
        }
        for message in qualified_name(&rule.key) {
            errors.invalid(format!("{path}.key"), quoted(&rule.key), message);
        }
        for (at, value) in values.iter().enumerate() {
            for message in label_value(value) {
                errors.invalid(format!("{path}.values[{at}]"), quoted(value), message);
            }
        }
    }
}

/// Whether the labels are found; `None` when the selector has no meaning (its own error says so).
fn matches<'a>(selector: &LabelSelector, label: impl Fn(&str) -> Option<&'a str>) -> Option<bool> {
    let mut found = selector.match_labels.iter().flatten().all(|(key, value)| label(key) == Some(value));
    for rule in selector.match_expressions.iter().flatten() {
        let label = label(&rule.key);
        let listed = label.is_some_and(|value| rule.values.iter().flatten().any(|wanted| wanted == value));
        found &= match rule.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            _ => return None,
        };
    }
    Some(found)
}
