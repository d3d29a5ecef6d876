//! Waiting: `poll_oneoff`, which is how a guest sleeps.
//!
//! Holds no list: subscriptions are read once to find out what to wait for, and again to tell what has come. Nothing runs
//! in a guest's memory meanwhile.

use super::clock::{Clock, nanoseconds, realtime_ns};
use super::streams::Standard;
use super::{CALL_BYTES_MAX, Done, Errno, Failure, Fault, Lean, Memory, add, parts};
use crate::sandbox::pod::Guest;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::Caller;

/// A subscription in a guest's memory.
const SUBSCRIPTION_BYTES: u32 = 48;
/// An event in a guest's memory.
const EVENT_BYTES: u32 = 32;
/// What wasmtime-wasi counts for a subscription with its event: as they lie in the host's memory.
const COUNTED_BYTES: u64 = 64;

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

const ABSOLUTE: u16 = 1;

/// What a guest waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// So many nanoseconds after [`Now`].
    Time(u64),
    /// stdin has something or is at its end: always.
    Read,
    /// There is room for output.
    Write,
}

/// When the call began, by each clock: deadlines are counted from here.
#[derive(Clone, Copy, Debug)]
struct Now {
    instant: Instant,
    monotonic_ns: u64,
    realtime_ns: u64,
}

/// What there is to wait for altogether.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    is_read: bool,
    is_write: bool,
    soonest_ns: u64,
}

/// What has come.
#[derive(Clone, Copy, Debug)]
struct Come {
    is_write: bool,
    elapsed_ns: Option<u64>,
}

impl Come {
    fn has(self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Time(ns) => self.elapsed_ns.is_some_and(|elapsed| ns <= elapsed),
            Wanted::Read => true,
            Wanted::Write => self.is_write,
        }
    }
}

/// The lists of a call.
#[derive(Clone, Copy, Debug)]
struct Lists {
    subscriptions: u32,
    events: u32,
    len: u32,
}

impl Lists {
    fn subscription(self, number: u32) -> Result<u32, Fault> {
        let offset = number.checked_mul(SUBSCRIPTION_BYTES).ok_or(Fault::Overflow)?;
        add(self.subscriptions, offset)
    }

    fn event(self, number: u32) -> Result<u32, Fault> {
        let offset = number.checked_mul(EVENT_BYTES).ok_or(Fault::Overflow)?;
        add(self.events, offset)
    }
}

pub(super) async fn oneoff(
    caller: &mut Caller<'_, Guest>,
    subscriptions: u32,
    events: u32,
    len: u32,
    count: u32,
) -> Done {
    if len == 0 {
        return Err(Errno::INVAL.into());
    }
    if u64::from(len) * COUNTED_BYTES > CALL_BYTES_MAX {
        return Err(Errno::NOMEM.into());
    }
    let lists = Lists { subscriptions, events, len };
    let (memory, lean) = parts(caller)?;
    let instant = Instant::now();
    let now = Now { instant, monotonic_ns: lean.clocks.monotonic_ns(instant), realtime_ns: realtime_ns() };
    let awaited = awaited(lean, &memory, lists, now)?;
    let come = wait(awaited, now, lean.is_log_full()).await;
    let (mut memory, lean) = parts(caller)?;
    let events = report(lean, &mut memory, lists, now, come)?;
    Ok(memory.write(count, events.to_le_bytes())?)
}

fn awaited(lean: &Lean, memory: &Memory<'_>, lists: Lists, now: Now) -> Result<Awaited, Failure> {
    let mut awaited = Awaited { is_read: false, is_write: false, soonest_ns: u64::MAX };
    for number in 0..lists.len {
        match Subscription::read(lean, memory, lists.subscription(number)?, now)?.wanted {
            Wanted::Time(ns) => awaited.soonest_ns = awaited.soonest_ns.min(ns),
            Wanted::Read => awaited.is_read = true,
            Wanted::Write => awaited.is_write = true,
        }
    }
    Ok(awaited)
}

