//! A `coracle serve` of its own for a test, and a plain HTTP/1.1 client over TLS that can be stopped at any byte.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The server must answer within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `coracle serve`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    addr: SocketAddr,
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Server {
    /// Starts the binary on `port`; it need not be ready when this returns.
    pub(crate) fn spawn(dir: &Path, port: u16) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log_file(dir)).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .args(["serve", "--listen", &addr.to_string(), "--data-dir"])
            .arg(dir)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        Self { child, dir: dir.to_owned(), addr }
    }

    /// Waits until it answers; false when it has ended.
    pub(crate) fn is_ready(&mut self) -> bool {
        for _ in 0..PATIENCE.as_millis() / 5 {
            if self.child.try_wait().expect("the server is ours").is_some() {
                return false;
            }
            let ready = Credentials::read(&self.dir, self.addr)
                .and_then(|credentials| Client::new(&credentials).send("GET", "/readyz", "", b""));
            if ready.is_ok_and(|reply| reply.status == 200) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server never was ready:\n{}", self.log());
    }

    /// What clients need.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::read(&self.dir, self.addr).expect("a started server has written its certificate and token")
    }

    /// What it said so far, in all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.dir)).unwrap_or_default()
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_file(dir: &Path) -> PathBuf {
    dir.with_extension("log")
}

/// Where a server is and how to be let in.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    addr: SocketAddr,
    token: String,
    tls: Arc<ClientConfig>,
}

impl Credentials {
    fn read(dir: &Path, addr: SocketAddr) -> io::Result<Self> {
        let token = std::fs::read_to_string(dir.join("token"))?.trim().to_owned();
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(dir.join("ca.crt")).map_err(io::Error::other)?;
        roots.add(ca).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { addr, token, tls: Arc::new(tls) })
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
