//! What a Job's document says of the Job's end.
//!
//! Knows `metadata.finalizers` and `metadata.deletionTimestamp`, nothing else of a document. Invariant: what is written here is
//! canonical if what was read is.

use crate::base::Time;
use serde_json::{Value, json};
use std::sync::Arc;

/// kubernetes: `metav1.FinalizerDeleteDependents`.
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";

/// kubernetes: `metav1.FinalizerOrphanDependents`.
pub const ORPHAN_FINALIZER: &str = "orphan";

/// What keeps a Job, and whether it is being deleted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Life {
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// It has a `deletionTimestamp`: it goes once it has no finalizer.
    pub is_deleted: bool,
}

impl Life {
    /// Whether it has this finalizer.
    #[must_use]
    pub fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|other| other == finalizer)
    }

    /// Whether the controller may have to write the document.
    #[must_use]
    pub fn keeps_doc(&self) -> bool {
        self.is_deleted || !self.finalizers.is_empty()
    }

    /// The finalizers that are clients'.
    #[must_use]
    pub fn of_clients(&self) -> Vec<String> {
        let is_ours = |finalizer: &&String| [FOREGROUND_FINALIZER, ORPHAN_FINALIZER].contains(&finalizer.as_str());
        self.finalizers.iter().filter(|finalizer| !is_ours(finalizer)).cloned().collect()
    }

    /// `doc`, with these finalizers and, when it was not being deleted before, with a deletionTimestamp and the next generation
    /// (kubernetes: `BeforeDelete`, `markAsDeleting`).
    #[must_use]
    pub fn write(&self, doc: &str, finalizers: &[String], at: Time) -> Arc<str> {
        let mut value: Value = serde_json::from_str(doc).expect("a Job is validated before it is stored");
        let metadata = &mut value["metadata"];
        if !self.is_deleted {
            metadata["deletionTimestamp"] = json!(at.to_string());
            metadata["deletionGracePeriodSeconds"] = json!(0);
            metadata["generation"] = json!(metadata["generation"].as_u64().unwrap_or(0) + 1);
        }
        if finalizers.is_empty() {
            metadata.as_object_mut().map(|fields| fields.remove("finalizers"));
        } else {
            metadata["finalizers"] = json!(finalizers);
        }
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_written_once() {
        let life = Life { finalizers: vec!["a.io/b".to_owned(), "orphan".to_owned()], is_deleted: false };
        assert_eq!(life.of_clients(), ["a.io/b"]);
        assert!(life.has(ORPHAN_FINALIZER) && !life.has(FOREGROUND_FINALIZER));
        let doc = r#"{"metadata":{"generation":3,"name":"a"},"spec":{}}"#;
        let deleted = life.write(doc, &["x".to_owned()], Time(0));
        assert_eq!(
            &*deleted,
            r#"{"metadata":{"deletionGracePeriodSeconds":0,"deletionTimestamp":"1970-01-01T00:00:00Z","finalizers":["x"],"generation":4,"name":"a"},"spec":{}}"#
        );
        let again = Life { is_deleted: true, ..life }.write(&deleted, &[], Time(99_000));
        assert_eq!(*again, *deleted.replace(r#""finalizers":["x"],"#, ""));
    }
}
