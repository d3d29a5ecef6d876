# src/control/job/sync.rs
# The finalizer of pods that a failing Job kills goes before they are counted.
s/stop_all(state, id, verdict\.failed, fx)/stop_all(state, id, false, fx)/
