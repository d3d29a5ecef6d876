# src/control/job/track.rs
# Failed is set while a pod terminates.
s/status\.active > 0 || status\.terminating > 0/status.active > 0/
