//! The listener over loopback, in front of a small router, its limits shortened.

use super::limits::{HEAD_BYTES_MAX, HEADERS_MAX, STREAMS_MAX};
use super::{Limits, Server, tls_config};
use crate::api::router::Sent;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Long enough for a busy machine, short enough for a test.
const SHORT: Duration = Duration::from_millis(500);

/// Whatever a test waits for comes within this time, or never.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer that no buffer between server and client holds.
const BIG_BYTES: usize = 32 << 20;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

/// A server that listens.
struct Listening {
    server: Arc<Server>,
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    /// Names of `/note/{name}` in the order in which they were asked for.
    notes: Arc<Mutex<Vec<String>>>,
    running: tokio::task::JoinHandle<()>,
}

fn router(notes: &Arc<Mutex<Vec<String>>>, shutdown: &watch::Sender<bool>) -> Router {
    let (notes, shutdown) = (Arc::clone(notes), shutdown.clone());
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/echo", post(async |sent: Sent| sent.bytes.len().to_string()))
        .route("/panic", get(async || -> &'static str { panic!("as it was told") }))
        .route("/big", get(async || Body::from(vec![0; BIG_BYTES])))
        .route("/never", get(std::future::pending::<&'static str>))
        .route("/kept", get(async || [("cache-control", "public")]))
        .route(JOBS, post(async || StatusCode::CREATED))
        .route(
            "/until-shutdown",
            get(move || {
                let mut shutdown = shutdown.subscribe();
                async move {
                    _ = shutdown.wait_for(|is_down| *is_down).await;
                    "down"
                }
            }),
        )
        .route(
            "/note/{name}",
            get(move |axum::extract::Path(name): axum::extract::Path<String>| {
                notes.lock().expect("no panic").push(name);
                std::future::ready("ok")
            }),
        )
}

async fn listen(limits: Limits) -> Listening {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("made");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let tls = tls_config(vec![made.cert.der().clone()], key.into()).expect("a configuration");
    let (shutdown, notes) = (watch::Sender::new(false), Arc::default());
    let router = router(&notes, &shutdown);
    let server = Arc::new(Server::over(router, shutdown, tls, "secret", limits));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let run = Arc::clone(&server);
    let running = tokio::spawn(async move { run.run(listener).await });
    Listening { server, address, roots: Arc::new(roots), notes, running }
}

fn test<F: Future>(limits: Limits, run: impl FnOnce(Listening) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let done = runtime.block_on(async { tokio::time::timeout(PATIENCE, run(listen(limits).await)).await });
    assert!(done.is_ok(), "nothing happened for {PATIENCE:?}");
}

impl Listening {
    async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn tls(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        // An address is no name: nothing is sent as SNI.
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, self.socket().await).await.expect("a handshake")
    }

    async fn http1(&self) -> Client {
        Client(self.tls(&[]).await)
    }

    async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.tls(&[b"h2"]).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }
}

/// A client of HTTP/1.
struct Client(TlsStream<TcpStream>);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// Head and body of the next answer; empty at the end of the connection.
    async fn answer(&mut self) -> String {
        let mut text = Vec::new();
        loop {
            let mut byte = [0];
            if self.0.read(&mut byte).await.unwrap_or(0) == 0 {
                break;
            }
            text.push(byte[0]);
            let so_far = String::from_utf8_lossy(&text);
            if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n")).await;
        self.answer().await
    }

    async fn is_at_its_end(&mut self) -> bool {
        self.answer().await.is_empty()
    }
}

fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    let uri = format!("https://127.0.0.1{path}");
    let request = Request::builder().method(method).uri(uri).header("authorization", "Bearer secret");
    request.body(Full::default()).expect("a request")
}

#[test]
fn both_versions_of_http_are_answered_on_one_port() {
    test(Limits::default(), async |at| {
        let mut http1 = at.http1().await;
        let answer = http1.get("/livez").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
        assert!(answer.contains("cache-control: no-cache, private\r\n"), "{answer}");
        assert!(http1.get("/kept").await.contains("cache-control: public\r\n"));
        let mut http2 = at.http2().await;
        let answer = http2.send_request(request("GET", "/livez")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "ok");
    });
}

#[test]
fn without_the_token_the_answer_is_kubernetes_401() {
    test(Limits::default(), async |at| {
        let mut client = at.http1().await;
        client.send("GET /echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\n\r\n").await;
        let answer = client.answer().await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{head}");
        let mut headers: Vec<&str> = head.lines().skip(1).filter(|line| !line.starts_with("date: ")).collect();
        headers.sort_unstable();
        let length = format!("content-length: {}", body.len());
        assert_eq!(headers, ["cache-control: no-cache, private", &length, "content-type: application/json"]);
        let golden = include_str!("../../../tests/goldens/status-401.json");
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(json(body), json(golden));
    });
}

#[test]
fn a_panic_costs_one_request() {
    test(Limits::default(), async |at| {
        let mut client = at.http1().await;
        for _ in 0..2 {
            let answer = client.get("/panic").await;
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
            assert!(answer.contains(r#""reason":"InternalError""#) && !answer.contains("as it was told"), "{answer}");
        }
        assert!(client.get("/livez").await.ends_with("ok"));
    });
}

#[test]
fn a_head_has_limits() {
    let max = usize::try_from(HEAD_BYTES_MAX).expect("small");
    let rest = "GET /livez? HTTP/1.1\r\nhost: x\r\n\r\n".len();
    let target = |bytes: usize| format!("GET /livez?{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(bytes - rest));
    let headers = |n: usize| format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(n - 1));
    let cases = [
        ("as long as can be", target(max - 1), "HTTP/1.1 200 "),
        ("too long a target", target(max + 1), "HTTP/1.1 431 "),
        ("no end of the target", "G".repeat(max + 1), "HTTP/1.1 431 "),
        ("as many headers as can be", headers(HEADERS_MAX), "HTTP/1.1 200 "),
        ("one header more", headers(HEADERS_MAX + 1), "HTTP/1.1 431 "),
    ];
    test(Limits::default(), async |at| {
        for (case, text, status) in &cases {
            let mut client = at.http1().await;
            client.send(text).await;
            let answer = client.answer().await;
            assert!(answer.starts_with(status), "{case}: {answer}");
        }
        let mut http2 = at.http2().await;
        for (bytes, status) in [(max - 1000, 200), (max, 431)] {
            let mut request = request("GET", "/livez");
            request.headers_mut().insert("x", "x".repeat(bytes).parse().expect("a value"));
            assert_eq!(http2.send_request(request).await.expect("an answer").status(), status);
        }
    });
}

#[test]
fn a_body_that_stops_coming_is_not_waited_for() {
    test(Limits { body_patience: SHORT, ..Limits::default() }, async |at| {
        for head in ["content-length: 10\r\n", "transfer-encoding: chunked\r\n"] {
            let mut client = at.http1().await;
            client.send(&format!("POST /echo HTTP/1.1\r\nauthorization: Bearer secret\r\n{head}\r\n5\r\n")).await;
            let answer = client.answer().await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.contains("the body was sent too slowly"), "{answer}");
            assert!(client.is_at_its_end().await);
        }
        assert!(at.http1().await.get("/livez").await.ends_with("ok"));
    });
}

#[test]
fn a_body_that_is_too_large_is_refused_before_or_while_it_comes() {
    test(Limits::default(), async |at| {
        let mut client = at.http1().await;
        client.send("POST /echo HTTP/1.1\r\nauthorization: Bearer secret\r\ncontent-length: 99999999999\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("limit is 3145728"), "{answer}");
        let mut http2 = at.http2().await;
        for (bytes, status) in [(3 << 20, 200), ((3 << 20) + 1, 413)] {
            let sent = request("POST", "/echo").map(|_| Full::from(vec![b'x'; bytes]));
            assert_eq!(http2.send_request(sent).await.expect("an answer").status(), status, "{bytes}");
        }
    });
}

#[test]
fn a_client_that_does_not_ask_loses_its_connection() {
    test(Limits { first_request: SHORT, ..Limits::default() }, async |at| {
        for begun in ["", "GET /livez HTTP/1.1\r\nhost:"] {
            let mut client = at.http1().await;
            client.send(begun).await;
            assert!(client.is_at_its_end().await, "{begun:?}");
        }
        let mut idle = at.http1().await;
        idle.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(idle.answer().await.ends_with("ok"));
        assert!(idle.is_at_its_end().await, "a probe does not keep its connection");
        // The same on HTTP/2, which is told first.
        let mut http2 = at.http2().await;
        while http2.ready().await.is_ok() && !http2.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_handshake_that_does_not_end_is_not_waited_for() {
    test(Limits { handshake: SHORT, ..Limits::default() }, async |at| {
        // Nothing at all, and half of a TLS record.
        for begun in [&b""[..], &[0x16, 3, 1, 2, 0, 1]] {
            let mut socket = at.socket().await;
            socket.write_all(begun).await.expect("sent");
            assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0);
        }
    });
}

#[test]
fn a_client_with_the_token_may_be_idle_for_longer() {
    test(Limits { first_request: SHORT, ..Limits::default() }, async |at| {
        let (mut known, mut unknown) = (at.http1().await, at.http1().await);
        assert!(known.get("/livez").await.ends_with("ok"));
        // Both have waited for the same time when the second one is closed.
        assert!(unknown.is_at_its_end().await);
        assert!(known.get("/livez").await.ends_with("ok"));
    });
    test(Limits { idle: SHORT, ..Limits::default() }, async |at| {
        let mut known = at.http1().await;
        assert!(known.get("/livez").await.ends_with("ok"));
        assert!(known.is_at_its_end().await, "but not for ever");
    });
}

#[test]
fn no_more_connections_than_there_are_places() {
    test(Limits { connections: 1, ..Limits::default() }, async |at| {
        let mut first = at.http1().await;
        assert!(first.get("/note/first").await.ends_with("ok"));
        // The second one waits in the kernel until the first has gone.
        let second = async {
            let mut second = at.http1().await;
            assert!(second.get("/note/second").await.ends_with("ok"));
        };
        let first = async move {
            for _ in 0..50 {
                assert!(first.get("/note/first").await.ends_with("ok"));
            }
        };
        tokio::join!(second, first);
        let notes = at.notes.lock().expect("no panic");
        assert_eq!((notes.len(), notes.iter().position(|name| name == "second")), (52, Some(51)));
    });
}

#[test]
fn a_client_that_does_not_read_loses_its_connection() {
    let limits = || Limits { connections: 1, unread: SHORT, ..Limits::default() };
    test(limits(), async |at| {
        let mut client = at.http1().await;
        client.send("GET /big HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n").await;
        // There is a place for another one when the first has lost its own.
        assert!(at.http1().await.get("/livez").await.ends_with("ok"));
        drop(client);
    });
    test(limits(), async |at| {
        let mut client = at.http2().await;
        // Its connection is read, this stream is not.
        let answer = client.send_request(request("GET", "/big")).await.expect("a head");
        assert!(at.http1().await.get("/livez").await.ends_with("ok"));
        drop(answer);
    });
}

#[test]
fn an_answer_is_whole_however_large_it_is() {
    test(Limits::default(), async |at| {
        let mut http2 = at.http2().await;
        let answer = http2.send_request(request("GET", "/big")).await.expect("an answer");
        assert_eq!(answer.headers()["content-length"], BIG_BYTES.to_string());
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes().len(), BIG_BYTES);
    });
}

#[test]
fn a_client_that_forgot_the_s_is_told_and_nonsense_is_closed() {
    test(Limits::default(), async |at| {
        let said = async |text: &[u8]| {
            let mut socket = at.socket().await;
            socket.write_all(text).await.expect("sent");
            let mut answer = Vec::new();
            // Whatever it had not read makes a reset of the close.
            _ = socket.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let plain = said(b"GET /livez HTTP/1.1\r\n").await;
        assert!(plain.is_empty() || plain.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{plain}");
        assert_eq!(said(b"\x00\x01\x02").await, "");
        said(b"\x16\x03\x01\xff\xff nonsense within a record that is longer than can be").await;
        assert!(at.http1().await.get("/livez").await.ends_with("ok"));
    });
}

#[test]
fn requests_one_after_another_and_the_oldest_http_are_answered() {
    test(Limits::default(), async |at| {
        let mut client = at.http1().await;
        client.send(&"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20)).await;
        for _ in 0..20 {
            assert!(client.answer().await.ends_with("ok"));
        }
        let mut old = at.http1().await;
        old.send("GET /livez HTTP/1.0\r\n\r\n").await;
        assert!(old.answer().await.starts_with("HTTP/1.0 200 OK"));
        assert!(old.is_at_its_end().await);
    });
}

/// One frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).expect("small").to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of `GET /never` with the token: static and literal fields (RFC 7541, 6).
fn never_head(stream: u32) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, 6];
    block.extend(b"/never");
    block.extend([0x01, 1]);
    block.extend(b"x");
    block.extend([0x0f, 8, 13]);
    block.extend(b"Bearer secret");
    frame(1, 0x5, stream, &block)
}

/// Opens HTTP/2 by hand, sends `frames`, and gives the kinds of the frames that come until the end or `is_enough`.
async fn spoken(at: &Listening, frames: Vec<u8>, is_enough: impl Fn(&[(u8, u32)]) -> bool) -> Vec<(u8, u32)> {
    let mut stream = at.tls(&[b"h2"]).await;
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(4, 0, 0, &[]));
    opening.extend(frames);
    stream.write_all(&opening).await.expect("sent");
    stream.flush().await.expect("sent");
    let mut came = Vec::new();
    while !is_enough(&came) {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            break;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("small")];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        came.push((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])));
    }
    came
}

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

#[test]
fn an_http2_connection_has_so_many_streams() {
    test(Limits::default(), async |at| {
        let heads = |n: u32| (0..n).flat_map(|at| never_head(2 * at + 1)).collect::<Vec<u8>>();
        let refused = |frames: &[(u8, u32)]| frames.iter().find(|(kind, _)| *kind == RST_STREAM).copied();
        let came = spoken(&at, heads(STREAMS_MAX + 1), |frames| refused(frames).is_some()).await;
        assert_eq!(refused(&came), Some((RST_STREAM, 2 * STREAMS_MAX + 1)), "the one too many, and no other");
    });
}

#[test]
fn a_flood_of_http2_ends_its_own_connection() {
    test(Limits::default(), async |at| {
        let resets = |n: u32| {
            let stream = |at: u32| [never_head(2 * at + 1), frame(3, 0, 2 * at + 1, &8_u32.to_be_bytes())].concat();
            (0..n).flat_map(stream).collect::<Vec<u8>>()
        };
        let endless_head = [frame(1, 0, 1, &[0x82])].into_iter().chain((0..2000).map(|_| frame(9, 0, 1, &[])));
        let cases: [(&str, Vec<u8>); 4] = [
            ("streams that are opened and reset", resets(5000)),
            ("a head without an end", endless_head.flatten().collect()),
            ("an unknown first frame", frame(0, 0, 1, b"data of no stream")),
            ("a frame larger than allowed", frame(0, 0, 1, &vec![0; 1 << 20])),
        ];
        for (case, frames) in cases {
            let came = spoken(&at, frames, |_| false).await;
            let is_told = came.is_empty() || came.iter().any(|(kind, _)| *kind == GOAWAY);
            assert!(is_told, "{case}: {came:?}");
            assert!(at.http1().await.get("/livez").await.ends_with("ok"), "{case}");
        }
    });
}

#[test]
fn a_server_that_drains_answers_but_takes_no_jobs() {
    test(Limits::default(), async |at| {
        let mut http2 = at.http2().await;
        assert_eq!(http2.send_request(request("POST", JOBS)).await.expect("an answer").status(), 201);
        at.server.drain();
        let mut codes = Vec::new();
        for (method, path) in [("POST", JOBS), ("GET", "/readyz"), ("GET", "/livez")] {
            codes.push(http2.send_request(request(method, path)).await.expect("an answer").status().as_u16());
        }
        assert_eq!(codes, [503, 500, 200]);
        assert!(at.http1().await.get("/livez").await.ends_with("ok"), "new connections are taken");
    });
}

#[test]
fn a_server_that_stops_ends_every_connection() {
    test(Limits { farewell: SHORT, ..Limits::default() }, async |at| {
        let _silent = at.socket().await;
        let mut idle = at.http1().await;
        assert!(idle.get("/livez").await.ends_with("ok"));
        let mut http2 = at.http2().await;
        let until = tokio::spawn(http2.send_request(request("GET", "/until-shutdown")));
        let mut never = at.http1().await;
        never.send("GET /never HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n").await;
        let mut asked = at.http1().await;
        assert!(asked.get("/livez").await.ends_with("ok"), "the others have been accepted before this one");
        at.server.stop();
        let answer = until.await.expect("no panic").expect("it ends with its answer");
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "down");
        assert!(idle.is_at_its_end().await);
        assert!(never.is_at_its_end().await, "it is cut off");
        at.running.await.expect("no panic");
        assert!(TcpStream::connect(at.address).await.is_err(), "nobody listens");
    });
}
