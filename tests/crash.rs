//! The real binary, killed with SIGKILL again and again, loses nothing and doubles nothing.
//!
//! `coracle run --data-dir` is killed at least 200 times at random moments, at least 20 times of them in the recovery
//! itself. After each kill a copy of the store is read fact by fact; at the end the Jobs run to their end and the logs of
//! all pods that succeeded are read. The seed is printed; `CORACLE_CRASH_SEED` replays the same moments.

#![expect(clippy::print_stderr, reason = "the seed and the counts belong to a failed run")]

use coracle::base::{JobId, Rng};
use coracle::exec::Logs;
use coracle::model::{Batch, Fact, JobRecord, Phase, Recovered};
use coracle::store::{Sqlite, Store as _};
use coracle::view::View;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Kills at least; more of them until enough met something.
const KILLS: usize = 200;
const KILLS_MAX: usize = 400;
const RECOVERY_KILLS: usize = 20;
const IN_FLIGHT_MIN: usize = 150;

/// Kills come at the latest this long after the recovery.
const ALIVE_MS_MAX: u64 = 300;

/// More than all the killed runs can do: 64 pods each 30 ms, for 200 times 200 ms at the most; only a
/// machine that does less is killed more often.
const SLEEPERS: u32 = 100_000;
const TALKERS: u32 = 30_000;

/// A run must say something within this time.
const PATIENCE: Duration = Duration::from_secs(120);

fn manifest(name: &str, image: &str, args: &str, completions: u32, parallelism: u32) -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  completionMode: Indexed
  completions: {completions}
  parallelism: {parallelism}
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: c, image: coracle/{image}, args: [{args}]}}]
---
"
    )
}

/// A run of the binary, with what it says on stderr.
struct Run {
    child: std::process::Child,
    said: mpsc::Receiver<String>,
    acknowledged: BTreeSet<String>,
}

impl Run {
    fn start(dir: &Path, manifests: &[&Path]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("run")
            .args(["--progress", "plain", "--data-dir"])
            .arg(dir)
            .args(manifests)
            .env("CORACLE_LOG", "coracle=info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("piped");
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, said, acknowledged: BTreeSet::new() }
    }

    fn note(&mut self, line: &str) {
        let created = line.strip_prefix("job.batch/").and_then(|rest| rest.strip_suffix(" created"));
        self.acknowledged.extend(created.map(str::to_owned));
    }

    /// Reads on until a line has `what` in it.
    fn wait_for(&mut self, what: &str) {
        let mut heard = String::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.note(&line);
                    if line.contains(what) {
                        return;
                    }
                    _ = writeln!(heard, "{line}");
                }
                Err(_) => panic!("the run never said {what:?}, but:\n{heard}"),
            }
        }
    }

    /// Kills the run; gives all that it said from then on.
    fn kill(&mut self) -> Vec<String> {
        let ended = self.child.try_wait().expect("the run is ours");
        assert!(ended.is_none(), "the run ended by itself: {ended:?} {:?}", self.said.iter().collect::<Vec<_>>());
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("the run is ours");
        let rest: Vec<String> = self.said.iter().collect();
        rest.iter().for_each(|line| self.note(line));
        rest
    }
}

/// Everything that was durable at the last look.
#[derive(Default)]
struct History {
    next_rv: u64,
    /// Batches as they lay there, by first version.
    batches: BTreeMap<u64, Vec<u8>>,
    jobs: BTreeMap<JobId, JobRecord>,
    folds: usize,
}

