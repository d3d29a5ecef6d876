//! Following changes: a cursor into a ring, no queue.
//!
//! Knows nothing of HTTP. Start with `View::watch_from`, then `View::poll` and `View::changed` in turns. Invariant: a
//! cursor gives every change of its topic above its version once and in order, or says that it was overtaken; of pods it
//! gives only the last change if it is far behind and [`Filter::merges`].

use super::doc::{JobDoc, JobKey};
use super::merge::Merge;
use super::objects::{Object, PodObject};
use super::pods::Pods;
use super::ring::Entry;
use crate::base::JobId;
use std::fmt;
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
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only in this namespace.
    pub namespace: Option<Arc<str>>,
    /// Only this Job, its pods or the Events about it.
    pub job: Option<JobId>,
    /// Of pods: only those of Jobs of this name.
    pub named: Option<Arc<str>>,
    /// Of pods: only those of Jobs that pass.
    pub test: Option<JobTest>,
    /// Of pods: a watcher that is far behind is told of each the state that it has now. What the client's selectors see of a
    /// pod must stay as it is for as long as it lives, unless clients change its metadata.
    pub merges: bool,
}

/// Whether the pods of a Job are wanted.
#[derive(Clone)]
pub struct JobTest(pub Arc<dyn Fn(&JobDoc) -> bool + Send + Sync>);

impl fmt::Debug for JobTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobTest")
    }
}

impl Filter {
    pub(super) fn takes_pods(&self) -> impl FnMut(&Entry<PodObject>) -> bool {
        let mut last: Option<(*const JobDoc, bool)> = None;
        let mut takes_job = move |doc: &Arc<JobDoc>| match last {
            // Changes of a Job's pods come in runs.
            Some((at, is_taken)) if at == Arc::as_ptr(doc) => is_taken,
            _ => last.insert((Arc::as_ptr(doc), self.takes_job(doc))).1,
        };
        move |entry| {
            let pods = || [Some(&entry.object), entry.before.as_ref()].into_iter().flatten();
            let has_own = || pods().any(PodObject::has_own_metadata);
            takes_job(&entry.object.job) || (has_own() && self.takes_name(&entry.object.job.key))
        }
    }

    /// Whether a pod can be wanted, whose labels may be others than its template's.
    pub(super) fn takes_pod(&self, pod: &PodObject) -> bool {
        self.takes_job(&pod.job) || (pod.has_own_metadata() && self.takes_name(&pod.job.key))
    }

    /// Whether any pods of a Job, whose labels may be others than its template's, can be wanted.
    pub(super) fn takes_any_of(&self, doc: &JobDoc, pods: &Pods) -> bool {
        self.takes_job(doc) || (self.takes_name(&doc.key) && pods.has_marks())
    }

    /// Whether the pods of a Job are wanted.
    pub(super) fn takes_job(&self, doc: &JobDoc) -> bool {
        self.takes_name(&doc.key) && self.test.as_ref().is_none_or(|test| (test.0)(doc))
    }

    fn takes_name(&self, key: &JobKey) -> bool {
        self.named.as_deref().is_none_or(|name| *key.name == *name) && self.takes_key(key)
    }

    /// Whether a Job, or what is about it, is wanted.
    pub(super) fn takes_key(&self, key: &JobKey) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| *wanted == *key.namespace)
            && self.job.is_none_or(|wanted| wanted == key.id)
    }

    /// Whether what belongs to no Job and to no namespace is wanted.
    pub(super) fn takes_plain(&self) -> bool {
        self.namespace.as_deref().is_none_or(str::is_empty) && self.job.is_none()
    }
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
    /// What is to be known while changes are merged.
    pub(super) merge: Option<Box<Merge>>,
}

impl Cursor {
    /// Everything of the topic up to this version was given: what a BOOKMARK says.
    #[must_use]
    pub fn rv(&self) -> u64 {
        self.rv
    }

    /// There may be something to give although nothing changes: changes are being merged.
    pub(super) fn is_under_way(&self) -> bool {
        self.merge.as_ref().is_some_and(|merge| merge.is_under_way())
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
