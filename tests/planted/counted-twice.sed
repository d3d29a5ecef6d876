# src/view/read.rs
# After a restart a pod that had ended ends again.
s/!pod\.is_terminal() && !pod\.has(PodRecord::REMOVED)/!pod.has(PodRecord::REMOVED)/
