# src/control/job/backoff.rs
# A success does not reset the back-off.
s/Backoff { failures: count(&later), last: latest(&later) }/Backoff { failures: old.failures + count(\&later), last: latest(\&later).max(old.last) }/
