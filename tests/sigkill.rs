//! A server that sixteen clients use, killed with SIGKILL two hundred times, keeps every promise that it made.
//!
//! Twelve writers create, patch and delete Jobs and keep a ledger of what they were told; four watchers follow Jobs and pods
//! and keep a mirror of what they were shown. After each restart a writer compares its ledger with the server. The seed is
//! printed; `CORACLE_CRASH_SEED` replays the same choices.

#![expect(clippy::print_stderr, reason = "the seed and the counts belong to a failed run")]

use crate::client::{Client, Credentials, Reply};
use crate::served::{Server, serve};
use coracle::base::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Kills at least; more of them until enough met load, for a slow machine spends more of its time in starts.
const KILLS: usize = 200;
const KILLS_MAX: usize = 500;
/// Kills that must meet an unacknowledged write and ten running pods.
const LOADED_KILLS_MIN: usize = 150;
const RUNNING_MIN: usize = 10;

const WRITERS: usize = 12;
/// Kills that a Job of sleeping pods lives through, before the next takes its place.
const SLEEPERS_KILLS: usize = 8;

/// Jobs that a writer keeps; it deletes the oldest beyond that.
const KEPT_MAX: usize = 12;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Whether the server is there, and in which of its lives.
#[derive(Default)]
struct Gate {
    life: Mutex<usize>,
    opened: Condvar,
    is_broken: AtomicBool,
}

impl Gate {
    fn open(&self) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.opened.notify_all();
    }

    /// Waits for a life after `seen`; none comes after a thread has failed.
    fn pass(&self, seen: usize) -> usize {
        let waits = |life: &mut usize| *life <= seen && !self.is_broken.load(Ordering::Relaxed);
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let life = *self.opened.wait_while(life, waits).unwrap_or_else(PoisonError::into_inner);
        assert!(!self.is_broken.load(Ordering::Relaxed), "another thread has failed");
        life
    }
}

/// Ends the test when its thread fails.
struct Guard<'a>(&'a World);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.gate.is_broken.store(true, Ordering::Relaxed);
            self.0.gate.opened.notify_all();
        }
    }
}

/// What all threads share.
#[derive(Default)]
struct World {
    gate: Gate,
    /// Writers go on until this is set.
    is_over: AtomicBool,
    /// Writes that were sent and never answered, in all.
    unanswered: AtomicUsize,
    acknowledged: AtomicUsize,
    /// Pods that a watcher sees running.
    running: AtomicUsize,
    /// Which change each resourceVersion belongs to.
    versions: Mutex<BTreeMap<u64, String>>,
    /// How often a watch had expired.
    expired: AtomicUsize,
}

fn job(name: &str, writer: &str, image: &str, args: &[&str], completions: u32, parallelism: u32) -> Vec<u8> {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {"writer": writer, "seq": "0"}},
        "spec": {
            "completionMode": "Indexed", "completions": completions, "parallelism": parallelism,
            "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": image, "args": args}],
            }},
        },
    });
    job.to_string().into_bytes()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().expect("a resourceVersion is a number")
}

/// What a writer knows of a Job of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    uid: String,
    seq: u64,
}

struct Writer<'a> {
    world: &'a World,
    name: String,
    rng: Rng,
    credentials: &'a Credentials,
    client: Client,
    life: usize,
    made: u64,
    /// What was acknowledged, by name.
    ledger: BTreeMap<String, Kept>,
}

/// A write, by what the Job is after it; `None` is gone.
struct Attempt<'a> {
    name: &'a str,
    seq: Option<u64>,
}

