//! Holds what `control` did against what the oracle would have done.
//!
//! Knows the facts of a step and what clients and workers said; gives the oracle pods as Kubernetes would list them. The
//! oracle syncs until nothing changes: what it creates and deletes must be what `control` created and stopped, and the status
//! the same. Invariant: which pods there are, and how they ended, is taken from what happened, never from what `control` says
//! that it counted.

use super::executor::{Said, SaidOf};
use super::oracle::{self, Condition, Job, Pod, Spec, print_indexes};
use super::tally::Tally;
use crate::base::{JobId, NO_INDEX, PodNames, Time, Uid};
use crate::model::{Batch, Fact, JobRecord, JobStatus, Kind, Phase};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Syncs of a Job in a step until nothing changes, at the most.
const ROUNDS_MAX: u32 = 20;

/// A Job as the oracle sees it.
#[derive(Clone, Debug)]
struct Judged {
    namespace: Arc<str>,
    name: Arc<str>,
    names: PodNames,
    spec: Arc<Spec>,
    job: Job,
    /// The pods that no worker has.
    idle: BTreeSet<u32>,
    /// Failures, counted and ignored, of indexes whose pod the controller stopped. Kubernetes forgets them with the pod, since
    /// they are that pod's annotations; Coracle gives them to the next one.
    carried: BTreeMap<u32, (u32, u32)>,
}

/// All Jobs as the oracle sees them; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    jobs: BTreeMap<JobId, Arc<Judged>>,
}

/// What `control` did to the pods of a Job in a step.
#[derive(Debug, Default)]
struct Did {
    created: VecDeque<(u32, u32)>,
    stopped: BTreeSet<u32>,
    is_gone: bool,
    is_boot: bool,
}

impl Did {
    fn is_done(&self) -> bool {
        self.created.is_empty() && self.stopped.is_empty()
    }
}

