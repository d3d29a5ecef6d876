//! Seeded histories of the whole state machine, and what must hold in each of them.
//!
//! A seed draws a few Jobs, what clients do to them, how every pod ends, when time passes, what is durable and when the engine
//! dies. `control`, `view` and the codec of facts run as they do in the engine; the clock, the disk and the executor are
//! scripted. Start with [`play`], then `world`; `oracle` is a second opinion that shares no code with `control`. Must not know
//! sockets and threads. Invariant: the same seed gives the same history.

mod clients;
mod disk;
mod executor;
mod judge;
mod oracle;
mod shapes;
mod tally;
#[cfg(test)]
mod tests;
mod watches;
mod world;

pub use tally::{MUST_OCCUR, Tally};

use clients::History;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A history in which something did not hold.
#[derive(Debug, thiserror::Error)]
#[error("seed {seed} fails at step {step}: {why}")]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The first step after which something did not hold.
    pub step: u32,
    /// What.
    pub why: String,
    /// What happened until then, a line each; empty unless it was asked for.
    pub history: Vec<String>,
}

/// Plays the history of a seed; says how often what occurred. With `record`, a failure tells the history.
///
/// # Errors
/// [`Failure`] when something did not hold; a panic of `control` or `view` is one.
pub fn play(seed: u64, record: bool) -> Result<Tally, Box<Failure>> {
    let mut history = History::new(seed, record);
    let told = catch_unwind(AssertUnwindSafe(|| history.run()));
    let why = match told {
        Ok(Ok(())) => return Ok(history.into_tally()),
        Ok(Err(why)) => why,
        Err(panic) => panic_text(panic.as_ref()),
    };
    let (step, history) = history.into_lines();
    Err(Box::new(Failure { seed, step, why, history }))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}
