//! The engine of a history, without threads: the state, what is durable, what is shown, the workers and the clock.
//!
//! Knows the order in which the engine commits, shows and answers, and when it may die. Checks what must hold after every step.
//! Invariant: nothing is shown and no reply is given before it is durable.

use super::disk::Disk;
use super::executor::{Executor, SaidOf};
use super::judge::Judge;
use super::tally::Tally;
use super::watches::Watches;
use crate::base::{JobId, Rng, Time};
use crate::control::{Capacity, Config, Effects, Input, Reply, Restored, RestoredJob, State, Ticket};
use crate::model::{Batch, Fact, JobRecord, JobSpec, Kind};
use crate::store::Store as _;
use crate::view::{Folding, JobSnapshot, View};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// When every history begins.
const START: Time = Time(1_800_000_000_000);
/// Steps at one moment until nothing is due, at the most.
const ROUNDS_MAX: u32 = 50;
/// Commits between two comparisons of what was watched and what is listed.
const COMPARE_EVERY: u32 = 16;

/// A step that is not durable.
#[derive(Debug)]
struct Pending {
    batch: Batch,
    replies: Vec<(Ticket, Reply)>,
    /// The oracle's state after it.
    judge: Judge,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) state: State,
    pub(super) view: View,
    pub(super) executor: Executor,
    pub(super) tally: Tally,
    pub(super) steps: u32,
    /// A line each thing that happened, if anybody wants to know.
    pub(super) lines: Option<Vec<String>>,
    capacity: Capacity,
    disk: Disk,
    judge: Judge,
    /// The oracle's state as of the last commit.
    durable: Judge,
    pending: VecDeque<Pending>,
    watches: Watches,
    folding: Option<Folding>,
    tickets: BTreeSet<Ticket>,
    next_rv: u64,
    commits: u32,
}

impl World {
    /// An empty cluster.
    pub(super) fn new(capacity: Capacity, record: bool) -> Result<Self, String> {
        let mut disk = Disk::default();
        let booted = boot(&mut disk, capacity, START)?;
        Ok(Self {
            now: START,
            watches: Watches::start(&booted.view)?,
            next_rv: booted.next_rv,
            state: booted.state,
            view: booted.view,
            executor: Executor::default(),
            steps: 0,
            lines: record.then(Vec::new),
            capacity,
            disk,
            judge: Judge::default(),
            durable: Judge::default(),
            pending: VecDeque::new(),
            folding: None,
            tickets: BTreeSet::new(),
            commits: 0,
            tally: Tally::default(),
        })
    }

