//! Replay equals state: random valid histories, folded piece by piece and recovered at random places, between pieces as well,
//! and every watch from every start.

use coracle::base::{JobId, NO_INDEX, Rng, Time, Uid};
use coracle::model::{
    Batch, Claim, Condition, ConditionReason, ConditionType, Counted, DeletedPod, DocWrite, EngineKind, Event,
    EventNote, Fact, Fold, IndexRun, Kind, LogExtent, PodEnd, Reason, Waiting,
};
use coracle::store::{Sqlite, Store};
use coracle::view::{Change, ChangeKind, Cursor, Filter, Object, Topic, View};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

const TOPICS: [Topic; 6] =
    [Topic::Jobs, Topic::Pods, Topic::Events, Topic::Namespaces, Topic::PriorityClasses, Topic::Nodes];

/// What the history knows of a pod that still changes.
#[derive(Clone, Copy)]
struct Pod {
    ordinal: u32,
    index: u32,
    is_running: bool,
    is_stopping: bool,
}

#[derive(Default)]
struct Job {
    name: String,
    is_indexed: bool,
    next_ordinal: u32,
    next_index: u32,
    living: Vec<Pod>,
    ended: Vec<u32>,
}

/// Makes batches that a controller could have made.
struct History {
    rng: Rng,
    now: u64,
    next_rv: u64,
    next_job: u32,
    jobs: BTreeMap<u32, Job>,
    namespaces: u32,
    /// Events that are kept.
    events: u32,
    batch: Batch,
}

