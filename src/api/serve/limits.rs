//! What one client, and all clients together, may take of the listener.
//!
//! Every number has its reason beside it; [`Limits`] holds those that a test shortens. Must not know how a limit is kept.
//! Invariant: nothing that a client can hold open without a token lasts longer than [`FIRST_REQUEST_TIME`].

use std::time::Duration;

/// Connections at once. One more waits in the kernel's queue until a place is free: clients without a token lose theirs
/// within seconds, so the wait is short.
pub const CONNECTIONS_MAX: usize = 4096;

/// The kernel's queue of connections that wait to be accepted.
pub const BACKLOG: u32 = 1024;

/// From the first byte to the end of the TLS handshake (Go's default in kubernetes: `TLSHandshakeTimeout`, 10 s).
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A connection that has not shown the token: from the handshake, or its last answer, to the end of the next request's head
/// (kubernetes: `ReadHeaderTimeout`, 32 s).
pub const FIRST_REQUEST_TIME: Duration = Duration::from_secs(32);

/// The same for a connection that has shown the token: clients keep theirs open between requests.
pub const IDLE_TIME: Duration = Duration::from_secs(5 * 60);

/// A client that has begun to send a body may leave the server waiting this long in a row.
pub const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that earn one second of [`BODY_PATIENCE`] back: a body that stays slower than this ends.
pub const BODY_BYTES_PER_SECOND: u64 = 1024;

/// A client that takes nothing of an answer that is ready, this long in a row, loses its connection. An answer that has
/// nothing to say yet, as a watch, does not count.
pub const UNREAD_TIME: Duration = Duration::from_secs(60);

/// From being told that the server closes the connection to its end.
pub const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// Start line and headers of a request together, the target included; over HTTP/2 with 32 bytes for each header
/// (RFC 9113, 6.5.2).
pub const HEAD_BYTES_MAX: u32 = 32 << 10;

/// Headers of an HTTP/1 request. It is hyper's own number: setting it would cost an allocation a request.
pub const HEADERS_MAX: usize = 100;

/// What is read ahead of, or written behind, one connection or one HTTP/2 stream.
pub const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Requests at once on one HTTP/2 connection (kubernetes: `HTTP2MaxStreamsPerConnection`, 100).
pub const STREAMS_MAX: u32 = 100;

/// Bytes of a body that a client may send ahead on one HTTP/2 stream, and on all of a connection together.
pub const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// HTTP/2 streams that a client resets before they were looked at, before its connection ends (CVE-2023-44487).
pub const RESETS_MAX: usize = 20;

/// HTTP/2 streams that the server had to reset, before the connection ends.
pub const FAULTY_STREAMS_MAX: usize = 100;

/// An HTTP/2 connection without a word is asked whether it is still there (kubernetes: `http2.ReadIdleTimeout`, 30 s).
pub const PING_EVERY: Duration = Duration::from_secs(30);

/// The answer to that question (kubernetes: `http2.PingTimeout`, 15 s).
pub const PING_TIME: Duration = Duration::from_secs(15);

/// The limits of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// See [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// See [`HANDSHAKE_TIME`].
    pub handshake: Duration,
    /// See [`FIRST_REQUEST_TIME`].
    pub first_request: Duration,
    /// See [`IDLE_TIME`].
    pub idle: Duration,
    /// See [`BODY_PATIENCE`].
    pub body_patience: Duration,
    /// See [`UNREAD_TIME`].
    pub unread: Duration,
    /// See [`FAREWELL_TIME`].
    pub farewell: Duration,
    /// See [`PING_EVERY`].
    pub ping_every: Duration,
    /// See [`PING_TIME`].
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            handshake: HANDSHAKE_TIME,
            first_request: FIRST_REQUEST_TIME,
            idle: IDLE_TIME,
            body_patience: BODY_PATIENCE,
            unread: UNREAD_TIME,
            farewell: FAREWELL_TIME,
            ping_every: PING_EVERY,
            ping: PING_TIME,
        }
    }
}
