//! The integration tests: one binary, so that wasmtime is linked once.

mod bench;
mod cli;
mod client;
mod crash;
mod hostile;
mod kubectl;
mod replay;
mod serve;
mod served;
mod sigkill;
mod stops;
mod tidy;
