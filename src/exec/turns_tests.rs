//! Whose turn it is on a worker, turn by turn: no thread, no tick, a clock that the test moves.

use super::compile::{Explainer, Loader};
use super::fake::{Fake, Shared, plan};
use super::inbox::Inbox;
use super::tick::Ticker;
use super::worker::{Order, Seat, Worker};
use super::{LOG_BYTES_MAX_DEFAULT, Logs, Runtime as _};
use crate::base::{JobId, NO_INDEX, Time};
use crate::model::Launch;
use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Waker};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1) };
    static PER_READING: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> Time {
    Time(NOW.replace(NOW.get() + PER_READING.get()))
}

/// A worker that gets its turns from the test.
struct Desk {
    shared: Arc<Shared>,
    orders: Arc<Inbox<Order>>,
    worker: Worker<Fake>,
}

impl Desk {
    fn new() -> Self {
        let fake = Arc::new(Fake::new());
        let shared = Arc::clone(&fake.shared);
        let (orders, loaded) = (Arc::new(Inbox::new()), Arc::new(Inbox::new()));
        let logs = Arc::new(Logs::open(None, 1, LOG_BYTES_MAX_DEFAULT).expect("temporary files"));
        fake.load(&plan("sum", &[]).template).expect("an image that is there");
        let seat = Seat {
            number: 0,
            alive_max: 1000,
            runtime: fake,
            orders: Arc::clone(&orders),
            loader: Arc::new(Loader::new(vec![Arc::clone(&loaded)])),
            loaded,
            explainer: Arc::new(Explainer::new(Arc::clone(&logs), Arc::new(drop))),
            ticker: Arc::new(Ticker::default()),
            logs,
            clock,
            report: Arc::new({
                let shared = Arc::clone(&shared);
                move |report| shared.say(&format!("{} started, {} ended", report.started.len(), report.exits.len()))
            }),
        };
        Self { shared, orders, worker: Worker::new(seat) }
    }

    fn launch(&self, job: u32, count: u32, script: &[&str]) {
        let plan = plan("sum", script);
        let launch =
            |ordinal| Launch { job: JobId(job), ordinal, index: NO_INDEX, slot: ordinal, plan: Arc::clone(&plan) };
        self.orders.send(Order::Launch((0..count).map(launch).collect()));
    }

    /// What was said in one turn; what is said more than once in a row is there once.
    fn turn(&mut self) -> Vec<String> {
        assert!(self.worker.turn(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut said = std::mem::take(&mut *self.shared.said.lock().expect("no panic while it is held"));
        said.dedup();
        said
    }
}

#[test]
fn a_new_pod_goes_before_a_hundred_that_compute_and_is_reported_before_their_turns() {
    let mut desk = Desk::new();
    desk.launch(1, 100, &["compute"]);
    assert_eq!(desk.turn(), ["computes", "100 started, 0 ended"]);
    assert_eq!(desk.turn(), ["computes"]);
    desk.launch(2, 1, &["say:new"]);
    assert_eq!(desk.turn(), ["new", "0 started, 1 ended", "computes"]);
}

#[test]
fn a_guest_that_waited_goes_before_those_that_compute() {
    let mut desk = Desk::new();
    desk.launch(1, 100, &["compute"]);
    desk.launch(2, 1, &["say:waits", "hold", "say:woken"]);
    assert_eq!(desk.turn().last().map(String::as_str), Some("101 started, 0 ended"));
    assert_eq!(desk.turn(), ["computes"]);
    desk.shared.release();
    assert_eq!(desk.turn(), ["woken", "0 started, 1 ended", "computes"]);
}

#[test]
fn those_that_compute_get_a_turn_however_many_others_come() {
    let mut desk = Desk::new();
    desk.launch(1, 1, &["compute"]);
    desk.turn();
    desk.launch(2, 500, &["say:new"]);
    for _ in 0..2 {
        let said = desk.turn();
        assert_eq!(said.last().map(String::as_str), Some("computes"), "{said:?}");
    }
}

#[test]
fn a_pod_is_not_behind_all_that_were_queued_before_it() {
    let mut desk = Desk::new();
    desk.launch(1, 500, &["say:many"]);
    desk.launch(2, 1, &["say:one"]);
    assert_eq!(desk.turn(), ["many", "one", "many", "0 started, 256 ended"]);
}

#[test]
fn the_end_of_the_last_pod_of_a_job_is_reported_after_one_millisecond_of_launching() {
    let mut desk = Desk::new();
    desk.launch(1, 1, &["say:one"]);
    desk.launch(2, 500, &["say:many"]);
    PER_READING.set(1);
    assert_eq!(desk.turn(), ["one", "0 started, 1 ended"]);
}

#[test]
fn what_ended_is_reported_after_two_milliseconds_of_launching() {
    let mut desk = Desk::new();
    desk.launch(1, 500, &["say:pod"]);
    assert_eq!(desk.turn(), ["pod", "0 started, 256 ended"], "the clock stands still");
    PER_READING.set(1);
    assert_eq!(desk.turn(), ["pod", "0 started, 2 ended"]);
}
