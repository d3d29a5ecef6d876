//! The client against a scripted server.

use super::*;
use crate::cli::remote::kubeconfig::Trust;
use crate::cli::remote::testing::{Reply, accept, lines, scripted, target};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn requests_follow_one_another_on_a_connection_with_their_credentials() {
    block_on(async {
        let there = scripted(|asked| Reply::Json(200, json!({"path": asked.path}))).await;
        let mut connection = there.server.connection();
        assert_eq!(connection.get("/a?b=c").await.expect("an answer").body["path"], "/a?b=c");
        assert_eq!(connection.post("/d", &json!({"x": 1})).await.expect("an answer").status, 200);
        assert_eq!(connection.delete("/e").await.expect("an answer").status, 200);
        assert_eq!(there.paths(), ["GET /a?b=c", "POST /d", "DELETE /e"]);
        let asked = there.asked.lock().expect("unlocked");
        assert!(asked.iter().all(|asked| asked.token.as_deref() == Some("Bearer t0ken")));
        assert_eq!(asked[1].body, "{\"x\":1}");
    });
}

#[test]
fn a_read_on_a_connection_that_was_closed_is_sent_again_and_a_write_is_not() {
    block_on(async {
        let count = AtomicUsize::new(0);
        let there = scripted(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            1 | 4 => Reply::Close,
            _ => Reply::Json(200, json!({})),
        })
        .await;
        let mut connection = there.server.connection();
        connection.get("/1").await.expect("an answer");
        connection.get("/2").await.expect("an answer at the second attempt");
        connection.get("/3").await.expect("an answer");
        let broken = connection.post("/4", &json!({})).await.expect_err("it may have been done");
        assert!(matches!(broken, RemoteError::Broken { .. }), "{broken}");
        assert_eq!(there.paths(), ["GET /1", "GET /2", "GET /2", "GET /3", "POST /4"]);
    });
}

#[test]
fn nobody_there_and_nobody_known_are_told_apart() {
    block_on(async {
        let there = scripted(|_| Reply::Json(401, json!({"message": "Unauthorized"}))).await;
        let unknown = there.server.connection().get("/").await.expect_err("401");
        assert!(matches!(unknown, RemoteError::Unauthorized { .. }), "{unknown}");
        let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
        let server = Server::of(target(&format!("http://127.0.0.1:{port}"), Trust::System)).expect("a server");
        let refused = server.connection().get("/").await.expect_err("nobody listens");
        assert!(matches!(refused, RemoteError::Unreachable { is_refused: true, .. }), "{refused}");
        let told = format!("{:?}", refused.told());
        assert!(told.contains("is the server running? coracle serve"), "{told}");
    });
}

#[test]
fn a_stream_gives_whole_lines_and_an_error_comes_as_an_answer() {
    block_on(async {
        let there = scripted(|asked| match asked.path.as_str() {
            "/lines" => {
                let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
                for piece in ["{\"a\"", ":1}\n\n{\"b\":", "2}\n{\"cut"] {
                    sender.send(Bytes::from(piece)).expect("open");
                }
                Reply::Stream(receiver)
            }
            "/none" => lines(&[]),
            _ => Reply::Json(410, json!({"reason": "Expired"})),
        })
        .await;
        let mut stream = there.server.connection().stream("/lines").await.expect("an answer").expect("a stream");
        for line in ["{\"a\":1}", "", "{\"b\":2}"] {
            assert_eq!(stream.next_line().await.expect("a line").as_deref(), Some(line.as_bytes()));
        }
        assert_eq!(stream.next_line().await.expect("the end"), None);
        let mut none = there.server.connection().stream("/none").await.expect("an answer").expect("a stream");
        assert_eq!(none.next_line().await.expect("the end"), None);
        let expired = there.server.connection().stream("/old").await.expect("an answer").expect_err("410");
        assert_eq!((expired.status, &expired.body["reason"]), (410, &json!("Expired")));
    });
}

