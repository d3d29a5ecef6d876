//! Table tests of every rule, all through `State::step`.
//!
//! `world` is the language of the cases: a virtual clock, a scripted executor and a store in memory. A case says what
//! happens and, as one line of text, everything that must follow; anything left over fails. `verify` holds what must be
//! true after every step of every case. Names such as `v028_…` carry the number of the case in
//! the list of scenarios that the controller is specified with; `vectors` knows which of them have no test, and why.

mod alike;
mod backoff;
mod claims;
mod conditions;
mod counting;
mod deadline;
mod delete;
mod elastic;
mod events;
mod failure_policy;
mod indexed;
mod job_end;
mod limits;
mod names;
mod parallelism;
mod per_index;
mod placement;
mod pod_delete;
mod priority;
mod publishing;
mod random;
mod refused;
mod replacement;
mod rerun;
mod restart;
mod restarts;
mod room;
mod spec;
mod stops;
mod store;
mod success_policy;
mod suspend;
mod transcript;
mod ttl;
mod vectors;
mod verify;
mod work_queue;
mod workers;
mod world;
mod writes;

use spec::Spec;
use world::World;
