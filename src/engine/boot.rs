//! From what the store held to a state that goes on.

use super::{EngineError, now};
use crate::control::{Capacity, Config, Effects, Restored, RestoredJob, State};
use crate::exec::Logs;
use crate::model::{JobSpec, PodRecord, Recovered};
use crate::view::View;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rebuilds the control state, and the facts that say what became of the pods that ran.
pub(super) fn restore(
    recovered: &Recovered,
    view: &View,
    logs: &Logs,
    capacity: Capacity,
) -> Result<(State, Effects), EngineError> {
    let config = Config { uid_key: recovered.uid_key, first_rv: recovered.first_rv, capacity };
    let mut restored = Restored { namespaces: view.namespace_names(), ..Restored::default() };
    let mut lost = BTreeSet::new();
    for job in view.unfinished() {
        let spec = JobSpec::from_doc(&job.doc).map_err(|source| EngineError::Spec {
            namespace: Arc::clone(&job.record.namespace),
            name: Arc::clone(&job.record.name),
            source,
        })?;
        let running = job.pods.iter().filter(|pod| pod.has(PodRecord::STARTED));
        lost.extend(running.map(|pod| (pod.job, pod.ordinal)));
        restored.jobs.push(RestoredJob { record: job.record, spec, doc_rv: job.doc_rv, pods: job.pods });
    }
    restored.logs = logs.recover(&lost);
    let mut fx = Effects::default();
    let state = State::restore(config, restored, now(), &mut fx);
    Ok((state, fx))
}