impl Judge {
    /// Judges a step at `now`: what was said, the facts that followed, the records after it, and the name of the Job that a
    /// client deleted.
    pub(super) fn step<'a>(
        &mut self,
        now: Time,
        said: &[SaidOf],
        batch: &Batch,
        records: impl Iterator<Item = &'a JobRecord>,
        deleted: Option<&str>,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut did = self.take_facts(batch);
        for ((id, ordinal), said) in said {
            if let Some(judged) = self.jobs.get_mut(id) {
                Arc::make_mut(judged).hear(*ordinal, *said, tally);
            }
        }
        for (id, did) in did.extract_if(.., |_, did| did.is_gone) {
            let mut judged = self.jobs.remove(&id).expect("a Job that was created");
            if deleted != Some(&*judged.name) {
                tally.add("job deleted after its ttl");
                Arc::make_mut(&mut judged)
                    .expire(now, did)
                    .map_err(|why| format!("{} ({}): {why}", judged.name, id.0))?;
            }
        }
        let records: BTreeMap<JobId, &JobRecord> = records.map(|record| (record.id, record)).collect();
        if !records.keys().eq(self.jobs.keys()) {
            return Err(format!("Jobs {:?}, of which the oracle knows {:?}", records.keys(), self.jobs.keys()));
        }
        for (id, judged) in &mut self.jobs {
            let status = &records[id].status;
            let did = did.remove(id).unwrap_or_default();
            let judged = Arc::make_mut(judged);
            let held = judged.sync(now, did, Some(status)).and_then(|()| judged.is_due(now));
            held.map_err(|why| format!("{} ({}): {why}", judged.name, id.0))?;
        }
        Ok(())
    }

    /// Whether another controller looks after the Job.
    pub(super) fn is_foreign(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|judged| !judged.spec.is_ours())
    }

    /// Pods were handed to workers, which is when they are assigned to a node.
    pub(super) fn assign(&mut self, launched: &[(JobId, u32)]) {
        for (id, ordinal) in launched {
            if let Some(judged) = self.jobs.get_mut(id)
                && let Some(pod) = Arc::make_mut(judged).pod(*ordinal)
            {
                pod.assigned = true;
                Arc::make_mut(judged).idle.remove(ordinal);
            }
        }
    }

    /// The engine died at some time and boots at `now`: what ran is lost, what was never shown running starts again.
    pub(super) fn crash(&mut self, now: Time, tally: &mut Tally) {
        for judged in self.jobs.values_mut() {
            let judged = Arc::make_mut(judged);
            let pods = &mut judged.job.pods;
            for pod in pods.iter_mut().filter(|pod| !pod.is_terminal()) {
                pod.assigned = pod.phase == Phase::Running;
                judged.idle.insert(pod.id);
                if pod.ready.is_none() && pod.deleted.is_none() {
                    continue;
                }
                tally.add("pod lost with the engine");
                pod.lost = true;
                pod.end(137, now);
                pod.conditions.push(("DisruptionTarget".to_owned(), "True".to_owned()));
            }
            pods.retain(|pod| !pod.is_gone());
        }
    }

    /// Judges what a boot made durable at `now`: the Jobs of which it did more than to say what was lost.
    pub(super) fn boot<'a>(
        &mut self,
        now: Time,
        losses: &Batch,
        records: impl Iterator<Item = &'a JobRecord>,
    ) -> Result<(), String> {
        let looked = |fact: &&Fact| {
            matches!(
                fact,
                Fact::BackoffSet { .. }
                    | Fact::ConditionSet { .. }
                    | Fact::PodsCreated { .. }
                    | Fact::StatusPublished { .. }
            )
        };
        let looked: BTreeSet<JobId> = losses.facts.iter().filter(looked).filter_map(Fact::job).collect();
        let mut did = self.take_facts(losses);
        for (id, did) in did.extract_if(.., |_, did| did.is_gone) {
            let mut judged = self.jobs.remove(&id).expect("a Job that was durable");
            Arc::make_mut(&mut judged).expire(now, did).map_err(|why| format!("at boot, {}: {why}", judged.name))?;
        }
        for record in records.filter(|record| looked.contains(&record.id)) {
            let judged = Arc::make_mut(self.jobs.get_mut(&record.id).expect("a Job that was durable"));
            let did = Did { is_boot: true, ..did.remove(&record.id).unwrap_or_default() };
            judged.sync(now, did, Some(&record.status)).map_err(|why| format!("at boot, {}: {why}", judged.name))?;
        }
        Ok(())
    }

    /// Takes what clients did, and sorts what `control` did by Job.
    fn take_facts(&mut self, batch: &Batch) -> BTreeMap<JobId, Did> {
        let mut did: BTreeMap<JobId, Did> = BTreeMap::new();
        let spec_at = |rv: u64| {
            let doc = batch.docs.iter().find(|doc| doc.kind == Kind::Job && doc.rv == rv);
            let json = doc.and_then(|doc| doc.json.as_ref()).expect("a Job's document comes with its fact");
            Arc::new(Spec::of(&serde_json::from_str(json).expect("a document is JSON")))
        };
        for (rv, fact) in batch.numbered() {
            let Some(id) = fact.job() else { continue };
            match fact {
                Fact::JobCreated { uid, namespace, name, .. } => {
                    let judged = Judged::new(*uid, namespace, name, spec_at(rv));
                    self.jobs.insert(id, Arc::new(judged));
                }
                Fact::JobChanged { .. } => {
                    let judged = self.jobs.get_mut(&id).expect("a Job that was created");
                    Arc::make_mut(judged).spec = spec_at(rv);
                }
                Fact::JobRemoved { .. } => did.entry(id).or_default().is_gone = true,
                Fact::ContainersRestarted { ordinals, .. } => {
                    let judged = Arc::make_mut(self.jobs.get_mut(&id).expect("a Job that was created"));
                    ordinals.iter().for_each(|ordinal| judged.restart(*ordinal));
                }
                Fact::PodsCreated { first, count, indexes, .. } => {
                    let created = Fact::created_pods(*first, *count, indexes);
                    did.entry(id).or_default().created.extend(created);
                }
                Fact::PodsStopping { ordinals, .. } => did.entry(id).or_default().stopped.extend(ordinals),
                _ => {}
            }
        }
        did
    }
}

