//! Events from their compact form.
//!
//! Texts and types as the Job controller and the scheduler of Kubernetes write them (`recorder.Event`). Invariant: name and uid of an
//! Event follow from the version at which it was made, so they survive a restart.

use super::{NO_ROOM, put, put_json};
use crate::base::{Uid, mix};
use crate::model::EventNote;
use crate::view::objects::EventObject;

/// `metadata.name`: the object's name and 16 hexadecimal digits, in Kubernetes the time in ns. The digits below a
/// millisecond tell apart what happened within one.
pub(in crate::view) fn event_name(event: &EventObject) -> String {
    let digits = event.event.at.0.wrapping_mul(1_000_000).wrapping_add(event.made_rv % 1_000_000);
    format!("{}.{digits:016x}", event.involved().2)
}

/// `metadata.uid`.
pub(in crate::view) fn event_uid(event: &EventObject) -> Uid {
    let low = mix(event.made_rv ^ event.job.uid_key.0);
    Uid::v4((u128::from(mix(low)) << 64) | u128::from(low))
}

/// `reason`.
pub(in crate::view) fn event_reason(note: &EventNote) -> &'static str {
    match note {
        EventNote::SuccessfulCreate { .. } => "SuccessfulCreate",
        EventNote::SuccessfulDelete { .. } => "SuccessfulDelete",
        EventNote::FailedCreate { .. } => "FailedCreate",
        EventNote::Completed => "Completed",
        EventNote::TooManySucceededPods => "TooManySucceededPods",
        EventNote::JobFailed { reason, .. } => reason.as_str(),
        EventNote::FailedScheduling { .. } | EventNote::Unschedulable { .. } => "FailedScheduling",
        EventNote::Suspended => "Suspended",
        EventNote::Resumed => "Resumed",
    }
}

/// `type`.
pub(in crate::view) fn event_severity(note: &EventNote) -> &'static str {
    match note {
        EventNote::SuccessfulCreate { .. }
        | EventNote::SuccessfulDelete { .. }
        | EventNote::Suspended
        | EventNote::Resumed
        | EventNote::Completed => "Normal",
        EventNote::FailedCreate { .. }
        | EventNote::TooManySucceededPods
        | EventNote::JobFailed { .. }
        | EventNote::FailedScheduling { .. }
        | EventNote::Unschedulable { .. } => "Warning",
    }
}

/// `message`.
pub(in crate::view) fn event_message(event: &EventObject) -> String {
    match &event.event.note {
        EventNote::SuccessfulCreate { ordinal, index } => {
            format!("Created pod: {}", event.job.pod_name(*ordinal, *index))
        }
        EventNote::SuccessfulDelete { ordinal, index } => {
            format!("Deleted pod: {}", event.job.pod_name(*ordinal, *index))
        }
        EventNote::FailedCreate { why } => format!("Error creating: {why}"),
        EventNote::Completed => "Job completed".to_owned(),
        EventNote::TooManySucceededPods => "Too many succeeded pods running after completion count reached".to_owned(),
        EventNote::JobFailed { message, .. } => message.to_string(),
        EventNote::FailedScheduling { .. } => NO_ROOM.to_owned(),
        EventNote::Suspended => "Job suspended".to_owned(),
        EventNote::Resumed => "Job resumed".to_owned(),
        EventNote::Unschedulable { why, .. } => why.to_string(),
    }
}

/// Appends an Event's metadata.
pub(in crate::view) fn event_metadata(event: &EventObject, out: &mut String) {
    let (namespace, at) = (&event.job.namespace, event.event.at);
    put(out, format_args!(r#"{{"name":"{}","namespace":"{namespace}","#, event.name()));
    put(out, format_args!(r#""uid":"{}","resourceVersion":"{}","#, event.uid(), event.rv));
    put(out, format_args!(r#""creationTimestamp":"{at}"}}"#));
}

/// Appends an Event. A version names a state of everything, so the Event's own names the Job's at that moment.
pub(in crate::view) fn event(event: &EventObject, out: &mut String) {
    let (namespace, at, rv) = (&event.job.namespace, event.event.at, event.made_rv);
    let ((kind, version, name, uid), component) = (event.involved(), event.component());
    let (reason, severity) = (event.reason(), event.severity());
    out.push_str(r#"{"kind":"Event","apiVersion":"v1","metadata":"#);
    event_metadata(event, out);
    put(out, format_args!(r#","involvedObject":{{"kind":"{kind}","namespace":"{namespace}","#));
    put(out, format_args!(r#""name":"{name}","uid":"{uid}","apiVersion":"{version}","resourceVersion":"{rv}"}},"#));
    put(out, format_args!(r#""reason":"{reason}","message":"#));
    put_json(out, &event.message());
    put(
        out,
        format_args!(r#","source":{{"component":"{component}"}},"firstTimestamp":"{at}","lastTimestamp":"{at}","#),
    );
    put(out, format_args!(r#""count":1,"type":"{severity}","eventTime":null,"#));
    put(out, format_args!(r#""reportingComponent":"{component}","reportingInstance":""}}"#));
}
