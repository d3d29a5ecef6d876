//! The one unsafe step outside the arena: running machine code from a file.

#![expect(unsafe_code, reason = "wasmtime cannot verify compiled code, so mapping it is unsafe by contract")]

use std::fs::File;
use wasmtime::{Engine, Module};

/// Maps compiled code. `file` must come from [`Cache::open`](super::cache::Cache), which answers for where it lies.
///
/// # Errors
/// Not the output of this engine's compiler and settings, or cut short.
pub(super) fn load(engine: &Engine, file: File) -> wasmtime::Result<Module> {
    // SAFETY: the file was written by this program from `Module::serialize`: it is ours, lies in a directory that is
    // ours, and neither can be written by anybody else (checked on this open file and at the start). It was complete on
    // disk before it got its name, and is never changed afterwards, only replaced by rename.
    unsafe { Module::deserialize_open_file(engine, file) }
}
