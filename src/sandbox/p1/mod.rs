//! WASI preview 1 for modules that need little of it: arguments, environment, clocks, randomness, standard streams, sleep.
//!
//! That is what most compute guests import, and wasmtime-wasi's context costs a short pod more than the rest of its
//! store. Knows no files and no sockets: a module that imports anything else is linked with wasmtime-wasi. Invariant: a
//! guest cannot tell which of the two it runs on (`tests/hosts.rs` compares them call by call). Start with [`link`].

mod clock;
mod memory;
mod poll;
mod random;
mod streams;

use super::pod::Guest;
use crate::exec::{PodLog, Texts};
use crate::modules::WASI_MODULE;
use clock::Clocks;
use memory::{Fault, Memory, add};
use wasmtime::{Caller, Error, Extern, Linker, Module};

/// What this host offers of [`WASI_MODULE`]; `proc_exit` is defined beside it, for both hosts.
const FUNCTIONS: [&str; 20] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_filestat_get",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_tell",
    "fd_write",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// What a call may have the host look at: lists of buffers and of subscriptions, and each buffer (wasmtime-wasi: hostcall
/// fuel). More is `nomem`.
const CALL_BYTES_MAX: u64 = 128 << 20;

/// A guest's state here.
#[derive(Debug)]
pub(super) struct Lean {
    args: Texts,
    env: Texts,
    log: Option<PodLog>,
    clocks: Clocks,
    /// Of the three standard streams.
    is_closed: [bool; 3],
    /// What the guest exports as `memory`, once looked up.
    memory: Option<wasmtime::Memory>,
}

impl Lean {
    /// Without a log, output goes nowhere. To be called inside the context of a tokio runtime.
    pub(super) fn new(args: Texts, env: Texts, log: Option<PodLog>) -> Self {
        Self { args, env, log, clocks: Clocks::start(), is_closed: [false; 3], memory: None }
    }
}

/// An error of WASI, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Errno(u16);

impl Errno {
    const BADF: Self = Self(8);
    const INVAL: Self = Self(28);
    const NOMEM: Self = Self(48);
    const NOTDIR: Self = Self(54);
    const OVERFLOW: Self = Self(61);
    const SPIPE: Self = Self(70);
}

/// Why a call does not succeed.
#[derive(Debug)]
enum Failure {
    /// The guest is told.
    Errno(Errno),
    /// The guest ends.
    Fault(Fault),
    /// The guest ends, for the host's sake.
    Host(Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Done = Result<(), Failure>;

/// What a call returns to its guest.
fn answer(done: Done) -> wasmtime::Result<i32> {
    match done {
        Ok(()) => Ok(0),
        Err(Failure::Errno(Errno(number))) => Ok(i32::from(number)),
        Err(Failure::Fault(fault)) => Err(fault.into()),
        Err(Failure::Host(error)) => Err(error),
    }
}

/// The caller's memory and state.
fn parts<'a>(caller: &'a mut Caller<'_, Guest>) -> Result<(Memory<'a>, &'a mut Lean), Failure> {
    let memory = match caller.data_mut().lean().memory {
        Some(memory) => memory,
        None => {
            let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                return Err(Failure::Host(Error::msg("missing required memory export")));
            };
            *caller.data_mut().lean().memory.insert(memory)
        }
    };
    let (bytes, guest) = memory.data_and_store_mut(caller);
    Ok((Memory(bytes), guest.lean()))
}

/// Whether this host has everything that a module imports.
pub(super) fn suffices(module: &Module) -> bool {
    module.imports().all(|import| import.module() == WASI_MODULE && FUNCTIONS.contains(&import.name()))
}

/// Defines the functions whose body is a plain function of state, memory and arguments.
macro_rules! define {
    ($linker:ident, $($name:ident($($arg:ident: $ty:ty),*) = $body:path;)*) => {
        $($linker.func_wrap(
            WASI_MODULE,
            stringify!($name),
            |mut caller: Caller<'_, Guest>, $($arg: $ty),*| -> wasmtime::Result<i32> {
                answer(parts(&mut caller).and_then(|(mut memory, lean)| $body(lean, &mut memory, $($arg),*)))
            },
        )?;)*
    };
}

/// As [`define`], for bodies that may wait.
macro_rules! define_async {
    ($linker:ident, $($name:ident($($arg:ident: $ty:ty),*) = $body:path;)*) => {
        $($linker.func_wrap_async(
            WASI_MODULE,
            stringify!($name),
            |mut caller: Caller<'_, Guest>, ($($arg,)*): ($($ty,)*)| {
                Box::new(async move { answer($body(&mut caller, $($arg),*).await) })
            },
        )?;)*
    };
}

