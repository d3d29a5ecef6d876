//! The workers as the engine sees them: launches and stops in, reports out.

use super::compile::{EXPLAIN_MAX, Explainer, Traced};
use super::fake::{Fake, plan};
use super::{
    LOG_BYTES_MAX_DEFAULT, Logs, LogsError, Outcome, Runtime as _, Stream, Trace, Workers, WorkersConfig, exits,
};
use crate::base::{JobId, NO_INDEX, Time};
use crate::model::{Crowded, Exit, Launch, LogExtent, Reason, Refused, Report, RunPlan, Started, Stop};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Far more than a report ever takes: a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

static CLOCK: AtomicU64 = AtomicU64::new(1);

fn clock() -> Time {
    Time(CLOCK.fetch_add(1, Ordering::Relaxed))
}

fn config(workers: u32, alive_max: usize) -> WorkersConfig {
    WorkersConfig { workers, queue_max: 512, alive_max }
}

fn launch(ordinal: u32, plan: &Arc<RunPlan>) -> Launch {
    Launch { job: JobId(1), ordinal, index: NO_INDEX, slot: ordinal + 1000, plan: plan.clone() }
}

fn stop(ordinal: u32) -> Stop {
    Stop { job: JobId(1), ordinal, slot: ordinal + 1000 }
}

/// Workers with a fake sandbox, and what they reported so far, checked as it comes.
struct World {
    fake: Arc<Fake>,
    logs: Arc<Logs>,
    workers: Workers,
    reports: Receiver<Report>,
    started: BTreeMap<u32, Started>,
    exits: BTreeMap<u32, Exit>,
    refused: Vec<Refused>,
    log_ends: Vec<u64>,
    crowded: Vec<Crowded>,
}

impl World {
    fn new(config: WorkersConfig) -> Self {
        Self::with_logs(config, Arc::new(Logs::open(None, 1, LOG_BYTES_MAX_DEFAULT).expect("temporary files")))
    }

    fn with_logs(config: WorkersConfig, logs: Arc<Logs>) -> Self {
        let fake = Arc::new(Fake::new());
        let (sender, reports) = channel();
        let sender = Mutex::new(sender);
        let report = Arc::new(move |report| drop(sender.lock().expect("no panic while it is held").send(report)));
        let workers = Workers::start(fake.clone(), config, logs.clone(), clock, report).expect("threads");
        let (started, exits) = (BTreeMap::new(), BTreeMap::new());
        Self {
            fake,
            logs,
            workers,
            reports,
            started,
            exits,
            refused: Vec::new(),
            log_ends: Vec::new(),
            crowded: Vec::new(),
        }
    }

    fn launch(&self, script: &[&str], ordinals: impl IntoIterator<Item = u32>) {
        let plan = plan("sum", script);
        self.workers.launch(0, ordinals.into_iter().map(|ordinal| launch(ordinal, &plan)).collect());
    }

    fn stop(&self, ordinal: u32) {
        self.workers.stop(0, vec![stop(ordinal)]);
    }

    /// Takes one report; returns whose it is and how many pods ended.
    fn next_report(&mut self) -> (usize, usize) {
        let report = self.reports.recv_timeout(PATIENCE).expect("a report");
        let ended = (report.worker as usize, report.exits.len());
        for exit in report.exits {
            assert_eq!(exit.slot, exit.ordinal + 1000);
            assert!(exit.started <= exit.finished);
            if let Some(started) = self.started.get(&exit.ordinal) {
                assert_eq!(started.at, exit.started, "pod {}", exit.ordinal);
            }
            let ordinal = exit.ordinal;
            assert!(self.exits.insert(ordinal, exit).is_none(), "pod {ordinal} exits twice");
        }
        // After the exits: a pod that is in both of one report was not reported as started before.
        for started in report.started {
            let ordinal = started.ordinal;
            assert!(!self.exits.contains_key(&ordinal), "pod {ordinal} started after its exit");
            assert!(self.started.insert(ordinal, started).is_none(), "pod {ordinal} starts twice");
        }
        self.refused.extend(report.refused);
        self.log_ends.extend(report.log_ends);
        self.crowded.extend(report.crowded);
        ended
    }

