//! OpenAPI v3: what kubectl reads before it creates, applies or explains.
//!
//! Owns `/openapi/v3` and a document for each group and version; must not know handlers. Start with [`routes`]. Invariant:
//! a document is made once, and its address holds its hash, so that a client may keep it for ever.

mod merge;
mod paths;
mod schemas;
#[cfg(test)]
mod tests;

use super::about::GIT_VERSION;
use super::discovery::{has_tag, hash};
use super::resources::{GROUP_VERSIONS, GroupVersion};
use super::router::{Query, json as answer};
use crate::engine::now;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// How long a document whose hash was asked for may be kept: a year, the most that HTTP knows.
const KEPT_MS: u64 = 365 * 24 * 3600 * 1000;

/// A document.
#[derive(Debug)]
struct Document {
    /// `api/v1` or `apis/batch/v1`.
    path: String,
    text: String,
    hash: String,
}

impl Document {
    fn new(group: &GroupVersion) -> Self {
        let text = json!({
            "openapi": "3.0.0",
            "info": { "title": "Coracle", "version": GIT_VERSION },
            "paths": paths::paths(group),
            "components": {
                "schemas": schemas::schemas(group),
                "securitySchemes": { "BearerToken": { "type": "http", "scheme": "bearer" } },
            },
        })
        .to_string();
        Self { path: group.path().trim_start_matches('/').to_owned(), hash: hash(&text), text }
    }

    fn url(&self) -> String {
        format!("/openapi/v3/{}?hash={}", self.path, self.hash)
    }
}

fn documents() -> &'static [Document] {
    static DOCUMENTS: OnceLock<Vec<Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| GROUP_VERSIONS.iter().map(Document::new).collect())
}

/// The paths of OpenAPI.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new().route("/openapi/v3", get(index)).route("/openapi/v3/", get(index));
    for (nth, group) in GROUP_VERSIONS.iter().enumerate() {
        let handler = async move |query: Query, headers: HeaderMap| document(&documents()[nth], &query, &headers);
        router = router.route(&format!("/openapi/v3{}", group.path()), get(handler));
    }
    router
}

async fn index() -> Response {
    let entry = |document: &Document| (document.path.clone(), json!({ "serverRelativeURL": document.url() }));
    let paths: Map<String, Value> = documents().iter().map(entry).collect();
    answer(StatusCode::OK, json!({ "paths": paths }).to_string(), &[])
}

/// kubernetes: kube-openapi `handler3.OpenAPIService.HandleGroupVersion`.
fn document(document: &Document, query: &Query, headers: &HeaderMap) -> Response {
    let asked = query.get("hash").filter(|hash| !hash.is_empty());
    if asked.is_some_and(|hash| hash != document.hash) {
        let mut response = StatusCode::MOVED_PERMANENTLY.into_response();
        insert(&mut response, header::LOCATION, &document.url());
        return response;
    }
    let tag = format!("\"{}\"", document.hash);
    let mut response = if has_tag(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        answer(StatusCode::OK, document.text.clone(), &[])
    };
    insert(&mut response, header::ETAG, &tag);
    insert(&mut response, header::VARY, "Accept");
    if asked.is_some() {
        insert(&mut response, header::CACHE_CONTROL, "public, immutable");
        insert(&mut response, header::EXPIRES, &http_date(now().plus_ms(KEPT_MS).0));
    }
    response
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    response.headers_mut().insert(name, HeaderValue::from_str(value).expect("plain ASCII"));
}

/// A time in ms since 1970 as HTTP writes it (RFC 9110).
fn http_date(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
