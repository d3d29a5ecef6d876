//! The server that a kubeconfig names, spoken to as its clients do.
//!
//! Knows HTTP/1.1, TLS and kubeconfigs, nothing of Jobs but in `follow.rs` and `pods.rs`. Start with [`Server`]. Invariant: a request that
//! may have reached the server is not sent again, unless it only reads.

mod backoff;
mod connection;
pub(super) mod follow;
mod kubeconfig;
mod pods;
#[cfg(test)]
pub(super) mod testing;
mod tls;
pub(super) mod watch;

pub(super) use connection::{Connection, RemoteError, Stream};
pub(super) use kubeconfig::RemoteArgs;

use super::error::{CliError, code};
use crate::api::Answer;
use hyper::header::HeaderValue;
use kubeconfig::Target;
use rustls::pki_types::ServerName;
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// A server that is known and perhaps there.
pub(super) struct Server {
    target: Target,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The token, as it is sent.
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Server {
    /// The server that `args` and the environment name. Connects to nothing.
    pub(super) fn find(args: &RemoteArgs) -> Result<Arc<Self>, CliError> {
        Self::of(Target::find(args)?)
    }

    fn of(target: Target) -> Result<Arc<Self>, CliError> {
        let wrong = |why: String| {
            CliError::new(code::USAGE, format!("the kubeconfig cannot be used: {why} ({})", target.origin))
        };
        let tls = if target.url.scheme_str() == Some("https") {
            let config = tls::config(&target).map_err(wrong)?;
            let name = target.server_name.as_deref().or_else(|| target.url.host()).unwrap_or_default();
            let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
                .map_err(|error| wrong(format!("{name:?}: {error}")))?;
            Some((TlsConnector::from(config), name))
        } else {
            None
        };
        let authorization = target.token.as_ref().map(|token| HeaderValue::try_from(format!("Bearer {}", token.0)));
        let mut authorization = authorization
            .transpose()
            .map_err(|_| wrong("the user's token has characters that no HTTP header may have".to_owned()))?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Arc::new(Self { target, tls, authorization }))
    }

    /// The URL, for people.
    pub(super) fn url(&self) -> String {
        self.target.url.to_string().trim_end_matches('/').to_owned()
    }

    /// An answer that nobody expects.
    pub(super) fn answered(&self, answer: &Answer) -> RemoteError {
        let message = answer.body["message"].as_str().unwrap_or("no reason given").to_owned();
        RemoteError::Answered { url: self.url(), status: answer.status, message }
    }

    /// The namespace of the context.
    pub(super) fn namespace(&self) -> &str {
        self.target.namespace.as_deref().unwrap_or("default")
    }

    /// A connection, which is opened by its first request.
    pub(super) fn connection(self: &Arc<Self>) -> Connection {
        Connection::new(Arc::clone(self))
    }
}
