//! What nobody should send, at the socket of a real server: each ends in an answer that says no or in the end of its own
//! connection, and the server goes on.

#![expect(clippy::print_stderr, reason = "what connections cost is for whoever asks for it")]

use crate::served::{Answer, Server};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

/// Hostile input may cost this much for good: pools and caches of allocators, not what was sent.
const RSS_GROWTH_MAX: u64 = 96 << 20;

/// What an input may end in.
type Codes = RangeInclusive<u16>;
/// The client has done wrong, and is told.
const REFUSED: Codes = 400..=431;
/// The same, or the connection is closed: whoever sends on cannot always be told.
const REFUSED_OR_CLOSED: Codes = 0..=431;

/// The server does real work, and anybody may see that it lives.
fn assert_alive(server: &Server, after: &str) {
    let answer = server.ask("GET", "/api/v1/namespaces", "");
    assert_eq!(answer.code, 200, "after {after}: {answer:?}");
    assert_eq!(server.ask("GET", "/livez", "").body, "ok", "after {after}");
}

/// Sends each input on a connection of its own.
fn assert_each(server: &Server, cases: Vec<(&str, Vec<u8>, Codes)>) {
    for (case, bytes, codes) in cases {
        let mut client = server.connect(&[]);
        client.send(&bytes);
        let answer = client.answer();
        assert!(codes.contains(&answer.code) && (answer.code == 0 || answer.code >= 400), "{case}: {answer:?}");
        // Below HTTP there is no Status yet, and beside the API none.
        let is_plain = ["", "404 page not found\n"].contains(&answer.body.as_str());
        assert!(is_plain || answer.body.contains(r#""kind":"Status""#), "{case}: {answer:?}");
        assert_alive(server, case);
    }
}

/// Stops a server that had nothing to be sorry for.
fn assert_unharmed(server: Server, rss_before: u64) {
    let rss = server.rss_bytes();
    assert!(rss < rss_before + RSS_GROWTH_MAX, "{} MiB became {} MiB", rss_before >> 20, rss >> 20);
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panic"), "{said}");
}

/// A server that has done everything once.
fn warm(dir: &tempfile::TempDir) -> (Server, u64) {
    let server = Server::start(dir.path());
    assert_alive(&server, "its start");
    let rss = server.rss_bytes();
    eprintln!("an idle server: {} MiB", rss >> 20);
    (server, rss)
}

#[test]
fn requests_that_are_no_requests() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, rss) = warm(&dir);
    let token = &server.token;
    let auth = format!("authorization: Bearer {token}\r\n");
    let head = |line: &str, headers: &str| format!("{line}\r\nhost: x\r\n{auth}{headers}\r\n").into_bytes();
    let get = |path: &str| head(&format!("GET {path} HTTP/1.1"), "connection: close\r\n");
    let cases: Vec<(&str, Vec<u8>, Codes)> = vec![
        (
            "a header of a megabyte",
            head("GET / HTTP/1.1", &format!("x: {}\r\n", "y".repeat(1 << 20))),
            REFUSED_OR_CLOSED,
        ),
        ("ten thousand headers", head("GET / HTTP/1.1", &"a: b\r\n".repeat(10_000)), REFUSED_OR_CLOSED),
        ("a target of a megabyte", get(&format!("/{}", "x".repeat(1 << 20))), REFUSED_OR_CLOSED),
        ("garbage", vec![0xfe; 4096], REFUSED_OR_CLOSED),
        ("zeros", vec![0; 4096], REFUSED_OR_CLOSED),
        ("a header without a colon", head("GET / HTTP/1.1", "nonsense\r\n"), REFUSED),
        ("NUL in a header", head("GET / HTTP/1.1", "x: a\0b\r\n"), REFUSED),
        ("a folded header", head("GET / HTTP/1.1", "x: a\r\n b\r\n"), REFUSED),
        ("a space before the colon", head("GET / HTTP/1.1", "x : a\r\n"), REFUSED),
        ("NUL in the target", get("/api\0"), REFUSED),
        ("raw bytes in the target", [&b"GET /\xff\xfe HTTP/1.1\r\n"[..], auth.as_bytes(), b"\r\n"].concat(), REFUSED),
        ("a target with spaces", get("/a b c"), REFUSED),
        ("no target", head("GET HTTP/1.1", ""), REFUSED),
        ("HTTP 9.9", head("GET / HTTP/9.9", ""), REFUSED_OR_CLOSED),
        ("HTTP 0.9", b"GET /\r\n".to_vec(), REFUSED_OR_CLOSED),
        ("HTTP 1.0 without the token", b"GET /api HTTP/1.0\r\n\r\n".to_vec(), 401..=401),
        ("an unknown method", head(&format!("BREW {JOBS} HTTP/1.1"), "connection: close\r\n"), 405..=405),
        ("CONNECT", head("CONNECT example.org:443 HTTP/1.1", ""), REFUSED),
        ("everything", head("OPTIONS * HTTP/1.1", ""), REFUSED),
        ("another server", get("http://169.254.169.254/latest"), REFUSED),
        ("a negative length", head(&format!("POST {JOBS} HTTP/1.1"), "content-length: -1\r\n"), REFUSED),
        ("two lengths", head(&format!("POST {JOBS} HTTP/1.1"), "content-length: 1\r\ncontent-length: 2\r\n"), REFUSED),
        (
            "a length beyond all numbers",
            head(&format!("POST {JOBS} HTTP/1.1"), &format!("content-length: {}\r\n", "9".repeat(30))),
            REFUSED,
        ),
        ("a length of 99 GB", head(&format!("POST {JOBS} HTTP/1.1"), "content-length: 99999999999\r\n"), 413..=413),
        (
            "two framings",
            [
                head(&format!("POST {JOBS} HTTP/1.1"), "content-length: 4\r\ntransfer-encoding: chunked\r\n"),
                b"0\r\n\r\n".to_vec(),
            ]
            .concat(),
            REFUSED,
        ),
        ("an unknown coding", head(&format!("POST {JOBS} HTTP/1.1"), "transfer-encoding: cow\r\n"), REFUSED),
        (
            "a chunk beyond all numbers",
            [
                head(&format!("POST {JOBS} HTTP/1.1"), "transfer-encoding: chunked\r\n"),
                b"fffffffffffffffff\r\n".to_vec(),
            ]
            .concat(),
            REFUSED_OR_CLOSED,
        ),
        (
            "a chunk that is no number",
            [head(&format!("POST {JOBS} HTTP/1.1"), "transfer-encoding: chunked\r\n"), b"zz\r\n".to_vec()].concat(),
            REFUSED_OR_CLOSED,
        ),
        ("an upgrade to nothing", head("GET /nope HTTP/1.1", "connection: upgrade\r\nupgrade: nothing\r\n"), REFUSED),
        ("the opening of HTTP/2 without ALPN", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), REFUSED_OR_CLOSED),
        (
            "a token of a megabyte",
            format!("GET / HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
            REFUSED_OR_CLOSED,
        ),
        (
            "a token of 16 KiB",
            format!("GET / HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n", "x".repeat(16 << 10)).into_bytes(),
            401..=401,
        ),
        ("a token of no characters", b"GET / HTTP/1.1\r\nauthorization: Bearer \xff\xfe\r\n\r\n".to_vec(), 401..=401),
    ];
    assert_each(&server, cases);
    assert_unharmed(server, rss);
}

