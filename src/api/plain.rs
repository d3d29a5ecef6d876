//! Admission of objects that are only documents and are in no namespace: from a request's bytes to what is stored.
//!
//! Owns what they have in common (kubernetes: `rest.BeforeCreate`, `rest.BeforeUpdate`); `namespace.rs` and
//! `priority_class.rs` say what is theirs. It must not know the engine. Invariant: an admitted document has its name, its
//! uid and its creationTimestamp, and no status.

use super::decode::{Decoded, Expected, FieldValidation, decode, decode_patched};
use super::field::FieldErrors;
use super::job::{Identity, Stored, check_name, check_uid, is_foreign_annotation, validate_meta_update};
use super::{Resource, Status};
use crate::model::Kind;
use crate::view::View;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// A kind of such objects.
pub(super) trait Plain: DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// What a body must be.
    const EXPECTED: Expected;
    /// How errors name it.
    const RESOURCE: Resource;
    /// How the engine names it.
    const KIND: Kind;

    fn metadata(&mut self) -> &mut ObjectMeta;

    /// Fills in what was left out.
    fn set_defaults(&mut self) {}

    /// The faults of a new object.
    fn validate(&self, errors: &mut FieldErrors);

    /// The faults of what `self` would change in `old`, beside those of the metadata; what is the server's is taken over.
    fn replace(&mut self, old: Self, errors: &mut FieldErrors);

    /// The document without `apiVersion`, `kind` and `metadata`; labels and more may be added to `metadata`.
    fn body(self, metadata: &mut Map<String, Value>) -> Map<String, Value>;

    /// The status of every object of the kind, if it has one.
    fn status() -> Option<Value>;

    /// What the others that are there forbid.
    ///
    /// # Errors
    /// 403.
    fn check_beside(_new: &Admitted, _view: &View) -> Result<(), Status> {
        Ok(())
    }

    /// Why an object of this name cannot be deleted.
    ///
    /// # Errors
    /// 403.
    fn check_deletion(_name: &str) -> Result<(), Status> {
        Ok(())
    }
}

/// The parts of a request that writes such an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) body: &'a [u8],
    pub(super) content_type: Option<&'a str>,
    pub(super) field_validation: FieldValidation,
}

/// An object that may be stored.
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
pub(super) fn read_create<T: Plain>(request: Request<'_>) -> Result<Decoded<T>, Status> {
    decode(request.body, request.content_type, request.field_validation, T::EXPECTED, texts_for_nulls)
}

/// Reads the body of a PUT of the object called `name`.
///
/// # Errors
/// As [`read_create`].
pub(super) fn read_update<T: Plain>(request: Request<'_>, name: &str) -> Result<Decoded<T>, Status> {
    let mut decoded = read_create::<T>(request)?;
    check_name(decoded.object.metadata(), name)?;
    Ok(decoded)
}

/// Admits a new object.
///
/// # Errors
/// 400 or 422.
pub(super) fn admit_create<T: Plain>(decoded: Decoded<T>, identity: &Identity) -> Result<Admitted, Status> {
    let Decoded { mut object, warnings } = decoded;
    let metadata = object.metadata();
    if metadata.resource_version.as_ref().is_some_and(|version| !version.is_empty()) {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let (None, Some(prefix)) = (given(&metadata.name), given(&metadata.generate_name)) {
        metadata.name = Some(crate::base::generated_name(&prefix, identity.name_draw));
    }
    object.set_defaults();
    let mut errors = FieldErrors::default();
    object.validate(&mut errors);
    refuse_unoffered(object.metadata(), &mut errors);
    let (name, doc) = finish(object, &identity.uid.to_string(), &identity.created.to_string(), errors)?;
    Ok(Admitted { name, doc, warnings, names_version: false })
}

/// Admits the body of a PUT in place of `stored`. Its uid and its version come before its faults (kubernetes: `Store.Update`).
///
/// # Errors
/// As [`admit_create`]; 409 for another uid or another version.
pub(super) fn admit_update<T: Plain>(stored: &Stored<'_>, mut decoded: Decoded<T>) -> Result<Admitted, Status> {
    let mut old: T = parsed(stored)?;
    check_uid(T::RESOURCE, decoded.object.metadata(), old.metadata(), stored.name)?;
    replace(stored, old, decoded)
}

/// Admits the result of a PATCH in place of `stored`.
///
/// # Errors
/// As [`admit_update`]; faults of the body are 422.
pub(super) fn admit_patched<T: Plain>(
    stored: &Stored<'_>,
    value: Value,
    repeated: &[String],
    field_validation: FieldValidation,
) -> Result<Admitted, Status> {
    let mut decoded: Decoded<T> = decode_patched(value, repeated, field_validation, texts_for_nulls)?;
    check_name(decoded.object.metadata(), stored.name)?;
    replace(stored, parsed(stored)?, decoded)
}

fn texts_for_nulls(value: &mut Value) -> Result<(), String> {
    super::job::texts_for_nulls(value.pointer_mut("/metadata"));
    Ok(())
}

fn parsed<T: Plain>(stored: &Stored<'_>) -> Result<T, Status> {
    serde_json::from_str(stored.doc).map_err(|error| Status::internal(&error))
}

/// What a change cannot touch is taken from the stored object (kubernetes: `rest.BeforeUpdate`, `PrepareForUpdate`).
fn replace<T: Plain>(stored: &Stored<'_>, mut old: T, decoded: Decoded<T>) -> Result<Admitted, Status> {
    let Decoded { mut object, warnings } = decoded;
    let (metadata, was) = (object.metadata(), old.metadata().clone());
    let names_version = stored.check_version(T::RESOURCE, metadata)?;
    metadata.namespace = None;
    if metadata.uid.as_ref().is_none_or(String::is_empty) {
        metadata.uid.clone_from(&was.uid);
    }
    let mut errors = FieldErrors::default();
    validate_meta_update(metadata, &was, format_args!("metadata"), &mut errors);
    refuse_unoffered(metadata, &mut errors);
    object.set_defaults();
    object.replace(old, &mut errors);
    let created = was.creation_timestamp.map(|at| at.0.to_string()).unwrap_or_default();
    let (name, doc) = finish(object, was.uid.as_deref().unwrap_or(""), &created, errors)?;
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
fn finish<T: Plain>(
    mut object: T,
    uid: &str,
    created: &str,
    errors: FieldErrors,
) -> Result<(String, Arc<str>), Status> {
    let metadata = std::mem::take(object.metadata());
    let name = metadata.name.unwrap_or_default();
    if !errors.is_empty() {
        return Err(Status::invalid(T::RESOURCE.group, T::RESOURCE.kind, &name, &errors.into_vec()));
    }
    let mut shown = Map::new();
    shown.insert("name".to_owned(), json!(name));
    if let Some(prefix) = metadata.generate_name.filter(|prefix| !prefix.is_empty()) {
        shown.insert("generateName".to_owned(), json!(prefix));
    }
    shown.insert("uid".to_owned(), json!(uid));
    shown.insert("creationTimestamp".to_owned(), json!(created));
    for (field, map) in [("labels", metadata.labels), ("annotations", metadata.annotations)] {
        if let Some(map) = map.filter(|map| !BTreeMap::is_empty(map)) {
            shown.insert(field.to_owned(), json!(map));
        }
    }
    let mut doc = object.body(&mut shown);
    doc.insert("apiVersion".to_owned(), json!(T::EXPECTED.api_version));
    doc.insert("kind".to_owned(), json!(T::EXPECTED.kind));
    doc.insert("metadata".to_owned(), Value::Object(shown));
    Ok((name, Value::Object(doc).to_string().into()))
}
