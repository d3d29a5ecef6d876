//! What a store and a mirror would hold, made from batches alone.

use crate::base::{JobId, Time};
use crate::control::{Restored, RestoredJob};
use crate::model::{Batch, DocWrite, Fact, JobRecord, JobSpec, Kind, Phase, PodRecord, Restarts};
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

    /// What a boot hands to `State::restore`.
    pub(super) fn restored(&self, specs: &BTreeMap<Arc<str>, JobSpec>) -> Restored {
        let docs = self.docs.values().filter(|doc| doc.kind != Kind::Job).cloned().collect();
        let jobs = self.jobs.values().map(|record| {
            let (doc_rv, doc) = self.job_doc(&record.namespace, &record.name).expect("every Job has a document");
            let of_job = (record.id, 0)..=(record.id, u32::MAX);
            let pods = self.pods.range(of_job.clone()).map(|(_, pod)| *pod).collect();
            let restarts = self.restarts.range(of_job).map(|((_, ordinal), kept)| (*ordinal, kept.clone())).collect();
            RestoredJob { record: record.clone(), spec: specs[&doc].clone(), doc_rv, pods, restarts }
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

    /// Makes a Job look as if it had given `ordinals` pods already.
    pub(super) fn skip_ordinals(&mut self, id: JobId, ordinals: u32) {
        self.jobs.get_mut(&id).expect("a Job").next_ordinal = ordinals;
    }
}
