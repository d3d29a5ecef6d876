//! How often what occurred: a rule that no history reaches is not tested by any.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<String, u64>);

/// What must occur in two thousand seeds.
pub const MUST_OCCUR: &[&str] = &[
    "condition FailureTarget/BackoffLimitExceeded",
    "condition Failed/BackoffLimitExceeded",
    "event BackoffLimitExceeded",
    "condition FailureTarget/DeadlineExceeded",
    "condition Failed/DeadlineExceeded",
    "event DeadlineExceeded",
    "condition FailureTarget/FailedIndexes",
    "condition Failed/FailedIndexes",
    "event FailedIndexes",
    "condition FailureTarget/MaxFailedIndexesExceeded",
    "condition Failed/MaxFailedIndexesExceeded",
    "event MaxFailedIndexesExceeded",
    "condition FailureTarget/PodFailurePolicy",
    "condition Failed/PodFailurePolicy",
    "event PodFailurePolicy",
    "condition SuccessCriteriaMet/CompletionsReached",
    "condition Complete/CompletionsReached",
    "condition SuccessCriteriaMet/SuccessPolicy",
    "condition Complete/SuccessPolicy",
    "condition Suspended/JobSuspended",
    "condition Suspended/JobResumed",
    "event Suspended",
    "event Resumed",
    "event SuccessfulCreate",
    "event SuccessfulDelete",
    "event Completed",
    "event FailedScheduling",
    "action Ignore",
    "action Count",
    "action FailIndex",
    "action FailJob",
    "container restarted in place",
    "job deleted after its ttl",
    "pod lost with the engine",
    "pod refused",
    "crash",
    "crash that loses a step",
    "fold",
    "write refused",
];

impl Tally {
    /// Once more.
    pub(super) fn add(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(name.to_owned(), 1)),
        }
    }

    /// Takes over what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }

    /// Names and counts, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// What must occur and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        MUST_OCCUR.iter().copied().filter(|name| !self.0.contains_key(*name)).collect()
    }
}
