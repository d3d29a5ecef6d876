//! Which columns each kind has.
//!
//! Names, types, formats and priorities are Kubernetes' (kubernetes: `pkg/printers/internalversion/printers.go`); the
//! descriptions are ours. Invariant: `cells.rs` pushes as many cells as a kind has columns here, in this order.

use serde::Serialize;

/// An item of `columnDefinitions`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(in crate::api) struct Column {
    /// Heading.
    pub(in crate::api) name: &'static str,
    /// OpenAPI type of the cells. Kubernetes says `string` for an Event's count, too, and sends a number.
    #[serde(rename = "type")]
    pub(in crate::api) kind: &'static str,
    /// `name` for the object's name, else empty.
    pub(in crate::api) format: &'static str,
    /// For people.
    pub(in crate::api) description: &'static str,
    /// 0 is always shown, 1 only with `-o wide`.
    pub(in crate::api) priority: u8,
}

const fn name(priority: u8) -> Column {
    Column { name: "Name", kind: "string", format: "name", description: "Name of the object.", priority }
}

const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 1 }
}

const AGE: Column = text("Age", "Time since the object was created.");

pub(super) const JOB: &[Column] = &[
    name(0),
    text("Status", "Status of the Job."),
    text("Completions", "Pods that succeeded, of those that are wanted."),
    text("Duration", "Time from the start of the Job to its completion, or until now."),
    AGE,
    wide("Containers", "Names of the containers in the template."),
    wide("Images", "Images of the containers in the template."),
    wide("Selector", "Labels that the Job's pods have."),
];

pub(super) const POD: &[Column] = &[
    name(0),
    text("Ready", "Containers that are ready, of all."),
    text("Status", "Status of the pod's containers taken together."),
    text("Restarts", "How often containers were restarted, and when last."),
    AGE,
    wide("IP", "Address of the pod."),
    wide("Node", "Node that the pod is on."),
    wide("Nominated Node", "Node that the pod waits for."),
    wide("Readiness Gates", "Readiness gates that are passed, of all."),
];

pub(super) const EVENT: &[Column] = &[
    text("Last Seen", "Time since it happened last."),
    text("Type", "Normal or Warning."),
    text("Reason", "What happened, in one word for programs."),
    text("Object", "What it happened to."),
    wide("Subobject", "Which part of the object it happened to."),
    wide("Source", "Who reported it."),
    text("Message", "What happened, for people."),
    wide("First Seen", "Time since it happened first."),
    wide("Count", "How often it happened."),
    name(1),
];

pub(super) const NAMESPACE: &[Column] = &[name(0), text("Status", "Phase of the namespace."), AGE];

pub(super) const PRIORITY_CLASS: &[Column] = &[
    name(0),
    text("Value", "Priority of the class's pods; higher ones go first."),
    text("Global-Default", "Whether it counts for pods that name no class."),
    AGE,
    text("PreemptionPolicy", "Whether its pods would preempt others."),
];

pub(super) const NODE: &[Column] = &[
    name(0),
    text("Status", "Whether the node is ready and takes pods."),
    text("Roles", "Roles of the node."),
    AGE,
    text("Version", "Version of what runs the node's pods."),
    wide("Internal-IP", "Address inside the cluster."),
    wide("External-IP", "Address outside the cluster."),
    wide("OS-Image", "Operating system of the node."),
    wide("Kernel-Version", "Kernel of the node and its architecture."),
    wide("Container-Runtime", "Runtime of the node and its version."),
];
