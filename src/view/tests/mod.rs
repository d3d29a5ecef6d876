//! The mirror, the rings and the JSON, through `View`.

mod golden;
mod merge;
mod objects;
mod rules;
mod walk;
mod watch;

use super::View;
use super::merge::Limits;
use crate::base::{JobId, NO_INDEX, Time, Uid};
use crate::model::{
    Batch, Counted, DocWrite, EngineKind, Event, EventNote, Fact, IndexRun, Kind, LogExtent, PodEnd, Reason, Recovered,
};
use std::sync::Arc;

pub(super) const AT: Time = Time(1_795_405_437_000);

/// A view with a way to say what happens.
pub(super) struct World {
    pub(super) view: View,
    next_rv: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self { view: View::restore(&Recovered::empty()), next_rv: 1 }
    }

    pub(super) fn with_ring_bytes(ring_bytes: usize) -> Self {
        Self::with_limits(Limits { ring_bytes, graves_bytes: ring_bytes, ..Limits::default() })
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        Self { view: View::restore_with(&Recovered::empty(), limits), next_rv: 1 }
    }

    pub(super) fn happens(&mut self, facts: Vec<Fact>) -> u64 {
        self.happens_with(facts, Vec::new())
    }

    /// Applies a batch; the first version of `docs` is the batch's first.
    pub(super) fn happens_with(&mut self, facts: Vec<Fact>, mut docs: Vec<DocWrite>) -> u64 {
        let first_rv = self.next_rv;
        docs.iter_mut().enumerate().for_each(|(nth, doc)| doc.rv = first_rv + nth as u64);
        self.applied(Batch { first_rv, facts, docs })
    }

    pub(super) fn create_job(&mut self, job: u32, namespace: &str, name: &str) {
        let uid = Uid::v4(u128::from(job) + 1);
        let json = job_json(namespace, name, uid, "");
        self.create_job_from(job, namespace, name, uid, &json, AT);
    }

    pub(super) fn create_job_from(&mut self, job: u32, namespace: &str, name: &str, uid: Uid, json: &str, at: Time) {
        let fact = Fact::JobCreated { job: JobId(job), uid, namespace: namespace.into(), name: name.into(), at };
        self.happens_with(vec![fact], vec![write(Kind::Job, namespace, name, Some(json))]);
    }

    pub(super) fn create_pods(&mut self, job: u32, first: u32, count: u32, indexes: &[(u32, u32)], at: Time) -> u64 {
        let indexes = indexes.iter().map(|&(first, count)| IndexRun { first, count }).collect();
        self.happens(vec![Fact::PodsCreated { job: JobId(job), at, first, count, indexes }])
    }

    /// The Job is gone, which gave `ordinals` pods; the version of the first.
    pub(super) fn delete_job(&mut self, job: u32, namespace: &str, name: &str, ordinals: u32) -> u64 {
        let mut doc = write(Kind::Job, namespace, name, None);
        doc.rv = self.next_rv + u64::from(ordinals);
        let facts = vec![Fact::JobRemoved { job: JobId(job), at: AT, ordinals }];
        self.applied(Batch { first_rv: self.next_rv, facts, docs: vec![doc] })
    }

    fn applied(&mut self, batch: Batch) -> u64 {
        self.next_rv = batch.next_rv();
        self.view.apply(&batch);
        batch.first_rv
    }

    pub(super) fn record(&mut self, job: u32, at: Time, note: EventNote) -> u64 {
        self.happens(vec![Fact::Recorded { event: Event { job: JobId(job), at, note } }])
    }
}

pub(super) fn write(kind: Kind, namespace: &str, name: &str, json: Option<&str>) -> DocWrite {
    DocWrite { kind, job: None, namespace: namespace.into(), name: name.into(), rv: 0, json: json.map(Arc::from) }
}

/// A document as it is stored; `more` goes into its spec.
pub(super) fn job_json(namespace: &str, name: &str, uid: Uid, more: &str) -> String {
    format!(
        r#"{{"kind":"Job","apiVersion":"batch/v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}",
        "generation":1,"labels":{{"a":"b"}}}},"spec":{{"parallelism":1,"completions":1,"backoffLimit":6{more},
        "template":{{"metadata":{{"labels":{{"job-name":"{name}"}}}},"spec":{{"containers":[{{"name":"c","image":"i"}}],
        "restartPolicy":"Never","terminationGracePeriodSeconds":30}}}}}}}}"#
    )
}

pub(super) fn end(ordinal: u32, exit_code: u8, started: Time) -> PodEnd {
    PodEnd {
        ordinal,
        index: NO_INDEX,
        started,
        run_ms: 0,
        exit_code,
        reason: if exit_code == 0 { Reason::Completed } else { Reason::Error },
        engine: Some(EngineKind::Small),
        counted: if exit_code == 0 { Counted::Succeeded } else { Counted::Failed },
        was_ready: false,
        was_stopping: false,
        disrupted: false,
        log: LogExtent::default(),
        fuel_k: 0,
        peak_pages: 0,
        message: None,
    }
}

pub(super) fn ended(job: u32, end: PodEnd) -> Fact {
    Fact::PodsEnded { job: JobId(job), ends: vec![end] }
}

pub(super) fn parsed(render: impl Fn(&mut String)) -> serde_json::Value {
    let mut text = String::new();
    render(&mut text);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
