//! When a connection has waited too long: for its client's next request, or for its client to read.
//!
//! One [`Pulse`] a connection; the socket, the answers and the connection's own task share it. Must not know HTTP.
//! Invariant: a wait that begins is seen no later than its limit after its beginning, without anybody being woken for it:
//! the task looks again at the latest after the shortest limit.

use super::limits::Limits;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a connection is waiting for.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<Waits>);

#[derive(Debug)]
struct Waits {
    /// Requests that have no complete answer yet.
    answering: usize,
    /// Since when there is none.
    idle_since: Instant,
    /// The client has shown the token.
    trusted: bool,
    /// The socket takes no more since then.
    blocked_since: Option<Instant>,
    next_answer: u64,
    /// Answers of which a part was handed over since when, and nothing was asked for after it. At the most one a stream.
    unread: Vec<(u64, Instant)>,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request came.
    Idle,
    /// What is ready is not read.
    Unread,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Waits {
            answering: 0,
            idle_since: Instant::now(),
            trusted: false,
            blocked_since: None,
            next_answer: 0,
            unread: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's head is here.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        let mut waits = self.lock();
        waits.answering += 1;
        waits.next_answer += 1;
        Answering { pulse: Arc::clone(self), id: waits.next_answer }
    }

    /// The client is one that knows the token.
    pub(super) fn trust(&self) {
        self.lock().trusted = true;
    }

    /// Resolves when the connection has to end.
    pub(super) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            let look = self.lock().look(limits, Instant::now());
            match look {
                Ok(next_look) => tokio::time::sleep_until(next_look).await,
                Err(overdue) => return overdue,
            }
        }
    }
}

impl Waits {
    /// When to look again.
    fn look(&self, limits: &Limits, now: Instant) -> Result<Instant, Overdue> {
        let idle = if self.trusted { limits.idle } else { limits.first_request };
        let idle = (self.answering == 0).then(|| (self.idle_since + idle, Overdue::Idle));
        let unread = self.unread.iter().map(|(_, since)| *since).chain(self.blocked_since).min();
        let unread = unread.map(|since| (since + limits.unread, Overdue::Unread));
        let shortest = limits.idle.min(limits.first_request).min(limits.unread);
        match [idle, unread].into_iter().flatten().min_by_key(|(at, _)| *at) {
            Some((at, overdue)) if at <= now => Err(overdue),
            Some((at, _)) => Ok(at.min(now + shortest)),
            None => Ok(now + shortest),
        }
    }
}

/// One request, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Answering {
    pulse: Arc<Pulse>,
    id: u64,
}

impl Answering {
    /// A part of the answer was handed over to be sent.
    pub(super) fn handed_over(&self) {
        self.pulse.lock().unread.push((self.id, Instant::now()));
    }

    /// It was sent, or there is room to send it: more is asked for.
    pub(super) fn asked(&self) {
        self.pulse.lock().unread.retain(|(id, _)| *id != self.id);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.asked();
        let mut waits = self.pulse.lock();
        waits.answering -= 1;
        if waits.answering == 0 {
            waits.idle_since = Instant::now();
        }
    }
}

/// A socket that notes when it takes no more.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, pulse: Arc<Pulse>) -> Self {
        Self { socket, pulse }
    }

    fn note<T>(&self, polled: Poll<T>) -> Poll<T> {
        let mut waits = self.pulse.lock();
        match polled {
            Poll::Pending => _ = waits.blocked_since.get_or_insert_with(Instant::now),
            Poll::Ready(_) => waits.blocked_since = None,
        }
        drop(waits);
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits {
            first_request: Duration::from_secs(32),
            idle: Duration::from_secs(300),
            unread: Duration::from_secs(60),
            ..Limits::default()
        }
    }

    /// What `pulse` says `seconds` after `start`.
    fn at(pulse: &Pulse, start: Instant, seconds: u64) -> Option<Overdue> {
        pulse.lock().look(&limits(), start + Duration::from_secs(seconds)).err()
    }

    #[test]
    fn a_connection_without_a_token_has_less_time_than_one_with() {
        let pulse = Pulse::new();
        let start = pulse.lock().idle_since;
        assert_eq!((at(&pulse, start, 31), at(&pulse, start, 32)), (None, Some(Overdue::Idle)));
        pulse.trust();
        assert_eq!((at(&pulse, start, 299), at(&pulse, start, 300)), (None, Some(Overdue::Idle)));
    }

    #[test]
    fn an_answer_that_has_nothing_to_say_waits_as_long_as_it_likes() {
        let pulse = Pulse::new();
        let answering = pulse.answer();
        answering.handed_over();
        answering.asked();
        let start = Instant::now();
        assert_eq!(at(&pulse, start, 1_000_000), None);
    }

    #[test]
    fn an_answer_that_nobody_reads_ends_the_connection() {
        let pulse = Pulse::new();
        let (read, unread) = (pulse.answer(), pulse.answer());
        unread.handed_over();
        let start = pulse.lock().unread[0].1;
        read.handed_over();
        read.asked();
        assert_eq!((at(&pulse, start, 59), at(&pulse, start, 60)), (None, Some(Overdue::Unread)));
        drop(unread);
        assert_eq!(at(&pulse, start, 1_000_000), None);
    }

    #[test]
    fn a_socket_that_takes_no_more_ends_the_connection() {
        let pulse = Pulse::new();
        let _answering = pulse.answer();
        let watched = Watched::new((), Arc::clone(&pulse));
        _ = watched.note(Poll::<()>::Pending);
        let start = pulse.lock().blocked_since.expect("blocked");
        _ = watched.note(Poll::<()>::Pending);
        assert_eq!((at(&pulse, start, 59), at(&pulse, start, 60)), (None, Some(Overdue::Unread)));
        _ = watched.note(Poll::Ready(()));
        assert_eq!(at(&pulse, start, 1_000_000), None);
    }

    #[test]
    fn the_next_look_is_early_enough_for_a_wait_that_begins_right_after_it() {
        let pulse = Pulse::new();
        let _answering = pulse.answer();
        let now = Instant::now();
        let next = pulse.lock().look(&limits(), now).ok();
        assert_eq!(next, Some(now + Duration::from_secs(32)));
    }
}
