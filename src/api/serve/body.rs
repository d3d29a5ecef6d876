//! Bodies that know how long they have waited.
//!
//! [`SentBody`] is what a client sends: it ends with an error when the client stops sending. [`AnswerBody`] is what a client
//! gets, in parts that are small enough to see whether it reads them. Must not know what is in a body.

use super::super::patience::Patience;
use super::limits::{BODY_BYTES_PER_SECOND, BUFFER_BYTES_MAX};
use super::pulse::Answering;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// A request's body.
#[derive(Debug)]
pub(super) struct SentBody<B = Incoming> {
    inner: B,
    patience: Patience,
    /// Since when the client is waited for, and how long it may take.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum SentBodyError {
    #[error("the body was sent too slowly")]
    Slow,
    #[error("the body ended early: {0}")]
    Broken(#[from] hyper::Error),
}

impl<B> SentBody<B> {
    /// The client may leave the reader waiting for `patience` in a row.
    pub(super) fn new(inner: B, patience: Duration) -> Self {
        Self { inner, patience: Patience::new(patience, BODY_BYTES_PER_SECOND), waiting: None }
    }
}

impl<B> HttpBody for SentBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    SentBodyError: From<B::Error>,
{
    type Data = Bytes;
    type Error = SentBodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SentBodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                let left = self.patience.left();
                let (_, until) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
                ready!(until.as_mut().poll(cx));
                Poll::Ready(Some(Err(SentBodyError::Slow)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
                self.patience.received(waited, frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body.
#[derive(Debug)]
pub(super) struct AnswerBody {
    inner: Body,
    /// What is left of a part that is larger than [`BUFFER_BYTES_MAX`].
    rest: Bytes,
    answering: Answering,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, answering: Answering) -> Self {
        Self { inner, rest: Bytes::new(), answering }
    }

    /// A part of a whole that was larger is a copy: a client that leaves it unread must not hold the whole.
    fn next_of_rest(&mut self) -> Bytes {
        let part = self.rest.split_to(self.rest.len().min(BUFFER_BYTES_MAX));
        Bytes::copy_from_slice(&part)
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.answering.asked();
        if !self.rest.is_empty() {
            let part = self.next_of_rest();
            self.answering.handed_over();
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        self.answering.handed_over();
        let frame = match frame.into_data() {
            Ok(data) if data.len() > BUFFER_BYTES_MAX => {
                self.rest = data;
                Frame::data(self.next_of_rest())
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::super::pulse::Pulse;
    use super::*;
    use http_body_util::BodyExt as _;

    /// Parts that come through, each of so many bytes after so many seconds, before the body is too slow.
    fn parts_received(parts: &[(u64, usize)]) -> usize {
        let mut patience = Patience::new(Duration::from_secs(30), BODY_BYTES_PER_SECOND);
        let in_time = parts.iter().take_while(|(seconds, bytes)| {
            let waited = Duration::from_secs(*seconds);
            let is_in_time = waited < patience.left();
            patience.received(waited, *bytes);
            is_in_time
        });
        in_time.count()
    }

    #[test]
    fn a_body_ends_when_its_client_stops_or_trickles() {
        type Parts = Vec<(u64, usize)>;
        let cases: [(&str, Parts, usize); 4] = [
            ("too late", vec![(30, 100_000)], 0),
            ("in time again and again", vec![(20, 30 << 10); 50], 50),
            ("one byte now and then", vec![(10, 1); 50], 2),
            ("a fast body saves no time up", vec![(0, 1 << 20), (29, 1), (2, 1)], 2),
        ];
        for (case, parts, received) in cases {
            assert_eq!(parts_received(&parts), received, "{case}");
        }
    }

    #[test]
    fn a_large_answer_comes_in_parts_and_whole() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let whole: Vec<u8> = (0..200_000_u32).map(|at| at.to_le_bytes()[0]).collect();
            let mut body = AnswerBody::new(Body::from(whole.clone()), Pulse::new().answer());
            assert_eq!(body.size_hint().exact(), Some(200_000));
            let mut received = Vec::new();
            while !body.is_end_stream() {
                let part = body.frame().await.expect("a part").expect("no error").into_data().expect("data");
                assert!(part.len() <= BUFFER_BYTES_MAX);
                received.extend_from_slice(&part);
                assert_eq!(body.size_hint().exact(), Some(200_000 - received.len() as u64));
            }
            assert_eq!(received, whole);
        });
    }
}
