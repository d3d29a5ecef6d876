//! What threads get of the cores when there are not enough for all.
//!
//! Knows the kernel's nice values, nothing of what the threads do. Invariant: a thread only ever becomes nicer, so that no
//! privilege is needed and whatever the process was started with holds.

/// How much nicer guests are than the threads that decide, commit and answer: these take little, and a client waits for them.
pub(super) const GUESTS: i32 = 5;

/// How much nicer compilations are, which take every core for as long as they last.
pub(super) const COMPILATIONS: i32 = 10;

/// The kernel's nicest value.
const NICEST: i32 = 19;

/// Makes the calling thread, and those that it starts from now on, nicer by `by`. If the kernel refuses, all stays as it is.
pub(super) fn be_nicer(by: i32) {
    // Without an id, Linux takes the calling thread, not its process.
    let lowered = rustix::process::getpriority_process(None)
        .and_then(|nice| rustix::process::setpriority_process(None, nice.saturating_add(by).min(NICEST)));
    if let Err(error) = lowered {
        tracing::warn!(%error, "guests and compilations compete with the server: a thread's priority cannot be lowered");
    }
}

/// Runs a compilation at the priority of compilations; the thread keeps it, and so do Cranelift's threads if it starts them.
pub fn as_compilation<T>(compile: impl FnOnce() -> T) -> T {
    be_nicer(COMPILATIONS);
    compile()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("the calling thread is there")
    }

    #[test]
    fn a_thread_becomes_nicer_alone_and_never_beyond_the_end() {
        let before = nice();
        let of_thread = std::thread::spawn(|| {
            let mut seen = Vec::new();
            for _ in 0..6 {
                seen.push(as_compilation(nice));
            }
            seen
        });
        let expected = (1..=6).map(|nth| (before + nth * COMPILATIONS).min(NICEST));
        assert_eq!(of_thread.join().expect("no panic"), expected.collect::<Vec<_>>());
        assert_eq!(nice(), before, "the other threads stay as they are");
    }
}
