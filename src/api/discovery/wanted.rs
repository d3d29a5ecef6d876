//! Which form of discovery a client wants: `Accept`.
//!
//! kubernetes: apiserver `discovery/aggregated/negotiation.go`. Invariant: of the clauses that can be served the most wanted
//! decides, of equal ones the first.

use crate::api::Status;
use axum::http::{HeaderMap, header};

/// Clauses of an `Accept` that are looked at; what follows has no say.
const CLAUSES_MAX: usize = 64;

/// A version of `apidiscovery.k8s.io`; the two have the same fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aggregated {
    V2,
    V2Beta1,
}

impl Aggregated {
    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }

    /// The `Content-Type`, by which alone clients tell the forms apart.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }
}

/// A form of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Legacy,
    Aggregated(Aggregated),
}

/// The form that `headers` ask for.
///
/// # Errors
/// 406 when none that is served is accepted.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Status> {
    let accept = headers.get(header::ACCEPT).map_or("", |value| value.to_str().unwrap_or("unreadable"));
    if accept.is_empty() {
        return Ok(Form::Legacy);
    }
    let mut clauses: Vec<(f32, Form)> = accept.split(',').take(CLAUSES_MAX).filter_map(clause).collect();
    clauses.sort_by(|a, b| b.0.total_cmp(&a.0));
    clauses.first().map(|clause| clause.1).ok_or_else(Status::not_acceptable)
}

/// The quality and the form of a clause; `None` when it cannot be served.
fn clause(text: &str) -> Option<(f32, Form)> {
    let mut parts = text.split(';').map(str::trim);
    if !matches!(parts.next()?, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let of = |name: &str| parameters.iter().find(|parameter| parameter.0 == name).map(|parameter| parameter.1);
    let quality = of("q").map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
    let form = match (of("g"), of("v"), of("as")) {
        (None, None, None) => Form::Legacy,
        (Some("apidiscovery.k8s.io"), Some("v2"), Some("APIGroupDiscoveryList")) => Form::Aggregated(Aggregated::V2),
        (Some("apidiscovery.k8s.io"), Some("v2beta1"), Some("APIGroupDiscoveryList")) => {
            Form::Aggregated(Aggregated::V2Beta1)
        }
        _ => return None,
    };
    Some((quality, form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_first_form_that_can_be_served_wins() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let many = format!("{}application/json", "text/html,".repeat(CLAUSES_MAX));
        let cases = [
            (String::new(), Some(Form::Legacy)),
            ("*/*".to_owned(), Some(Form::Legacy)),
            ("application/json".to_owned(), Some(Form::Legacy)),
            ("application/json, */*;q=0.8".to_owned(), Some(Form::Legacy)),
            (format!("{v2},{beta},application/json"), Some(Form::Aggregated(Aggregated::V2))),
            (format!("{beta}, application/json"), Some(Form::Aggregated(Aggregated::V2Beta1))),
            (format!("application/json,{v2}"), Some(Form::Legacy)),
            (format!("{v2};profile=nopeer,{v2}"), Some(Form::Aggregated(Aggregated::V2))),
            (format!("application/json;q=0.5,{v2}"), Some(Form::Aggregated(Aggregated::V2))),
            ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,*/*".to_owned(), Some(Form::Legacy)),
            ("application/vnd.kubernetes.protobuf,application/json".to_owned(), Some(Form::Legacy)),
            ("application/vnd.kubernetes.protobuf".to_owned(), None),
            ("text/html".to_owned(), None),
            ("\u{e9}".to_owned(), None),
            (many, None),
        ];
        for (accept, wanted) in cases {
            let value = HeaderValue::from_bytes(accept.as_bytes()).expect("a header");
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            assert_eq!(form(&headers).ok(), wanted, "{accept}");
        }
        assert_eq!(form(&HeaderMap::new()).ok(), Some(Form::Legacy));
    }
}
