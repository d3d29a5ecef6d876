# src/control/job/finish.rs
# A Job fails with as many failures as backoffLimit, not with more.
s/(failed > job\.spec\.backoff_limit/(failed >= job.spec.backoff_limit/
