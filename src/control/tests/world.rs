//! The language of the cases.

use super::spec::Spec;
use super::store::{MemStore, spec_of};
use super::transcript::{shown, transcript};
use super::verify::Verifier;
use super::workers::{STOPPED, Workers};
use crate::base::{IndexSet, JobId, Time, Uid, UidKey};
use crate::control::{
    Capacity, ChangePod, Config, DeleteDoc, DeleteJob, DocChange, Effects, Input, NewDoc, NewJob, NewSpec, PodChange,
    PodSeen, Propagation, Rerun, State,
};
use crate::model::{Batch, EventNote, Fact, JobRecord, JobSpec, JobStatus, Kind, NodeShape, Reason};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When every case begins.
pub(super) const START: Time = Time(1_800_000_000_000);

/// Room enough that no pod has to wait for a worker.
const ROOMY: Capacity = Capacity { workers: 2, queue_max: 100_000, alive_max: 100_000 };

/// A node with four CPUs and a GiB.
fn node() -> Arc<NodeShape> {
    let labels = BTreeMap::from([("kubernetes.io/os".to_owned(), "linux".to_owned())]);
    Arc::new(NodeShape { name: "coracle".to_owned(), cpu_m: 4000, memory_bytes: 1 << 30, labels })
}

/// A state, its surroundings, and what has not been committed.
pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Time,
    /// What the mirror would show if everything were durable.
    pub(super) store: MemStore,
    pub(super) workers: Workers,
    /// Events since they were last looked at.
    events: Vec<(JobId, EventNote)>,
    capacity: Capacity,
    verifier: Verifier,
    specs: BTreeMap<Arc<str>, JobSpec>,
    inputs: Vec<Input>,
    fx: Effects,
    /// The Job that a case speaks of.
    name: &'static str,
    written: u64,
    next_rv: u64,
    durable: MemStore,
    undurable: Vec<Batch>,
    last_written: Vec<u64>,
    /// Everything that steps produced, as text; for comparing histories.
    pub(super) history: Option<String>,
}

impl World {
    /// An empty cluster with the namespace `default`.
    pub(super) fn empty() -> Self {
        Self::with_capacity(ROOMY)
    }

    pub(super) fn with_capacity(capacity: Capacity) -> Self {
        let first_rv = 1;
        let mut world = Self {
            state: State::new(Config { uid_key: UidKey(7), first_rv, next_job: 0, capacity, node: node() }),
            now: START,
            store: MemStore::default(),
            workers: Workers::default(),
            events: Vec::new(),
            capacity,
            verifier: Verifier::restored(&MemStore::default(), first_rv),
            specs: BTreeMap::new(),
            inputs: Vec::new(),
            fx: Effects::default(),
            name: "pi",
            written: 0,
            next_rv: first_rv,
            durable: MemStore::default(),
            undurable: Vec::new(),
            last_written: Vec::new(),
            history: None,
        };
        world.namespace("default");
        world.step("");
        world
    }

    /// A cluster in which the Job `pi` was just posted.
    pub(super) fn of(spec: Spec) -> Self {
        let mut world = Self::empty();
        world.create("pi", spec);
        world
    }

    /// [`World::of`], with the first pods there for a second.
    #[track_caller]
    pub(super) fn started(spec: Spec, created: &str) -> Self {
        let mut world = Self::of(spec);
        world.step(created);
        world.advance(1000);
        world
    }

    // What clients do.

    pub(super) fn namespace(&mut self, name: &str) {
        self.written += 1;
        let new = NewDoc { kind: Kind::Namespace, name: name.into(), doc: "{}".into() };
        self.inputs.push(Input::CreateDoc(self.written, new));
    }

    /// Changes a namespace, from its version `base_rv`.
    pub(super) fn update_namespace(&mut self, name: &str, base_rv: u64) {
        self.written += 1;
        let change = DocChange { kind: Kind::Namespace, name: name.into(), base_rv, doc: "{\"changed\":true}".into() };
        self.inputs.push(Input::UpdateDoc(self.written, change));
    }

    /// Creates a PriorityClass.
    pub(super) fn class(&mut self, name: &str, fields: &str) {
        self.written += 1;
        let doc = format!("{{{fields}}}").into();
        self.inputs.push(Input::CreateDoc(self.written, NewDoc { kind: Kind::PriorityClass, name: name.into(), doc }));
    }

