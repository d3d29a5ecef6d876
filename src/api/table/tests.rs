//! Rows against the Tables that Kubernetes v1.36.2 answered (`tests/goldens/table-*.json`).

use super::{IncludeObject, Kind, columns, push_columns, push_node_row, push_partial_metadata, push_row};
use crate::base::{JobId, NO_INDEX, Time, Uid};
use crate::model::{
    Batch, Condition, ConditionReason, ConditionType, Counted, DocWrite, EngineKind, Event, EventNote, Fact, IndexRun,
    Kind as DocKind, LogExtent, PodEnd, Reason, Recovered, Waiting,
};
use crate::view::{Object, View};
use serde_json::{Value, json};

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/goldens/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect("a golden is JSON")
}

fn time(value: &Value) -> Time {
    let at: jiff::Timestamp = value.as_str().expect("a time").parse().expect("RFC 3339");
    Time(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A view with one Job, and what happens to it.
struct World {
    view: View,
    next_rv: u64,
}

impl World {
    /// With the Job of a golden, started.
    fn of(golden: &Value) -> Self {
        let mut doc = golden.clone();
        doc.as_object_mut().expect("an object").remove("status");
        let metadata = doc["metadata"].as_object_mut().expect("metadata");
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        let metadata = &golden["metadata"];
        let mut world = Self { view: View::restore(&Recovered::empty()), next_rv: 1 };
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let uid = Uid::parse(text(&metadata["uid"])).expect("a uid");
        let at = time(&metadata["creationTimestamp"]);
        let created = Fact::JobCreated { job: JobId(1), uid, namespace: namespace.into(), name: name.into(), at };
        world.write(vec![created], vec![write(DocKind::Job, namespace, name, &doc)]);
        world
    }

    fn write(&mut self, facts: Vec<Fact>, mut docs: Vec<DocWrite>) {
        let first_rv = self.next_rv;
        docs.iter_mut().for_each(|doc| doc.rv = first_rv);
        let batch = Batch { first_rv, facts, docs };
        self.next_rv = batch.next_rv();
        self.view.apply(&batch);
    }

    fn happens(&mut self, facts: Vec<Fact>) {
        self.write(facts, Vec::new());
    }

    fn start(&mut self, at: Time) {
        self.happens(vec![Fact::JobStarted { job: JobId(1), at }]);
        self.publish();
    }

    fn condition(&mut self, kind: ConditionType, at: Time) {
        let (reason, message) = (ConditionReason::CompletionsReached, "".into());
        self.happens(vec![Fact::ConditionSet { job: JobId(1), condition: Condition { kind, at, reason, message } }]);
    }

    fn create_pods(&mut self, at: Time, count: u32, indexes: &[(u32, u32)]) {
        let indexes = indexes.iter().map(|&(first, count)| IndexRun { first, count }).collect();
        self.happens(vec![Fact::PodsCreated { job: JobId(1), at, first: 0, count, indexes }]);
    }

    fn end_pod(&mut self, ordinal: u32, index: u32, exit_code: u8, at: Time) {
        self.happens(vec![Fact::PodsEnded { job: JobId(1), ends: vec![end(ordinal, index, exit_code, at)] }]);
    }

    fn publish(&mut self) {
        self.happens(vec![Fact::StatusPublished { job: JobId(1) }]);
    }

    fn job(&self) -> Object {
        let (_, jobs) = self.view.jobs(None);
        Object::Job(jobs.into_iter().next().expect("a Job"))
    }

    fn pod(&self) -> Object {
        Object::Pod(self.view.pod_by_ordinal(JobId(1), 0).expect("a pod"))
    }
}

fn write(kind: DocKind, namespace: &str, name: &str, doc: &Value) -> DocWrite {
    DocWrite {
        kind,
        job: None,
        namespace: namespace.into(),
        name: name.into(),
        rv: 0,
        json: Some(doc.to_string().into()),
    }
}

fn end(ordinal: u32, index: u32, exit_code: u8, started: Time) -> PodEnd {
    PodEnd {
        ordinal,
        index,
        started,
        run_ms: 0,
        exit_code,
        reason: if exit_code == 0 { Reason::Completed } else { Reason::Error },
        engine: Some(EngineKind::Small),
        counted: if exit_code == 0 { Counted::Succeeded } else { Counted::Failed },
        was_ready: false,
        was_stopping: false,
        disrupted: false,
        log: LogExtent::default(),
        fuel_k: 0,
        peak_pages: 0,
        message: None,
    }
}

fn rendered(render: impl FnOnce(&mut String)) -> Value {
    let mut out = String::new();
    render(&mut out);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
}

fn row(object: &Object, now: Time) -> Value {
    rendered(|out| push_row(object, now, IncludeObject::Metadata, out))
}

/// The row of a Table whose first named object has `name`.
fn row_of(table: &Value, name: &str) -> Value {
    let rows = table["rows"].as_array().expect("rows");
    rows.iter().find(|row| row["object"]["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
}

/// Takes the version out, which no other cluster has.
fn unversioned(mut row: Value) -> Value {
    row["object"]["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
    row
}

const TABLES: [(&str, Kind); 5] = [
    ("table-jobs", Kind::Job),
    ("table-pods", Kind::Pod),
    ("table-events", Kind::Event),
    ("table-namespaces", Kind::Namespace),
    ("table-nodes", Kind::Node),
];

#[test]
fn columns_are_kubernetes_but_for_their_descriptions() {
    for (name, kind) in TABLES {
        let mut ours = rendered(|out| push_columns(kind, out));
        for column in ours.as_array_mut().expect("columns") {
            let description = column.as_object_mut().expect("a column").remove("description").expect("a description");
            assert!(!text(&description).is_empty(), "{name}");
        }
        assert_eq!(ours, golden(name)["columnDefinitions"], "{name}");
    }
}

#[test]
fn jobs_are_the_rows_that_kubernetes_shows() {
    let table = golden("table-jobs");
    for name in ["job-complete", "job-failed", "job-indexed"] {
        let job = golden(name);
        let mut world = World::of(&job);
        let start = time(&job["status"]["startTime"]);
        world.start(start);
        let last = if name == "job-complete" { ConditionType::Complete } else { ConditionType::Failed };
        world.create_pods(start, 4, if name == "job-indexed" { &[(0, 4)] } else { &[] });
        for ordinal in 0..u32::try_from(job["status"]["succeeded"].as_u64().unwrap_or(0)).expect("small") {
            world.end_pod(ordinal, if name == "job-indexed" { ordinal } else { NO_INDEX }, 0, start);
        }
        world.condition(last, job["status"].get("completionTime").map_or(start, time));
        world.publish();
        let theirs = row_of(&table, text(&job["metadata"]["name"]));
        // The Table was asked for 28 s after `bad` was made.
        let now = time(&json!("2026-11-23T03:44:25Z"));
        assert_eq!(unversioned(row(&world.job(), now)), unversioned(theirs), "{name}");
    }
}

/// Cells 1 to 4 of the Job of `job-running`, changed by `change`, 25 s after its start.
fn job_cells(change: impl FnOnce(&mut Value), happens: impl FnOnce(&mut World, Time)) -> Vec<Value> {
    let mut job = golden("job-running");
    change(&mut job);
    let at = time(&job["metadata"]["creationTimestamp"]);
    let mut world = World::of(&job);
    happens(&mut world, at);
    let row = row(&world.job(), at.plus_ms(25_000));
    row["cells"].as_array().expect("cells")[1..5].to_vec()
}

#[test]
fn a_job_says_what_it_is_about_to_be() {
    let same = |_: &mut Value| ();
    let started = |world: &mut World, at| world.start(at);
    let deleted = |job: &mut Value| job["metadata"]["deletionTimestamp"] = json!("2026-11-23T03:44:25Z");
    let queue = |parallelism: u32| {
        move |job: &mut Value| {
            job["spec"].as_object_mut().expect("spec").remove("completions");
            job["spec"]["parallelism"] = json!(parallelism);
        }
    };
    let with = |kind| {
        move |world: &mut World, at: Time| {
            world.start(at);
            world.condition(kind, at.plus_ms(1000));
            world.publish();
        }
    };
    assert_eq!(job_cells(same, |_, _| ()), ["Running", "0/1", "", "25s"]);
    assert_eq!(job_cells(same, started), ["Running", "0/1", "25s", "25s"]);
    assert_eq!(job_cells(queue(1), started), ["Running", "0/1", "25s", "25s"]);
    assert_eq!(job_cells(queue(3), started), ["Running", "0/1 of 3", "25s", "25s"]);
    assert_eq!(job_cells(deleted, started), ["Terminating", "0/1", "25s", "25s"]);
    assert_eq!(job_cells(deleted, with(ConditionType::FailureTarget))[0], "Terminating");
    assert_eq!(job_cells(same, with(ConditionType::FailureTarget))[0], "FailureTarget");
    assert_eq!(job_cells(same, with(ConditionType::SuccessCriteriaMet))[0], "SuccessCriteriaMet");
    assert_eq!(job_cells(deleted, with(ConditionType::Failed)), ["Failed", "0/1", "25s", "25s"]);
    assert_eq!(job_cells(deleted, with(ConditionType::Complete)), ["Complete", "0/1", "1s", "25s"]);
}

#[test]
fn selectors_are_written_as_kubernetes_writes_them() {
    let cases = [
        (json!(null), "<none>"),
        (json!({}), "<none>"),
        (json!({"matchLabels": {"b": "1", "a": "2"}}), "a=2,b=1"),
        (
            json!({"matchLabels": {"c": "1"}, "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["y", "x"]}, {"key": "d", "operator": "NotIn", "values": ["z"]},
                {"key": "a", "operator": "Exists"}, {"key": "e", "operator": "DoesNotExist"},
            ]}),
            "a,b in (x,y),c=1,d notin (z),!e",
        ),
    ];
    for (selector, text) in cases {
        let mut job = golden("job-running");
        job["spec"]["selector"] = selector;
        assert_eq!(row(&World::of(&job).job(), Time(0))["cells"][7], text);
    }
}

/// The row of the pod of a golden, and Kubernetes' row of it; where no other cluster can be like it, they are made alike.
fn pod_rows(job: &str, pod: &str, code: u8) -> (Value, Value) {
    let pod = golden(pod);
    let created = time(&pod["metadata"]["creationTimestamp"]);
    let index: Option<u32> = pod.pointer("/metadata/labels/batch.kubernetes.io~1job-completion-index").map(|text| {
        let text = text.as_str().expect("text");
        text.parse().expect("a number")
    });
    let mut world = World::of(&golden(job));
    world.create_pods(created, 1, &index.map(|index| (index, 1)).into_iter().collect::<Vec<_>>());
    world.end_pod(0, index.unwrap_or(NO_INDEX), code, created);
    let mut theirs = row_of(&golden("table-pods"), text(&pod["metadata"]["name"]));
    let mut ours = row(&world.pod(), time(&json!("2026-11-23T03:44:26Z")));
    assert_eq!(ours["cells"][0], ours["object"]["metadata"]["name"]);
    assert_eq!((&ours["cells"][5], &ours["cells"][6]), (&json!("127.0.0.1"), &json!("coracle")));
    for row in [&mut ours, &mut theirs] {
        for cell in [0, 5, 6] {
            row["cells"][cell] = json!("masked");
        }
        let metadata = row["object"]["metadata"].as_object_mut().expect("metadata");
        ["name", "uid", "resourceVersion"].iter().for_each(|key| drop(metadata.remove(*key)));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("batch.kubernetes.io/job-index-failure-count");
        }
    }
    (ours, theirs)
}

#[test]
fn finished_pods_are_the_rows_that_kubernetes_shows() {
    let cases =
        [("job-complete", "pod-succeeded", 0), ("job-failed", "pod-failed", 3), ("job-indexed", "pod-indexed", 0)];
    for (job, pod, code) in cases {
        let (ours, theirs) = pod_rows(job, pod, code);
        assert_eq!(ours, theirs, "{pod}");
    }
}

#[test]
fn a_pod_says_where_it_is_in_its_life() {
    type Facts = fn(Time) -> Vec<Fact>;
    let cases: [(&str, Facts, [&str; 3]); 7] = [
        ("it waits", |_| Vec::new(), ["0/1", "Pending", "<none>"]),
        ("its image is not there", |_| vec![waiting()], ["0/1", "ErrImagePull", "<none>"]),
        ("it runs", |at| vec![started(at)], ["1/1", "Running", "127.0.0.1"]),
        ("it was told to stop", |at| vec![started(at), stopping(at)], ["1/1", "Terminating", "127.0.0.1"]),
        ("it stopped", |at| vec![started(at), stopping(at), stopped(at)], ["0/1", "Error", "127.0.0.1"]),
        ("it ended", |at| vec![ended(at, 0)], ["0/1", "Completed", "127.0.0.1"]),
        ("nobody says why it ended", |at| vec![unexplained(at)], ["0/1", "ExitCode:9", "127.0.0.1"]),
    ];
    for (what, facts, [ready, status, address]) in cases {
        let job = golden("job-running");
        let at = time(&job["metadata"]["creationTimestamp"]);
        let mut world = World::of(&job);
        world.create_pods(at, 1, &[]);
        world.happens(facts(at));
        let row = row(&world.pod(), at.plus_ms(61_000));
        let rest = json!([ready, status, "0", "61s", address, "coracle", "<none>", "<none>"]);
        assert_eq!(row["cells"].as_array().expect("cells")[1..], rest.as_array().expect("cells")[..], "{what}");
        let is_over = !["Pending", "ErrImagePull", "Running", "Terminating"].contains(&status);
        assert_eq!(row.get("conditions").is_some(), is_over, "{what}");
    }
}

fn waiting() -> Fact {
    let waiting = Waiting { ordinal: 0, reason: Reason::ErrImagePull, message: "no such \"module\"".into() };
    Fact::PodsWaiting { job: JobId(1), pods: vec![waiting] }
}

fn started(at: Time) -> Fact {
    Fact::PodsStarted { job: JobId(1), pods: vec![(0, at, EngineKind::Small)] }
}

fn stopping(at: Time) -> Fact {
    Fact::PodsStopping { job: JobId(1), at, ordinals: vec![0], ready: 1, counted_failed: false }
}

fn ended(at: Time, code: u8) -> Fact {
    Fact::PodsEnded { job: JobId(1), ends: vec![end(0, NO_INDEX, code, at)] }
}

fn stopped(at: Time) -> Fact {
    let end = PodEnd { was_stopping: true, ..end(0, NO_INDEX, 143, at) };
    Fact::PodsEnded { job: JobId(1), ends: vec![end] }
}

fn unexplained(at: Time) -> Fact {
    let end = PodEnd { reason: Reason::None, ..end(0, NO_INDEX, 9, at) };
    Fact::PodsEnded { job: JobId(1), ends: vec![end] }
}

#[test]
fn events_are_the_rows_that_kubernetes_shows() {
    let mut table = golden("table-events");
    let rows = table["rows"].as_array_mut().expect("rows");
    rows.retain(|row| row["cells"][5] == "job-controller" && row["cells"][3] == "job/hello");
    assert_eq!(rows.len(), 3);
    for theirs in rows {
        let mut world = World::of(&golden("job-complete"));
        let at = time(&theirs["object"]["metadata"]["creationTimestamp"]);
        let note = match text(&theirs["cells"][2]) {
            "Completed" => EventNote::Completed,
            _ => EventNote::SuccessfulCreate { ordinal: 0, index: NO_INDEX },
        };
        world.happens(vec![Fact::Recorded { event: Event { job: JobId(1), at, note } }]);
        let event = world.view.events(None).1.remove(0);
        let mut ours = row(&Object::Event(event), time(&json!("2026-11-23T03:44:26Z")));
        assert_eq!(ours["cells"][9], ours["object"]["metadata"]["name"]);
        let pod = text(&ours["cells"][6]).strip_prefix("Created pod: ").map(str::to_owned);
        assert_eq!(pod.is_some(), theirs["cells"][2] == "SuccessfulCreate");
        for row in [&mut ours, theirs] {
            for cell in if pod.is_some() { vec![6, 9] } else { vec![9] } {
                row["cells"][cell] = json!("masked");
            }
            let metadata = row["object"]["metadata"].as_object_mut().expect("metadata");
            ["name", "uid", "resourceVersion", "managedFields"].iter().for_each(|key| drop(metadata.remove(*key)));
        }
        assert_eq!(&ours, &*theirs);
    }
}

#[test]
fn namespaces_are_the_rows_that_kubernetes_shows() {
    for theirs in golden("table-namespaces")["rows"].as_array().expect("rows") {
        let metadata = &theirs["object"]["metadata"];
        let name = text(&metadata["name"]);
        let mut doc = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata});
        doc["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
        let mut world = World { view: View::restore(&Recovered::empty()), next_rv: 1 };
        world.write(vec![Fact::DocWritten], vec![write(DocKind::Namespace, "", name, &doc)]);
        let namespace = Object::Plain(world.view.namespace(name).expect("there"));
        let ours = row(&namespace, time(&json!("2026-11-23T03:44:26Z")));
        assert_eq!(unversioned(ours), unversioned(theirs.clone()));
    }
}

#[test]
fn nodes_are_the_rows_that_kubernetes_shows() {
    let node = golden("node");
    let now = time(&json!("2026-11-23T03:44:26Z"));
    let ours = rendered(|out| push_node_row(&node, now, IncludeObject::Metadata, out));
    assert_eq!(ours, row_of(&golden("table-nodes"), "fake-0"));
}

#[test]
fn a_node_says_what_it_lacks() {
    let node = json!({
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/b": "", "kubernetes.io/role": "a", "x": "y"}},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "False"}], "nodeInfo": {}},
    });
    let row = rendered(|out| push_node_row(&node, Time(0), IncludeObject::None, out));
    let cells = json!([
        "n",
        "NotReady,SchedulingDisabled",
        "a,b",
        "<unknown>",
        "",
        "<none>",
        "<none>",
        "<unknown>",
        "<unknown>",
        "<unknown>"
    ]);
    assert_eq!(row, json!({"cells": cells, "object": null}));
    let row = rendered(|out| push_node_row(&json!({}), Time(0), IncludeObject::Object, out));
    assert_eq!((&row["cells"][1], &row["object"]), (&json!("Unknown"), &json!({})));
}

#[test]
fn a_row_holds_as_much_of_the_object_as_was_asked_for() {
    let job = golden("job-running");
    let at = time(&job["metadata"]["creationTimestamp"]);
    let mut world = World::of(&job);
    world.create_pods(at, 1, &[]);
    world.happens(vec![Fact::Recorded { event: Event { job: JobId(1), at, note: EventNote::Completed } }]);
    let event = Object::Event(world.view.events(None).1.remove(0));
    for object in [world.job(), world.pod(), event] {
        let whole = rendered(|out| object.render(out));
        let partial = rendered(|out| push_partial_metadata(&object, out));
        let with = |include| rendered(|out| push_row(&object, Time(0), include, out));
        assert_eq!(with(IncludeObject::None)["object"], Value::Null);
        assert_eq!(with(IncludeObject::Object)["object"], whole);
        assert_eq!(with(IncludeObject::Metadata)["object"], partial);
        let head = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"});
        assert_eq!((&partial["kind"], &partial["apiVersion"]), (&head["kind"], &head["apiVersion"]));
        assert_eq!(partial["metadata"], whole["metadata"]);
    }
}

#[test]
fn every_row_has_a_cell_for_each_column() {
    let mut world = World::of(&golden("job-running"));
    world.create_pods(Time(0), 1, &[]);
    let cells = |row: &Value| row["cells"].as_array().expect("cells").len();
    assert_eq!(cells(&row(&world.job(), Time(0))), columns(Kind::Job).len());
    assert_eq!(cells(&row(&world.pod(), Time(0))), columns(Kind::Pod).len());
}
