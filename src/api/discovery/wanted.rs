//! Which form of discovery a client wants.
//!
//! kubernetes: apiserver `discovery/aggregated/negotiation.go`. Invariant: a client that names no group and version gets the
//! older form.

use crate::api::Status;
use crate::api::accept::negotiate;
use axum::http::HeaderMap;

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
    negotiate(headers, Form::Legacy, |clause| match clause.form() {
        (None, None, None) => Some(Form::Legacy),
        (Some("apidiscovery.k8s.io"), Some(version), Some("APIGroupDiscoveryList")) => match version {
            "v2" => Some(Form::Aggregated(Aggregated::V2)),
            "v2beta1" => Some(Form::Aggregated(Aggregated::V2Beta1)),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::accept::{CLAUSES_MAX, accepting};

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
            ("*".to_owned(), Some(Form::Legacy)),
            (format!("*/*, {v2}"), Some(Form::Aggregated(Aggregated::V2))),
            (format!("application/json;q= 0.5, {v2};q = 0.4"), Some(Form::Legacy)),
            ("\u{e9}".to_owned(), None),
            (many, None),
        ];
        for (accept, wanted) in cases {
            assert_eq!(form(&accepting(&accept)).ok(), wanted, "{accept}");
        }
        assert_eq!(form(&HeaderMap::new()).ok(), Some(Form::Legacy));
    }
}