/// What is there already comes alone; what only needs the worker's turn comes after one.
async fn wait(awaited: Awaited, now: Now, is_log_full: bool) -> Come {
    let Awaited { is_read, is_write, soonest_ns } = awaited;
    if is_read || (is_write && !is_log_full) {
        return Come { is_write: !is_log_full, elapsed_ns: None };
    }
    if is_write || soonest_ns == 0 {
        tokio::task::yield_now().await;
        return Come { is_write: true, elapsed_ns: Some(0) };
    }
    match now.instant.checked_add(Duration::from_nanos(soonest_ns)) {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
    let elapsed_ns = nanoseconds(now.instant.elapsed()).max(soonest_ns);
    Come { is_write: true, elapsed_ns: Some(elapsed_ns) }
}

/// Writes the events of what has come, in the order of subscriptions, and returns how many there are.
fn report(lean: &Lean, memory: &mut Memory<'_>, lists: Lists, now: Now, come: Come) -> Result<u32, Failure> {
    let mut count = 0;
    for number in 0..lists.len {
        let subscription = Subscription::read(lean, memory, lists.subscription(number)?, now)?;
        if come.has(subscription.wanted) {
            subscription.write_event(memory, lists.event(count)?)?;
            count += 1;
        }
    }
    Ok(count)
}

/// One thing that a guest waits for.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    userdata: u64,
    wanted: Wanted,
}

impl Subscription {
    fn read(lean: &Lean, memory: &Memory<'_>, at: u32, now: Now) -> Result<Self, Failure> {
        let userdata = memory.read_u64(at)?;
        let kind = memory.read_u8(add(at, 8)?)?;
        let is = |fd: u32, is_output: bool| match (lean.stream(fd)?, is_output) {
            (Standard::In, false) | (Standard::Out(_), true) => Ok(()),
            _ => Err(Errno::BADF),
        };
        let wanted = match kind {
            CLOCK => Wanted::Time(Self::read_clock(memory, add(at, 16)?, now)?),
            FD_READ => {
                is(memory.read_u32(add(at, 16)?)?, false)?;
                Wanted::Read
            }
            FD_WRITE => {
                is(memory.read_u32(add(at, 16)?)?, true)?;
                Wanted::Write
            }
            _ => return Err(Errno::INVAL.into()),
        };
        Ok(Self { userdata, wanted })
    }

    /// How long after `now` it is due, nanoseconds.
    fn read_clock(memory: &Memory<'_>, at: u32, now: Now) -> Result<u64, Failure> {
        let clock = Clock::of(memory.read_u32(at)?).map_err(|_| Errno::INVAL)?;
        let timeout_ns = memory.read_u64(add(at, 8)?)?;
        let _precision_ns = memory.read_u64(add(at, 16)?)?;
        let is_absolute = match memory.read_u16(add(at, 24)?)? {
            0 => false,
            ABSOLUTE => true,
            _ => return Err(Errno::INVAL.into()),
        };
        let from_ns = match clock {
            Clock::Cpu => return Err(Errno::INVAL.into()),
            Clock::Monotonic | Clock::Realtime if !is_absolute => 0,
            Clock::Monotonic => now.monotonic_ns,
            Clock::Realtime => now.realtime_ns,
        };
        Ok(timeout_ns.saturating_sub(from_ns))
    }

    fn write_event(self, memory: &mut Memory<'_>, at: u32) -> Result<(), Fault> {
        let (kind, bytes) = match self.wanted {
            Wanted::Time(_) => (CLOCK, 0),
            // wasmtime-wasi says 1 for as many as there are.
            Wanted::Read => (FD_READ, 1),
            Wanted::Write => (FD_WRITE, 1_u64),
        };
        memory.write(at, self.userdata.to_le_bytes())?;
        memory.write(add(at, 8)?, 0_u16.to_le_bytes())?;
        memory.write(add(at, 10)?, kind.to_le_bytes())?;
        memory.write(add(at, 16)?, bytes.to_le_bytes())?;
        memory.write(add(at, 24)?, 0_u16.to_le_bytes())
    }
}
