//! The threads that run pods, seen from outside.
//!
//! Owns their start and their end. Knows nothing of Jobs and nothing of sandboxes beyond [`Runtime`]. Start with
//! [`Workers::start`]. Invariant: orders to one worker are obeyed in the order in which they were given.

use super::compile::{Explainer, Loader};
use super::inbox::Inbox;
use super::priority::{GUESTS, as_compilation, be_nicer};
use super::tick::Ticker;
use super::worker::{Order, Seat, Worker};
use super::{Logs, Runtime};
use crate::base::Time;
use crate::model::{Launch, Report, Stop};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Takes a report. Called from worker threads and the `explain` thread; may block for a moment as back-pressure, never for
/// good.
pub type ReportFn = Arc<dyn Fn(Report) + Send + Sync>;

/// How many workers there are and what each may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkersConfig {
    /// Worker threads; one a core is right.
    pub workers: u32,
    /// Launches that one worker may have been given of which no report has come yet. Whoever launches keeps to it.
    pub queue_max: usize,
    /// Parked pods of one worker; [`Runtime::slots`] shared by all workers.
    pub alive_max: usize,
}

/// Why the workers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// No thread, or no timer for it.
    #[error("cannot start the thread {name}: {source}; check the limits on threads and open files")]
    Spawn {
        /// The thread's name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Running workers. Dropping them ends them as [`Workers::shutdown`] does.
pub struct Workers {
    config: WorkersConfig,
    orders: Vec<Arc<Inbox<Order>>>,
    ticker: Arc<Ticker>,
    /// Ends the threads that load and explain.
    close: Box<dyn Fn() + Send + Sync>,
    wasm: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts the threads `wasm-N`, `compile`, `explain` and `tick`. Every launch ends in one exit or one refusal in a
    /// report, unless the workers are shut down before.
    ///
    /// # Errors
    /// [`WorkersError::Spawn`]; threads that had started are ended.
    pub fn start<R: Runtime>(
        runtime: Arc<R>,
        config: WorkersConfig,
        logs: Arc<Logs>,
        clock: fn() -> Time,
        report: ReportFn,
    ) -> Result<Self, WorkersError> {
        let loaded: Vec<_> = (0..config.workers).map(|_| Arc::new(Inbox::new())).collect();
        let loader = Arc::new(Loader::new(loaded.clone()));
        let explainer = Arc::new(Explainer::new(logs.clone(), report.clone()));
        let close = Box::new({
            let (loader, explainer) = (loader.clone(), explainer.clone());
            move || {
                loader.close();
                explainer.close();
            }
        });
        let orders = (0..config.workers).map(|_| Arc::new(Inbox::new())).collect();
        let (wasm, others) = (Vec::new(), Vec::new());
        let mut workers = Self { config, orders, ticker: Arc::default(), close, wasm, others };
        for (number, (orders, loaded)) in (0..).zip(workers.orders.iter().cloned().zip(loaded)) {
            let seat = Seat {
                number,
                alive_max: config.alive_max.max(1),
                runtime: runtime.clone(),
                orders,
                loaded,
                loader: loader.clone(),
                explainer: explainer.clone(),
                ticker: workers.ticker.clone(),
                logs: logs.clone(),
                clock,
                report: report.clone(),
            };
            workers.wasm.push(spawn_worker(seat)?);
        }
        let tick = (workers.ticker.clone(), runtime.clone());
        workers.others.push(spawn("tick", move || tick.0.run(|| tick.1.tick()))?);
        let load = (loader, runtime.clone());
        workers.others.push(spawn("compile", move || as_compilation(|| load.0.run(&*load.1)))?);
        workers.others.push(spawn("explain", move || explainer.run(&*runtime))?);
        Ok(workers)
    }

    /// Gives launches to a worker, which must be below [`Workers::count`]; see [`WorkersConfig::queue_max`]. Never blocks.
    pub fn launch(&self, worker: u32, launches: Vec<Launch>) {
        self.worker(worker).send(Order::Launch(launches));
    }

    /// Has a worker end these pods, which it was given before. One that has not ended yet exits with 143, wherever it is;
    /// for one that has nothing more comes than its own exit. Never blocks.
    pub fn stop(&self, worker: u32, stops: Vec<Stop>) {
        self.worker(worker).send_urgent(Order::Stop(stops));
    }

    fn worker(&self, worker: u32) -> &Inbox<Order> {
        let at = usize::try_from(worker).expect("a worker's number fits");
        self.orders.get(at).expect("launches and stops name a worker below Workers::count")
    }

    /// How many workers there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.config.workers
    }

    /// See [`WorkersConfig::queue_max`].
    #[must_use]
    pub fn queue_max(&self) -> usize {
        self.config.queue_max
    }

    /// See [`WorkersConfig::alive_max`].
    #[must_use]
    pub fn alive_max(&self) -> usize {
        self.config.alive_max
    }

    /// Drops all guests, flushes what they wrote and joins all threads, which waits for a load that is under way. Pods in
    /// flight get no report.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        (self.close)();
        for orders in &self.orders {
            orders.send_urgent(Order::Close);
        }
        // Ticks go on until no guest is left: they are what a busy guest yields to.
        for thread in self.wasm.drain(..) {
            thread.join().unwrap_or_default();
        }
        self.ticker.close();
        for thread in self.others.drain(..) {
            thread.join().unwrap_or_default();
        }
    }
}

fn spawn_worker<R: Runtime>(seat: Seat<R>) -> Result<JoinHandle<()>, WorkersError> {
    let name = format!("wasm-{}", seat.number);
    // The default looks at timers only every 61 tasks: 0.6 s of busy guests.
    let built = tokio::runtime::Builder::new_current_thread().enable_time().event_interval(1).build();
    let runtime = built.map_err(|source| WorkersError::Spawn { name: name.clone(), source })?;
    spawn(&name, move || {
        be_nicer(GUESTS);
        let mut worker = Worker::new(seat);
        runtime.block_on(poll_fn(|context| worker.turn(context)));
    })
}

/// A thread without which pods would hang: a panic of it is a bug, and ends the process, whose log is the recovery.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, WorkersError> {
    let run = move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            tracing::error!("a thread of the workers panicked");
            std::process::abort();
        }
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|source| WorkersError::Spawn { name: name.to_owned(), source })
}
