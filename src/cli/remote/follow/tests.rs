//! Following against a scripted server.

use super::*;
use crate::cli::progress::Mode;
use crate::cli::remote::testing::{Asked, Reply, Scripted, lines, scripted};
use serde_json::json;

const JOB: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

fn job(succeeded: u32, failed: u32, condition: Option<(&str, &str)>) -> Value {
    let conditions: Vec<Value> = condition
        .map(|(kind, reason)| json!({"type": kind, "status": "True", "reason": reason, "message": "why"}))
        .into_iter()
        .collect();
    json!({
        "metadata": {"name": "a", "namespace": "default", "uid": JOB, "resourceVersion": "9"},
        "spec": {"completions": succeeded + failed},
        "status": {"succeeded": succeeded, "failed": failed, "conditions": conditions},
    })
}

fn pod(n: u32, phase: &str, state: &Value) -> Value {
    json!({
        "metadata": {
            "name": format!("a-{n}"), "namespace": "default", "resourceVersion": "5",
            "uid": format!("00000000-0000-4000-8000-{n:012}"),
            "labels": {UID_LABEL: JOB, "batch.kubernetes.io/job-name": "a"},
        },
        "status": {"phase": phase, "containerStatuses": [{"state": state}]},
    })
}

fn ended(n: u32, code: u8) -> Value {
    let (phase, reason) = if code == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
    pod(n, phase, &json!({"terminated": {"exitCode": code, "reason": reason}}))
}

fn events(kind: &str, objects: &[Value]) -> Vec<Value> {
    objects.iter().map(|object| json!({"type": kind, "object": object})).collect()
}

/// A stream that does not end.
fn open(values: &[Value]) -> Reply {
    let (sender, receiver) = mpsc::unbounded_channel();
    values.iter().for_each(|value| sender.send(format!("{value}\n").into()).expect("open"));
    std::mem::forget(sender);
    Reply::Stream(receiver)
}

/// Follows Job `a` on a server of this script.
fn follow(
    is_program: bool,
    is_new: bool,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Result<u8, Ended>, Scripted) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let there = scripted(script).await;
        let follower = RemoteFollower::heard(&there.server, Arc::default());
        let jobs = vec![Followed::new(&job(1, 0, None), is_new)];
        (follower.follow(jobs, Progress::new(Mode::Quiet, "a"), is_program).await, there)
    })
}

/// Watches of Jobs and pods give these; logs are empty, other requests a 404.
fn world(jobs: Vec<Value>, pods: Vec<Value>) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| match asked.path.as_str() {
        path if path.contains("/log") => Reply::Text(200, String::new()),
        path if path.starts_with("/apis/batch/v1/namespaces/default/jobs?") => open(&events("MODIFIED", &jobs)),
        path if path.starts_with("/api/v1/namespaces/default/pods?") && path.contains("watch=true") => {
            open(&events("MODIFIED", &pods))
        }
        _ => Reply::Json(404, json!({"message": "not found"})),
    }
}

#[test]
fn a_job_that_completes_ends_with_0_and_each_output_is_read_once() {
    let script =
        world(vec![job(0, 0, None), job(2, 0, Some(("Complete", "x")))], vec![ended(1, 0), ended(2, 0), ended(1, 0)]);
    let (code, there) = follow(false, true, script);
    assert!(matches!(code, Ok(0)), "{code:?}");
    let paths = there.paths();
    let logs: Vec<_> = paths.iter().filter(|path| path.ends_with("/log")).collect();
    assert_eq!(logs, ["GET /api/v1/namespaces/default/pods/a-1/log", "GET /api/v1/namespaces/default/pods/a-2/log"]);
    let watches: Vec<_> = paths.iter().filter(|path| path.contains("watch=true")).collect();
    assert!(watches.iter().any(|path| path.contains("jobs?fieldSelector=metadata.name%3Da&")), "{watches:?}");
    let selector = format!("pods?labelSelector=batch.kubernetes.io%2Fcontroller-uid%20in%20%28{JOB}%29&");
    assert!(watches.iter().any(|path| path.contains(&selector)), "{watches:?}");
}

