//! Lists: pages, versions, selectors, bodies in chunks.

use super::super::token::Token;
use super::{JOBS, PODS, Server, golden, job, keys, names, pair, rv, with_server};
use axum::http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

fn token(list: &Value) -> &str {
    list["metadata"]["continue"].as_str().expect("a token")
}

#[test]
fn the_pages_of_a_list_are_of_one_version() {
    with_server(async |server: &Server| {
        server.create_paused(&["j0", "j1", "j2", "j3", "j4"]).await;
        let first = server.get(&format!("{JOBS}?limit=2")).await;
        assert_eq!(names(&first), ["j0", "j1"]);
        assert_eq!(keys(&first["metadata"]), keys(&golden("list-limit-continue")["metadata"]));
        assert_eq!(first["metadata"]["remainingItemCount"], 3);
        server.create_paused(&["j2a"]).await;
        let second = server.get(&format!("{JOBS}?limit=2&continue={}", token(&first))).await;
        assert_eq!((names(&second), rv(&second)), (vec!["j2", "j3"], rv(&first)), "the new Job is not in it");
        assert_eq!(second["metadata"]["remainingItemCount"], 1);
        let last = server.get(&format!("{JOBS}?limit=2&continue={}", token(&second))).await;
        assert_eq!((names(&last), rv(&last)), (vec!["j4"], rv(&first)));
        assert_eq!(keys(&last["metadata"]), ["resourceVersion"].into());
        for page in [&second, &first] {
            let again = server.get(&format!("{JOBS}?limit=2&continue={}", token(page))).await;
            assert_eq!((rv(&again), names(&again).len()), (rv(&first), if page == &first { 2 } else { 1 }));
        }
    });
}

#[test]
fn no_reader_takes_a_list_from_another() {
    with_server(async |server: &Server| {
        server.create_paused(&["j0", "j1", "j2"]).await;
        let first = server.get(&format!("{JOBS}?limit=1")).await;
        assert_eq!(rv(&server.get(JOBS).await), rv(&first), "all of it at the same version");
        server.get(&format!("{JOBS}?limit=9&continue={}", token(&first))).await;
        server.create_paused(&["j3"]).await;
        let second = server.get(&format!("{JOBS}?limit=1&continue={}", token(&first))).await;
        assert_eq!((names(&second), rv(&second)), (vec!["j1"], rv(&first)));
    });
}

#[test]
fn a_name_selects_the_pods_of_whichever_job_has_it() {
    with_server(async |server: &Server| {
        let running = |count: usize| {
            move |pods: &Value| {
                let items = pods["items"].as_array().expect("items");
                items.len() == count && items.iter().all(|pod| pod["status"]["phase"] == "Running")
            }
        };
        for path in [PODS, "/api/v1/pods"] {
            let named = format!("{path}?labelSelector=job-name%3Da");
            server.create(&job("a", "wait", 2)).await;
            let old = server.wait_for(&named, running(2)).await;
            let first = server.get(&format!("{named}&limit=1")).await;
            let mut watch = server.watch(&format!("{named}&watch=1&resourceVersion={}", rv(&old))).await;
            server.write(Method::DELETE, &format!("{JOBS}/a"), &json!({"propagationPolicy": "Background"})).await;
            server.create(&job("a", "wait", 1)).await;
            let new = server.wait_for(&named, running(1)).await;
            assert!(!names(&old).contains(&names(&new)[0]), "{new}");
            let second = server.get(&format!("{named}&limit=1&continue={}", token(&first))).await;
            assert_eq!((names(&second), rv(&second)), (vec![names(&old)[1]], rv(&first)));
            for name in names(&old) {
                let gone = watch.find(|event| event["type"] == "DELETED").await;
                assert_eq!(gone["object"]["metadata"]["name"], name);
            }
            assert_eq!(watch.told().await, pair("ADDED", names(&new)[0]));
            server.write(Method::DELETE, &format!("{JOBS}/a"), &json!({"propagationPolicy": "Background"})).await;
            assert!(names(&server.get(&named).await).is_empty());
        }
    });
}

