//! A module on its way in: written and hashed piece by piece, seen by nobody.
//!
//! Knows nothing of names. Invariant: an upload that is dropped leaves no file; one whose process was killed leaves one that
//! the next start removes.

use super::digest::Digest;
use super::library::{MODULE_BYTES_MAX, ModulesError, UNFINISHED};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::NamedTempFile;

/// Uploads under way at once, at the most, from their first byte until they are kept or refused.
pub const UPLOADS_MAX: usize = 4;

/// The places of uploads, shared with every one that is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<AtomicUsize>);

impl Places {
    fn take(&self) -> Option<Place> {
        let take = |taken: usize| (taken < UPLOADS_MAX).then_some(taken + 1);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Place(self.clone()))
    }
}

#[derive(Debug)]
struct Place(Places);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Sink {
    Memory(Vec<u8>),
    File(NamedTempFile),
}

/// Bytes that are still coming.
#[derive(Debug)]
pub struct Upload {
    sink: Sink,
    hasher: Sha256,
    bytes: usize,
    place: Place,
}

/// All bytes of an upload, not kept yet.
#[derive(Debug)]
pub struct Staged {
    sink: Sink,
    digest: Digest,
    bytes: usize,
    _place: Place,
}

impl Upload {
    pub(super) fn begin(dir: Option<&Path>, places: &Places) -> Result<Self, ModulesError> {
        let place = places.take().ok_or(ModulesError::TooManyUploads)?;
        let sink = match dir {
            None => Sink::Memory(Vec::new()),
            Some(dir) => {
                let made = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir);
                Sink::File(made.map_err(|source| ModulesError::Write { path: dir.to_owned(), source })?)
            }
        };
        Ok(Self { sink, hasher: Sha256::new(), bytes: 0, place })
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// More than [`MODULE_BYTES_MAX`] bytes in all, or a disk that refuses them.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), ModulesError> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > MODULE_BYTES_MAX {
            return Err(ModulesError::TooLarge { bytes: self.bytes });
        }
        self.hasher.update(piece);
        match &mut self.sink {
            Sink::Memory(bytes) => bytes.extend_from_slice(piece),
            Sink::File(file) => {
                file.write_all(piece).map_err(|source| ModulesError::Write { path: file.path().to_owned(), source })?
            }
        }
        Ok(())
    }

    /// Ends the upload.
    #[must_use]
    pub fn finish(self) -> Staged {
        let Self { sink, hasher, bytes, place } = self;
        Staged { sink, digest: Digest(hasher.finalize().into()), bytes, _place: place }
    }
}

impl Staged {
    /// The SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes as u64
    }

    /// The bytes.
    ///
    /// # Errors
    /// The disk does not give them back.
    pub fn bytes(&self) -> Result<Arc<[u8]>, ModulesError> {
        match &self.sink {
            Sink::Memory(bytes) => Ok(bytes.as_slice().into()),
            Sink::File(file) => fs::read(file.path())
                .map(Arc::from)
                .map_err(|source| ModulesError::Open { path: file.path().to_owned(), source }),
        }
    }

    pub(super) fn sync(&self) -> Result<(), ModulesError> {
        match &self.sink {
            Sink::Memory(_) => Ok(()),
            Sink::File(file) => {
                file.as_file().sync_all().map_err(|source| ModulesError::Write { path: file.path().to_owned(), source })
            }
        }
    }

    /// Gives the file its name in `dir`; or gives the bytes, if they are in memory.
    pub(super) fn persist(self, dir: Option<&Path>, name: &str) -> Result<Option<Arc<[u8]>>, ModulesError> {
        let (file, dir) = match (self.sink, dir) {
            (Sink::Memory(bytes), _) => return Ok(Some(bytes.into())),
            (Sink::File(file), dir) => (file, dir.expect("only a store with a directory makes files")),
        };
        let path = dir.join(name);
        let persisted = file.persist(&path).map_err(|error| error.error).and_then(|_| File::open(dir)?.sync_all());
        persisted.map(|()| None).map_err(|source| ModulesError::Write { path, source })
    }
}
