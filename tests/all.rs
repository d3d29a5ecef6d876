//! The integration tests: one binary, so that wasmtime is linked once.

mod cli;
mod crash;
mod replay;
mod stops;
mod tidy;
