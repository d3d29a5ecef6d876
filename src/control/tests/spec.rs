//! Job specs in a line.

use crate::model::{CompletionMode, FailureAction, FailureRule, JobSpec, Life, OnExitCodes, PodTemplate, Selector};
use std::sync::Arc;

/// A spec under construction. Defaults are the API's.
#[derive(Clone)]
pub(super) struct Spec(pub(super) JobSpec);

impl Spec {
    /// NonIndexed, restartPolicy Never, backoffLimit 6, podReplacementPolicy TerminatingOrFailed.
    pub(super) fn new(parallelism: u32, completions: impl Into<Option<u32>>) -> Self {
        Self(JobSpec {
            parallelism,
            completions: completions.into(),
            mode: CompletionMode::NonIndexed,
            backoff_limit: 6,
            active_deadline_s: None,
            only_replace_failed: false,
            failure_policy: Vec::new(),
            template: Arc::new(PodTemplate { container: "main".to_owned(), grace_s: 30, ..PodTemplate::default() }),
            life: Life::default(),
            selector: Selector::default(),
        })
    }

    pub(super) fn indexed(mut self) -> Self {
        self.0.mode = CompletionMode::Indexed;
        self
    }

    pub(super) fn backoff_limit(mut self, limit: u32) -> Self {
        self.0.backoff_limit = limit;
        self
    }

    pub(super) fn deadline_s(mut self, seconds: u64) -> Self {
        self.0.active_deadline_s = Some(seconds);
        self
    }

    /// `podReplacementPolicy: Failed`.
    pub(super) fn replace_failed(mut self) -> Self {
        self.0.only_replace_failed = true;
        self
    }

    pub(super) fn rule(self, action: FailureAction, operator: &str, values: &[i32]) -> Self {
        self.rule_for(None, action, operator, values)
    }

    /// A rule of `podFailurePolicy` for one container.
    pub(super) fn rule_for(
        mut self,
        container: Option<&str>,
        action: FailureAction,
        operator: &str,
        values: &[i32],
    ) -> Self {
        let container = container.map(str::to_owned);
        let on_exit_codes = OnExitCodes { container, is_in: operator == "In", values: values.to_vec() };
        self.0.failure_policy.push(FailureRule { action, on_exit_codes });
        self.0.only_replace_failed = true;
        self
    }
}
