//! The durable mirror, the watch ring, and rendering to JSON: what readers see.
//!
//! Knows how facts change what is shown, not how they were decided. Start with [`View`]: the commit thread calls
//! [`View::apply`] with each batch once it is durable; everybody else reads. Invariant: the mirror after a batch is a
//! function of the facts and documents so far, so that a [`View::restore`] shows what was shown before.

mod doc;
mod events;
mod fold;
mod merge;
mod mirror;
mod objects;
mod past;
mod pods;
mod read;
mod render;
mod ring;
mod walk;
mod watch;

#[cfg(test)]
mod tests;

pub use doc::{JobDoc, JobKey, PlainDoc};
pub use fold::Folding;
pub use objects::{EventObject, JobObject, Object, PlainObject, PodObject};
pub use read::{JobSnapshot, PodList, View};
pub use render::{INDEX_KEY, NODE_NAME, TRACKING_FINALIZER};
pub use ring::RING_BYTES_MAX;
pub use walk::PodPlace;
pub use watch::{Change, ChangeKind, Cursor, Expired, Filter, JobTest, Topic};
