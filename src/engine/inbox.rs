//! The control thread's bounded inbox.

use crate::base::Time;
use crate::control::Input;
use crate::model::Report;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Client writes that wait, at the most; one more is refused and the client told to come again.
pub(super) const WRITES_MAX: usize = 4096;
/// Reports that wait, at the most; a worker with one more waits itself.
const REPORTS_MAX: usize = 256;

/// So many writes are worth a waking, although more are coming: the threads work side by side.
const RING_EVERY: usize = 16;

/// The longest the control thread sleeps without a deadline.
const NAP: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    inputs: Vec<Input>,
    writes: usize,
    reports: usize,
    closed: bool,
}

/// Why an input was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Full,
    Closed,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client's write. Nobody hears of it before [`Inbox::ring`], so that several cost one waking, unless it is one of many.
    pub(super) fn put(&self, input: Input) -> Result<(), NotTaken> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(NotTaken::Closed);
        }
        if waiting.writes >= WRITES_MAX {
            return Err(NotTaken::Full);
        }
        waiting.writes += 1;
        waiting.inputs.push(input);
        if waiting.writes.is_multiple_of(RING_EVERY) {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Tells the control thread of what was put.
    pub(super) fn ring(&self) {
        if !self.lock().inputs.is_empty() {
            self.filled.notify_one();
        }
    }

    /// Adds a worker's report; waits while too many are here. Once closed, reports are dropped: the pods they speak of
    /// end at the next start.
    pub(super) fn report(&self, report: Report) {
        let waiting = self.lock();
        let full = |waiting: &mut Waiting| waiting.reports >= REPORTS_MAX && !waiting.closed;
        let mut waiting = self.drained.wait_while(waiting, full).unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return;
        }
        waiting.reports += 1;
        waiting.inputs.push(Input::Report(report));
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for inputs, for `deadline` or for the end; false at the end.
    pub(super) fn take(&self, now: Time, deadline: Option<Time>, into: &mut Vec<Input>) -> bool {
        let nap = deadline.map_or(NAP, |at| Duration::from_millis(at.since_ms(now)).min(NAP));
        let idle = |waiting: &mut Waiting| waiting.inputs.is_empty() && !waiting.closed;
        let (mut waiting, _) =
            self.filled.wait_timeout_while(self.lock(), nap, idle).unwrap_or_else(PoisonError::into_inner);
        into.append(&mut waiting.inputs);
        (waiting.writes, waiting.reports) = (0, 0);
        let open = !waiting.closed;
        drop(waiting);
        self.drained.notify_all();
        open
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::NewDoc;
    use crate::model::Kind;

    fn write(ticket: u64) -> Input {
        Input::CreateDoc(ticket, NewDoc { kind: Kind::Namespace, name: "a".into(), doc: "{}".into() })
    }

    #[test]
    fn one_write_too_many_is_refused_and_room_comes_back() {
        let inbox = Inbox::default();
        (0..WRITES_MAX as u64).for_each(|ticket| assert_eq!(inbox.put(write(ticket)), Ok(())));
        assert_eq!(inbox.put(write(0)), Err(NotTaken::Full));
        let mut inputs = Vec::new();
        assert!(inbox.take(Time(0), Some(Time(0)), &mut inputs));
        assert_eq!(inputs.len(), WRITES_MAX);
        assert_eq!(inbox.put(write(0)), Ok(()));
    }

    #[test]
    fn a_worker_waits_while_too_many_reports_are_here() {
        let inbox = Inbox::default();
        (0..REPORTS_MAX).for_each(|_| inbox.report(Report::default()));
        std::thread::scope(|scope| {
            let late = scope.spawn(|| inbox.report(Report::default()));
            let mut taken = Vec::new();
            while taken.len() <= REPORTS_MAX {
                inbox.take(Time(0), None, &mut taken);
            }
            late.join().expect("the report was taken");
        });
    }

    #[test]
    fn a_closed_inbox_takes_nothing_and_holds_nobody() {
        let inbox = Inbox::default();
        (0..REPORTS_MAX).for_each(|_| inbox.report(Report::default()));
        inbox.close();
        inbox.report(Report::default());
        assert_eq!(inbox.put(write(0)), Err(NotTaken::Closed));
        assert!(!inbox.take(Time(0), None, &mut Vec::new()));
    }
}
