//! One connection, from its first byte to its end.
//!
//! Owns the TLS handshake, the choice between HTTP/1.1 and HTTP/2, and what hyper is told about limits. Must not know which
//! connections there are. Invariant: a connection ends when its [`Pulse`] says so, whatever its client does.

use super::Phase;
use super::body::{AnswerBody, SentBody};
use super::gate::{self, Gate, Trust};
use super::limits::{
    BUFFER_BYTES_MAX, CONNECTION_WINDOW_BYTES, FAULTY_STREAMS_MAX, HEAD_BYTES_MAX, Limits, RESETS_MAX,
    STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use super::pulse::{Overdue, Pulse, Watched};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

/// The first byte of a TLS record that opens a handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What Go's servers say to a client that forgot the `s`.
const PLAIN_HTTP: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    router: Router,
    gate: Gate,
    tls: Arc<rustls::ServerConfig>,
    limits: Limits,
    phase: watch::Receiver<Phase>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Shared {
    pub(super) fn new(
        router: Router,
        tls: Arc<rustls::ServerConfig>,
        token: &str,
        limits: Limits,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        // The pulse counts the time to the end of a head, for both versions of HTTP alike.
        http1.header_read_timeout(None).max_buf_size(BUFFER_BYTES_MAX);
        http1.max_header_size(usize::try_from(HEAD_BYTES_MAX).expect("32 bits fit"));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(BUFFER_BYTES_MAX)
            .keep_alive_interval(limits.ping_every)
            .keep_alive_timeout(limits.ping);
        Self { router, gate: Gate::new(token), tls, limits, phase, http1, http2 }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Serves a connection to its end.
///
/// # Errors
/// Whatever ended it early; nobody has to act on it.
pub(super) async fn serve(shared: &Arc<Shared>, socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let pulse = Pulse::new();
    let mut phase = shared.phase.clone();
    let opened = tokio::select! {
        opened = timeout(shared.limits.handshake, open(shared, socket, &pulse)) => opened,
        _ = phase.wait_for(|phase| *phase == Phase::Stopping) => return Ok(()),
    };
    let Some(stream) = opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? else { return Ok(()) };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let entrance = Entrance { shared: Arc::clone(shared), pulse: Arc::clone(&pulse) };
    let io = TokioIo::new(stream);
    let ended = if is_http2 {
        drive(shared, &pulse, shared.http2.serve_connection(io, entrance)).await
    } else {
        drive(shared, &pulse, shared.http1.serve_connection(io, entrance)).await
    };
    ended.map_err(io::Error::other)
}

/// The TLS handshake; `None` for a client that speaks plain HTTP and has been told.
async fn open(
    shared: &Shared,
    mut socket: TcpStream,
    pulse: &Arc<Pulse>,
) -> io::Result<Option<TlsStream<Watched<TcpStream>>>> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0].is_ascii_uppercase() {
        socket.write_all(PLAIN_HTTP).await?;
        socket.shutdown().await?;
        return Ok(None);
    }
    if first[0] != TLS_HANDSHAKE {
        return Ok(None);
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.tls));
    acceptor.accept(Watched::new(socket, Arc::clone(pulse))).await.map(Some)
}

/// Lets hyper work until the connection ends, is overdue, or the server stops.
async fn drive<C: GracefulConnection>(shared: &Shared, pulse: &Pulse, connection: C) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    let mut phase = shared.phase.clone();
    tokio::select! {
        ended = connection.as_mut() => return ended,
        overdue = pulse.overdue(&shared.limits) => if overdue == Overdue::Unread {
            return Ok(());
        },
        _ = phase.wait_for(|phase| *phase == Phase::Stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    timeout(shared.limits.farewell, connection).await.unwrap_or(Ok(()))
}

/// What hyper calls for each request.
#[derive(Debug, Clone)]
struct Entrance {
    shared: Arc<Shared>,
    pulse: Arc<Pulse>,
}

impl Service<Request<Incoming>> for Entrance {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answering = self.pulse.answer();
        let (parts, body) = request.into_parts();
        let (trust, answer) = self.shared.gate.check(&parts, *self.shared.phase.borrow());
        if trust == Trust::Known {
            self.pulse.trust();
        }
        let (router, patience) = (self.shared.router.clone(), self.shared.limits.body_patience);
        Box::pin(async move {
            let mut response = match answer {
                Ok(()) => {
                    let body = Body::new(SentBody::new(body, patience));
                    match router.oneshot(Request::from_parts(parts, body)).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    }
                }
                Err(response) => response,
            };
            gate::finish(&mut response);
            Ok(response.map(|body| AnswerBody::new(body, answering)))
        })
    }
}
