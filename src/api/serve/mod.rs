//! The listener: TLS, connections and their limits, the token, and the end.
//!
//! Serves the router over sockets; must not know what a path means beyond what `gate.rs` names. Start with
//! [`Server::run`]. Invariant: whatever a client sends ends in an answer or in the end of its own connection, never in the
//! end of the server.

mod body;
mod connection;
mod gate;
pub mod limits;
mod pulse;
#[cfg(test)]
mod tests;

use super::{Api, Status};
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use connection::Shared;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_http::catch_panic::CatchPanicLayer;

pub use limits::Limits;

/// Accepting goes on after this pause when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everything is answered.
    Serving,
    /// No new Jobs, not ready.
    Draining,
    /// No new connections; those that are open end.
    Stopping,
}

/// What serves an API to sockets.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    /// Ends the streams that would not end by themselves.
    shutdown: watch::Sender<bool>,
}

/// What TLS needs: HTTP/2 and HTTP/1.1 by ALPN, TLS 1.2 and 1.3, no client certificates.
///
/// # Errors
/// When certificate and key do not belong together.
pub fn tls_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Server {
    /// Serves `api` to whoever shows `token`.
    #[must_use]
    pub fn new(api: &Api, tls: Arc<rustls::ServerConfig>, token: &str, limits: Limits) -> Self {
        Self::over(api.router(), api.shutdown(), tls, token, limits)
    }

    fn over(
        router: Router,
        shutdown: watch::Sender<bool>,
        tls: Arc<rustls::ServerConfig>,
        token: &str,
        limits: Limits,
    ) -> Self {
        let phase = watch::Sender::new(Phase::Serving);
        let router = router.layer(CatchPanicLayer::custom(panicked));
        let shared = Arc::new(Shared::new(router, tls, token, limits, phase.subscribe()));
        Self { shared, phase, shutdown }
    }

    /// From now on new Jobs are refused and `/readyz` fails; all else goes on.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Lets [`Server::run`] return: no more connections are taken, watches and followed logs end, and open connections get
    /// [`Limits::farewell`] to finish.
    pub fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
        self.shutdown.send_replace(true);
    }

    /// Takes connections until [`Server::stop`]; returns once all have ended.
    pub async fn run(&self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.shared.limits().connections));
        let mut connections = JoinSet::new();
        let mut stopping = self.phase.subscribe();
        let mut has_failed = false;
        loop {
            let place = Arc::clone(&places);
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|phase| *phase == Phase::Stopping) => break,
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                // Both are cancel-safe: a place that is not used goes back, a connection that is not taken stays queued.
                accepted = async {
                    let place = place.acquire_owned().await;
                    (listener.accept().await, place)
                } => accepted,
            };
            match accepted {
                (Ok((socket, _)), place) => {
                    has_failed = false;
                    let shared = Arc::clone(&self.shared);
                    connections.spawn(async move {
                        serve_one(&shared, socket).await;
                        drop(place);
                    });
                }
                (Err(error), _) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::error!(%error, "no connection can be taken; trying on");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    }
}

async fn serve_one(shared: &Arc<Shared>, socket: TcpStream) {
    if let Err(error) = connection::serve(shared, socket).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended in a panic");
    }
}

/// A panic costs one request (kubernetes: `WithPanicRecovery`).
fn panicked(_: Box<dyn Any + Send>) -> Response {
    let text = "This request caused the server to panic. Look in the logs for details.";
    Status::internal(&io::Error::other(text)).into_response()
}
