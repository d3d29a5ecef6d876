//! What may change in a Job (kubernetes: `ValidateJobSpecUpdate`).

use super::meta;
use crate::api::field::{FieldError, FieldErrors, json};
use crate::api::job::canonical::semantic_eq;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Affinity, Container};
use serde::Serialize;

/// Everything that the change from `old` to `new` breaks. The create rules run twice, as in the reference, so their errors
/// appear twice. `is_idle`: nothing of the old Job runs, and it has not started or is shown as suspended.
pub(in crate::api::job) fn validate_update(new: &Job, old: &Job, is_idle: bool) -> Vec<FieldError> {
    let mut errors = FieldErrors::default();
    super::validate_job(new, &mut errors);
    meta::validate_update(&new.metadata, &old.metadata, format_args!("metadata"), &mut errors);
    let absent = JobSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&absent), old.spec.as_ref().unwrap_or(&absent));
    super::validate_spec(new, &mut errors);
    completions(new, old, &mut errors);
    let errors_of_fields = &mut errors;
    immutable(&new.selector, &old.selector, "spec.selector", errors_of_fields);
    template(new, old, is_idle, errors_of_fields);
    immutable(&new.completion_mode, &old.completion_mode, "spec.completionMode", errors_of_fields);
    immutable(&new.pod_failure_policy, &old.pod_failure_policy, "spec.podFailurePolicy", errors_of_fields);
    let path = "spec.backoffLimitPerIndex";
    immutable(&new.backoff_limit_per_index, &old.backoff_limit_per_index, path, errors_of_fields);
    immutable(&new.managed_by, &old.managed_by, "spec.managedBy", errors_of_fields);
    immutable(&new.success_policy, &old.success_policy, "spec.successPolicy", errors_of_fields);
    errors.into_vec()
}

/// kubernetes: `validatePodTemplateUpdate`. Of a suspended Job, what its next pods look like may change in parts.
fn template(new: &JobSpec, old: &JobSpec, is_idle: bool, errors: &mut FieldErrors) {
    if old.suspend != Some(true) || !is_idle {
        return immutable(&new.template, &old.template, "spec.template", errors);
    }
    let mut allowed = old.template.clone();
    let metadata = allowed.metadata.get_or_insert_default();
    let given = new.template.metadata.as_ref();
    metadata.labels = given.and_then(|given| given.labels.clone());
    metadata.annotations = given.and_then(|given| given.annotations.clone());
    let (pod, given) = (allowed.spec.get_or_insert_default(), new.template.spec.as_ref());
    if let Some(given) = given {
        pod.node_selector.clone_from(&given.node_selector);
        pod.tolerations.clone_from(&given.tolerations);
        pod.scheduling_gates.clone_from(&given.scheduling_gates);
        pod.affinity = allowed_affinity(pod.affinity.take(), given.affinity.as_ref());
        resources(&mut pod.containers, &given.containers);
        if let (Some(old), Some(new)) = (&mut pod.init_containers, &given.init_containers) {
            resources(old, new);
        }
    }
    if !semantic_eq(&new.template, &allowed) {
        errors.invalid("spec.template.spec", json(&new.template.spec), "field is immutable");
    }
}

/// The old affinity with the new one's node affinity; none where the new one is gone and there was nothing else.
fn allowed_affinity(old: Option<Affinity>, new: Option<&Affinity>) -> Option<Affinity> {
    let node_affinity = new.and_then(|new| new.node_affinity.clone());
    let allowed = Affinity { node_affinity, ..old.unwrap_or_default() };
    (new.is_some() || allowed != Affinity::default()).then_some(allowed)
}

/// Containers are the same by position and name.
fn resources(old: &mut [Container], new: &[Container]) {
    for (old, new) in old.iter_mut().zip(new).filter(|(old, new)| old.name == new.name) {
        old.resources.clone_from(&new.resources);
    }
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
