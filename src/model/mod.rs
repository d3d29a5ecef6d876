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
mod per_index;
mod pod;
mod priority;
mod restarts;
mod spec;

pub use batch::{Batch, CodecError, DocWrite, Kind};
pub use durable::{CHUNK_PODS, Chunk, Fold, Recovered};
pub use event::{Event, EventNote};
pub use fact::{Claim, ContainerExit, Counted, DeletedPod, Fact, IndexRun, PodEnd, Waiting};
pub use job::{Backoff, Condition, ConditionReason, ConditionType, JobRecord, JobStatus};
pub use launch::{Crowded, Exit, Launch, Refused, Report, RunPlan, Started, Stop};
pub use life::{FOREGROUND_FINALIZER, Life, ORPHAN_FINALIZER};
pub use node::{Needs, NodeOperator, NodeRequirement, NodeSays, NodeShape, NodeTerm, Toleration};
pub use per_index::{FailedOnce, HeldPod, IndexFailures, PerIndex};
pub use pod::{EngineKind, LogExtent, NO_SEGMENT, OwnerReference, Phase, PodMark, PodMeta, PodRecord, Reason};
pub use priority::{Placement, PodPriority, PreemptionPolicy, PriorityClass, Unplaced};
pub use restarts::{Restarts, Terminated};
pub use spec::{
    BACKOFF_BASE_ANNOTATION, BACKOFF_MAX_ANNOTATION, BackoffDelays, CompletionMode, ContainerRestarts, EnvValue,
    EnvVar, FUEL_ANNOTATION, FailureAction, FailureRule, FieldPath, JobSpec, OnExitCodes, PodConditionPattern,
    PodTemplate, RestartPolicy, Selector, SpecError, SuccessRule, duration_ms,
};