    /// Notes what happens.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        let (now, steps) = (self.now.since_ms(START), self.steps);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{steps:>4} {now:>9} ms  {}", line()));
        }
    }

    /// Takes what a client wrote and what the workers have to say, and lets everything follow that is due.
    pub(super) fn step(&mut self, written: Option<Input>, rng: &mut Rng) -> Result<(), String> {
        self.steps += 1;
        // Whether an end or a change of the spec came first is not said of one step; each gets its own.
        let is_change = matches!(written, Some(Input::UpdateJob(..)));
        let (reports, said) = if is_change { (Vec::new(), Vec::new()) } else { self.executor.reports(self.now) };
        for ((job, ordinal), said) in &said {
            self.tell(|| format!("pod {}/{ordinal}: {said:?}", job.0));
        }
        let deleted = match &written {
            Some(Input::DeleteJob(_, delete)) => Some(Arc::clone(&delete.name)),
            _ => None,
        };
        let mut inputs: Vec<Input> = reports.into_iter().map(Input::Report).collect();
        if let Some(ticket) = written.as_ref().and_then(ticket_of) {
            self.tickets.insert(ticket);
        }
        inputs.extend(written);
        let mut fx = Effects::default();
        self.state.step(self.now, &mut inputs, &mut fx);
        let mut launched = self.executor.take(self.now, &mut fx, self.capacity, rng)?;
        let mut rounds = 0;
        while self.state.next_deadline().is_some_and(|at| at <= self.now) {
            rounds += 1;
            if rounds > ROUNDS_MAX {
                return Err("something is always due".to_owned());
            }
            self.state.step(self.now, &mut inputs, &mut fx);
            launched.extend(self.executor.take(self.now, &mut fx, self.capacity, rng)?);
        }
        self.after(fx, &said, &launched, deleted.as_deref())
    }

    /// What must hold after a step.
    fn after(
        &mut self,
        fx: Effects,
        said: &[SaidOf],
        launched: &[(JobId, u32)],
        deleted: Option<&str>,
    ) -> Result<(), String> {
        let batch = fx.batch;
        if !batch.is_empty() {
            if batch.first_rv != self.next_rv {
                return Err(format!("the batch begins at {} and not at {}", batch.first_rv, self.next_rv));
            }
            self.next_rv = batch.next_rv();
        }
        for fact in &batch.facts {
            self.tell(|| format!("    {fact:?}"));
            if let Fact::ConditionSet { condition, .. } = fact {
                self.tally.add(&format!("condition {}/{}", condition.kind.as_str(), condition.reason.as_str()));
            }
        }
        self.state.check();
        self.judge.step(self.now, said, &batch, self.state.jobs(), deleted, &mut self.tally)?;
        self.judge.assign(launched);
        if fx.replies.iter().any(|(_, reply)| reply.is_err()) {
            self.tally.add("write refused");
        }
        self.pending.push_back(Pending { batch, replies: fx.replies, judge: self.judge.clone() });
        Ok(())
    }

    /// Whether every Job has ended that is ours.
    pub(super) fn is_over(&self) -> bool {
        self.state.jobs().all(|job| job.status.is_finished() || self.judge.is_foreign(job.id))
    }

    /// How many steps are not durable.
    pub(super) fn undurable(&self) -> usize {
        self.pending.len()
    }

    /// Makes the first `steps` that are not durable so, in one commit; then they are shown, then answered.
    pub(super) fn commit(&mut self, steps: usize) -> Result<(), String> {
        let mut gathered: Option<Batch> = None;
        let mut replies = Vec::new();
        for pending in self.pending.drain(..steps) {
            self.durable = pending.judge;
            replies.extend(pending.replies);
            match &mut gathered {
                Some(batch) if !batch.is_empty() => {
                    batch.facts.extend(pending.batch.facts);
                    batch.docs.extend(pending.batch.docs);
                }
                _ => gathered = Some(pending.batch),
            }
        }
        if let Some(batch) = gathered.filter(|batch| !batch.is_empty()) {
            self.disk.commit(&batch).map_err(|error| error.to_string())?;
            self.view.apply(&batch);
        }
        self.answer(&replies)?;
        self.commits += 1;
        for reason in self.watches.poll(&self.view)? {
            self.tally.add(&format!("event {reason}"));
        }
        if self.commits.is_multiple_of(COMPARE_EVERY) {
            self.watches.compare(&self.view)?;
        }
        Ok(())
    }

    /// Everything shown and answered is durable, and every write is answered once.
    fn answer(&mut self, replies: &[(Ticket, Reply)]) -> Result<(), String> {
        let last_rv = self.disk.last_rv();
        if self.view.rv() > last_rv.max(self.next_rv.saturating_sub(1)) {
            return Err(format!("{} is shown, {last_rv} is durable", self.view.rv()));
        }
        for (ticket, reply) in replies {
            if !self.tickets.remove(ticket) {
                return Err(format!("write {ticket} is answered twice"));
            }
            if reply.is_ok_and(|written| written.rv > last_rv) {
                return Err(format!("write {ticket} is answered with {reply:?}, {last_rv} is durable"));
            }
        }
        match self.pending.is_empty().then(|| self.tickets.first()).flatten() {
            Some(ticket) => Err(format!("write {ticket} is not answered")),
            None => Ok(()),
        }
    }

    /// One piece of a fold.
    pub(super) fn fold(&mut self) -> Result<(), String> {
        let view = &self.view;
        let piece = self.folding.get_or_insert_with(|| view.fold()).next();
        match piece {
            Some(piece) => self.disk.fold(&piece).map_err(|error| error.to_string())?,
            None => {
                self.folding = None;
                self.tally.add("fold");
            }
        }
        Ok(())
    }

    /// The engine dies; what is not durable never was. Another one boots.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        self.tally.add(if self.pending.is_empty() { "crash" } else { "crash that loses a step" });
        self.pending.clear();
        self.tickets.clear();
        self.folding = None;
        self.disk.crash();
        self.executor.crash();
        self.judge = self.durable.clone();
        let shown = self.view.rv();
        let booted = boot(&mut self.disk, self.capacity, self.now)?;
        if booted.first_rv <= shown {
            return Err(format!("versions begin at {} again, {shown} was shown", booted.first_rv));
        }
        self.judge.crash(self.now, &mut self.tally);
        self.judge.boot(self.now, &booted.losses, booted.state.jobs())?;
        for fact in &booted.losses.facts {
            self.tell(|| format!("    {fact:?}"));
        }
        if !booted.losses.is_empty() {
            self.disk.commit(&booted.losses).map_err(|error| error.to_string())?;
            booted.view.apply(&booted.losses);
        }
        self.durable = self.judge.clone();
        self.next_rv = booted.next_rv;
        self.watches = Watches::start(&booted.view)?;
        (self.state, self.view) = (booted.state, booted.view);
        Ok(())
    }

    /// What must hold in the end, with everything durable.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.commit(self.pending.len())?;
        self.watches.compare(&self.view)?;
        let watches = std::mem::replace(&mut self.watches, Watches::start(&self.view)?);
        watches.end(&self.view)?;
        let replayed = View::restore(&self.disk.recover().map_err(|error| error.to_string())?);
        let records =
            |view: &View| -> Vec<JobRecord> { view.jobs_snapshot().into_iter().map(|job| job.record).collect() };
        let shown = records(&self.view);
        if !self.state.jobs().eq(&shown) || records(&replayed) != shown {
            return Err("replay gives another state".to_owned());
        }
        for (replayed, shown) in replayed.pods(None, None).1.iter().zip(self.view.pods(None, None).1.iter()) {
            if replayed.record != shown.record {
                return Err(format!("replay gives another pod: {replayed:?} and not {shown:?}"));
            }
        }
        Ok(())
    }
}