    fn wait(&mut self, mut is_done: impl FnMut(&Self) -> bool) {
        while !is_done(self) {
            self.next_report();
        }
    }

    fn wait_started(&mut self, count: usize) {
        self.wait(|world| world.started.len() == count);
    }

    fn wait_exits(&mut self, count: usize) {
        self.wait(|world| world.exits.len() == count);
    }

    fn codes(&self) -> Vec<(u32, u8)> {
        self.exits.values().map(|exit| (exit.ordinal, exit.exit_code)).collect()
    }

    fn output(&self, ordinal: u32) -> Vec<(Stream, String)> {
        let entries = self.logs.read(self.exits[&ordinal].log).expect("a log");
        entries.into_iter().map(|entry| (entry.stream, String::from_utf8(entry.bytes).expect("text"))).collect()
    }

    /// After this no report may come.
    fn end(self) {
        self.workers.shutdown();
        let late: Vec<Report> = self.reports.try_iter().collect();
        assert!(late.is_empty(), "{late:?}");
        assert_eq!(self.fake.shared.alive.load(Ordering::SeqCst), 0, "guests that were not dropped");
    }
}

#[test]
fn a_pod_that_ends_at_its_first_turn_is_only_in_exits() {
    let mut world = World::new(config(1, 8));
    world.launch(&["exit:3"], 0..5);
    world.launch(&["exit:0"], [5]);
    world.wait_exits(6);
    assert!(world.started.is_empty());
    assert_eq!(world.codes(), [(0, 3), (1, 3), (2, 3), (3, 3), (4, 3), (5, 0)]);
    let exit = &world.exits[&0];
    assert_eq!((exit.reason, exit.fuel_k, exit.peak_pages), (Reason::Error, 2, 2));
    assert_eq!(world.exits[&5].reason, Reason::Completed);
    world.end();
}

#[test]
fn a_parked_pod_is_started_in_a_report_before_its_exit() {
    let mut world = World::new(config(1, 100));
    world.launch(&["yield:1"], 0..20);
    world.launch(&["sleep:1", "exit:7"], 20..40);
    world.launch(&["hold", "exit:9"], 40..60);
    world.wait_started(60);
    world.fake.release();
    world.wait_exits(60);
    assert_eq!(world.exits[&39].exit_code, 7);
    assert_eq!(world.exits[&59].exit_code, 9);
    world.end();
}

#[test]
fn a_stopped_parked_pod_exits_with_143() {
    let mut world = World::new(config(1, 8));
    world.launch(&["write:so far", "hold"], [0, 1]);
    world.wait_started(2);
    world.stop(0);
    world.wait_exits(1);
    assert_eq!(world.codes(), [(0, 143)]);
    assert_eq!(world.exits[&0].reason, Reason::Error);
    assert_eq!(world.output(0), [(Stream::Stdout, "so far".to_owned())]);
    world.stop(0);
    world.stop(77);
    world.stop(1);
    world.wait_exits(2);
    world.end();
}

#[test]
fn a_stopped_queued_pod_never_starts() {
    let mut world = World::new(config(1, 1));
    world.launch(&["hold"], 0..3);
    world.wait_started(1);
    world.stop(1);
    world.wait_exits(1);
    let exit = &world.exits[&1];
    assert_eq!((exit.exit_code, exit.reason), (143, Reason::Error));
    assert_eq!(exit.started, exit.finished);
    assert_eq!(exit.log, LogExtent::default());
    world.fake.release();
    world.wait_exits(3);
    assert_eq!(world.fake.shared.runs.load(Ordering::SeqCst), 2);
    world.end();
}

#[test]
fn a_pod_stopped_while_its_module_loads_never_starts() {
    let mut world = World::new(config(1, 8));
    world.fake.loading.shut();
    world.launch(&["exit:0"], 0..3);
    world.stop(1);
    world.wait_exits(1);
    assert_eq!(world.codes(), [(1, 143)]);
    world.fake.loading.open();
    world.wait_exits(3);
    assert_eq!(world.fake.shared.runs.load(Ordering::SeqCst), 2);
    world.end();
}