impl Judged {
    fn new(uid: Uid, namespace: &Arc<str>, name: &Arc<str>, spec: Arc<Spec>) -> Self {
        Self {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            names: PodNames::new(uid),
            spec,
            job: Job::default(),
            idle: BTreeSet::new(),
            carried: BTreeMap::new(),
        }
    }

    fn pod(&mut self, ordinal: u32) -> Option<&mut Pod> {
        self.job.pods.iter_mut().find(|pod| pod.id == ordinal)
    }

    /// A container is started again.
    fn restart(&mut self, ordinal: u32) {
        if let Some(pod) = self.pod(ordinal) {
            pod.containers.iter_mut().for_each(|container| container.restarts += 1);
        }
    }

    /// What a worker says of a pod.
    fn hear(&mut self, ordinal: u32, said: Said, tally: &mut Tally) {
        let spec = Arc::clone(&self.spec);
        let Some(pod) = self.pod(ordinal) else { return };
        let mut is_idle = true;
        match said {
            Said::Started(at) => {
                pod.phase = Phase::Running;
                pod.ready = Some(at);
                is_idle = false;
            }
            Said::Ended(code, at) if spec.on_failure && code != 0 && pod.deleted.is_none() => {
                tally.add("container restarted in place");
                pod.end_container(at);
            }
            Said::Ended(code, at) => {
                pod.end(code, at);
                if let Some(action) = oracle::action(&spec, pod) {
                    tally.add(&format!("action {action}"));
                }
            }
            Said::Refused => {
                tally.add("pod refused");
                pod.assigned = pod.phase == Phase::Running;
            }
        }
        if is_idle {
            self.idle.insert(ordinal);
        }
        let idle = &self.idle;
        let is_gone_idle = |pod: &Pod| idle.contains(&pod.id) && !pod.is_terminal() && pod.deleted.is_some();
        self.job.pods.retain(|pod| !pod.is_gone() && !is_gone_idle(pod));
    }

    /// `control` deleted the Job in this step, because of its `ttlSecondsAfterFinished`.
    fn expire(&mut self, now: Time, did: Did) -> Result<(), String> {
        self.sync(now, did, None)?;
        match self.job.status.ttl_due(&self.spec) {
            Some(due) if due <= now => Ok(()),
            due => Err(format!("the Job is deleted, which is due at {due:?}")),
        }
    }

    /// The Job is still there: rightly?
    fn is_due(&self, now: Time) -> Result<(), String> {
        match self.job.status.ttl_due(&self.spec).filter(|_| self.spec.is_ours()) {
            Some(due) if due <= now => Err("the Job has not been deleted after its ttl".to_owned()),
            _ => Ok(()),
        }
    }

    /// Syncs until nothing changes, and compares.
    fn sync(&mut self, now: Time, mut did: Did, status: Option<&JobStatus>) -> Result<(), String> {
        let spec = Arc::clone(&self.spec);
        self.carried.retain(|index, _| spec.completions.is_some_and(|completions| *index < completions));
        for _ in 0..ROUNDS_MAX {
            let before = self.job.status.clone();
            let is_quiet = self.round(now, &mut did, status)?;
            // A boot stops somewhere on the way; its first step goes on from there.
            let is_as_booted = did.is_boot && did.is_done() && status.is_some_and(|status| self.is_like(status));
            if is_as_booted || (is_quiet && self.job.status == before) {
                break;
            }
        }
        if !did.is_done() {
            return Err(format!("pods are created or stopped for nothing: {did:?}"));
        }
        match status {
            Some(status) if !self.is_like(status) => {
                let (wanted, got) = (shown(&self.job.status), shown_of(status));
                Err(format!("the status is\n    {got}\n  and should be\n    {wanted}"))
            }
            _ => Ok(()),
        }
    }

    fn is_like(&self, status: &JobStatus) -> bool {
        shown(&self.job.status) == shown_of(status)
    }

