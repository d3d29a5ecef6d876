# src/control/job/manage.rs
# Pods of a suspended Job count as failed.
s/return stop_all(state, id, false, fx)/return stop_all(state, id, true, fx)/
