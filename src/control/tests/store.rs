//! What a store and a mirror would hold, made from batches alone.

use crate::base::{JobId, Time};
use crate::control::{Restored, RestoredJob};
use crate::model::{
    Batch, Counted, DocWrite, Fact, JobRecord, JobSpec, Kind, Life, Phase, PodMark, PodMeta, PodRecord, Restarts,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Job records by replay, pods that have not ended, head documents.
#[derive(Clone, Default)]
pub(super) struct MemStore {
    pub(super) jobs: BTreeMap<JobId, JobRecord>,
    pub(super) pods: BTreeMap<(JobId, u32), PodRecord>,
    /// What is kept of containers that were started again.
    pub(super) restarts: BTreeMap<(JobId, u32), Restarts>,
    /// When the Events that are kept were recorded.
    pub(super) events: VecDeque<Time>,
    docs: BTreeMap<(Kind, Arc<str>, Arc<str>), DocWrite>,
    job_docs: BTreeMap<JobId, (u64, Arc<str>)>,
    /// What is marked of pods that are there.
    marks: BTreeMap<(JobId, u32), PodMark>,
    /// Names of all Jobs that were ever created.
    names: BTreeMap<JobId, Arc<str>>,
}

impl MemStore {
    pub(super) fn apply(&mut self, batch: &Batch) {
        for (rv, fact) in batch.numbered() {
            self.apply_fact(fact, rv);
        }
        for doc in &batch.docs {
            assert_eq!(doc.kind == Kind::Job, doc.job.is_some(), "a Job's document says whose it is");
            if let Some(job) = doc.job {
                match &doc.json {
                    Some(json) => _ = self.job_docs.insert(job, (doc.rv, Arc::clone(json))),
                    None => assert!(self.job_docs.remove(&job).is_some(), "a document that was not there is removed"),
                }
                continue;
            }
            let key = (doc.kind, Arc::clone(&doc.namespace), Arc::clone(&doc.name));
            if doc.json.is_some() {
                self.docs.insert(key, doc.clone());
            } else {
                assert!(self.docs.remove(&key).is_some(), "a document that was not there is removed");
            }
        }
    }

    fn apply_fact(&mut self, fact: &Fact, rv: u64) {
        if let Some(record) = JobRecord::created_by(fact, rv) {
            let before = self.names.insert(record.id, Arc::clone(&record.name));
            assert_eq!(before, None, "a Job's number given twice");
            self.jobs.insert(record.id, record);
            return;
        }
        match fact {
            Fact::Recorded { event } => self.events.push_back(event.at),
            Fact::EventsExpired { count } => drop(self.events.drain(..*count as usize)),
            _ => {}
        }
        let Some(id) = fact.job() else { return };
        let record = self.jobs.get_mut(&id).expect("a fact about a Job that was created");
        if let Fact::PodsCreated { first, .. } = fact {
            assert!(*first >= record.next_ordinal, "an ordinal given twice");
        }
        record.apply(fact, rv);
        self.apply_pods(id, fact, rv);
    }

    fn apply_pods(&mut self, id: JobId, fact: &Fact, rv: u64) {
        match fact {
            Fact::PodsCreated { at, first, count, indexes, .. } => {
                let pods: Vec<_> = Fact::created_pods(*first, *count, indexes).collect();
                assert_eq!(pods.len(), *count as usize, "as many indexes as pods");
                for ((ordinal, index), rv) in pods.into_iter().zip(rv..) {
                    self.pods.insert((id, ordinal), PodRecord::new(id, ordinal, index, *at, rv));
                }
            }
            Fact::PodsStarted { pods, .. } => {
                for (ordinal, at, engine) in pods {
                    let pod = self.pod(id, *ordinal);
                    assert!(!pod.has(PodRecord::STARTED), "a container starts once");
                    pod.phase = Phase::Running;
                    pod.flags |= PodRecord::STARTED;
                    pod.set_engine(*engine);
                    pod.start_delta_ms = at.since_ms_u32(pod.created);
                }
            }
            Fact::PodsWaiting { pods, .. } => {
                for waiting in pods {
                    let pod = self.pod(id, waiting.ordinal);
                    pod.attempts += 1;
                    pod.reason = waiting.reason;
                }
            }
            Fact::PodsStopping { ordinals, .. } => {
                for ordinal in ordinals {
                    let pod = self.pod(id, *ordinal);
                    assert!(!pod.has(PodRecord::STOPPING), "a pod is stopped once");
                    pod.flags |= PodRecord::STOPPING;
                    self.mark(id, *ordinal).stop = Some(Time(1));
                }
            }
            Fact::ContainersExited { exits, .. } => {
                for exit in exits {
                    let before = self.restarts.get(&(id, exit.ordinal));
                    assert!(before.is_none_or(|before| !before.is_waiting), "a container that waits ends");
                    let restarts = Restarts {
                        count: before.map_or(0, |before| before.count),
                        first_started: exit.terminated.started,
                        back_off_ms: exit.back_off_ms,
                        is_waiting: true,
                        last: exit.terminated.clone(),
                    };
                    self.restarts.insert((id, exit.ordinal), restarts);
                    let pod = self.pod(id, exit.ordinal);
                    assert_eq!(exit.was_ready, pod.has(PodRecord::STARTED), "an exit knows of the start");
                    pod.phase = Phase::Running;
                    pod.flags &= !PodRecord::STARTED;
                }
            }
            Fact::ContainersRestarted { ordinals, .. } => {
                for ordinal in ordinals {
                    let restarts = self.restarts.get_mut(&(id, *ordinal)).expect("a container ends before it restarts");
                    restarts.count += 1;
                    restarts.is_waiting = false;
                }
            }
            Fact::PodsDeleted { pods, .. } => {
                for deleted in pods {
                    let mark = self.mark(id, deleted.ordinal);
                    (mark.stop, mark.grace_s, mark.evicted) = (Some(Time(1)), Some(deleted.grace_s), deleted.evicted);
                    // What has ended and is kept by a finalizer is not here any more.
                    if deleted.counted == Counted::Strayed && !self.pods.contains_key(&(id, deleted.ordinal)) {
                        continue;
                    }
                    let pod = self.pod(id, deleted.ordinal);
                    assert!(!pod.has(PodRecord::STOPPING), "a pod is stopped once");
                    assert_eq!(deleted.was_ready, pod.has(PodRecord::STARTED), "a deletion knows of the start");
                    pod.flags |= PodRecord::STOPPING;
                }
            }
            Fact::EndedPodsRemoved { ordinals, .. } | Fact::JobOrphaned { ordinals, .. } => {
                assert_eq!(*ordinals, self.jobs[&id].next_ordinal, "a version for each pod that ever was");
                let (is_removal, pods) = (matches!(fact, Fact::EndedPodsRemoved { .. }), &self.pods);
                self.marks.retain(|pod, mark| {
                    let owners = mark.meta.as_deref().map(|meta| PodMeta::read(meta).owner_references);
                    let goes = is_removal && pod.0 == id && !pods.contains_key(pod);
                    !goes || owners.is_some_and(|owners| owners.is_empty())
                });
            }
            Fact::PodUngated { ordinal, .. } => {
                let mark = self.mark(id, *ordinal);
                assert!(!std::mem::replace(&mut mark.ungated, true), "ungated twice");
            }
            Fact::PodChanged { ordinal, meta, .. } => self.mark(id, *ordinal).meta.clone_from(meta),
            Fact::PodsEnded { ends, .. } => {
                for end in ends {
                    let pod = self.pods.remove(&(id, end.ordinal)).expect("a pod ends once");
                    assert_eq!(end.index, pod.index, "an end keeps its pod's index");
                    assert_eq!(end.was_stopping, pod.has(PodRecord::STOPPING), "an end knows of the stop");
                    if !end.was_stopping {
                        assert_eq!(end.was_ready, pod.has(PodRecord::STARTED), "an end knows of the start");
                    }
                }
            }
            Fact::JobRemoved { ordinals, .. } => {
                let record = self.jobs.remove(&id).expect("it was there a moment ago");
                assert_eq!(*ordinals, record.next_ordinal, "a version for each pod that ever was");
                self.pods.retain(|(job, _), _| *job != id);
                self.restarts.retain(|(job, _), _| *job != id);
                self.marks.retain(|(job, _), _| *job != id);
            }
            Fact::PodsRemoved { ordinals, .. } => {
                let alive = ordinals.iter().find(|ordinal| self.pods.contains_key(&(id, **ordinal)));
                assert_eq!(alive, None, "a pod is gone before it ended");
                ordinals.iter().for_each(|ordinal| _ = self.marks.remove(&(id, *ordinal)));
            }
            _ => {}
        }
    }

    fn pod(&mut self, id: JobId, ordinal: u32) -> &mut PodRecord {
        self.pods.get_mut(&(id, ordinal)).expect("a fact about a pod that is alive")
    }

    fn mark(&mut self, id: JobId, ordinal: u32) -> &mut PodMark {
        self.marks.entry((id, ordinal)).or_default()
    }

    /// The resourceVersion of a Job's document, and the document.
    pub(super) fn job_doc(&self, namespace: &str, name: &str) -> Option<(u64, Arc<str>)> {
        let is_it = |record: &&JobRecord| (&*record.namespace, &*record.name) == (namespace, name);
        let named = self.jobs.values().filter(is_it).find(|record| !record.placement.orphaned)?;
        self.job_docs.get(&named.id).cloned()
    }

    /// What a client made of a pod's metadata.
    pub(super) fn meta(&self, id: JobId, ordinal: u32) -> Option<Box<str>> {
        self.marks.get(&(id, ordinal))?.meta.clone()
    }

    /// What a boot hands to `State::restore`.
    pub(super) fn restored(&self, specs: &BTreeMap<Arc<str>, JobSpec>) -> Restored {
        let docs = self.docs.values().cloned().collect();
        let jobs = self.jobs.values().map(|record| {
            let (doc_rv, doc) = self.job_docs[&record.id].clone();
            let of_job = (record.id, 0)..=(record.id, u32::MAX);
            let pods = self.pods.range(of_job.clone()).map(|(_, pod)| *pod).collect();
            let marks = self.marks.range(of_job.clone()).map(|((_, ordinal), mark)| (*ordinal, mark.clone())).collect();
            let restarts = self.restarts.range(of_job).map(|((_, ordinal), kept)| (*ordinal, kept.clone())).collect();
            RestoredJob {
                record: record.clone(),
                spec: spec_of(specs, &doc),
                doc: (doc_rv, doc),
                pods,
                marks,
                restarts,
            }
        });
        let events = self.events.iter().copied().collect();
        Restored { docs, jobs: jobs.collect(), events, logs: BTreeMap::new() }
    }

    /// The number of the next Job.
    pub(super) fn next_job(&self) -> u32 {
        self.names.keys().next_back().map_or(0, |id| id.0 + 1)
    }

    /// The name of a Job that is there or was.
    pub(super) fn name(&self, id: JobId) -> &str {
        &self.names[&id]
    }

    /// The resourceVersion of an object that is only a document.
    pub(super) fn doc_rv(&self, kind: Kind, name: &str) -> u64 {
        self.docs[&(kind, Arc::from(""), Arc::from(name))].rv
    }

    pub(super) fn try_doc_rv(&self, kind: Kind, name: &str) -> Option<u64> {
        self.docs.get(&(kind, Arc::from(""), Arc::from(name))).map(|doc| doc.rv)
    }

    /// Makes a Job look as if it had given `ordinals` pods already.
    pub(super) fn skip_ordinals(&mut self, id: JobId, ordinals: u32) {
        self.jobs.get_mut(&id).expect("a Job").next_ordinal = ordinals;
    }
}

/// The spec of a document that a case wrote, also after the controller has written into it.
pub(super) fn spec_of(specs: &BTreeMap<Arc<str>, JobSpec>, doc: &str) -> JobSpec {
    let value: serde_json::Value = serde_json::from_str(doc).expect("a document");
    let spec = specs[format!("{{\"write\":{}}}", value["write"]).as_str()].clone();
    let metadata = &value["metadata"];
    if metadata.is_null() {
        return spec;
    }
    let texts = metadata["finalizers"].as_array().into_iter().flatten().filter_map(|text| text.as_str());
    let finalizers = texts.map(str::to_owned).collect();
    JobSpec { life: Life { finalizers, is_deleted: metadata["deletionTimestamp"].is_string() }, ..spec }
}
