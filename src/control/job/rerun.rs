//! Parts of a Job that run again in the same Job. Kubernetes has no such thing.
//!
//! Completed and failed indexes are forgotten, and a Job that has finished goes on: with a new start for its deadline and
//! its back-off, and no failure counted. Its pods stay. Invariant: what is not forgotten is not touched; a Job that goes on
//! runs everything that it has not completed.

use super::indexes;
use crate::base::JobId;
use crate::control::effects::{Effects, Reply, Rerun, WriteError, Written};
use crate::control::state::{Job, State};
use crate::model::{ConditionType, Fact, JobStatus};
use std::collections::BTreeSet;

/// Does what a client asks for, or says why not.
pub(in crate::control) fn rerun(state: &mut State, rerun: Rerun, fx: &mut Effects) -> Reply {
    let id = state.job_named(&rerun.namespace, &rerun.name)?;
    let job = state.job(id);
    if job.doc_rv != rerun.base_rv {
        return Err(WriteError::Conflict);
    }
    let status = &job.record.status;
    let goes_on = status.is_finished();
    let has = |kind| status.condition(kind).is_some();
    if job.spec.life.is_deleted
        || !goes_on && (has(ConditionType::FailureTarget) || has(ConditionType::SuccessCriteriaMet))
    {
        return Err(WriteError::Ending);
    }
    let ended = ended(status, &rerun);
    // Of a Job that failed, what it did not complete is left to run.
    if ended.is_empty() && !has(ConditionType::Failed) {
        return Err(WriteError::NothingToRun);
    }
    let (at, runs) = (state.now, indexes::runs(&ended));
    state.record(fx, Fact::IndexesRerun { job: id, at, indexes: runs, goes_on });
    take_up(state, id, rerun);
    let record = &state.job(id).record;
    Ok(Written { rv: record.rv, job_uid: Some(record.uid) })
}

/// What is asked for and has ended, in order.
fn ended(status: &JobStatus, rerun: &Rerun) -> Vec<u32> {
    match &rerun.indexes {
        Some(wanted) => {
            let has_ended = |index: &u32| status.completed.contains(*index) || status.has_failed(*index);
            wanted.iter().filter(has_ended).collect()
        }
        None => status.failed_indexes.iter().flat_map(|failed| failed.iter()).collect(),
    }
}

/// The Job has what it needs to create pods again.
fn take_up(state: &mut State, id: JobId, rerun: Rerun) {
    let of_job = state.pods.of_job(id).filter(|(_, pod)| pod.holds_index);
    let held: BTreeSet<u32> = of_job.map(|(_, pod)| pod.index).collect();
    let uid_key = state.uid_key;
    let job = state.job(id);
    job.plan = Some(Job::plan(&job.record, &rerun.spec, uid_key));
    job.spec = rerun.spec;
    if job.spec.is_indexed() {
        indexes::restore(job, &held);
    }
    super::recount(job);
    job.urgent = true;
    state.note_needs(id);
    state.dirty.insert(id);
}
