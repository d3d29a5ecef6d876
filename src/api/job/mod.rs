//! Admission of Jobs: from a request's bytes to the document that is stored.
//!
//! The pipeline is the reference's: `decode` → `defaults` → `validate` (Kubernetes' rules) →
//! `offered` (ours) → `canonical`. Start with [`admit_create`]. It must not know the engine; whether a name is taken or a
//! namespace exists is asked elsewhere. Invariant: `JobSpec::from_doc` reads every admitted document.

mod canonical;
mod defaults;
mod labels;
mod offered;
mod pruned;
mod validate;

#[cfg(test)]
mod tests;

use super::decode::{self, Decoded, Expected, FieldValidation};
use super::field::{FieldError, FieldErrors};
use super::status::{JOBS, Resource, Status};
use super::warnings::Warnings;
use crate::model::JobSpec;
pub use defaults::Identity;
pub(super) use defaults::texts_for_nulls;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
pub use offered::COMPLETIONS_MAX;
pub(super) use offered::is_foreign as is_foreign_annotation;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::sync::Arc;
pub(super) use validate::{
    label_value, qualified_name, validate_finalizers, validate_meta_of_cluster, validate_meta_update,
    validate_of_namespace,
};

const JOB: Expected = Expected {
    api_version: "batch/v1",
    kind: "Job",
    internal: "batch.Job",
    is_in_every_group: false,
    message: &decode::protobuf::JOB,
};

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

/// What a change is made to.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// The object's admitted document.
    pub doc: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The versions at which the object has this document: a change that was made from one of them is up to date.
    pub versions: RangeInclusive<u64>,
    /// Of a Job: nothing of it runs, and it has not started or is shown as suspended, so that its template may change if it
    /// is suspended.
    pub is_idle: bool,
}

impl Stored<'_> {
    /// Holds the version that a change names, if any, against the object's. True when it names one (kubernetes: 0 is none).
    ///
    /// # Errors
    /// 409 for another version, 400 for what is none.
    pub(super) fn check_version(&self, resource: Resource, change: &ObjectMeta) -> Result<bool, Status> {
        let text = change.resource_version.as_deref().unwrap_or("");
        if text.is_empty() {
            return Ok(false);
        }
        match text.parse() {
            Ok(0_u64) => Ok(false),
            Ok(version) if self.versions.contains(&version) => Ok(true),
            Ok(_) => Err(Status::modified(resource, self.name)),
            Err(_) => Err(Status::bad_request(format!("invalid resource version \"{text}\""))),
        }
    }
}

/// A changed Job that may be stored.
#[derive(Clone, Debug)]
pub struct AdmittedUpdate {
    /// The Job. When `doc` equals the old document, nothing changed and no new version is due.
    pub job: Admitted,
    /// The spec changed; `metadata.generation` of `job.doc` is one more than before.
    pub changed: bool,
    /// The change named the version that it was made from, and holds for that one only.
    pub names_version: bool,
}

/// Reads the body of a POST. What follows asks first whether its namespace is there (kubernetes: `NamespaceLifecycle` comes
/// before validation).
///
/// # Errors
/// 400, 413 or 415, in Kubernetes' words.
pub fn read_create(request: &Request<'_>) -> Result<Decoded<Job>, Status> {
    let decoded: Decoded<Job> =
        decode::decode(request.body, request.content_type, request.field_validation, JOB, defaults::normalise)?;
    check_namespace(&decoded.object, request.namespace)?;
    Ok(decoded)
}

/// Reads the body of a PUT of the Job called `name`.
///
/// # Errors
/// As [`read_create`].
pub fn read_update(request: &Request<'_>, name: &str) -> Result<Decoded<Job>, Status> {
    let decoded = read_create(request)?;
    check_name(&decoded.object.metadata, name)?;
    Ok(decoded)
}

