//! Panics of a sandbox end one pod, not a worker.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `step`; a panic gives its text. Whoever calls drops what `step` worked on.
pub(super) fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, Box<str>> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!("the sandbox failed: {}", text.unwrap_or("panic")).into()
    })
}
