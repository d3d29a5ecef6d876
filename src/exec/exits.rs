//! How a guest's end becomes an exit that can be reported.
//!
//! Pure. Invariant: a message never has more than [`MESSAGE_BYTES_MAX`] bytes, whatever a sandbox says.

use super::Outcome;
use crate::base::Time;
use crate::model::{EngineKind, Exit, Launch, LogExtent, Reason};

/// kubernetes: `kubecontainer.MaxContainerTerminationMessageLength`.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;

/// A pod that was stopped: its guest cannot see SIGTERM, so the signal's default action ends it.
pub(super) fn stopped() -> Outcome {
    failed(128 + 15, None)
}

/// A pod whose run panicked in the sandbox: as an abort of the guest.
pub(super) fn panicked(text: Box<str>) -> Outcome {
    failed(128 + 6, Some(text))
}

fn failed(exit_code: u8, message: Option<Box<str>>) -> Outcome {
    Outcome { exit_code, reason: Reason::Error, fuel: 0, peak_bytes: 0, message, trace: None }
}

/// The exit of a pod, without its trace.
pub(super) fn exit(
    launch: &Launch,
    (started, finished): (Time, Time),
    engine: Option<EngineKind>,
    outcome: Outcome,
    log: LogExtent,
) -> Exit {
    Exit {
        job: launch.job,
        ordinal: launch.ordinal,
        slot: launch.slot,
        started,
        finished: finished.max(started),
        engine,
        exit_code: outcome.exit_code,
        reason: outcome.reason,
        log,
        fuel_k: u32::try_from(outcome.fuel.div_ceil(1000)).unwrap_or(u32::MAX),
        peak_pages: u32::try_from(outcome.peak_bytes.div_ceil(64 << 10)).unwrap_or(u32::MAX),
        message: with_explanation(outcome.message, ""),
    }
}

/// `message` with `text` on lines of its own after it, cut to what a message may have.
pub(super) fn with_explanation(message: Option<Box<str>>, text: &str) -> Option<Box<str>> {
    let mut whole = message.map(String::from).unwrap_or_default();
    if !whole.is_empty() && !text.is_empty() {
        whole.push('\n');
    }
    whole.push_str(text);
    whole.truncate(whole.floor_char_boundary(MESSAGE_BYTES_MAX));
    (!whole.is_empty()).then(|| whole.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_joined_and_cut_between_characters() {
        let cases = [
            ("nothing", None, "", None),
            ("message only", Some("trap"), "", Some("trap".to_owned())),
            ("explanation only", None, "at main.rs:1", Some("at main.rs:1".to_owned())),
            ("both", Some("trap"), "at main.rs:1", Some("trap\nat main.rs:1".to_owned())),
            ("at the limit", None, &"x".repeat(4096), Some("x".repeat(4096))),
            ("over the limit", Some("a"), &"x".repeat(4096), Some(format!("a\n{}", "x".repeat(4094)))),
            (
                "over the limit within a character",
                Some("a"),
                &"é".repeat(2048),
                Some(format!("a\n{}", "é".repeat(2047))),
            ),
        ];
        for (case, message, text, expected) in cases {
            let got = with_explanation(message.map(Box::from), text);
            assert_eq!(got.map(String::from), expected, "{case}");
        }
    }
}
