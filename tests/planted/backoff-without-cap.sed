# src/control/job/backoff.rs
# The back-off grows beyond 600 s.
s/\.min(delays\.max_ms)//
