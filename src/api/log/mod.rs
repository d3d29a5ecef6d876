//! `pods/log`: what a pod has written, and what it goes on to write.
//!
//! `options` reads the query, `reading` picks records and makes chunks of them, `lines` decides about each line; here is what
//! becomes of a request and how a follower waits. It must not know how segments lie on disk. Invariant: a client that does not
//! read holds one chunk and a list of places, never a log.

mod lines;
mod options;
mod reading;
#[cfg(test)]
mod tests;

use super::Status;
use super::pods::find;
use super::router::{Answered, Engine, Names, Query};
use super::stream::chunks;
use super::write::RETRY_AFTER_S;
use crate::base::JobId;
use crate::engine::{Handle, now};
use crate::exec::Following;
use crate::model::{LogExtent, NO_SEGMENT, Phase, PodRecord};
use crate::view::{Filter, PodObject, Topic, View};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use options::LogOptions;
use reading::Reading;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Clients that follow a log at the same time; the next one is answered 429.
pub(super) const FOLLOWERS_MAX: usize = 256;

/// Places for followers.
#[derive(Debug, Clone)]
pub(super) struct Followers(Arc<Semaphore>);

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS_MAX)))
    }
}

impl Followers {
    fn take(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| Status::too_many_requests(RETRY_AFTER_S))
    }
}

/// The output of a pod, stdout and stderr in the order in which they were written.
pub(super) async fn log(
    State(handle): Engine,
    State(followers): State<Followers>,
    State(shutdown): State<watch::Sender<bool>>,
    Names([namespace, name]): Names<2>,
    query: Query,
) -> Answered {
    let options = LogOptions::read(&query, &name, now())?;
    let pod = find(&handle, &namespace, &name)?;
    check_container(&pod, &name, &options)?;
    let follower = match options.follow && !pod.record.is_terminal() {
        true => Some(Follower::new(&handle, &pod.record, &shutdown, followers.take()?)),
        false => None,
    };
    let logs = Arc::clone(handle.logs());
    let newest = logs.newest(pod.record.job, pod.record.ordinal);
    // The pod is looked at again after that, because an end that was let go of by then is in its record.
    let end = end_of(&find(&handle, &namespace, &name)?.record, newest).unwrap_or_default();
    let reading = tokio::task::spawn_blocking(move || Reading::open(logs, end, &options)).await;
    let reading = reading.map_err(|error| Status::internal(&error))?.map_err(|error| Status::internal(&error))?;
    Ok(text(chunks((reading, follower), |(reading, follower)| next(reading, follower))))
}

/// Text whatever the client accepts, as in the reference.
fn text(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// What Kubernetes says when there is no such log.
fn check_container(pod: &PodObject, name: &str, options: &LogOptions) -> Result<(), Status> {
    let container = &pod.job.spec().template.container;
    if let Some(other) = options.container.as_ref().filter(|other| *other != container) {
        return Err(Status::bad_request(format!("container {other} is not valid for pod {name}")));
    }
    if options.previous {
        let message = format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
        return Err(Status::bad_request(message));
    }
    let reason = pod.record.reason.as_str();
    // One whose container is started again has the log of the one before.
    let is_waiting = !pod.record.has(PodRecord::STARTED) && !pod.record.is_terminal() && pod.restarts.is_none();
    // A follower waits for a pod that has not had its turn yet, but not for one that cannot start.
    if is_waiting && !(options.follow && reason.is_empty()) {
        let reason = if reason.is_empty() { "ContainerCreating" } else { reason };
        let message = format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}");
        return Err(Status::bad_request(message));
    }
    Ok(())
}

/// Where the log of a pod ends: its record knows once its container has ended, before that `newest`, which was asked for before
/// the record was; `None` when it has written nothing yet.
fn end_of(pod: &PodRecord, newest: Option<LogExtent>) -> Option<LogExtent> {
    let known = Some(pod.log).filter(|log| log.segment != NO_SEGMENT);
    if pod.is_terminal() { Some(pod.log) } else { newest.or(known) }
}

/// The next chunk, waited for when there is a follower.
async fn next(mut reading: Reading, mut follower: Option<Follower>) -> Option<(Bytes, (Reading, Option<Follower>))> {
    loop {
        let bytes;
        // Segments are files, so the thread that serves everybody does not read them.
        (bytes, reading) = tokio::task::spawn_blocking(move || (reading.chunk(), reading)).await.ok()?;
        if !bytes.is_empty() {
            return Some((bytes, (reading, follower)));
        }
        if reading.is_full() {
            return None;
        }
        let end = follower.as_mut()?.more(reading.seen()).await?;
        reading.go_on(end);
    }
}

/// Waits for what a living pod writes.
#[derive(Debug)]
struct Follower {
    view: Arc<View>,
    following: Following,
    job: JobId,
    ordinal: u32,
    shutdown: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    fn new(handle: &Handle, pod: &PodRecord, shutdown: &watch::Sender<bool>, place: OwnedSemaphorePermit) -> Self {
        Self {
            view: Arc::clone(handle.view()),
            following: handle.logs().follow(pod.job, pod.ordinal),
            job: pod.job,
            ordinal: pod.ordinal,
            shutdown: shutdown.subscribe(),
            _place: place,
        }
    }

    /// The log's end once it is beyond `seen`; `None` when nothing comes any more: the pod has ended, or is gone, or the server
    /// stops. Of a pod that went with its Job there is what was handed over by now.
    async fn more(&mut self, seen: LogExtent) -> Option<LogExtent> {
        loop {
            // Both are asked to wake before the look, so that nothing in between is missed.
            let mut grown = pin!(self.following.grown());
            grown.as_mut().enable();
            let filter = Filter { job: Some(self.job), ..Filter::default() };
            let cursor = self.view.watch_from(Topic::Pods, filter, self.view.rv());
            let newest = self.following.newest();
            // The record of a pod that was stopped is looked at although it is gone: its end came in the same moment.
            let pod = self.view.pod_record(self.job, self.ordinal);
            let end = pod.map_or(newest, |pod| end_of(&pod, newest));
            if let Some(end) = end.filter(|end| end.segment != NO_SEGMENT && *end != seen) {
                return Some(end);
            }
            // A follower follows one container (kubernetes: kubelet, `ReadLogs`).
            let has_exited = |pod: &PodRecord| pod.phase == Phase::Running && !pod.has(PodRecord::STARTED);
            let is_over = pod.is_none_or(|pod| pod.is_terminal() || pod.has(PodRecord::REMOVED) || has_exited(&pod));
            if is_over || *self.shutdown.borrow() {
                return None;
            }
            // So much happened since that there is something new for sure.
            let Ok(cursor) = cursor else { continue };
            tokio::select! {
                () = grown => {}
                () = self.view.changed(&cursor) => {}
                _ = self.shutdown.wait_for(|is_over| *is_over) => return None,
            }
        }
    }
}
