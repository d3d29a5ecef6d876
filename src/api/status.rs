//! Kubernetes' `Status` object: the one form in which the API says no.
//!
//! Owns reason, code, details and wording; handlers return `Result<_, Status>` and nobody else writes such texts. It
//! must not know HTTP or what was asked. Invariant: `code` is the HTTP status (kubernetes: apimachinery `errors.go`).

use super::field::{FieldError, quoted};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::collections::BTreeSet;

/// Why a request was refused (kubernetes: `metav1.StatusReason`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusReason {
    /// 400: the request cannot be understood.
    BadRequest,
    /// 401: nobody known asks.
    Unauthorized,
    /// 403: not allowed.
    Forbidden,
    /// 404: no such object or resource.
    NotFound,
    /// 405: no such verb here.
    MethodNotAllowed,
    /// 406: no acceptable form of the answer.
    NotAcceptable,
    /// 409: the name is taken.
    AlreadyExists,
    /// 409: the object is not what the client thinks.
    Conflict,
    /// 410: the version is no longer kept.
    Expired,
    /// 413: the body is too big.
    RequestEntityTooLarge,
    /// 415: the body's form is not known.
    UnsupportedMediaType,
    /// 422: fields break rules.
    Invalid,
    /// 429: come back later.
    TooManyRequests,
    /// 500: our fault.
    InternalError,
    /// 503: not now, and not soon.
    ServiceUnavailable,
    /// 504: it did not happen in time.
    Timeout,
}

impl StatusReason {
    /// The HTTP code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// A resource as errors name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Name in paths, such as `jobs`.
    pub plural: &'static str,
    /// Kind, such as `Job`.
    pub kind: &'static str,
}

/// batch/v1 Jobs.
pub const JOBS: Resource = Resource { group: "batch", plural: "jobs", kind: "Job" };
/// core/v1 Pods.
pub const PODS: Resource = Resource { group: "", plural: "pods", kind: "Pod" };
/// core/v1 Namespaces.
pub const NAMESPACES: Resource = Resource { group: "", plural: "namespaces", kind: "Namespace" };
/// scheduling.k8s.io/v1 PriorityClasses.
pub const PRIORITY_CLASSES: Resource =
    Resource { group: "scheduling.k8s.io", plural: "priorityclasses", kind: "PriorityClass" };
/// core/v1 Nodes.
pub const NODES: Resource = Resource { group: "", plural: "nodes", kind: "Node" };
/// Modules: not Kubernetes', served under `/modules`.
pub const MODULES: Resource = Resource { group: "", plural: "modules", kind: "Module" };

impl Resource {
    fn join(self, name: &str) -> String {
        if self.group.is_empty() { name.to_owned() } else { format!("{name}.{}", self.group) }
    }

    /// `jobs.batch`, or `pods` in the core group.
    #[must_use]
    pub fn qualified(self) -> String {
        self.join(self.plural)
    }

    /// `Job.batch`, or `Pod` in the core group.
    #[must_use]
    pub fn qualified_kind(self) -> String {
        self.join(self.kind)
    }
}

/// One reason among several.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cause {
    /// Such as `FieldValueInvalid`; empty when there is only a message.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field's path; empty when the cause is no field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a refusal is about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub group: &'static str,
    /// The resource's name (`jobs`), for `Invalid` the kind (`Job`).
    #[serde(skip_serializing_if = "str::is_empty")]
    pub kind: &'static str,
    /// Every error, repeated ones too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which the same request may succeed; 0 says nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A refusal. Boxed inside, because it travels in `Result`s of small values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// Why, for programs.
    pub reason: StatusReason,
    /// Why, for people.
    pub message: String,
    /// What about.
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: where a list whose version is gone can go on from.
    pub continue_token: Option<Box<str>>,
}

/// kubernetes: the part of `metav1.ListMeta` that a Status uses.
#[derive(Serialize)]
struct StatusMeta<'a> {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    continue_token: Option<&'a str>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Status", 8)?;
        object.serialize_field("kind", "Status")?;
        object.serialize_field("apiVersion", "v1")?;
        object.serialize_field("metadata", &StatusMeta { continue_token: self.continue_token.as_deref() })?;
        object.serialize_field("status", "Failure")?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("reason", &format_args!("{:?}", self.reason))?;
        match &self.details {
            Some(details) => object.serialize_field("details", details)?,
            None => object.skip_field("details")?,
        }
        object.serialize_field("code", &self.code())?;
        object.end()
    }
}

