//! Which form of an answer a client wants: `Accept`.
//!
//! Knows clauses, their order and their parameters (kubernetes: apiserver `negotiation`, goautoneg), not which forms there are:
//! those who answer say which clause they can serve. Invariant: every answer is JSON; a client that cannot take that is refused.

use super::Status;
use axum::http::{HeaderMap, header};

/// Clauses of an `Accept` that are looked at; what follows has no say.
pub(super) const CLAUSES_MAX: usize = 64;

/// A clause that JSON matches.
#[derive(Debug)]
pub(super) struct Clause<'a> {
    /// Higher is wanted more; a `q` that is no number is 0, which comes last (kubernetes: goautoneg).
    quality: f32,
    /// 0 for a whole media type, 1 for `application/*`, 2 for `*/*`.
    vagueness: u8,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    /// A parameter; of a repeated one, the last.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// Group, version and kind of the form (`g`, `v`, `as`).
    pub(super) fn form(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        (self.parameter("g"), self.parameter("v"), self.parameter("as"))
    }
}

/// What `served` makes of the first clause that it can serve, the most wanted first; `plain` for a client that says nothing.
/// What cannot be read as a clause is passed over, as the reference does.
///
/// # Errors
/// 406 when no clause can be served.
pub(super) fn negotiate<T>(
    headers: &HeaderMap,
    plain: T,
    served: impl Fn(&Clause<'_>) -> Option<T>,
) -> Result<T, Status> {
    let Some(accept) = headers.get(header::ACCEPT).filter(|value| !value.is_empty()) else { return Ok(plain) };
    let accept = String::from_utf8_lossy(accept.as_bytes());
    let mut clauses: Vec<Clause<'_>> = accept.split(',').take(CLAUSES_MAX).filter_map(clause).collect();
    if clauses.is_empty() {
        return Err(Status::not_acceptable());
    }
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.vagueness.cmp(&b.vagueness)));
    let impossible = || Status::wrong_form("only the following media types are accepted: application/json");
    clauses.iter().find_map(served).ok_or_else(impossible)
}

/// `None` for what JSON does not match.
fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let vagueness = match parts.next()? {
        "application/json" => 0,
        "application/*" => 1,
        "*/*" | "*" => 2,
        _ => return None,
    };
    let mut clause = Clause { quality: 1.0, vagueness, parameters: Vec::new() };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "q" => clause.quality = value.trim().parse().unwrap_or(0.0),
            name => clause.parameters.push((name, value.trim())),
        }
    }
    Some(clause)
}

/// Headers with this `Accept`.
#[cfg(test)]
pub(super) fn accepting(accept: &str) -> HeaderMap {
    let value = axum::http::HeaderValue::from_bytes(accept.as_bytes()).expect("a header");
    HeaderMap::from_iter([(header::ACCEPT, value)])
}
