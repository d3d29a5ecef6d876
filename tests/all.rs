//! The integration tests: one binary, so that wasmtime is linked once.

mod cli;
mod crash;
mod hostile;
mod replay;
mod serve;
mod served;
mod stops;
mod tidy;
