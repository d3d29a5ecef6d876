//! Tables: objects as the rows that `kubectl get` prints (kubernetes: `meta.k8s.io/v1 Table`).
//!
//! Knows columns and cells, not how a Table is framed. Invariant: a row has a cell for each column.

use crate::base::Time;
use crate::view::Object;
use serde_json::Value;

/// The kinds that have tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// batch/v1 Job.
    Job,
    /// core/v1 Pod.
    Pod,
    /// core/v1 Event.
    Event,
    /// core/v1 Namespace.
    Namespace,
    /// core/v1 Node.
    Node,
}

/// kubernetes: `metav1.IncludeObjectPolicy`, what a row's `object` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum IncludeObject {
    /// `null`.
    None,
    /// A `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// Appends the value of `columnDefinitions`.
pub(super) fn push_columns(_: Kind, out: &mut String) {
    out.push_str(r#"[{"name":"Name","type":"string","format":"name","description":"Name.","priority":0}]"#);
}

/// Appends the row of an object; ages are those at `now`.
pub(super) fn push_row(object: &Object, _: Time, include: IncludeObject, out: &mut String) {
    out.push_str(&format!(r#"{{"cells":["{}"],"object":"#, object.name()));
    match include {
        IncludeObject::None => out.push_str("null"),
        IncludeObject::Metadata => push_partial_metadata(object, out),
        IncludeObject::Object => object.render(out),
    }
    out.push('}');
}

/// Appends the row of a node, which is given as its JSON.
pub(super) fn push_node_row(node: &Value, _: Time, include: IncludeObject, out: &mut String) {
    out.push_str(&format!(r#"{{"cells":[{}],"object":"#, node["metadata"]["name"]));
    match include {
        IncludeObject::None => out.push_str("null"),
        IncludeObject::Metadata => {
            let metadata = &node["metadata"];
            out.push_str(&format!(
                r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#
            ));
        }
        IncludeObject::Object => out.push_str(&node.to_string()),
    }
    out.push('}');
}

/// Appends an object's `PartialObjectMetadata` (kubernetes: `meta.k8s.io/v1`).
pub(super) fn push_partial_metadata(object: &Object, out: &mut String) {
    let mut text = String::new();
    object.render(&mut text);
    let object: Value = serde_json::from_str(&text).expect("what is rendered is JSON");
    let metadata = &object["metadata"];
    out.push_str(&format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#));
}