impl History {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            now: 1_795_405_437_000,
            next_rv: 1,
            next_job: 0,
            jobs: BTreeMap::new(),
            namespaces: 0,
            events: 0,
            batch: Batch::default(),
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.rng.next_u64() % u64::from(bound)).expect("below the bound")
    }

    fn says(&mut self, fact: Fact) -> u64 {
        let rv = self.next_rv;
        self.next_rv += fact.versions();
        self.batch.facts.push(fact);
        rv
    }

    fn writes(&mut self, kind: Kind, namespace: &str, name: &str, rv: u64, json: Option<String>) {
        let json = json.map(Into::into);
        let job = self.batch.facts.last().and_then(Fact::job).filter(|_| kind == Kind::Job);
        self.batch.docs.push(DocWrite { kind, job, namespace: namespace.into(), name: name.into(), rv, json });
    }

    fn next_batch(&mut self) -> Batch {
        self.batch.first_rv = self.next_rv;
        self.now += u64::from(self.below(600_000));
        for _ in 0..=self.below(6) {
            self.step();
        }
        if self.events > 0 && self.below(4) == 0 {
            let count = 1 + self.below(self.events);
            self.events -= count;
            self.says(Fact::EventsExpired { count });
        }
        std::mem::take(&mut self.batch)
    }

    fn step(&mut self) {
        let at = Time(self.now);
        let known: Vec<u32> = self.jobs.keys().copied().collect();
        if known.is_empty() || self.below(8) == 0 {
            return self.create();
        }
        let id = known[self.below(u32::try_from(known.len()).expect("few")) as usize];
        let (job, mut state) = (JobId(id), self.jobs.remove(&id).expect("known"));
        let is_kept = self.step_job(job, &mut state, at);
        if is_kept {
            self.jobs.insert(id, state);
        }
    }

    fn create(&mut self) {
        let at = Time(self.now);
        if self.below(3) == 0 {
            let name = format!("n{}", self.namespaces % 5);
            self.namespaces += 1;
            let json = format!(r#"{{"kind":"Namespace","metadata":{{"name":"{name}","uid":"u{}"}}}}"#, self.namespaces);
            let rv = self.says(Fact::DocWritten);
            let json = (!self.namespaces.is_multiple_of(3)).then_some(json);
            return self.writes(Kind::Namespace, "", &name, rv, json);
        }
        let (id, is_indexed) = (self.next_job, self.below(2) == 0);
        let name = (0..).map(|nth| format!("job-{nth}")).find(|name| !self.jobs.values().any(|job| job.name == *name));
        let name = name.expect("there is always another name");
        self.next_job += 1;
        let uid = Uid::v4(self.rng.next_u128());
        let fact = Fact::JobCreated { job: JobId(id), uid, namespace: "ns".into(), name: name.as_str().into(), at };
        let rv = self.says(fact);
        self.writes(Kind::Job, "ns", &name, rv, Some(document(&name, is_indexed, 1)));
        self.jobs.insert(id, Job { name, is_indexed, ..Job::default() });
    }

    /// One thing that happens to a Job; false when it is gone after it.
    fn step_job(&mut self, job: JobId, state: &mut Job, at: Time) -> bool {
        match self.below(17) {
            0 => drop(self.says(Fact::JobStarted { job, at })),
            1 => {
                let rv = self.says(Fact::JobChanged { job });
                let parallelism = self.below(9);
                self.writes(
                    Kind::Job,
                    "ns",
                    &state.name,
                    rv,
                    Some(document(&state.name, state.is_indexed, parallelism)),
                );
            }
            2..=4 => self.create_pods(job, state, at),
            5 => self.start(job, state, at),
            6 => self.wait(job, state),
            7 => self.stop(job, state, at),
            8 | 9 => self.end(job, state, at),
            10 => self.remove(job, state),
            11 => {
                let note = EventNote::SuccessfulCreate { ordinal: state.next_ordinal, index: NO_INDEX };
                self.events += 1;
                self.says(Fact::Recorded { event: Event { job, at, note } });
            }
            12 => {
                let (kind, reason) = (ConditionType::FailureTarget, ConditionReason::DeadlineExceeded);
                let condition = Condition { kind, at, reason, message: "late".into() };
                self.says(Fact::ConditionSet { job, condition });
                self.says(Fact::StatusPublished { job });
            }
            13 | 14 => self.touch(job, state, at),
            15 if self.below(3) == 0 && state.next_ordinal > 0 => {
                let ordinals = state.next_ordinal;
                self.says(Fact::JobOrphaned { job, at, ordinals });
                return false;
            }
            _ if self.below(2) == 0 => {
                if self.below(2) == 0 {
                    self.stop(job, state, at);
                }
                let ordinals = state.next_ordinal;
                let rv = self.says(Fact::JobRemoved { job, at, ordinals }) + u64::from(ordinals);
                self.writes(Kind::Job, "ns", &state.name, rv, None);
                return false;
            }
            _ => drop(self.says(Fact::StatusPublished { job })),
        }
        true
    }

    fn create_pods(&mut self, job: JobId, state: &mut Job, at: Time) {
        let skipped = if self.below(100) == 0 { 5000 } else { self.below(2) };
        let count = if self.below(100) == 0 { 4200 } else { 1 + self.below(5) };
        let first = state.next_ordinal + skipped;
        let run = IndexRun { first: state.next_index, count };
        let indexes = if state.is_indexed { vec![run] } else { Vec::new() };
        state.next_ordinal = first + count;
        state.next_index += count;
        let pods = Fact::created_pods(first, count, &indexes);
        state.living.extend(pods.map(|(ordinal, index)| Pod { ordinal, index, is_running: false, is_stopping: false }));
        self.says(Fact::PodsCreated { job, at, first, count, indexes });
    }

    /// Some of the pods for which `wanted` holds.
    fn some(&mut self, state: &mut Job, wanted: impl Fn(&Pod) -> bool) -> Vec<Pod> {
        let (chosen, rest) = state.living.drain(..).partition(|pod| wanted(pod) && self.below(2) == 0);
        state.living = rest;
        chosen
    }

    fn start(&mut self, job: JobId, state: &mut Job, at: Time) {
        let mut pods = self.some(state, |pod| !pod.is_running && !pod.is_stopping);
        pods.iter_mut().for_each(|pod| pod.is_running = true);
        self.says(Fact::PodsStarted {
            job,
            pods: pods.iter().map(|pod| (pod.ordinal, at, EngineKind::Large)).collect(),
        });
        state.living.extend(pods);
    }

    fn wait(&mut self, job: JobId, state: &mut Job) {
        let pods = self.some(state, |pod| !pod.is_running && !pod.is_stopping);
        let waiting =
            |pod: &Pod| Waiting { ordinal: pod.ordinal, reason: Reason::ErrImagePull, message: "no \"module\"".into() };
        self.says(Fact::PodsWaiting { job, pods: pods.iter().map(waiting).collect() });
        state.living.extend(pods);
    }

    fn stop(&mut self, job: JobId, state: &mut Job, at: Time) {
        let mut pods = self.some(state, |pod| !pod.is_stopping);
        pods.iter_mut().for_each(|pod| pod.is_stopping = true);
        let ready = u32::try_from(pods.iter().filter(|pod| pod.is_running).count()).expect("few");
        let ordinals = pods.iter().map(|pod| pod.ordinal).collect();
        self.says(Fact::PodsStopping { job, at, ordinals, ready, counted_failed: false });
        state.living.extend(pods);
    }

    /// What clients do to pods.
    fn touch(&mut self, job: JobId, state: &mut Job, at: Time) {
        let mut pods = self.some(state, |pod| !pod.is_stopping);
        for pod in &pods {
            let ordinal = pod.ordinal;
            let meta = (self.below(3) > 0).then(|| r#"{"labels":{"a":"b"},"finalizers":["a.io/b"]}"#.into());
            self.says(Fact::PodChanged { job, ordinal, meta, claim: Claim::Same });
            self.says(Fact::PodUngated { job, ordinal });
        }
        pods.iter_mut().for_each(|pod| pod.is_stopping = true);
        let evicted = self.below(2) == 0;
        let deleted = |pod: &Pod| DeletedPod {
            ordinal: pod.ordinal,
            index: pod.index,
            grace_s: 5,
            was_ready: pod.is_running,
            counted: Counted::Dropped,
            evicted,
        };
        self.says(Fact::PodsDeleted { job, at, pods: pods.iter().map(deleted).collect() });
        state.living.extend(pods);
        if self.below(4) == 0 {
            state.ended.clear();
            self.says(Fact::EndedPodsRemoved { job, ordinals: state.next_ordinal });
        }
    }

    fn end(&mut self, job: JobId, state: &mut Job, at: Time) {
        let pods = self.some(state, |_| true);
        let ends = pods.iter().map(|pod| self.end_of(pod, at)).collect();
        self.says(Fact::PodsEnded { job, ends });
        state.ended.extend(pods.iter().map(|pod| pod.ordinal));
    }

    fn end_of(&mut self, pod: &Pod, at: Time) -> PodEnd {
        let exit_code = u8::try_from(self.below(3)).expect("small");
        PodEnd {
            ordinal: pod.ordinal,
            index: pod.index,
            started: at,
            run_ms: self.below(5000),
            exit_code,
            reason: if exit_code == 0 { Reason::Completed } else { Reason::Error },
            engine: (exit_code != 1).then_some(EngineKind::Small),
            counted: match exit_code {
                0 => Counted::Succeeded,
                1 => Counted::Failed,
                _ => Counted::Ignored,
            },
            was_ready: pod.is_running,
            was_stopping: pod.is_stopping,
            disrupted: exit_code == 2,
            log: LogExtent { segment: 1, offset: pod.ordinal, bytes: 9 },
            fuel_k: 3,
            peak_pages: 17,
            message: (exit_code == 2).then(|| "trap\nat x.rs:1".into()),
        }
    }

    fn remove(&mut self, job: JobId, state: &mut Job) {
        let ordinals = state.ended.split_off(state.ended.len() / 2);
        self.says(Fact::PodsRemoved { job, ordinals });
    }
}

fn document(name: &str, is_indexed: bool, parallelism: u32) -> String {
    let mode = if is_indexed { "Indexed" } else { "NonIndexed" };
    format!(
        r#"{{"kind":"Job","metadata":{{"name":"{name}","namespace":"ns","uid":"u"}},"spec":{{"parallelism":{parallelism},
        "backoffLimit":6,"completionMode":"{mode}","template":{{"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
    )
}

/// Everything of a topic, by name.
type Shown = BTreeMap<String, String>;

fn put(shown: &mut Shown, object: &Object) {
    let mut json = String::new();
    object.render(&mut json);
    shown.insert(format!("{}/{}", object.namespace(), object.name()), json);
}

fn list(view: &View, topic: Topic) -> Shown {
    let mut shown = Shown::new();
    match topic {
        Topic::Jobs => view.jobs(None).1.into_iter().for_each(|job| put(&mut shown, &Object::Job(job))),
        Topic::Pods => view.pods(None, None).1.iter().for_each(|pod| put(&mut shown, &Object::Pod(pod))),
        Topic::Events => view.events(None).1.into_iter().for_each(|event| put(&mut shown, &Object::Event(event))),
        Topic::Namespaces | Topic::PriorityClasses | Topic::Nodes => {
            let kind = match topic {
                Topic::Namespaces => Kind::Namespace,
                Topic::Nodes => Kind::Node,
                _ => Kind::PriorityClass,
            };
            view.plain(kind).1.into_iter().for_each(|plain| put(&mut shown, &Object::Plain(plain)));
        }
    }
    shown
}

/// What the engine takes over at boot; the records themselves, not how they look.
fn taken_over(view: &View) -> String {
    let jobs = view.jobs_snapshot();
    jobs.iter().map(|job| format!("{:?} {} {} {:?}\n", job.record, job.doc.rv, job.doc.json, job.pods)).collect()
}

fn assert_same(live: &View, restored: &View, seed: u64) {
    for topic in TOPICS {
        let (live, restored) = (list(live, topic), list(restored, topic));
        for (name, json) in &live {
            assert_eq!(Some(json), restored.get(name), "seed {seed}: {topic:?} {name}");
        }
        assert_eq!(live.len(), restored.len(), "seed {seed}: {topic:?}");
    }
    assert_eq!(taken_over(live), taken_over(restored), "seed {seed}");
}

/// A list and the watch that began at its version.
struct Watcher {
    topic: Topic,
    /// The last version that it was told.
    rv: u64,
    shown: Shown,
    cursor: Cursor,
}

impl Watcher {
    fn start(view: &View, topic: Topic) -> Self {
        let cursor = view.watch_from(topic, Filter::default(), view.rv()).expect("the newest version never expired");
        Self { topic, rv: view.rv(), shown: list(view, topic), cursor }
    }

    fn catch_up(&mut self, view: &View, seed: u64) {
        loop {
            let changes = view.poll(&mut self.cursor, 1000).expect("the ring holds all of this");
            if changes.is_empty() {
                break;
            }
            changes.iter().for_each(|change| self.take(change));
        }
        assert!(self.shown == list(view, self.topic), "seed {seed}: a watch of {:?} missed something", self.topic);
    }

    fn take(&mut self, change: &Change) {
        let name = format!("{}/{}", change.object.namespace(), change.object.name());
        let before = std::mem::replace(&mut self.rv, change.rv);
        assert!(before < change.rv, "{name} at {} after {before}", change.rv);
        let was_there = self.shown.contains_key(&name);
        assert_eq!(was_there, change.kind != ChangeKind::Added, "{} of {name}", change.kind.as_str());
        assert_eq!(was_there, change.before.is_some());
        assert_eq!(change.object.rv(), change.rv);
        if change.kind == ChangeKind::Deleted {
            self.shown.remove(&name);
        } else {
            put(&mut self.shown, &change.object);
        }
    }
}

/// The store, what was shown, the next version and the number of the next Job.
fn boot(path: &Path) -> (Sqlite, View, u64, u32) {
    let mut store = Sqlite::open(path).expect("a file");
    let recovered = store.recover().expect("a good store");
    (store, View::restore(&recovered), recovered.first_rv, recovered.next_job)
}

/// Where the store is as it was when nothing more was written to it; one that is closed tidies its file.
fn crash(store: Sqlite, path: &Path) -> PathBuf {
    let left = path.with_extension("left.db");
    for log in ["", "-wal"] {
        let of = |path: &Path| format!("{}{log}", path.display());
        if Path::new(&of(path)).exists() {
            std::fs::copy(of(path), of(&left)).expect("room");
        }
    }
    drop(store);
    left
}

/// A piece as many, each with one thing in it.
fn split(piece: Fold) -> Vec<Fold> {
    let Fold { last_rv, goes_on, removed, jobs, shown, chunks, events, events_from } = piece;
    let part = || Fold { last_rv, goes_on: true, ..Fold::default() };
    let mut parts: Vec<Fold> = removed.into_iter().map(|job| Fold { removed: vec![job], ..part() }).collect();
    parts.extend(jobs.into_iter().map(|record| {
        let shown = shown.iter().filter(|(job, _)| *job == record.id).cloned().collect();
        Fold { shown, jobs: vec![record], ..part() }
    }));
    parts.extend(chunks.into_iter().map(|chunk| Fold { chunks: vec![chunk], ..part() }));
    parts.extend(events.into_iter().map(|event| Fold { events: vec![event], ..part() }));
    parts.push(Fold { goes_on, events_from, ..part() });
    parts
}

fn run(seed: u64) {
    let dir = tempfile::TempDir::new().expect("a directory");
    let mut path = dir.path().join("coracle.db");
    let mut history = History::new(seed);
    let (mut store, mut view, ..) = boot(&path);
    let (mut watchers, mut folding) = (Vec::new(), None);
    for _ in 0..60 {
        let batch = history.next_batch();
        store.commit(&batch).expect("room");
        view.apply(&batch);
        let topic = TOPICS[history.below(4) as usize];
        watchers.push(Watcher::start(&view, topic));
        if folding.is_none() && history.below(6) == 0 {
            let mut pieces: VecDeque<Fold> = view.fold().flat_map(split).collect();
            assert_eq!((view.changes_since_fold(), view.jobs_since_fold()), (0, 0));
            // The first one before a batch that the fold does not cover.
            store.fold(&pieces.pop_front().expect("a fold has a piece")).expect("room");
            folding = Some(pieces);
        }
        for _ in 0..history.below(40) {
            match folding.as_mut().and_then(VecDeque::pop_front) {
                Some(piece) => store.fold(&piece).expect("room"),
                None => folding = None,
            }
            if history.below(2) == 0 {
                store.tidy().expect("room");
            }
        }
        if history.below(12) == 0 {
            folding = None;
            path = crash(store, &path);
            watchers.drain(..).for_each(|mut watcher: Watcher| watcher.catch_up(&view, seed));
            let (reopened, restored, first_rv, next_job) = boot(&path);
            assert_same(&view, &restored, seed);
            assert_eq!(next_job, history.next_job, "seed {seed}: a number would be given again");
            assert_eq!(restored.rv(), first_rv - 1, "seed {seed}");
            (store, view, history.next_rv) = (reopened, restored, first_rv);
        }
    }
    watchers.into_iter().for_each(|mut watcher| watcher.catch_up(&view, seed));
}

/// Jobs of one name, one after the other; in the end the Events about the first two go.
fn life_of_a_name(nth: usize, first_rv: u64) -> Batch {
    let mut history = History { next_rv: first_rv, ..History::new(0) };
    let creates = |history: &mut History, id: u32| {
        let (job, at) = (JobId(id), Time(history.now));
        let uid = Uid::v4(u128::from(id));
        let rv = history.says(Fact::JobCreated { job, uid, namespace: "ns".into(), name: "a".into(), at });
        history.writes(Kind::Job, "ns", "a", rv, Some(document("a", false, id + 1)));
        history.says(Fact::PodsCreated { job, at, first: 0, count: 3, indexes: Vec::new() });
        let note = EventNote::SuccessfulCreate { ordinal: 0, index: NO_INDEX };
        history.says(Fact::Recorded { event: Event { job, at, note } });
    };
    let deletes = |history: &mut History, id: u32| {
        let at = Time(history.now);
        let rv = history.says(Fact::JobRemoved { job: JobId(id), at, ordinals: 3 }) + 3;
        history.writes(Kind::Job, "ns", "a", rv, None);
    };
    match nth {
        0 => creates(&mut history, 0),
        1 => deletes(&mut history, 0),
        2 => creates(&mut history, 1),
        3 => {
            deletes(&mut history, 1);
            creates(&mut history, 2);
        }
        _ => {
            deletes(&mut history, 2);
            creates(&mut history, 3);
            history.says(Fact::EventsExpired { count: 2 });
        }
    }
    Batch { first_rv, ..std::mem::take(&mut history.batch) }
}

#[test]
fn a_name_is_given_again_and_again_wherever_folds_and_a_crash_come() {
    const BATCHES: usize = 5;
    for (crash_after, folds) in (0..BATCHES).flat_map(|after| (0..1_u32 << BATCHES).map(move |folds| (after, folds))) {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("coracle.db");
        let case = u64::from(folds) * 10 + crash_after as u64;
        let mut store = Sqlite::open(&path).expect("a file");
        let recovered = store.recover().expect("a new store");
        let (never_crashed, mut view, mut next_rv) = (View::restore(&recovered), View::restore(&recovered), 1);
        for nth in 0..BATCHES {
            let batch = life_of_a_name(nth, next_rv);
            next_rv = batch.next_rv();
            store.commit(&batch).expect("room");
            [&view, &never_crashed].into_iter().for_each(|view| view.apply(&batch));
            if folds >> nth & 1 == 1 {
                view.fold().for_each(|piece| store.fold(&piece).expect("room"));
            }
            if nth == crash_after {
                drop(store);
                (store, view, next_rv, _) = boot(&path);
            }
            assert_same(&never_crashed, &view, case);
        }
        drop(store);
        let (_, restored, ..) = boot(&path);
        assert_same(&never_crashed, &restored, case);
        let about: Vec<u32> = restored.events(None).1.iter().map(|event| event.event.job.0).collect();
        assert_eq!(about, [2, 3], "case {case}: what is kept of the Jobs that are gone is the newest one's");
    }
}

#[test]
fn random_histories_replay_to_the_same_view_and_every_watch_sees_them() {
    (0..16).for_each(run);
}
