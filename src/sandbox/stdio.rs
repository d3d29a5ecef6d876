//! A guest's output on its way to its log, as wasmtime-wasi wants it.

use crate::exec::{PodLog, Stream};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How much a guest may write at a time, bytes: it bounds one copy.
pub(super) const WRITE_BYTES_MAX: usize = 64 << 10;

/// Takes what is written at once. A guest that has written much since its worker's last look gives it a turn first, so
/// that nothing of a long write is lost before it is flushed.
#[derive(Clone, Debug)]
pub(super) enum Output {
    Log(PodLog, Stream),
    Nowhere,
}

impl Output {
    fn take(&self, bytes: &[u8]) {
        match self {
            Self::Log(log, stream) => log.write(*stream, bytes),
            Self::Nowhere => {}
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        if let Self::Log(log, _) = self
            && log.is_full()
        {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Self::Log(log, _) = &*self
            && log.is_full()
        {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
