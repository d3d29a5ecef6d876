//! The state machine that decides.
