//! What a guest can see: its own setup, and nothing of the host or of other pods.

use super::{World, bare, with_args};
use crate::exec::PodSetup;

/// A program that calls WASI functions; `$check` exits with `code` unless the two numbers are equal.
fn probe(imports: &[(&str, &str)], body: &str) -> String {
    let imports: String = imports
        .iter()
        .map(|(name, ty)| format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {ty}))\n"))
        .collect();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            {imports}
            (memory (export "memory") 1)
            (func $check (param $code i32) (param $is i32) (param $should i32)
                (if (i32.ne (local.get $is) (local.get $should)) (then (call $exit (local.get $code)))))
            (func (export "_start") {body}))"#
    )
}

fn run_probe(imports: &[(&str, &str)], body: &str, pod: PodSetup) -> u8 {
    let world = World::shared();
    let outcome = world.run(&world.image(&probe(imports, body)), pod).outcome;
    assert_eq!(outcome.message, None, "the probe itself must not trap");
    outcome.exit_code
}

const EBADF: u8 = 8;
const ENOTSOCK: u8 = 57;

#[test]
fn there_are_no_preopened_directories() {
    let body = format!(
        "(call $check (i32.const 1) (call $fd_prestat_get (i32.const 3) (i32.const 0)) (i32.const {EBADF}))
         (call $check (i32.const 2) (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1)
            (i32.const 0) (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 8)) (i32.const {EBADF}))"
    );
    let imports = [
        ("fd_prestat_get", "(param i32 i32) (result i32)"),
        ("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    ];
    assert_eq!(run_probe(&imports, &body, bare()), 0);
}

#[test]
fn a_standard_stream_is_no_directory_to_open_from() {
    let body = "(i32.store8 (i32.const 64) (i32.const 47))
         (if (i32.eqz (call $path_open (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 1)
            (i32.const 0) (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 8))) (then (call $exit (i32.const 1))))";
    let imports = [("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)")];
    assert_eq!(run_probe(&imports, body, bare()), 0);
}

#[test]
fn there_are_no_sockets() {
    let body = format!(
        "(call $check (i32.const 1) (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 0)) (i32.const {EBADF}))
         (call $check (i32.const 2) (call $sock_accept (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const {ENOTSOCK}))
         (call $check (i32.const 3) (call $sock_shutdown (i32.const 3) (i32.const 0)) (i32.const {EBADF}))
         (call $check (i32.const 4) (call $sock_recv (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
            (i32.const 32) (i32.const 40)) (i32.const {ENOTSOCK}))
         (call $check (i32.const 5) (call $sock_send (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)
            (i32.const 32)) (i32.const {ENOTSOCK}))"
    );
    let imports = [
        ("sock_accept", "(param i32 i32 i32) (result i32)"),
        ("sock_shutdown", "(param i32 i32) (result i32)"),
        ("sock_recv", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
        ("sock_send", "(param i32 i32 i32 i32 i32) (result i32)"),
    ];
    assert_eq!(run_probe(&imports, &body, bare()), 0);
}

#[test]
fn stdin_is_at_its_end() {
    // iovec at 0: 16 bytes at 64; the count goes to 32, where 7 stands before.
    let body = "(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 16))
         (i32.store (i32.const 32) (i32.const 7))
         (call $check (i32.const 1) (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)) (i32.const 0))
         (call $check (i32.const 2) (i32.load (i32.const 32)) (i32.const 0))";
    assert_eq!(run_probe(&[("fd_read", "(param i32 i32 i32 i32) (result i32)")], body, bare()), 0);
}

/// Writes the environment's bytes, or the arguments', to stdout.
const DUMP: &str = r#"(module
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (func $out (param $fd i32)
        (i32.store (i32.const 8) (i32.const 100000))
        (i32.store (i32.const 12) (i32.load (i32.const 4)))
        (drop (call $write (local.get $fd) (i32.const 8) (i32.const 1) (i32.const 16))))
    (func (export "_start")
        (drop (call $environ_sizes (i32.const 0) (i32.const 4)))
        (drop (call $environ (i32.const 1000) (i32.const 100000)))
        (call $out (i32.const 1))
        (drop (call $args_sizes (i32.const 0) (i32.const 4)))
        (drop (call $args (i32.const 1000) (i32.const 100000)))
        (call $out (i32.const 2))))"#;

#[test]
fn environment_and_arguments_are_exactly_what_was_given() {
    let world = World::shared();
    let image = world.image(DUMP);
    let nothing = world.run(&image, bare());
    assert_eq!((nothing.stdout.as_str(), nothing.stderr.as_str()), ("", ""));
    let env = ["B=1", "A=x=y", "EMPTY="].iter().collect();
    let end = world.run(&image, PodSetup { env, ..with_args(&["app", "--flag", "é"]) });
    assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("B=1\0A=x=y\0EMPTY=\0", "app\0--flag\0é\0"));
}

#[test]
fn nothing_of_another_pods_memory_is_left() {
    // Marks every page that it can have, then ends as the pod before did not expect; the next pod looks for marks.
    let pages = 256;
    let text = |end: &str| {
        format!(
            r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
                (memory (export "memory") 1) (table $t 10 1000 funcref) (global $g (mut i64) (i64.const 0))
                (func (export "_start") (local $at i32)
                    (if (i32.ne (memory.grow (i32.const {grown})) (i32.const 1)) (then (call $exit (i32.const 3))))
                    (drop (table.grow $t (ref.null func) (i32.const 900)))
                    (if (i64.ne (global.get $g) (i64.const 0)) (then (call $exit (i32.const 4))))
                    (global.set $g (i64.const -1))
                    (loop $page
                        (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (call $exit (i32.const 1))))
                        (i64.store (local.get $at) (i64.const -1))
                        (local.set $at (i32.add (local.get $at) (i32.const 64)))
                        (br_if $page (i32.lt_u (local.get $at) (i32.const {bytes}))))
                    (local.set $at (i32.const 0))
                    (loop $element
                        (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then (call $exit (i32.const 2))))
                        (table.set $t (local.get $at) (ref.func $f))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br_if $element (i32.lt_u (local.get $at) (i32.const 910))))
                    {end})
                (func $f) (elem declare func $f))"#,
            grown = pages - 1,
            bytes = pages * 65536,
        )
    };
    let world = World::new(1);
    let ends = [
        ("return", "", 0),
        ("exit", "(call $exit (i32.const 9))", 9),
        ("trap", "unreachable", 134),
        ("fault", "(drop (i32.load (i32.const -4)))", 139),
        ("return", "", 0),
    ];
    for (name, end, exit_code) in ends {
        let image = world.image(&text(end));
        for round in 0..3 {
            assert_eq!(world.run(&image, bare()).outcome.exit_code, exit_code, "{name}, round {round}");
        }
    }
}

