//! From what the store held to a state that goes on.

use super::{EngineError, now};
use crate::control::{Capacity, Config, Effects, Restored, RestoredJob, State};
use crate::exec::Logs;
use crate::model::{Batch, JobSpec, Kind, NodeShape, PodRecord, Recovered};
use crate::view::{JobSnapshot, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rebuilds the control state, and gives the facts that say what became of the pods that ran.
pub(super) fn restore(
    recovered: &Recovered,
    view: &View,
    logs: &Logs,
    (capacity, node): (Capacity, Arc<NodeShape>),
) -> Result<(State, Batch), EngineError> {
    let Recovered { uid_key, first_rv, next_job, .. } = *recovered;
    let config = Config { uid_key, first_rv, next_job, capacity, node };
    let docs = recovered.docs.iter().filter(|doc| doc.kind != Kind::Job).cloned().collect();
    let events = view.events(None).1.iter().map(|event| event.event.at).collect();
    let mut restored = Restored { docs, events, ..Restored::default() };
    let mut lost = BTreeSet::new();
    for JobSnapshot { record, doc, pods, marks, restarts } in view.jobs_snapshot() {
        let spec = JobSpec::from_doc(&doc.json).map_err(|source| EngineError::Spec {
            namespace: Arc::clone(&record.namespace),
            name: Arc::clone(&record.name),
            source,
        })?;
        let running = pods.iter().filter(|pod| pod.has(PodRecord::STARTED));
        lost.extend(running.map(|pod| (pod.job, pod.ordinal)));
        let doc = (doc.rv, Arc::clone(&doc.json));
        restored.jobs.push(RestoredJob { record, spec, doc, pods, marks, restarts });
    }
    restored.logs = logs.recover(&lost);
    let mut fx = Effects::default();
    let state = State::restore(config, restored, now(), &mut fx);
    Ok((state, fx.batch))
}
