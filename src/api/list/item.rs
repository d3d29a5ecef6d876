//! One object as a reader of lists sees it: its labels, its fields, its forms.
//!
//! Knows how each kind is selected (kubernetes: each registry's `SelectableFields`), not how lists are cut. Invariant:
//! asking costs no rendering.

use super::accept::Form;
use crate::api::table::{push_node_row, push_partial_metadata, push_row};
use crate::base::Time;
use crate::model::Phase;
use crate::view::{EventObject, JobObject, NODE_NAME, Object, PlainObject, PodObject};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// An object of a list.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// What the view holds.
    Object(Object),
    /// The node.
    Node(Arc<Value>),
}

impl Item {
    pub(super) fn label(&self, key: &str) -> Option<Cow<'_, str>> {
        let text = match self {
            Self::Object(Object::Job(job)) => job.labels().get(key)?.as_str(),
            Self::Object(Object::Pod(pod)) => return pod.label(key),
            Self::Object(Object::Event(_)) => return None,
            Self::Object(Object::Plain(plain)) => plain.labels().get(key)?.as_str(),
            Self::Node(node) => node["metadata"]["labels"].get(key)?.as_str()?,
        };
        Some(Cow::Borrowed(text))
    }

    /// A field that its kind can be selected by.
    pub(super) fn field(&self, path: &str) -> Cow<'_, str> {
        match (path, self) {
            ("metadata.name", Self::Object(object)) => object.name(),
            ("metadata.name", Self::Node(_)) => Cow::Borrowed(NODE_NAME),
            ("metadata.namespace", Self::Object(object)) => Cow::Borrowed(object.namespace()),
            (_, Self::Object(Object::Job(job))) => Cow::Owned(job.status.succeeded.to_string()),
            (_, Self::Object(Object::Pod(pod))) => Cow::Borrowed(pod_field(pod, path)),
            (_, Self::Object(Object::Event(event))) => event_field(event, path),
            (_, Self::Object(Object::Plain(plain))) => Cow::Borrowed(plain.phase()),
            ("spec.unschedulable", Self::Node(node)) => {
                Cow::Borrowed(if node["spec"]["unschedulable"] == true { "true" } else { "false" })
            }
            (_, Self::Node(_)) => Cow::Borrowed(""),
        }
    }

    /// Its resourceVersion as text.
    pub(super) fn rv(&self) -> String {
        match self {
            Self::Object(object) => object.rv().to_string(),
            Self::Node(node) => node["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The same state under another version: what a watcher is told when an object leaves its selection.
    pub(super) fn with_rv(self, rv: u64) -> Self {
        let Self::Object(object) = self else { return self };
        Self::Object(match object {
            Object::Job(job) => Object::Job(JobObject { rv, ..job }),
            Object::Pod(mut pod) => {
                pod.record.rv = rv;
                Object::Pod(pod)
            }
            Object::Event(event) => Object::Event(EventObject { rv, ..event }),
            Object::Plain(plain) => Object::Plain(PlainObject { rv, ..plain }),
        })
    }

    /// Appends its JSON, its metadata or its row.
    pub(super) fn render(&self, form: Form, now: Time, out: &mut String) {
        match (form, self) {
            (Form::Whole, Self::Object(object)) => object.render(out),
            (Form::Whole, Self::Node(node)) => out.push_str(&node.to_string()),
            (Form::Metadata(_), Self::Object(object)) => push_partial_metadata(object, out),
            (Form::Metadata(_), Self::Node(node)) => {
                out.push_str(r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#);
                out.push_str(&node["metadata"].to_string());
                out.push('}');
            }
            (Form::Table(_, include), Self::Object(object)) => push_row(object, now, include, out),
            (Form::Table(_, include), Self::Node(node)) => push_node_row(node, now, include, out),
        }
    }
}

fn pod_field<'a>(pod: &'a PodObject, path: &str) -> &'a str {
    match path {
        "spec.nodeName" if !pod.is_placed() => "",
        "spec.nodeName" => NODE_NAME,
        "status.phase" => pod.phase(),
        "status.podIP" | "status.podIPs" if pod.record.phase != Phase::Pending => "127.0.0.1",
        path => path.strip_prefix("spec.").map_or("", |field| pod.spec_scalar(field)),
    }
}

fn event_field<'a>(event: &'a EventObject, path: &str) -> Cow<'a, str> {
    let (kind, version, name, uid) = event.involved();
    Cow::Borrowed(match path {
        "involvedObject.kind" => kind,
        "involvedObject.namespace" => &event.job.namespace,
        "involvedObject.name" => return name,
        "involvedObject.uid" => return Cow::Owned(uid.to_string()),
        "involvedObject.apiVersion" => version,
        "involvedObject.resourceVersion" => return Cow::Owned(event.made_rv.to_string()),
        "reason" => event.reason(),
        "source" | "reportingComponent" => event.component(),
        "type" => event.severity(),
        _ => "",
    })
}
