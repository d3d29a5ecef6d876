//! What workers report about pods.

use super::effects::Effects;
use super::job::{count_end, count_unstarted, restarts};
use super::live::{Live, Place};
use super::state::{Job, State};
use super::timers::Due;
use crate::base::JobId;
use crate::model::{ContainerExit, Counted, Exit, Fact, PodEnd, Reason, Refused, Report, Started, Terminated, Waiting};

/// kubernetes: kubelet `MaxContainerBackOff` and its image back-off: 10 s, doubling, at the most 300 s.
const REFUSED_BACKOFF_MS: u64 = 10_000;
const REFUSED_BACKOFF_MAX_MS: u64 = 300_000;

/// When a pod whose start was refused `refusals` times is tried again, ms from now.
fn refused_delay_ms(refusals: u16) -> u64 {
    let doublings = u32::from(refusals.saturating_sub(1)).min(16);
    (REFUSED_BACKOFF_MS << doublings).min(REFUSED_BACKOFF_MAX_MS)
}

impl State {
    pub(super) fn on_report(&mut self, report: Report, fx: &mut Effects) {
        let worker = report.worker;
        for_each_job(report.started, |pod| pod.job, |id, pods| self.on_started(worker, id, pods, fx));
        for_each_job(report.refused, |pod| pod.job, |id, pods| self.on_refused(worker, id, pods, fx));
        for_each_job(report.exits, |pod| pod.job, |id, pods| self.on_exits(worker, id, pods, fx));
        report.crowded.iter().for_each(|pod| self.on_crowded(pod, fx));
        fx.settled.extend(report.log_ends);
    }

    fn on_started(&mut self, worker: u32, id: JobId, started: Vec<Started>, fx: &mut Effects) {
        let mut pods = Vec::with_capacity(started.len());
        for start in started {
            let pod = self.pods.named(start.slot, id, start.ordinal);
            assert_eq!(pod.place, Place::Queued(worker), "a pod starts once, where it was sent");
            pod.place = Place::Running(worker, start.at);
            if !pod.stopping {
                pods.push((start.ordinal, start.at, start.engine));
            }
            self.sched.on_started(worker);
        }
        if !pods.is_empty() {
            self.record(fx, Fact::PodsStarted { job: id, pods });
            self.dirty.insert(id);
            self.found_slots(id, fx);
        }
    }

    fn on_refused(&mut self, worker: u32, id: JobId, refused: Vec<Refused>, fx: &mut Effects) {
        let mut waiting = Vec::with_capacity(refused.len());
        for refusal in refused {
            let now = self.now;
            let pod = self.pods.named(refusal.slot, id, refusal.ordinal);
            pod.refusals = pod.refusals.saturating_add(1);
            let at = now.plus_ms(refused_delay_ms(pod.refusals));
            pod.place = Place::Refused(at);
            let (refusals, stopping) = (pod.refusals, pod.stopping);
            self.sched.on_ended(worker, false);
            // Kubernetes leaves such a pod on its node; here it is placed again.
            self.sched.release(id);
            if stopping {
                self.end_refused(id, refusal.slot, fx);
                continue;
            }
            self.timers.set(at, Due::Pod(refusal.slot, id, refusal.ordinal));
            // kubernetes: kubelet shows ErrImagePull after a pull and ImagePullBackOff while it waits for the next.
            let reason = match (refusal.reason, refusals) {
                (Reason::ErrImagePull, 2..) => Reason::ImagePullBackOff,
                (reason, _) => reason,
            };
            waiting.push(Waiting { ordinal: refusal.ordinal, reason, message: refusal.message });
        }
        if !waiting.is_empty() {
            self.record(fx, Fact::PodsWaiting { job: id, pods: waiting });
            self.dirty.insert(id);
        }
    }

    /// The stop crossed the refusal: there is no guest to wait for.
    fn end_refused(&mut self, id: JobId, slot: u32, fx: &mut Effects) {
        let mut pod = self.pods.remove(slot);
        // A deleted Job had no pods any more when it went.
        let Some(job) = self.jobs.get_mut(&id) else { return };
        restarts::forget(job, pod.ordinal);
        let mut end = pod.end(Counted::Dropped, self.now);
        end.counted = count_unstarted(job, &mut pod, &end);
        self.record_ends(id, vec![end], fx);
    }

    /// The time of a pod has come whose start was refused or whose container ended.
    pub(super) fn on_pod_due(&mut self, slot: u32, id: JobId, ordinal: u32, fx: &mut Effects) {
        let now = self.now;
        self.pods.named(slot, id, ordinal).place = Place::Waiting;
        let job = self.job(id);
        let priority = job.record.placement.value();
        let is_restart = restarts::restart(job, ordinal, now);
        self.sched.wait(id, priority, (slot, ordinal));
        if is_restart {
            self.record(fx, Fact::ContainersRestarted { job: id, ordinals: vec![ordinal] });
            self.dirty.insert(id);
        }
    }