#[test]
fn a_stop_right_behind_its_launch_gives_one_exit() {
    let mut world = World::new(config(1, 1000));
    for ordinal in 0..300 {
        world.launch(&["hold"], [ordinal]);
        world.stop(ordinal);
    }
    world.wait_exits(300);
    assert!(world.codes().iter().all(|&(_, code)| code == 143));
    world.end();
}

#[test]
fn a_launch_of_the_same_pod_after_its_stop_runs() {
    let mut world = World::new(config(1, 8));
    world.fake.loading.shut();
    world.launch(&["exit:0"], [0]);
    world.stop(0);
    world.wait_exits(1);
    world.exits.clear();
    world.stop(0);
    world.launch(&["exit:5"], [0]);
    world.fake.loading.open();
    world.wait_exits(1);
    assert_eq!(world.codes(), [(0, 5)]);
    world.end();
}

#[test]
fn stops_and_timers_are_served_among_guests_that_never_wait() {
    let mut world = World::new(config(1, 100));
    world.launch(&["spin"], 0..20);
    world.launch(&["sleep:1", "exit:0"], 20..40);
    world.wait_exits(20);
    for ordinal in 0..20 {
        world.stop(ordinal);
    }
    world.wait_exits(40);
    world.end();
}

#[test]
fn a_full_queue_is_worked_off_with_no_more_guests_than_allowed() {
    let mut world = World::new(config(1, 3));
    world.launch(&["yield:2"], 0..512);
    world.wait_exits(512);
    assert_eq!(world.fake.shared.alive_most.load(Ordering::SeqCst), 3);
    world.end();
}

#[test]
fn a_pod_for_which_there_is_no_room_is_tried_again() {
    let mut world = World::new(config(1, 100));
    world.fake.shared.busy.store(5, Ordering::SeqCst);
    world.launch(&["exit:0"], 0..10);
    world.wait_exits(10);
    assert_eq!(world.fake.shared.runs.load(Ordering::SeqCst), 10);
    // With a guest alive its exit is what makes room.
    world.launch(&["hold"], [10]);
    world.wait_started(1);
    world.fake.shared.busy.store(1, Ordering::SeqCst);
    world.launch(&["exit:0"], [11]);
    world.fake.release();
    world.wait_exits(12);
    world.end();
}

#[test]
fn a_job_that_waits_for_room_holds_up_no_other() {
    let mut world = World::new(config(1, 100));
    world.launch(&["crowded"], 0..3);
    let other = plan("sum", &["exit:0"]);
    world.workers.launch(0, (3..6).map(|ordinal| Launch { job: JobId(2), ..launch(ordinal, &other) }).collect());
    world.wait_exits(3);
    assert!(world.codes().iter().all(|(ordinal, code)| *ordinal >= 3 && *code == 0));
    world.fake.release();
    world.wait_exits(6);
    world.end();
}

#[test]
fn a_job_that_waits_for_room_is_told_once_a_second() {
    let mut world = World::new(config(1, 100));
    world.launch(&["crowded"], 0..3);
    let first = Crowded { job: JobId(1), ordinal: 0, slot: 1000 };
    for told in 1..=2 {
        CLOCK.fetch_add(1000, Ordering::Relaxed);
        world.wait(|world| world.crowded.len() >= told);
    }
    assert!(world.crowded.iter().all(|crowded| *crowded == first), "{:?}", world.crowded);
    world.fake.release();
    world.wait_exits(3);
    world.end();
}

#[test]
fn a_pod_that_waits_for_room_can_be_stopped() {
    let mut world = World::new(config(1, 100));
    world.fake.shared.busy.store(u32::MAX, Ordering::SeqCst);
    world.launch(&["exit:0"], 0..2);
    world.stop(0);
    world.stop(1);
    world.wait_exits(2);
    assert_eq!(world.codes(), [(0, 143), (1, 143)]);
    world.end();
}

