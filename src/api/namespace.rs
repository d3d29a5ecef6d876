//! Admission of namespaces: from a request's bytes to the document that is stored.
//!
//! Owns what a namespace gets from the server and what of it may change (kubernetes: `namespace/strategy.go`). It must not know
//! the engine. Invariant: an admitted document has its own name as a label, the finalizer `kubernetes`, and no status.

use super::decode::{Decoded, Expected, FieldValidation, decode, decode_patched, protobuf};
use super::field::FieldErrors;
use super::job::{
    Identity, Stored, check_name, check_uid, is_foreign_annotation, validate_meta_update, validate_of_namespace,
};
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
    /// A change named the version that it was made from, and holds for that one only.
    pub(super) names_version: bool,
}

/// Reads the body of a POST.
///
/// # Errors
/// 400, 413 or 415.
pub(super) fn read_create(request: Request<'_>) -> Result<Decoded<Namespace>, Status> {
    decode(request.body, request.content_type, request.field_validation, NAMESPACE, texts_for_nulls)
}

/// Reads the body of a PUT of the namespace called `name`.
///
/// # Errors
/// As [`read_create`].
pub(super) fn read_update(request: Request<'_>, name: &str) -> Result<Decoded<Namespace>, Status> {
    let decoded = read_create(request)?;
    check_name(&decoded.object.metadata, name)?;
    Ok(decoded)
}

/// Admits a new namespace.
///
/// # Errors
/// 400 or 422.
pub(super) fn admit_create(decoded: Decoded<Namespace>, identity: &Identity) -> Result<Admitted, Status> {
    let Decoded { object: mut namespace, warnings } = decoded;
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
    let (name, doc) = finish(namespace.metadata, &identity.uid.to_string(), &identity.created.to_string(), errors)?;
    Ok(Admitted { name, doc, warnings, names_version: false })
}

/// Admits the body of a PUT in place of `stored`. Its uid and its version come before its faults (kubernetes: `Store.Update`).
///
/// # Errors
/// As [`admit_create`]; 409 for another uid or another version.
pub(super) fn admit_update(stored: &Stored<'_>, decoded: Decoded<Namespace>) -> Result<Admitted, Status> {
    let old = parsed(stored)?;
    check_uid(NAMESPACES, &decoded.object.metadata, &old.metadata, stored.name)?;
    replace(stored, old, decoded)
}

/// Admits the result of a PATCH in place of `stored`.
///
/// # Errors
/// As [`admit_update`]; faults of the body are 422.
pub(super) fn admit_patched(
    stored: &Stored<'_>,
    value: Value,
    repeated: &[String],
    field_validation: FieldValidation,
) -> Result<Admitted, Status> {
    let decoded: Decoded<Namespace> = decode_patched(value, repeated, field_validation, texts_for_nulls)?;
    check_name(&decoded.object.metadata, stored.name)?;
    replace(stored, parsed(stored)?, decoded)
}

fn texts_for_nulls(value: &mut Value) -> Result<(), String> {
    super::job::texts_for_nulls(value.pointer_mut("/metadata"));
    Ok(())
}

fn parsed(stored: &Stored<'_>) -> Result<Namespace, Status> {
    serde_json::from_str(stored.doc).map_err(|error| Status::internal(&error))
}

/// What a change cannot touch is taken from the stored namespace (kubernetes: `rest.BeforeUpdate`, `PrepareForUpdate`: spec and
/// status too).
fn replace(stored: &Stored<'_>, old: Namespace, decoded: Decoded<Namespace>) -> Result<Admitted, Status> {
    let (old, mut metadata, warnings) = (old.metadata, decoded.object.metadata, decoded.warnings);
    let names_version = stored.check_version(NAMESPACES, &metadata)?;
    metadata.namespace = None;
    if metadata.uid.as_ref().is_none_or(String::is_empty) {
        metadata.uid.clone_from(&old.uid);
    }
    let mut errors = FieldErrors::default();
    validate_meta_update(&metadata, &old, "metadata", &mut errors);
    refuse_unoffered(&metadata, &mut errors);
    let created = old.creation_timestamp.map(|at| at.0.to_string()).unwrap_or_default();
    let (name, doc) = finish(metadata, old.uid.as_deref().unwrap_or(""), &created, errors)?;
    Ok(Admitted { name, doc, warnings, names_version })
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

/// The name and the document, if there is nothing wrong.
fn finish(metadata: ObjectMeta, uid: &str, created: &str, errors: FieldErrors) -> Result<(String, Arc<str>), Status> {
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
    Ok((name, doc.to_string().into()))
}
