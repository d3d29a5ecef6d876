//! One HTTP/1.1 connection that is kept alive, and streams of lines.
//!
//! A request at a time; several connections for several at once. A connection that the server has closed meanwhile is opened
//! again.

use super::Server;
use crate::api::{Answer, warnings_of};
use crate::cli::error::{CliError, code};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io::{BufRead as _, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

/// A server that does not take a connection for so long is not there.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// From the request to the head of its answer, and from one piece of an answer to the next. What is followed may be silent for
/// longer once its head is there: a server that vanished then is found out by TCP's keepalive, if only after hours, and a watch
/// by its own limit.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// From the first byte of an upload to the head of its answer: the server takes uploads of half an hour, and compiles.
const UPLOAD_MAX: Duration = Duration::from_secs(60 * 60);

/// Bytes of an answer, at the most.
pub(super) const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Bytes of a line of a stream, at the most.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum RemoteError {
    /// Nobody is there.
    #[error("cannot reach the server at {url}: {why}")]
    Unreachable {
        url: String,
        why: String,
        /// The host is there, and nothing listens.
        is_refused: bool,
    },
    /// Somebody else is there.
    #[error("the server at {url} is not the one that the kubeconfig names: {why}")]
    Untrusted { url: String, why: String, origin: String },
    /// It does not know us.
    #[error("the server at {url} does not accept the credentials of the kubeconfig")]
    Unauthorized { url: String, origin: String },
    /// It went away in the middle.
    #[error("the connection to {url} broke: {why}")]
    Broken { url: String, why: String },
    /// It says no where it should not.
    #[error("the server at {url} answers {status}: {message}")]
    Answered { url: String, status: u16, message: String },
    /// No request can be made of it.
    #[error("the request cannot be sent: {why}")]
    Unsendable { why: String },
    /// Its answer is too long.
    #[error("the server at {url} sent more than {} MiB at once", .bytes_max >> 20)]
    TooLong { url: String, bytes_max: usize },
}

impl RemoteError {
    /// As people read it.
    pub(in crate::cli) fn told(self) -> CliError {
        let code = if matches!(self, Self::Unsendable { .. }) { code::USAGE } else { code::ENGINE };
        let told = CliError::new(code, self.to_string());
        match self {
            Self::Unreachable { is_refused: true, .. } => told.help("is the server running? coracle serve   starts it"),
            Self::Unreachable { .. } => {
                told.help("is it the right server? --kubeconfig FILE and --context NAME choose another")
            }
            Self::Untrusted { origin, .. } => told.help(format!(
                "use the kubeconfig that the server wrote: its certificate is made with its data directory\n({origin})"
            )),
            Self::Unauthorized { origin, .. } => {
                told.help(format!("use the kubeconfig that the server wrote: its token may be another\n({origin})"))
            }
            Self::Broken { .. } | Self::Answered { .. } | Self::Unsendable { .. } | Self::TooLong { .. } => told,
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// What is sent.
struct Sent<'a> {
    method: Method,
    path: &'a str,
    content_type: &'static str,
    body: Bytes,
    /// How long its answer may be waited for.
    patience: Duration,
}

impl<'a> Sent<'a> {
    fn get(path: &'a str, patience: Duration) -> Self {
        Self { method: Method::GET, path, content_type: "", body: Bytes::new(), patience }
    }
}

/// A connection, or none at the moment.
#[derive(Debug)]
pub(in crate::cli) struct Connection {
    server: Arc<Server>,
    sender: Option<Sender>,
    /// [`SILENCE_MAX`], which tests shorten.
    silence: Duration,
}

impl Connection {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, sender: None, silence: SILENCE_MAX }
    }

    /// GET.
    pub(in crate::cli) async fn get(&mut self, path: &str) -> Result<Answer, RemoteError> {
        self.call(Sent::get(path, self.silence)).await
    }

    /// POST of JSON.
    pub(in crate::cli) async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, RemoteError> {
        let (body, patience) = (body.to_string().into(), self.silence);
        self.call(Sent { method: Method::POST, path, content_type: "application/json", body, patience }).await
    }

    /// DELETE.
    pub(in crate::cli) async fn delete(&mut self, path: &str) -> Result<Answer, RemoteError> {
        self.call(Sent { method: Method::DELETE, ..Sent::get(path, self.silence) }).await
    }

    /// Any request whose answer nobody has to understand: its status code, and its body as it came.
    pub(in crate::cli) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<(u16, Bytes), RemoteError> {
        let (response, sender) = self.send(&Sent { method, path, content_type, body, patience: self.silence }).await?;
        let status = response.status().as_u16();
        let body = self.whole(response.into_body()).await?;
        self.sender = Some(sender);
        Ok((status, body))
    }

    /// PUT of what is large, and answered once it was looked at.
    pub(in crate::cli) async fn upload(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Answer, RemoteError> {
        self.call(Sent { method: Method::PUT, path, content_type, body, patience: UPLOAD_MAX }).await
    }

    /// Any request, answered as a whole.
    async fn call(&mut self, sent: Sent<'_>) -> Result<Answer, RemoteError> {
        let (response, sender) = self.send(&sent).await?;
        let answer = self.answer(response).await?;
        self.sender = Some(sender);
        Ok(answer)
    }

    /// A GET whose answer is bytes, not JSON; one that is no 200 comes as an answer.
    pub(in crate::cli) async fn bytes(&mut self, path: &str) -> Result<Result<Bytes, Answer>, RemoteError> {
        let (response, sender) = self.send(&Sent::get(path, self.silence)).await?;
        let answer = if response.status().as_u16() == 200 {
            Ok(self.whole(response.into_body()).await?)
        } else {
            Err(self.answer(response).await?)
        };
        self.sender = Some(sender);
        Ok(answer)
    }

    /// A GET whose answer comes bit by bit and takes the connection; an answer that is no 200 comes as a whole.
    pub(in crate::cli) async fn stream(mut self, path: &str) -> Result<Result<Stream, Answer>, RemoteError> {
        let (response, sender) = self.send(&Sent::get(path, self.silence)).await?;
        if response.status().as_u16() != 200 {
            return Ok(Err(self.answer(response).await?));
        }
        let body = response.into_body();
        Ok(Ok(Stream { server: self.server, body, left: BytesMut::new(), looked: 0, _sender: sender }))
    }

    /// The head of the answer, in time.
    async fn send(&mut self, sent: &Sent<'_>) -> Result<(Response<Incoming>, Sender), RemoteError> {
        let server = Arc::clone(&self.server);
        let head = tokio::time::timeout(sent.patience, self.send_in_time(sent));
        head.await.unwrap_or_else(|_elapsed| Err(server.silent(sent.patience)))
    }

    async fn send_in_time(&mut self, sent: &Sent<'_>) -> Result<(Response<Incoming>, Sender), RemoteError> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(self.server.request(sent)?).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => {
                    // A message that comes back never reached the server.
                    if error.take_message().is_none() && sent.method != Method::GET {
                        return Err(self.server.broken(&error.into_error()));
                    }
                }
            }
        }
        let request = self.server.request(sent)?;
        let mut sender = self.server.dial().await?;
        match sender.send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(error) => Err(self.server.broken(&error)),
        }
    }

    async fn answer(&self, response: Response<Incoming>) -> Result<Answer, RemoteError> {
        let status = response.status().as_u16();
        if status == 401 {
            return Err(RemoteError::Unauthorized {
                url: self.server.url(),
                origin: self.server.target.origin.clone(),
            });
        }
        let warnings = warnings_of(response.headers());
        let text = String::from_utf8_lossy(&self.whole(response.into_body()).await?).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, warnings, text, body })
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, RemoteError> {
        let mut body = Limited::new(body, ANSWER_BYTES_MAX);
        let mut whole = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(self.silence, body.frame()).await;
            match frame.map_err(|_elapsed| self.server.silent(self.silence))? {
                None => return Ok(whole.freeze()),
                Some(Ok(frame)) => {
                    // Trailers say nothing.
                    if let Ok(bytes) = frame.into_data() {
                        whole.extend_from_slice(&bytes);
                    }
                }
                Some(Err(error)) => {
                    return Err(match error.downcast::<hyper::Error>() {
                        Ok(error) => self.server.broken(&error),
                        Err(_) => RemoteError::TooLong { url: self.server.url(), bytes_max: ANSWER_BYTES_MAX },
                    });
                }
            }
        }
    }
}

