# src/control/job/finish.rs
# A Job fails with as many failed indexes as maxFailedIndexes, not with more.
s/max_failed_indexes\.is_some_and(|max| failed > max)/max_failed_indexes.is_some_and(|max| failed >= max)/
