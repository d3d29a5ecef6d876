//! The Kubernetes API: what clients send is decoded, defaulted and validated here.
//!
//! Owns the bodies, the wording of refusals and the rules of admission; must not know threads or wasm. Start with
//! `job/mod.rs` (what happens to a Job that is sent), then `status.rs`. Invariant: outside input ends here as a typed,
//! validated value or as a [`Status`], never as a panic.

pub mod decode;
mod field;
pub mod job;
mod status;

pub use field::{ERRORS_MAX, FieldError, FieldErrorKind, FieldErrors};
pub use status::{Cause, Details, JOBS, NAMESPACES, PODS, Resource, Status, StatusReason};
