//! What is a namespace's own among the objects that are only documents.
//!
//! Owns what a namespace gets from the server and what of it may change (kubernetes: `namespace/strategy.go`). Invariant: an
//! admitted namespace has its own name as a label and the finalizer `kubernetes`.

use super::decode::{Expected, protobuf};
use super::field::FieldErrors;
use super::job::validate_of_namespace;
use super::plain::Plain;
use super::{NAMESPACES, Resource};
use crate::model::Kind;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

/// kubernetes: the label that every namespace carries its own name in.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// kubernetes: the finalizer in the spec of every namespace.
const FINALIZER: &str = "kubernetes";

impl Plain for Namespace {
    const EXPECTED: Expected = Expected {
        api_version: "v1",
        kind: "Namespace",
        internal: "core.Namespace",
        is_in_every_group: false,
        message: &protobuf::NAMESPACE,
    };
    const RESOURCE: Resource = NAMESPACES;
    const KIND: Kind = Kind::Namespace;

    fn metadata(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_of_namespace(&self.metadata, errors);
        let finalizers = self.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
        if finalizers.into_iter().flatten().any(|finalizer| finalizer != FINALIZER) {
            errors.forbidden("spec.finalizers", "not offered by this version of Coracle: finalizers");
        }
    }

    /// Spec and status are the server's.
    fn replace(&mut self, _old: Self, _errors: &mut FieldErrors) {}

    fn body(self, metadata: &mut Map<String, Value>) -> Map<String, Value> {
        let name = metadata["name"].clone();
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        labels[NAME_LABEL] = name;
        Map::from_iter([("spec".to_owned(), json!({ "finalizers": [FINALIZER] }))])
    }

    /// A namespace is Active from the first: none is deleted.
    fn status() -> Option<Value> {
        Some(json!({"phase": "Active"}))
    }
}