#[test]
fn exit_codes_are_those_of_a_local_run() {
    let failed = |reason| vec![job(0, 1, Some(("Failed", reason)))];
    let cases = [
        ("a Job that failed", false, failed("BackoffLimitExceeded"), ended(1, 42), 1),
        ("its deadline", false, failed("DeadlineExceeded"), ended(1, 143), 124),
        ("a program's own", true, failed("BackoffLimitExceeded"), ended(1, 42), 42),
        ("a program's deadline", true, failed("DeadlineExceeded"), ended(1, 143), 124),
        ("a program that is done", true, vec![job(1, 0, Some(("Complete", "x")))], ended(1, 0), 0),
    ];
    for (case, is_program, jobs, pod, wanted) in cases {
        let (code, _) = follow(is_program, true, world(jobs, vec![pod]));
        assert!(matches!(code, Ok(code) if code == wanted), "{case}: {code:?}");
    }
}

#[test]
fn a_pod_that_cannot_start_ends_the_run_with_4() {
    let waiting = pod(1, "Pending", &json!({"waiting": {"reason": "ErrImagePull", "message": "no module `x`"}}));
    let (code, _) = follow(false, true, world(vec![job(0, 0, None)], vec![waiting]));
    let Err(Ended::Error(error)) = code else { panic!("{code:?}") };
    assert_eq!(error.code(), 4);
    assert!(format!("{error:?}").contains("pod a-1 cannot start: no module `x`"), "{error:?}");
}

#[test]
fn pods_that_the_watch_does_not_tell_of_are_listed() {
    let base = world(vec![job(2, 0, Some(("Complete", "x")))], vec![]);
    let (code, there) = follow(false, true, move |asked| match asked.path.as_str() {
        path if path.contains("limit=500") && path.contains("continue=p2") => {
            Reply::Json(200, json!({"metadata": {}, "items": [ended(2, 0)]}))
        }
        path if path.contains("limit=500") => {
            Reply::Json(200, json!({"metadata": {"continue": "p2"}, "items": [ended(1, 0)]}))
        }
        _ => base(asked),
    });
    assert!(matches!(code, Ok(0)), "{code:?}");
    assert_eq!(there.paths().iter().filter(|path| path.ends_with("/log")).count(), 2);
}

#[test]
fn what_ended_before_is_not_told_again() {
    let base = world(vec![job(2, 0, Some(("Complete", "x")))], vec![ended(1, 0), ended(2, 0)]);
    let (code, there) = follow(false, false, move |asked| match asked.path.as_str() {
        path if path.contains("limit=500") => Reply::Json(200, json!({"metadata": {}, "items": [ended(1, 0)]})),
        _ => base(asked),
    });
    assert!(matches!(code, Ok(0)), "{code:?}");
    let paths = there.paths();
    assert_eq!(paths.iter().filter(|path| path.contains("a-1/log")).count(), 0);
    assert_eq!(paths.iter().filter(|path| path.contains("a-2/log")).count(), 1);
}

#[test]
fn a_living_pod_is_heard_and_its_end_waits_for_its_output() {
    let running = pod(1, "Running", &json!({"running": {}}));
    let base = world(vec![job(0, 1, Some(("Failed", "BackoffLimitExceeded")))], vec![running, ended(1, 7)]);
    let (code, there) = follow(true, true, move |asked| match asked.path.as_str() {
        path if path.ends_with("log?follow=true") => lines(&[json!("said")]),
        path if path.ends_with("/log") => Reply::Text(200, "\"said\"\n".to_owned()),
        _ => base(asked),
    });
    assert!(matches!(code, Ok(7)), "{code:?}");
    let logs: Vec<String> = there.paths().into_iter().filter(|path| path.contains("/log")).collect();
    let path = "GET /api/v1/namespaces/default/pods/a-1/log";
    assert_eq!(logs, [format!("{path}?follow=true"), path.to_owned()]);
}

#[test]
fn a_deleted_job_and_a_lost_server_end_the_run() {
    let (code, _) = follow(false, true, |asked| match asked.path.as_str() {
        path if path.contains("/jobs?") => open(&events("DELETED", &[job(0, 0, None)])),
        _ => open(&[]),
    });
    assert!(matches!(code, Ok(1)), "{code:?}");
    let (code, _) = follow(false, true, |_| Reply::Json(401, json!({})));
    let Err(Ended::Error(error)) = code else { panic!("{code:?}") };
    assert_eq!(error.code(), 3);
    assert!(format!("{error:?}").contains("the Jobs go on on the server"), "{error:?}");
}

