//! Objects to JSON text: constant pieces and a few appends.
//!
//! Knows the API's field names and its rules of what is left out, no lock and no ring. Invariant: what is appended is one
//! whole JSON object.

mod event;
mod job;
mod pod;
mod template;

pub(super) use event::{event, event_message, event_metadata, event_name, event_reason, event_severity, event_uid};
pub(super) use job::{job, job_metadata, plain, plain_metadata};
pub(super) use pod::{is_queued, phase, pod, pod_metadata};
pub(super) use template::PodTemplatePieces;

use std::fmt::{self, Write};

/// kubernetes: `batch/v1 JobCompletionIndexAnnotation`, the label and annotation of an Indexed Job's pods.
pub const INDEX_KEY: &str = "batch.kubernetes.io/job-completion-index";

/// kubernetes: `batch/v1 JobIndexFailureCountAnnotation`.
const INDEX_FAILURES_KEY: &str = "batch.kubernetes.io/job-index-failure-count";

/// kubernetes: `batch/v1 JobIndexIgnoredFailureCountAnnotation`.
const INDEX_IGNORED_KEY: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// kubernetes: `batch/v1 JobTrackingFinalizer`.
pub const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// What a pod is told that finds no room (kubernetes v1.36: kube-scheduler, `FitError` and the PostFilter plugins).
const NO_ROOM: &str = "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: 0/1 nodes are available: \
                       1 No preemption victims found for incoming pod.";

/// The name of the one node that Coracle is.
pub const NODE_NAME: &str = "coracle";

/// Appends formatted text.
fn put(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

/// Appends `text` as a JSON string.
fn put_json(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a str is always JSON"));
}
