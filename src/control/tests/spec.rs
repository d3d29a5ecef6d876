//! Job specs in a line.

use crate::base::IndexSet;
use crate::model::{
    BackoffDelays, CompletionMode, ContainerRestarts, FailureAction, FailureRule, JobSpec, Life, OnExitCodes,
    PodConditionPattern, PodTemplate, RestartPolicy, Selector, SuccessRule,
};
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
            suspend: false,
            backoff_limit_per_index: None,
            max_failed_indexes: None,
            success_policy: Vec::new(),
            is_foreign: false,
            ttl_s: None,
            backoff_delays: BackoffDelays::default(),
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
        self.0.failure_policy.push(FailureRule { action, on_exit_codes, on_pod_conditions: Vec::new() });
        self.0.only_replace_failed = true;
        self
    }

    /// A rule of `podFailurePolicy` about a condition that is True.
    pub(super) fn rule_on(mut self, action: FailureAction, condition: &str) -> Self {
        let pattern = PodConditionPattern { kind: condition.to_owned(), status: "True".to_owned() };
        let rule = FailureRule { action, on_exit_codes: OnExitCodes::default(), on_pod_conditions: vec![pattern] };
        self.0.failure_policy.push(rule);
        self.0.only_replace_failed = true;
        self
    }

    pub(super) fn suspended(mut self) -> Self {
        self.0.suspend = true;
        self
    }

    /// `backoffLimitPerIndex`, and with it the default of `backoffLimit`.
    pub(super) fn per_index(mut self, limit: u32) -> Self {
        self.0.backoff_limit_per_index = Some(limit);
        self.0.backoff_limit = 2_147_483_647;
        self
    }

    pub(super) fn max_failed_indexes(mut self, max: u32) -> Self {
        self.0.max_failed_indexes = Some(max);
        self
    }

    /// A rule of `successPolicy`.
    pub(super) fn success(mut self, indexes: Option<&str>, count: Option<u32>) -> Self {
        let parse = |text: &str| IndexSet::parse(text, self.0.completions.expect("Indexed")).expect("a list");
        let rule = SuccessRule { indexes: indexes.map(parse), count };
        self.0.success_policy.push(rule);
        self
    }

    pub(super) fn foreign(mut self) -> Self {
        self.0.is_foreign = true;
        self
    }

    pub(super) fn ttl_s(mut self, seconds: u32) -> Self {
        self.0.ttl_s = Some(seconds);
        self
    }

    pub(super) fn backoff_delays(mut self, base_ms: u64, max_ms: u64) -> Self {
        self.0.backoff_delays = BackoffDelays { base_ms, max_ms };
        self
    }

    /// `restartPolicy: OnFailure`.
    pub(super) fn on_failure(mut self) -> Self {
        Arc::make_mut(&mut self.0.template).restart_policy = RestartPolicy::OnFailure;
        self
    }

    /// A container that is started again at these exit codes only.
    pub(super) fn restarts_at(mut self, values: &[i32]) -> Self {
        let rule = OnExitCodes { container: None, is_in: true, values: values.to_vec() };
        let own = ContainerRestarts { policy: RestartPolicy::Never, rules: vec![rule] };
        Arc::make_mut(&mut self.0.template).container_restarts = Some(own);
        self
    }
}
