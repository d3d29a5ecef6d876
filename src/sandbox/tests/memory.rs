//! Memory limits: what counts, what ends a pod, and what only says no.

use super::{World, bare, program, run_body, with_args};
use crate::exec::{Busy, PodSetup};
use crate::model::Reason;

const MIB: u64 = 1 << 20;

fn limited(memory_bytes_max: u64) -> PodSetup {
    PodSetup { memory_bytes_max: Some(memory_bytes_max), ..bare() }
}

#[test]
fn growing_past_the_limit_ends_the_pod() {
    let world = World::shared();
    let text = program("(loop $again (drop (memory.grow (i32.const 16))) (br $again))");
    let outcome = world.run(&world.image(&text), limited(4 * MIB)).outcome;
    assert_eq!((outcome.exit_code, outcome.reason), (137, Reason::OomKilled));
    assert_eq!(outcome.message.as_deref(), Some("memory limit 4 MiB reached (asked for 4.1 MiB)"));
    assert_eq!(outcome.peak_bytes, 3 * MIB + 64 * 1024);
}

#[test]
fn the_default_limit_holds_where_the_pod_gives_none() {
    let outcome = run_body("(drop (memory.grow (i32.const 1023))) (drop (memory.grow (i32.const 1)))").outcome;
    assert_eq!((outcome.exit_code, outcome.reason, outcome.peak_bytes), (137, Reason::OomKilled, 64 * MIB));
    assert_eq!(outcome.message.as_deref(), Some("memory limit 64 MiB reached (asked for 64.1 MiB)"));
}

#[test]
fn a_minimum_above_the_limit_ends_the_pod_before_it_starts() {
    let world = World::shared();
    let text = r#"(module (memory 33) (func (export "_start")))"#;
    let outcome = world.run(&world.image(text), limited(2 * MIB)).outcome;
    assert_eq!((outcome.exit_code, outcome.reason), (137, Reason::OomKilled));
    assert_eq!(outcome.message.as_deref(), Some("memory limit 2 MiB reached (asked for 2.1 MiB)"));
}

#[test]
fn growing_past_the_modules_own_maximum_only_says_no() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory 1 2)
        (func (export "_start")
            (if (i32.ne (memory.grow (i32.const 2)) (i32.const -1)) (then (call $exit (i32.const 1))))
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then (call $exit (i32.const 2))))
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (call $exit (i32.const 3))))))"#;
    let world = World::shared();
    let outcome = world.run(&world.image(text), limited(2 * 64 * 1024)).outcome;
    assert_eq!((outcome.exit_code, outcome.peak_bytes), (0, 2 * 64 * 1024));
}

#[test]
fn memories_and_tables_count_together() {
    let text = r#"(module (memory 1) (memory 2) (table $t 1000 funcref)
        (func (export "_start") (drop (table.grow $t (ref.null func) (i32.const 10000)))))"#;
    let world = World::shared();
    let image = world.image(text);
    let all = 3 * 64 * 1024 + 11_000 * 8;
    let fits = world.run(&image, limited(all)).outcome;
    assert_eq!((fits.exit_code, fits.peak_bytes), (0, all));
    let short = world.run(&image, limited(all - 1)).outcome;
    assert_eq!((short.exit_code, short.reason), (137, Reason::OomKilled));
}

#[test]
fn hog_is_stopped_at_its_limit_and_had_it_all_before() {
    let end = World::shared().run("coracle/hog", PodSetup { memory_bytes_max: Some(16 * MIB), ..with_args(&["hog"]) });
    assert_eq!((end.outcome.exit_code, end.outcome.reason), (137, Reason::OomKilled));
    assert!(end.stdout.contains("12 MiB\n"), "{}", end.stdout);
    assert!(end.outcome.peak_bytes <= 16 * MIB && end.outcome.peak_bytes > 13 * MIB, "{}", end.outcome.peak_bytes);
    let few = World::shared().run("coracle/hog", with_args(&["hog", "3"]));
    assert_eq!((few.outcome.exit_code, few.stdout.as_str()), (0, "1 MiB\n2 MiB\n3 MiB\n"));
}

#[test]
fn a_full_pool_is_busy_until_a_pod_ends() {
    let world = World::new(1);
    let sleeper = world.load("coracle/sleep", None).expect("built in");
    super::in_runtime(async {
        use crate::exec::{PodLog, Runtime as _};
        let mut sleeping = Box::pin(world.sandbox.run(sleeper, with_args(&["sleep", "1000"]), PodLog::default()));
        assert!(futures_poll(&mut sleeping).is_pending());
        let code = world.load("coracle/hello", None).expect("built in");
        assert_eq!(world.sandbox.run(code.clone(), bare(), PodLog::default()).await, Err(Busy));
        drop(sleeping);
        let outcome = world.sandbox.run(code, bare(), PodLog::default()).await.expect("a free slot");
        assert_eq!(outcome.exit_code, 0);
    });
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
