//! What is a PriorityClass's own among the objects that are only documents.
//!
//! Owns its rules (kubernetes: `pkg/apis/scheduling/validation`, the admission plugin `Priority`). Invariant: the value and
//! the preemption policy of an admitted class never change.

use super::decode::{Expected, protobuf};
use super::field::{FieldErrors, quoted};
use super::job::validate_meta_of_cluster;
use super::plain::{Admitted, Plain};
use super::{PRIORITY_CLASSES, Resource, Status};
use crate::model::{Kind, PriorityClass as Class};
use crate::view::View;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

/// kubernetes: `HighestUserDefinablePriority`.
const USER_VALUE_MAX: i32 = 1_000_000_000;

/// kubernetes: `SystemPriorityClassPrefix`.
const SYSTEM_PREFIX: &str = "system-";

/// The classes that always exist, and their values (kubernetes: `SystemPriorityClasses`).
const SYSTEM: [(&str, i32); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

const POLICIES: [&str; 2] = ["Never", "PreemptLowerPriority"];

impl Plain for PriorityClass {
    const EXPECTED: Expected = Expected {
        api_version: "scheduling.k8s.io/v1",
        kind: "PriorityClass",
        internal: "scheduling.PriorityClass",
        is_in_every_group: false,
        message: &protobuf::PRIORITY_CLASS,
    };
    const RESOURCE: Resource = PRIORITY_CLASSES;
    const KIND: Kind = Kind::PriorityClass;

    fn metadata(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn set_defaults(&mut self) {
        self.value.get_or_insert(0);
        self.preemption_policy.get_or_insert_with(|| POLICIES[1].to_owned());
    }

    /// kubernetes: `ValidatePriorityClass`.
    fn validate(&self, errors: &mut FieldErrors) {
        validate_meta_of_cluster(&self.metadata, errors);
        let name = self.metadata.name.as_deref().unwrap_or("");
        if name.starts_with(SYSTEM_PREFIX) {
            if let Some(why) = unlike_system(self, name) {
                let detail = "priority class names with 'system-' prefix are reserved for system use only. error: ";
                errors.forbidden("metadata.name", format!("{detail}{why}"));
            }
        } else if self.value > Some(USER_VALUE_MAX) {
            let detail = format!("maximum allowed value of a user defined priority is {USER_VALUE_MAX}");
            errors.forbidden("value", detail);
        }
        match self.preemption_policy.as_deref().unwrap_or("") {
            "" => errors.required("preemptionPolicy", ""),
            policy if POLICIES.contains(&policy) => {}
            other => errors.not_supported("preemptionPolicy", quoted(other), &POLICIES),
        }
    }

    /// kubernetes: `ValidatePriorityClassUpdate`.
    fn replace(&mut self, old: Self, errors: &mut FieldErrors) {
        if self.value != old.value {
            errors.forbidden("value", "may not be changed in an update.");
        }
        let policy = self.preemption_policy.as_deref().unwrap_or("");
        if Some(policy) != old.preemption_policy.as_deref() {
            errors.invalid("preemptionPolicy", quoted(policy), "field is immutable");
        }
    }

    fn body(self, metadata: &mut Map<String, Value>) -> Map<String, Value> {
        metadata.insert("generation".to_owned(), json!(1));
        let mut body = Map::from_iter([
            ("value".to_owned(), json!(self.value)),
            ("preemptionPolicy".to_owned(), json!(self.preemption_policy)),
        ]);
        if self.global_default == Some(true) {
            body.insert("globalDefault".to_owned(), json!(true));
        }
        if let Some(text) = self.description.filter(|text| !text.is_empty()) {
            body.insert("description".to_owned(), json!(text));
        }
        body
    }

    fn status() -> Option<Value> {
        None
    }

    fn check_beside(new: &Admitted, view: &View) -> Result<(), Status> {
        let is_default = |doc: &str| Class::from_doc(doc).is_ok_and(|class| class.global_default);
        if !is_default(&new.doc) {
            return Ok(());
        }
        let (_, classes) = view.plain(Kind::PriorityClass);
        let other = classes.iter().find(|class| *class.doc.name != *new.name && is_default(&class.doc.json));
        other.map_or(Ok(()), |other| {
            let why =
                format!("PriorityClass {} is already marked as default. Only one default can exist", other.doc.name);
            Err(Status::forbidden(PRIORITY_CLASSES, &new.name, &why))
        })
    }

    fn check_deletion(name: &str) -> Result<(), Status> {
        match SYSTEM.iter().find(|(system, _)| *system == name) {
            None => Ok(()),
            Some(_) => {
                let why = "this is a system priority class and cannot be deleted";
                Err(Status::forbidden(PRIORITY_CLASSES, name, why))
            }
        }
    }
}

/// Why a class is none of the system's (kubernetes: `IsKnownSystemPriorityClass`).
fn unlike_system(class: &PriorityClass, name: &str) -> Option<String> {
    let Some((_, value)) = SYSTEM.iter().find(|(system, _)| *system == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if class.value != Some(*value) {
        return Some(format!("value of {name} PriorityClass must be {value}"));
    }
    class.global_default.unwrap_or(false).then(|| format!("globalDefault of {name} PriorityClass must be false"))
}
