//! JSON merge patches (RFC 7386), the one form of PATCH that is offered.

use crate::api::Status;
use crate::api::decode::{BODY_BYTES_MAX, Tree, read_json};
use crate::api::router::Sent;
use serde_json::Value;

/// The one form of a patch's body.
const MERGE_PATCH: &str = "application/merge-patch+json";

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
        let essence = sent.content_type().unwrap_or("").split(';').next().unwrap_or("").trim();
        if !essence.eq_ignore_ascii_case(MERGE_PATCH) {
            return Err(Status::unsupported_media_type(&[MERGE_PATCH]));
        }
        let Tree { value, repeated } =
            read_json(&sent.bytes).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        if !value.is_object() {
            return Err(Status::bad_request("error decoding patch: a merge patch is a JSON object"));
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
