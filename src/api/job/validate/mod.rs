//! The rules that a Job must keep, in the reference's order and words (kubernetes: `ValidateJob`, `ValidateJobUpdate`).
//!
//! `meta`, `selector`, `scalars`, `policies`, `template` and `containers` each own one section of the object; `text` owns
//! the forms of names; `update` what may change. A Kubernetes error comes before any of our own (`offered`). Invariant: every
//! rule reads a defaulted Job, changes nothing, and names the exact field.

mod containers;
mod meta;
mod policies;
mod scalars;
mod selector;
mod template;
mod text;
mod update;
mod warnings;

#[cfg(test)]
mod tests;

use super::super::field::{FieldError, FieldErrors, quoted};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
pub(in crate::api) use meta::{
    finalizers as validate_finalizers, validate_of_cluster as validate_meta_of_cluster, validate_of_namespace,
    validate_update as validate_meta_update,
};
pub(in crate::api) use text::{label_value, qualified_name};
pub(super) use update::validate_update;
pub(super) use warnings::warnings;

/// Everything that a new Job breaks (kubernetes: `ValidateJob`).
pub(super) fn validate_create(job: &Job) -> Vec<FieldError> {
    let mut errors = FieldErrors::default();
    validate_job(job, &mut errors);
    errors.into_vec()
}

fn validate_job(job: &Job, errors: &mut FieldErrors) {
    let absent = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&absent);
    meta::validate(&job.metadata, format_args!("metadata"), errors);
    selector::generated(job, spec, errors);
    validate_spec(spec, errors);
    pod_hostname(job, spec, errors);
}

/// kubernetes: `ValidateJobSpec`.
fn validate_spec(spec: &JobSpec, errors: &mut FieldErrors) {
    scalars::validate(spec, errors);
    policies::failure(spec, errors);
    policies::success(spec, errors);
    scalars::replacement_policy(spec, errors);
    template::validate(&spec.template, errors);
    scalars::restart_policy(spec, errors);
    selector::validate(spec, errors);
}

/// The host name of an Indexed Job's last pod must be a DNS label.
fn pod_hostname(job: &Job, spec: &JobSpec, errors: &mut FieldErrors) {
    let is_indexed = spec.completion_mode.as_deref() == Some("Indexed");
    let Some(completions) = spec.completions.filter(|&completions| is_indexed && completions > 0) else { return };
    let name = job.metadata.name.as_deref().unwrap_or("");
    let hostname = format!("{name}-{}", completions - 1);
    if !text::dns_label(&hostname).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {hostname}");
        errors.invalid("metadata.name", quoted(name), detail);
    }
}