#[test]
fn logs_are_readable_when_the_exit_is_reported() {
    let mut world = World::new(config(2, 100));
    let script = ["write:one ", "write:line\n", "err:oops", "write:two"];
    let expected = [
        (Stream::Stdout, "one line\n".to_owned()),
        (Stream::Stderr, "oops".to_owned()),
        (Stream::Stdout, "two".to_owned()),
    ];
    world.launch(&script, 0..50);
    world.launch(&[&script[..], &["trap"]].concat(), 50..60);
    world.launch(&["write:one line\n", "yield:1", "err:oops", "sleep:1", "write:two"], 60..100);
    world.launch(&["exit:0"], [100]);
    while world.exits.len() < 101 {
        world.next_report();
        for exit in world.exits.values().filter(|exit| exit.ordinal < 100) {
            assert_eq!(world.output(exit.ordinal), expected, "pod {}", exit.ordinal);
            assert_eq!(exit.log.bytes, 16);
        }
    }
    assert_eq!(world.output(100), []);
    world.end();
}

#[test]
fn a_live_pods_output_can_be_followed_until_its_exit() {
    let mut world = World::new(config(1, 8));
    world.launch(&["write:early", "hold", "write:late"], [0]);
    world.wait_started(1);
    let live = std::iter::repeat_with(|| world.logs.live(JobId(1), 0)).find_map(|extent| {
        std::thread::yield_now();
        extent
    });
    let live = live.expect("an endless iterator");
    assert_eq!(world.logs.read(live).expect("a log")[0].bytes, b"early");
    world.fake.release();
    world.wait_exits(1);
    let exit = world.exits[&0].log;
    assert_eq!(world.logs.read_after(exit, live).expect("a log")[0].bytes, b"late");
    assert_eq!(exit.bytes, 9);
    while world.logs.live(JobId(1), 0).is_some() {
        std::thread::yield_now();
    }
    world.end();
}

#[test]
fn the_end_of_a_log_is_known_from_the_guests_end_until_it_is_settled() {
    let mut world = World::new(config(1, 8));
    let newest = |world: &World, pod| world.logs.newest(JobId(1), pod);
    let wait_bytes = |world: &World, pod, bytes| {
        while newest(world, pod).is_none_or(|extent| extent.bytes < bytes) {
            std::thread::yield_now();
        }
    };
    world.fake.explaining.shut();
    world.launch(&["write:at once"], [0]);
    world.launch(&["write:early", "hold", "write:late"], [1]);
    world.launch(&["hold", "write:late"], [2]);
    world.launch(&["write:at once", "trap"], [3]);
    world.launch(&["write:early", "hold", "write:late", "trap"], [4]);
    world.launch(&["exit:0"], [5]);
    world.wait_started(3);
    [1, 4].iter().for_each(|pod| wait_bytes(&world, *pod, 5));
    world.fake.release();
    world.wait(|world| world.exits.len() >= 4);
    // Nobody has been told of the ends of these.
    wait_bytes(&world, 3, 7);
    wait_bytes(&world, 4, 9);
    assert!(!world.exits.contains_key(&3) && !world.exits.contains_key(&4));
    world.fake.explaining.open();
    world.wait_exits(6);
    assert_eq!(newest(&world, 5), None, "it wrote nothing");
    for pod in 0..5 {
        assert_eq!((newest(&world, pod), world.logs.live(JobId(1), pod)), (Some(world.exits[&pod].log), None), "{pod}");
    }
    world.logs.settle(&world.log_ends);
    assert!((0..6).all(|pod| newest(&world, pod).is_none()));
    world.end();
}

#[test]
fn a_chatty_pods_output_is_flushed_while_it_runs() {
    let mut world = World::new(config(1, 8));
    let chunk = format!("write:{}", "x".repeat(40_000));
    world.launch(&[&chunk, "yield:1", &chunk, "hold"], [0]);
    world.wait_started(1);
    while world.logs.live(JobId(1), 0).is_none_or(|extent| extent.bytes < 80_000) {
        std::thread::yield_now();
    }
    world.stop(0);
    world.wait_exits(1);
    assert_eq!(world.exits[&0].log.bytes, 80_000);
    world.end();
}

