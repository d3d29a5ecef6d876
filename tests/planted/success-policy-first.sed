# src/control/job/finish.rs
# successPolicy beats a failure of the same moment.
s/\.or_else(|| fail_job_rule(job))/.or_else(|| success_policy(job)).or_else(|| fail_job_rule(job))/
