# src/control/job/failure_policy.rs
# A pod counts whose index is not below completions.
s/if pod\.stopping || !job\.index_counts(pod\.index)/if pod.stopping/
