//! The rules of batch/v1 Job, one file a rule.
//!
//! `sync` holds the order of questions (kubernetes v1.36: job_controller.go, syncJob); every question has its own file:
//! `failure_policy` (what an exit means), `backoff` (when a pod may be replaced), `finish` (is the Job over), `manage`
//! (how many pods there should be), `indexes` (which completion indexes come next), `removal` (which pods go first),
//! `deleted` (what a pod counts for that a client deletes), `track` (conditions and the status that clients see), `events` (what is said about it).

mod backoff;
mod deleted;
pub(super) mod events;
mod failure_policy;
mod finish;
mod indexes;
mod manage;
mod removal;
mod sync;
mod track;

pub(super) use deleted::{count_deletion, count_unstarted};
pub(super) use failure_policy::count_exit;
pub(super) use indexes::{give_back, indexes_to_retry};
pub(super) use sync::sync;
