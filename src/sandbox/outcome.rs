//! How a guest's end becomes an exit code.

use super::limits::OverLimit;
use super::pod::Guest;
use crate::exec::{Busy, Outcome, Trace};
use crate::model::Reason;
use wasmtime::{Error, PoolConcurrencyLimitError, Trap, WasmBacktrace};

// 128 + the number of the nearest POSIX signal, so that `podFailurePolicy` can tell them apart.
const SIGABRT: u8 = 134;
const SIGFPE: u8 = 136;
const SIGKILL: u8 = 137;
const SIGSEGV: u8 = 139;
const SIGXCPU: u8 = 152;

/// What is reported of a guest that returned, left through `proc_exit`, or failed.
pub(super) fn outcome(ended: wasmtime::Result<()>, guest: &Guest, fuel: u64) -> Result<Outcome, Busy> {
    let peak_bytes = guest.limits.peak_bytes();
    let exited = |code: i32| {
        let exit_code = code.to_le_bytes()[0];
        let reason = if exit_code == 0 { Reason::Completed } else { Reason::Error };
        Outcome { exit_code, reason, fuel, peak_bytes, message: None, trace: None }
    };
    // A guest that exits unwinds with an error, too: its code comes first.
    let error = match (guest.exit, ended) {
        (Some(code), _) => return Ok(exited(code)),
        (None, Ok(())) => return Ok(exited(0)),
        (None, Err(error)) => error,
    };
    if error.is::<PoolConcurrencyLimitError>() {
        return Err(Busy);
    }
    let (exit_code, reason, message) = failure(&error);
    Ok(Outcome { exit_code, reason, fuel, peak_bytes, message: Some(message.into()), trace: trace(&error) })
}

fn failure(error: &Error) -> (u8, Reason, String) {
    if let Some(over) = error.downcast_ref::<OverLimit>() {
        return (SIGKILL, Reason::OomKilled, over.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => {
            let (code, reason) = signal(*trap);
            (code, reason, trap_text(*trap))
        }
        None => (SIGABRT, Reason::Error, format!("a host function failed: {}", error.root_cause())),
    }
}

fn signal(trap: Trap) -> (u8, Reason) {
    let code = match trap {
        Trap::OutOfFuel => return (SIGXCPU, Reason::FuelExhausted),
        Trap::IntegerDivisionByZero | Trap::IntegerOverflow | Trap::BadConversionToInteger => SIGFPE,
        Trap::MemoryOutOfBounds
        | Trap::StackOverflow
        | Trap::HeapMisaligned
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::NullReference
        | Trap::ArrayOutOfBounds => SIGSEGV,
        _ => SIGABRT,
    };
    (code, Reason::Error)
}

fn trap_text(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => "wasm trap: unreachable".to_owned(),
        Trap::OutOfFuel => "fuel spent".to_owned(),
        other => other.to_string(),
    }
}

fn trace(error: &Error) -> Option<Trace> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let frame = |frame: &wasmtime::FrameInfo| {
        (frame.func_index(), frame.module_offset().and_then(|offset| u32::try_from(offset).ok()))
    };
    (!frames.is_empty()).then(|| Trace(frames.iter().map(frame).collect()))
}
