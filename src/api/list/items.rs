//! What a list is made of: the objects at one version, walked in steps.
//!
//! Knows how the view is asked for as little as a selector allows, and where in a list a key is; knows no HTTP. Invariant: a
//! walk gives the selected objects in order, each once, however often it pauses.

use super::item::Item;
use super::kind::Listed;
use super::options::Selector;
use crate::api::table::Kind;
use crate::base::{JobId, Uid};
use crate::model;
use crate::view::{Filter, INDEX_KEY, JobDoc, JobKey, JobTest, Object, PodList, PodPlace, Topic, View};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// The objects of a kind at one version.
#[derive(Debug)]
pub(super) enum Items {
    Objects(Vec<Object>),
    Pods(PodList),
    Node(Arc<Value>),
}

/// The part of a kind that a selector leaves, as far as the view can tell without looking at the objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    All,
    /// The object of this name.
    Named(String),
    /// The pods of this Job.
    OfJob(Uid),
    /// The pods of whichever Job has this name.
    OfJobNamed(String),
}

/// Labels that name a pod's Job, generated for every pod of a Job and for no other (kubernetes: `batch/v1` constants).
const JOB_NAME_KEYS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
const JOB_UID_KEYS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];

/// A uid that no object has.
const NOBODY: Uid = Uid(0);

impl Scope {
    pub(super) fn of(kind: &Listed, selector: &Selector) -> Self {
        if let Some(name) = selector.fields.exact("metadata.name") {
            return Self::Named(name.to_owned());
        }
        if kind.kind != Kind::Pod {
            return Self::All;
        }
        if let Some(uid) = JOB_UID_KEYS.iter().find_map(|key| selector.labels.exact(key)) {
            return Self::OfJob(Uid::parse(uid).unwrap_or(NOBODY));
        }
        let name = JOB_NAME_KEYS.iter().find_map(|key| selector.labels.exact(key));
        name.map_or(Self::All, |name| Self::OfJobNamed(name.to_owned()))
    }
}

/// What a watch follows. A Job's name says less than its uid: a later Job may take it.
pub(super) fn filter(kind: &Listed, namespace: Option<&str>, selector: &Arc<Selector>, view: &View) -> Filter {
    let uid = JOB_UID_KEYS.iter().find_map(|key| selector.labels.exact(key)).and_then(Uid::parse);
    let job = uid.and_then(|uid| view.job_by_uid(uid)).map(|job| job.doc.key.id);
    let all = Filter { namespace: namespace.map(Arc::from), job, ..Filter::default() };
    if kind.kind != Kind::Pod {
        return all;
    }
    let wanted = Arc::clone(selector);
    let test = move |job: &JobDoc| can_take_pods_of(&wanted, job);
    Filter {
        named: JOB_NAME_KEYS.iter().find_map(|key| selector.labels.exact(key)).map(Arc::from),
        test: (!selector.labels.is_empty()).then(|| JobTest(Arc::new(test))),
        // These take all pods of a Job or none, whatever becomes of them. A pod has no node before it has a place.
        merges: !selector.labels.mentions(INDEX_KEY)
            && selector.fields.are_all("spec.")
            && !selector.fields.mentions("spec.nodeName"),
        ..all
    }
}

/// Whether a Job's pods can be selected. They have the labels of its template, and their index.
fn can_take_pods_of(selector: &Selector, job: &JobDoc) -> bool {
    let labels = &job.spec().template.labels;
    let label = |key: &str| labels.get(key).map(|value| Cow::Borrowed(value.as_str()));
    selector.labels.mentions(INDEX_KEY) || selector.labels.takes(label)
}

impl Items {
    /// The objects of a kind, and the version at which they are so.
    pub(super) fn read(
        view: &View,
        node: &Arc<Value>,
        kind: &Listed,
        namespace: Option<&str>,
        scope: &Scope,
    ) -> (u64, Self) {
        fn objects<T>((rv, objects): (u64, Vec<T>), wrap: impl Fn(T) -> Object) -> (u64, Items) {
            (rv, Items::Objects(objects.into_iter().map(wrap).collect()))
        }
        match (kind.kind, scope) {
            (Kind::Job, Scope::Named(name)) => objects(view.jobs_named(namespace, name), Object::Job),
            (Kind::Job, _) => objects(view.jobs(namespace), Object::Job),
            (Kind::Pod, Scope::Named(name)) => objects(view.pods_named(namespace, name), Object::Pod),
            (Kind::Pod, scope) => {
                let (rv, pods) = match scope {
                    Scope::OfJob(uid) => view.pods(namespace, Some(*uid)),
                    Scope::OfJobNamed(name) => view.pods_of_jobs_named(namespace, name),
                    Scope::All | Scope::Named(_) => view.pods(namespace, None),
                };
                (rv, Self::Pods(pods))
            }
            (Kind::Event, _) => objects(view.events(namespace), Object::Event),
            (Kind::Namespace, _) => objects(view.plain(model::Kind::Namespace), Object::Plain),
            (Kind::PriorityClass, _) => objects(view.plain(model::Kind::PriorityClass), Object::Plain),
            (Kind::Node, _) => (view.rv(), Self::Node(Arc::clone(node))),
        }
    }

    /// How many there are behind `place`.
    pub(super) fn count_from(&self, place: PodPlace) -> usize {
        match self {
            Self::Objects(objects) => objects.len().saturating_sub(place.job),
            Self::Pods(pods) => pods.count_from(place),
            Self::Node(_) => 1_usize.saturating_sub(place.job),
        }
    }

