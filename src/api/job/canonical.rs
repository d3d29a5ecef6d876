//! When two parts of a Job mean the same.
//!
//! Invariant: they have the same form without what means nothing (`pruned`), except for quantities, which are compared by
//! value.

use super::pruned;
use crate::base::Quantity;
use serde::Serialize;
use serde_json::Value;

/// Whether two parts of a Job mean the same (kubernetes: `equality.Semantic.DeepEqual`).
pub(super) fn semantic_eq<T: Serialize>(a: &T, b: &T) -> bool {
    let (a, b) = (pruned::text(a), pruned::text(b));
    if a == b {
        return true;
    }
    let tree = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let (a, b) = (tree(&a), tree(&b));
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
