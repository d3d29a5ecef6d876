//! `pods/log` through the router, with guests that print what the test appends to a file.

use super::FOLLOWERS_MAX;
use super::lines::Lines;
use super::options::LogOptions;
use super::reading::CHUNK_BYTES;
use crate::api::client::{JOBS_PATH, PODS_PATH, Server, job, query, with_engine, with_server};
use crate::base::Time;
use crate::engine::Health;
use crate::engine::testing::held;
use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;

/// A file that guests print.
struct Script {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Script {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("script");
        std::fs::write(&path, text).expect("a script");
        Self { _dir: dir, path }
    }

    fn word(&self) -> String {
        format!("copy={}", self.path.display())
    }

    fn say(&self, text: &str) {
        let file = std::fs::OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("said");
    }

    fn end(&self) {
        std::fs::remove_file(&self.path).expect("ended");
    }
}

/// Starts a Job of one pod that prints `script`; the path of the pod's log.
async fn start(server: &Server, name: &str, script: &Script) -> String {
    let created = server.post(JOBS_PATH, &job(name, &script.word())).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let prefix = format!("{name}-");
    let find = |pods: &Value| -> Option<String> {
        let pods = pods["items"].as_array()?.iter();
        let mut running = pods.filter(|pod| pod["status"]["phase"] == "Running");
        running
            .find_map(|pod| Some(pod["metadata"]["name"].as_str().filter(|pod| pod.starts_with(&prefix))?.to_owned()))
    };
    let pods = server.wait_for(PODS_PATH, |pods| find(pods).is_some()).await;
    format!("{PODS_PATH}/{}/log", find(&pods).expect("a pod"))
}

/// The same, for a pod that has printed its script and ended.
async fn finished(server: &Server, text: &str) -> String {
    let script = Script::new(text);
    let log = start(server, "a", &script).await;
    let mut body = server.open("GET", &format!("{log}?follow=true"), "", "").await.into_body();
    let mut len = 0;
    while len < text.len() {
        len += chunk(&mut body).await.expect("more of the script").len();
    }
    script.end();
    server.wait_for(JOBS_PATH, |jobs| jobs["items"][0]["status"]["succeeded"] == 1).await;
    log
}

async fn chunk(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.expect("a body without errors");
    Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("a text"))
}

async fn all(server: &Server, path: &str) -> String {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/plain");
    answer.text
}

/// Parameters of a query.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn options(pairs: Pairs<'_>) -> Result<LogOptions, (u16, String)> {
    LogOptions::read(&query(pairs), "p", Time(100_000)).map_err(|status| (status.code(), status.message))
}

