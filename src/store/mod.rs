//! Durable batches of facts and documents.
//!
//! Knows how to keep bytes and in which order they come back, not what a fact means. [`Store`] is the contract; SQLite
//! implements it. Invariant: what `commit` returned `Ok` for is there after any crash.

mod folds;
mod rows;
mod sqlite;
#[cfg(test)]
mod tests;

pub use sqlite::{CEILING_BLOCK, Sqlite};

use crate::model::{Batch, CodecError, Fold, Recovered};

/// What must survive. One owner, on one thread.
pub trait Store: Send {
    /// Reads everything back, numbers this boot and makes its number and first version durable. Called once, first.
    ///
    /// # Errors
    /// When the store is of another format, broken, or cannot be written.
    fn recover(&mut self) -> Result<Recovered, StoreError>;

    /// Makes `batch` durable as a whole: synced when it returns.
    ///
    /// # Errors
    /// When it could not; nothing of the batch may be shown then.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Keeps a piece of a fold. The first piece comes before any batch is committed that the fold does not cover; with the last
    /// one, the fold takes the place of the batches that were committed before the first. Not synced: what a crash leaves of
    /// it is all pieces up to one, and at least those before the last commit.
    ///
    /// # Errors
    /// When it could not; the batches are still there then.
    fn fold(&mut self, piece: &Fold) -> Result<(), StoreError>;

    /// Does a bounded piece of what is left to be done after commits and folds; false when there is nothing. Changes nothing
    /// of what [`Store::recover`] will find.
    ///
    /// # Errors
    /// When it could not.
    fn tidy(&mut self) -> Result<bool, StoreError>;
}

/// Why the store does not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is a store of another format.
    #[error("the store has format {found}, this build reads {expected}")]
    Format {
        /// What it has.
        found: i64,
        /// What this build reads.
        expected: i64,
    },
    /// Another process holds it.
    #[error("another process is using the store")]
    Locked,
    /// Bytes that were never written by a store.
    #[error("the store is broken: {0}")]
    Corrupt(String),
    /// Facts that cannot be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// No space left.
    #[error("the disk is full")]
    Full,
    /// Anything else that SQLite says.
    #[error("the store failed: {0}")]
    Sqlite(String),
}
