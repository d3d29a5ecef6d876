//! One worker: a thread that starts pods, gives parked ones their turns and tells what came of them.
//!
//! Owns its queue, its guests and its log segment; knows nothing of Jobs. Start with [`Worker::turn`]. Invariant: every
//! launch ends in exactly one exit or refusal, unless the worker is closed; a pod's `started` is in an earlier report than
//! its exit.

use super::agent::Agent;
use super::compile::{Explainer, Loaded, Loader, Traced};
use super::exits::{exit, panicked, stopped};
use super::guard::guarded;
use super::inbox::Inbox;
use super::logs::Logs;
use super::nursery::{End, Guest, Nursery, Turn};
use super::queue::{Queue, Queued};
use super::run::{BoxedRun, boxed};
use super::segments::SegmentWriter;
use super::tick::{TICK, Ticker};
use super::workers::ReportFn;
use super::{LoadError, Outcome, PodLog, Runtime};
use crate::base::{JobId, Time};
use crate::model::{Crowded, Launch, LogExtent, NO_SEGMENT, Reason, Refused, Report, RunPlan, Started, Stop};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Sleep;

/// Guests that get their first turn in one turn of the worker, and as many woken ones: what one report and one write of
/// logs are shared by.
const TURN_MAX: usize = 256;

/// After so long no further pod is launched in the turn, ms: until then nobody hears of those that ended, and the launches
/// of other Jobs wait.
const LAUNCHING_MS: u64 = 2;

/// The same when a Job may be waiting for what has ended, ms.
const NEWS_MS: u64 = 1;

/// A parked pod's output is flushed when it has this many bytes, or [`FLUSH_AFTER`] its first one.
const FLUSH_BYTES: usize = 16 << 10;

/// See [`FLUSH_BYTES`].
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// For how long a Job's pods must have found no slot before it is told, ms, and how often it is told again.
const CROWDED_EVERY_MS: u64 = 1000;

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Start these.
    Launch(Vec<Launch>),
    /// End these, if they have not ended.
    Stop(Vec<Stop>),
    /// Drop everything and return.
    Close,
}

/// What a worker works with.
pub(super) struct Seat<R: Runtime> {
    pub(super) number: u32,
    pub(super) alive_max: usize,
    pub(super) runtime: Arc<R>,
    pub(super) orders: Arc<Inbox<Order>>,
    pub(super) loaded: Arc<Inbox<Loaded<R::Code>>>,
    pub(super) loader: Arc<Loader<R::Code>>,
    pub(super) explainer: Arc<Explainer<R::Code>>,
    pub(super) ticker: Arc<Ticker>,
    pub(super) logs: Arc<Logs>,
    pub(super) clock: fn() -> Time,
    pub(super) report: ReportFn,
}

/// Launches that wait for one load.
struct Waiting<C> {
    plan: Arc<RunPlan>,
    queued: Vec<Queued<C>>,
}

/// What came of the attempt to create a guest.
enum Begun<C> {
    Run(C, BoxedRun),
    NotLoaded,
    Refused(LoadError),
}

/// Whether orders were only launches, or also stops, or the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    None,
    Stopped,
    Closed,
}

pub(super) struct Worker<R: Runtime> {
    seat: Seat<R>,
    orders: Vec<Order>,
    loaded: Vec<Loaded<R::Code>>,
    queue: Queue<R::Code>,
    waiting: Vec<Waiting<R::Code>>,
    guests: Nursery<R::Code>,
    agent: Agent,
    /// Of the pod that was launched last.
    last_log: PodLog,
    /// The box of a run that is over.
    spare_run: Option<BoxedRun>,
    writer: SegmentWriter,
    is_writing_failed: bool,
    /// Slots of parked guests with output that waits for `flush_timer`.
    dirty: Vec<usize>,
    flush_timer: Option<Pin<Box<Sleep>>>,
    /// While it is set, Jobs are blocked in the queue for want of room; an exit or its end unblocks them.
    retry_timer: Option<Pin<Box<Sleep>>>,
    /// Jobs that were blocked when they last had a turn: since when, or when it was last told.
    crowded: BTreeMap<JobId, Time>,
    /// The last reading of the clock.
    now: Time,
    is_counted: bool,
    report: Report,
    traced: Vec<Traced<R::Code>>,
    /// Ends of live pods' logs that readers may see after the next flush.
    extents: Vec<(JobId, u32, LogExtent)>,
    /// Pods in `report.exits` that had such an end.
    ended_live: Vec<(JobId, u32)>,
}

