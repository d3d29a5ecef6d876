//! Admission of Jobs: from a request's bytes to the document that is stored.
//!
//! The pipeline is the reference's: `decode` → `defaults` → `validate` (Kubernetes' rules) →
//! `offered` (ours) → `canonical`. Start with [`admit_create`]. It must not know the engine; whether a name is taken or a
//! namespace exists is asked elsewhere. Invariant: `JobSpec::from_doc` reads every admitted document.

mod canonical;
mod defaults;
mod labels;
mod offered;
mod validate;

#[cfg(test)]
mod tests;

use super::decode::{self, Decoded, Expected, FieldValidation};
use super::field::{FieldError, FieldErrors, quoted};
use super::status::{JOBS, Status};
use crate::model::JobSpec;
pub use defaults::Identity;
use k8s_openapi::api::batch::v1::Job;
pub use offered::COMPLETIONS_MAX;
use serde_json::Value;
use std::sync::Arc;
pub(super) use validate::{dns_label, label_value, qualified_name};

const JOB: Expected = Expected { api_version: "batch/v1", kind: "Job", internal: "batch.Job" };

/// The parts of a request that writes a Job.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The bytes.
    pub body: &'a [u8],
    /// The Content-Type header; `None` means JSON.
    pub content_type: Option<&'a str>,
    /// The namespace in the path.
    pub namespace: &'a str,
    /// The query parameter `fieldValidation`.
    pub field_validation: FieldValidation,
}

/// A Job that may be stored.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// `metadata.name`, drawn if it was generated.
    pub name: String,
    /// Canonical JSON: `apiVersion`, `kind`, `metadata`, `spec`; no status, no `metadata.resourceVersion`.
    pub doc: Arc<str>,
    /// What the controller reads of `doc`.
    pub spec: JobSpec,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// A changed Job that may be stored.
#[derive(Clone, Debug)]
pub struct AdmittedUpdate {
    /// The Job. When `doc` equals the old document, nothing changed and no new version is due.
    pub job: Admitted,
    /// The spec changed; `metadata.generation` of `job.doc` is one more than before.
    pub changed: bool,
    /// `metadata.resourceVersion` of the body: the update holds only for this version.
    pub resource_version: Option<String>,
}

/// Admits a new Job.
///
/// # Errors
/// 400, 413, 415 or 422, in Kubernetes' words; for what Kubernetes would take and Coracle does not, 422 with a `Forbidden` at
/// the field.
pub fn admit_create(request: &Request<'_>, identity: &Identity) -> Result<Admitted, Status> {
    let Decoded { object: mut job, warnings } = decode_body(request)?;
    check_namespace(&job, request.namespace)?;
    if job.metadata.resource_version.as_ref().is_some_and(|version| !version.is_empty()) {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let shared_labels = defaults::set_defaults(&mut job);
    defaults::prepare_create(&mut job, request.namespace, identity, shared_labels);
    refuse(&job, validate::validate_create(&job))?;
    // The reference shows the generated labels on a Job without labels, because it defaults again when it reads.
    defaults::share_labels(&mut job);
    finish(&job, warnings, true)
}

/// Admits the body of a PUT in place of `old_doc`, an admitted document of the Job called `name`.
///
/// # Errors
/// As [`admit_create`]; 409 for another uid.
pub fn admit_update(old_doc: &str, name: &str, request: &Request<'_>) -> Result<AdmittedUpdate, Status> {
    let Decoded { object: job, warnings } = decode_body(request)?;
    let old = stored(old_doc)?;
    let (wanted, found) = (job.metadata.uid.as_deref().unwrap_or(""), old.metadata.uid.as_deref().unwrap_or(""));
    if !wanted.is_empty() && wanted != found {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
        return Err(Status::conflict(JOBS, name, &why));
    }
    replace(&old, job, name, request.namespace, warnings)
}

/// Admits the result of a PATCH in place of `old_doc`. Faults that a PUT answers with 400 are 422 here, as in the reference.
///
/// # Errors
/// As [`admit_update`].
pub fn admit_patched(
    old_doc: &str,
    name: &str,
    namespace: &str,
    mut patched: Value,
    field_validation: FieldValidation,
) -> Result<AdmittedUpdate, Status> {
    let shown = patched.to_string();
    let invalid = |detail: String| {
        let mut errors = FieldErrors::default();
        errors.invalid("patch", quoted(&shown), detail);
        Status::invalid("", "", "", &errors.into_vec())
    };
    let (job, faults) =
        defaults::normalise(&mut patched).and_then(|()| decode::typed::<Job>(patched)).map_err(invalid)?;
    let warnings = match field_validation {
        FieldValidation::Strict if !faults.is_empty() => {
            return Err(invalid(format!("strict decoding error: {}", faults.join(", "))));
        }
        FieldValidation::Warn => faults,
        FieldValidation::Strict | FieldValidation::Ignore => Vec::new(),
    };
    replace(&stored(old_doc)?, job, name, namespace, warnings)
}

fn decode_body(request: &Request<'_>) -> Result<Decoded<Job>, Status> {
    decode::decode(request.body, request.content_type, request.field_validation, JOB, defaults::normalise)
}

/// An admitted document as a typed Job.
fn stored(doc: &str) -> Result<Job, Status> {
    serde_json::from_str(doc).map_err(|error| Status::internal(&error))
}

fn check_namespace(job: &Job, namespace: &str) -> Result<(), Status> {
    match job.metadata.namespace.as_deref() {
        None | Some("") => Ok(()),
        Some(given) if given == namespace => Ok(()),
        Some(_) => Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

fn check_name(job: &Job, name: &str) -> Result<(), Status> {
    match job.metadata.name.as_deref().unwrap_or("") {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        given if given == name => Ok(()),
        given => Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

fn refuse(job: &Job, errors: Vec<FieldError>) -> Result<(), Status> {
    let name = job.metadata.name.as_deref().unwrap_or("");
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(JOBS.group, JOBS.kind, name, &errors)) }
}

fn replace(
    old: &Job,
    mut job: Job,
    name: &str,
    namespace: &str,
    warnings: Vec<String>,
) -> Result<AdmittedUpdate, Status> {
    check_name(&job, name)?;
    check_namespace(&job, namespace)?;
    let resource_version = job.metadata.resource_version.take().filter(|version| !version.is_empty());
    defaults::set_defaults(&mut job);
    defaults::prepare_update(&mut job, old);
    refuse(&job, validate::validate_update(&job, old))?;
    let changed = !canonical::semantic_eq(&job.spec, &old.spec);
    if changed {
        job.metadata.generation = job.metadata.generation.map(|generation| generation.saturating_add(1));
    }
    Ok(AdmittedUpdate { job: finish(&job, warnings, changed)?, changed, resource_version })
}

/// Our own rules, then the document.
fn finish(job: &Job, mut warnings: Vec<String>, spec_is_new: bool) -> Result<Admitted, Status> {
    let document = canonical::document(job);
    let mut errors = FieldErrors::default();
    offered::check(&document, &mut errors);
    refuse(job, errors.into_vec())?;
    if spec_is_new {
        warnings.extend(validate::warnings(job));
    }
    let doc: Arc<str> = document.to_string().into();
    let spec = JobSpec::from_doc(&doc).map_err(|error| Status::internal(&error))?;
    Ok(Admitted { name: job.metadata.name.clone().unwrap_or_default(), doc, spec, warnings })
}
