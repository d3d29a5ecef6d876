//! The form in which a Job is stored and compared: JSON without what means nothing.
//!
//! Empty lists, maps, texts and false switches that the reference omits are omitted (Go's `omitempty`). Invariant: two Jobs
//! that mean the same have the same canonical form, except for quantities, which [`semantic_eq`] compares by value.

use crate::base::Quantity;
use k8s_openapi::api::batch::v1::Job;
use serde::Serialize;
use serde_json::Value;

/// Switches whose `false` says nothing. The other ones (`suspend`, `manualSelector`, …) are pointers in the reference, so
/// their `false` is kept.
const FALSE_IS_ABSENT: [&str; 7] = ["stdin", "stdinOnce", "tty", "hostNetwork", "hostPID", "hostIPC", "readOnly"];

/// Numbers whose 0 says nothing.
const ZERO_IS_ABSENT: [&str; 2] = ["hostPort", "generation"];

/// Texts whose emptiness says something, for the same reason.
const EMPTY_IS_PRESENT: [&str; 7] = [
    "containerName",
    "succeededIndexes",
    "managedBy",
    "runtimeClassName",
    "hostnameOverride",
    "completionMode",
    "podReplacementPolicy",
];

/// Maps whose emptiness says nothing; other empty objects (`resources`, `securityContext`, `emptyDir`) are kept.
const MAPS: [&str; 7] = ["labels", "annotations", "matchLabels", "nodeSelector", "limits", "requests", "overhead"];

/// Lists that the reference prints empty too.
const LISTS: [&str; 3] = ["rules", "values", "containers"];

/// The stored document: without status and `metadata.resourceVersion`.
pub(super) fn document(job: &Job) -> Value {
    let mut value = pruned(job);
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.remove("resourceVersion");
        }
    }
    value
}

fn pruned<T: Serialize>(value: &T) -> Value {
    // Types of the API have text keys and finite numbers, so they always become JSON.
    let mut value = serde_json::to_value(value).unwrap_or(Value::Null);
    prune(&mut value, true);
    value
}

/// `is_struct`: the keys are field names, not a user's (a label may be called `stdin`). Depth is bounded by the types.
fn prune(value: &mut Value, is_struct: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, true)),
        Value::Object(fields) if is_struct => {
            fields.iter_mut().for_each(|(key, field)| prune(field, !MAPS.contains(&key.as_str())));
            fields.retain(|key, field| says_something(key, field));
        }
        _ => {}
    }
}

fn says_something(key: &str, field: &Value) -> bool {
    match field {
        Value::Null => false,
        Value::Array(items) => !items.is_empty() || LISTS.contains(&key),
        Value::String(text) => !text.is_empty() || EMPTY_IS_PRESENT.contains(&key),
        Value::Bool(value) => *value || !FALSE_IS_ABSENT.contains(&key),
        Value::Object(entries) => !entries.is_empty() || !MAPS.contains(&key),
        Value::Number(number) => !ZERO_IS_ABSENT.contains(&key) || number.as_i64() != Some(0),
    }
}

/// Whether two parts of a Job mean the same (kubernetes: `equality.Semantic.DeepEqual`).
pub(super) fn semantic_eq<T: Serialize>(a: &T, b: &T) -> bool {
    let (a, b) = (pruned(a), pruned(b));
    let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    (empty(&a) && empty(&b)) || eq(&a, &b, false)
}

/// `amounts`: the value is a map of quantities, or one of them.
fn eq(a: &Value, b: &Value, amounts: bool) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| {
                    let amounts =
                        amounts || (matches!(key.as_str(), "limits" | "requests" | "overhead") && a.is_object());
                    b.get(key).is_some_and(|b| eq(a, b, amounts))
                })
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| eq(a, b, false)),
        (Value::String(a), Value::String(b)) if amounts => match (Quantity::parse(a), Quantity::parse(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
        (a, b) => a == b,
    }
}