/// An engine that has booted.
struct Booted {
    state: State,
    view: View,
    first_rv: u64,
    next_rv: u64,
    losses: Batch,
}

/// Does what `engine::Engine::start` does.
fn boot(disk: &mut Disk, capacity: Capacity, now: Time) -> Result<Booted, String> {
    let recovered = disk.recover().map_err(|error| error.to_string())?;
    let view = View::restore(&recovered);
    let first_rv = recovered.first_rv;
    let config =
        Config { uid_key: recovered.uid_key, first_rv, next_job: recovered.next_job, capacity, node: Arc::default() };
    let docs = recovered.docs.iter().filter(|doc| doc.kind != Kind::Job).cloned().collect();
    let events = view.events(None).1.iter().map(|event| event.event.at).collect();
    let mut restored = Restored { docs, events, ..Restored::default() };
    for JobSnapshot { record, doc, pods, marks, restarts } in view.jobs_snapshot() {
        let spec = JobSpec::from_doc(&doc.json).map_err(|error| error.to_string())?;
        restored.jobs.push(RestoredJob { record, spec, doc: (doc.rv, Arc::clone(&doc.json)), pods, marks, restarts });
    }
    let mut fx = Effects::default();
    let state = State::restore(config, restored, now, &mut fx);
    let next_rv = if fx.batch.is_empty() { first_rv } else { fx.batch.next_rv() };
    Ok(Booted { state, view, first_rv, next_rv, losses: fx.batch })
}

fn ticket_of(input: &Input) -> Option<Ticket> {
    match input {
        Input::CreateJob(ticket, _)
        | Input::UpdateJob(ticket, _)
        | Input::DeleteJob(ticket, _)
        | Input::RerunJob(ticket, _)
        | Input::ChangePod(ticket, _)
        | Input::CreateDoc(ticket, _)
        | Input::UpdateDoc(ticket, _)
        | Input::DeleteDoc(ticket, _) => Some(*ticket),
        Input::Drain | Input::Report(_) => None,
    }
}