impl Status {
    fn plain(reason: StatusReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), details: None, continue_token: None }
    }

    fn about(reason: StatusReason, resource: Resource, name: &str, message: String) -> Self {
        let details =
            Details { name: name.to_owned(), group: resource.group, kind: resource.plural, ..Details::default() };
        Self { reason, message, details: Some(Box::new(details)), continue_token: None }
    }

    fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The HTTP code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.reason.code()
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(StatusReason::BadRequest, message)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::plain(StatusReason::Unauthorized, "Unauthorized")
    }

    /// 403: `jobs.batch "x" is forbidden: <why>`.
    #[must_use]
    pub fn forbidden(resource: Resource, name: &str, why: &str) -> Self {
        let message = format!("{} {} is forbidden: {why}", resource.qualified(), quoted(name));
        Self::about(StatusReason::Forbidden, resource, name, message)
    }

    /// 404 for an object.
    #[must_use]
    pub fn not_found(resource: Resource, name: &str) -> Self {
        let message = format!("{} {} not found", resource.qualified(), quoted(name));
        Self::about(StatusReason::NotFound, resource, name, message)
    }

    /// 404 for a path inside a served group.
    #[must_use]
    pub fn unknown_resource() -> Self {
        Self::plain(StatusReason::NotFound, "the server could not find the requested resource")
            .with_details(Details::default())
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::plain(StatusReason::MethodNotAllowed, "the server does not allow this method on the requested resource")
            .with_details(Details::default())
    }

    /// 409: the name is taken.
    #[must_use]
    pub fn already_exists(resource: Resource, name: &str) -> Self {
        let message = format!("{} {} already exists", resource.qualified(), quoted(name));
        Self::about(StatusReason::AlreadyExists, resource, name, message)
    }

    /// 409 with a reason of one's own.
    #[must_use]
    pub fn conflict(resource: Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {}: {why}", resource.qualified(), quoted(name));
        Self::about(StatusReason::Conflict, resource, name, message)
    }

    /// 409: the client's resourceVersion is old.
    #[must_use]
    pub fn modified(resource: Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409: a precondition (`UID`, `ResourceVersion`) of a DELETE does not hold. The reference names the kind here.
    #[must_use]
    pub fn precondition(resource: Resource, name: &str, field: &str, wanted: &str, found: &str) -> Self {
        let hint = match field {
            "UID" => "The object might have been deleted and then recreated",
            _ => "The object might have been modified",
        };
        let message = format!(
            "Operation cannot be fulfilled on {} {}: the {field} in the precondition ({wanted}) does not match the \
             {field} in record ({found}). {hint}",
            resource.qualified_kind(),
            quoted(name)
        );
        Self::about(StatusReason::Conflict, Resource { plural: resource.kind, ..resource }, name, message)
    }

    /// 410: a version that is no longer kept.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::plain(StatusReason::Expired, message)
    }

    /// 410 for a `continue` whose version is no longer kept; `token` continues at the current one.
    #[must_use]
    pub fn continue_expired(token: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                       new list without the continue parameter, or use the continue token in this response to retrieve the \
                       remainder of the results. Continuing with the provided token results in an inconsistent list - \
                       objects that were created, modified, or deleted between the time the first chunk was returned and \
                       now may show up in the list.";
        Self { continue_token: Some(token.into()), ..Self::expired(message) }
    }

    /// 406: none of the forms that are offered is accepted.
    #[must_use]
    pub fn not_acceptable() -> Self {
        Self::plain(
            StatusReason::NotAcceptable,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/json;stream=watch",
        )
        .with_details(Details::default())
    }

    /// 406: the form is offered, but not for this answer.
    #[must_use]
    pub fn wrong_form(message: impl Into<String>) -> Self {
        Self::plain(StatusReason::NotAcceptable, message)
    }

    /// 504: the version was not reached in time.
    #[must_use]
    pub fn too_large_version(wanted: u64, current: u64) -> Self {
        let text = "Too large resource version";
        let cause = Cause { reason: "ResourceVersionTooLarge", message: text.to_owned(), field: String::new() };
        Self::plain(StatusReason::Timeout, format!("Timeout: {text}: {wanted}, current: {current}"))
            .with_details(Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() })
    }

    /// 413: the body has more than `bytes_max` bytes.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let message = format!("Request entity too large: limit is {bytes_max}");
        Self::plain(StatusReason::RequestEntityTooLarge, message)
    }

    /// 415, with the media types that are accepted.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let list = accepted.join(", ");
        Self::plain(
            StatusReason::UnsupportedMediaType,
            format!("the body of the request was in an unknown format - accepted media types include: {list}"),
        )
    }

    /// 422 from the errors of an object of `kind` in `group`. A repeated text stands once in the message, but every error
    /// is a cause.
    #[must_use]
    pub fn invalid(group: &'static str, kind: &'static str, name: &str, errors: &[FieldError]) -> Self {
        let mut seen = BTreeSet::new();
        let texts: Vec<String> =
            errors.iter().map(ToString::to_string).filter(|text| seen.insert(text.clone())).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let qualified = Resource { group, plural: "", kind }.qualified_kind();
        let causes = errors
            .iter()
            .map(|error| Cause { reason: error.kind.reason(), message: error.body(), field: error.path.clone() })
            .collect();
        Self::plain(StatusReason::Invalid, format!("{qualified} {} is invalid: {list}", quoted(name)))
            .with_details(Details { name: name.to_owned(), group, kind, causes, ..Details::default() })
    }

    /// 429: every place is taken; `seconds` is the Retry-After.
    #[must_use]
    pub fn too_many_requests(seconds: u32) -> Self {
        Self::plain(StatusReason::TooManyRequests, "Too many requests, please try again later.")
            .with_details(Details { retry_after_seconds: seconds, ..Details::default() })
    }

    /// A rule of Coracle's own, in our words, which may have several lines; each of `causes` is one reason.
    #[must_use]
    pub fn worded(reason: StatusReason, resource: Resource, name: &str, message: String, causes: Vec<String>) -> Self {
        let cause = |message| Cause { reason: "", message, field: String::new() };
        let causes = causes.into_iter().map(cause).collect();
        Self::plain(reason, message).with_details(Details {
            name: name.to_owned(),
            group: resource.group,
            kind: resource.plural,
            causes,
            ..Details::default()
        })
    }

    /// 503 (kubernetes: `NewServiceUnavailable`).
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::plain(StatusReason::ServiceUnavailable, reason)
    }

    /// 500.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let cause = Cause { reason: "", message: error.to_string(), field: String::new() };
        Self::plain(StatusReason::InternalError, format!("Internal error occurred: {error}"))
            .with_details(Details { causes: vec![cause], ..Details::default() })
    }
}

