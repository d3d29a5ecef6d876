//! How many pods sleep in how much memory: `cargo test density -- --ignored --nocapture`.

#![expect(clippy::print_stderr, reason = "the figures are for whoever asks for them")]

use super::{OnEngine, in_runtime, with_args};
use crate::exec::{PodLog, Runtime as _};
use crate::sandbox::SLOTS_MAX_S;
use std::task::{Context, Waker};

/// A line of this process's status, KiB.
fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of the kernel's");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

#[test]
#[ignore = "takes 3 GB"]
fn a_hundred_thousand_pods_sleep_and_leave_nothing() {
    let world = OnEngine::<false>::new(SLOTS_MAX_S);
    assert_eq!(world.sandbox.slots(), SLOTS_MAX_S);
    let code = world.load("coracle/sleep", None).unwrap_or_else(|error| panic!("{}", error.message));
    let memory = || (status_kib("VmRSS:"), status_kib("VmPTE:"));
    in_runtime(async {
        let before = memory();
        let start = tokio::time::Instant::now();
        let mut asleep: Vec<_> = (0..SLOTS_MAX_S)
            .map(|_| Box::pin(world.sandbox.run(code.clone(), with_args(&["sleep", "100000"]), PodLog::default())))
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        assert!(asleep.iter_mut().all(|pod| pod.as_mut().poll(&mut context).is_pending()));
        let (started, full) = (start.elapsed(), memory());
        drop(asleep);
        let (ended, after) = (start.elapsed(), memory());
        let each = |now: u64, then: u64| now.saturating_sub(then) as f64 / SLOTS_MAX_S as f64;
        eprintln!("started in {started:?}, ended in {:?}", ended.saturating_sub(started));
        eprintln!(
            "asleep: {:.1} KiB resident, {:.1} KiB of page tables each",
            each(full.0, before.0),
            each(full.1, before.1)
        );
        eprintln!(
            "ended:  {:.1} KiB resident, {:.1} KiB of page tables each",
            each(after.0, before.0),
            each(after.1, before.1)
        );
    });
}