/// Defines everything but `proc_exit`.
///
/// # Errors
/// wasmtime refuses a definition, which is a defect of this build.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    define!(linker,
        args_get(argv: u32, buffer: u32) = args_get;
        args_sizes_get(len: u32, bytes: u32) = args_sizes_get;
        environ_get(environ: u32, buffer: u32) = environ_get;
        environ_sizes_get(len: u32, bytes: u32) = environ_sizes_get;
        clock_res_get(id: i32, resolution: u32) = clock::res_get;
        clock_time_get(id: i32, precision: u64, time: u32) = clock::time_get;
        fd_close(fd: u32) = streams::close;
        fd_fdstat_get(fd: u32, stat: u32) = streams::fdstat_get;
        fd_fdstat_set_flags(fd: u32, flags: i32) = streams::fdstat_set_flags;
        fd_filestat_get(fd: u32, stat: u32) = streams::filestat_get;
        fd_prestat_dir_name(fd: u32, path: u32, path_len: u32) = streams::prestat_dir_name;
        fd_prestat_get(fd: u32, stat: u32) = streams::prestat_get;
        fd_read(fd: u32, buffers: u32, len: u32, read: u32) = streams::read;
        fd_seek(fd: u32, offset: i64, whence: i32, position: u32) = streams::seek;
        fd_tell(fd: u32, position: u32) = streams::tell;
        sched_yield() = sched_yield;
    );
    define_async!(linker,
        fd_write(fd: u32, buffers: u32, len: u32, written: u32) = streams::write;
        poll_oneoff(subscriptions: u32, events: u32, len: u32, count: u32) = poll::oneoff;
        random_get(buffer: u32, len: u32) = random::get;
    );
    Ok(())
}

fn args_get(lean: &mut Lean, memory: &mut Memory<'_>, argv: u32, buffer: u32) -> Done {
    put_texts(memory, &lean.args, argv, buffer, |text| {
        let (text, nul) = text.split_at(text.len() - 1);
        [text, nul]
    })
}

fn args_sizes_get(lean: &mut Lean, memory: &mut Memory<'_>, len: u32, bytes: u32) -> Done {
    put_sizes(memory, &lean.args, len, bytes)
}

fn environ_get(lean: &mut Lean, memory: &mut Memory<'_>, environ: u32, buffer: u32) -> Done {
    put_texts(memory, &lean.env, environ, buffer, |text| {
        let (text, nul) = text.split_at(text.len() - 1);
        let (name, value) = text.split_at(text.iter().position(|&byte| byte == b'=').unwrap_or(text.len()));
        let (equals, value) = value.split_at(value.len().min(1));
        [name, equals, value, nul]
    })
}

fn environ_sizes_get(lean: &mut Lean, memory: &mut Memory<'_>, len: u32, bytes: u32) -> Done {
    put_sizes(memory, &lean.env, len, bytes)
}

/// wasmtime-wasi does nothing either: every guest yields at epoch ticks.
fn sched_yield(_: &mut Lean, _: &mut Memory<'_>) -> Done {
    Ok(())
}

fn put_sizes(memory: &mut Memory<'_>, texts: &Texts, len: u32, bytes: u32) -> Done {
    let guest_bytes = u32::try_from(texts.guest_bytes()).map_err(|_| Errno::OVERFLOW)?;
    let count = u32::try_from(texts.len()).map_err(|_| Errno::OVERFLOW)?;
    // In wasmtime-wasi's order: both may be the same place.
    memory.write(bytes, guest_bytes.to_le_bytes())?;
    Ok(memory.write(len, count.to_le_bytes())?)
}

/// Writes a pointer and a text in turn, each text in the pieces of wasmtime-wasi: where lists overlap or do not fit, what is
/// seen of them is the same.
fn put_texts<const N: usize>(
    memory: &mut Memory<'_>,
    texts: &Texts,
    mut pointers: u32,
    mut buffer: u32,
    pieces: fn(&[u8]) -> [&[u8]; N],
) -> Done {
    for text in texts.with_nuls() {
        memory.write(pointers, buffer.to_le_bytes())?;
        pointers = add(pointers, 4)?;
        for piece in pieces(text) {
            buffer = memory.put(buffer, piece)?;
        }
    }
    Ok(())
}
