//! JSON merge patches (RFC 7386), the one form of PATCH that is offered.

use crate::api::Status;
use crate::api::decode::{BODY_BYTES_MAX, Tree, read_json};
use crate::api::router::Sent;
use serde_json::Value;

/// JSON merge patches.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// Kubernetes' own form. Where only maps and scalars change it says the same as a merge patch.
pub(super) const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

/// A patch.
#[derive(Debug)]
pub(super) struct MergePatch {
    value: Value,
    /// Paths of the keys that stood twice in an object.
    pub(super) repeated: Vec<String>,
}

impl MergePatch {
    /// Reads a body. Its depth is that of any body (`decode::DEPTH_MAX`), so that what it is merged with stays as shallow.
    ///
    /// # Errors
    /// 415 for another form, 400 when it is no JSON object.
    pub(super) fn read(sent: &Sent) -> Result<Self, Status> {
        Self::read_as(sent, &[MERGE_PATCH])
    }

    /// As [`MergePatch::read`], of these media types. A directive or a list of a strategic merge patch is refused: those would be
    /// read otherwise.
    ///
    /// # Errors
    /// As [`MergePatch::read`].
    pub(super) fn read_as(sent: &Sent, types: &[&'static str]) -> Result<Self, Status> {
        let essence = sent.content_type().unwrap_or("").split(';').next().unwrap_or("").trim();
        if !types.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
            return Err(Status::unsupported_media_type(types));
        }
        let Tree { value, repeated } =
            read_json(&sent.bytes).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        if !value.is_object() {
            return Err(Status::bad_request("error decoding patch: a merge patch is a JSON object"));
        }
        if essence.eq_ignore_ascii_case(STRATEGIC_MERGE_PATCH) && !is_plain(&value) {
            let why = "directives and lists of a strategic merge patch are not offered by this version of Coracle";
            return Err(Status::bad_request(format!("{why}; send {MERGE_PATCH}")));
        }
        Ok(Self { value, repeated })
    }

    /// `doc`, a stored document, with the patch.
    ///
    /// # Errors
    /// 413 when patches have made the object larger than any body may be.
    pub(super) fn apply(&self, doc: &str) -> Result<Value, Status> {
        let mut value: Value = serde_json::from_str(doc).map_err(|error| Status::internal(&error))?;
        json_patch::merge(&mut value, &self.value);
        if value.to_string().len() > BODY_BYTES_MAX {
            return Err(Status::too_large(BODY_BYTES_MAX));
        }
        Ok(value)
    }
}

/// Whether a strategic merge patch says what the same merge patch says. Depth is bounded by the decoder's.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(key, field)| !key.starts_with('$') && is_plain(field)),
        Value::Array(_) => false,
        _ => true,
    }
}
