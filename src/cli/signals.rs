//! Signals that ask the process to end.
//!
//! The first is a request that somebody acts on, the second ends the process at once: on a thread of its own, so that it is
//! heard whatever the others do.

use super::error::{CliError, code};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// [`first_of`] ^C alone.
pub(super) fn interrupt() -> Result<Arc<Notify>, CliError> {
    first_of(&[SignalKind::interrupt()])
        .map_err(|error| CliError::new(code::ENGINE, format!("cannot listen for ^C: {error}")))
}

/// Listens from now on, also before anybody waits for what is returned; notifies at the first signal of `kinds`.
///
/// # Errors
/// When the handlers or the thread cannot be set up.
pub(super) fn first_of(kinds: &[SignalKind]) -> io::Result<Arc<Notify>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = Vec::new();
    {
        let _context = runtime.enter();
        for kind in kinds {
            signals.push((*kind, signal(*kind)?));
        }
    }
    let first = Arc::new(Notify::new());
    let notify = Arc::clone(&first);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            next(&mut signals).await;
            notify.notify_one();
            let second = next(&mut signals).await;
            std::process::exit(128 + second.as_raw_value());
        });
    })?;
    Ok(first)
}

/// The signal that comes next.
async fn next(signals: &mut [(SignalKind, Signal)]) -> SignalKind {
    std::future::poll_fn(|cx| {
        let came = signals.iter_mut().find_map(|(kind, signal)| signal.poll_recv(cx).is_ready().then_some(*kind));
        came.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
