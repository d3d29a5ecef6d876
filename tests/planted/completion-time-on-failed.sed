# src/model/job.rs
# A failed Job has a completionTime.
s/ConditionType::Complete => self\.completion_time/ConditionType::Complete | ConditionType::Failed => self.completion_time/
