//! The clocks of a guest: the time of day, and the time since its start.

use super::{Done, Errno, Fault, Lean, Memory};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// What Linux says of both clocks wherever it has high-resolution timers, nanoseconds.
const RESOLUTION_NS: u64 = 1;

/// A clock that a guest may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Realtime,
    Monotonic,
    /// CPU time of the process or of the thread: known and not offered.
    Cpu,
}

impl Clock {
    pub(super) fn of(id: u32) -> Result<Self, Fault> {
        match id {
            0 => Ok(Self::Realtime),
            1 => Ok(Self::Monotonic),
            2 | 3 => Ok(Self::Cpu),
            _ => Err(Fault::Enum("Clockid")),
        }
    }

    fn of_argument(id: i32) -> Result<Self, Fault> {
        Self::of(u32::try_from(id).map_err(Fault::Integer)?)
    }
}

/// Where a guest's monotonic clock began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    start: Instant,
}

impl Clocks {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn monotonic_ns(self, now: Instant) -> u64 {
        nanoseconds(now.duration_since(self.start))
    }
}

/// Nanoseconds since 1970.
pub(super) fn realtime_ns() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the guest asks for the time of day itself")]
    let now = SystemTime::now();
    nanoseconds(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// 584 years fit.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn res_get(_: &mut Lean, memory: &mut Memory<'_>, id: i32, resolution: u32) -> Done {
    match Clock::of_argument(id)? {
        Clock::Realtime | Clock::Monotonic => Ok(memory.write(resolution, RESOLUTION_NS.to_le_bytes())?),
        Clock::Cpu => Err(Errno::BADF.into()),
    }
}

pub(super) fn time_get(lean: &mut Lean, memory: &mut Memory<'_>, id: i32, _precision: u64, time: u32) -> Done {
    let now = match Clock::of_argument(id)? {
        Clock::Realtime => realtime_ns(),
        Clock::Monotonic => lean.clocks.monotonic_ns(Instant::now()),
        Clock::Cpu => return Err(Errno::BADF.into()),
    };
    Ok(memory.write(time, now.to_le_bytes())?)
}
