//! Seeded histories of the whole state machine.

mod oracle;