impl Server {
    fn broken(&self, error: &dyn std::error::Error) -> RemoteError {
        let why = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        RemoteError::Broken { url: self.url(), why }
    }

    fn silent(&self, waited: Duration) -> RemoteError {
        RemoteError::Broken { url: self.url(), why: format!("nothing came for {} s", waited.as_secs()) }
    }

    fn request(&self, sent: &Sent<'_>) -> Result<Request<Full<Bytes>>, RemoteError> {
        let base = self.target.url.path().trim_end_matches('/');
        let authority = self.target.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let unsendable = |why: String| RemoteError::Unsendable { why };
        let path = format!("{base}{}", sent.path);
        let mut request = Request::new(Full::new(sent.body.clone()));
        *request.method_mut() = sent.method.clone();
        *request.uri_mut() = path
            .parse()
            .map_err(|error| unsendable(format!("a path of {} characters is not taken: {error}", path.len())))?;
        let host = HeaderValue::from_str(authority).map_err(|error| unsendable(format!("{authority:?}: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("coracle/", env!("CARGO_PKG_VERSION"))));
        if !sent.content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(sent.content_type));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn dial(&self) -> Result<Sender, RemoteError> {
        let unreachable = |why: String, is_refused| RemoteError::Unreachable { url: self.url(), why, is_refused };
        let host = self.target.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.target.url.port_u16().unwrap_or(usual);
        let dialed = tokio::time::timeout(CONNECT_MAX, async {
            let tcp = connect(host, port)
                .await
                .map_err(|error| unreachable(error.to_string(), error.kind() == ErrorKind::ConnectionRefused))?;
            match &self.tls {
                None => self.open(tcp).await,
                Some((connector, name)) => {
                    let tls = connector.connect(name.clone(), tcp).await.map_err(|error| self.no_tls(&error))?;
                    self.open(tls).await
                }
            }
        });
        dialed
            .await
            .unwrap_or_else(|_elapsed| Err(unreachable(format!("no answer within {} s", CONNECT_MAX.as_secs()), false)))
    }

    async fn open(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, RemoteError> {
        let (sender, connection) = handshake(TokioIo::new(io)).await.map_err(|error| self.broken(&error))?;
        // It ends with its sender and the answer under way; what goes wrong the sender hears as well.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn no_tls(&self, error: &std::io::Error) -> RemoteError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(why)) => RemoteError::Untrusted {
                url: self.url(),
                why: format!("its certificate is not trusted ({why:?})"),
                origin: self.target.origin.clone(),
            },
            _ => RemoteError::Unreachable { url: self.url(), why: format!("TLS: {error}"), is_refused: false },
        }
    }
}

/// Tries the host's addresses in turn.
async fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_keepalive(true)?;
        socket.set_nodelay(true)?;
        match socket.connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// An answer that comes bit by bit.
#[derive(Debug)]
pub(in crate::cli) struct Stream {
    server: Arc<Server>,
    body: Incoming,
    /// What came and was not given yet.
    left: BytesMut,
    /// How much of it has no line's end.
    looked: usize,
    /// The connection would end with it.
    _sender: Sender,
}

impl Stream {
    /// The next bytes; `None` at the end. Cancel-safe.
    pub(in crate::cli) async fn next_bytes(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.server.broken(&error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The next whole line, without its end; `None` at the end. Cancel-safe.
    pub(in crate::cli) async fn next_line(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            // The standard library's own search takes many bytes a step.
            self.looked += (&self.left[self.looked..]).skip_until(b'\n').expect("a slice is read without errors");
            if self.left[..self.looked].ends_with(b"\n") {
                let mut line = self.left.split_to(self.looked);
                line.truncate(self.looked - 1);
                self.looked = 0;
                return Ok(Some(line.freeze()));
            }
            if self.looked > LINE_BYTES_MAX {
                return Err(RemoteError::TooLong { url: self.server.url(), bytes_max: LINE_BYTES_MAX });
            }
            match self.next_bytes().await? {
                Some(bytes) => self.left.extend_from_slice(&bytes),
                // What has no end was cut off.
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests;