    /// Writes of the node.
    pub(super) fn write_node(&mut self, doc: &str) {
        self.written += 1;
        let (kind, name, doc): (_, Arc<str>, Arc<str>) = (Kind::Node, "coracle".into(), doc.into());
        self.inputs.push(match self.store.try_doc_rv(kind, "coracle") {
            None => Input::CreateDoc(self.written, NewDoc { kind, name, doc }),
            Some(base_rv) => Input::UpdateDoc(self.written, DocChange { kind, name, base_rv, doc }),
        });
    }

    /// Deletes a PriorityClass.
    pub(super) fn delete_class(&mut self, name: &str) {
        self.written += 1;
        let base_rv = self.store.doc_rv(Kind::PriorityClass, name);
        let delete = DeleteDoc { kind: Kind::PriorityClass, name: name.into(), base_rv };
        self.inputs.push(Input::DeleteDoc(self.written, delete));
    }

    /// Posts a Job; the case speaks of it from here on.
    pub(super) fn create(&mut self, name: &'static str, spec: Spec) {
        let uid = Uid::v4(u128::from(self.written) << 64 | 0xfeed);
        self.create_as("default", name, uid, spec);
    }

    pub(super) fn create_as(&mut self, namespace: &str, name: &'static str, uid: Uid, spec: Spec) {
        let doc = self.write(&spec.0);
        let new = NewJob { namespace: namespace.into(), name: name.into(), uid, created: self.now, doc, spec: spec.0 };
        self.inputs.push(Input::CreateJob(self.written, Box::new(new)));
        self.name = name;
    }