#[test]
fn a_page_that_holds_all_has_no_continue_and_one_with_a_selector_no_count() {
    with_server(async |server: &Server| {
        server.create_paused(&["j0", "j1", "j2"]).await;
        let all = server.get(&format!("{JOBS}?limit=3")).await;
        assert_eq!((names(&all).len(), keys(&all["metadata"])), (3, ["resourceVersion"].into()));
        let selected = server.get(&format!("{JOBS}?limit=2&labelSelector=app")).await;
        assert_eq!(keys(&selected["metadata"]), ["resourceVersion", "continue"].into());
        let two = server.get(&format!("{JOBS}?limit=2&labelSelector=app+in+(j0,j2)")).await;
        assert_eq!((names(&two), keys(&two["metadata"])), (vec!["j0", "j2"], ["resourceVersion"].into()));
    });
}

#[test]
fn a_token_whose_list_is_gone_gives_one_for_the_current_list() {
    with_server(async |server: &Server| {
        server.create_paused(&["j0", "j1", "j2"]).await;
        let old = Token::new(Some(1), "default/j0".to_owned(), Some(2)).encode();
        let (code, body) = server.get_as(&format!("{JOBS}?limit=1&continue={old}"), "application/json").await;
        assert_eq!((code, &body["reason"]), (410, &json!("Expired")));
        let message = body["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("The provided continue parameter is too old to display a consistent"), "{message}");
        let rest = server.get(&format!("{JOBS}?limit=1&continue={}", token(&body))).await;
        assert_eq!(names(&rest), ["j1"]);
        assert_eq!(rest["metadata"]["remainingItemCount"], 1);
        let last = server.get(&format!("{JOBS}?limit=1&continue={}", token(&rest))).await;
        assert_eq!(names(&last), ["j2"]);
        let future = Token::new(Some(u64::MAX / 4), "default/j0".to_owned(), None).encode();
        assert_eq!(server.refused(&format!("{JOBS}?continue={future}")).await.0, 410, "a version that never was");
        let (code, message) = server.refused(&format!("{JOBS}?continue={old}&resourceVersion=7")).await;
        assert_eq!((code, message.as_str()), (400, "specifying resource version is not allowed when using continue"));
    });
}

#[test]
fn pods_are_paged_through_their_jobs() {
    with_server(async |server: &Server| {
        for name in ["a", "b", "c"] {
            server.create(&job(name, "wait", 2)).await;
        }
        let running = |pods: &Value| {
            let items = pods["items"].as_array().expect("items");
            items.len() == 6 && items.iter().all(|pod| pod["status"]["phase"] == "Running")
        };
        let all = server.wait_for(PODS, running).await;
        let (mut paged, mut path, mut left) = (Vec::new(), format!("{PODS}?limit=1"), Vec::new());
        loop {
            let page = server.get(&path).await;
            paged.extend(names(&page).into_iter().map(str::to_owned));
            left.push(page["metadata"]["remainingItemCount"].as_u64().unwrap_or(0));
            let Some(token) = page["metadata"]["continue"].as_str() else { break };
            path = format!("{PODS}?limit=1&continue={token}");
        }
        assert_eq!(paged, names(&all));
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
    });
}

#[test]
fn selectors_choose_pods_jobs_and_namespaces() {
    with_server(async |server: &Server| {
        let a = server.create(&job("a", "wait", 1)).await;
        server.create(&job("b", "wait", 1)).await;
        let running = |pods: &Value| {
            let items = pods["items"].as_array().expect("items");
            items.len() == 2 && items.iter().all(|pod| pod["status"]["phase"] == "Running")
        };
        let all = server.wait_for(PODS, running).await;
        let [of_a, of_b] = names(&all)[..] else { panic!("{all}") };
        let uid = a["metadata"]["uid"].as_str().expect("a uid");
        let label = |selector: &str| format!("{PODS}?labelSelector={selector}");
        let field = |selector: &str| format!("{PODS}?fieldSelector={selector}");
        let cases = [
            (label(&format!("batch.kubernetes.io%2Fcontroller-uid%3D{uid}")), vec![of_a]),
            (label(&format!("controller-uid={uid}")), vec![of_a]),
            (label("controller-uid=none"), vec![]),
            (label("job-name%3Db"), vec![of_b]),
            (label("batch.kubernetes.io/job-name=a"), vec![of_a]),
            (label("job-name=c"), vec![]),
            (label("job-name+in+(a,b)"), vec![of_a, of_b]),
            (label("job-name!=a"), vec![of_b]),
            (label("job-name=a,nothing"), vec![]),
            (label("!nothing"), vec![of_a, of_b]),
            ("/api/v1/pods?labelSelector=job-name=a".to_owned(), vec![of_a]),
            (field(&format!("metadata.name={of_b}")), vec![of_b]),
            (field(&format!("metadata.name={of_b},status.phase=Pending")), vec![]),
            (format!("/api/v1/pods?fieldSelector=metadata.name={of_b}"), vec![of_b]),
            (format!("/api/v1/namespaces/kube-system/pods?fieldSelector=metadata.name={of_b}"), vec![]),
            (field("metadata.name=none"), vec![]),
            (field("metadata.namespace=default"), vec![of_a, of_b]),
            (field("spec.nodeName=coracle,status.phase=Running"), vec![of_a, of_b]),
            (field("spec.nodeName!=coracle"), vec![]),
            (field("spec.restartPolicy=Never,spec.serviceAccountName=default"), vec![of_a, of_b]),
            (field("spec.schedulerName=default-scheduler,spec.hostNetwork=false"), vec![of_a, of_b]),
            (field("status.podIP=127.0.0.1,status.nominatedNodeName="), vec![of_a, of_b]),
            (format!("{JOBS}?labelSelector=app%3Da"), vec!["a"]),
            (format!("{JOBS}?labelSelector=app,app!=a"), vec!["b"]),
            (format!("{JOBS}?fieldSelector=status.successful=0"), vec!["a", "b"]),
            ("/apis/batch/v1/jobs?fieldSelector=metadata.name%3Da".to_owned(), vec!["a"]),
            ("/apis/batch/v1/namespaces/none/jobs".to_owned(), vec![]),
            ("/api/v1/namespaces?fieldSelector=metadata.name=default,status.phase=Active".to_owned(), vec!["default"]),
            ("/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name=default".to_owned(), vec!["default"]),
            ("/api/v1/nodes?labelSelector=kubernetes.io/hostname=coracle".to_owned(), vec!["coracle"]),
            ("/api/v1/nodes?fieldSelector=spec.unschedulable=true".to_owned(), vec![]),
        ];
        for (path, wanted) in cases {
            assert_eq!(names(&server.get(&path).await), wanted, "{path}");
        }
        for kind in ["nodes", "namespaces"] {
            for watch in ["", "&watch=1"] {
                let refused =
                    server.refused(&format!("/api/v1/{kind}?fieldSelector=metadata.namespace!=a{watch}")).await;
                assert_eq!(refused, (400, "field label not supported: metadata.namespace".to_owned()));
            }
        }
    });
}

#[test]
fn events_are_found_as_kubectl_asks_for_them() {
    with_server(async |server: &Server| {
        let a = server.create(&job("a", "wait", 1)).await;
        server.create(&job("b", "wait", 1)).await;
        let path = "/api/v1/namespaces/default/events";
        let events = server.wait_for(path, |events| names(events).len() == 2).await;
        let uid = a["metadata"]["uid"].as_str().expect("a uid");
        let of = |text: &str| format!("{path}?limit=500&fieldSelector={}", text.replace("UID", uid));
        let describe =
            "involvedObject.name=a,involvedObject.namespace=default,involvedObject.kind=Job,involvedObject.uid=UID";
        for (path, count) in [
            (of(describe), 1),
            (of("involvedObject.kind=Job,involvedObject.apiVersion=batch/v1,involvedObject.name=a"), 1),
            (of("involvedObject.name=a-x,involvedObject.namespace=default,involvedObject.uid=UID"), 0),
            (of("reason=SuccessfulCreate,type=Normal,source=job-controller,reportingComponent=job-controller"), 2),
            (of("type!=Normal"), 0),
            ("/api/v1/events".to_owned(), 2),
            ("/api/v1/namespaces/kube-system/events".to_owned(), 0),
        ] {
            assert_eq!(names(&server.get(&path).await).len(), count, "{path}");
        }
        let name = names(&events)[1];
        assert_eq!(server.get(&format!("{path}/{name}")).await, events["items"][1]);
        let (code, message) = server.refused(&format!("{path}/none")).await;
        assert_eq!((code, message.as_str()), (404, "events \"none\" not found"));
        let first = server.get(&format!("{path}?limit=1")).await;
        let second = server.get(&format!("{path}?limit=1&continue={}", token(&first))).await;
        assert_eq!([names(&first), names(&second)].concat(), names(&events));
    });
}

#[test]
fn versions_are_kept_to_or_refused() {
    with_server(async |server: &Server| {
        server.create_paused(&["a"]).await;
        let list = server.get(JOBS).await;
        let now = rv(&list);
        let exact = |rv: &str| format!("{JOBS}?resourceVersion={rv}&resourceVersionMatch=Exact");
        assert_eq!(rv(&server.get(&exact(now)).await), now);
        for path in [
            format!("{JOBS}?resourceVersion=0"),
            format!("{JOBS}?resourceVersion=1"),
            format!("{JOBS}?resourceVersion={now}&resourceVersionMatch=NotOlderThan"),
            format!("{JOBS}/a?resourceVersion=0"),
            format!("{JOBS}/a?resourceVersion={now}"),
        ] {
            server.get(&path).await;
        }
        server.write(Method::POST, "/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await;
        assert_eq!(rv(&server.get(&exact(now)).await), now, "nothing happened to Jobs");
        server.create_paused(&["b"]).await;
        let (code, expired) = server.get_as(&exact(now), "application/json").await;
        assert_eq!((code, expired), (410, golden("status-410-expired")));
        let (code, _) = server.refused(&format!("{JOBS}?limit=1&resourceVersion={now}")).await;
        assert_eq!(code, 410, "a limit makes a version exact");
    });
}

#[test]
fn a_version_of_the_future_is_waited_for_and_then_refused() {
    with_server(async |server: &Server| {
        let future = 1_u64 << 60;
        let list = format!("{JOBS}?resourceVersion={future}");
        let watch = format!("{JOBS}?watch=1&resourceVersion={future}");
        let one = format!("/api/v1/namespaces/default?resourceVersion={future}");
        let (list, watch, one) = tokio::join!(
            server.get_as(&list, "application/json"),
            server.get_as(&watch, "application/json"),
            server.get_as(&one, "application/json"),
        );
        for (code, body) in [list, watch, one] {
            assert_eq!((code, &body["reason"]), (504, &json!("Timeout")));
            let text = format!("Timeout: Too large resource version: {future}, current: ");
            assert!(body["message"].as_str().is_some_and(|message| message.starts_with(&text)), "{body}");
            let cause = json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]);
            assert_eq!(body["details"], json!({"causes": cause, "retryAfterSeconds": 1}));
        }
        let rv = server.engine.handle().view().rv();
        let next = format!("{JOBS}?resourceVersion={}", rv + 1);
        let a = job("a", "0", 0);
        let (waited, _) = tokio::join!(server.get(&next), server.create(&a));
        assert_eq!(names(&waited), ["a"], "one that comes in time is waited for");
    });
}

#[test]
fn a_big_list_comes_in_chunks() {
    with_server(async |server: &Server| {
        let word = "x".repeat(20_000);
        let wanted: Vec<String> = (10..30).map(|nth| format!("j{nth}")).collect();
        for name in &wanted {
            server.create(&job(name, &word, 0)).await;
        }
        let response = server.send(Method::GET, JOBS, "*/*", String::new()).await;
        let (mut body, mut text, mut largest, mut count) = (response.into_body(), Vec::new(), 0, 0);
        while let Some(frame) = body.frame().await {
            let bytes = frame.expect("a chunk").into_data().expect("data");
            (largest, count) = (largest.max(bytes.len()), count + 1);
            text.extend_from_slice(&bytes);
        }
        assert!(count > 4 && largest < super::super::CHUNK_BYTES + 30_000, "{count} chunks, the largest of {largest}");
        let list: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(names(&list), wanted);
    });
}
