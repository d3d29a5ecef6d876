# src/model/job.rs
# Suspending and resuming keep startTime.
s/ConditionType::Suspended => self\.start_time = .*/ConditionType::Suspended => {}/
