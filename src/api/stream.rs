//! Bodies that are made while they are read.
//!
//! Knows nothing of what is in them. Invariant: the next chunk is begun only when the one before was taken, so a slow reader
//! costs one chunk.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A body of the chunks that `next` makes: from a state to a chunk and the next state, until `None`.
pub(super) fn chunks<S, F, Fut>(state: S, next: F) -> Body
where
    F: Fn(S) -> Fut + Send + Unpin + 'static,
    Fut: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    let step = Some(Box::pin(next(state)));
    Body::new(Chunks { next, step })
}

struct Chunks<F, Fut> {
    next: F,
    step: Option<Pin<Box<Fut>>>,
}

impl<S, F, Fut> HttpBody for Chunks<F, Fut>
where
    F: Fn(S) -> Fut + Unpin,
    Fut: Future<Output = Option<(Bytes, S)>>,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(step) = &mut this.step else { return Poll::Ready(None) };
        let made = ready!(step.as_mut().poll(cx));
        Poll::Ready(match made {
            Some((bytes, state)) => {
                this.step = Some(Box::pin((this.next)(state)));
                Some(Ok(Frame::data(bytes)))
            }
            None => {
                this.step = None;
                None
            }
        })
    }
}
