//! A plain HTTP/1.1 client over TLS that can be cut off at any byte, and then knows that it was.

use crate::served::{PATIENCE, Server};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Where a server is and how to be let in.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    addr: SocketAddr,
    token: String,
    tls: Arc<ClientConfig>,
}

impl Credentials {
    /// Those of a server that listens.
    pub(crate) fn of(server: &Server) -> Self {
        Self { addr: server.address, token: server.token.clone(), tls: Arc::new(server.tls()) }
    }
}

type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// A connection that is opened when it is needed and kept while it works.
#[derive(Debug)]
pub(crate) struct Client {
    credentials: Credentials,
    stream: Option<Stream>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        Self { credentials: credentials.clone(), stream: None }
    }

    /// One request and its whole answer. After an error nobody knows whether the server did it.
    pub(crate) fn send(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> io::Result<Reply> {
        let mut answer = self.open(method, path, content_type, body)?;
        let mut whole = Vec::new();
        answer.read_to_end(&mut whole)?;
        let (status, stream) = (answer.status, answer.stream);
        self.stream = Some(stream);
        Ok(Reply { status, body: whole })
    }

    /// One request; the answer is read as it comes.
    pub(crate) fn open(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n",
            self.credentials.token,
            body.len()
        );
        if !content_type.is_empty() {
            head += &format!("Content-Type: {content_type}\r\n");
        }
        head += "\r\n";
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        stream.get_mut().flush()?;
        Answer::read_head(stream)
    }

    fn connect(&self) -> io::Result<Stream> {
        let socket = TcpStream::connect(self.credentials.addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(&self.credentials.tls), name).map_err(io::Error::other)?;
        Ok(BufReader::new(StreamOwned::new(tls, socket)))
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    stream: Stream,
    /// Bytes left of this chunk, or of the body.
    left: usize,
    is_chunked: bool,
    is_over: bool,
}

impl Answer {
    fn read_head(mut stream: Stream) -> io::Result<Self> {
        let status_line = line(&mut stream)?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {status_line:?}")))?;
        let (mut left, mut is_chunked) = (0, false);
        loop {
            let header = line(&mut stream)?.to_ascii_lowercase();
            match header.split_once(':') {
                Some(("content-length", value)) => left = value.trim().parse().map_err(io::Error::other)?,
                Some(("transfer-encoding", value)) => is_chunked = value.trim() == "chunked",
                Some(_) => {}
                None => break,
            }
        }
        let is_over = !is_chunked && left == 0;
        Ok(Self { status, stream, left, is_chunked, is_over })
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.is_chunked && !self.is_over {
            self.left = usize::from_str_radix(line(&mut self.stream)?.trim(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                line(&mut self.stream)?;
                self.is_over = true;
            }
        }
        if self.left == 0 {
            return Ok(0);
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 && self.is_chunked {
            line(&mut self.stream)?;
        }
        Ok(read)
    }
}

/// A line without its end.
fn line(stream: &mut Stream) -> io::Result<String> {
    let mut text = String::new();
    if stream.read_line(&mut text)? == 0 || !text.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}