    /// The place behind the object with this key, whether it is still there or not. A key that is none is before all.
    pub(super) fn place_behind(&self, key: &str) -> PodPlace {
        let at = |job| PodPlace { job, ordinal: 0 };
        match self {
            Self::Objects(objects) => at(objects.partition_point(|object| !is_behind(object, key))),
            Self::Pods(pods) => {
                let mut parts = key.splitn(4, '/');
                let (namespace, job) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                let mut number = || parts.next().and_then(|number| number.parse().ok()).unwrap_or(0);
                let (ordinal, id) = (number(), JobId(number()));
                pods.place_behind(namespace, job, id, ordinal)
            }
            Self::Node(_) => at(1),
        }
    }
}

/// The key of an object: lists are in this order.
pub(super) fn key(item: &Item) -> String {
    match item {
        Item::Object(Object::Pod(pod)) => {
            let JobKey { namespace, name, id, .. } = &*pod.job.key;
            format!("{namespace}/{name}/{}/{}", pod.record.ordinal, id.0)
        }
        Item::Object(Object::Event(event)) => event.made_rv.to_string(),
        Item::Object(object) => format!("{}/{}", object.namespace(), object.name()),
        Item::Node(_) => String::new(),
    }
}

fn is_behind(object: &Object, key: &str) -> bool {
    match object {
        Object::Event(event) => event.made_rv > key.parse().unwrap_or(0),
        object => (object.namespace(), &*object.name()) > key.split_once('/').unwrap_or(("", "")),
    }
}

/// A walk over the selected objects.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) items: Arc<Items>,
    pub(super) selector: Arc<Selector>,
    pub(super) place: PodPlace,
    /// Where it ends; `None` is at the end of the list.
    pub(super) end: Option<PodPlace>,
    /// The Job that was looked at last, and whether its pods can be selected.
    looked_at: Option<(usize, bool)>,
}

/// What a step of a walk found.
#[derive(Debug)]
pub(super) enum Step {
    Found(Item),
    /// Much was looked at and nothing found: others should have their turn.
    Paused,
    Ended,
}

/// How many objects a walk looks at before it pauses: about a millisecond.
const LOOKS_MAX: usize = 8192;

impl Walk {
    pub(super) fn new(items: Arc<Items>, selector: Arc<Selector>, place: PodPlace) -> Self {
        Self { items, selector, place, end: None, looked_at: None }
    }

    /// The next selected object.
    pub(super) fn step(&mut self) -> Step {
        let items = Arc::clone(&self.items);
        for _ in 0..LOOKS_MAX {
            if self.end.is_some_and(|end| self.place >= end) {
                return Step::Ended;
            }
            let item = match &*items {
                Items::Objects(objects) => objects.get(self.place.job).cloned().map(Item::Object),
                Items::Node(node) => (self.place.job == 0).then(|| Item::Node(Arc::clone(node))),
                Items::Pods(pods) => {
                    let Some(job) = pods.job(self.place) else { return Step::Ended };
                    if !self.can_take_pods_of(job) && !pods.has_marks(self.place) {
                        self.place = PodPlace { job: self.place.job + 1, ordinal: 0 };
                        continue;
                    }
                    let Some(pod) = pods.next_of_job(&mut self.place) else { continue };
                    let item = Item::Object(Object::Pod(pod));
                    if self.selector.takes(&item) {
                        return Step::Found(item);
                    }
                    continue;
                }
            };
            let Some(item) = item else { return Step::Ended };
            self.place.job += 1;
            if self.selector.takes(&item) {
                return Step::Found(item);
            }
        }
        Step::Paused
    }

    /// Whether pods of the Job at this place can be selected.
    fn can_take_pods_of(&mut self, job: &JobDoc) -> bool {
        match self.looked_at {
            Some((at, can_take)) if at == self.place.job => can_take,
            _ => {
                let can_take = can_take_pods_of(&self.selector, job);
                self.looked_at = Some((self.place.job, can_take));
                can_take
            }
        }
    }
}

/// The changes of a topic since `rv` are none, as far as they are still known.
pub(super) fn is_unchanged(view: &View, topic: Option<Topic>, namespace: Option<&str>, rv: u64) -> bool {
    let Some(topic) = topic else { return true };
    let filter = Filter { namespace: namespace.map(Arc::from), ..Filter::default() };
    let Ok(mut cursor) = view.watch_from(topic, filter, rv) else { return false };
    view.poll(&mut cursor, 1).is_ok_and(|changes| changes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::kind::{JOBS, PODS};
    use super::super::options::Options;
    use super::*;
    use crate::api::router::Query;

    #[test]
    fn changes_are_merged_only_for_selections_that_no_pod_enters_or_leaves() {
        let view = View::restore(&model::Recovered::empty());
        let merges = |kind, query: &str| {
            let selector = Options::read(&Query::of(query), kind).expect("a selector").selector;
            filter(kind, None, &Arc::new(selector), &view).merges
        };
        for query in
            ["", "labelSelector=app%3Da", "labelSelector=job-name%3Da", "fieldSelector=spec.hostNetwork%3Dfalse"]
        {
            assert!(merges(&PODS, query), "{query}");
        }
        let index = "labelSelector=batch.kubernetes.io/job-completion-index%3D1";
        let fields = ["status.phase%3DRunning", "metadata.name%3Da", "spec.nodeName%3Dx", "spec.nodeName%21%3Dx"];
        let fields = fields.map(|field| format!("fieldSelector={field}"));
        for query in fields.iter().map(String::as_str).chain([index]) {
            assert!(!merges(&PODS, query), "{query}");
        }
        assert!(!merges(&JOBS, ""));
    }
}
