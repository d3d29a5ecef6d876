//! Jobs, and what is only a document: the document with its version and status put in.
//!
//! Invariant: which status fields are printed when they are zero follows batch/v1's `omitempty`.

use super::{put, put_json};
use crate::model::{Condition, JobStatus, Kind};
use crate::view::objects::{JobObject, PlainObject};

/// Appends a Job.
pub(in crate::view) fn job(job: &JobObject, out: &mut String) {
    out.reserve(job.doc.json.len() + 512);
    job.doc.cuts().splice(&job.doc.json, job.rv, out, |out| status(&job.status, out));
}

/// Appends a Job's metadata.
pub(in crate::view) fn job_metadata(job: &JobObject, out: &mut String) {
    job.doc.cuts().metadata(&job.doc.json, job.rv, out);
}

/// Appends the metadata of what is only a document.
pub(in crate::view) fn plain_metadata(plain: &PlainObject, out: &mut String) {
    plain.doc.parsed().cuts.metadata(&plain.doc.json, plain.rv, out);
}

/// Appends what is only a document; of these, namespaces have a status.
pub(in crate::view) fn plain(plain: &PlainObject, out: &mut String) {
    let (doc, phase) = (&plain.doc, plain.phase());
    let cuts = doc.parsed().cuts;
    if doc.kind == Kind::Namespace {
        cuts.splice(&doc.json, plain.rv, out, |out| put(out, format_args!(r#"{{"phase":"{phase}"}}"#)));
    } else {
        cuts.numbered(&doc.json, plain.rv, out);
    }
}

fn status(status: &JobStatus, out: &mut String) {
    // The first sync sets startTime, or a condition; a Job before it has an empty status.
    if status.start_time.is_none() && status.conditions.is_empty() {
        out.push_str("{}");
        return;
    }
    out.push('{');
    conditions(&status.conditions, out);
    if let Some(start) = status.start_time {
        put(out, format_args!(r#""startTime":"{start}","#));
    }
    if let Some(at) = status.completion_time {
        put(out, format_args!(r#""completionTime":"{at}","#));
    }
    for (name, count) in [("active", status.active), ("succeeded", status.succeeded), ("failed", status.failed)] {
        if count > 0 {
            put(out, format_args!(r#""{name}":{count},"#));
        }
    }
    put(out, format_args!(r#""terminating":{},"#, status.terminating));
    if !status.completed.is_empty() {
        put(out, format_args!(r#""completedIndexes":"{}","#, status.completed));
    }
    if let Some(failed) = &status.failed_indexes {
        put(out, format_args!(r#""failedIndexes":"{failed}","#));
    }
    put(out, format_args!(r#""uncountedTerminatedPods":{{}},"ready":{}}}"#, status.ready));
}

fn conditions(conditions: &[Condition], out: &mut String) {
    if conditions.is_empty() {
        return;
    }
    out.push_str(r#""conditions":["#);
    for (nth, condition) in conditions.iter().enumerate() {
        let status = if condition.is_true() { "True" } else { "False" };
        let Condition { kind, at, reason, message } = condition;
        let (comma, kind, reason) = (if nth > 0 { "," } else { "" }, kind.as_str(), reason.as_str());
        put(out, format_args!(r#"{comma}{{"type":"{kind}","status":"{status}","lastProbeTime":"{at}","#));
        put(out, format_args!(r#""lastTransitionTime":"{at}","reason":"{reason}","message":"#));
        put_json(out, message);
        out.push('}');
    }
    out.push_str("],");
}