impl Writer<'_> {
    fn run(mut self) -> BTreeMap<String, Kept> {
        let _guard = Guard(self.world);
        while !self.world.is_over.load(Ordering::Relaxed) {
            match self.rng.next_u64() % 4 {
                _ if self.ledger.len() >= KEPT_MAX => self.delete(),
                0 | 1 => self.create(),
                2 => self.patch(),
                _ => self.delete(),
            }
        }
        self.ledger
    }

    fn create(&mut self) {
        self.made += 1;
        let name = format!("{}-{}", self.name, self.made);
        let pause = format!("0.0{}", self.rng.next_u64() % 10);
        let body = match self.rng.next_u64() % 2 {
            0 => job(&name, &self.name, "coracle/hello", &[], 2, 2),
            _ => job(&name, &self.name, "coracle/sleep", &[&pause], 2, 1),
        };
        self.write(&Attempt { name: &name, seq: Some(0) }, "POST", JOBS, "application/json", &body, 201);
    }

    fn any(&mut self) -> Option<String> {
        let at = usize::try_from(self.rng.next_u64()).unwrap_or(0) % self.ledger.len().max(1);
        self.ledger.keys().nth(at).cloned()
    }

    fn patch(&mut self) {
        let Some(name) = self.any() else { return };
        let seq = self.ledger[&name].seq + 1;
        let body = json!({"metadata": {"labels": {"seq": seq.to_string()}}}).to_string();
        let attempt = Attempt { name: &name, seq: Some(seq) };
        self.write(&attempt, "PATCH", &format!("{JOBS}/{name}"), MERGE_PATCH, body.as_bytes(), 200);
    }

    fn delete(&mut self) {
        let Some(name) = self.any() else { return };
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": self.ledger[&name].uid},
        });
        let attempt = Attempt { name: &name, seq: None };
        let path = format!("{JOBS}/{name}");
        self.write(&attempt, "DELETE", &path, "application/json", options.to_string().as_bytes(), 200);
    }

    fn write(&mut self, attempt: &Attempt<'_>, method: &str, path: &str, kind: &str, body: &[u8], status: u16) {
        match self.client.send(method, path, kind, body) {
            Ok(reply) if reply.status == 429 => {}
            Ok(reply) => {
                assert_eq!(reply.status, status, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
                self.world.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.keep(attempt, &reply.json());
            }
            Err(_) => {
                self.world.unanswered.fetch_add(1, Ordering::Relaxed);
                self.come_back(attempt);
            }
        }
    }

    /// The write was acknowledged.
    fn keep(&mut self, attempt: &Attempt<'_>, object: &Value) {
        match attempt.seq {
            None => _ = self.ledger.remove(attempt.name),
            Some(seq) => {
                assert_eq!(text(object, "/metadata/labels/seq"), seq.to_string(), "{object}");
                let uid = text(object, "/metadata/uid").to_owned();
                self.ledger.insert(attempt.name.to_owned(), Kept { uid, seq });
            }
        }
    }

    /// The server died: everything acknowledged must be there, and the write in doubt is done or is not.
    fn come_back(&mut self, attempt: &Attempt<'_>) {
        let mut there = loop {
            self.life = self.world.gate.pass(self.life);
            self.client = Client::new(self.credentials);
            let selected = format!("{JOBS}?labelSelector=writer%3D{}", self.name);
            if let Ok(reply) = self.client.send("GET", &selected, "", b"") {
                break kept(&reply);
            }
        };
        let (before, after) = (self.ledger.remove(attempt.name), there.remove(attempt.name));
        assert_eq!(there, self.ledger, "{} was told something else", self.name);
        match (&before, &after) {
            // Not done.
            (before, after) if before == after => {}
            (_, None) => assert_eq!(attempt.seq, None, "{} is gone", attempt.name),
            (_, Some(found)) => {
                assert_eq!(attempt.seq, Some(found.seq), "{}: {before:?} has become {after:?}", attempt.name);
                assert!(before.as_ref().is_none_or(|before| before.uid == found.uid), "{before:?} {after:?}");
            }
        }
        self.ledger.extend(after.map(|after| (attempt.name.to_owned(), after)));
    }
}

/// The Jobs of a list as a writer's ledger has them.
fn kept(reply: &Reply) -> BTreeMap<String, Kept> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let list = reply.json();
    let entry = |job: &Value| {
        let seq = text(job, "/metadata/labels/seq").parse().expect("a number");
        (text(job, "/metadata/name").to_owned(), Kept { uid: text(job, "/metadata/uid").to_owned(), seq })
    };
    list["items"].as_array().expect("a list").iter().map(entry).collect()
}

/// What a watcher was shown of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    uid: String,
    phase: String,
}

