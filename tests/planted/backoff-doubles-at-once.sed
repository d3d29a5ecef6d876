# src/control/job/backoff.rs
# 2^n instead of 2^(n-1).
s/1 << (n - 1)\.min(32)/1 << n.min(32)/
