# src/control/job/manage.rs
# podReplacementPolicy Failed replaces a pod that is still terminating.
s/let held = if job\.spec\.only_replace_failed { terminating } else { 0 };/let held = terminating - terminating;/