/// What a DELETE answers about an object that is gone: the `Status` of a success, as JSON.
pub(super) fn deleted(resource: Resource, name: &str, uid: &str) -> String {
    serde_json::json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": { "name": name, "group": resource.group, "kind": resource.plural, "uid": uid },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::field::FieldErrors;
    use crate::base::Uid;
    use serde_json::{Value, json};

    /// A body that a kube-apiserver v1.36.2 sent.
    fn golden(name: &str) -> Value {
        let path = format!("{}/tests/goldens/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect("a golden is JSON")
    }

    fn sent(status: &Status) -> Value {
        serde_json::to_value(status).expect("a Status is JSON")
    }

    #[test]
    fn refusals_are_the_bodies_that_kubernetes_sends() {
        let cases = [
            ("status-401", Status::unauthorized()),
            ("status-404", Status::not_found(JOBS, "nope")),
            ("status-405", Status::method_not_allowed()),
            ("status-409-exists", Status::already_exists(JOBS, "hello")),
            ("status-409-conflict", Status::modified(JOBS, "hello")),
            ("status-410-expired", Status::expired("The resourceVersion for the provided list is too old.")),
            (
                "status-415",
                Status::unsupported_media_type(&[
                    "application/json",
                    "application/yaml",
                    "application/vnd.kubernetes.protobuf",
                ]),
            ),
        ];
        for (name, status) in cases {
            assert_eq!(sent(&status), golden(name), "{name}");
        }
    }

    #[test]
    fn a_deletion_is_the_body_that_kubernetes_sends() {
        let golden = golden("delete-job-background");
        let uid = Uid::parse(golden["details"]["uid"].as_str().expect("a uid")).expect("a uid");
        let sent: Value = serde_json::from_str(&deleted(JOBS, "long", &uid.to_string())).expect("JSON");
        assert_eq!(sent, golden);
    }

    #[test]
    fn one_field_error_stands_without_brackets() {
        let mut errors = FieldErrors::default();
        errors.invalid("spec.completions", "9", "field is immutable");
        let status = Status::invalid("batch", "Job", "hello", &errors.into_vec());
        assert_eq!(sent(&status), golden("status-422-immutable"));
    }

    #[test]
    fn a_repeated_error_stands_once_in_the_message_and_twice_in_the_causes() {
        let mut errors = FieldErrors::default();
        errors.required("a", "");
        errors.duplicate("b", quoted("x"));
        errors.required("a", "");
        let status = Status::invalid("", "Pod", "p", &errors.into_vec());
        assert_eq!(status.message, "Pod \"p\" is invalid: [a: Required value, b: Duplicate value: \"x\"]");
        assert_eq!(status.details.expect("details").causes.len(), 3);
    }

    #[test]
    fn texts_without_a_golden_follow_the_reference() {
        let cases = [
            (Status::too_large(3_145_728), 413, "Request entity too large: limit is 3145728"),
            (Status::forbidden(PODS, "x", "no"), 403, "pods \"x\" is forbidden: no"),
            (Status::unknown_resource(), 404, "the server could not find the requested resource"),
            (
                Status::precondition(JOBS, "x", "UID", "A", "B"),
                409,
                "Operation cannot be fulfilled on Job.batch \"x\": the UID in the precondition (A) does not match the UID \
                 in record (B). The object might have been deleted and then recreated",
            ),
            (
                Status::internal(&std::fmt::Error),
                500,
                "Internal error occurred: an error occurred when formatting an argument",
            ),
        ];
        for (status, code, message) in cases {
            assert_eq!((status.code(), status.message.as_str()), (code, message));
        }
    }

    #[test]
    fn a_full_server_says_when_to_come_back() {
        assert_eq!(sent(&Status::too_many_requests(1))["details"], json!({"retryAfterSeconds": 1}));
    }
}