#[test]
fn options_are_read_and_refused_in_the_words_of_the_reference() {
    let all = [
        ("container", "c"),
        ("follow", "1"),
        ("previous", ""),
        ("timestamps", "TRUE"),
        ("sinceSeconds", "40"),
        ("tailLines", "0"),
        ("limitBytes", "1"),
        ("pretty", "true"),
        ("insecureSkipTLSVerifyBackend", "true"),
    ];
    let wanted = LogOptions {
        container: Some("c".to_owned()),
        follow: true,
        previous: true,
        timestamps: true,
        since: Some(Time(60_000)),
        tail_lines: Some(0),
        bytes_max: Some(1),
    };
    assert_eq!(options(&all), Ok(wanted));
    let since = |text: &str| options(&[("sinceTime", text)]).map(|options| options.since);
    assert_eq!(since("1970-01-01T00:00:05.25Z"), Ok(Some(Time(5250))));
    assert_eq!(since("1970-01-01T01:00:00+01:00"), Ok(Some(Time(0))));
    assert_eq!((since(""), since("null")), (Ok(None), Ok(None)));
    let off = options(&[("follow", "false"), ("previous", "0"), ("timestamps", "False"), ("container", "")]);
    let off = off.expect("good options");
    assert!(!off.follow && !off.previous && !off.timestamps && off.container.is_none());
    let invalid = |text: &str| (422, format!("PodLogOptions \"p\" is invalid: {text}"));
    let cases: [(Pairs<'_>, (u16, String)); 9] = [
        (&[("tailLines", "-1")], invalid("tailLines: Invalid value: -1: must be greater than or equal to 0")),
        (&[("limitBytes", "0")], invalid("limitBytes: Invalid value: 0: must be greater than 0")),
        (&[("sinceSeconds", "0")], invalid("sinceSeconds: Invalid value: 0: must be greater than 0")),
        (
            &[("sinceSeconds", "1"), ("sinceTime", "1970-01-01T00:00:00Z")],
            invalid("[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"),
        ),
        (&[("stream", "Stdout")], invalid("stream: Forbidden: may not be specified")),
        (
            &[("tailLines", "-5"), ("stream", "All")],
            invalid(
                "[tailLines: Invalid value: -5: must be greater than or equal to 0, stream: Forbidden: may not be \
                 specified]",
            ),
        ),
        (&[("tailLines", "x")], (400, "strconv.ParseInt: parsing \"x\": invalid syntax".to_owned())),
        (&[("limitBytes", "")], (400, "strconv.ParseInt: parsing \"\": invalid syntax".to_owned())),
        (&[("sinceTime", "today")], (400, "parsing time \"today\": not a time of RFC 3339".to_owned())),
    ];
    for (pairs, wanted) in cases {
        assert_eq!(options(pairs), Err(wanted), "{pairs:?}");
    }
}

/// Lines with these options, from pieces of output with their times in ms.
fn shown(pairs: &[(&str, &str)], pieces: &[(u64, &str)]) -> String {
    let mut lines = Lines::new(&options(pairs).expect("good options"));
    let mut out = Vec::new();
    for (at, text) in pieces {
        text.split_inclusive('\n').for_each(|line| lines.push(Time(*at), line.as_bytes(), &mut out));
    }
    String::from_utf8(out).expect("a text")
}

#[test]
fn lines_are_whole_although_they_were_written_in_pieces() {
    let pieces = [(1_999, "a"), (2_000, "b\nc\n"), (2_500, "\nd"), (3_000, "e")];
    let cases: [(Pairs<'_>, &str); 7] = [
        (&[], "ab\nc\n\nde"),
        // The line `ab` was begun before.
        (&[("sinceTime", "1970-01-01T00:00:02Z")], "c\n\nde"),
        (&[("sinceTime", "1970-01-01T00:00:02.501Z")], ""),
        (
            &[("timestamps", "true")],
            "1970-01-01T00:00:01.999000000Z ab\n1970-01-01T00:00:02.000000000Z c\n1970-01-01T00:00:02.500000000Z \n\
             1970-01-01T00:00:02.500000000Z de",
        ),
        (&[("limitBytes", "4")], "ab\nc"),
        (&[("limitBytes", "33"), ("timestamps", "1")], "1970-01-01T00:00:01.999000000Z ab"),
        (&[("limitBytes", "1"), ("sinceTime", "1970-01-01T00:00:02Z")], "c"),
    ];
    for (pairs, wanted) in cases {
        assert_eq!(shown(pairs, &pieces), wanted, "{pairs:?}");
    }
}

#[test]
fn the_last_lines_are_found_from_the_end() {
    for (text, cases) in [
        ("a\nb\nc\n", [(0, ""), (1, "c\n"), (2, "b\nc\n"), (3, "a\nb\nc\n"), (9, "a\nb\nc\n")]),
        ("a\nb\nc", [(0, ""), (1, "c"), (2, "b\nc"), (3, "a\nb\nc"), (9, "a\nb\nc")]),
        ("\n\n\n", [(0, ""), (1, "\n"), (2, "\n\n"), (3, "\n\n\n"), (9, "\n\n\n")]),
    ] {
        with_server(async |server| {
            let log = finished(&server, text).await;
            assert_eq!(all(&server, &log).await, text);
            for (lines, wanted) in cases {
                assert_eq!(all(&server, &format!("{log}?tailLines={lines}")).await, wanted, "{lines} of {text:?}");
            }
            assert_eq!(all(&server, &format!("{log}?limitBytes=2&tailLines=2")).await, wanted_head(text));
            assert_eq!(all(&server, &format!("{log}?sinceTime=2999-01-01T00:00:00Z")).await, "");
            assert_eq!(all(&server, &format!("{log}?sinceTime=2000-01-01T00:00:00Z&follow=true")).await, text);
            server
        });
    }
}

/// The first two bytes of the last two lines.
fn wanted_head(text: &str) -> &str {
    let whole = text.strip_suffix('\n').unwrap_or(text);
    let second = whole.rfind('\n').expect("two lines");
    let first = whole[..second].rfind('\n').map_or(0, |at| at + 1);
    &text[first..first + 2]
}

#[test]
fn a_long_log_comes_in_chunks() {
    with_server(async |server| {
        let line = |n: usize| format!("{n:>63}\n");
        let text: String = (0..10_000).map(line).collect();
        let log = finished(&server, &text).await;
        let mut body = server.open("GET", &log, "", "").await.into_body();
        let mut found = String::new();
        let mut chunks = 0;
        while let Some(part) = chunk(&mut body).await {
            assert!(part.len() <= CHUNK_BYTES + 64, "{}", part.len());
            found.push_str(&part);
            chunks += 1;
        }
        assert!(found == text, "{} bytes of {}", found.len(), text.len());
        assert!(chunks >= text.len() / (CHUNK_BYTES + 64), "{chunks}");
        let tail: String = (4_000..10_000).map(line).collect();
        assert!(all(&server, &format!("{log}?tailLines=6000")).await == tail);
        let stamped = all(&server, &format!("{log}?timestamps=true")).await;
        assert_eq!(stamped.lines().count(), 10_000);
        assert!(stamped.lines().enumerate().all(|(n, text)| text[31..] == line(n)[..63]));
        server
    });
}

#[test]
fn a_follower_gets_what_comes_until_the_pod_has_ended() {
    with_server(async |server| {
        let script = Script::new("one\n");
        let log = start(&server, "a", &script).await;
        let mut body = server.open("GET", &format!("{log}?follow=true"), "", "").await.into_body();
        let mut late = server.open("GET", &format!("{log}?follow=true&tailLines=0"), "", "").await.into_body();
        assert_eq!(chunk(&mut body).await.as_deref(), Some("one\n"));
        let mut found = String::new();
        for text in ["two\n", "three", "\nfour\n"] {
            script.say(text);
            found.push_str(text);
            let mut said = String::new();
            while said != text {
                said += &chunk(&mut body).await.expect("what was said");
            }
        }
        script.say("last");
        script.end();
        let mut rest = String::new();
        while let Some(part) = chunk(&mut body).await {
            rest += &part;
        }
        // What was said in the guest's last moment may not have been read by it.
        assert!(["", "last"].contains(&rest.as_str()), "{rest}");
        let mut after = String::new();
        while let Some(part) = chunk(&mut late).await {
            after += &part;
        }
        assert!(after.trim_start_matches("one\n") == found + &rest, "{after:?}");
        server
    });
}

#[test]
fn a_follower_stops_at_its_limit() {
    with_server(async |server| {
        let script = Script::new("one\n");
        let log = start(&server, "a", &script).await;
        let path = format!("{log}?follow=true&limitBytes=6");
        let mut body = server.open("GET", &path, "", "").await.into_body();
        let mut found = chunk(&mut body).await.expect("a chunk");
        script.say("two\n");
        while let Some(part) = chunk(&mut body).await {
            found += &part;
        }
        assert_eq!(found, "one\ntw");
        server
    });
}

#[test]
fn a_follower_ends_with_the_job_or_the_server() {
    with_server(async |server| {
        let script = Script::new("");
        for is_server in [false, true] {
            let log = start(&server, "a", &script).await;
            let mut body = server.open("GET", &format!("{log}?follow=true"), "", "").await.into_body();
            let end = async {
                match is_server {
                    true => _ = server.shutdown.send_replace(true),
                    false => {
                        let path = format!("{JOBS_PATH}/a?propagationPolicy=Background");
                        assert_eq!(server.send("DELETE", &path, "", "").await.status, 200);
                    }
                }
            };
            let (last, ()) = tokio::join!(chunk(&mut body), end);
            assert_eq!(last, None);
        }
        server
    });
}

#[test]
fn a_follower_waits_for_a_pod_that_has_not_started() {
    with_server(async |server| {
        let script = Script::new("hello\n");
        let mut many = job("a", &script.word());
        // The scripted runtime has room for 128 guests.
        many["spec"]["parallelism"] = json!(140);
        many["spec"]["completions"] = json!(140);
        server.post(JOBS_PATH, &many).await;
        let phase = |pods: &Value, phase: &str| {
            pods["items"].as_array().expect("pods").iter().filter(|pod| pod["status"]["phase"] == phase).count()
        };
        let full = |pods: &Value| phase(pods, "Running") == 128 && phase(pods, "Pending") > 0;
        let pods = server.wait_for(PODS_PATH, full).await;
        let pending = pods["items"].as_array().expect("pods").iter().find(|pod| pod["status"]["phase"] == "Pending");
        let name = pending.expect("a pending pod")["metadata"]["name"].as_str().expect("a name");
        let log = format!("{PODS_PATH}/{name}/log");
        let waiting = format!("container \"c\" in pod \"{name}\" is waiting to start: ContainerCreating");
        let answer = server.get(&log).await;
        assert_eq!((answer.status, answer.message()), (400, waiting.as_str()));
        let mut body = server.open("GET", &format!("{log}?follow=true"), "", "").await.into_body();
        let end = async { script.end() };
        let (last, ()) = tokio::join!(chunk(&mut body), end);
        // It starts after its script has gone, and says nothing.
        assert_eq!(last, None);
        server.wait_for(&format!("{PODS_PATH}/{name}"), |pod| pod["status"]["phase"] == "Succeeded").await;
        server
    });
}

#[test]
fn one_follower_too_many_is_sent_away() {
    with_server(async |server| {
        let script = Script::new("x\n");
        let log = start(&server, "a", &script).await;
        let path = format!("{log}?follow=true");
        let mut followers = Vec::new();
        for _ in 0..FOLLOWERS_MAX {
            let response = server.open("GET", &path, "", "").await;
            assert_eq!(response.status().as_u16(), 200);
            followers.push(response);
        }
        let refused = server.get(&path).await;
        assert_eq!((refused.status, refused.body["reason"].as_str()), (429, Some("TooManyRequests")));
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(server.get(&log).await.status, 200);
        followers.pop();
        assert_eq!(server.open("GET", &path, "", "").await.status().as_u16(), 200);
        server
    });
}

#[test]
fn logs_that_are_not_there_are_refused() {
    with_server(async |server| {
        let log = finished(&server, "x\n").await;
        let name = log.split('/').nth(6).expect("a pod").to_owned();
        let cases = [
            (format!("{log}?container=x"), 400, format!("container x is not valid for pod {name}")),
            (
                format!("{log}?previous=true"),
                400,
                format!("previous terminated container \"c\" in pod \"{name}\" not found"),
            ),
            (format!("{PODS_PATH}/none/log?follow=true"), 404, "pods \"none\" not found".to_owned()),
            (
                format!("{PODS_PATH}/none/log?limitBytes=0"),
                422,
                "PodLogOptions \"none\" is invalid: limitBytes: Invalid value: 0: must be greater than 0".to_owned(),
            ),
        ];
        for (path, status, message) in cases {
            let answer = server.get(&path).await;
            assert_eq!((answer.status, answer.message()), (status, message.as_str()));
        }
        assert_eq!(all(&server, &format!("{log}?container=c")).await, "x\n");
        server
    });
}

/// The rest of a body.
async fn rest(body: &mut Body) -> String {
    let mut rest = String::new();
    while let Some(part) = chunk(body).await {
        rest += &part;
    }
    rest
}

/// Waits until so many bytes of the log at this path can be read.
async fn written(server: &Server, log: &str, bytes: u32) {
    let handle = server.engine.handle();
    let name = log.split('/').nth(6).expect("a pod");
    let pod = handle.view().pod("default", name).expect("it is shown").record;
    while handle.logs().newest(pod.job, pod.ordinal).is_none_or(|extent| extent.bytes < bytes) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_log_is_there_although_the_end_of_its_pod_never_becomes_durable() {
    let (engine, told) = held();
    with_engine(engine, async move |server| {
        let script = Script::new("a\nb\nc\n");
        let log = start(&server, "a", &script).await;
        script.end();
        told.send(()).expect("the store listens");
        while server.engine.handle().health() == Health::Ok {
            tokio::task::yield_now().await;
        }
        assert_eq!(all(&server, &log).await, "a\nb\nc\n");
        assert_eq!(all(&server, &format!("{log}?tailLines=2")).await, "b\nc\n");
        let mut body = server.open("GET", &format!("{log}?follow=true&tailLines=1"), "", "").await.into_body();
        assert_eq!(chunk(&mut body).await.as_deref(), Some("c\n"));
        server
    });
}

/// The path of the log of a pod of this Job.
fn log_of(pods: &Value, job: &str) -> Option<String> {
    let mut names = pods["items"].as_array()?.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    Some(format!("{PODS_PATH}/{}/log", names.find(|name| name.starts_with(&format!("{job}-")))?))
}

#[test]
fn the_last_lines_are_those_of_a_pod_that_ended_but_is_not_shown_so() {
    let (engine, told) = held();
    with_engine(engine, async move |server| {
        let script = Script::new("a\nb\nc\n");
        let mut many = job("a", &script.word());
        // As many as the scripted runtime has room for, so that the next pod waits.
        many["spec"]["parallelism"] = json!(128);
        many["spec"]["completions"] = json!(128);
        server.post(JOBS_PATH, &many).await;
        server.wait_for(&format!("{JOBS_PATH}/a"), |job| job["status"]["ready"] == 128).await;
        server.post(JOBS_PATH, &job("b", "7")).await;
        let pods = server.wait_for(PODS_PATH, |pods| log_of(pods, "b").is_some()).await;
        let (parked, short) = (log_of(&pods, "a").expect("many"), log_of(&pods, "b").expect("it was there"));
        script.end();
        written(&server, &short, 1).await;
        assert_eq!(server.get(&short).await.status, 400, "it is not shown as started");
        let mut of_short = server.open("GET", &format!("{short}?follow=true&tailLines=0"), "", "").await.into_body();
        let mut of_parked = server.open("GET", &format!("{parked}?follow=true&tailLines=1"), "", "").await.into_body();
        assert_eq!(chunk(&mut of_parked).await.as_deref(), Some("c\n"));
        drop(told);
        assert_eq!((rest(&mut of_short).await, rest(&mut of_parked).await), (String::new(), String::new()));
        assert_eq!(all(&server, &short).await, "7");
        server
    });
}

/// A follower who has not read yet when his pod goes.
async fn late_follower(server: &Server, script: &Script) -> Body {
    let log = start(server, "a", script).await;
    let body = server.open("GET", &format!("{log}?follow=true"), "", "").await.into_body();
    script.say("two\n");
    written(server, &log, 8).await;
    body
}

#[test]
fn a_follower_gets_the_rest_of_a_pod_that_was_stopped() {
    with_server(async |server| {
        let script = Script::new("one\n");
        let mut body = late_follower(&server, &script).await;
        let fewer = server.patch(&format!("{JOBS_PATH}/a"), &json!({"spec": {"parallelism": 0}})).await;
        assert_eq!(fewer.status, 200, "{}", fewer.text);
        server.wait_for(PODS_PATH, |pods| pods["items"].as_array().is_some_and(Vec::is_empty)).await;
        assert_eq!(rest(&mut body).await, "one\ntwo\n");
        server
    });
}

#[test]
fn a_follower_gets_what_a_pod_wrote_until_its_job_was_deleted() {
    with_server(async |server| {
        let script = Script::new("one\n");
        let mut body = late_follower(&server, &script).await;
        let deleted = server.send("DELETE", &format!("{JOBS_PATH}/a?propagationPolicy=Background"), "", "").await;
        assert_eq!(deleted.status, 200, "{}", deleted.text);
        assert_eq!(rest(&mut body).await, "one\ntwo\n");
        server
    });
}