#[test]
fn nothing_of_a_dropped_pods_memory_is_left() {
    use crate::exec::{PodLog, Runtime as _};
    use std::task::{Context, Waker};
    let text = |end: &str| {
        format!(
            r#"(module (memory 1) (func (export "_start")
                (if (i64.ne (i64.load (i32.const 4096)) (i64.const 0)) (then unreachable))
                (i64.store (i32.const 4096) (i64.const -1)) {end}))"#
        )
    };
    let world = World::new(1);
    let endless = world.load(&world.image(&text("(loop $again (br $again))")), None).expect("a program");
    for _ in 0..3 {
        world.ticking(|| {
            super::in_runtime(async {
                let mut run = Box::pin(world.sandbox.run(endless.clone(), bare(), PodLog::default()));
                let poll = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(poll.is_pending(), "it found a mark: {poll:?}");
            });
        });
        assert_eq!(world.run(&world.image(&text("")), bare()).outcome.exit_code, 0);
    }
}

#[test]
fn a_full_write_arrives_in_order_and_whole() {
    // 200,000 bytes at once, more than WASI passes on at a time.
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 4)
        (func (export "_start")
            (memory.fill (i32.const 100) (i32.const 97) (i32.const 200000))
            (i32.store8 (i32.const 200099) (i32.const 98))
            (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 200000))
            (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 1))))
            (if (i32.ne (i32.load (i32.const 8)) (i32.const 200000)) (then (call $exit (i32.const 2))))))"#;
    let world = World::shared();
    let end = world.run(&world.image(text), bare());
    assert_eq!(end.outcome.exit_code, 0);
    assert!(end.stdout.len() == 200_000 && end.stdout.ends_with("ab"));
}
