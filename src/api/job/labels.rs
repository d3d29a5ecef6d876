//! The labels that tie a Job, its selector and its pods together (kubernetes: `batch/v1` constants).

/// Holds the Job's uid; the generated selector matches it alone.
pub(super) const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
/// Holds the Job's name.
pub(super) const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// [`CONTROLLER_UID`] before 1.27.
pub(super) const LEGACY_CONTROLLER_UID: &str = "controller-uid";
/// [`JOB_NAME`] before 1.27.
pub(super) const LEGACY_JOB_NAME: &str = "job-name";