#[test]
fn all_pods_of_a_template_that_cannot_be_loaded_are_refused() {
    let mut world = World::new(config(1, 8));
    for (image, reason, text) in [
        ("missing:v1", Reason::ErrImagePull, "no module missing:v1"),
        ("broken:v1", Reason::CreateContainerError, "the sandbox failed: scripted panic of a load"),
    ] {
        world.fake.loading.shut();
        let plan = plan(image, &["exit:0"]);
        let loads = world.fake.loads.load(Ordering::SeqCst);
        world.workers.launch(0, (0..100).map(|ordinal| launch(ordinal, &plan)).collect());
        world.fake.loading.open();
        world.wait(|world| world.refused.len() == 100);
        for refused in world.refused.drain(..) {
            assert_eq!((refused.reason, &*refused.message), (reason, text));
        }
        assert_eq!(world.fake.loads.load(Ordering::SeqCst), loads + 1, "one load for all");
    }
    world.end();
}

#[test]
fn a_template_is_loaded_once_for_all_workers() {
    let mut world = World::new(config(2, 8));
    world.fake.loading.shut();
    let plan = plan("sum", &["exit:0"]);
    for worker in 0..2 {
        world.workers.launch(worker, (0..50).map(|pod| launch(worker * 50 + pod, &plan)).collect());
    }
    world.fake.loading.open();
    world.wait_exits(100);
    assert_eq!(world.fake.loads.load(Ordering::SeqCst), 1);
    world.end();
}

#[test]
fn a_pod_whose_arguments_are_too_long_is_refused() {
    let mut world = World::new(config(1, 8));
    let word = "x".repeat(1 << 20);
    world.launch(&[&word, &word], [0]);
    world.wait(|world| world.refused.len() == 1);
    assert_eq!(world.refused[0].reason, Reason::CreateContainerError);
    assert!(world.refused[0].message.starts_with("argument list too long"), "{}", world.refused[0].message);
    world.end();
}

#[test]
fn a_traps_explanation_follows_its_message() {
    let mut world = World::new(config(1, 8));
    world.launch(&["trap"], 0..3);
    world.launch(&["yield:1", "trap"], 3..6);
    world.wait_exits(6);
    for exit in world.exits.values() {
        assert_eq!(exit.message.as_deref(), Some("trapped\nsum: [(7, Some(9))]"), "pod {}", exit.ordinal);
        assert_eq!(exit.exit_code, 134);
    }
    assert_eq!(world.started.len(), 3);
    world.end();
}

#[test]
fn a_slow_explanation_holds_up_nobody_else() {
    let mut world = World::new(config(1, 8));
    world.fake.explaining.shut();
    world.launch(&["trap"], [0]);
    world.launch(&["exit:0"], 1..50);
    let plan = plan("other", &["exit:0"]);
    world.workers.launch(0, vec![launch(50, &plan)]);
    world.wait_exits(50);
    assert!(!world.exits.contains_key(&0));
    world.fake.explaining.open();
    world.wait_exits(51);
    world.end();
}

#[test]
fn more_traps_than_may_wait_are_given_back() {
    let world = World::new(config(1, 8));
    let explainer = Explainer::new(world.logs.clone(), Arc::new(drop));
    let trap = |ordinal| {
        let outcome = Outcome { message: Some("trapped".into()), ..exits::stopped() };
        let exit =
            exits::exit(&launch(ordinal, &plan("sum", &[])), (Time(1), Time(2)), None, outcome, LogExtent::default());
        Traced { exit, code: String::new(), trace: Trace::default() }
    };
    let most = u32::try_from(EXPLAIN_MAX).expect("few");
    assert!(explainer.submit(0, (0..most).map(trap).collect()).is_empty());
    let given_back = explainer.submit(0, vec![trap(most), trap(most + 1)]);
    assert_eq!(given_back.iter().map(|traced| traced.exit.ordinal).collect::<Vec<_>>(), [most, most + 1]);
    world.end();
}

