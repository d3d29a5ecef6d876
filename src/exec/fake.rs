//! A scripted sandbox for the workers' tests: a pod's arguments say what its guest does.

use super::{Busy, Checked, LoadError, Outcome, PodLog, PodSetup, Runtime, Stream, Trace};
use crate::base::{PodNames, Uid, UidKey};
use crate::model::{EngineKind, PodTemplate, Reason, RunPlan};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// A door that threads wait at until it is opened.
#[derive(Default)]
pub(super) struct Gate {
    is_open: Mutex<bool>,
    wake: Condvar,
}

impl Gate {
    pub(super) fn open(&self) {
        *self.lock() = true;
        self.wake.notify_all();
    }

    pub(super) fn shut(&self) {
        *self.lock() = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let _guard = self.wake.wait_while(self.lock(), |is_open| !*is_open).unwrap_or_else(PoisonError::into_inner);
    }
}

/// What guests and tests share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) runs: AtomicU32,
    pub(super) alive: AtomicUsize,
    pub(super) alive_most: AtomicUsize,
    /// So many runs answer `Busy` from now on.
    pub(super) busy: AtomicU32,
    /// What guests that `say` something said, in order.
    pub(super) said: Mutex<Vec<String>>,
    is_released: AtomicBool,
    released: Notify,
}

/// Images are loaded unless their name begins with `missing` or `broken`.
pub(super) struct Fake {
    pub(super) shared: Arc<Shared>,
    pub(super) loads: AtomicU32,
    pub(super) loading: Gate,
    pub(super) explaining: Gate,
    cached: Mutex<BTreeSet<String>>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self {
            shared: Arc::default(),
            loads: AtomicU32::new(0),
            loading: Gate::default(),
            explaining: Gate::default(),
            cached: Mutex::default(),
        };
        fake.loading.open();
        fake.explaining.open();
        fake
    }

    /// Lets all guests that `hold` go on.
    pub(super) fn release(&self) {
        self.shared.release();
    }
}

impl Shared {
    pub(super) fn release(&self) {
        self.is_released.store(true, Ordering::SeqCst);
        self.released.notify_waiters();
    }

    pub(super) fn say(&self, what: &str) {
        self.said.lock().expect("no panic while it is held").push(what.to_owned());
    }
}

/// The plan of a Job whose pods follow this script.
pub(super) fn plan(image: &str, script: &[&str]) -> Arc<RunPlan> {
    Arc::new(RunPlan {
        job_name: "pi".into(),
        namespace: "default".into(),
        job_uid: Uid(1),
        names: PodNames::new(Uid(1)),
        uid_key: UidKey(1),
        template: Arc::new(PodTemplate {
            image: image.to_owned(),
            args: script.iter().map(|&act| act.to_owned()).collect(),
            ..PodTemplate::default()
        }),
    })
}

/// What a tick does to a guest: it asks for another turn at once.
async fn interrupted() {
    let mut is_first = true;
    std::future::poll_fn(|context| {
        if !std::mem::take(&mut is_first) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts a guest as alive as long as it is there.
struct Alive(Arc<Shared>);

impl Alive {
    fn new(shared: Arc<Shared>) -> Self {
        shared.runs.fetch_add(1, Ordering::SeqCst);
        let alive = shared.alive.fetch_add(1, Ordering::SeqCst) + 1;
        shared.alive_most.fetch_max(alive, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("scripted panic of a drop");
        }
    }
}

fn outcome(exit_code: u8) -> Outcome {
    let reason = if exit_code == 0 { Reason::Completed } else { Reason::Error };
    Outcome { exit_code, reason, fuel: 1001, peak_bytes: 65_537, message: None, trace: None }
}

impl Runtime for Fake {
    type Code = String;

    fn cached(&self, template: &PodTemplate) -> Option<String> {
        self.cached.lock().expect("no panic while it is held").get(&template.image).cloned()
    }

    fn engine(&self, _: &String) -> EngineKind {
        EngineKind::Small
    }

    fn load(&self, template: &PodTemplate) -> Result<String, LoadError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.loading.pass();
        let image = &template.image;
        if image.starts_with("missing") {
            return Err(LoadError { reason: Reason::ErrImagePull, message: format!("no module {image}").into() });
        }
        assert!(!image.starts_with("broken"), "scripted panic of a load");
        self.cached.lock().expect("no panic while it is held").insert(image.clone());
        Ok(image.clone())
    }

    fn check(&self, _: &str, _: &[u8]) -> Result<Checked, LoadError> {
        Ok(Checked::Compiled)
    }

    fn forget(&self, _: &[u8; 32]) {}

    fn run(&self, _: String, pod: PodSetup, log: PodLog) -> impl Future<Output = Result<Outcome, Busy>> + 'static {
        let shared = self.shared.clone();
        async move {
            if shared.busy.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(Busy);
            }
            if pod.args.iter().any(|act| act == "crowded") && !shared.is_released.load(Ordering::SeqCst) {
                return Err(Busy);
            }
            let _alive = Alive::new(shared.clone());
            let mut trap = None;
            for act in pod.args.iter().skip(1) {
                let (verb, what) = act.split_once(':').unwrap_or((act, ""));
                match verb {
                    "write" => log.write(Stream::Stdout, what.as_bytes()),
                    "err" => log.write(Stream::Stderr, what.as_bytes()),
                    "sleep" => tokio::time::sleep(Duration::from_millis(what.parse().expect("a number"))).await,
                    "yield" => {
                        for _ in 0..what.parse::<u32>().expect("a number") {
                            tokio::task::yield_now().await;
                        }
                    }
                    "crowded" => {}
                    "say" => shared.say(what),
                    "compute" => loop {
                        shared.say("computes");
                        interrupted().await;
                    },
                    "spin" => loop {
                        tokio::task::yield_now().await;
                    },
                    "hold" => loop {
                        let released = shared.released.notified();
                        if shared.is_released.load(Ordering::SeqCst) {
                            break;
                        }
                        released.await;
                    },
                    "hold-and-panic" => {
                        let _bomb = PanicsWhenDropped;
                        std::future::pending::<()>().await;
                    }
                    "panic" => panic!("scripted panic of a run"),
                    "trap" => trap = Some(Trace(vec![(7, Some(9))])),
                    "exit" => return Ok(outcome(what.parse().expect("a number"))),
                    _ => unreachable!("{act}"),
                }
            }
            Ok(match trap {
                Some(trace) => Outcome { message: Some("trapped".into()), trace: Some(trace), ..outcome(134) },
                None => outcome(0),
            })
        }
    }

    fn explain(&self, code: &String, trace: &Trace) -> String {
        self.explaining.pass();
        format!("{code}: {:?}", trace.0)
    }

    fn tick(&self) {}

    fn slots(&self) -> usize {
        usize::MAX
    }
}
