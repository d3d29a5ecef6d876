//! Documents as clients wrote them, with what rendering needs of them worked out once.
//!
//! Knows where to cut a document, not what is put in. Invariant: a document went through validation before it was stored,
//! so it is read here without an error.

use super::render::PodTemplatePieces;
use crate::base::{JobId, NO_INDEX, PodNames, Uid, UidKey};
use crate::model::{JobSpec, Kind, Placement};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, OnceLock};

/// What stays the same of a Job for as long as it lives, and what its pods' names and uids follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobKey {
    /// Its number.
    pub id: JobId,
    /// Its uid.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its pods' names.
    pub names: PodNames,
    /// Its pods' uids.
    pub uid_key: UidKey,
}

impl JobKey {
    /// The name of the pod with this ordinal and completion index (or `NO_INDEX`).
    #[must_use]
    pub fn pod_name(&self, ordinal: u32, index: u32) -> String {
        self.names.pod_name(&self.name, (index != NO_INDEX).then_some(index), ordinal)
    }
}

/// A version of a Job's document.
#[derive(Debug)]
pub struct JobDoc {
    /// Which Job.
    pub key: Arc<JobKey>,
    /// The resourceVersion of the client's last write; that of the Job also counts changes of its status.
    pub rv: u64,
    /// Canonical JSON without status and without `metadata.resourceVersion`.
    pub json: Arc<str>,
    /// How its pods stand in line.
    pub placement: Placement,
    cuts: OnceLock<Cuts>,
    /// Boxed: most documents are shown as they are, and nothing else is ever read of them.
    parsed: OnceLock<Box<ParsedJob>>,
}

/// What is read of a Job's document.
#[derive(Debug)]
pub(super) struct ParsedJob {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: JobSpec,
    pub(super) pod: PodTemplatePieces,
}

impl JobDoc {
    pub(super) fn new(key: Arc<JobKey>, rv: u64, json: Arc<str>, placement: Placement) -> Self {
        Self { key, rv, json, placement, cuts: OnceLock::new(), parsed: OnceLock::new() }
    }

    /// The same document, its pods standing otherwise.
    pub(super) fn placed(&self, placement: Placement) -> Self {
        Self::new(Arc::clone(&self.key), self.rv, Arc::clone(&self.json), placement)
    }

    /// What it says, read once.
    #[must_use]
    pub fn spec(&self) -> &JobSpec {
        &self.parsed().spec
    }

    /// About how many bytes it takes: what is read of it is never more than the text.
    pub(super) fn bytes(&self) -> usize {
        self.json.len() * if self.parsed.get().is_some() { 2 } else { 1 }
    }

    pub(super) fn parsed(&self) -> &ParsedJob {
        self.parsed.get_or_init(|| {
            let (_, head) = Cuts::of(&self.json);
            let spec = JobSpec::from_doc(&self.json).expect("a Job is validated before it is stored");
            Box::new(ParsedJob { labels: head.labels, pod: PodTemplatePieces::new(self, &spec), spec })
        })
    }

    /// Where it is cut to be shown.
    pub(super) fn cuts(&self) -> Cuts {
        *self.cuts.get_or_init(|| Cuts::of(&self.json).0)
    }
}

/// A version of an object that is only a document: a namespace or a PriorityClass.
#[derive(Debug)]
pub struct PlainDoc {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// Canonical JSON without status and without `metadata.resourceVersion`.
    pub json: Arc<str>,
    parsed: OnceLock<ParsedPlain>,
}

/// What is read of such a document.
#[derive(Debug)]
pub(super) struct ParsedPlain {
    pub(super) cuts: Cuts,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) terminating: bool,
}

impl PlainDoc {
    pub(super) fn new(kind: Kind, name: Arc<str>, json: Arc<str>) -> Self {
        Self { kind, name, json, parsed: OnceLock::new() }
    }

    pub(super) fn parsed(&self) -> &ParsedPlain {
        self.parsed.get_or_init(|| {
            let (cuts, head) = Cuts::of(&self.json);
            ParsedPlain { cuts, labels: head.labels, terminating: head.deletion_timestamp.is_some() }
        })
    }
}

/// Where a document is cut to put `metadata.resourceVersion` and `status` in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cuts {
    /// Byte offset of the opening brace of `metadata`.
    head: u32,
    /// Byte offset after a complete member of `metadata`.
    meta: u32,
    /// Byte offset after the closing brace of `metadata`.
    tail: u32,
    /// Byte offset of the closing brace.
    end: u32,
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    uid: &'a RawValue,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
}

impl Cuts {
    fn of(json: &str) -> (Self, Head<'_>) {
        let valid = "a document is a whole object with a uid before it is stored";
        let shape: Shape<'_> = serde_json::from_str(json).expect(valid);
        let head: Head<'_> = serde_json::from_str(shape.metadata.get()).expect(valid);
        // These texts are borrowed from `json`, so the distance of their addresses is an offset in it.
        let at = |part: &RawValue| part.get().as_ptr().addr() - json.as_ptr().addr();
        let short = |offset: usize| u32::try_from(offset).expect("a document is a few megabytes at the most");
        let cuts = Self {
            head: short(at(shape.metadata)),
            meta: short(at(head.uid) + head.uid.get().len()),
            tail: short(at(shape.metadata) + shape.metadata.get().len()),
            end: short(json.rfind('}').expect(valid)),
        };
        (cuts, head)
    }

    /// The metadata of `json` with the version.
    pub(super) fn metadata(self, json: &str, rv: u64, out: &mut String) {
        out.push_str(&json[self.head as usize..self.meta as usize]);
        write!(out, r#","resourceVersion":"{rv}""#).expect("a String takes everything");
        out.push_str(&json[self.meta as usize..self.tail as usize]);
    }

    /// `json` with the version.
    pub(super) fn numbered(self, json: &str, rv: u64, out: &mut String) {
        out.push_str(&json[..self.head as usize]);
        self.metadata(json, rv, out);
        out.push_str(&json[self.tail as usize..]);
    }

    /// `json` with the version and a status that `status` writes.
    pub(super) fn splice(self, json: &str, rv: u64, out: &mut String, status: impl FnOnce(&mut String)) {
        out.push_str(&json[..self.meta as usize]);
        write!(out, r#","resourceVersion":"{rv}""#).expect("a String takes everything");
        out.push_str(&json[self.meta as usize..self.end as usize]);
        out.push_str(r#","status":"#);
        status(out);
        out.push('}');
    }
}