impl Shown {
    fn of(object: &Value) -> (String, Self) {
        let name = text(object, "/metadata/name").to_owned();
        let uid = text(object, "/metadata/uid").to_owned();
        (name, Self { uid, phase: text(object, "/status/phase").to_owned() })
    }

    fn is_running(&self) -> bool {
        self.phase == "Running"
    }
}

struct Watcher<'a> {
    world: &'a World,
    credentials: &'a Credentials,
    collection: &'static str,
    /// The last version that it was shown; `None` before the first list and after a 410.
    from: Option<u64>,
    highest: u64,
    mirror: BTreeMap<String, Shown>,
    running: usize,
    events: usize,
}

impl Watcher<'_> {
    /// Follows the collection until the Job or pod `end` has come to its end.
    fn run(mut self) -> (BTreeMap<String, Shown>, usize) {
        let _guard = Guard(self.world);
        let mut life = 0;
        loop {
            life = self.world.gate.pass(life);
            while let Ok(is_over) = self.follow() {
                if is_over {
                    return (self.mirror, self.events);
                }
            }
        }
    }

    /// One watch, from where the last one ended; true at the end of all.
    fn follow(&mut self) -> io::Result<bool> {
        let mut client = Client::new(self.credentials);
        let from = match self.from {
            Some(from) => from,
            None => self.list(&mut client)?,
        };
        let path = format!("{}?watch=true&allowWatchBookmarks=true&resourceVersion={from}", self.collection);
        let mut lines = BufReader::new(client.open("GET", &path, "", b"")?);
        assert_eq!(lines.get_ref().status, 200, "{path}");
        let mut line = String::new();
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            let event: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
            if text(&event, "/type") == "ERROR" {
                assert_eq!(event["object"]["code"], 410, "{event}");
                self.world.expired.fetch_add(1, Ordering::Relaxed);
                self.from = None;
                return Ok(false);
            }
            if self.take(&event) {
                return Ok(true);
            }
        }
    }

    fn list(&mut self, client: &mut Client) -> io::Result<u64> {
        let reply = client.send("GET", self.collection, "", b"")?;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let list = reply.json();
        let rv = version(&list);
        assert!(rv >= self.highest, "a list at {rv} after an event at {}", self.highest);
        self.mirror = list["items"].as_array().expect("a list").iter().map(Shown::of).collect();
        self.running = self.mirror.values().filter(|shown| shown.is_running()).count();
        (self.from, self.highest) = (Some(rv), rv);
        Ok(rv)
    }

    fn take(&mut self, event: &Value) -> bool {
        let (kind, object) = (text(event, "/type"), &event["object"]);
        let rv = version(object);
        if kind == "BOOKMARK" {
            assert!(rv >= self.highest, "a bookmark at {rv} after {}", self.highest);
            (self.from, self.highest) = (Some(rv), rv);
            return false;
        }
        assert!(rv > self.highest, "{kind} at {rv} after {}: {object}", self.highest);
        (self.from, self.highest) = (Some(rv), rv);
        self.events += 1;
        let (name, shown) = Shown::of(object);
        self.note_version(rv, kind, &name, &shown.uid);
        let before = self.mirror.get(&name).map(|before| before.uid.clone());
        match kind {
            "ADDED" => assert_eq!(before, None, "{name} was added twice, or its DELETED was skipped"),
            "MODIFIED" | "DELETED" => assert_eq!(before.as_ref(), Some(&shown.uid), "{kind} of {name}"),
            other => panic!("a watch event of type {other}"),
        }
        let is_end = name == "end" && !object["status"]["completionTime"].is_null()
            || name.starts_with("end-") && shown.phase == "Succeeded";
        let is_running = kind != "DELETED" && shown.is_running();
        let was = if kind == "DELETED" { self.mirror.remove(&name) } else { self.mirror.insert(name, shown) };
        self.running += usize::from(is_running);
        self.running -= usize::from(was.is_some_and(|was| was.is_running()));
        if self.collection.ends_with("pods") {
            self.world.running.store(self.running, Ordering::Relaxed);
        }
        is_end
    }

    /// Every version belongs to one change.
    fn note_version(&self, rv: u64, kind: &str, name: &str, uid: &str) {
        let change = format!("{kind} {name} {uid}");
        let mut versions = self.world.versions.lock().expect("no test thread panicked");
        let known = versions.entry(rv).or_insert_with(|| change.clone());
        assert_eq!(*known, change, "version {rv} came twice");
    }
}

