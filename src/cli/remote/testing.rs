//! A scripted HTTP server for tests.

use super::Server;
use super::kubeconfig::{Secret, Target, Trust};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// A request as the script sees it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Asked {
    pub(in crate::cli) method: Method,
    /// With its query.
    pub(in crate::cli) path: String,
    pub(in crate::cli) token: Option<String>,
    pub(in crate::cli) body: Bytes,
}

/// What the script answers.
pub(in crate::cli) enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// A 200 that goes on until the sender is dropped.
    Stream(mpsc::UnboundedReceiver<Bytes>),
    /// The connection is closed without an answer.
    Close,
}

/// A stream that is there from the beginning.
pub(in crate::cli) fn lines(values: &[Value]) -> Reply {
    let (sender, receiver) = mpsc::unbounded_channel();
    for value in values {
        sender.send(format!("{value}\n").into()).expect("the receiver is here");
    }
    Reply::Stream(receiver)
}

pub(in crate::cli) struct Scripted {
    pub(in crate::cli) server: Arc<Server>,
    pub(in crate::cli) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Methods and paths of what was asked.
    pub(in crate::cli) fn paths(&self) -> Vec<String> {
        self.asked.lock().expect("unlocked").iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

/// Serves on a free port until the runtime ends.
pub(in crate::cli) async fn scripted(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = Arc::default();
    tokio::spawn(accept(listener, None, Arc::new(script), Arc::clone(&asked)));
    Scripted { server: Server::of(target(&url, Trust::System)).expect("a server"), asked }
}

pub(super) fn target(url: &str, trust: Trust) -> Target {
    Target {
        url: url.parse().expect("a URL"),
        trust,
        server_name: None,
        token: Some(Secret("t0ken".to_owned())),
        identity: None,
        namespace: None,
        origin: "test".to_owned(),
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (script, asked, tls) = (Arc::clone(&script), Arc::clone(&asked), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => talk(tcp, script, asked).await,
                Some(tls) => {
                    if let Ok(tls) = tls.accept(tcp).await {
                        talk(tls, script, asked).await;
                    }
                }
            }
        });
    }
}

async fn talk(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
        async move {
            let token = request.headers().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (method, path) = (request.method().clone(), request.uri().to_string());
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let one = Asked { method, path, token, body };
            asked.lock().expect("unlocked").push(one.clone());
            let (status, body) = match script(&one) {
                Reply::Close => return Err(std::io::Error::other("scripted")),
                Reply::Json(status, value) => (status, Either::Left(Full::new(Bytes::from(value.to_string())))),
                Reply::Text(status, text) => (status, Either::Left(Full::new(Bytes::from(text)))),
                Reply::Stream(pieces) => (200, Either::Right(Pieces(pieces))),
            };
            Ok(Response::builder().status(status).body(body).expect("a response"))
        }
    });
    _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
}

struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
