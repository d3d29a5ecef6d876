//! Following changes: a cursor into a ring, no queue.
//!
//! Knows nothing of HTTP. Start with `View::watch_from`, then `View::poll` and `View::changed` in turns. Invariant: a
//! cursor gives every change of its topic above its version once and in order, or says that it was overtaken.

use super::objects::Object;
use crate::base::JobId;
use std::sync::Arc;

/// What a watcher follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// Jobs.
    Jobs,
    /// Pods.
    Pods,
    /// Events.
    Events,
    /// Namespaces.
    Namespaces,
    /// PriorityClasses.
    PriorityClasses,
    /// What clients wrote of the node.
    Nodes,
}

/// Which objects of a topic a watcher wants; a client's selectors come on top.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only in this namespace.
    pub namespace: Option<Arc<str>>,
    /// Only this Job, its pods or the Events about it.
    pub job: Option<JobId>,
}

/// kubernetes: the `type` of a watch event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// New.
    Added,
    /// Changed.
    Modified,
    /// Gone; the object is its last state under the version of its end.
    Deleted,
}

impl ChangeKind {
    /// The text of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// What happened to one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// At which version: no other change has it.
    pub rv: u64,
    /// What.
    pub kind: ChangeKind,
    /// The object as it is at `rv`.
    pub object: Object,
    /// The object before; `None` when it is new. A selector that only one of the two matches turns a change into an
    /// addition or a deletion.
    pub before: Option<Object>,
}

/// How far a watcher has come.
#[derive(Clone, Debug)]
pub struct Cursor {
    pub(super) topic: Topic,
    pub(super) filter: Filter,
    /// The number of the next entry to look at.
    pub(super) seq: u64,
    pub(super) rv: u64,
}

impl Cursor {
    /// Everything of the topic up to this version was given: what a BOOKMARK says.
    #[must_use]
    pub fn rv(&self) -> u64 {
        self.rv
    }
}

/// The changes that a watcher still needs were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too old resource version: {wanted} ({oldest})")]
pub struct Expired {
    /// From where the watcher wanted to go on.
    pub wanted: u64,
    /// The lowest version from which a watch can start now.
    pub oldest: u64,
}
