//! One pod: its store, its instance, its end.

use super::code::Code;
use super::engine::Fuel;
use super::limits::Limits;
use super::outcome::outcome;
use super::stdio::Output;
use crate::exec::{Busy, Outcome};
use std::future::poll_fn;
use std::pin::pin;
use wasmtime::Store;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

/// What a guest's store holds.
pub(super) struct Guest {
    pub(super) wasi: WasiP1Ctx,
    pub(super) limits: Limits,
    /// What the guest gave to `proc_exit`.
    pub(super) exit: Option<i32>,
}

impl Guest {
    /// No preopened directory, no socket, an empty stdin, nothing of the host's environment.
    pub(super) fn new(
        args: &[String],
        env: &[(String, String)],
        memory_bytes_max: u64,
        stdout: Output,
        stderr: Output,
    ) -> Self {
        let wasi = WasiCtxBuilder::new().args(args).envs(env).stdout(stdout).stderr(stderr).build_p1();
        Self { wasi, limits: Limits::new(memory_bytes_max), exit: None }
    }
}

/// Runs a guest to its end. Returns `Pending` at each epoch tick; dropping it frees the instance at once.
pub(super) async fn run(code: Code, guest: Guest, fuel: Option<u64>) -> Result<Outcome, Busy> {
    let Some(arena) = &code.0.arena else { return run_here(&code, guest, fuel).await };
    let seat = arena.seat().ok_or(Busy)?;
    let mut run = pin!(run_here(&code, guest, fuel));
    poll_fn(|context| seat.enter(|| run.as_mut().poll(context))).await
}

async fn run_here(code: &Code, guest: Guest, fuel: Option<u64>) -> Result<Outcome, Busy> {
    let loaded = &*code.0;
    let mut store = Store::new(loaded.pre.module().engine(), guest);
    store.limiter(|guest| &mut guest.limits);
    // Before the instance: a module's start function may loop as well.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let fuel = match loaded.fuel {
        Fuel::Counted => Some(fuel.unwrap_or(u64::MAX)),
        Fuel::Free => None,
    };
    if let Some(fuel) = fuel {
        store.set_fuel(fuel).expect("this engine counts fuel");
    }
    let ended = start(&mut store, code).await;
    let left = fuel.map_or(0, |_| store.get_fuel().expect("this engine counts fuel"));
    let spent = fuel.map_or(0, |given| given.saturating_sub(left));
    outcome(ended, store.data(), spent)
}

async fn start(store: &mut Store<Guest>, code: &Code) -> wasmtime::Result<()> {
    let instance = code.0.pre.instantiate_async(&mut *store).await?;
    let start = instance.get_module_export(&mut *store, &code.0.start).and_then(wasmtime::Extern::into_func);
    let start = start.ok_or_else(|| wasmtime::Error::msg("`_start` is not a function"))?;
    start.typed::<(), ()>(&*store)?.call_async(&mut *store, ()).await
}
