//! The commit thread: durable first, then visible, then answered.
//!
//! Group commit has no timer: while one commit runs, the next batch gathers in the [`Mailbox`].

use super::Handle;
use crate::control::{Effects, Reply, Ticket};
use crate::model::Batch;
use crate::store::{Store, StoreError};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Pod facts that wait for the disk, at the most; the control thread waits beyond that.
const GATHERED_PODS_MAX: u64 = 1 << 20;

/// Facts, and pods that they are about, between two folds.
const FOLD_EVERY: u64 = 200_000;

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

    /// Takes everything; `None` once closed and empty.
    fn take(&self) -> Option<Gathered> {
        let idle = |gathered: &mut Gathered| gathered.is_empty() && !gathered.closed;
        let mut gathered = self.filled.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
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
pub(super) fn spawn(mut store: Box<dyn Store>, mailbox: Arc<Mailbox>, handle: Handle) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("commit".to_owned()).spawn(move || {
        let _abort = super::control::AbortOnPanic("commit");
        while let Some(gathered) = mailbox.take() {
            if let Err(error) = commit(store.as_mut(), &handle, gathered) {
                handle.fail(&error.to_string());
                mailbox.close();
                return;
            }
        }
    })
}

fn commit(store: &mut dyn Store, handle: &Handle, gathered: Gathered) -> Result<(), StoreError> {
    let view = handle.view();
    if !gathered.batch.is_empty() {
        store.commit(&gathered.batch)?;
        view.apply(&gathered.batch);
    }
    handle.logs().settle(&gathered.settled);
    handle.answer(gathered.replies);
    if view.changes_since_fold() >= FOLD_EVERY {
        store.fold(&view.fold())?;
        view.folded();
    }
    Ok(())
}
