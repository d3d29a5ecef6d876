//! What must not hold a worker: loading modules and explaining traps.
//!
//! Owns two queues and what their threads do; a load may take many seconds, so an explanation never waits behind one.
//! Knows nothing of guests. Invariant: everyone who asked for a load gets an answer, and of an exit that was handed over
//! to be explained exactly one report is made, unless the threads are closed.

use super::exits::with_explanation;
use super::guard::guarded;
use super::inbox::Inbox;
use super::logs::Logs;
use super::workers::ReportFn;
use super::{LoadError, Runtime, Trace};
use crate::model::{Exit, Reason, Report, RunPlan};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Exits that may wait to be explained; more are reported without an explanation.
pub(super) const EXPLAIN_MAX: usize = 1024;

/// Exits of one worker that are explained before the next report.
const EXPLAIN_BATCH: usize = 64;

/// The answer to a load.
pub(super) struct Loaded<C> {
    pub(super) plan: Arc<RunPlan>,
    pub(super) result: Result<C, LoadError>,
}

/// A plan whose module is wanted, and the workers that want it.
struct Load {
    plan: Arc<RunPlan>,
    workers: Vec<u32>,
}

/// A queue that its thread empties, until it is closed.
struct Desk<T> {
    state: Mutex<DeskState<T>>,
    wake: Condvar,
}

struct DeskState<T> {
    queue: VecDeque<T>,
    is_closed: bool,
}

impl<T> Desk<T> {
    fn new() -> Self {
        Self { state: Mutex::new(DeskState { queue: VecDeque::new(), is_closed: false }), wake: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, DeskState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().is_closed = true;
        self.wake.notify_all();
    }

    /// Waits until there is something in the queue; `None` once closed.
    fn wait(&self) -> Option<MutexGuard<'_, DeskState<T>>> {
        let is_idle = |state: &mut DeskState<T>| state.queue.is_empty() && !state.is_closed;
        let state = self.wake.wait_while(self.state(), is_idle).unwrap_or_else(PoisonError::into_inner);
        (!state.is_closed).then_some(state)
    }
}

/// Loads modules, one at a time, each once for all who wait for it.
pub(super) struct Loader<C> {
    desk: Desk<Load>,
    answers: Vec<Arc<Inbox<Loaded<C>>>>,
}

impl<C: Clone> Loader<C> {
    /// `answers` is where each worker looks.
    pub(super) fn new(answers: Vec<Arc<Inbox<Loaded<C>>>>) -> Self {
        Self { desk: Desk::new(), answers }
    }

    /// Asks for the module of `plan` in the name of a worker.
    pub(super) fn request(&self, worker: u32, plan: &Arc<RunPlan>) {
        let mut state = self.desk.state();
        match state.queue.iter_mut().find(|load| Arc::ptr_eq(&load.plan, plan)) {
            Some(load) => load.workers.push(worker),
            None => state.queue.push_back(Load { plan: plan.clone(), workers: vec![worker] }),
        }
        self.desk.wake.notify_one();
    }

    /// Ends [`Loader::run`] after the load that is under way.
    pub(super) fn close(&self) {
        self.desk.close();
    }

    /// The body of the `compile` thread.
    pub(super) fn run<R: Runtime<Code = C>>(&self, runtime: &R) {
        while let Some(state) = self.desk.wait() {
            // It stays in the queue while it is loaded, so that others can join.
            let Some(plan) = state.queue.front().map(|load| load.plan.clone()) else { continue };
            drop(state);
            let result = load(runtime, &plan);
            let Some(Load { workers, .. }) = self.desk.state().queue.pop_front() else { continue };
            for worker in workers {
                let answers = usize::try_from(worker).ok().and_then(|worker| self.answers.get(worker));
                let answers = answers.expect("only workers ask for loads");
                answers.send(Loaded { plan: plan.clone(), result: result.clone() });
            }
        }
    }
}

fn load<R: Runtime>(runtime: &R, plan: &RunPlan) -> Result<R::Code, LoadError> {
    let template = &plan.template;
    let loaded = guarded(|| runtime.cached(template).map_or_else(|| runtime.load(template), Ok));
    loaded.unwrap_or_else(|message| Err(LoadError { reason: Reason::CreateContainerError, message }))
}

/// An exit whose trap has to be explained.
pub(super) struct Traced<C> {
    pub(super) exit: Exit,
    pub(super) code: C,
    pub(super) trace: Trace,
}

/// Explains traps and reports the exits.
pub(super) struct Explainer<C> {
    desk: Desk<(u32, Traced<C>)>,
    logs: Arc<Logs>,
    report: ReportFn,
}

impl<C> Explainer<C> {
    pub(super) fn new(logs: Arc<Logs>, report: ReportFn) -> Self {
        Self { desk: Desk::new(), logs, report }
    }

    /// Takes over a worker's exits, whose logs are flushed and shown as those of living pods; gives back those for which there is no room.
    pub(super) fn submit(&self, worker: u32, mut traced: Vec<Traced<C>>) -> Vec<Traced<C>> {
        let mut state = self.desk.state();
        let room = EXPLAIN_MAX.saturating_sub(state.queue.len()).min(traced.len());
        state.queue.extend(traced.drain(..room).map(|exit| (worker, exit)));
        self.desk.wake.notify_one();
        traced
    }

    /// Ends [`Explainer::run`]; what waits is dropped.
    pub(super) fn close(&self) {
        self.desk.close();
    }

    /// The body of the `explain` thread.
    pub(super) fn run<R: Runtime<Code = C>>(&self, runtime: &R) {
        while let Some(mut state) = self.desk.wait() {
            let Some(&(worker, _)) = state.queue.front() else { continue };
            let next = std::iter::from_fn(|| state.queue.pop_front_if(|(of, _)| *of == worker));
            let batch: Vec<_> = next.take(EXPLAIN_BATCH).collect();
            drop(state);
            let exits: Vec<_> = batch.into_iter().map(|(_, traced)| explained(runtime, traced)).collect();
            let log_ends = self.logs.hand_over(&exits, exits.iter().map(|exit| (exit.job, exit.ordinal)));
            (self.report)(Report { worker, exits, log_ends, ..Report::default() });
        }
    }
}

/// An explanation is a courtesy: the exit is reported without one when it fails.
fn explained<R: Runtime>(runtime: &R, traced: Traced<R::Code>) -> Exit {
    let Traced { mut exit, code, trace } = traced;
    let text = guarded(|| runtime.explain(&code, &trace)).unwrap_or_default();
    exit.message = with_explanation(exit.message.take(), &text);
    exit
}
