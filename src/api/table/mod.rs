//! Tables: objects as the rows that `kubectl get` prints (kubernetes: `meta.k8s.io/v1 Table`).
//!
//! Owns the columns and the cells; must not know what was asked or how a Table is framed: who answers writes
//! `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":…,"columnDefinitions":…,"rows":[…]}` around
//! [`push_columns`] and rows with commas between. Start with [`push_row`]. Invariant: a row has a cell for each column of
//! its kind, and is appended to a text without anything built for it first.

mod age;
mod cells;
mod columns;
#[cfg(test)]
mod tests;

pub(super) use columns::Column;

use crate::base::Time;
use crate::model;
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
    /// scheduling.k8s.io/v1 PriorityClass.
    PriorityClass,
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

/// The columns of a kind, always all of them: clients leave out what they do not print.
#[must_use]
pub(super) fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Job => columns::JOB,
        Kind::Pod => columns::POD,
        Kind::Event => columns::EVENT,
        Kind::Namespace => columns::NAMESPACE,
        Kind::Node => columns::NODE,
        Kind::PriorityClass => columns::PRIORITY_CLASS,
    }
}

/// Appends the value of `columnDefinitions`.
pub(super) fn push_columns(kind: Kind, out: &mut String) {
    out.push_str(&serde_json::to_string(columns(kind)).expect("columns are texts and numbers"));
}

/// Appends the row of an object; ages are those at `now`.
pub(super) fn push_row(object: &Object, now: Time, include: IncludeObject, out: &mut String) {
    out.push_str(r#"{"cells":["#);
    match object {
        Object::Job(job) => cells::job(job, now, out),
        Object::Pod(pod) => cells::pod(pod, now, out),
        Object::Event(event) => cells::event(event, now, out),
        Object::Plain(class) if class.doc.kind == model::Kind::PriorityClass => cells::priority_class(class, now, out),
        Object::Plain(namespace) => cells::namespace(namespace, now, out),
    }
    out.push(']');
    if let Object::Pod(pod) = object {
        cells::pod_conditions(pod, out);
    }
    out.push_str(r#","object":"#);
    match include {
        IncludeObject::None => out.push_str("null"),
        IncludeObject::Metadata => push_partial_metadata(object, out),
        IncludeObject::Object => object.render(out),
    }
    out.push('}');
}

/// Appends the row of a node, which is given as its JSON.
pub(super) fn push_node_row(node: &Value, now: Time, include: IncludeObject, out: &mut String) {
    out.push_str(r#"{"cells":["#);
    cells::node(node, now, out);
    out.push_str(r#"],"object":"#);
    match include {
        IncludeObject::None => out.push_str("null"),
        IncludeObject::Metadata => partial(out, |out| out.push_str(&node["metadata"].to_string())),
        IncludeObject::Object => out.push_str(&node.to_string()),
    }
    out.push('}');
}

/// Appends an object's `PartialObjectMetadata` (kubernetes: `meta.k8s.io/v1`).
pub(super) fn push_partial_metadata(object: &Object, out: &mut String) {
    partial(out, |out| object.render_metadata(out));
}

fn partial(out: &mut String, metadata: impl FnOnce(&mut String)) {
    out.push_str(r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#);
    metadata(out);
    out.push('}');
}
