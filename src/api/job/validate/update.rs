//! What may change in a Job (kubernetes: `ValidateJobSpecUpdate`).

use super::meta;
use crate::api::field::{FieldError, FieldErrors, json};
use crate::api::job::canonical::semantic_eq;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use serde::Serialize;

/// Everything that the change from `old` to `new` breaks. The create rules run twice, as in the reference, so their errors
/// appear twice.
pub(in crate::api::job) fn validate_update(new: &Job, old: &Job) -> Vec<FieldError> {
    let mut errors = FieldErrors::default();
    super::validate_job(new, &mut errors);
    meta::validate_update(&new.metadata, &old.metadata, format_args!("metadata"), &mut errors);
    let absent = JobSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&absent), old.spec.as_ref().unwrap_or(&absent));
    super::validate_spec(new, &mut errors);
    completions(new, old, &mut errors);
    let errors_of_fields = &mut errors;
    immutable(&new.selector, &old.selector, "spec.selector", errors_of_fields);
    // Only the template of a suspended Job may change in parts, and `suspend` is not offered.
    immutable(&new.template, &old.template, "spec.template", errors_of_fields);
    immutable(&new.completion_mode, &old.completion_mode, "spec.completionMode", errors_of_fields);
    immutable(&new.pod_failure_policy, &old.pod_failure_policy, "spec.podFailurePolicy", errors_of_fields);
    let path = "spec.backoffLimitPerIndex";
    immutable(&new.backoff_limit_per_index, &old.backoff_limit_per_index, path, errors_of_fields);
    immutable(&new.managed_by, &old.managed_by, "spec.managedBy", errors_of_fields);
    immutable(&new.success_policy, &old.success_policy, "spec.successPolicy", errors_of_fields);
    errors.into_vec()
}

/// kubernetes: `ValidateImmutableField`; absent and empty are equal.
fn immutable<T: Serialize>(new: &T, old: &T, path: &str, errors: &mut FieldErrors) {
    if !semantic_eq(new, old) {
        errors.invalid(path, json(new), "field is immutable");
    }
}

/// kubernetes: `validateCompletions`.
fn completions(new: &JobSpec, old: &JobSpec, errors: &mut FieldErrors) {
    let path = "spec.completions";
    if new.completion_mode.as_deref() != Some("Indexed") {
        immutable(&new.completions, &old.completions, path, errors);
        return;
    }
    let Some(wanted) = new.completions.filter(|_| new.completions != old.completions) else { return };
    if Some(wanted) != new.parallelism {
        errors.invalid(path, wanted.to_string(), "can only be modified in tandem with spec.parallelism");
    }
}
