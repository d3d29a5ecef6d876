//! Names, labels, annotations, owners and finalizers of any object (kubernetes: `ValidateObjectMeta`).

use super::text::{dns_label, dns_subdomain, label_value, qualified_name};
use crate::api::field::{FieldErrors, json, quoted};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Arguments;

/// All keys and values of an object's annotations together (kubernetes: `TotalAnnotationSizeLimitB`).
const ANNOTATION_BYTES_MAX: usize = 256 * 1024;

type Texts = BTreeMap<String, String>;

/// The metadata of a namespaced object whose name is a DNS subdomain.
pub(super) fn validate(metadata: &ObjectMeta, path: Arguments<'_>, errors: &mut FieldErrors) {
    names(metadata, dns_subdomain, path, errors);
    let namespace = metadata.namespace.as_deref().unwrap_or("");
    for message in dns_label(namespace) {
        errors.invalid(format!("{path}.namespace"), quoted(namespace), message);
    }
    contents(metadata, path, errors);
}

/// The metadata of a namespace, whose name is a DNS label.
pub(in crate::api) fn validate_of_namespace(metadata: &ObjectMeta, errors: &mut FieldErrors) {
    names(metadata, dns_label, format_args!("metadata"), errors);
    contents(metadata, format_args!("metadata"), errors);
}

/// The metadata of an object in no namespace whose name is a DNS subdomain.
pub(in crate::api) fn validate_of_cluster(metadata: &ObjectMeta, errors: &mut FieldErrors) {
    names(metadata, dns_subdomain, format_args!("metadata"), errors);
    contents(metadata, format_args!("metadata"), errors);
}

fn names(metadata: &ObjectMeta, rule: fn(&str) -> Vec<String>, path: Arguments<'_>, errors: &mut FieldErrors) {
    let prefix = metadata.generate_name.as_deref().unwrap_or("");
    if !prefix.is_empty() {
        for message in rule(&without_trailing_dash(prefix)) {
            errors.invalid(format!("{path}.generateName"), quoted(prefix), message);
        }
    }
    match metadata.name.as_deref().unwrap_or("") {
        "" => errors.required(format!("{path}.name"), "name or generateName is required"),
        name => {
            for message in rule(name) {
                errors.invalid(format!("{path}.name"), quoted(name), message);
            }
        }
    }
}

fn contents(metadata: &ObjectMeta, path: Arguments<'_>, errors: &mut FieldErrors) {
    labels(metadata.labels.as_ref(), format_args!("{path}.labels"), errors);
    annotations(metadata.annotations.as_ref(), format_args!("{path}.annotations"), errors);
    owners(metadata.owner_references.as_deref().unwrap_or(&[]), format_args!("{path}.ownerReferences"), errors);
    finalizers(metadata.finalizers.as_deref().unwrap_or(&[]), format_args!("{path}.finalizers"), errors);
}

/// A prefix may end with a dash, because characters follow (kubernetes: `maskTrailingDash`).
fn without_trailing_dash(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let kept = rest.char_indices().next_back().map_or("", |(at, _)| &rest[..at]);
            format!("{kept}a")
        }
        _ => prefix.to_owned(),
    }
}

/// kubernetes: `ValidateLabels`.
pub(super) fn labels(labels: Option<&Texts>, path: Arguments<'_>, errors: &mut FieldErrors) {
    for (key, value) in labels.into_iter().flatten() {
        for message in qualified_name(key) {
            errors.invalid(path, quoted(key), message);
        }
        for message in label_value(value) {
            errors.invalid(path, quoted(value), message);
        }
    }
}

/// kubernetes: `ValidateAnnotations`; upper case does not matter in keys.
pub(super) fn annotations(annotations: Option<&Texts>, path: Arguments<'_>, errors: &mut FieldErrors) {
    for key in annotations.into_iter().flat_map(BTreeMap::keys) {
        for message in qualified_name(&key.to_lowercase()) {
            errors.invalid(path, quoted(key), message);
        }
    }
    let bytes: usize = annotations.into_iter().flatten().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ANNOTATION_BYTES_MAX {
        errors.too_long(path, ANNOTATION_BYTES_MAX);
    }
}

/// kubernetes: `ValidateOwnerReferences`.
fn owners(owners: &[OwnerReference], path: Arguments<'_>, errors: &mut FieldErrors) {
    let mut controller: Option<String> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or("");
        if version.is_empty() {
            errors.invalid(format!("{path}.apiVersion"), quoted(&owner.api_version), "version must not be empty");
        }
        for (field, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.invalid(format!("{path}.{field}"), quoted(value), "must not be empty");
            }
        }
        if (owner.api_version.as_str(), owner.kind.as_str()) == ("v1", "Event") {
            errors.invalid(path, json(owner), "/v1, Kind=Event is disallowed from being an owner");
        }
    }
    for owner in owners.iter().filter(|owner| owner.controller == Some(true)) {
        let name = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(name),
            Some(first) => errors.invalid(
                path,
                json(&owners),
                format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"),
            ),
        }
    }
}

/// kubernetes: `ValidateFinalizers`.
pub(in crate::api) fn finalizers(finalizers: &[String], path: Arguments<'_>, errors: &mut FieldErrors) {
    for finalizer in finalizers {
        for message in qualified_name(finalizer) {
            errors.invalid(path, quoted(finalizer), message);
        }
    }
    let has = |wanted: &str| finalizers.iter().any(|finalizer| finalizer == wanted);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid(path, json(&finalizers), detail);
    }
}

/// What may not change in an update (kubernetes: `ValidateObjectMetaUpdate`); the syntax again.
pub(in crate::api) fn validate_update(
    new: &ObjectMeta,
    old: &ObjectMeta,
    path: Arguments<'_>,
    errors: &mut FieldErrors,
) {
    if old.deletion_timestamp.is_some() {
        let known: BTreeSet<&String> = old.finalizers.iter().flatten().collect();
        let added: BTreeSet<&String> = new.finalizers.iter().flatten().filter(|name| !known.contains(name)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
            );
            errors.forbidden(format!("{path}.finalizers"), detail);
        }
    }
    let mut immutable = |field: &str, new: String, old: String| {
        if new != old {
            errors.invalid(format!("{path}.{field}"), new, "field is immutable");
        }
    };
    let text = |text: &Option<String>| quoted(text.as_deref().unwrap_or(""));
    immutable("name", text(&new.name), text(&old.name));
    immutable("namespace", text(&new.namespace), text(&old.namespace));
    immutable("uid", text(&new.uid), text(&old.uid));
    immutable("deletionTimestamp", json(&new.deletion_timestamp), json(&old.deletion_timestamp));
    immutable(
        "deletionGracePeriodSeconds",
        json(&new.deletion_grace_period_seconds),
        json(&old.deletion_grace_period_seconds),
    );
    labels(new.labels.as_ref(), format_args!("{path}.labels"), errors);
    annotations(new.annotations.as_ref(), format_args!("{path}.annotations"), errors);
    owners(new.owner_references.as_deref().unwrap_or(&[]), format_args!("{path}.ownerReferences"), errors);
}
