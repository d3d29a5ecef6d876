//! The numbers and words of a JobSpec (kubernetes: `validateJobSpec`).

use super::text::{dns_subdomain, http_path};
use crate::api::field::{FieldErrors, quoted};
use k8s_openapi::api::batch::v1::JobSpec;
use std::fmt::Display;

/// kubernetes: `maxParallelismForIndexedJob`.
const INDEXED_PARALLELISM_MAX: i32 = 100_000;
/// kubernetes: `maxFailedIndexesForIndexedJob`.
const FAILED_INDEXES_MAX: i32 = 100_000;
/// Above so many completions the next two limits hold (kubernetes: `completionsSoftLimit`).
pub(super) const COMPLETIONS_SOFT_MAX: i32 = 100_000;
/// kubernetes: `parallelismLimitForHighCompletions`.
pub(super) const HIGH_COMPLETIONS_PARALLELISM_MAX: i32 = 10_000;
/// kubernetes: `maxFailedIndexesLimitForHighCompletions`.
const HIGH_COMPLETIONS_FAILED_INDEXES_MAX: i32 = 10_000;
/// kubernetes: `maxManagedByLength`.
const MANAGED_BY_BYTES_MAX: usize = 63;

pub(super) fn not_negative(value: Option<i64>, path: impl Display, errors: &mut FieldErrors) {
    if let Some(value) = value.filter(|&value| value < 0) {
        errors.invalid(path, value.to_string(), "must be greater than or equal to 0");
    }
}

/// Everything of the spec before the policies.
pub(super) fn validate(spec: &JobSpec, errors: &mut FieldErrors) {
    for (value, path) in [
        (spec.parallelism.map(i64::from), "spec.parallelism"),
        (spec.completions.map(i64::from), "spec.completions"),
        (spec.active_deadline_seconds, "spec.activeDeadlineSeconds"),
        (spec.backoff_limit.map(i64::from), "spec.backoffLimit"),
        (spec.ttl_seconds_after_finished.map(i64::from), "spec.ttlSecondsAfterFinished"),
        (spec.backoff_limit_per_index.map(i64::from), "spec.backoffLimitPerIndex"),
        (spec.max_failed_indexes.map(i64::from), "spec.maxFailedIndexes"),
    ] {
        not_negative(value, path, errors);
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified");
    }
    if let Some(name) = &spec.managed_by {
        managed_by(name, errors);
    }
    match spec.completion_mode.as_deref() {
        Some("Indexed") => indexed(spec, errors),
        Some("NonIndexed") | None => not_indexed(spec, errors),
        Some(other) => errors.not_supported("spec.completionMode", quoted(other), &["NonIndexed", "Indexed"]),
    }
}

/// kubernetes: `IsDomainPrefixedPath`, and the length.
fn managed_by(name: &str, errors: &mut FieldErrors) {
    let path = "spec.managedBy";
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    match name.split_once('/') {
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            for message in dns_subdomain(host) {
                errors.invalid(path, quoted(host), message);
            }
            for message in http_path(rest) {
                errors.invalid(path, quoted(rest), message);
            }
        }
        _ => errors.invalid(path, quoted(name), "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
    if name.len() > MANAGED_BY_BYTES_MAX {
        errors.too_long(path, MANAGED_BY_BYTES_MAX);
    }
}

fn indexed(spec: &JobSpec, errors: &mut FieldErrors) {
    let above = |value: Option<i32>, max: i32| value.filter(|&value| value > max);
    let failed = "spec.maxFailedIndexes";
    if spec.completions.is_none() {
        errors.required("spec.completions", "when completion mode is Indexed");
    }
    if let Some(value) = above(spec.parallelism, INDEXED_PARALLELISM_MAX) {
        let detail = format!("must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed");
        errors.invalid("spec.parallelism", value.to_string(), detail);
    }
    if let Some(value) = spec.completions.and_then(|completions| above(spec.max_failed_indexes, completions)) {
        errors.invalid(failed, value.to_string(), "must be less than or equal to completions");
    }
    if let Some(value) = above(spec.max_failed_indexes, FAILED_INDEXES_MAX) {
        errors.invalid(failed, value.to_string(), format!("must be less than or equal to {FAILED_INDEXES_MAX}"));
    }
    if above(spec.completions, COMPLETIONS_SOFT_MAX).is_none() || spec.backoff_limit_per_index.is_none() {
        return;
    }
    if spec.max_failed_indexes.is_none() {
        errors.required(failed, format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}"));
    }
    for (path, value, max) in [
        ("spec.parallelism", spec.parallelism, HIGH_COMPLETIONS_PARALLELISM_MAX),
        (failed, spec.max_failed_indexes, HIGH_COMPLETIONS_FAILED_INDEXES_MAX),
    ] {
        if let Some(value) = above(value, max) {
            let detail = format!(
                "must be less than or equal to {max} when completions are above {COMPLETIONS_SOFT_MAX} and used with \
                 backoff limit per index"
            );
            errors.invalid(path, value.to_string(), detail);
        }
    }
}

fn not_indexed(spec: &JobSpec, errors: &mut FieldErrors) {
    for (path, value) in [
        ("spec.backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("spec.maxFailedIndexes", spec.max_failed_indexes),
    ] {
        if let Some(value) = value {
            errors.invalid(path, value.to_string(), "requires indexed completion mode");
        }
    }
}

/// kubernetes: `validatePodReplacementPolicy`; it comes after the other policies.
pub(super) fn replacement_policy(spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(policy) = spec.pod_replacement_policy.as_deref() else { return };
    let supported: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if !supported.contains(&policy) {
        errors.not_supported("spec.podReplacementPolicy", quoted(policy), supported);
    }
}

/// The Job's own rule about `restartPolicy`; it comes after the pod template's.
pub(super) fn restart_policy(spec: &JobSpec, errors: &mut FieldErrors) {
    let path = "spec.template.spec.restartPolicy";
    match spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()).unwrap_or("") {
        "" | "Always" => errors.required(path, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_none() => {}
        "OnFailure" => {
            errors.invalid(path, quoted("OnFailure"), "only \"Never\" is supported when podFailurePolicy is specified");
        }
        other => errors.not_supported(path, quoted(other), &["OnFailure", "Never"]),
    }
}
