//! The control thread: takes what arrived, steps, hands out the effects.

use super::commit::Mailbox;
use super::{Handle, now};
use crate::control::{Effects, State};
use crate::exec::Workers;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Starts the thread. It ends when the inbox is closed.
pub(super) fn spawn(
    mut state: State,
    handle: Handle,
    commits: Arc<Mailbox>,
    workers: Arc<Workers>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        let _abort = AbortOnPanic("control");
        let (mut inputs, mut fx) = (Vec::new(), Effects::default());
        loop {
            state.step(now(), &mut inputs, &mut fx);
            hand_out(&mut fx, &commits, &workers);
            if !handle.inbox().take(now(), state.next_deadline(), &mut inputs) {
                break;
            }
        }
        commits.close();
    })
}

/// Starting does not wait for the disk; showing does.
fn hand_out(fx: &mut Effects, commits: &Mailbox, workers: &Workers) {
    for (worker, launches) in fx.launches.drain(..) {
        workers.launch(worker, launches);
    }
    for (worker, stops) in fx.stops.drain(..) {
        workers.stop(worker, stops);
    }
    if !fx.is_empty() {
        commits.add(fx);
    }
}

/// Ends the process when its thread panics: the log is the recovery, never half a write.
#[derive(Debug)]
pub(super) struct AbortOnPanic(pub(super) &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(thread = self.0, "panic: the engine ends here and recovers at its next start");
            std::process::abort();
        }
    }
}