#[test]
fn paths_and_queries_that_lead_nowhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, rss) = warm(&dir);
    let refused = [
        "/../../etc/passwd",
        "/apis/batch/v1/namespaces/../../../../etc/passwd",
        "/apis/batch/v1/namespaces/%2e%2e%2f%2e%2e/jobs/x",
        "/apis/batch/v1/namespaces/default/jobs/%00",
        "/apis/batch/v1/namespaces/default/jobs/%ff%fe",
        "/apis/batch/v1/namespaces/default/jobs/%zz",
        "/apis/batch/v1/namespaces/default/jobs/%",
        "/apis/batch/v1/namespaces/default/jobs/a%2fb",
        "/apis/batch/v1/namespaces//jobs/x",
        "//apis/batch/v1/jobs",
        "/apis/batch/v1/jobs/../jobs",
        "/api/v1/namespaces/default/pods/x/log/log",
        "/api/v1/namespaces/default/pods/..%2f..%2ftoken/log",
        "/apis/batch/v1/namespaces/default/jobs?labelSelector=%zz%00",
        "/apis/batch/v1/namespaces/default/jobs?labelSelector=((((((((((",
        "/apis/batch/v1/namespaces/default/jobs?fieldSelector===",
        "/apis/batch/v1/namespaces/default/jobs?limit=99999999999999999999999999",
        "/apis/batch/v1/namespaces/default/jobs?limit=-9223372036854775809",
        "/apis/batch/v1/namespaces/default/jobs?continue=%ff%fe%00",
    ];
    for path in refused {
        let answer = server.ask("GET", path, "");
        assert!((400..=422).contains(&answer.code), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{path}: {answer:?}");
    }
    let names = (0..4000).fold(String::new(), |mut names, at| {
        _ = write!(names, "p{at}=v&");
        names
    });
    let harmless = ["?", "?&&&&===&", "?a=b=c=d", "?%00=%00", "?unknown=[]{}|", &format!("?{}", &names[..20_000])];
    for query in harmless {
        let answer = server.ask("GET", &format!("{JOBS}{query}"), "");
        assert!(matches!(answer.code, 200 | 400), "{query}: {answer:?}");
    }
    assert_alive(&server, "all of them");
    assert_unharmed(server, rss);
}

