//! Coracle runs Kubernetes Jobs whose pods are WebAssembly modules.
//!
//! `docs/ARCHITECTURE.md` is the map of these rooms and says who may import whom; `tests/tidy.rs` holds them to it.

pub mod api;
pub mod base;
pub mod cli;
pub mod control;
pub mod engine;
pub mod exec;
pub mod model;
pub mod modules;
pub mod sandbox;
pub mod sim;
pub mod store;
pub mod view;
