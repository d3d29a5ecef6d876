//! Every watch gives, on top of the list that it starts from, the list of later.

use crate::model::{JobStatus, PodRecord};
use crate::view::{ChangeKind, Cursor, Filter, Object, Topic, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many places of a life watches are started from again, at its end.
const STARTS_MAX: usize = 6;
/// How many changes are asked for at once.
const POLL: usize = 64;
const TOPICS: [Topic; 3] = [Topic::Jobs, Topic::Pods, Topic::Events];

/// What is compared of an object.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Job(u64, Arc<JobStatus>),
    Pod(PodRecord),
    Event(u64),
}

fn seen(object: &Object) -> Seen {
    match object {
        Object::Job(job) => Seen::Job(job.rv, Arc::clone(&job.status)),
        Object::Pod(pod) => Seen::Pod(pod.record),
        Object::Event(event) => Seen::Event(event.rv),
        Object::Plain(plain) => Seen::Event(plain.rv),
    }
}

type Lists = [BTreeMap<String, Seen>; 3];

/// The lists as they are now.
fn listed(view: &View) -> Lists {
    let key = |object: Object| (format!("{}/{}", object.namespace(), object.name()), seen(&object));
    [
        view.jobs(None).1.into_iter().map(|job| key(Object::Job(job))).collect(),
        view.pods(None, None).1.iter().map(|pod| key(Object::Pod(pod))).collect(),
        view.events(None).1.into_iter().map(|event| key(Object::Event(event))).collect(),
    ]
}

/// The watchers of one life of the engine.
#[derive(Debug)]
pub(super) struct Watches {
    cursors: Vec<Cursor>,
    lists: Lists,
    starts: Vec<(u64, Lists)>,
}

impl Watches {
    /// Watches from what is listed now.
    pub(super) fn start(view: &View) -> Result<Self, String> {
        Ok(Self { cursors: cursors(view, view.rv())?, lists: listed(view), starts: Vec::new() })
    }

    /// Takes what is new; the reasons of new Events.
    pub(super) fn poll(&mut self, view: &View) -> Result<Vec<&'static str>, String> {
        follow(view, &mut self.cursors, &mut self.lists)
    }

    /// The followed lists are the lists.
    pub(super) fn compare(&mut self, view: &View) -> Result<(), String> {
        differ(&self.lists, &listed(view), view.rv())?;
        if self.starts.len() < STARTS_MAX {
            self.starts.push((view.rv(), self.lists.clone()));
        }
        Ok(())
    }

    /// Watches from the places that were kept reach the list of now.
    pub(super) fn end(self, view: &View) -> Result<(), String> {
        let now = listed(view);
        for (rv, mut lists) in self.starts {
            let mut cursors = cursors(view, rv)?;
            follow(view, &mut cursors, &mut lists)?;
            differ(&lists, &now, rv)?;
        }
        Ok(())
    }
}

fn cursors(view: &View, rv: u64) -> Result<Vec<Cursor>, String> {
    let start = |topic| view.watch_from(topic, Filter::default(), rv).map_err(|expired| expired.to_string());
    TOPICS.into_iter().map(start).collect()
}

fn differ(followed: &Lists, listed: &Lists, rv: u64) -> Result<(), String> {
    for (topic, (followed, listed)) in TOPICS.iter().zip(followed.iter().zip(listed)) {
        if followed != listed {
            return Err(format!("a watch of {topic:?} from {rv} gives {followed:?}, the list {listed:?}"));
        }
    }
    Ok(())
}

fn follow(view: &View, cursors: &mut [Cursor], lists: &mut Lists) -> Result<Vec<&'static str>, String> {
    let mut reasons = Vec::new();
    for (cursor, list) in cursors.iter_mut().zip(lists) {
        loop {
            let mut last = 0;
            let changes = view.poll(cursor, POLL).map_err(|expired| expired.to_string())?;
            if changes.is_empty() {
                break;
            }
            for change in changes {
                if change.rv <= last || change.rv > view.rv() {
                    return Err(format!("a change at {} after {last}, shown is {}", change.rv, view.rv()));
                }
                last = change.rv;
                if let (Object::Event(event), ChangeKind::Added) = (&change.object, change.kind) {
                    reasons.push(event.reason());
                }
                let key = format!("{}/{}", change.object.namespace(), change.object.name());
                let before = match change.kind {
                    ChangeKind::Deleted => list.remove(&key),
                    ChangeKind::Added | ChangeKind::Modified => list.insert(key.clone(), seen(&change.object)),
                };
                if before.is_some() == (change.kind == ChangeKind::Added) {
                    return Err(format!("{key} is {:?} and was {before:?}", change.kind));
                }
            }
        }
    }
    Ok(reasons)
}
