//! The scripted executor: holds what it was told to run until the case says how it ends.

use crate::base::{JobId, Time};
use crate::control::{Capacity, Effects, Input};
use crate::model::{Crowded, EngineKind, Exit, Launch, LogExtent, PodRecord, Reason, Refused, Report, Started, Stop};
use std::collections::{BTreeMap, BTreeSet};

/// A pod on a worker.
#[derive(Clone, Debug)]
pub(super) struct OnWorker {
    pub(super) worker: u32,
    pub(super) slot: u32,
    pub(super) started: Option<Time>,
    pub(super) told_to_stop: bool,
}

/// What the workers hold, and what they will say next.
#[derive(Debug, Default)]
pub(super) struct Workers {
    pub(super) alive: BTreeMap<(JobId, u32), OnWorker>,
    started: Vec<(u32, Started)>,
    refused: Vec<(u32, Refused)>,
    exits: Vec<(u32, Exit)>,
    /// Pods whose end was told since the last step: a stop may cross that.
    told: BTreeSet<(JobId, u32)>,
}

/// The exit code of a stop: 128 + SIGTERM.
pub(super) const STOPPED: u8 = 143;

impl Workers {
    /// Takes the launches and stops of a step, and checks that they make sense.
    pub(super) fn take(&mut self, fx: &mut Effects, capacity: Capacity, pods: &BTreeMap<(JobId, u32), PodRecord>) {
        for (worker, launches) in &fx.launches {
            assert!(!launches.is_empty(), "an empty launch");
            launches.iter().for_each(|launch| self.launch(*worker, launch, pods));
        }
        for (worker, stops) in &fx.stops {
            stops.iter().for_each(|stop| self.stop(*worker, stop));
        }
        for worker in 0..capacity.workers {
            let of_worker = |pod: &&OnWorker| pod.worker == worker;
            let alive = self.alive.values().filter(of_worker).count();
            let queued = self.alive.values().filter(of_worker).filter(|pod| pod.started.is_none()).count();
            assert!(alive <= capacity.alive_max as usize, "worker {worker} has {alive} pods");
            assert!(queued <= capacity.queue_max as usize, "worker {worker} has {queued} pods queued");
        }
        self.told.clear();
    }

    fn launch(&mut self, worker: u32, launch: &Launch, pods: &BTreeMap<(JobId, u32), PodRecord>) {
        let shown = pods.get(&(launch.job, launch.ordinal)).expect("a launch of a pod that is alive");
        assert_eq!(launch.index, shown.index, "a launch keeps the pod's index");
        assert!(!shown.has(PodRecord::STOPPING), "a launch of a stopped pod");
        let pod = OnWorker { worker, slot: launch.slot, started: None, told_to_stop: false };
        let twice = self.alive.insert((launch.job, launch.ordinal), pod);
        assert!(twice.is_none(), "pod {} was launched twice", launch.ordinal);
    }

    fn stop(&mut self, worker: u32, stop: &Stop) {
        if self.told.contains(&(stop.job, stop.ordinal)) {
            return;
        }
        let pod = self.alive.get_mut(&(stop.job, stop.ordinal)).expect("a stop of a pod that a worker has");
        assert_eq!((pod.worker, pod.slot), (worker, stop.slot), "a stop goes where the pod is");
        assert!(!std::mem::replace(&mut pod.told_to_stop, true), "a pod is stopped once");
    }

    fn pod(&mut self, job: JobId, ordinal: u32) -> &mut OnWorker {
        self.alive.get_mut(&(job, ordinal)).unwrap_or_else(|| panic!("no worker has pod {ordinal}"))
    }

    pub(super) fn start(&mut self, job: JobId, ordinal: u32, at: Time) {
        let pod = self.pod(job, ordinal);
        pod.started = Some(at);
        let started = Started { job, ordinal, slot: pod.slot, at, engine: EngineKind::Small };
        let worker = pod.worker;
        self.started.push((worker, started));
    }

    pub(super) fn exit(&mut self, job: JobId, ordinal: u32, exit_code: u8, finished: Time) {
        let pod = self.pod(job, ordinal).clone();
        self.alive.remove(&(job, ordinal));
        let exit = Exit {
            job,
            ordinal,
            slot: pod.slot,
            started: pod.started.unwrap_or(finished),
            finished,
            exit_code,
            reason: if exit_code == 0 { Reason::Completed } else { Reason::Error },
            engine: pod.started.map(|_| EngineKind::Small),
            log: LogExtent::default(),
            fuel_k: 0,
            peak_pages: 0,
            message: None,
        };
        self.exits.push((pod.worker, exit));
    }

    pub(super) fn refuse(&mut self, job: JobId, ordinal: u32, reason: Reason) {
        let pod = self.pod(job, ordinal).clone();
        assert_eq!(pod.started, None, "only what has not started is refused");
        self.alive.remove(&(job, ordinal));
        let refused = Refused { job, ordinal, slot: pod.slot, reason, message: "no such module".into() };
        self.refused.push((pod.worker, refused));
    }

    /// Pods that were told to stop and have not ended.
    pub(super) fn stopping(&self) -> Vec<(JobId, u32)> {
        self.alive.iter().filter(|(_, pod)| pod.told_to_stop).map(|(key, _)| *key).collect()
    }

    /// They have had no slot for a pod for a while.
    pub(super) fn crowd(&self, job: JobId, ordinal: u32) -> Input {
        let pod = &self.alive[&(job, ordinal)];
        let crowded = vec![Crowded { job, ordinal, slot: pod.slot }];
        Input::Report(Report { worker: pod.worker, crowded, ..Report::default() })
    }

    /// What they have to say: starts and refusals, then exits, in reports of their own.
    pub(super) fn reports(&mut self) -> Vec<Input> {
        let refused = self.refused.iter().map(|(_, pod)| (pod.job, pod.ordinal));
        self.told.extend(refused.chain(self.exits.iter().map(|(_, pod)| (pod.job, pod.ordinal))));
        let mut early: BTreeMap<u32, Report> = BTreeMap::new();
        let mut late: BTreeMap<u32, Report> = BTreeMap::new();
        fn of(reports: &mut BTreeMap<u32, Report>, worker: u32) -> &mut Report {
            reports.entry(worker).or_insert_with(|| Report { worker, ..Report::default() })
        }
        self.started.drain(..).for_each(|(worker, started)| of(&mut early, worker).started.push(started));
        self.refused.drain(..).for_each(|(worker, refused)| of(&mut early, worker).refused.push(refused));
        self.exits.drain(..).for_each(|(worker, exit)| of(&mut late, worker).exits.push(exit));
        early.into_values().chain(late.into_values()).map(Input::Report).collect()
    }
}
