//! Ids, time, seeded randomness, quantities and index sets.
//!
//! The bottom of the house: plain values that every room may use. Nothing here performs IO, reads a clock or rolls
//! dice of its own; start with `ids`.

mod ids;
mod indexes;
mod names;
mod quantity;
mod rng;
mod time;

pub use ids::{JobId, NO_INDEX, Uid};
pub use indexes::{IndexSet, IndexesError};
pub use names::{NAMES_PER_PREFIX, PREFIX_MAX, PodNames, SUFFIX_LEN, UidKey, generated_name, join_prefix};
pub use quantity::{Quantity, QuantityError};
pub use rng::{Rng, mix};
pub use time::Time;