impl<R: Runtime> Worker<R> {
    pub(super) fn new(seat: Seat<R>) -> Self {
        let writer = seat.logs.writer();
        Self {
            orders: Vec::new(),
            loaded: Vec::new(),
            queue: Queue::new(),
            waiting: Vec::new(),
            guests: Nursery::new(),
            agent: Agent::default(),
            last_log: PodLog::default(),
            spare_run: None,
            writer,
            is_writing_failed: false,
            dirty: Vec::new(),
            flush_timer: None,
            retry_timer: None,
            crowded: BTreeMap::new(),
            now: Time::default(),
            is_counted: false,
            report: Report::default(),
            traced: Vec::new(),
            extents: Vec::new(),
            ended_live: Vec::new(),
            seat,
        }
    }

    /// One turn: orders first, then launches, then guests that were woken, those that compute last; a report before these,
    /// which may take a tick each, and one at the end. Ready once closed. Must be polled inside the context of the tokio
    /// runtime whose timers the guests use.
    pub(super) fn turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.now = (self.seat.clock)();
        let urgency = self.take_orders(context.waker());
        if urgency == Urgency::Closed {
            self.close();
            return Poll::Ready(());
        }
        self.take_loaded(context.waker());
        self.guests.take_woken(context.waker());
        // Stops are reported at once: turns of guests may take a tick each.
        if urgency == Urgency::None {
            self.count();
            self.launch_queued();
            self.poll_woken();
            self.poll_computing();
        }
        self.poll_timers(context);
        self.hand_over();
        if self.has_more() {
            context.waker().wake_by_ref();
        }
        self.count();
        Poll::Pending
    }

    fn has_more(&self) -> bool {
        self.guests.woken() > 0 || self.guests.computing() > 0 || self.can_launch()
    }

    fn can_launch(&self) -> bool {
        !self.queue.is_empty() && self.guests.len() < self.seat.alive_max
    }

    /// Keeps the ticker's count: ticks are needed while a guest is alive or about to be.
    fn count(&mut self) {
        let needs_ticks = self.guests.len() > 0 || self.can_launch();
        match (self.is_counted, needs_ticks) {
            (false, true) => self.seat.ticker.enter(),
            (true, false) => self.seat.ticker.leave(),
            _ => {}
        }
        self.is_counted = needs_ticks;
    }

    fn take_orders(&mut self, waker: &Waker) -> Urgency {
        let mut orders = std::mem::take(&mut self.orders);
        self.seat.orders.take(&mut orders, waker);
        let mut urgency = Urgency::None;
        for order in orders.drain(..) {
            let of_order = match order {
                Order::Launch(launches) => {
                    let queued = launches.into_iter().map(|launch| Queued { launch, code: None, announced: None });
                    queued.for_each(|queued| self.queue.push_back(queued));
                    Urgency::None
                }
                Order::Stop(stops) => {
                    stops.into_iter().for_each(|stop| self.stop(stop));
                    Urgency::Stopped
                }
                Order::Close => Urgency::Closed,
            };
            urgency = urgency.max(of_order);
        }
        self.orders = orders;
        urgency
    }

    /// Ends a pod wherever it is; one that has ended already stays as it is.
    fn stop(&mut self, stop: Stop) {
        let pod = (stop.job, stop.ordinal);
        if let Some(guest) = self.guests.remove(pod) {
            self.end(guest, stopped());
        } else if let Some(queued) = self.remove_queued(pod) {
            let started = queued.announced.unwrap_or(self.now);
            let ran = queued.announced.and(queued.code.as_ref());
            let engine = ran.map(|code| self.seat.runtime.engine(code));
            let exit = exit(&queued.launch, (started, self.now), engine, stopped(), LogExtent::default());
            self.report.exits.push(exit);
        }
    }

    fn remove_queued(&mut self, pod: (JobId, u32)) -> Option<Queued<R::Code>> {
        if let Some(queued) = self.queue.remove(pod) {
            return Some(queued);
        }
        let is_pod = |queued: &Queued<_>| (queued.launch.job, queued.launch.ordinal) == pod;
        self.waiting.iter_mut().find_map(|waiting| {
            let at = waiting.queued.iter().position(is_pod)?;
            Some(waiting.queued.remove(at))
        })
    }

    fn take_loaded(&mut self, waker: &Waker) {
        let mut answers = std::mem::take(&mut self.loaded);
        self.seat.loaded.take(&mut answers, waker);
        for Loaded { plan, result } in answers.drain(..) {
            let Some(at) = self.waiting.iter().position(|waiting| Arc::ptr_eq(&waiting.plan, &plan)) else { continue };
            let queued = self.waiting.swap_remove(at).queued;
            match result {
                Ok(code) => queued.into_iter().rev().for_each(|queued| {
                    self.queue.push_front(Queued { code: Some(code.clone()), ..queued });
                }),
                Err(error) => queued.iter().for_each(|queued| self.refuse(&queued.launch, error.clone())),
            }
        }
        self.loaded = answers;
    }

    fn refuse(&mut self, launch: &Launch, error: LoadError) {
        let Launch { job, ordinal, slot, .. } = *launch;
        self.report.refused.push(Refused { job, ordinal, slot, reason: error.reason, message: error.message });
    }

    /// Gives guests that waited for something a turn, at least one, until a tick or a stop comes.
    fn poll_woken(&mut self) {
        let tick = self.seat.ticker.now();
        for _ in 0..TURN_MAX {
            let Some(slot) = self.guests.next_woken() else { return };
            if self.poll(slot) && self.is_interrupted(tick) {
                return;
            }
        }
    }

    /// Gives guests that a tick had interrupted a turn, at least one unless a stop came, until a tick or a stop comes.
    fn poll_computing(&mut self) {
        if self.guests.computing() == 0 || self.seat.orders.is_urgent() {
            return;
        }
        self.hand_over();
        let tick = self.seat.ticker.now();
        for _ in 0..TURN_MAX {
            let Some(slot) = self.guests.next_computing() else { return };
            if self.poll(slot) && self.is_interrupted(tick) {
                return;
            }
        }
    }

    /// Gives the guest in `slot` a turn; false when there is none.
    fn poll(&mut self, slot: usize) -> bool {
        let Some(turn) = self.guests.poll(slot) else { return false };
        self.after_turn(slot, turn);
        true
    }

    /// Starts queued pods, at least one if there is room, until a tick or a stop comes, or it took long enough: less when the last
    /// one that is here of a Job has ended, because that is news, and its Job may be waiting for nothing else.
    fn launch_queued(&mut self) {
        let (tick, start, mut has_news) = (self.seat.ticker.now(), self.now, false);
        for _ in 0..TURN_MAX {
            if !self.can_launch() {
                return;
            }
            let Some(queued) = self.queue.pop() else { return };
            let job = queued.launch.job;
            self.launch(queued);
            has_news |= !self.queue.has(job) && self.report.exits.last().is_some_and(|exit| exit.job == job);
            let launching_ms = if has_news { NEWS_MS } else { LAUNCHING_MS };
            if self.is_interrupted(tick) || self.now.since_ms(start) >= launching_ms {
                return;
            }
        }
    }

    fn is_interrupted(&self, tick: u32) -> bool {
        self.seat.ticker.now() != tick || self.seat.orders.is_urgent()
    }

    fn launch(&mut self, queued: Queued<R::Code>) {
        let log = self.last_log.renew();
        match guarded(|| self.begin(&queued, &log)) {
            Ok(Begun::Run(code, run)) => self.start(queued, code, log, run),
            Ok(Begun::NotLoaded) => self.wait_for_load(queued),
            Ok(Begun::Refused(error)) => self.refuse(&queued.launch, error),
            Err(text) => {
                let times = (self.now, self.now);
                let exit = exit(&queued.launch, times, None, panicked(text), LogExtent::default());
                self.report.exits.push(exit);
            }
        }
    }

    fn begin(&mut self, queued: &Queued<R::Code>, log: &PodLog) -> Begun<R::Code> {
        let launch = &queued.launch;
        let Some(code) = queued.code.clone().or_else(|| self.cached(&launch.plan)) else {
            return Begun::NotLoaded;
        };
        match self.agent.prepare(launch) {
            Ok(setup) => {
                let run = self.seat.runtime.run(code.clone(), setup, log.clone());
                Begun::Run(code, boxed(run, self.spare_run.take()))
            }
            Err(error) => {
                let message = error.to_string().into();
                Begun::Refused(LoadError { reason: Reason::CreateContainerError, message })
            }
        }
    }

    /// The code of a plan, unless launches before this one wait for it: they go first.
    fn cached(&self, plan: &Arc<RunPlan>) -> Option<R::Code> {
        let is_awaited = self.waiting.iter().any(|waiting| Arc::ptr_eq(&waiting.plan, plan));
        if is_awaited { None } else { self.seat.runtime.cached(&plan.template) }
    }

    fn wait_for_load(&mut self, queued: Queued<R::Code>) {
        let plan = &queued.launch.plan;
        match self.waiting.iter_mut().find(|waiting| Arc::ptr_eq(&waiting.plan, plan)) {
            Some(waiting) => waiting.queued.push(queued),
            None => {
                self.seat.loader.request(self.seat.number, plan);
                self.waiting.push(Waiting { plan: plan.clone(), queued: vec![queued] });
            }
        }
    }

    fn start(&mut self, queued: Queued<R::Code>, code: R::Code, log: PodLog, run: BoxedRun) {
        let Queued { launch, announced, .. } = queued;
        let Launch { job, ordinal, slot: pod_slot, .. } = launch;
        let started = announced.unwrap_or(self.now);
        let engine = self.seat.runtime.engine(&code);
        let guest = Guest {
            launch,
            code,
            started,
            is_announced: announced.is_some(),
            log,
            extent: LogExtent::default(),
            is_dirty: false,
            run,
        };
        let (slot, turn) = self.guests.start(guest);
        if matches!(turn, Turn::Parked) && announced.is_none() {
            self.report.started.push(Started { job, ordinal, slot: pod_slot, at: started, engine });
            if let Some(guest) = self.guests.get_mut(slot) {
                guest.is_announced = true;
            }
        }
        self.after_turn(slot, turn);
    }

    fn after_turn(&mut self, slot: usize, turn: Turn<R::Code>) {
        self.now = (self.seat.clock)();
        match turn {
            Turn::Parked => self.note_output(slot),
            Turn::Ended(guest, end) => self.on_end(guest, end),
        }
    }

    /// Flushes a parked guest's output when it is much, else has the timer do it.
    fn note_output(&mut self, slot: usize) {
        let Some(guest) = self.guests.get_mut(slot) else { return };
        let waits = guest.log.len();
        if waits >= FLUSH_BYTES {
            self.flush_guest(slot);
        } else if waits > 0 && !guest.is_dirty {
            guest.is_dirty = true;
            self.dirty.push(slot);
            self.flush_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(FLUSH_AFTER)));
        } else if waits == 0 {
            guest.log.give_back_room();
        }
    }

    fn flush_guest(&mut self, slot: usize) {
        let Some(guest) = self.guests.get_mut(slot) else { return };
        let (job, ordinal) = guest.key();
        guest.is_dirty = false;
        guest.extent = self.writer.append(job, ordinal, guest.extent, &guest.log, self.now);
        guest.log.give_back_room();
        let extent = guest.extent;
        self.show_extent(job, ordinal, extent);
    }

    fn show_extent(&mut self, job: JobId, ordinal: u32, extent: LogExtent) {
        if extent.segment != NO_SEGMENT {
            self.extents.push((job, ordinal, extent));
        }
    }

    fn on_end(&mut self, guest: Guest<R::Code>, end: End) {
        match end {
            Ok(Ok(outcome)) => self.end(guest, outcome),
            Ok(Err(super::Busy)) => {
                let announced = guest.is_announced.then_some(guest.started);
                self.note_crowded(&guest.launch);
                self.queue.block(Queued { launch: guest.launch, code: Some(guest.code), announced });
                self.retry_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(TICK)));
            }
            Err(text) => self.end(guest, panicked(text)),
        }
    }

    /// Tells of a launch that still finds no slot.
    fn note_crowded(&mut self, launch: &Launch) {
        let Launch { job, ordinal, slot, .. } = *launch;
        let told = self.crowded.entry(job).or_insert(self.now);
        if self.now.since_ms(*told) >= CROWDED_EVERY_MS {
            *told = self.now;
            self.report.crowded.push(Crowded { job, ordinal, slot });
        }
    }

    /// A guest ended, or is ended by dropping its run.
    fn end(&mut self, guest: Guest<R::Code>, mut outcome: Outcome) {
        let (job, ordinal) = guest.key();
        let Guest { launch, code, started, log, extent, mut run, .. } = guest;
        match guarded(|| run.as_mut().clear()) {
            Ok(()) => self.spare_run = Some(run),
            Err(text) => tracing::error!(job = job.0, ordinal, %text, "freeing a guest panicked"),
        }
        let was_live = extent.segment != NO_SEGMENT;
        let extent = self.writer.append(job, ordinal, extent, &log, self.now);
        let trace = outcome.trace.take().filter(|trace| !trace.0.is_empty());
        let engine = self.seat.runtime.engine(&code);
        let exit = exit(&launch, (started, self.now), Some(engine), outcome, extent);
        match trace {
            Some(trace) => {
                self.show_extent(job, ordinal, extent);
                self.traced.push(Traced { exit, code, trace });
            }
            None => {
                self.report.exits.push(exit);
                self.ended_live.extend(was_live.then_some((job, ordinal)));
            }
        }
        self.unblock();
    }

    /// There may be room for an instance again.
    fn unblock(&mut self) {
        if self.retry_timer.take().is_some() {
            self.crowded.retain(|job, _| self.queue.is_blocked(*job));
            self.queue.unblock();
        }
    }

    fn poll_timers(&mut self, context: &mut Context<'_>) {
        if self.flush_timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready()) {
            self.flush_timer = None;
            for slot in std::mem::take(&mut self.dirty) {
                if self.guests.get_mut(slot).is_some_and(|guest| guest.is_dirty) {
                    self.flush_guest(slot);
                }
            }
        }
        if self.retry_timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready()) {
            self.unblock();
        }
    }

    /// Writes the logs of the turn, then tells what happened in it.
    fn hand_over(&mut self) {
        self.flush_logs();
        for (job, ordinal, extent) in self.extents.drain(..) {
            self.seat.logs.set_live(job, ordinal, extent);
        }
        let number = self.seat.number;
        if !self.traced.is_empty() {
            let traced = std::mem::take(&mut self.traced);
            let refused = self.seat.explainer.submit(number, traced);
            self.ended_live.extend(refused.iter().map(|traced| (traced.exit.job, traced.exit.ordinal)));
            self.report.exits.extend(refused.into_iter().map(|traced| traced.exit));
        }
        if !self.report.is_empty() {
            let report = std::mem::take(&mut self.report);
            let log_ends = self.seat.logs.hand_over(&report.exits, self.ended_live.drain(..));
            (self.seat.report)(Report { worker: number, log_ends, ..report });
        }
    }

    fn flush_logs(&mut self) {
        let flushed = self.writer.flush();
        // Once, not every turn while a disk is full.
        if let Err(error) = &flushed
            && !self.is_writing_failed
        {
            tracing::error!(%error, "output of pods is lost");
        }
        self.is_writing_failed = flushed.is_err();
    }

    /// Drops all guests, keeping what they wrote.
    fn close(&mut self) {
        for guest in self.guests.drain() {
            let (job, ordinal) = guest.key();
            self.writer.append(job, ordinal, guest.extent, &guest.log, self.now);
            if let Err(text) = guarded(|| drop(guest)) {
                tracing::error!(job = job.0, ordinal, %text, "freeing a guest panicked");
            }
        }
        self.flush_logs();
        self.queue.clear();
        self.waiting.clear();
        self.count();
    }
}
