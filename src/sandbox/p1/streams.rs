//! The standard streams: an empty stdin, and output on its way to the pod's log.

use super::{CALL_BYTES_MAX, Done, Errno, Failure, Fault, Lean, Memory, add, parts};
use crate::exec::{PodLog, Stream};
use crate::sandbox::pod::Guest;
use crate::sandbox::stdio::WRITE_BYTES_MAX;
use wasmtime::Caller;

/// A buffer in a guest's list: address and length.
const BUFFER_BYTES: u32 = 8;

const RIGHT_FD_READ: u64 = 1 << 1;
const RIGHT_FD_WRITE: u64 = 1 << 6;

/// No stream is a terminal.
const FILETYPE_UNKNOWN: u8 = 0;

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    In,
    Out(Stream),
}

impl Lean {
    /// The stream that `fd` is.
    pub(super) fn stream(&self, fd: u32) -> Result<Standard, Errno> {
        match self.is_closed.get(fd as usize) {
            Some(false) => Ok(match fd {
                0 => Standard::In,
                1 => Standard::Out(Stream::Stdout),
                _ => Standard::Out(Stream::Stderr),
            }),
            Some(true) | None => Err(Errno::BADF),
        }
    }

    /// Whether the worker should have a turn before more is written.
    pub(super) fn is_log_full(&self) -> bool {
        self.log.as_ref().is_some_and(PodLog::is_full)
    }
}

pub(super) fn close(lean: &mut Lean, _: &mut Memory<'_>, fd: u32) -> Done {
    lean.stream(fd)?;
    lean.is_closed[fd as usize] = true;
    Ok(())
}

pub(super) fn fdstat_get(lean: &mut Lean, memory: &mut Memory<'_>, fd: u32, stat: u32) -> Done {
    let rights = match lean.stream(fd)? {
        Standard::In => RIGHT_FD_READ,
        Standard::Out(_) => RIGHT_FD_WRITE,
    };
    memory.write(stat, FILETYPE_UNKNOWN.to_le_bytes())?;
    memory.write(add(stat, 2)?, 0_u16.to_le_bytes())?;
    memory.write(add(stat, 8)?, rights.to_le_bytes())?;
    Ok(memory.write(add(stat, 16)?, rights.to_le_bytes())?)
}

/// Only files have flags, and there are none.
pub(super) fn fdstat_set_flags(_: &mut Lean, _: &mut Memory<'_>, _fd: u32, flags: i32) -> Done {
    match u16::try_from(flags).map_err(Fault::Integer)? {
        0..=0x1f => Err(Errno::BADF.into()),
        _ => Err(Fault::Flag("Fdflags").into()),
    }
}

pub(super) fn filestat_get(lean: &mut Lean, memory: &mut Memory<'_>, fd: u32, stat: u32) -> Done {
    lean.stream(fd)?;
    let zero = 0_u64.to_le_bytes();
    memory.write(stat, zero)?;
    memory.write(add(stat, 8)?, zero)?;
    memory.write(add(stat, 16)?, FILETYPE_UNKNOWN.to_le_bytes())?;
    for field in [24, 32, 40, 48, 56] {
        memory.write(add(stat, field)?, zero)?;
    }
    Ok(())
}

/// There are no preopened directories.
pub(super) fn prestat_get(_: &mut Lean, _: &mut Memory<'_>, _fd: u32, _stat: u32) -> Done {
    Err(Errno::BADF.into())
}

pub(super) fn prestat_dir_name(lean: &mut Lean, _: &mut Memory<'_>, fd: u32, _path: u32, _path_len: u32) -> Done {
    lean.stream(fd)?;
    Err(Errno::NOTDIR.into())
}

pub(super) fn seek(lean: &mut Lean, _: &mut Memory<'_>, fd: u32, _offset: i64, whence: i32, _position: u32) -> Done {
    if u8::try_from(whence).map_err(Fault::Integer)? > 2 {
        return Err(Fault::Enum("Whence").into());
    }
    lean.stream(fd)?;
    Err(Errno::SPIPE.into())
}

pub(super) fn tell(lean: &mut Lean, _: &mut Memory<'_>, fd: u32, _position: u32) -> Done {
    lean.stream(fd)?;
    Err(Errno::SPIPE.into())
}

/// The first buffer of a list that is not empty, as wasmtime-wasi takes one buffer a call; an empty one when there is
/// none.
fn first_buffer(memory: &Memory<'_>, buffers: u32, len: u32) -> Result<(u32, u32), Failure> {
    let list_bytes = u64::from(len) * u64::from(BUFFER_BYTES);
    let bytes_max = CALL_BYTES_MAX.checked_sub(list_bytes).ok_or(Errno::NOMEM)?;
    for number in 0..len {
        let offset = number.checked_mul(BUFFER_BYTES).ok_or(Fault::Overflow)?;
        let at = add(buffers, offset)?;
        let address = memory.read_u32(at)?;
        let bytes = memory.read_u32(add(at, 4)?)?;
        if u64::from(bytes) > bytes_max {
            return Err(Errno::NOMEM.into());
        }
        if bytes > 0 {
            return Ok((address, bytes));
        }
    }
    Ok((0, 0))
}

/// stdin is at its end.
pub(super) fn read(lean: &mut Lean, memory: &mut Memory<'_>, fd: u32, buffers: u32, len: u32, read: u32) -> Done {
    first_buffer(memory, buffers, len)?;
    match lean.stream(fd)? {
        Standard::In => Ok(memory.write(read, 0_u32.to_le_bytes())?),
        Standard::Out(_) => Err(Errno::BADF.into()),
    }
}

/// Copies straight from the guest's memory into the log. Whenever that is full the worker has a turn first, so that
/// nothing of a long write is lost before it is flushed.
pub(super) async fn write(caller: &mut Caller<'_, Guest>, fd: u32, buffers: u32, len: u32, written: u32) -> Done {
    let (memory, lean) = parts(caller)?;
    let (address, bytes) = first_buffer(&memory, buffers, len)?;
    let Standard::Out(stream) = lean.stream(fd)? else { return Err(Errno::BADF.into()) };
    let mut left = memory.range(address, bytes)?;
    while !left.is_empty() {
        if parts(caller)?.1.is_log_full() {
            tokio::task::yield_now().await;
        }
        let (memory, lean) = parts(caller)?;
        let end = left.end.min(left.start + WRITE_BYTES_MAX);
        if let Some(log) = &lean.log {
            log.write(stream, &memory.0[left.start..end]);
        }
        left.start = end;
    }
    let (mut memory, _) = parts(caller)?;
    Ok(memory.write(written, bytes.to_le_bytes())?)
}
