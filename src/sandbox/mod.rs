//! Runs WebAssembly guests: engine settings, compiled code, limits, WASI.
//!
//! The only user of wasmtime; implements [`exec::Runtime`](crate::exec::Runtime). Knows pods as [`PodSetup`], nothing of
//! Jobs. Start with `runtime`, then `pod`. Invariant: a guest sees what its `PodSetup` says and nothing else, and no
//! instance is ever used for two pods.
//!
//! [`PodSetup`]: crate::exec::PodSetup

mod arena;
mod cache;
mod code;
mod engine;
mod floor;
mod limits;
mod mapped;
mod metered;
mod outcome;
mod p1;
mod pod;
mod rule;
mod runtime;
mod stdio;
mod symbolise;
#[cfg(test)]
mod tests;
mod variants;
mod wasi;

pub use code::Code;
pub use engine::{SLOTS_MAX_L, SLOTS_MAX_S};
pub use floor::{FloorError, FloorResult};
pub use runtime::{Sandbox, SandboxConfig, SandboxError};
pub use symbolise::{DWARF_BYTES_MAX, EXPLAIN_BYTES_MAX};
