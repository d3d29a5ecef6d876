# src/control/job/finish.rs
# backoffLimit is asked before podFailurePolicy.
s/\.or_else(|| fail_job_rule(job))/.or_else(|| too_many_failures(job))/;t
s/\.or_else(|| too_many_failures(job))/.or_else(|| fail_job_rule(job))/
