//! Admission of namespaces: from a request's bytes to the document that is stored.
//!
//! Owns what a namespace gets from the server and what of it may change (kubernetes: `namespace/strategy.go`). It must not know
//! the engine. Invariant: an admitted document has its own name as a label, the finalizer `kubernetes`, and no status.

use super::decode::{Decoded, Expected, FieldValidation, decode, decode_patched, protobuf};
use super::field::FieldErrors;
use super::job::{Identity, check_name, check_uid, is_foreign_annotation, validate_meta_update, validate_of_namespace};
use super::{NAMESPACES, Status};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const NAMESPACE: Expected = Expected {
    api_version: "v1",
    kind: "Namespace",
    internal: "core.Namespace",
    is_in_every_group: false,
    message: &protobuf::NAMESPACE,
};

/// kubernetes: the label that every namespace carries its own name in.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// kubernetes: the finalizer in the spec of every namespace.
const FINALIZER: &str = "kubernetes";

/// The parts of a request that writes a namespace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) body: &'a [u8],
    pub(super) content_type: Option<&'a str>,
    pub(super) field_validation: FieldValidation,
}

/// A namespace that may be stored.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) name: String,
    /// Canonical JSON without status and without `metadata.resourceVersion`.
    pub(super) doc: Arc<str>,
    /// Texts for `Warning` headers.
    pub(super) warnings: Vec<String>,
    /// `metadata.resourceVersion` of the body of a change: it holds only for this version.
    pub(super) resource_version: Option<String>,
}

/// Admits a new namespace.
///
/// # Errors
/// 400, 413, 415 or 422.
pub(super) fn admit_create(request: Request<'_>, identity: &Identity) -> Result<Admitted, Status> {
    let Decoded { object: mut namespace, warnings } = decode_body(request)?;
    if namespace.metadata.resource_version.as_ref().is_some_and(|version| !version.is_empty()) {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let metadata = &mut namespace.metadata;
    if let (None, Some(prefix)) = (given(&metadata.name), given(&metadata.generate_name)) {
        metadata.name = Some(crate::base::generated_name(&prefix, identity.name_draw));
    }
    let mut errors = FieldErrors::default();
    validate_of_namespace(&namespace.metadata, &mut errors);
    refuse_unoffered(&namespace.metadata, &mut errors);
    let finalizers = namespace.spec.unwrap_or_default().finalizers.unwrap_or_default();
    if finalizers.iter().any(|finalizer| finalizer != FINALIZER) {
        errors.forbidden("spec.finalizers", "not offered by this version of Coracle: finalizers");
    }
    finish(namespace.metadata, &identity.uid.to_string(), &identity.created.to_string(), warnings, errors)
}

/// Admits the body of a PUT in place of `old_doc`, an admitted document of the namespace called `name`.
///
/// # Errors
/// As [`admit_create`]; 409 for another uid.
pub(super) fn admit_update(old_doc: &str, name: &str, request: Request<'_>) -> Result<Admitted, Status> {
    let Decoded { object, warnings } = decode_body(request)?;
    let old = stored(old_doc)?;
    check_uid(NAMESPACES, &object.metadata, &old.metadata, name)?;
    replace(old, object, name, warnings)
}

/// Admits the result of a PATCH in place of `old_doc`.
///
/// # Errors
/// As [`admit_update`]; faults of the body are 422.
pub(super) fn admit_patched(
    old_doc: &str,
    name: &str,
    value: Value,
    repeated: &[String],
    field_validation: FieldValidation,
) -> Result<Admitted, Status> {
    let Decoded { object, warnings } = decode_patched::<Namespace>(value, repeated, field_validation, texts_for_nulls)?;
    replace(stored(old_doc)?, object, name, warnings)
}

fn decode_body(request: Request<'_>) -> Result<Decoded<Namespace>, Status> {
    decode(request.body, request.content_type, request.field_validation, NAMESPACE, texts_for_nulls)
}

fn texts_for_nulls(value: &mut Value) -> Result<(), String> {
    super::job::texts_for_nulls(value.pointer_mut("/metadata"));
    Ok(())
}

fn stored(doc: &str) -> Result<Namespace, Status> {
    serde_json::from_str(doc).map_err(|error| Status::internal(&error))
}

/// What a change cannot touch is taken from the stored namespace (kubernetes: `rest.BeforeUpdate`, `PrepareForUpdate`: spec and
/// status too).
fn replace(old: Namespace, new: Namespace, name: &str, warnings: Vec<String>) -> Result<Admitted, Status> {
    let (old, mut metadata) = (old.metadata, new.metadata);
    check_name(&metadata, name)?;
    metadata.namespace = None;
    if metadata.uid.as_ref().is_none_or(String::is_empty) {
        metadata.uid.clone_from(&old.uid);
    }
    let mut errors = FieldErrors::default();
    validate_meta_update(&metadata, &old, "metadata", &mut errors);
    refuse_unoffered(&metadata, &mut errors);
    let created = old.creation_timestamp.map(|at| at.0.to_string()).unwrap_or_default();
    finish(metadata, old.uid.as_deref().unwrap_or(""), &created, warnings, errors)
}

/// What Kubernetes would take and Coracle does not.
fn refuse_unoffered(metadata: &ObjectMeta, errors: &mut FieldErrors) {
    let mut refuse = |path: &str, missing: &str| {
        errors.forbidden(path, format!("not offered by this version of Coracle: {missing}"));
    };
    if metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty()) {
        refuse("metadata.finalizers", "finalizers");
    }
    if metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty()) {
        refuse("metadata.ownerReferences", "garbage collection by owner");
    }
    for key in metadata.annotations.iter().flatten().map(|(key, _)| key).filter(|key| !is_foreign_annotation(key)) {
        refuse(&format!("metadata.annotations[{key}]"), "an annotation of this name");
    }
}

fn finish(
    metadata: ObjectMeta,
    uid: &str,
    created: &str,
    warnings: Vec<String>,
    errors: FieldErrors,
) -> Result<Admitted, Status> {
    let name = metadata.name.unwrap_or_default();
    if !errors.is_empty() {
        return Err(Status::invalid(NAMESPACES.group, NAMESPACES.kind, &name, &errors.into_vec()));
    }
    let mut labels = metadata.labels.unwrap_or_default();
    labels.insert(NAME_LABEL.to_owned(), name.clone());
    let mut shown = Map::new();
    shown.insert("name".to_owned(), json!(name));
    if let Some(prefix) = metadata.generate_name.filter(|prefix| !prefix.is_empty()) {
        shown.insert("generateName".to_owned(), json!(prefix));
    }
    shown.insert("uid".to_owned(), json!(uid));
    shown.insert("creationTimestamp".to_owned(), json!(created));
    shown.insert("labels".to_owned(), json!(labels));
    if let Some(annotations) = metadata.annotations.filter(|annotations| !BTreeMap::is_empty(annotations)) {
        shown.insert("annotations".to_owned(), json!(annotations));
    }
    let doc = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": shown,
        "spec": { "finalizers": [FINALIZER] },
    });
    let resource_version = metadata.resource_version.filter(|version| !version.is_empty());
    Ok(Admitted { name, doc: doc.to_string().into(), warnings, resource_version })
}
