//! Which form of an answer a client wants: `Accept`.
//!
//! Knows media types and their parameters (kubernetes: apiserver `negotiation`), not what is answered. Invariant: the
//! answer is JSON; a client that cannot take that is refused.

use crate::api::Status;
use crate::api::router::Query;
use crate::api::table::IncludeObject;
use axum::http::{HeaderMap, header};

/// Clauses of an `Accept` that are looked at; what follows has no say.
const CLAUSES_MAX: usize = 64;

/// `meta.k8s.io/v1` or its `v1beta1`, which says the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meta {
    V1,
    V1Beta1,
}

impl Meta {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What is sent of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// All of it.
    Whole,
    /// A row of a `Table`.
    Table(Meta, IncludeObject),
    /// A `PartialObjectMetadata`.
    Metadata(Meta),
}

/// What is answered: the kinds of metadata differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One object, or the objects of a watch.
    One,
    /// A list.
    List,
}

/// The `as=` of a clause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Whole,
    Table(Meta),
    Metadata(Meta),
    MetadataList(Meta),
}

/// The form that `headers` ask for; `go_type` names what would be answered.
///
/// # Errors
/// 406 when none is offered, 400 for an `includeObject` that is none.
pub(super) fn form(
    headers: &HeaderMap,
    query: &Query,
    shape: Shape,
    go_type: impl FnOnce() -> String,
) -> Result<Form, Status> {
    let accept = headers.get(header::ACCEPT).map_or(Ok("*/*"), |value| value.to_str());
    match (negotiate(accept.unwrap_or_default())?, shape) {
        (Wanted::Whole, _) => Ok(Form::Whole),
        (Wanted::Table(meta), _) => Ok(Form::Table(meta, include_object(query)?)),
        (Wanted::Metadata(meta), Shape::One) | (Wanted::MetadataList(meta), Shape::List) => Ok(Form::Metadata(meta)),
        (Wanted::Metadata(_), Shape::List) => Err(Status::wrong_form(format!(
            "you requested PartialObjectMetadata, but the requested object is a list ({})",
            go_type()
        ))),
        (Wanted::MetadataList(_), Shape::One) => Err(Status::wrong_form(format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
            go_type()
        ))),
    }
}

fn include_object(query: &Query) -> Result<IncludeObject, Status> {
    match query.get("includeObject").unwrap_or("") {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => Err(Status::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}

struct Clause<'a> {
    /// Higher is wanted more; a `q` that is no number is 0, which comes last (kubernetes: goautoneg).
    quality: f32,
    /// 0 for a whole media type, 1 for `application/*`, 2 for `*/*`.
    vagueness: u8,
    parameters: Vec<(&'a str, &'a str)>,
}

/// The first clause that is offered, the most wanted first. What cannot be read as a clause is passed over, as the
/// reference does.
fn negotiate(accept: &str) -> Result<Wanted, Status> {
    if accept.is_empty() {
        return Ok(Wanted::Whole);
    }
    let mut clauses: Vec<Clause<'_>> = accept.split(',').take(CLAUSES_MAX).filter_map(clause).collect();
    if clauses.is_empty() {
        return Err(Status::not_acceptable());
    }
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.vagueness.cmp(&b.vagueness)));
    let impossible = || Status::wrong_form("only the following media types are accepted: application/json");
    clauses.iter().find_map(wanted).ok_or_else(impossible)
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

/// `None` for a form that is not offered.
fn wanted(clause: &Clause<'_>) -> Option<Wanted> {
    let of = |name: &str| clause.parameters.iter().rev().find(|(other, _)| *other == name).map(|(_, value)| *value);
    if of("stream").is_some_and(|stream| !matches!(stream, "" | "watch")) {
        return None;
    }
    let meta = match (of("g"), of("v"), of("as")) {
        (None, None, None) => return Some(Wanted::Whole),
        (Some("meta.k8s.io"), Some("v1"), _) => Meta::V1,
        (Some("meta.k8s.io"), Some("v1beta1"), _) => Meta::V1Beta1,
        _ => return None,
    };
    match of("as")? {
        "Table" => Some(Wanted::Table(meta)),
        "PartialObjectMetadata" => Some(Wanted::Metadata(meta)),
        "PartialObjectMetadataList" => Some(Wanted::MetadataList(meta)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

    #[test]
    fn the_first_clause_that_is_offered_wins() {
        let cases = [
            ("", Wanted::Whole),
            ("*/*", Wanted::Whole),
            ("*", Wanted::Whole),
            ("application/*", Wanted::Whole),
            ("application/json", Wanted::Whole),
            ("application/json; charset=utf-8", Wanted::Whole),
            ("application/vnd.kubernetes.protobuf,application/json", Wanted::Whole),
            ("application/vnd.kubernetes.protobuf, */*;q=0.1", Wanted::Whole),
            ("application/json;stream=watch", Wanted::Whole),
            (TABLE, Wanted::Table(Meta::V1)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Wanted::Table(Meta::V1),
            ),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Wanted::Table(Meta::V1Beta1)),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Wanted::Whole),
            ("application/json;as=Chair;v=v1;g=meta.k8s.io,*/*", Wanted::Whole),
            ("application/json;stream=x,application/json", Wanted::Whole),
            ("application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io", Wanted::Table(Meta::V1)),
            ("*/*,application/json;as=Table;v=v1;g=meta.k8s.io", Wanted::Table(Meta::V1)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io;q=x,application/json", Wanted::Whole),
            ("nonsense,,;,application/json", Wanted::Whole),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Wanted::Metadata(Meta::V1)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Wanted::MetadataList(Meta::V1)),
        ];
        for (accept, wanted) in cases {
            assert_eq!(negotiate(accept).ok(), Some(wanted), "{accept}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let none = Status::not_acceptable().message;
        let only = "only the following media types are accepted: application/json";
        let past_the_limit = format!("{}application/json", "text/plain,".repeat(CLAUSES_MAX));
        let cases = [
            ("text/html", none.as_str()),
            ("application/vnd.kubernetes.protobuf", &none),
            ("nonsense", &none),
            (&past_the_limit, &none),
            ("application/json;as=Chair;v=v1;g=meta.k8s.io", only),
            ("application/json;as=Table", only),
            ("application/json;g=meta.k8s.io;v=v1", only),
            ("application/json;stream=x", only),
        ];
        for (accept, message) in cases {
            let status = negotiate(accept).expect_err(accept);
            assert_eq!((status.code(), status.message.as_str()), (406, message), "{accept}");
        }
        assert!(negotiate(&past_the_limit["text/plain,".len()..]).is_ok());
    }
}