#[test]
fn an_interrupt_ends_the_following_and_not_the_job() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let there = scripted(world(vec![job(0, 0, None)], vec![])).await;
        let interrupt = Arc::new(Notify::new());
        interrupt.notify_one();
        let follower = RemoteFollower::heard(&there.server, interrupt);
        let jobs = vec![Followed::new(&job(1, 0, None), true)];
        let code = follower.follow(jobs, Progress::new(Mode::Quiet, "a"), false).await;
        assert!(matches!(code, Err(Ended::Interrupted)), "{code:?}");
        assert!(there.paths().iter().all(|path| !path.starts_with("DELETE")));
    });
}

#[test]
fn a_server_that_is_away_for_a_moment_is_waited_for() {
    // Each list, and each output, fails twice: without an answer, and with one that says so.
    let base = world(vec![job(2, 0, Some(("Complete", "x")))], vec![]);
    let failed = std::sync::Mutex::new(BTreeMap::<String, u32>::new());
    let (code, there) = follow(false, true, move |asked| {
        let path = asked.path.as_str();
        if path.contains("limit=500") || path.ends_with("/log") {
            let mut failed = failed.lock().expect("unlocked");
            let count = failed.entry(path.to_owned()).or_default();
            *count += 1;
            match count {
                1 => return Reply::Close,
                2 => return Reply::Json(503, json!({"message": "stopping"})),
                _ => {}
            }
        }
        if path.contains("limit=500") {
            return Reply::Json(200, json!({"metadata": {}, "items": [ended(1, 0), ended(2, 0)]}));
        }
        base(asked)
    });
    assert!(matches!(code, Ok(0)), "{code:?}");
    for log in ["a-1/log", "a-2/log"] {
        assert_eq!(there.paths().iter().filter(|path| path.ends_with(log)).count(), 3, "{log}");
    }
}

#[test]
fn a_list_whose_place_the_server_forgot_begins_anew_and_tells_nothing_twice() {
    let base = world(vec![job(2, 0, Some(("Complete", "x")))], vec![]);
    let forgot = std::sync::atomic::AtomicBool::new(false);
    let (code, there) = follow(false, true, move |asked| match asked.path.as_str() {
        path if path.contains("continue=p2") => {
            if !forgot.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return Reply::Json(410, json!({"reason": "Expired"}));
            }
            Reply::Json(200, json!({"metadata": {}, "items": [ended(2, 0)]}))
        }
        path if path.contains("limit=500") => {
            Reply::Json(200, json!({"metadata": {"continue": "p2"}, "items": [ended(1, 0)]}))
        }
        _ => base(asked),
    });
    assert!(matches!(code, Ok(0)), "{code:?}");
    let paths = there.paths();
    let lists = paths.iter().filter(|path| path.contains("limit=500")).count();
    assert_eq!((lists, paths.iter().filter(|path| path.ends_with("/log")).count()), (4, 2));
}

#[test]
fn a_few_outputs_are_asked_for_at_once_and_given_in_order() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let (asked, mut logs) = mpsc::unbounded_channel();
        let there = scripted(move |one| {
            let (sender, receiver) = mpsc::unbounded_channel();
            asked.send((one.path.clone(), sender)).expect("open");
            Reply::Stream(receiver)
        })
        .await;
        let mut follower = RemoteFollower::heard(&there.server, Arc::default());
        follower.ended = (0..=OUTPUTS_MAX).map(|n| ended(u32::try_from(n).expect("few"), 0)).collect();
        let answers = async {
            let mut open = Vec::new();
            for _ in 0..OUTPUTS_MAX {
                open.push(logs.recv().await.expect("asked for"));
            }
            assert!(logs.try_recv().is_err(), "no more than {OUTPUTS_MAX} at once");
            // The last of them is there first.
            while let Some((path, sender)) = open.pop() {
                sender.send(path.into()).expect("open");
            }
            let (path, _) = logs.recv().await.expect("the rest");
            assert!(path.contains(&format!("a-{OUTPUTS_MAX}/log")), "{path}");
        };
        let progress = Progress::new(Mode::Quiet, "a");
        let (finished, ()) = tokio::join!(follower.finish_ended(&progress), answers);
        assert!(finished.is_ok(), "{finished:?}");
        assert_eq!(follower.outputs.idle(), OUTPUTS_MAX);
    });
}