impl History {
    /// Reads a copy of the store, and checks it against the last look.
    fn read(&mut self, dir: &Path) {
        let copy = tempfile::tempdir().expect("a temporary directory");
        for file in ["store.db", "store.db-wal"].iter().filter(|file| dir.join(file).exists()) {
            std::fs::copy(dir.join(file), copy.path().join(file)).expect("a copy");
        }
        let mut store = Sqlite::open(&copy.path().join("store.db")).expect("the copy opens");
        let recovered = store.recover().expect("the copy recovers");
        let found: BTreeMap<u64, Vec<u8>> =
            recovered.batches.iter().map(|batch| (batch.first_rv, encoded(batch))).collect();
        // A fold replaces the oldest batches; all others stay as they were.
        let oldest = found.keys().next().copied().unwrap_or(u64::MAX);
        self.folds += usize::from(self.batches.keys().next().is_some_and(|rv| *rv < oldest));
        for (rv, facts) in self.batches.range(oldest..) {
            assert_eq!(found.get(rv), Some(facts), "the batch at version {rv} was durable and has changed");
        }
        for rv in found.keys().filter(|rv| !self.batches.contains_key(rv)) {
            assert!(*rv >= self.next_rv, "version {rv} was given twice: {} is next", self.next_rv);
        }
        assert!(recovered.last_rv + 1 >= self.next_rv, "versions went back to {}", recovered.last_rv);
        assert!(
            recovered.first_rv > recovered.last_rv,
            "the next boot would give version {} again",
            recovered.first_rv
        );
        let jobs = self.replay(&recovered);
        self.check_progress(&jobs);
        (self.next_rv, self.batches, self.jobs) = (recovered.last_rv + 1, found, jobs);
    }

    /// The Jobs as the fold and the batches after it make them.
    fn replay(&self, recovered: &Recovered) -> BTreeMap<JobId, JobRecord> {
        let mut jobs: BTreeMap<JobId, JobRecord> = recovered.jobs.iter().map(|job| (job.id, job.clone())).collect();
        for (rv, fact) in recovered.batches.iter().flat_map(Batch::numbered) {
            if let Fact::PodsCreated { job, first, .. } = fact {
                assert!(*first >= jobs[job].next_ordinal, "ordinal {first} of Job {} was given twice", job.0);
            }
            if let Some(created) = JobRecord::created_by(fact, rv) {
                assert!(jobs.insert(created.id, created).is_none(), "a Job's number was given twice");
            } else if let Some(job) = fact.job().and_then(|id| jobs.get_mut(&id)) {
                // Panics when an index is counted twice.
                if !matches!(fact, Fact::Recorded { .. }) {
                    job.apply(fact, rv);
                }
            }
        }
        jobs
    }

    fn check_progress(&self, jobs: &BTreeMap<JobId, JobRecord>) {
        for (id, before) in &self.jobs {
            let now = jobs.get(id).unwrap_or_else(|| panic!("Job {} was durable and is gone", before.name));
            assert_eq!((now.uid, &now.name), (before.uid, &before.name));
            assert!(now.next_ordinal >= before.next_ordinal, "ordinals of {} went back", now.name);
            let lost = before.status.completed.iter().find(|index| !now.status.completed.contains(*index));
            assert_eq!(lost, None, "an index of {} was done and is not", now.name);
        }
        for job in jobs.values() {
            assert_eq!(job.status.succeeded, job.status.completed.len(), "an index of {} was counted twice", job.name);
            assert_eq!(job.status.failed, 0, "a pod of {} failed", job.name);
        }
    }

    fn in_flight(&self) -> u32 {
        self.jobs.values().map(|job| job.status.active).sum()
    }

    fn done(&self) -> u32 {
        self.jobs.values().map(|job| job.status.succeeded).sum()
    }
}

fn encoded(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    batch.encode_facts(&mut bytes);
    bytes
}

