//! The state machine that decides: Jobs in, pods and conditions out.
//!
//! [`State::step`] takes a batch of inputs and a time, changes its records and pushes facts, launches, stops and replies
//! into [`Effects`]. It performs no IO, reads no clock and rolls no dice: the same inputs give the same effects. Start
//! with `step`, then `job/sync.rs`, where the order of questions is Kubernetes'. Invariant: every fact that leaves was
//! applied to the records here, through the same `JobRecord::apply` that the readers' mirror uses.

mod check;
mod delete;
mod effects;
mod fit;
mod job;
mod kept;
mod live;
mod names;
mod pod_writes;
mod pods;
mod priority;
mod restore;
mod room;
mod sched;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod timers;
mod writes;

pub use effects::{
    ChangePod, DeleteDoc, DeleteJob, DocChange, Effects, Input, NewDoc, NewJob, NewMeta, NewSpec, PodChange, PodSeen,
    Propagation, Reply, Rerun, Ticket, WriteError, Written,
};
pub use kept::{EVENT_KEPT_MS, EVENTS_MAX};
pub use restore::{Restored, RestoredJob};
pub use sched::Capacity;
pub use state::{Config, State};