/// A YAML document in which nine anchors stand for a billion words.
fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..10 {
        let alias = format!("*a{}", at - 1);
        _ = writeln!(text, "a{at}: &a{at} [{}]", vec![alias; 10].join(", "));
    }
    text
}

#[test]
fn bodies_that_are_no_objects() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, rss) = warm(&dir);
    let post = |content_type: &str, body: &[u8]| {
        let (token, length) = (&server.token, body.len());
        let head = format!(
            "POST {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {content_type}\r\n\
             content-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    let json = |text: &str| post("application/json", text.as_bytes());
    let yaml = |text: &str| post("application/yaml", text.as_bytes());
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let spec = |value: &str| format!(r#"{{"metadata":{{"name":"a"}},"spec":{value}}}"#);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let chunked = format!(
        "POST {JOBS} HTTP/1.1\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        server.token,
        chunk.repeat(64)
    );
    let cases: Vec<(&str, Vec<u8>, Codes)> = vec![
        ("nothing", json(""), REFUSED),
        ("no JSON", json("{"), REFUSED),
        ("JSON that is no object", json("[1]"), REFUSED),
        ("a number", json("1e999999"), REFUSED),
        ("not UTF-8", post("application/json", b"{\"a\":\"\xff\xfe\"}"), REFUSED),
        ("NUL", json("\0\0\0\0"), REFUSED),
        ("NUL in a name", json(r#"{"metadata":{"name":"a\u0000b"},"spec":{"template":{}}}"#), REFUSED),
        ("half a surrogate", json(r#"{"metadata":{"name":"\ud800"}}"#), REFUSED),
        ("deep arrays", json(&nested("[", "]")), REFUSED),
        ("deep objects", json(&nested("{\"a\":", "}")), REFUSED),
        ("deep within a Job", json(&spec(&nested("{\"template\":", "}"))), REFUSED),
        ("numbers that are too large", json(&spec(r#"{"parallelism":1e300,"completions":-1,"template":{}}"#)), REFUSED),
        ("no YAML", yaml("a: [\n"), REFUSED),
        ("deep YAML", yaml(&nested("[", "]")), REFUSED),
        ("deep YAML blocks", yaml(&(0..2000).fold(String::new(), |text, at| text + &" ".repeat(at) + "a:\n")), REFUSED),
        ("an alias bomb", yaml(&alias_bomb()), REFUSED),
        ("an alias of itself", yaml("a: &a [*a]\n"), REFUSED),
        ("YAML that is not UTF-8", post("application/yaml", b"a: \xff\xfe\n"), REFUSED),
        ("an unknown type", post("text/html", b"<html>"), 415..=415),
        ("a type of many words", post(&"x;".repeat(5000), b"{}"), 415..=415),
        ("a body that is too large", json(&"x".repeat((3 << 20) + 1)), REFUSED_OR_CLOSED),
        ("a chunked body that is too large", chunked.into_bytes(), REFUSED_OR_CLOSED),
        (
            "ten thousand containers",
            json(&spec(&format!(r#"{{"template":{{"spec":{{"containers":[{}]}}}}}}"#, vec!["{}"; 10_000].join(",")))),
            400..=422,
        ),
    ];
    assert_each(&server, cases);
    assert_unharmed(server, rss);
}

/// The soft limit of open files, which the server inherits.
fn open_files_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
}

#[test]
fn a_thousand_idle_connections_cost_little_and_stop_nobody() {
    // Both sides of each are open files, of this process and of the server; the common limit of 1024 is less than wanted.
    let connections = usize::try_from(open_files_max().saturating_sub(300).min(1000)).expect("small");
    let dir = tempfile::tempdir().expect("a directory");
    let (server, rss) = warm(&dir);
    let request = server.request("GET", "/api/v1/namespaces/default", "");
    let open = |alpn: &[&[u8]]| server.connect(alpn);
    let mut idle: Vec<_> = (0..connections)
        .map(|_| {
            let mut client = open(&[]);
            client.send(request.as_bytes());
            assert_eq!(client.answer().code, 200);
            client
        })
        .collect();
    let cost = server.rss_bytes().saturating_sub(rss);
    eprintln!("{connections} idle connections cost {} KiB", cost >> 10);
    assert_alive(&server, "a thousand connections");
    for client in &mut idle {
        client.send(request.as_bytes());
        let Answer { code, .. } = client.answer();
        assert_eq!(code, 200, "an idle connection is still good");
    }
    drop(idle);
    assert_unharmed(server, rss);
}

#[test]
fn clients_that_leave_in_the_middle() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, rss) = warm(&dir);
    let manifest = r#"{"metadata":{"generateName":"a-"},"spec":{"parallelism":0,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"coracle/hello"}]}}}}"#;
    let whole = server.request("POST", JOBS, manifest);
    for cut in (0..whole.len()).step_by(whole.len() / 50) {
        server.connect(&[]).send(&whole.as_bytes()[..cut]);
    }
    // The whole request, but nobody waits for the answer.
    for _ in 0..50 {
        server.connect(&[]).send(whole.as_bytes());
    }
    // Sockets that say nothing, or less than a TLS record.
    let sockets: Vec<_> = (0..100)
        .map(|at| {
            let mut socket = std::net::TcpStream::connect(server.address).expect("a connection");
            std::io::Write::write_all(&mut socket, &[0x16, 3, 1, 0xff][..at % 5]).expect("sent");
            socket
        })
        .collect();
    assert_alive(&server, "all of them");
    drop(sockets);
    assert_unharmed(server, rss);
}

/// Runs an Indexed Job of short pods to its end.
fn run_pods(server: &Server, name: &str, completions: u32) {
    let manifest = serde_json::json!({
        "metadata": {"name": name},
        "spec": {"completionMode": "Indexed", "completions": completions, "parallelism": 64, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "coracle/hello"}],
        }}},
    });
    let created = server.ask("POST", JOBS, &manifest.to_string());
    assert_eq!(created.code, 201, "{created:?}");
    let path = format!("{JOBS}/{name}");
    loop {
        let job: serde_json::Value = serde_json::from_str(&server.ask("GET", &path, "").body).expect("a Job");
        if job["status"]["succeeded"] == completions {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn watchers_that_do_not_read_cost_little_and_stop_nobody() {
    const PODS: u32 = 2000;
    let dir = tempfile::tempdir().expect("a directory");
    let (server, _) = warm(&dir);
    run_pods(&server, "first", PODS);
    let rss = server.rss_bytes();
    let watch = server.request("GET", "/api/v1/namespaces/default/pods?watch=1&allowWatchBookmarks=true", "");
    let mut watchers: Vec<_> = (0..10)
        .map(|_| {
            let mut client = server.connect(&[]);
            client.send(watch.as_bytes());
            assert!(client.read().starts_with(b"HTTP/1.1 200 "), "the watch has begun");
            client
        })
        .collect();
    run_pods(&server, "second", PODS);
    assert_alive(&server, "ten watchers that do not read");
    // Each has at least the pods of before to read, and is not cut off while it reads.
    for client in &mut watchers {
        let mut added = 0;
        while added < PODS as usize {
            let more = client.read();
            assert!(!more.is_empty(), "only {added} pods came");
            added += String::from_utf8_lossy(&more).matches(r#""type":"ADDED""#).count();
        }
    }
    // Those that still do not read do not keep the server from its end.
    assert_unharmed(server, rss);
}
