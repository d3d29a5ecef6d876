//! The Kubernetes API: what clients send is decoded, defaulted, validated, and answered from the mirror.
//!
//! Owns paths and verbs, bodies, the wording of refusals and the rules of admission; must not know threads or wasm. Start
//! with `router.rs`, then `job/mod.rs` (what happens to a Job that is sent), then `status.rs`. Invariant: outside input
//! ends here as a typed, validated value or as a [`Status`], never as a panic.

mod about;
mod accept;
#[cfg(test)]
mod client;
pub mod decode;
mod discovery;
mod field;
pub mod job;
mod list;
mod local;
mod log;
mod modules;
mod namespace;
mod nodes;
mod openapi;
mod patience;
mod plain;
mod pods;
mod priority_class;
mod resources;
mod router;
pub mod serve;
mod status;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod warnings;
mod write;

pub use decode::{Document, read_documents};
pub use field::{ERRORS_MAX, FieldError, FieldErrorKind, FieldErrors};
pub use local::{Answer, Api, path_segment};
pub use status::{
    Cause, Details, JOBS, MODULES, NAMESPACES, NODES, PODS, PRIORITY_CLASSES, Resource, Status, StatusReason,
};
pub use warnings::warnings_of;
