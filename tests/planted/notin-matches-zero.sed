# src/control/job/failure_policy.rs
# NotIn matches exit code 0.
s/if end\.exit_code == 0 {/if end.exit_code == 0 \&\& first_match(job, end).is_none() {/
s/named && end\.exit_code != 0 && /named \&\& /
