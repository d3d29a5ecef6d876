//! The commit thread: durable first, then visible, then answered.
//!
//! Group commit has no timer: while one commit runs, the next batch gathers in the [`Mailbox`]. Folds and the store's own
//! housekeeping go on in between, piece by piece, so that no client waits for a whole one.

use super::Handle;
use crate::control::{Effects, Reply, Ticket};
use crate::model::Batch;
use crate::store::{Store, StoreError};
use crate::view::Folding;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Pod facts that wait for the disk, at the most; the control thread waits beyond that.
const GATHERED_PODS_MAX: u64 = 1 << 20;

/// Facts, and pods that they are about, between two folds.
const FOLD_EVERY: u64 = 200_000;

/// Jobs that changed between two folds, at the most: their records are copied at one moment, in about a millisecond.
const FOLD_EVERY_JOBS: usize = 4096;

/// What waits to be committed.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    gathered: Mutex<Gathered>,
    filled: Condvar,
    taken: Condvar,
}

#[derive(Debug, Default)]
struct Gathered {
    batch: Batch,
    replies: Vec<(Ticket, Reply)>,
    settled: Vec<u64>,
    pods: u64,
    closed: bool,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.replies.is_empty() && self.settled.is_empty()
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a step's facts and replies, which follow those that are here.
    pub(super) fn add(&self, fx: &mut Effects) {
        let full = |gathered: &mut Gathered| gathered.pods >= GATHERED_PODS_MAX && !gathered.closed;
        let mut gathered = self.taken.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        gathered.pods += fx.batch.pods();
        gathered.replies.append(&mut fx.replies);
        gathered.settled.append(&mut fx.settled);
        let next = std::mem::take(&mut fx.batch);
        if gathered.batch.is_empty() {
            gathered.batch = next;
        } else if !next.is_empty() {
            assert_eq!(gathered.batch.next_rv(), next.first_rv, "batches follow one another");
            gathered.batch.facts.extend(next.facts);
            gathered.batch.docs.extend(next.docs);
        }
        drop(gathered);
        self.filled.notify_one();
    }

    /// Takes everything, which is nothing only if it `may_be_empty`; `None` once closed and empty.
    fn take(&self, may_be_empty: bool) -> Option<Gathered> {
        let is_idle = |gathered: &mut Gathered| !may_be_empty && gathered.is_empty() && !gathered.closed;
        let mut gathered = self.filled.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let closed = gathered.closed;
        let taken = std::mem::replace(&mut *gathered, Gathered { closed, ..Gathered::default() });
        drop(gathered);
        self.taken.notify_one();
        (!(taken.closed && taken.is_empty())).then_some(taken)
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.taken.notify_all();
    }
}

/// Starts the thread. It ends when the mailbox is closed and empty, or at the first failure of the store: nothing is
/// acknowledged or started from then on, reads go on.
pub(super) fn spawn(store: Box<dyn Store>, mailbox: Arc<Mailbox>, handle: Handle) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("commit".to_owned()).spawn(move || {
        let _abort = super::control::AbortOnPanic("commit");
        let mut committer = Committer { store, handle, folding: None };
        if let Err(error) = committer.run(&mailbox) {
            committer.handle.fail(&error.to_string());
            mailbox.close();
        }
    })
}

/// The commit thread's own.
struct Committer {
    store: Box<dyn Store>,
    handle: Handle,
    /// The fold that is under way.
    folding: Option<Folding>,
}

impl Committer {
    /// Between two commits at the most one bounded piece of housekeeping is done; the rest while nothing waits.
    fn run(&mut self, mailbox: &Mailbox) -> Result<(), StoreError> {
        let mut has_more = false;
        while let Some(gathered) = mailbox.take(has_more) {
            self.commit(gathered)?;
            has_more = self.tidy()?;
        }
        Ok(())
    }

    fn commit(&mut self, gathered: Gathered) -> Result<(), StoreError> {
        if !gathered.batch.is_empty() {
            self.store.commit(&gathered.batch)?;
            self.handle.view().apply(&gathered.batch);
        }
        self.handle.logs().settle(&gathered.settled);
        self.handle.answer(gathered.replies);
        Ok(())
    }

    /// One piece: of what the store has to do, else of the fold that is under way or due. False when nothing was to be done.
    fn tidy(&mut self) -> Result<bool, StoreError> {
        if self.store.tidy()? {
            return Ok(true);
        }
        let view = self.handle.view();
        if self.folding.is_none()
            && (view.changes_since_fold() >= FOLD_EVERY || view.jobs_since_fold() >= FOLD_EVERY_JOBS)
        {
            self.folding = Some(view.fold());
        }
        let piece = self.folding.as_mut().and_then(Iterator::next);
        match &piece {
            Some(piece) => self.store.fold(piece)?,
            None => self.folding = None,
        }
        Ok(piece.is_some())
    }
}