/// Admits a new Job.
///
/// # Errors
/// 400 or 422, in Kubernetes' words; for what Kubernetes would take and Coracle does not, 422 with a `Forbidden` at the field.
pub fn admit_create(decoded: Decoded<Job>, namespace: &str, identity: &Identity) -> Result<Admitted, Status> {
    let Decoded { object: mut job, warnings } = decoded;
    if job.metadata.resource_version.as_ref().is_some_and(|version| !version.is_empty()) {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let shared_labels = defaults::set_defaults(&mut job);
    defaults::prepare_create(&mut job, namespace, identity, shared_labels);
    refuse(&job, validate::validate_create(&job))?;
    // The reference shows the generated labels on a Job without labels, because it defaults again when it reads.
    defaults::share_labels(&mut job);
    finish(&job, &warnings, true)
}

/// Admits the body of a PUT in place of `stored`. Its uid and its version come before its faults (kubernetes: `Store.Update`).
///
/// # Errors
/// As [`admit_create`]; 409 for another uid or another version.
pub fn admit_update(stored: &Stored<'_>, decoded: Decoded<Job>) -> Result<AdmittedUpdate, Status> {
    let old = parsed(stored)?;
    check_uid(JOBS, &decoded.object.metadata, &old.metadata, stored.name)?;
    replace(stored, &old, decoded)
}

/// The result of a PATCH.
#[derive(Debug)]
pub struct Patched<'a> {
    /// The stored document with the patch.
    pub value: Value,
    /// Paths of the keys that stood twice in the patch.
    pub repeated: &'a [String],
    /// The namespace in the path.
    pub namespace: &'a str,
    /// The query parameter `fieldValidation`.
    pub field_validation: FieldValidation,
}

/// Admits the result of a PATCH in place of `stored`. Faults that a PUT answers with 400 are 422 here, as in the reference.
///
/// # Errors
/// As [`admit_update`].
pub fn admit_patched(stored: &Stored<'_>, patched: Patched<'_>) -> Result<AdmittedUpdate, Status> {
    let Patched { value, repeated, namespace, field_validation } = patched;
    let decoded: Decoded<Job> = decode::decode_patched(value, repeated, field_validation, defaults::normalise)?;
    check_name(&decoded.object.metadata, stored.name)?;
    check_namespace(&decoded.object, namespace)?;
    replace(stored, &parsed(stored)?, decoded)
}

fn parsed(stored: &Stored<'_>) -> Result<Job, Status> {
    serde_json::from_str(stored.doc).map_err(|error| Status::internal(&error))
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

/// The name in a body is that of the path.
pub(super) fn check_name(metadata: &ObjectMeta, name: &str) -> Result<(), Status> {
    match metadata.name.as_deref().unwrap_or("") {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        given if given == name => Ok(()),
        given => Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

/// A PUT may say which object it replaces. (By PATCH another uid is a change of an immutable field.)
pub(super) fn check_uid(resource: Resource, new: &ObjectMeta, old: &ObjectMeta, name: &str) -> Result<(), Status> {
    let (wanted, found) = (new.uid.as_deref().unwrap_or(""), old.uid.as_deref().unwrap_or(""));
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
    Err(Status::conflict(resource, name, &why))
}

fn refuse(job: &Job, errors: Vec<FieldError>) -> Result<(), Status> {
    let name = job.metadata.name.as_deref().unwrap_or("");
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(JOBS.group, JOBS.kind, name, &errors)) }
}

fn replace(stored: &Stored<'_>, old: &Job, decoded: Decoded<Job>) -> Result<AdmittedUpdate, Status> {
    let Decoded { object: mut job, warnings } = decoded;
    let names_version = stored.check_version(JOBS, &job.metadata)?;
    job.metadata.resource_version = None;
    defaults::set_defaults(&mut job);
    defaults::prepare_update(&mut job, old);
    refuse(&job, validate::validate_update(&job, old, stored.is_idle))?;
    let changed = !canonical::semantic_eq(&job.spec, &old.spec);
    if changed {
        job.metadata.generation = job.metadata.generation.map(|generation| generation.saturating_add(1));
    }
    Ok(AdmittedUpdate { job: finish(&job, &warnings, changed)?, changed, names_version })
}

/// Our own rules, then the document.
fn finish(job: &Job, decoding: &[String], spec_is_new: bool) -> Result<Admitted, Status> {
    let document = pruned::text(job);
    let mut errors = FieldErrors::default();
    offered::check(&document, &mut errors);
    refuse(job, errors.into_vec())?;
    let mut warnings: Warnings = decoding.iter().map(String::as_str).collect();
    if spec_is_new {
        validate::warnings(job, &mut warnings);
    }
    let spec = JobSpec::from_doc(&document).map_err(|error| Status::internal(&error))?;
    let name = job.metadata.name.clone().unwrap_or_default();
    Ok(Admitted { name, doc: document.into(), spec, warnings: warnings.into_vec() })
}
