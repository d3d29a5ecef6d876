# src/control/restore.rs
# What follows from a loss that counts is not durable with it.
s/state\.sync_what_counts(fx);//
