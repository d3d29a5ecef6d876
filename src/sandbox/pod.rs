//! One pod: its store, its instance, its end.

use super::code::Code;
use super::engine::Fuel;
use super::limits::Limits;
use super::outcome::outcome;
use super::p1::Lean;
use super::stdio::Output;
use crate::exec::{Busy, Outcome, PodLog, Stream, Texts};
use std::future::poll_fn;
use std::pin::pin;
use wasmtime::Store;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

/// Which host a module is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostKind {
    /// Our own, for what most compute guests import.
    Lean,
    /// wasmtime-wasi.
    Full,
}

/// The state of a guest's host.
enum Host {
    Lean(Lean),
    Full(Box<WasiP1Ctx>),
}

/// What a guest's store holds.
pub(super) struct Guest {
    host: Host,
    pub(super) limits: Limits,
    /// What the guest gave to `proc_exit`.
    pub(super) exit: Option<i32>,
}

impl Guest {
    /// No preopened directory, no socket, an empty stdin, nothing of the host's environment; without a log, output goes
    /// nowhere. To be called inside the context of a tokio runtime.
    pub(super) fn new(kind: HostKind, args: Texts, env: Texts, memory_bytes_max: u64, log: Option<PodLog>) -> Self {
        let host = match kind {
            HostKind::Lean => Host::Lean(Lean::new(args, env, log)),
            HostKind::Full => Host::Full(Box::new(full(&args, &env, log))),
        };
        Self { host, limits: Limits::new(memory_bytes_max), exit: None }
    }

    /// The state that the lean host's functions work on.
    pub(super) fn lean(&mut self) -> &mut Lean {
        match &mut self.host {
            Host::Lean(lean) => lean,
            Host::Full(_) => unreachable!("a guest gets the state of the host that its module is linked with"),
        }
    }

    /// The state that wasmtime-wasi's functions work on.
    pub(super) fn full(&mut self) -> &mut WasiP1Ctx {
        match &mut self.host {
            Host::Full(full) => full,
            Host::Lean(_) => unreachable!("a guest gets the state of the host that its module is linked with"),
        }
    }
}

fn full(args: &Texts, env: &Texts, log: Option<PodLog>) -> WasiP1Ctx {
    let args: Vec<&str> = args.iter().collect();
    let env: Vec<(&str, &str)> = env.iter().map(|text| text.split_once('=').unwrap_or((text, ""))).collect();
    let output = |stream| log.clone().map_or(Output::Nowhere, |log| Output::Log(log, stream));
    let (stdout, stderr) = (output(Stream::Stdout), output(Stream::Stderr));
    WasiCtxBuilder::new().args(&args).envs(&env).stdout(stdout).stderr(stderr).build_p1()
}

/// Runs a guest to its end. Returns `Pending` at each epoch tick; dropping it frees the instance at once.
pub(super) fn run(code: Code, guest: Guest, fuel: Option<u64>) -> impl Future<Output = Result<Outcome, Busy>> {
    // Made here and not in the future, which would have room for the guest's state three times over.
    let mut store = Store::new(code.0.pre.module().engine(), guest);
    store.limiter(|guest| &mut guest.limits);
    // Before the instance: a module's start function may loop as well.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let fuel = match code.0.fuel {
        Fuel::Counted => Some(fuel.unwrap_or(u64::MAX)),
        Fuel::Free => None,
    };
    if let Some(fuel) = fuel {
        store.set_fuel(fuel).expect("this engine counts fuel");
    }
    async move {
        let ended = match &code.0.arena {
            None => start(&mut store, &code).await,
            Some(arena) => {
                let seat = arena.seat().ok_or(Busy)?;
                let mut started = pin!(start(&mut store, &code));
                poll_fn(|context| seat.enter(|| started.as_mut().poll(context))).await
            }
        };
        let left = fuel.map_or(0, |_| store.get_fuel().expect("this engine counts fuel"));
        let spent = fuel.map_or(0, |given| given.saturating_sub(left));
        outcome(ended, store.data(), spent)
    }
}

async fn start(store: &mut Store<Guest>, code: &Code) -> wasmtime::Result<()> {
    let instance = code.0.pre.instantiate_async(&mut *store).await?;
    let start = instance.get_module_export(&mut *store, &code.0.start).and_then(wasmtime::Extern::into_func);
    let start = start.ok_or_else(|| wasmtime::Error::msg("`_start` is not a function"))?;
    start.typed::<(), ()>(&*store)?.call_async(&mut *store, ()).await
}
