//! The integration tests: one binary, so that wasmtime is linked once.

mod cli;
mod crash;
mod kubectl;
mod replay;
mod server;
mod sigkill;
mod stops;
mod tidy;