    /// One sync; whether nothing is to be done any more about the pods.
    fn round(&mut self, now: Time, did: &mut Did, status: Option<&JobStatus>) -> Result<bool, String> {
        let work = self.job.sync(&Arc::clone(&self.spec), now, &did.stopped);
        if let Some(status) = status {
            self.same_message(&work.messages, status);
        }
        if let Some(id) = work.delete.iter().find(|id| !did.stopped.remove(id)) {
            return Err(format!("pod {id} is to be stopped, and is not"));
        }
        for pod in self.job.pods.iter().filter(|pod| work.delete.contains(&pod.id)) {
            self.carried.extend(pod.index.map(|index| (index, (pod.failures, pod.ignored))));
        }
        // Nobody has to be told of the end of a pod that no node has.
        let idle = &self.idle;
        self.job.pods.retain(|pod| !idle.contains(&pod.id) || !work.delete.contains(&pod.id));
        let mut is_quiet = work.delete.is_empty() && work.create.is_empty();
        for new in &work.create {
            let index = new.index.unwrap_or(NO_INDEX);
            match did.created.iter().position(|(_, other)| *other == index) {
                Some(at) => {
                    let (ordinal, _) = did.created.remove(at).expect("it was found there");
                    self.create(ordinal, new, now);
                }
                None if new.may_wait => is_quiet = true,
                None => return Err(format!("a pod is to be created that is not: {new:?}")),
            }
        }
        self.job.recount();
        Ok(is_quiet)
    }

    fn create(&mut self, ordinal: u32, new: &oracle::NewPod, now: Time) {
        let name = format!("{}/{}", self.namespace, self.names.pod_name(&self.name, new.index, ordinal));
        let pod = Pod::new(ordinal, name, new.index, "main", now);
        self.idle.insert(ordinal);
        let carried = new.index.and_then(|index| self.carried.remove(&index));
        let (failures, ignored) = match (new.failures, new.ignored) {
            (0, 0) => carried.unwrap_or_default(),
            given => given,
        };
        self.job.pods.push(Pod { failures, ignored, ..pod });
    }

    /// Of several pods that match a `FailJob` rule any may be named.
    fn same_message(&mut self, messages: &[String], status: &JobStatus) {
        for condition in &mut self.job.status.conditions {
            let theirs = status.conditions.iter().find(|theirs| theirs.kind.as_str() == condition.kind);
            if let Some(theirs) = theirs.filter(|theirs| messages.iter().any(|message| **message == *theirs.message)) {
                condition.message = theirs.message.as_ref().to_owned();
            }
        }
    }
}

/// A status in a line, as the oracle has it.
fn shown(status: &oracle::Status) -> String {
    let condition = |c: &Condition| format!("{}={}/{}/{:?}@{}", c.kind, c.status, c.reason, c.message, c.at.0);
    let conditions: Vec<String> = status.conditions.iter().map(condition).collect();
    let counts =
        [status.active, status.ready, status.terminating, status.succeeded, status.failed].map(|n| n.to_string());
    let (completed, failed) = (print_indexes(&status.completed_indexes), print_indexes(&status.failed_indexes));
    line(status.start_time, status.completion_time, &counts, &completed, &failed, &conditions)
}

/// The same as `control` has it.
fn shown_of(status: &JobStatus) -> String {
    let condition = |c: &crate::model::Condition| {
        format!("{}={}/{}/{:?}@{}", c.kind.as_str(), c.is_true(), c.reason.as_str(), c.message, c.at.0)
    };
    let conditions: Vec<String> = status.conditions.iter().map(condition).collect();
    let counts =
        [status.active, status.ready, status.terminating, status.succeeded, status.failed].map(|n| n.to_string());
    let failed = status.failed_indexes.as_ref().map_or_else(String::new, |failed| failed.to_string());
    line(status.start_time, status.completion_time, &counts, &status.completed.to_string(), &failed, &conditions)
}

fn line(
    start: Option<Time>,
    completion: Option<Time>,
    counts: &[String],
    completed: &str,
    failed: &str,
    conditions: &[String],
) -> String {
    let [start, completion] = [start, completion].map(|at| at.map(|at| at.0));
    format!(
        "active/ready/terminating/succeeded/failed {} [{completed}] {{{failed}}} start {start:?} completion {completion:?} {}",
        counts.join("/"),
        conditions.join(" ")
    )
}