#[test]
fn a_line_and_an_answer_end_at_their_limits() {
    block_on(async {
        let there = scripted(|asked| {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            let megabytes = if asked.path == "/line" { LINE_BYTES_MAX } else { ANSWER_BYTES_MAX } >> 20;
            (0..megabytes).for_each(|_| sender.send(piece.clone()).expect("open"));
            sender.send(Bytes::from_static(b"y")).expect("open");
            Reply::Stream(receiver)
        })
        .await;
        let mut stream = there.server.connection().stream("/line").await.expect("an answer").expect("a stream");
        assert!(matches!(stream.next_line().await, Err(RemoteError::TooLong { .. })));
        let long = there.server.connection().get("/answer").await.expect_err("too long");
        assert!(matches!(long, RemoteError::TooLong { .. }), "{long}");
    });
}

#[test]
fn a_certificate_is_trusted_by_its_authority_or_not_looked_at() {
    block_on(async {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate and its key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("bound"));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(accept(listener, Some(acceptor), Arc::new(|_| Reply::Json(200, json!({}))), Arc::default()));
        let ask = async |trust| Server::of(target(&url, trust)).expect("a server").connection().get("/").await;
        assert_eq!(ask(Trust::Authorities(made.cert.pem().into())).await.expect("trusted").status, 200);
        assert_eq!(ask(Trust::Anyone).await.expect("not looked at").status, 200);
        let untrusted = ask(Trust::Authorities(other.cert.pem().into())).await.expect_err("another authority");
        assert!(matches!(untrusted, RemoteError::Untrusted { .. }), "{untrusted}");
        let mut elsewhere = target(&url, Trust::Authorities(made.cert.pem().into()));
        elsewhere.server_name = Some("other.example".to_owned());
        let wrong_name =
            Server::of(elsewhere).expect("a server").connection().get("/").await.expect_err("another name");
        assert!(matches!(wrong_name, RemoteError::Untrusted { .. }), "{wrong_name}");
    });
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    block_on(async {
        // It takes connections and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let server = Server::of(target(&url, Trust::System)).expect("a server");
        let mut connection = server.connection();
        connection.silence = Duration::from_millis(1);
        let silent = connection.get("/").await.expect_err("no head comes");
        assert!(matches!(&silent, RemoteError::Broken { why, .. } if why.contains("nothing came for")), "{silent}");
        let silent = connection.stream("/").await.expect_err("no head comes");
        assert!(matches!(silent, RemoteError::Broken { .. }), "{silent}");
    });
}

#[test]
fn an_answer_that_stops_in_the_middle_is_given_up_and_a_stream_is_not() {
    block_on(async {
        let (sender, pieces) = tokio::sync::mpsc::unbounded_channel();
        sender.send(Bytes::from_static(b"{\"a\":")).expect("open");
        let pieces = std::sync::Mutex::new(vec![Reply::Stream(pieces)]);
        let there = scripted(move |asked| match asked.path.as_str() {
            "/stops" => pieces.lock().expect("unlocked").pop().unwrap_or(Reply::Close),
            _ => lines(&[json!(1)]),
        })
        .await;
        let mut connection = there.server.connection();
        // The head must come within it; the test waits for it as long as it takes.
        connection.silence = Duration::from_millis(200);
        let silent = connection.get("/stops").await.expect_err("its rest does not come");
        assert!(matches!(&silent, RemoteError::Broken { why, .. } if why.contains("nothing came for")), "{silent}");
        drop(sender);
    });
}

#[test]
fn what_no_request_can_be_made_of_is_an_error() {
    block_on(async {
        let there = scripted(|_| Reply::Json(200, json!({}))).await;
        let long = format!("/modules/{}", "x".repeat(64 << 10));
        let error = there.server.connection().get(&long).await.expect_err("too long");
        assert!(matches!(error, RemoteError::Unsendable { .. }), "{error}");
        assert_eq!(error.told().code(), code::USAGE);
        assert!(there.paths().is_empty());
        let mut bad = target("http://127.0.0.1:1", Trust::System);
        bad.token = Some(crate::cli::remote::kubeconfig::Secret("two\nlines".to_owned()));
        let error = Server::of(bad).expect_err("no header value");
        let said = format!("{error:?}");
        assert!(error.code() == code::USAGE && said.contains("token") && said.contains("(test)"), "{said}");
        assert!(!said.contains("lines"), "{said}");
    });
}