#[test]
fn two_hundred_kills_lose_and_double_nothing() {
    let given = std::env::var("CORACLE_CRASH_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("CORACLE_CRASH_SEED={seed}");
    let mut rng = Rng::new(seed);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let base = dir.path().join("base.yaml");
    let jobs = manifest("sleepers", "sleep", "'0.03'", SLEEPERS, 64) + &manifest("talkers", "index", "", TALKERS, 32);
    std::fs::write(&base, jobs).expect("a manifest");
    let (mut history, mut acknowledged) = (History::default(), BTreeSet::new());
    let (mut in_flight, mut recoveries) = (0, 0);
    let mut attempt = 0;
    // On a slow machine more of the kills come too early to meet anything.
    let is_enough = |recoveries, in_flight, acknowledged: &BTreeSet<String>| {
        recoveries >= RECOVERY_KILLS && in_flight >= IN_FLIGHT_MIN && acknowledged.len() > KILLS / 2
    };
    while attempt < KILLS || attempt < KILLS_MAX && !is_enough(recoveries, in_flight, &acknowledged) {
        let extra = dir.path().join(format!("extra-{attempt}.yaml"));
        std::fs::write(&extra, manifest(&format!("extra-{attempt}"), "index", "", 3, 3)).expect("a manifest");
        let mut run = Run::start(&data, &[&base, &extra]);
        let aims_at_recovery = attempt % 8 == 7 && recoveries < RECOVERY_KILLS;
        run.wait_for("recovering");
        if aims_at_recovery {
            // Somewhere in the recovery, or a little later: then it counts as an ordinary moment.
            std::thread::sleep(Duration::from_micros(rng.next_u64() % 3000));
        } else {
            run.wait_for("recovered");
            std::thread::sleep(Duration::from_millis(rng.next_u64() % ALIVE_MS_MAX));
        }
        let rest = run.kill();
        recoveries += usize::from(aims_at_recovery && !rest.iter().any(|line| line.contains("recovered")));
        acknowledged.append(&mut run.acknowledged);
        history.read(&data);
        in_flight += usize::from(history.in_flight() > 0);
        for name in &acknowledged {
            assert!(history.jobs.values().any(|job| *job.name == **name), "Job {name} was acknowledged and is gone");
        }
        attempt += 1;
    }
    assert!(recoveries >= RECOVERY_KILLS, "only {recoveries} of {attempt} kills hit a recovery");
    assert!(in_flight >= IN_FLIGHT_MIN, "only {in_flight} of {attempt} kills met work in flight");
    assert!(acknowledged.len() > KILLS / 2, "only {} Jobs were acknowledged", acknowledged.len());
    eprintln!(
        "{attempt} kills: {in_flight} with work in flight, {recoveries} in a recovery, {} Jobs acknowledged, {} pods done, {} folds",
        acknowledged.len(),
        history.done(),
        history.folds
    );
    finish(&data, &base);
    check_the_end(&data, &acknowledged);
}

/// Lets what is left run to its end.
fn finish(data: &Path, base: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .args(["run", "--progress", "plain", "--data-dir"])
        .arg(data)
        .arg(base)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn check_the_end(data: &Path, acknowledged: &BTreeSet<String>) {
    let recovered = Sqlite::open(&data.join("store.db")).and_then(|mut store| store.recover()).expect("the store");
    let view = View::restore(&recovered);
    let logs = Logs::open(Some(&data.join("logs")), recovered.boot, u64::MAX).expect("the logs");
    let (_, jobs) = view.jobs(None);
    let names: BTreeSet<String> = jobs.iter().map(|job| job.doc.key.name.to_string()).collect();
    assert!(acknowledged.is_subset(&names), "acknowledged Jobs are gone");
    for job in &jobs {
        let name = &job.doc.key.name;
        let completions = job.spec().completions.expect("Indexed");
        if !acknowledged.contains(&**name) && !job.status.is_finished() {
            continue;
        }
        assert_eq!(job.status.succeeded, completions, "Job {name}");
        assert_eq!(job.status.completed.len(), completions, "Job {name}");
        assert_eq!((job.status.failed, job.status.active, job.status.terminating), (0, 0, 0), "Job {name}");
        let (_, pods) = view.pods(None, Some(job.doc.key.uid));
        let mut seen = BTreeSet::new();
        for pod in pods.iter().filter(|pod| pod.record.phase == Phase::Succeeded) {
            let index = pod.record.index;
            assert!(seen.insert(index), "index {index} of Job {name} succeeded twice");
            let entries = logs.read(pod.record.log).unwrap_or_else(|error| panic!("log of {}: {error}", pod.name()));
            let text: Vec<u8> = entries.into_iter().flat_map(|entry| entry.bytes.to_vec()).collect();
            assert_eq!(text.len(), pod.record.log.bytes as usize, "log of {}", pod.name());
            if &**name != "sleepers" {
                let text = String::from_utf8(text).expect("text");
                assert!(text.contains(&format!("JOB_COMPLETION_INDEX={index}\n")), "log of {}: {text}", pod.name());
            }
        }
        assert_eq!(seen.len(), completions as usize, "pods of Job {name}");
    }
}
