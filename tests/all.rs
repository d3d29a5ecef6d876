//! The integration tests: one binary, so that wasmtime is linked once.

mod replay;
mod cli;
mod crash;
mod tidy;
