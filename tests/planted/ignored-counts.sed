# src/control/job/failure_policy.rs
# A failure that an Ignore rule matched counts.
s/let counts = action != FailureAction::Ignore;/let counts = true;/
