//! The rules of batch/v1 Job, one file a rule.
//!
//! `sync` holds the order of questions (kubernetes v1.36: job_controller.go, syncJob); every question has its own file:
//! `failure_policy` (what an end or a deletion means), `restarts` (whether its container is started again instead), `backoff` (when a pod may be replaced), `held` (which failures are not counted yet),
//! `finish` (is the Job over), `success_policy` (are enough indexes completed), `manage` (how many pods there should be),
//! `indexes` (which completion indexes come next), `elastic` (what a change of `completions` drops), `removal` (which pods go
//! first), `suspend` (condition Suspended), `track` (the other conditions, and the status that clients see), `ttl` (when a
//! finished Job goes), `rerun` (what runs again), `events` (what is said about it).

mod backoff;
mod elastic;
pub(super) mod events;
mod failure_policy;
mod finish;
mod held;
pub(super) mod indexes;
mod manage;
mod removal;
mod rerun;
pub(super) mod restarts;
mod success_policy;
mod suspend;
mod sync;
mod track;
mod ttl;

pub(super) use elastic::resize;
pub(super) use failure_policy::{count_deletion, count_end, count_lost, count_unstarted};
pub(super) use held::replaced;
pub(super) use indexes::give_back;
pub(super) use rerun::rerun;
pub(super) use success_policy::recount;
pub(super) use sync::sync;
