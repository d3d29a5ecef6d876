//! The scripted workers: every pod that is handed to them has a fate, drawn when it comes.
//!
//! Knows what `exec` would report and in which order. Invariant: a start is in an earlier report than the end; what was told
//! to stop ends, sooner or later.

use crate::base::{JobId, Rng, Time};
use crate::control::{Capacity, Effects};
use crate::model::{EngineKind, Exit, Launch, LogExtent, Reason, Refused, Report, Started, Stop};
use std::collections::{BTreeMap, BTreeSet};

/// The exit code of a stop: 128 + SIGTERM.
const STOPPED: u8 = 143;

/// What a worker said about a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    /// Its guest runs.
    Started(Time),
    /// It ended.
    Ended(u8, Time),
    /// It could not start.
    Refused,
}

/// What was said of which pod.
pub(super) type SaidOf = ((JobId, u32), Said);

/// A pod on a worker.
#[derive(Clone, Debug)]
struct OnWorker {
    worker: u32,
    slot: u32,
    started: Option<Time>,
    told_to_stop: bool,
    /// When its guest starts, if it does before its end.
    starts: Option<Time>,
    ends: Option<(Time, End)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Exit(u8),
    Refused(Reason),
}

/// All workers.
#[derive(Debug, Default)]
pub(super) struct Executor {
    pods: BTreeMap<(JobId, u32), OnWorker>,
    /// Pods whose end was told in this step: a stop may cross that.
    told: BTreeSet<(JobId, u32)>,
    /// From here on every pod succeeds.
    is_kind: bool,
}

fn draw(rng: &mut Rng, below: u64) -> u64 {
    rng.next_u64() % below
}

impl Executor {
    pub(super) fn is_idle(&self) -> bool {
        self.pods.is_empty()
    }

    /// Takes the launches and stops of a step; says which pods were launched.
    ///
    /// # Errors
    /// What makes no sense to a worker.
    pub(super) fn take(
        &mut self,
        now: Time,
        fx: &mut Effects,
        capacity: Capacity,
        rng: &mut Rng,
    ) -> Result<Vec<(JobId, u32)>, String> {
        let mut launched = Vec::new();
        for (worker, launches) in fx.launches.drain(..) {
            for launch in launches {
                launched.push((launch.job, launch.ordinal));
                self.launch(now, worker, &launch, rng)?;
            }
        }
        for (worker, stops) in fx.stops.drain(..) {
            for stop in stops {
                self.stop(now, worker, stop, rng)?;
            }
        }
        self.told.clear();
        for worker in 0..capacity.workers {
            let of_worker = |pod: &&OnWorker| pod.worker == worker;
            let alive = self.pods.values().filter(of_worker).count();
            let queued = self.pods.values().filter(of_worker).filter(|pod| pod.started.is_none()).count();
            if alive > capacity.alive_max as usize || queued > capacity.queue_max as usize {
                return Err(format!("worker {worker} has {alive} pods, {queued} of them queued"));
            }
        }
        Ok(launched)
    }

    fn launch(&mut self, now: Time, worker: u32, launch: &Launch, rng: &mut Rng) -> Result<(), String> {
        // Ends fall together now and then.
        let soon = |rng: &mut Rng| now.plus_ms(draw(rng, 4) * 50);
        let later = |rng: &mut Rng| now.plus_ms(50 << draw(rng, 12));
        let code = |rng: &mut Rng| [0, 0, 0, 0, 1, 2, 3, 5][usize::try_from(draw(rng, 8)).expect("small")];
        let refusal = [Reason::ErrImagePull, Reason::InvalidImageName, Reason::CreateContainerError];
        let fate = if self.is_kind { 0 } else { draw(rng, 16) };
        let (starts, ends) = match fate {
            0..=4 => (None, Some((soon(rng), End::Exit(if self.is_kind { 0 } else { code(rng) })))),
            5..=11 => (Some(soon(rng)), Some((later(rng).plus_ms(200), End::Exit(code(rng))))),
            12 => (None, Some((soon(rng), End::Refused(refusal[usize::try_from(draw(rng, 3)).expect("small")])))),
            13 => (None, None),
            _ => (Some(soon(rng)), None),
        };
        let pod = OnWorker { worker, slot: launch.slot, started: None, told_to_stop: false, starts, ends };
        match self.pods.insert((launch.job, launch.ordinal), pod) {
            Some(_) => Err(format!("pod {}/{} is launched twice", launch.job.0, launch.ordinal)),
            None => Ok(()),
        }
    }

