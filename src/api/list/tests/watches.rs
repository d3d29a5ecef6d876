//! Watches: what is told, when they end.

use super::{JOBS, PODS, Server, TABLE, golden_events, job, keys, pair, rv, told, with_engine, with_server};
use crate::engine::testing::failing;
use axum::http::{Method, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn what_exists_is_added_and_changes_follow() {
    with_server(async |server: &Server| {
        server.create_paused(&["a", "b"]).await;
        let list = server.get(JOBS).await;
        for version in ["", "&resourceVersion=0", "&resourceVersion="] {
            let mut watch = server.watch(&format!("{JOBS}?watch=true{version}")).await;
            let first = watch.next().await.expect("an event");
            assert_eq!(first, json!({"type": "ADDED", "object": list["items"][0]}));
            assert_eq!(watch.told().await, pair("ADDED", "b"));
        }
        let mut one =
            server.watch(&format!("{JOBS}?fieldSelector=metadata.name%3Db&resourceVersion=0&watch=true")).await;
        assert_eq!(one.told().await, pair("ADDED", "b"));
        let mut later = server.watch(&format!("{JOBS}?watch=1&resourceVersion={}", rv(&list))).await;
        let c = server.create(&job("c", "0", 0)).await;
        let added = later.next().await.expect("an event");
        assert_eq!(told(&added), pair("ADDED", "c"));
        assert_eq!(added["object"]["metadata"]["uid"], c["metadata"]["uid"]);
        assert_eq!(later.told().await, pair("MODIFIED", "c"), "its status");
    });
}

#[test]
fn a_pod_is_added_modified_and_deleted_and_selections_have_edges() {
    with_server(async |server: &Server| {
        let from = server.engine.handle().view().rv();
        let path = |selector: &str| format!("{PODS}?watch=1&resourceVersion={from}&fieldSelector={selector}");
        let mut all = server.watch(&path("")).await;
        let mut pending = server.watch(&path("status.phase=Pending")).await;
        let mut running = server.watch(&path("status.phase=Running")).await;
        let created = server.create(&job("a", "wait", 1)).await;
        let added = all.next().await.expect("an event");
        assert_eq!((&added["type"], &added["object"]["status"]["phase"]), (&json!("ADDED"), &json!("Pending")));
        let started = all.find(|event| event["object"]["status"]["phase"] == "Running").await;
        assert_eq!(started["type"], "MODIFIED");

        assert_eq!(pending.next().await.expect("an event"), added);
        let left = pending.find(|event| event["type"] != "MODIFIED").await;
        assert_eq!((&left["type"], &left["object"]["status"]["phase"]), (&json!("DELETED"), &json!("Pending")));
        assert_eq!(rv(&left["object"]), rv(&started["object"]), "its last state under the version of the change");
        let came = running.next().await.expect("an event");
        assert_eq!(came, json!({"type": "ADDED", "object": started["object"]}));

        let mut paused = server.get(&format!("{JOBS}/a")).await;
        paused["spec"]["parallelism"] = json!(0);
        server.write(Method::PUT, &format!("{JOBS}/a"), &paused).await;
        let deleted = all.find(|event| event["type"] == "DELETED").await;
        assert_eq!(deleted["object"]["metadata"]["name"], added["object"]["metadata"]["name"]);
        let number = |event: &Value| rv(&event["object"]).parse::<u64>().expect("a version");
        assert!(number(&deleted) > number(&started));
        running.find(|event| event["type"] == "DELETED").await;

        let uid = created["metadata"]["uid"].as_str().expect("a uid");
        let of_job = format!("{PODS}?watch=1&resourceVersion={from}&labelSelector=controller-uid%3D{uid}");
        assert_eq!(server.watch(&of_job).await.next().await, Some(added));
    });
}

#[test]
fn initial_events_end_with_a_bookmark() {
    with_server(async |server: &Server| {
        server.create_paused(&["a"]).await;
        let list = server.get(JOBS).await;
        let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let mut watch = server.watch(&format!("{JOBS}?{query}&allowWatchBookmarks=true")).await;
        assert_eq!(watch.told().await, pair("ADDED", "a"));
        let mut wanted = golden_events("watch-jobs-watchlist")[3].clone();
        wanted["object"]["metadata"]["resourceVersion"] = json!(rv(&list));
        // The reference sends what its types cannot leave out.
        wanted["object"].as_object_mut().expect("an object").retain(|key, _| key != "spec" && key != "status");
        assert_eq!(watch.next().await, Some(wanted));
        server.create_paused(&["b"]).await;
        assert_eq!(watch.told().await, pair("ADDED", "b"));

        let mut silent = server.watch(&format!("{JOBS}?{query}")).await;
        assert_eq!(silent.told().await, pair("ADDED", "a"));
        assert_eq!(silent.told().await, pair("ADDED", "b"), "no bookmark without allowWatchBookmarks");
        let none = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
        let mut none = server.watch(&format!("{JOBS}?{none}")).await;
        server.create_paused(&["c"]).await;
        assert_eq!(none.told().await, pair("ADDED", "c"));
    });
}

#[test]
fn a_watch_ends_at_its_time_with_how_far_it_came() {
    with_server(async |server: &Server| {
        server.create_paused(&["a"]).await;
        let list = server.get(JOBS).await;
        let path = format!("{JOBS}?watch=1&resourceVersion={}&timeoutSeconds=-1", rv(&list));
        assert_eq!(server.watch(&path).await.next().await, None);
        let mut told = server.watch(&format!("{path}&allowWatchBookmarks=1")).await;
        let object = json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"resourceVersion": rv(&list)}});
        assert_eq!(told.next().await, Some(json!({"type": "BOOKMARK", "object": object})));
        assert_eq!(told.next().await, None);
        let mut short = server.watch(&format!("{JOBS}?watch=1&timeoutSeconds=1")).await;
        assert_eq!(short.told().await, pair("ADDED", "a"));
        assert_eq!(short.next().await, None);
    });
}

