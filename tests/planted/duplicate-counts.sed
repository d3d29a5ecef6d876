# src/control/job/failure_policy.rs
# A pod that was stopped completes an index that another pod has.
s/if pod\.stopping || !job\.index_counts(pod\.index)/if !job.index_counts(pod.index)/
