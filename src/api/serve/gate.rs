//! Who may come in, and what is refused while the server ends.
//!
//! Stands in front of the router, which itself is open to callers in this process. Must not know what a path does beyond
//! the few that it names. Invariant: a path that is not named as open is never reached without the token.

use super::Phase;
use crate::api::Status;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

/// Answered to everybody, with or without a `/` at the end: probes and version checks carry no token (kubernetes:
/// `system:public-info-viewer`).
const OPEN_PATHS: [&str; 4] = ["/livez", "/readyz", "/healthz", "/version"];

/// The token, as a digest: two digests that differ early say nothing about the token, so comparing them may take any time.
#[derive(Debug)]
pub(super) struct Gate([u8; 32]);

/// Whether a client has shown the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Known,
    Unknown,
}

impl Gate {
    pub(super) fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Lets a request in, or gives its answer.
    pub(super) fn check(&self, request: &Parts, phase: Phase) -> (Trust, Result<(), Response>) {
        let path = request.uri.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        let trust = if self.knows(&request.headers) { Trust::Known } else { Trust::Unknown };
        if trust == Trust::Unknown && !OPEN_PATHS.contains(&path) {
            return (trust, Err(Status::unauthorized().into_response()));
        }
        let answer = match phase {
            Phase::Serving => Ok(()),
            Phase::Draining | Phase::Stopping if path == "/readyz" => Err(not_ready()),
            Phase::Draining | Phase::Stopping if creates_job(&request.method, path) => {
                Err(Status::unavailable("the server is shutting down: it takes no new Jobs").into_response())
            }
            Phase::Draining | Phase::Stopping => Ok(()),
        };
        (trust, answer)
    }

    /// kubernetes: `bearertoken.AuthenticateRequest`; the scheme is compared without case.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some((scheme, token)) = given.trim().split_once(' ') else { return false };
        let token = token.trim();
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && Sha256::digest(token)[..] == self.0
    }
}

fn creates_job(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.starts_with("/apis/batch/v1/") && path.ends_with("/jobs")
}

/// kubernetes: the check `shutdown` of `/readyz`.
fn not_ready() -> Response {
    let mut response = Response::new(Body::from("[-]shutdown failed: process is shutting down\nreadyz check failed\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// No answer may be kept unless it says so itself (kubernetes: `WithCacheControl`).
pub(super) fn finish(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn asked(method: &str, path: &str, authorization: Option<&str>) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    /// The code of the refusal; 0 when the request is let in.
    fn refused(request: &Parts, phase: Phase) -> u16 {
        Gate::new("secret").check(request, phase).1.err().map_or(0, |response| response.status().as_u16())
    }

    #[test]
    fn only_the_token_opens_what_is_not_public() {
        let jobs = "/apis/batch/v1/jobs";
        let cases = [
            (jobs, None, 401),
            (jobs, Some("Bearer secret"), 0),
            (jobs, Some("bearer  secret "), 0),
            (jobs, Some("Bearer secre"), 401),
            (jobs, Some("Bearer secret2"), 401),
            (jobs, Some("Bearer"), 401),
            (jobs, Some("Bearer "), 401),
            (jobs, Some("Basic secret"), 401),
            (jobs, Some("secret"), 401),
            ("/livez", None, 0),
            ("/readyz/", None, 0),
            ("/healthz", Some("Bearer wrong"), 0),
            ("/version/", None, 0),
            ("/version/x", None, 401),
            ("//livez", None, 401),
            ("/livez//", None, 401),
            ("/livez/../apis", None, 401),
            ("/livez%2f", None, 401),
            ("/", None, 401),
            ("https://host/livez", None, 0),
            ("https://host/apis?x=/livez", None, 401),
        ];
        for (path, authorization, code) in cases {
            assert_eq!(refused(&asked("GET", path, authorization), Phase::Serving), code, "{path} {authorization:?}");
        }
    }

    #[test]
    fn a_server_that_ends_takes_no_jobs_and_is_not_ready() {
        let token = Some("Bearer secret");
        let cases = [
            ("POST", "/apis/batch/v1/namespaces/default/jobs", token, 503),
            ("POST", "/apis/batch/v1/namespaces/default/jobs", None, 401),
            ("GET", "/apis/batch/v1/namespaces/default/jobs", token, 0),
            ("DELETE", "/apis/batch/v1/namespaces/default/jobs/a", token, 0),
            ("PATCH", "/apis/batch/v1/namespaces/default/jobs/a", token, 0),
            ("POST", "/api/v1/namespaces", token, 0),
            ("GET", "/readyz", None, 500),
            ("GET", "/readyz/", token, 500),
            ("GET", "/livez", None, 0),
        ];
        for (method, path, authorization, code) in cases {
            for phase in [Phase::Draining, Phase::Stopping] {
                assert_eq!(refused(&asked(method, path, authorization), phase), code, "{method} {path} {phase:?}");
            }
        }
    }
}
