//! Discovery: which groups, versions and resources there are (`/api`, `/apis` and below).
//!
//! Owns the two forms, the aggregated one that kubectl asks for and the older one for everybody else; what is served is in
//! `resources.rs`. Invariant: a client that did not ask for the aggregated form never gets it, because it could not tell.

mod aggregated;
mod legacy;
#[cfg(test)]
mod tests;
mod wanted;

use super::Status;
use super::resources::{CORE_V1, GROUP_VERSIONS, GroupVersion};
use super::router::{Answered, json};
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha512};
use std::fmt::Write as _;
use wanted::Form;

/// The paths of discovery, each with and without a slash at its end: clients differ.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    for slash in ["", "/"] {
        router = router
            .route(
                &format!("/api{slash}"),
                get(async |headers: HeaderMap| root(&headers, &[CORE_V1], legacy::versions)),
            )
            .route(
                &format!("/apis{slash}"),
                get(async |headers: HeaderMap| root(&headers, &GROUP_VERSIONS[1..], legacy::groups)),
            );
        for group in GROUP_VERSIONS {
            let resources = async move |headers: HeaderMap| plain(&headers, &legacy::resources(&group));
            router = router.route(&format!("{}{slash}", group.path()), get(resources));
            if !group.group.is_empty() {
                let versions = async move |headers: HeaderMap| plain(&headers, &legacy::group(&group));
                router = router.route(&format!("/apis/{}{slash}", group.group), get(versions));
            }
        }
    }
    router
}

/// Whether a path lies within a group and version that is served, where errors are Statuses.
pub(super) fn is_within(path: &str) -> bool {
    let rest = GROUP_VERSIONS.iter().find_map(|group| path.strip_prefix(group.path().as_str()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Kubernetes' hash of a document: the SHA-512 of its bytes in upper-case hexadecimal digits.
pub(super) fn hash(document: &str) -> String {
    let mut hash = String::with_capacity(128);
    for byte in Sha512::digest(document.as_bytes()) {
        write!(hash, "{byte:02X}").expect("a String takes everything");
    }
    hash
}

/// Whether `headers` have this `ETag` (with its quotes) in their `If-None-Match`.
pub(super) fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).any(|known| known.trim() == tag)
}

fn plain(headers: &HeaderMap, body: &str) -> Answered {
    match wanted::form(headers)? {
        Form::Legacy => Ok(json(StatusCode::OK, body.to_owned(), &[])),
        // Only the two roots are aggregated.
        Form::Aggregated(_) => Err(Status::not_acceptable()),
    }
}

fn root(headers: &HeaderMap, groups: &[GroupVersion], legacy: fn(&[GroupVersion]) -> String) -> Answered {
    let version = match wanted::form(headers)? {
        Form::Legacy => {
            let mut response = json(StatusCode::OK, legacy(groups), &[]);
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
            return Ok(response);
        }
        Form::Aggregated(version) => version,
    };
    let body = aggregated::document(groups, version);
    let tag = format!("\"{}\"", hash(&body));
    let mut response =
        if has_tag(headers, &tag) { StatusCode::NOT_MODIFIED.into_response() } else { json(StatusCode::OK, body, &[]) };
    tagged(&mut response, &tag);
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(version.media_type()));
    }
    Ok(response)
}

fn tagged(response: &mut Response, tag: &str) {
    let mut insert = |name: HeaderName, value: &str| {
        response.headers_mut().insert(name, HeaderValue::from_str(value).expect("quotes and hexadecimal digits"));
    };
    insert(header::ETAG, tag);
    insert(header::VARY, "Accept");
    insert(header::CACHE_CONTROL, "public");
}
