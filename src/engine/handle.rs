//! What clients of the engine hold.

use super::compiler::{CheckedModule, Compiler};
use super::inbox::{Inbox, NotTaken};
use crate::base::{Rng, Uid};
use crate::control::{
    ChangePod, DeleteDoc, DeleteJob, DocChange, Input, NewDoc, NewJob, NewSpec, Reply, Rerun, Ticket, WriteError,
    Written,
};
use crate::exec::{LoadError, Logs};
use crate::model::{Kind, NodeShape, Report};
use crate::view::View;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// Namespaces that exist from the first boot (kubernetes: `SystemNamespaces` and `default`).
const PREDEFINED_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Access to a running engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inbox: Inbox,
    view: Arc<View>,
    logs: Arc<Logs>,
    compiler: Compiler,
    pods_max: u32,
    node: Arc<NodeShape>,
    tickets: AtomicU64,
    waiting: Mutex<HashMap<Ticket, oneshot::Sender<Result<Reply, RequestError>>>>,
    /// Why the store failed, once it has.
    failure: watch::Sender<Option<String>>,
}

/// Whether the engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ok,
    /// The store failed: nothing is acknowledged or started any more, reads go on.
    Failed(String),
}

/// Why a request got no answer from the control thread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many requests wait.
    #[error("too many requests are waiting; try again in a second")]
    Busy,
    /// The engine is stopping, or its store failed.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
    /// The answer is no.
    #[error(transparent)]
    Refused(#[from] WriteError),
}