    fn on_exits(&mut self, worker: u32, id: JobId, exits: Vec<Exit>, fx: &mut Effects) {
        let mut ends = Vec::with_capacity(exits.len());
        let mut restarting = Vec::new();
        for exit in exits {
            let pod = self.pods.named(exit.slot, id, exit.ordinal);
            let template = self.jobs.get(&id).map(|job| &job.spec.template).filter(|_| !pod.stopping);
            if template.is_some_and(|template| template.restarts_after(exit.exit_code)) {
                self.sched.on_ended(worker, pod.is_running());
                self.sched.release(id);
                restarting.push(exit);
                continue;
            }
            let mut pod = self.pods.remove(exit.slot);
            self.sched.on_ended(worker, pod.is_running());
            self.sched.release(id);
            // A deleted Job had no pods any more when it went.
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            ends.push(end_of(job, &mut pod, exit));
        }
        if !restarting.is_empty() {
            self.on_restartable(id, restarting, fx);
        }
        self.record_ends(id, ends, fx);
    }

    /// Pods have ended; those that were deleted are gone, unless something keeps them.
    pub(super) fn record_ends(&mut self, id: JobId, ends: Vec<PodEnd>, fx: &mut Effects) {
        if ends.is_empty() {
            return;
        }
        let deleted = ends.iter().filter(|end| end.was_stopping).map(|end| end.ordinal).collect();
        self.record(fx, Fact::PodsEnded { job: id, ends });
        self.found_slots(id, fx);
        // Which failures are not counted is known only now.
        self.part_with(id, deleted, fx);
        self.dirty.insert(id);
    }

    /// Pods that were deleted and have ended go, unless something keeps them: those go once nothing does.
    pub(super) fn part_with(&mut self, id: JobId, mut ordinals: Vec<u32>, fx: &mut Effects) {
        let job = self.job(id);
        ordinals.retain(|ordinal| {
            let goes = job.may_go(*ordinal);
            if !goes {
                job.doomed.insert(*ordinal);
            }
            goes
        });
        if !ordinals.is_empty() {
            self.record(fx, Fact::PodsRemoved { job: id, ordinals });
        }
    }
}

impl State {
    /// Containers ended that are started again in their pods, some at once.
    fn on_restartable(&mut self, id: JobId, exits: Vec<Exit>, fx: &mut Effects) {
        let now = self.now;
        let mut exited = Vec::with_capacity(exits.len());
        let mut restarted = Vec::new();
        for exit in exits {
            let job = self.jobs.get_mut(&id).expect("the caller looked at the Job");
            let back_off_ms = restarts::back_off_ms(job, exit.ordinal, exit.finished);
            let at = exit.finished.plus_ms(u64::from(back_off_ms));
            let pod = self.pods.named(exit.slot, id, exit.ordinal);
            exited.push(container_exit(&exit, pod.is_running(), back_off_ms));
            if at <= now || back_off_ms == 0 {
                pod.place = Place::Waiting;
                restarts::restart(job, exit.ordinal, now);
                restarted.push(exit.ordinal);
                self.sched.wait(id, job.record.placement.value(), (exit.slot, exit.ordinal));
            } else {
                pod.place = Place::Refused(at);
                self.timers.set(at, Due::Pod(exit.slot, id, exit.ordinal));
            }
        }
        self.record(fx, Fact::ContainersExited { job: id, exits: exited });
        if !restarted.is_empty() {
            self.record(fx, Fact::ContainersRestarted { job: id, ordinals: restarted });
        }
        self.dirty.insert(id);
    }
}

fn container_exit(exit: &Exit, was_ready: bool, back_off_ms: u32) -> ContainerExit {
    let terminated = Terminated {
        started: exit.started,
        run_ms: exit.finished.since_ms_u32(exit.started),
        exit_code: exit.exit_code,
        reason: exit.reason,
        engine: exit.engine,
        message: exit.message.clone(),
    };
    ContainerExit { ordinal: exit.ordinal, was_ready, back_off_ms, log: exit.log, terminated }
}

fn end_of(job: &mut Job, pod: &mut Live, exit: Exit) -> PodEnd {
    restarts::forget(job, pod.ordinal);
    let mut end = PodEnd {
        started: exit.started,
        run_ms: exit.finished.since_ms_u32(exit.started),
        exit_code: exit.exit_code,
        reason: exit.reason,
        engine: exit.engine,
        log: exit.log,
        fuel_k: exit.fuel_k,
        peak_pages: exit.peak_pages,
        message: exit.message,
        ..pod.end(Counted::Dropped, exit.finished)
    };
    end.counted = count_end(job, pod, &end);
    end
}

/// Calls `act` once for each Job with its items, in their order.
fn for_each_job<T>(mut items: Vec<T>, job: impl Fn(&T) -> JobId, mut act: impl FnMut(JobId, Vec<T>)) {
    items.sort_by_key(&job);
    let mut run: Vec<T> = Vec::new();
    for item in items {
        if let Some(first) = run.first()
            && job(first) != job(&item)
        {
            let id = job(first);
            act(id, std::mem::take(&mut run));
        }
        run.push(item);
    }
    if let Some(first) = run.first() {
        let id = job(first);
        act(id, run);
    }
}
