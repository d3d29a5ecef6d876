//! A server as a process of its own, and a client that sends it any bytes.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server must say something, or an answer must come, within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// `coracle serve` with these arguments; nothing of this user's own is read.
pub(crate) fn serve(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.arg("serve").arg("--data-dir").arg(dir).args(args).env("NO_COLOR", "1").env_remove("CORACLE_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A server that listens.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    roots: Arc<RootCertStore>,
    said: Arc<Mutex<String>>,
    lines: Receiver<String>,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(serve(dir, &["--listen", "127.0.0.1:0"]), dir)
    }

    pub(crate) fn start_with(mut command: Command, dir: &Path) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("piped");
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let writes = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = writes.lock().expect("no panic");
                said.push_str(&line);
                said.push('\n');
                _ = sender.send(line);
            }
        });
        let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server =
            Self { child, address: nobody, token: String::new(), roots: Arc::new(RootCertStore::empty()), said, lines };
        let line = server.wait_for("API         https://");
        server.address = line.rsplit_once("https://").expect("a URL").1.parse().expect("an address");
        server.wait_for("kubectl create job");
        server.read_secrets(dir);
        server
    }

    fn read_secrets(&mut self, dir: &Path) {
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect(name);
        self.token = read("token").trim().to_owned();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(read("ca.crt").as_bytes()).expect("PEM")).expect("a root");
        self.roots = Arc::new(roots);
    }

    /// Reads on until a line on stderr has `what` in it.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(what) => return line,
                Ok(_) => {}
                Err(_) => panic!("the server never said {what:?}, but:\n{}", self.said()),
            }
        }
    }

    /// Everything on stderr until now.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    /// What a client needs to trust this server and no other.
    pub(crate) fn tls(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth()
    }

    /// Opens a TLS connection.
    pub(crate) fn connect(&self, alpn: &[&[u8]]) -> Client {
        let mut config = self.tls();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let socket = TcpStream::connect(self.address).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Client(StreamOwned::new(connection, socket))
    }

    /// One request with the token, and its whole answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut client = self.connect(&[]);
        client.send(self.request(method, path, body).as_bytes());
        client.answer()
    }

    /// A request with the token as it stands on the wire.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> String {
        let (token, length) = (&self.token, body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    }

    /// Resident memory, bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Ends the server at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Stops the server as an operator does; gives its exit code and all it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let code = self.child.wait().expect("ours").code();
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        (code, self.said())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already unless a test failed.
        self.kill();
    }
}

/// What came back: nothing at all when the connection was closed.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 when there was no answer.
    pub(crate) code: u16,
    pub(crate) body: String,
}

/// A TLS connection.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// Sends as much as the server takes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }

    /// The next bytes; empty at the end.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 << 10];
        match self.0.read(&mut bytes) {
            Ok(read) => bytes.truncate(read),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came for {PATIENCE:?}"),
            Err(_) => bytes.clear(),
        }
        bytes
    }

    /// The next answer of HTTP/1.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if length.is_some_and(|length: usize| body.len() >= length) {
                    return parsed(&text);
                }
            }
            let more = self.read();
            if more.is_empty() {
                return parsed(&text);
            }
            bytes.extend(more);
        }
    }
}

fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { code, body: body.to_owned() }
}