/// Rings when it goes, also with a request that nobody waits for any more.
struct Bell<'a>(&'a Inbox);

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl Handle {
    pub(super) fn new(
        view: Arc<View>,
        logs: Arc<Logs>,
        compiler: Compiler,
        (pods_max, node): (u32, Arc<NodeShape>),
    ) -> Self {
        Self(Arc::new(Shared {
            inbox: Inbox::default(),
            view,
            logs,
            compiler,
            pods_max,
            node,
            tickets: AtomicU64::new(1),
            waiting: Mutex::default(),
            failure: watch::Sender::new(None),
        }))
    }

    /// The durable mirror.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.0.view
    }

    /// The pods' output.
    #[must_use]
    pub fn logs(&self) -> &Arc<Logs> {
        &self.0.logs
    }

    /// How many pods can run at a time.
    #[must_use]
    pub fn pods_max(&self) -> u32 {
        self.0.pods_max
    }

    /// What the machine has.
    #[must_use]
    pub fn node(&self) -> &NodeShape {
        &self.0.node
    }

    /// Whether the engine works.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.failure.borrow().as_ref().map_or(Health::Ok, |why| Health::Failed(why.clone()))
    }

    /// Waits until the engine no longer works; the view has its last version by then.
    pub async fn failed(&self) {
        let mut failure = self.0.failure.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        _ = failure.wait_for(Option::is_some).await;
    }

    /// Creates an admitted Job; resolves once it is durable.
    ///
    /// # Errors
    /// [`RequestError`]; the Job does not exist then, unless the engine stopped while it was waiting.
    pub async fn create_job(&self, job: NewJob) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::CreateJob(ticket, Box::new(job))).await
    }

    /// Replaces a Job's document; resolves once it is durable.
    ///
    /// # Errors
    /// [`RequestError`]; the Job is as it was then, unless the engine stopped while it was waiting.
    pub async fn update_job(&self, change: NewSpec) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::UpdateJob(ticket, Box::new(change))).await
    }

    /// From now on no pod starts; those that run go on.
    pub fn drain(&self) {
        // A full inbox is one that nobody drains in time: the engine is stopped a moment later all the same.
        _ = self.0.inbox.put(Input::Drain);
        self.0.inbox.ring();
    }

    /// Deletes a Job and its pods; resolves once it is durable. They are gone from the view by then, and their guests were
    /// told to stop.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was deleted then, unless the engine stopped while it was waiting.
    pub async fn delete_job(&self, delete: DeleteJob) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::DeleteJob(ticket, delete)).await
    }

    /// Runs parts of a Job again; resolves once that is durable and shown.
    ///
    /// # Errors
    /// [`RequestError`]; the Job is as it was then, unless the engine stopped while it was waiting.
    pub async fn rerun_job(&self, rerun: Rerun) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::RerunJob(ticket, Box::new(rerun))).await
    }

    /// Deletes, evicts or changes a pod; resolves once it is durable. Version 0 says that nothing had to be done.
    ///
    /// # Errors
    /// [`RequestError`]; the pod is as it was then, unless the engine stopped while it was waiting.
    pub async fn change_pod(&self, change: ChangePod) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::ChangePod(ticket, Box::new(change))).await
    }

    /// Creates an object that is only a document; resolves once it is durable.
    ///
    /// # Errors
    /// [`RequestError`]; it does not exist then, unless the engine stopped while it was waiting.
    pub async fn create_doc(&self, new: NewDoc) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::CreateDoc(ticket, new)).await
    }

    /// Replaces the document of such an object; resolves once it is durable.
    ///
    /// # Errors
    /// [`RequestError`]; it is as it was then, unless the engine stopped while it was waiting.
    pub async fn update_doc(&self, change: DocChange) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::UpdateDoc(ticket, change)).await
    }

    /// Deletes such an object; resolves once it is durable.
    ///
    /// # Errors
    /// As [`Handle::update_doc`].
    pub async fn delete_doc(&self, delete: DeleteDoc) -> Result<Written, RequestError> {
        self.ask(|ticket| Input::DeleteDoc(ticket, delete)).await
    }

    /// Compiles and links a module that is about to be kept; `name` is what the messages call it. Its code is found by the
    /// pods that run it later. At the most [`COMPILES_MAX`](super::COMPILES_MAX) run at once, on threads of their own.
    ///
    /// # Errors
    /// [`LoadError`] when the module cannot run; nothing is left of it then.
    pub async fn check_module(&self, name: &str, bytes: Arc<[u8]>) -> Result<CheckedModule, LoadError> {
        self.0.compiler.check(name, bytes).await
    }

    /// Lets go of the code of the module with this SHA-256. Removes files: for blocking threads.
    pub fn forget_module(&self, sha256: &[u8; 32]) {
        self.0.compiler.forget(sha256);
    }

    async fn ask(&self, input: impl FnOnce(Ticket) -> Input) -> Result<Written, RequestError> {
        let answer = self.send(input)?;
        let bell = Bell(&self.0.inbox);
        // Requests that came together are one batch: the others get their turn first.
        tokio::task::yield_now().await;
        drop(bell);
        let reply = answer.await.unwrap_or_else(|_| Err(self.stopped()))?;
        Ok(reply?)
    }

    /// Puts a write into the inbox; the caller rings.
    fn send(
        &self,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<oneshot::Receiver<Result<Reply, RequestError>>, RequestError> {
        let ticket = self.0.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.lock_waiting().insert(ticket, sender);
        self.0.inbox.put(input(ticket)).map_err(|not_taken| {
            self.lock_waiting().remove(&ticket);
            match not_taken {
                NotTaken::Full => RequestError::Busy,
                NotTaken::Closed => self.stopped(),
            }
        })?;
        Ok(receiver)
    }

    fn stopped(&self) -> RequestError {
        RequestError::Stopped(self.0.failure.borrow().clone().unwrap_or_else(|| "it was told to".to_owned()))
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Result<Reply, RequestError>>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.0.inbox
    }

    pub(super) fn report_fn(&self) -> Arc<dyn Fn(Report) + Send + Sync> {
        let handle = self.clone();
        Arc::new(move |report| handle.0.inbox.report(report))
    }

    /// Gives replies whose batch is durable.
    pub(super) fn answer(&self, replies: Vec<(Ticket, Reply)>) {
        let mut waiting = self.lock_waiting();
        for (ticket, reply) in replies {
            // A client that went away has dropped its end.
            if let Some(sender) = waiting.remove(&ticket) {
                _ = sender.send(Ok(reply));
            }
        }
    }

    /// The store failed: everybody who waits is told.
    pub(super) fn fail(&self, why: &str) {
        tracing::error!(error = why, "the store failed: nothing is acknowledged or started any more");
        self.0.failure.send_replace(Some(why.to_owned()));
        self.close();
    }

    pub(super) fn close(&self) {
        self.0.inbox.close();
        self.lock_waiting().clear();
    }

    /// Creates the objects that always exist, where they do not; returns once they are durable.
    pub(super) fn create_predefined(&self, rng: &mut Rng) {
        let answers: Vec<_> = predefined()
            .into_iter()
            .filter(|(kind, name, _)| self.0.view.plain_named(*kind, name).is_none())
            .filter_map(|(kind, name, rest)| {
                let new = NewDoc { kind, name: name.into(), doc: document(name, Uid::v4(rng.next_u128()), rest) };
                self.send(|ticket| Input::CreateDoc(ticket, new)).ok()
            })
            .collect();
        self.0.inbox.ring();
        for answer in answers {
            _ = answer.blocking_recv();
        }
    }
}

/// What exists from the first boot: kind, name and what is beside the metadata (kubernetes: `scheduling/v1
/// SystemPriorityClasses`).
fn predefined() -> Vec<(Kind, &'static str, Value)> {
    let namespace = || json!({"apiVersion": "v1", "kind": "Namespace", "spec": {"finalizers": ["kubernetes"]}});
    let class = |value: i32, description: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        })
    };
    let cluster =
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.";
    let node = "Used for system critical pods that must not be moved from their current node.";
    let namespaces = PREDEFINED_NAMESPACES.into_iter().map(|name| (Kind::Namespace, name, namespace()));
    let classes = [
        (Kind::PriorityClass, "system-cluster-critical", class(2_000_000_000, cluster)),
        (Kind::PriorityClass, "system-node-critical", class(2_000_001_000, node)),
    ];
    namespaces.chain(classes).collect()
}

fn document(name: &str, uid: Uid, mut rest: Value) -> Arc<str> {
    let mut metadata = json!({"name": name, "uid": uid.to_string(), "creationTimestamp": super::now().to_string()});
    if rest["kind"] == "Namespace" {
        metadata["labels"] = json!({"kubernetes.io/metadata.name": name});
    } else {
        metadata["generation"] = json!(1);
    }
    rest["metadata"] = metadata;
    rest.to_string().into()
}
