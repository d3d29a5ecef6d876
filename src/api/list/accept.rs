//! Which form of an object or a list a client wants.
//!
//! Knows the forms and how a clause of `Accept` asks for one, not what is answered. Invariant: a form that does not fit what is
//! answered is refused.

use crate::api::Status;
use crate::api::accept::{Clause, negotiate};
use crate::api::router::Query;
use crate::api::table::IncludeObject;
use axum::http::HeaderMap;

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
    match (negotiate(headers, Wanted::Whole, wanted)?, shape) {
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

/// `None` for a form that is not offered.
fn wanted(clause: &Clause<'_>) -> Option<Wanted> {
    if clause.parameter("stream").is_some_and(|stream| !matches!(stream, "" | "watch")) {
        return None;
    }
    let meta = match clause.form() {
        (None, None, None) => return Some(Wanted::Whole),
        (Some("meta.k8s.io"), Some("v1"), _) => Meta::V1,
        (Some("meta.k8s.io"), Some("v1beta1"), _) => Meta::V1Beta1,
        _ => return None,
    };
    match clause.parameter("as")? {
        "Table" => Some(Wanted::Table(meta)),
        "PartialObjectMetadata" => Some(Wanted::Metadata(meta)),
        "PartialObjectMetadataList" => Some(Wanted::MetadataList(meta)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::accept::{CLAUSES_MAX, accepting};

    fn read(accept: &str) -> Result<Wanted, Status> {
        negotiate(&accepting(accept), Wanted::Whole, wanted)
    }

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
            assert_eq!(read(accept).ok(), Some(wanted), "{accept}");
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
            ("\u{e9}", &none),
            (&past_the_limit, &none),
            ("application/json;as=Chair;v=v1;g=meta.k8s.io", only),
            ("application/json;as=Table", only),
            ("application/json;g=meta.k8s.io;v=v1", only),
            ("application/json;stream=x", only),
        ];
        for (accept, message) in cases {
            let status = read(accept).expect_err(accept);
            assert_eq!((status.code(), status.message.as_str()), (406, message), "{accept}");
        }
        assert!(read(&past_the_limit["text/plain,".len()..]).is_ok());
    }
}