    fn stop(&mut self, now: Time, worker: u32, stop: Stop, rng: &mut Rng) -> Result<(), String> {
        let key = (stop.job, stop.ordinal);
        if self.told.contains(&key) {
            return Ok(());
        }
        let name = format!("pod {}/{}", stop.job.0, stop.ordinal);
        let Some(pod) = self.pods.get_mut(&key) else { return Err(format!("{name} is stopped, which no worker has")) };
        if pod.worker != worker || pod.slot != stop.slot || std::mem::replace(&mut pod.told_to_stop, true) {
            return Err(format!("{name} is stopped twice, or elsewhere than it is"));
        }
        // It may end by itself before the stop gets there.
        let crossed = draw(rng, 8);
        let code = [STOPPED, STOPPED, 0, 1][usize::try_from(draw(rng, 4)).expect("small")];
        let (code, delay) = if crossed == 0 { (code, 0) } else { (STOPPED, draw(rng, 3) * 50) };
        if pod.ends.is_none_or(|(at, _)| at > now.plus_ms(delay)) || matches!(pod.ends, Some((_, End::Refused(_)))) {
            pod.ends = Some((now.plus_ms(delay), End::Exit(code)));
        }
        Ok(())
    }

    /// Everything that ran is gone.
    pub(super) fn crash(&mut self) {
        *self = Self { is_kind: self.is_kind, ..Self::default() };
    }

    /// When something is next to be said.
    pub(super) fn due(&self) -> Option<Time> {
        let of_pod = |pod: &OnWorker| {
            let starts = pod.starts.filter(|_| pod.started.is_none());
            starts.into_iter().chain(pod.ends.map(|(at, _)| at)).min()
        };
        self.pods.values().filter_map(of_pod).min()
    }

    /// From here on what runs ends with 0.
    pub(super) fn be_kind(&mut self, now: Time) {
        self.is_kind = true;
        for pod in self.pods.values_mut() {
            pod.ends = Some((now, End::Exit(if pod.told_to_stop { STOPPED } else { 0 })));
        }
    }

    /// What has happened until `now`: reports, and the same in short.
    pub(super) fn reports(&mut self, now: Time) -> (Vec<Report>, Vec<SaidOf>) {
        let mut early: BTreeMap<u32, Report> = BTreeMap::new();
        let mut late: BTreeMap<u32, Report> = BTreeMap::new();
        let mut said = Vec::new();
        fn of(reports: &mut BTreeMap<u32, Report>, worker: u32) -> &mut Report {
            reports.entry(worker).or_insert_with(|| Report { worker, ..Report::default() })
        }
        for (&(job, ordinal), pod) in &mut self.pods {
            let (worker, slot) = (pod.worker, pod.slot);
            if let Some(at) = pod.starts.filter(|at| *at <= now && pod.started.is_none()) {
                pod.started = Some(at);
                said.push(((job, ordinal), Said::Started(at)));
                of(&mut early, worker).started.push(Started { job, ordinal, slot, at, engine: EngineKind::Small });
            }
            let Some((at, end)) = pod.ends.filter(|(at, _)| *at <= now) else { continue };
            self.told.insert((job, ordinal));
            match end {
                End::Exit(code) => {
                    said.push(((job, ordinal), Said::Ended(code, at)));
                    of(&mut late, worker).exits.push(exit(job, ordinal, pod, code, at));
                }
                End::Refused(reason) => {
                    said.push(((job, ordinal), Said::Refused));
                    let message = "no such module".into();
                    of(&mut early, worker).refused.push(Refused { job, ordinal, slot, reason, message });
                }
            }
        }
        self.pods.retain(|key, _| !self.told.contains(key));
        (early.into_values().chain(late.into_values()).collect(), said)
    }
}

fn exit(job: JobId, ordinal: u32, pod: &OnWorker, exit_code: u8, finished: Time) -> Exit {
    Exit {
        job,
        ordinal,
        slot: pod.slot,
        started: pod.started.unwrap_or(finished),
        finished,
        engine: pod.started.map(|_| EngineKind::Small),
        exit_code,
        reason: if exit_code == 0 { Reason::Completed } else { Reason::Error },
        log: LogExtent::default(),
        fuel_k: 0,
        peak_pages: 0,
        message: None,
    }
}
