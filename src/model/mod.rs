//! Records, facts and specs: data only, and the one way in which facts change records.
//!
//! Start with [`Fact`]: what can happen. [`JobRecord::apply`] is used by `control`, which decides facts, and by `view`,
//! which shows them once they are durable, so that both read the same history. Invariant: applying a fact never reads a
//! spec; every fact carries its own outcome.

mod batch;
mod durable;
mod event;
mod fact;
mod job;
mod launch;
mod life;
mod node;
mod pod;
mod priority;
mod spec;

pub use batch::{Batch, CodecError, DocWrite, Kind};
pub use durable::{CHUNK_PODS, Chunk, Fold, Recovered};
pub use event::{Event, EventNote};
pub use fact::{Claim, Counted, DeletedPod, Fact, IndexRun, PodEnd, Waiting};
pub use job::{Backoff, Condition, ConditionReason, ConditionType, JobRecord, JobStatus};
pub use launch::{Exit, Launch, Refused, Report, RunPlan, Started, Stop};
pub use life::{FOREGROUND_FINALIZER, Life, ORPHAN_FINALIZER};
pub use node::{Needs, NodeOperator, NodeRequirement, NodeSays, NodeShape, NodeTerm, Toleration};
pub use pod::{EngineKind, LogExtent, NO_SEGMENT, OwnerReference, Phase, PodMark, PodMeta, PodRecord, Reason};
pub use priority::{Placement, PodPriority, PreemptionPolicy, PriorityClass, Unplaced};
pub use spec::{
    CompletionMode, EnvValue, EnvVar, FUEL_ANNOTATION, FailureAction, FailureRule, FieldPath, JobSpec, OnExitCodes,
    PodTemplate, Selector, SpecError,
};