    /// Changes the spec, from the version that is current.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut JobSpec)) {
        let (base_rv, doc) = self.store.job_doc("default", self.name).expect("the Job is there");
        let mut spec = spec_of(&self.specs, &doc);
        change(&mut spec);
        self.update_from(base_rv, "default", spec);
    }

    pub(super) fn update_from(&mut self, base_rv: u64, namespace: &str, spec: JobSpec) {
        let doc = self.write(&spec);
        let change = NewSpec { namespace: namespace.into(), name: self.name.into(), base_rv, doc, spec };
        self.inputs.push(Input::UpdateJob(self.written, Box::new(change)));
    }

    /// Deletes the Job that the case speaks of.
    pub(super) fn delete(&mut self) {
        self.delete_if("default", None, None);
    }

    pub(super) fn delete_if(&mut self, namespace: &str, uid: Option<Uid>, rv: Option<u64>) {
        self.written += 1;
        let doc = self.store.job_doc(namespace, self.name).unwrap_or_else(|| (0, "{}".into()));
        self.delete_as(namespace, uid, rv, Propagation::Background, doc);
    }

    /// Deletes the Job that the case speaks of, and says what becomes of its pods.
    pub(super) fn delete_with(&mut self, propagation: Propagation) {
        let doc = self.store.job_doc("default", self.name).expect("the Job is there");
        self.written += 1;
        self.delete_as("default", None, None, propagation, doc);
    }

    fn delete_as(
        &mut self,
        namespace: &str,
        uid: Option<Uid>,
        rv: Option<u64>,
        propagation: Propagation,
        doc: (u64, Arc<str>),
    ) {
        let delete = DeleteJob { namespace: namespace.into(), name: self.name.into(), uid, rv, propagation, doc };
        self.inputs.push(Input::DeleteJob(self.written, delete));
    }

    /// Runs these indexes again, or what has failed.
    pub(super) fn rerun(&mut self, indexes: Option<&str>) {
        let (base_rv, doc) = self.store.job_doc("default", self.name).expect("the Job is there");
        let spec = spec_of(&self.specs, &doc);
        let parse = |text: &str| IndexSet::parse(text, spec.completions.unwrap_or(0)).expect("a list");
        let indexes = indexes.map(parse);
        self.written += 1;
        let rerun = Rerun { namespace: "default".into(), name: self.name.into(), base_rv, spec, indexes };
        self.inputs.push(Input::RerunJob(self.written, Box::new(rerun)));
    }

    /// A client deletes a pod of the Job, with 30 s of grace.
    pub(super) fn delete_pod(&mut self, ordinal: u32) {
        self.change_pod(ordinal, None, PodChange::Delete { grace_s: 30, evict: false });
    }

    pub(super) fn change_pod(&mut self, ordinal: u32, seen: Option<PodSeen>, change: PodChange) {
        self.written += 1;
        let change = ChangePod { job: self.id(), ordinal, seen, change };
        self.inputs.push(Input::ChangePod(self.written, Box::new(change)));
    }

    fn write(&mut self, spec: &JobSpec) -> Arc<str> {
        self.written += 1;
        let doc: Arc<str> = format!("{{\"write\":{}}}", self.written).into();
        self.specs.insert(Arc::clone(&doc), spec.clone());
        if !spec.life.keeps_doc() {
            return doc;
        }
        let metadata = match spec.life.is_deleted {
            true => json!({"finalizers": spec.life.finalizers, "deletionTimestamp": "then"}),
            false => json!({"finalizers": spec.life.finalizers}),
        };
        json!({"write": self.written, "metadata": metadata}).to_string().into()
    }

    /// Speaks of another Job.
    pub(super) fn focus(&mut self, name: &'static str) {
        self.name = name;
    }

    // What workers do.

    /// The engine is about to stop.
    pub(super) fn drain(&mut self) {
        self.inputs.push(Input::Drain);
    }

    /// The guests of these pods run.
    pub(super) fn run(&mut self, ordinals: impl IntoIterator<Item = u32>) {
        let id = self.id();
        ordinals.into_iter().for_each(|ordinal| self.workers.start(id, ordinal, self.now));
    }

    /// The guests of these pods of a Job run, whether the Job is there or not.
    pub(super) fn run_of(&mut self, job: u32, ordinals: impl IntoIterator<Item = u32>) {
        ordinals.into_iter().for_each(|ordinal| self.workers.start(JobId(job), ordinal, self.now));
    }

    /// A pod ends now.
    pub(super) fn exit(&mut self, ordinal: u32, code: u8) {
        self.exit_at(ordinal, code, self.now);
    }

    pub(super) fn exit_at(&mut self, ordinal: u32, code: u8, finished: Time) {
        self.workers.exit(self.id(), ordinal, code, finished);
    }

    pub(super) fn exits(&mut self, ordinals: impl IntoIterator<Item = u32>, code: u8) {
        ordinals.into_iter().for_each(|ordinal| self.exit(ordinal, code));
    }

    pub(super) fn refuse(&mut self, ordinal: u32, reason: Reason) {
        self.workers.refuse(self.id(), ordinal, reason);
    }

    /// The pod's worker has had no slot for it for a while.
    pub(super) fn crowd(&mut self, ordinal: u32) {
        let told = self.workers.crowd(self.id(), ordinal);
        self.inputs.push(told);
    }

    /// What the workers say comes before what clients write next.
    pub(super) fn report_now(&mut self) {
        self.inputs.append(&mut self.workers.reports());
    }

    /// The workers end what they were told to stop.
    pub(super) fn end_stopped(&mut self) {
        for (id, ordinal) in self.workers.stopping() {
            self.workers.exit(id, ordinal, STOPPED, self.now);
        }
    }

    // Time and steps.

    pub(super) fn advance(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// One step. `expected` is everything that it must do (see `transcript`).
    #[track_caller]
    pub(super) fn step(&mut self, expected: &str) {
        let did = self.try_step();
        assert_eq!(did, expected);
    }

    /// One step of which only the invariants are checked; says what it did.
    pub(super) fn try_step(&mut self) -> String {
        self.inputs.append(&mut self.workers.reports());
        self.state.step(self.now, &mut self.inputs, &mut self.fx);
        assert!(self.inputs.is_empty(), "a step takes all inputs");
        let mut fx = std::mem::take(&mut self.fx);
        if let Some(history) = &mut self.history {
            history.push_str(&format!("{fx:?}\n"));
        }
        self.verifier.step(self.now, &fx, &self.state);
        self.store.apply(&fx.batch);
        assert_eq!(self.state.kept_events.len(), self.store.events.len(), "Events that are kept");
        let line = transcript(&fx, &self.store);
        self.workers.take(&mut fx, self.capacity, &self.store.pods);
        self.events.extend(fx.batch.facts.iter().filter_map(|fact| match fact {
            Fact::Recorded { event } => Some((event.job, event.note.clone())),
            _ => None,
        }));
        self.last_written = fx.replies.iter().filter_map(|(_, reply)| Some(reply.ok()?.rv)).collect();
        self.next_rv = self.next_rv.max(fx.batch.next_rv());
        self.undurable.push(fx.batch);
        line
    }

    /// Jumps to the next deadline, which must be `ms` away, and steps.
    #[track_caller]
    pub(super) fn step_due_in(&mut self, ms: u64, expected: &str) {
        assert_eq!(self.due_in_ms(), Some(ms), "the next deadline");
        self.advance(ms);
        self.step(expected);
    }

    /// Lets the status be published; nothing else may happen.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        self.advance(100);
        self.step("");
    }

    /// When there is something to do for a Job or a pod; that Events get old is left out.
    pub(super) fn due_in_ms(&self) -> Option<u64> {
        self.state.work_due().map(|at| at.since_ms(self.now))
    }

    /// What was done so far is durable.
    pub(super) fn commit(&mut self) {
        self.undurable.drain(..).for_each(|batch| self.durable.apply(&batch));
    }

    /// The engine dies with everything durable, and another one boots.
    pub(super) fn crash(&mut self) {
        self.commit();
        self.crash_losing_undurable();
    }

    /// The engine dies; what was not durable never happened.
    pub(super) fn crash_losing_undurable(&mut self) {
        self.undurable.clear();
        self.inputs.clear();
        self.store = self.durable.clone();
        self.workers = Workers::default();
        self.next_rv += 1000;
        let config = Config {
            uid_key: UidKey(7),
            first_rv: self.next_rv,
            next_job: self.store.next_job(),
            capacity: self.capacity,
            node: node(),
        };
        self.fx = Effects::default();
        self.verifier = Verifier::restored(&self.store, self.next_rv);
        self.state = State::restore(config, self.store.restored(&self.specs), self.now, &mut self.fx);
    }

    /// Makes the Job look as if it had given `ordinals` pods; takes a restart.
    pub(super) fn skip_ordinals(&mut self, ordinals: u32) {
        self.commit();
        let id = self.id();
        self.durable.skip_ordinals(id, ordinals);
        self.crash_losing_undurable();
    }

    // What clients see.

    pub(super) fn id(&self) -> JobId {
        let is_it = |job: &&JobRecord| *job.name == *self.name;
        let found = self.store.jobs.values().filter(is_it).max_by_key(|job| (!job.placement.orphaned, job.id));
        found.expect("the Job was created").id
    }

    pub(super) fn record(&self) -> &JobRecord {
        &self.store.jobs[&self.id()]
    }

    /// The spec of the current document.
    pub(super) fn spec(&self) -> JobSpec {
        let (_, doc) = self.store.job_doc("default", self.name).expect("the Job is there");
        spec_of(&self.specs, &doc)
    }

    pub(super) fn job_status(&self) -> &JobStatus {
        &self.record().status
    }

    /// `a`ctive, `r`eady, `t`erminating, `s`ucceeded, `f`ailed, `[completedIndexes]` and, of a Job that limits the failures of
    /// each index, `/failedIndexes/`; what is zero is left out.
    #[track_caller]
    pub(super) fn status(&self, expected: &str) {
        let status = self.job_status();
        let counts = [
            ("a", status.active),
            ("r", status.ready),
            ("t", status.terminating),
            ("s", status.succeeded),
            ("f", status.failed),
        ];
        let mut words: Vec<String> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(letter, count)| format!("{letter}{count}"))
            .collect();
        if !status.completed.is_empty() {
            words.push(format!("[{}]", status.completed));
        }
        if let Some(failed) = &status.failed_indexes {
            words.push(format!("/{failed}/"));
        }
        assert_eq!(words.join(" "), expected);
    }

    #[track_caller]
    pub(super) fn conditions(&self, expected: &str) {
        let conditions: Vec<String> = self.job_status().conditions.iter().map(shown).collect();
        assert_eq!(conditions.join(" "), expected);
    }

    #[track_caller]
    pub(super) fn message(&self, expected: &str) {
        let messages: Vec<&str> = self.job_status().conditions.iter().map(|c| c.message.as_ref()).collect();
        assert_eq!(messages, [expected, expected]);
    }

    /// The Events about the Job since the last call.
    pub(super) fn take_events(&mut self) -> Vec<EventNote> {
        let id = self.id();
        let (of_job, others) = std::mem::take(&mut self.events).into_iter().partition(|(job, _)| *job == id);
        self.events = others;
        let of_job: Vec<(JobId, EventNote)> = of_job;
        of_job.into_iter().map(|(_, note)| note).collect()
    }

    /// The versions that the last step's replies name.
    pub(super) fn last_written(&self) -> &[u64] {
        &self.last_written
    }

    /// The version that the next fact gets.
    pub(super) fn next_rv(&self) -> u64 {
        self.next_rv
    }

    /// What the last boot has found out, before its first step.
    pub(super) fn boot_facts(&self) -> &[Fact] {
        &self.fx.batch.facts
    }

    /// The facts of the last step.
    pub(super) fn last_facts(&self) -> &[Fact] {
        &self.undurable.last().expect("a step was made").facts
    }
}
