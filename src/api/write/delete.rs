//! What a DELETE asks for (kubernetes: `DeleteOptions`, in the body or in the query).
//!
//! Where both say something the body counts; what only the query says counts too, although the reference drops the query of a
//! request that has a body: a `dryRun` that is not heard would delete. Invariant: what passes here is a deletion that can be done.

use super::options::dry_run;
use crate::api::decode::{Expected, FieldValidation, decode, protobuf};
use crate::api::field::quoted;
use crate::api::router::{Query, Sent};
use crate::api::{FieldErrors, Resource, Status};
use crate::control::Propagation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

pub(super) const DELETE_OPTIONS: Expected = Expected {
    api_version: "v1",
    kind: "DeleteOptions",
    internal: "meta.DeleteOptions",
    is_in_every_group: true,
    message: &protobuf::DELETE_OPTIONS,
};

/// A DELETE that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deletion {
    /// Nothing is to be deleted.
    pub(super) dry_run: bool,
    /// The uid that the object must have.
    pub(super) uid: Option<String>,
    /// The version that the object must have.
    pub(super) resource_version: Option<String>,
    /// How long its guests may take to end, in seconds.
    pub(super) grace_s: Option<i64>,
    /// What becomes of its dependents, if the client says so.
    pub(super) propagation: Option<Propagation>,
}

impl Deletion {
    /// Reads body and query.
    ///
    /// # Errors
    /// 400, 413, 415 or 422.
    pub(super) fn read(query: &Query, sent: &Sent) -> Result<Self, Status> {
        let mut options = from_query(query)?;
        if !sent.bytes.is_empty() {
            let validation = FieldValidation::Strict;
            let body =
                decode::<DeleteOptions>(&sent.bytes, sent.content_type(), validation, DELETE_OPTIONS, |_| Ok(()))?;
            options = over(body.object, options);
        }
        Self::of(options)
    }

    /// What these options ask for.
    ///
    /// # Errors
    /// 400 or 422.
    pub(super) fn of(options: DeleteOptions) -> Result<Self, Status> {
        let dry_run = validate(&options)?;
        refuse_unsafe(&options)?;
        let propagation = propagation(&options);
        let preconditions = options.preconditions.unwrap_or_default();
        Ok(Self {
            dry_run,
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
            grace_s: options.grace_period_seconds,
            propagation,
        })
    }

    /// Holds an object against what the client expects of it.
    ///
    /// # Errors
    /// 409.
    pub(super) fn expect(&self, resource: Resource, name: &str, uid: &str, rv: &str) -> Result<(), Status> {
        let wanted = [("UID", &self.uid, uid), ("ResourceVersion", &self.resource_version, rv)];
        for (field, wanted, found) in wanted {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != found) {
                return Err(Status::precondition(resource, name, field, wanted, found));
            }
        }
        Ok(())
    }
}

/// kubernetes: `orphanDependents` is the older form.
fn propagation(options: &DeleteOptions) -> Option<Propagation> {
    match (options.propagation_policy.as_deref(), options.orphan_dependents) {
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (Some(_), _) | (None, Some(false)) => Some(Propagation::Background),
        (None, None) => None,
    }
}

fn from_query(query: &Query) -> Result<DeleteOptions, Status> {
    let grace = query.get("gracePeriodSeconds").filter(|text| !text.is_empty()).map(|text| {
        let why = || format!("strconv.ParseInt: parsing {}: invalid syntax", quoted(text));
        text.parse().map_err(|_| Status::bad_request(why()))
    });
    Ok(DeleteOptions {
        dry_run: query.get("dryRun").map(|value| vec![value.to_owned()]),
        grace_period_seconds: grace.transpose()?,
        ignore_store_read_error_with_cluster_breaking_potential: query
            .flag("ignoreStoreReadErrorWithClusterBreakingPotential"),
        orphan_dependents: query.flag("orphanDependents"),
        propagation_policy: query.get("propagationPolicy").map(str::to_owned),
        ..DeleteOptions::default()
    })
}

/// `body`, and where it says nothing, `query`.
fn over(body: DeleteOptions, query: DeleteOptions) -> DeleteOptions {
    // The two that exclude each other come from one place.
    let has_policy = body.propagation_policy.is_some() || body.orphan_dependents.is_some();
    let (policy, orphan) = match has_policy {
        true => (body.propagation_policy, body.orphan_dependents),
        false => (query.propagation_policy, query.orphan_dependents),
    };
    let unsafely = body.ignore_store_read_error_with_cluster_breaking_potential;
    DeleteOptions {
        dry_run: body.dry_run.filter(|values| !values.is_empty()).or(query.dry_run),
        ignore_store_read_error_with_cluster_breaking_potential: unsafely
            .or(query.ignore_store_read_error_with_cluster_breaking_potential),
        propagation_policy: policy,
        orphan_dependents: orphan,
        ..body
    }
}

/// kubernetes: `ValidateDeleteOptions`. Tells whether it is a dry run.
fn validate(options: &DeleteOptions) -> Result<bool, Status> {
    let mut errors = FieldErrors::default();
    let policy = options.propagation_policy.as_deref();
    if let (Some(policy), Some(_)) = (policy, options.orphan_dependents) {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.invalid("propagationPolicy", quoted(policy), detail);
    }
    if let Some(other) = policy.filter(|policy| !["Foreground", "Background", "Orphan"].contains(policy)) {
        errors.not_supported("propagationPolicy", quoted(other), &["Foreground", "Background", "Orphan", "nil"]);
    }
    let values: Vec<&str> = options.dry_run.iter().flatten().map(String::as_str).collect();
    let dry_run = dry_run(&values, &mut errors);
    if errors.is_empty() {
        Ok(dry_run)
    } else {
        Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors.into_vec()))
    }
}

/// What Kubernetes would do and Coracle does not.
fn refuse_unsafe(options: &DeleteOptions) -> Result<(), Status> {
    if options.ignore_store_read_error_with_cluster_breaking_potential == Some(true) {
        let field = "ignoreStoreReadErrorWithClusterBreakingPotential";
        return Err(Status::bad_request(format!("{field} is not offered by this version of Coracle")));
    }
    Ok(())
}
