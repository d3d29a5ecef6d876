# src/model/per_index.rs
# The failure count of an index does not go to its next pod.
s/let mut failures = self\.failures(end\.index);/let mut failures = IndexFailures::default();/