#[test]
fn a_watch_tells_rows_of_tables() {
    with_server(async |server: &Server| {
        server.create_paused(&["a", "b"]).await;
        let mut watch = server.watch_as(&format!("{JOBS}?watch=1"), TABLE).await;
        let golden = golden_events("watch-jobs-table");
        for wanted in &golden[..2] {
            let event = watch.next().await.expect("an event");
            assert_eq!(keys(&event), keys(wanted));
            assert_eq!(keys(&event["object"]), keys(&wanted["object"]));
            assert_eq!(event["object"]["columnDefinitions"].is_null(), wanted["object"]["columnDefinitions"].is_null());
            assert_eq!(event["object"]["rows"].as_array().map(Vec::len), Some(1));
            assert_eq!(rv(&event["object"]), rv(&event["object"]["rows"][0]["object"]));
        }
        let list = server.get(JOBS).await;
        let path = format!("{JOBS}?watch=1&allowWatchBookmarks=1&timeoutSeconds=-1&resourceVersion={}", rv(&list));
        let bookmark = server.watch_as(&path, TABLE).await.next().await.expect("an event");
        assert_eq!(bookmark["object"]["kind"], "Table");
        assert_eq!(rv(&bookmark["object"]), rv(&list));
        let metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let partial = server.watch_as(&format!("{JOBS}?watch=1"), metadata).await.next().await.expect("an event");
        assert_eq!(partial["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(partial["object"]["metadata"], list["items"][0]["metadata"]);
    });
}

#[test]
fn a_watcher_that_is_overtaken_is_told_and_let_go() {
    with_server(async |server: &Server| {
        server.create_paused(&["a"]).await;
        let list = server.get(JOBS).await;
        let path = format!("{JOBS}?watch=1&resourceVersion={}", rv(&list));
        let mut sleeper = server.watch(&path).await;
        let word = "x".repeat(2_900_000);
        let fill = crate::view::RING_BYTES_MAX / word.len() + 2;
        for nth in 0..fill {
            server.create(&job(&format!("b{nth}"), &word, 0)).await;
        }
        let mut wanted = golden_events("watch-410").remove(0);
        let text = wanted["object"]["message"].take();
        assert_eq!(text, "too old resource version: 1 (176408)");
        for watch in [&mut sleeper, &mut server.watch(&path).await] {
            let mut event = watch.next().await.expect("an event");
            let message = event["object"]["message"].take();
            let start = format!("too old resource version: {} (", rv(&list));
            assert!(message.as_str().is_some_and(|message| message.starts_with(&start)), "{message}");
            assert_eq!(event, wanted);
            assert_eq!(watch.next().await, None);
        }
    });
}

#[test]
fn the_node_is_added_and_nothing_follows_until_the_server_stops() {
    with_server(async |server: &Server| {
        let mut nodes = server.watch("/api/v1/nodes?watch=1&allowWatchBookmarks=1").await;
        assert_eq!(nodes.told().await, pair("ADDED", "coracle"));
        assert_eq!(nodes.told().await, pair("BOOKMARK", ""));
        let mut jobs = server.watch(&format!("{JOBS}?watch=1")).await;
        let (node, job, _) = tokio::join!(nodes.next(), jobs.next(), async {
            server.served.shutdown.send_replace(true);
        });
        assert_eq!(job, None);
        assert_eq!(node.map(|event| event["type"].clone()), Some(json!("BOOKMARK")));
        assert_eq!(nodes.next().await, None);
    });
}

#[test]
fn a_node_that_is_no_longer_ready_is_told_of() {
    with_engine(failing(), async |server: &Server| {
        let path = "/api/v1/nodes?watch=1&allowWatchBookmarks=1";
        let ready = |event: &Value| event["object"]["status"]["conditions"][0]["status"].clone();
        let list = server.get("/api/v1/nodes").await;
        let mut nodes = server.watch(path).await;
        let added = nodes.next().await.expect("an event");
        assert_eq!((told(&added), ready(&added)), (pair("ADDED", "coracle"), json!("True")));
        assert_eq!(nodes.told().await, pair("BOOKMARK", ""));
        let answer = server.send(Method::POST, JOBS, "*/*", job("a", "0", 1).to_string()).await;
        assert!(answer.status().is_server_error(), "{answer:?}");
        let modified = nodes.next().await.expect("an event");
        assert_eq!((told(&modified), ready(&modified)), (pair("MODIFIED", "coracle"), json!("False")));
        assert_eq!(modified["object"], server.get("/api/v1/nodes/coracle").await);
        for query in
            [format!("&resourceVersion={}", rv(&list)), format!("&resourceVersion={}", rv(&modified["object"]))]
        {
            let mut later = server.watch(&format!("{path}{query}&timeoutSeconds=1")).await;
            assert_eq!(later.next().await.as_ref(), Some(&modified), "whoever may have missed it is told");
            assert_eq!(later.told().await, pair("BOOKMARK", ""), "once");
        }
        let mut fresh = server.watch(&format!("{path}&timeoutSeconds=1")).await;
        assert_eq!(fresh.next().await, Some(json!({"type": "ADDED", "object": modified["object"]})));
        assert_eq!(fresh.told().await, pair("BOOKMARK", ""));
        assert_eq!(fresh.told().await, pair("BOOKMARK", ""), "its end");
        let other = format!("{path}&resourceVersion={}&timeoutSeconds=1&fieldSelector=metadata.name=b", rv(&list));
        assert_eq!(server.watch(&other).await.told().await, pair("BOOKMARK", ""));
    });
}

#[test]
fn one_watch_too_many_is_asked_to_come_again() {
    with_server(async |server: &Server| {
        server.served.reads.leave_watches(1);
        let path = format!("{JOBS}?watch=1");
        let last = server.watch(&path).await;
        let refused = server.send(Method::GET, &path, "*/*", String::new()).await;
        assert_eq!(refused.status().as_u16(), 429);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        drop(last);
        server.watch(&path).await;
    });
}

#[test]
fn a_watcher_that_is_far_behind_is_told_of_each_pod_once() {
    with_server(async |server: &Server| {
        let from = server.engine.handle().view().rv();
        let path = |selector: &str| format!("{PODS}?watch=1&resourceVersion={from}{selector}");
        let mut all = server.watch(&path("&labelSelector=batch.kubernetes.io%2Fjob-name%3Da")).await;
        let mut others = server.watch(&path("&labelSelector=job-name!%3Da")).await;
        let mut pending = server.watch(&path("&fieldSelector=status.phase%3DPending")).await;
        let mut many = job("a", "0", 200);
        many["spec"]["completions"] = json!(2000);
        server.create(&many).await;
        server.wait_for(&format!("{JOBS}/a"), |job| job["status"]["succeeded"] == 2000).await;
        let (mut last, mut names) = (0, BTreeSet::new());
        for _ in 0..2000 {
            let event = all.next().await.expect("an event");
            let number: u64 = rv(&event["object"]).parse().expect("a version");
            assert!(number > last, "{number} after {last}");
            assert_eq!((&event["type"], &event["object"]["status"]["phase"]), (&json!("ADDED"), &json!("Succeeded")));
            assert!(names.insert(told(&event).1));
            last = number;
        }
        let mut open = BTreeSet::new();
        for _ in 0..4000 {
            let (kind, name) = pending.told().await;
            assert!(if kind == "ADDED" { open.insert(name) } else { kind == "DELETED" && open.remove(&name) });
        }
        assert!(open.is_empty(), "what a phase selects is told of in full");
        server.create(&job("b", "0", 1)).await;
        let added = others.next().await.expect("an event");
        assert_eq!(added["object"]["metadata"]["labels"]["job-name"], "b");
    });
}