/// Kills the server at a random moment and starts it again.
fn kill_and_start(
    world: &World,
    server: &mut Server,
    rng: &mut Rng,
    command: impl Fn() -> Command,
    start: impl Fn(Command) -> Server,
) -> bool {
    // Most moments are under full load; some are in a start.
    for _ in 0..400 {
        if world.running.load(Ordering::Relaxed) >= RUNNING_MIN {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_micros(rng.next_u64() % 60_000));
    let running = world.running.swap(0, Ordering::Relaxed);
    let unanswered = world.unanswered.load(Ordering::Relaxed);
    server.kill();
    assert!(!server.said().contains("panic"), "{}", server.said());
    if rng.next_u64().is_multiple_of(16) {
        let mut short = command().spawn().expect("the binary starts");
        std::thread::sleep(Duration::from_micros(rng.next_u64() % 50_000));
        short.kill().and_then(|()| short.wait()).expect("SIGKILL");
    }
    *server = start(command());
    // A writer that was cut off has noticed by now: its socket was closed with the process.
    let is_loaded = running >= RUNNING_MIN && world.unanswered.load(Ordering::Relaxed) > unanswered;
    world.gate.open();
    is_loaded
}

/// A Job whose pods are always running.
fn put_sleepers(client: &mut Client, number: usize) {
    let sleepers = job(&format!("sleepers-{number}"), "nobody", "coracle/sleep", &["0.25"], 100_000, 48);
    let made = client.send("POST", JOBS, "application/json", &sleepers).expect("the server stays");
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
}

/// Ends what [`put_sleepers`] began, so that lists stay short.
fn remove_sleepers(client: &mut Client, number: usize) {
    let path = format!("{JOBS}/sleepers-{number}");
    let before = client.send("GET", &path, "", b"").expect("the server stays").json();
    assert!(before["status"]["failed"].is_null(), "{before}");
    let policy = br#"{"propagationPolicy":"Background"}"#;
    let gone = client.send("DELETE", &path, "application/json", policy).expect("the server stays");
    assert_eq!(gone.status, 200, "{}", String::from_utf8_lossy(&gone.body));
}

/// Waits until every Job is finished.
fn finish(client: &mut Client) -> Vec<Value> {
    loop {
        let list = client.send("GET", JOBS, "", b"").expect("the server stays").json();
        let jobs = list["items"].as_array().expect("a list");
        let is_done = |job: &&Value| job["status"]["completionTime"].is_string();
        if jobs.iter().all(|job| is_done(&job)) {
            return jobs.clone();
        }
        assert!(jobs.iter().all(|job| job["status"]["failed"].is_null()), "a Job failed: {list}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Counters and pods of a finished Job agree with its spec.
fn check_job(client: &mut Client, job: &Value) {
    let (name, uid) = (text(job, "/metadata/name"), text(job, "/metadata/uid"));
    let completions = job["spec"]["completions"].as_u64().expect("Indexed");
    let status = &job["status"];
    assert_eq!(status["succeeded"], completions, "{job}");
    let completed = if completions == 1 { "0".to_owned() } else { format!("0,{}", completions - 1) };
    let completed = if completions > 2 { format!("0-{}", completions - 1) } else { completed };
    assert_eq!(text(status, "/completedIndexes"), completed, "{job}");
    for counter in ["failed", "active", "terminating"] {
        assert_eq!(status[counter].as_u64().unwrap_or(0), 0, "{counter} of {job}");
    }
    let path = format!("/api/v1/namespaces/default/pods?labelSelector=batch.kubernetes.io%2Fcontroller-uid%3D{uid}");
    let pods = client.send("GET", &path, "", b"").expect("the server stays").json();
    let succeeded = |pod: &&Value| text(pod, "/status/phase") == "Succeeded";
    let mut indexes: Vec<&str> = (pods["items"].as_array().expect("a list").iter().filter(succeeded))
        .map(|pod| pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"].as_str().expect("an index"))
        .collect();
    indexes.sort_unstable();
    let all = indexes.len();
    indexes.dedup();
    assert_eq!((indexes.len() as u64, all as u64), (completions, completions), "pods of {name} that succeeded");
}

#[test]
fn two_hundred_kills_of_a_server_break_no_promise() {
    let given = std::env::var("CORACLE_CRASH_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("CORACLE_CRASH_SEED={seed}");
    let mut rng = Rng::new(seed);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    // The same address in every life: clients come back to it.
    let address = server.address.to_string();
    let command = || serve(&data, &["--listen", &address]);
    let start = |command| Server::start_with(command, &data);
    let (world, credentials) = (&World::default(), &Credentials::of(&server));
    world.gate.open();
    std::thread::scope(|scope| {
        let _guard = Guard(world);
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (name, rng) = (format!("w{number}"), Rng::new(rng.next_u64()));
                let client = Client::new(credentials);
                let ledger = BTreeMap::new();
                let writer = Writer { world, name, rng, credentials, client, life: 1, made: 0, ledger };
                scope.spawn(move || writer.run())
            })
            .collect();
        let watchers: Vec<_> = [JOBS, PODS, JOBS, PODS]
            .into_iter()
            .map(|collection| {
                let mirror = BTreeMap::new();
                let watcher =
                    Watcher { world, credentials, collection, from: None, highest: 0, mirror, running: 0, events: 0 };
                (collection, scope.spawn(move || watcher.run()))
            })
            .collect();
        let (mut kills, mut loaded) = (0, 0);
        put_sleepers(&mut Client::new(credentials), 0);
        while kills < KILLS || loaded < LOADED_KILLS_MIN && kills < KILLS_MAX {
            loaded += usize::from(kill_and_start(world, &mut server, &mut rng, command, start));
            kills += 1;
            assert!(!world.gate.is_broken.load(Ordering::Relaxed), "a promise was broken after kill {kills}");
            if kills % SLEEPERS_KILLS == 0 {
                let client = &mut Client::new(credentials);
                remove_sleepers(client, kills / SLEEPERS_KILLS - 1);
                put_sleepers(client, kills / SLEEPERS_KILLS);
            }
        }
        world.is_over.store(true, Ordering::Relaxed);
        let mut ledger = BTreeMap::new();
        for writer in writers {
            ledger.append(&mut writer.join().expect("a writer's ledger held"));
        }
        let mut client = Client::new(credentials);
        remove_sleepers(&mut client, kills / SLEEPERS_KILLS);
        check_the_end(&mut client, &ledger);
        let mut events = 0;
        for (collection, watcher) in watchers {
            let (mirror, seen) = watcher.join().expect("a watcher's mirror held");
            events += seen;
            let list = client.send("GET", collection, "", b"").expect("the server stays").json();
            let there: BTreeMap<String, Shown> =
                list["items"].as_array().expect("a list").iter().map(Shown::of).collect();
            assert_eq!(mirror, there, "what a watcher of {collection} was shown, and what is there");
        }
        eprintln!(
            "{kills} kills: {loaded} under load; {} writes acknowledged, {} in doubt; {events} events, {} watches expired",
            world.acknowledged.load(Ordering::Relaxed),
            world.unanswered.load(Ordering::Relaxed),
            world.expired.load(Ordering::Relaxed),
        );
        assert!(loaded >= LOADED_KILLS_MIN, "only {loaded} kills met a write in doubt and {RUNNING_MIN} running pods");
    });
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panic"), "{said}");
}

/// Every Job of the ledgers is there and comes to its end with exact counters; a last one ends the watchers.
fn check_the_end(client: &mut Client, ledger: &BTreeMap<String, Kept>) {
    let jobs = finish(client);
    let names: Vec<&str> = jobs.iter().map(|job| text(job, "/metadata/name")).collect();
    assert_eq!(names, ledger.keys().map(String::as_str).collect::<Vec<_>>());
    jobs.iter().for_each(|job| check_job(client, job));
    let end = job("end", "nobody", "coracle/hello", &[], 1, 1);
    assert_eq!(client.send("POST", JOBS, "application/json", &end).expect("the server stays").status, 201);
    finish(client);
}