#[test]
fn a_panic_of_the_sandbox_costs_one_pod() {
    let mut world = World::new(config(1, 8));
    world.launch(&["write:before", "panic"], [0]);
    world.launch(&["yield:1", "panic"], [1]);
    world.launch(&["hold-and-panic"], [2]);
    world.launch(&["exit:0"], [3]);
    world.wait_started(2);
    world.stop(2);
    world.wait_exits(4);
    assert_eq!(world.codes(), [(0, 134), (1, 134), (2, 143), (3, 0)]);
    assert_eq!(world.exits[&0].message.as_deref(), Some("the sandbox failed: scripted panic of a run"));
    assert_eq!(world.output(0), [(Stream::Stdout, "before".to_owned())]);
    world.end();
}

#[test]
fn shutdown_drops_every_guest_and_keeps_what_they_wrote() {
    let dir = tempfile::tempdir().expect("a folder");
    let logs = Arc::new(Logs::open(Some(dir.path()), 1, LOG_BYTES_MAX_DEFAULT).expect("logs"));
    let mut world = World::with_logs(config(1, 4), logs);
    world.launch(&["write:held", "hold"], [0]);
    world.launch(&["write:spun", "spin"], [1]);
    world.launch(&["hold-and-panic"], [2]);
    world.wait_started(3);
    world.launch(&["hold"], 3..10);
    world.wait_started(4);
    world.end();
    let logs = Logs::open(Some(dir.path()), 2, LOG_BYTES_MAX_DEFAULT).expect("logs");
    let wanted: BTreeSet<_> = (0..10).map(|ordinal| (JobId(1), ordinal)).collect();
    let found = logs.recover(&wanted);
    let texts: Vec<_> = found.values().map(|&extent| logs.read(extent).expect("a log")[0].bytes.clone()).collect();
    assert_eq!(texts, [b"held", b"spun"]);
}

#[test]
fn workers_that_wait_for_a_load_can_be_dropped() {
    let world = World::new(config(2, 8));
    world.launch(&["exit:0"], 0..100);
    let World { workers, reports, .. } = world;
    drop(workers);
    assert!(reports.iter().map(|report| report.exits.len()).sum::<usize>() <= 100);
}

#[test]
fn ten_thousand_pods_exit_once_each() {
    const PODS: u32 = 10_000;
    let mut world = World::new(config(2, 64));
    let scripts: [&[&str]; 5] =
        [&["exit:0"], &["write:hello\n", "exit:1"], &["yield:3"], &["sleep:1", "err:x"], &["trap"]];
    let plans: Vec<_> = scripts.iter().map(|script| plan("sum", script)).collect();
    let mut pods = 0..PODS;
    let mut in_flight = [0; 2];
    while world.exits.len() < PODS as usize {
        for (worker, in_flight) in (0..).zip(&mut in_flight) {
            let next = pods.by_ref().take(world.workers.queue_max() - *in_flight);
            let launches: Vec<_> = next.map(|pod| launch(pod, &plans[pod as usize % 5])).collect();
            *in_flight += launches.len();
            world.workers.launch(worker, launches);
        }
        let (worker, ended) = world.next_report();
        in_flight[worker] -= ended;
    }
    assert_eq!(world.exits.len(), PODS as usize);
    for (&ordinal, exit) in &world.exits {
        assert_eq!(exit.exit_code, [0, 1, 0, 0, 134][ordinal as usize % 5], "pod {ordinal}");
    }
    let parked = world.started.keys().all(|ordinal| matches!(ordinal % 5, 2 | 3));
    assert!(parked && world.started.len() == PODS as usize * 2 / 5);
    assert!(world.fake.shared.alive_most.load(Ordering::SeqCst) <= 128);
    world.end();
}

#[test]
fn a_gone_log_says_so() {
    let world = World::new(config(1, 8));
    let gone = world.logs.read(LogExtent { segment: 7, offset: 16, bytes: 1 });
    assert!(matches!(gone, Err(LogsError::Gone { segment: 7 })));
    assert_eq!(world.fake.slots(), usize::MAX);
    world.end();
}
