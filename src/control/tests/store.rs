//! What a store and a mirror would hold, made from batches alone.

use crate::base::{JobId, Time};
use crate::control::{Restored, RestoredJob};
use crate::model::{Batch, DocWrite, Fact, JobRecord, JobSpec, Kind, Life, Phase, PodMark, PodRecord};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Job records by replay, pods that have not ended, head documents.
#[derive(Clone, Default)]
pub(super) struct MemStore {
    pub(super) jobs: BTreeMap<JobId, JobRecord>,
    pub(super) pods: BTreeMap<(JobId, u32), PodRecord>,
    /// When the Events that are kept were recorded.
    pub(super) events: VecDeque<Time>,
    docs: BTreeMap<(Kind, Arc<str>, Arc<str>), DocWrite>,
    /// Metadata of pods that clients changed.
    pub(super) metas: BTreeMap<(JobId, u32), Box<str>>,
    /// Pods whose gates are gone.
    ungated: BTreeSet<(JobId, u32)>,
    /// Names of all Jobs that were ever created.
    names: BTreeMap<JobId, Arc<str>>,
}

impl MemStore {
    pub(super) fn apply(&mut self, batch: &Batch) {
        for (rv, fact) in batch.numbered() {
            self.apply_fact(fact, rv);
        }
        for doc in &batch.docs {
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
                    assert_eq!(pod.phase, Phase::Pending, "a pod starts once");
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
                }
            }
            Fact::PodsDeleted { pods, .. } => {
                for deleted in pods {
                    // What has ended and is kept by a finalizer is not here any more.
                    if deleted.is_stray && !self.pods.contains_key(&(id, deleted.ordinal)) {
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
            }
            Fact::PodUngated { ordinal, .. } => assert!(self.ungated.insert((id, *ordinal)), "ungated twice"),
            Fact::PodChanged { ordinal, meta: None, .. } => drop(self.metas.remove(&(id, *ordinal))),
            Fact::PodChanged { ordinal, meta: Some(meta), .. } => {
                self.metas.insert((id, *ordinal), meta.clone());
            }
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
            }
            Fact::PodsRemoved { ordinals, .. } => {
                let alive = ordinals.iter().find(|ordinal| self.pods.contains_key(&(id, **ordinal)));
                assert_eq!(alive, None, "a pod is gone before it ended");
            }
            _ => {}
        }
    }

    fn pod(&mut self, id: JobId, ordinal: u32) -> &mut PodRecord {
        self.pods.get_mut(&(id, ordinal)).expect("a fact about a pod that is alive")
    }

    /// The resourceVersion of a Job's document, and the document.
    pub(super) fn job_doc(&self, namespace: &str, name: &str) -> Option<(u64, Arc<str>)> {
        let key = (Kind::Job, Arc::from(namespace), Arc::from(name));
        self.docs.get(&key).map(|doc| (doc.rv, Arc::clone(doc.json.as_ref().expect("not deleted"))))
    }

    fn marks(&self, id: JobId) -> Vec<(u32, PodMark)> {
        let metas = self.metas.range((id, 0)..=(id, u32::MAX));
        let mark = |(_, ordinal): &(JobId, u32), meta: &str| {
            (*ordinal, PodMark { meta: Some(meta.into()), ..PodMark::default() })
        };
        let of_job = |(job, ordinal): &(JobId, u32)| {
            (*job == id).then(|| (*ordinal, PodMark { ungated: true, ..PodMark::default() }))
        };
        metas.map(|(pod, meta)| mark(pod, meta)).chain(self.ungated.iter().filter_map(of_job)).collect()
    }

    fn doc_of(&self, record: &JobRecord) -> (u64, Arc<str>) {
        if record.placement.orphaned {
            let key = (Kind::OrphanedJob, Arc::clone(&record.namespace), Arc::from(record.id.0.to_string()));
            let doc = &self.docs[&key];
            return (doc.rv, Arc::clone(doc.json.as_ref().expect("not deleted")));
        }
        self.job_doc(&record.namespace, &record.name).expect("every Job has a document")
    }

    /// What a boot hands to `State::restore`.
    pub(super) fn restored(&self, specs: &BTreeMap<Arc<str>, JobSpec>) -> Restored {
        let docs =
            self.docs.values().filter(|doc| !matches!(doc.kind, Kind::Job | Kind::OrphanedJob)).cloned().collect();
        let jobs = self.jobs.values().map(|record| {
            let (doc_rv, doc) = self.doc_of(record);
            let of_job = (record.id, 0)..=(record.id, u32::MAX);
            let pods = self.pods.range(of_job).map(|(_, pod)| *pod).collect();
            RestoredJob {
                record: record.clone(),
                spec: spec_of(specs, &doc),
                doc: (doc_rv, doc),
                pods,
                marks: self.marks(record.id),
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
