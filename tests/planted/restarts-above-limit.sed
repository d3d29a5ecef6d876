# src/control/job/restarts.rs
# OnFailure: more restarts than backoffLimit are needed, not as many.
s/job\.restart_sum >= limit/job.restart_sum > limit/
