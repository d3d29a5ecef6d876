//! Version, health, paths and nothing, through the router.

use super::{Query, report};
use crate::api::client::with_server;
use serde_json::{Value, json};

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/goldens/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect("a golden is JSON")
}

#[test]
fn the_version_has_kubernetes_keys_and_is_a_semantic_version() {
    with_server(async |server| {
        let theirs = golden("version");
        for path in ["/version", "/version/", "/version?timeout=32s"] {
            let answer = server.ask("GET", path, &[]).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}");
            let ours = answer.body;
            let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&ours), keys(&theirs));
            assert!(ours.as_object().expect("an object").values().all(Value::is_string), "{ours}");
            for key in ["major", "minor", "emulationMajor", "emulationMinor", "minCompatibilityMinor"] {
                assert_eq!(ours[key], theirs[key], "{key}");
            }
            let version = ours["gitVersion"].as_str().expect("text");
            assert_eq!(version, format!("v1.36.2+coracle-{}", env!("CARGO_PKG_VERSION")));
        }
        server
    });
}

#[test]
fn a_working_server_is_healthy() {
    with_server(async |server| {
        let cases = [
            ("/healthz", "ok"),
            ("/livez", "ok"),
            ("/readyz", "ok"),
            ("/readyz?verbose", "[+]ping ok\n[+]store ok\nreadyz check passed\n"),
            ("/livez?verbose=1", "[+]ping ok\nlivez check passed\n"),
        ];
        for (path, text) in cases {
            let answer = server.ask("GET", path, &[]).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, text), "{path}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
        assert_eq!(server.ask("HEAD", "/readyz", &[]).await.status, 200);
        server
    });
}

#[test]
fn a_failed_check_is_named_and_its_reason_is_not_for_everybody() {
    let response = report("readyz", &[("ping", true), ("store", false)], &Query::default());
    assert_eq!(response.status(), 500);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let body = runtime.block_on(axum::body::to_bytes(response.into_body(), 1000)).expect("a body");
    assert_eq!(body, "[+]ping ok\n[-]store failed: reason withheld\nreadyz check failed\n");
}

#[test]
fn every_path_that_is_told_is_there() {
    with_server(async |server| {
        let paths = server.ask("GET", "/", &[]).await.body;
        let paths = paths["paths"].as_array().expect("paths").clone();
        assert!(paths.contains(&json!("/apis/batch/v1")), "{paths:?}");
        assert!(paths.is_sorted_by_key(|path| path.as_str()), "{paths:?}");
        for path in paths {
            assert_eq!(server.ask("GET", path.as_str().expect("text"), &[]).await.status, 200, "{path}");
        }
        server
    });
}

#[test]
fn where_nothing_is_depends_on_the_group() {
    with_server(async |server| {
        for path in [
            "/apis/batch/v1/nope",
            "/apis/batch/v1/namespaces/default/cronjobs",
            "/apis/batch/v1/namespaces/default/jobs/x/scale",
            "/api/v1/nope/",
            "/api/v1/namespaces/default/configmaps/x",
        ] {
            for method in ["GET", "POST"] {
                let answer = server.ask(method, path, &[]).await;
                assert_eq!((answer.status, &answer.body["kind"]), (404, &json!("Status")), "{path}");
                assert_eq!(answer.body["message"], "the server could not find the requested resource");
            }
        }
        for path in
            ["/nope", "/apis/apps", "/apis/apps/v1", "/apis/batch/v2/jobs", "/api/v2", "/api/v1beta1", "/healthz/x"]
        {
            let answer = server.ask("GET", path, &[]).await;
            assert_eq!((answer.status, answer.text.as_str()), (404, "404 page not found\n"), "{path}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
        server
    });
}

#[test]
fn methods_that_are_not_served_are_refused_as_kubernetes_refuses_them() {
    with_server(async |server| {
        for (method, path) in [
            ("DELETE", "/apis/batch/v1/namespaces/default/jobs"),
            ("DELETE", "/apis/batch/v1/jobs"),
            ("POST", "/apis/batch/v1/jobs"),
            ("OPTIONS", "/apis/batch/v1/namespaces/default/jobs/x"),
            ("POST", "/version"),
        ] {
            let answer = server.ask(method, path, &[]).await;
            assert_eq!((answer.status, answer.body), (405, golden("status-405")), "{method} {path}");
        }
        server
    });
}
