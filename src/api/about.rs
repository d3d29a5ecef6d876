//! What the server says about itself: its version, its health, its paths; and what it says where there is nothing.
//!
//! Must not know objects. Invariant: a server whose store failed is alive, because it can still be read, and not ready.

use super::Status;
use super::discovery::is_within;
use super::resources::GROUP_VERSIONS;
use super::router::{Query, json as answer};
use crate::engine::{Handle, Health};
use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;

/// The version of Kubernetes whose API this is, and after the `+` our own (a semantic version's build metadata).
pub(super) const GIT_VERSION: &str = concat!("v1.36.2+coracle-", env!("CARGO_PKG_VERSION"));

/// The paths of this file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Handle: FromRef<S>,
{
    Router::new()
        .route("/", get(paths))
        .route("/version", get(version))
        .route("/version/", get(version))
        .route("/healthz", get(async |handle, query| checks("healthz", &handle, &query)))
        .route("/livez", get(async |query| report("livez", &[("ping", true)], &query)))
        .route("/readyz", get(async |handle, query| checks("readyz", &handle, &query)))
}

/// What is answered where nothing is: a Status within a served group and version, text elsewhere (kubernetes:
/// `NotFoundHandler`).
pub(super) async fn nothing(uri: Uri) -> Response {
    if is_within(uri.path()) {
        return Status::unknown_resource().into_response();
    }
    text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned())
}

async fn paths() -> Response {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/apis/", "/healthz", "/livez", "/openapi/v3", "/openapi/v3/", "/readyz", "/version"]
            .map(str::to_owned)
            .into();
    for group in GROUP_VERSIONS {
        paths.push(group.path());
        if !group.group.is_empty() {
            paths.push(format!("/apis/{}", group.group));
        }
    }
    paths.sort();
    answer(StatusCode::OK, json!({ "paths": paths }).to_string(), &[])
}

/// kubernetes: `version.Info`. What Go's build leaves behind has no equal here and keeps client-go's values for unknown.
async fn version() -> Response {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let info = json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": "unknown",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    });
    answer(StatusCode::OK, info.to_string(), &[])
}

fn checks(name: &str, State(handle): &State<Handle>, query: &Query) -> Response {
    report(name, &[("ping", true), ("store", handle.health() == Health::Ok)], query)
}

/// The outcome of checks. Whoever asks needs no token, so the reason is withheld; the log has it from when it happened
/// (kubernetes: apiserver `healthz.handleRootHealth`).
fn report(name: &str, checks: &[(&str, bool)], query: &Query) -> Response {
    let is_failed = checks.iter().any(|(_, is_ok)| !is_ok);
    if !is_failed && query.get("verbose").is_none() {
        return text(StatusCode::OK, "ok".to_owned());
    }
    let line = |(check, is_ok): &(&str, bool)| match is_ok {
        true => format!("[+]{check} ok\n"),
        false => format!("[-]{check} failed: reason withheld\n"),
    };
    let mut body: String = checks.iter().map(line).collect();
    body.push_str(&format!("{name} check {}\n", if is_failed { "failed" } else { "passed" }));
    text(if is_failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }, body)
}

fn text(code: StatusCode, body: String) -> Response {
    let mut response = (code, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
