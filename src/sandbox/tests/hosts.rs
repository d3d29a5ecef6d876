//! The lean host against wasmtime-wasi: the same guests on both must end, write and see the same.

use super::{World, bare};
use crate::exec::{Outcome, PodLog, PodSetup, Runtime as _};
use crate::sandbox::Code;
use crate::sandbox::pod::HostKind;
use std::task::{Context, Poll, Waker};

/// The types of what the lean host offers.
const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_res_get" (func $clock_res_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $fd_fdstat_set_flags (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))"#;

/// A guest that makes calls and then writes the first 4 KiB of its memory, with each call's number at 4 KiB less 8 counting
/// down: `$done` takes one. Memory is 0xA5 before, so that everything that a host writes shows. Both writes of the dump go
/// to a stream that may be closed.
fn guest(pages: u32, body: &str) -> String {
    format!(
        r#"(module {IMPORTS}
            (memory (export "memory") {pages})
            (global $at (mut i32) (i32.const 4088))
            (func $done (param $errno i32)
                (i32.store (global.get $at) (local.get $errno))
                (global.set $at (i32.sub (global.get $at) (i32.const 4))))
            (func $list (param $at i32) (param $address i32) (param $bytes i32)
                (i32.store (local.get $at) (local.get $address))
                (i32.store offset=4 (local.get $at) (local.get $bytes)))
            (func $clock (param $at i32) (param $id i32) (param $timeout i64) (param $flags i32)
                (i64.store (local.get $at) (i64.extend_i32_u (i32.add (local.get $at) (i32.const 7))))
                (i32.store8 offset=8 (local.get $at) (i32.const 0))
                (i32.store offset=16 (local.get $at) (local.get $id))
                (i64.store offset=24 (local.get $at) (local.get $timeout))
                (i64.store offset=32 (local.get $at) (i64.const 0))
                (i32.store16 offset=40 (local.get $at) (local.get $flags)))
            (func $stream (param $at i32) (param $kind i32) (param $fd i32)
                (i64.store (local.get $at) (i64.extend_i32_u (i32.add (local.get $at) (i32.const 7))))
                (i32.store8 offset=8 (local.get $at) (local.get $kind))
                (i32.store offset=16 (local.get $at) (local.get $fd)))
            (func (export "_start") (local $i i32) (local $time i64)
                (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 65536))
                {body}
                (call $list (i32.const 60000) (i32.const 0) (i32.const 4096))
                (drop (call $fd_write (i32.const 1) (i32.const 60000) (i32.const 1) (i32.const 60008)))
                (drop (call $fd_write (i32.const 2) (i32.const 60000) (i32.const 1) (i32.const 60008)))))"#
    )
}

/// How a guest ended, and what it wrote.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    outcome: Outcome,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Seen {
    /// What the first call gave.
    fn first_errno(&self) -> u32 {
        u32::from_le_bytes(*self.stdout[4088..].first_chunk().expect("a whole dump"))
    }
}

/// A program's code on the lean host and on wasmtime-wasi.
fn both(text: &str) -> [Code; 2] {
    let world = World::shared();
    let code = world.load(&world.image(text), None).unwrap_or_else(|error| panic!("{}", error.message));
    assert_eq!(code.0.host, HostKind::Lean);
    let variant = world.sandbox.variants.ready(code.kind(), code.0.fuel).expect("it has made the code");
    let full = variant.on_full_host(&code);
    [code, full]
}

/// Asserts that a pod does the same on both, and returns what that is.
fn same_code(case: &str, codes: &[Code; 2], pod: &PodSetup) -> Seen {
    let run = |code: &Code| {
        let (outcome, stdout, stderr) = World::shared().run_code(code.clone(), pod.clone()).expect("a free slot");
        Seen { outcome, stdout, stderr }
    };
    let [lean, full] = [run(&codes[0]), run(&codes[1])];
    assert_eq!(lean.outcome, full.outcome, "{case}");
    for (lean, full) in [(&lean.stdout, &full.stdout), (&lean.stderr, &full.stderr)] {
        assert_eq!(lean.len(), full.len(), "{case}");
        let differs = lean.iter().zip(full).position(|(lean, full)| lean != full);
        assert_eq!(differs, None, "{case}: {:?}", differs.map(|at| (lean[at], full[at])));
    }
    lean
}

fn same(case: &str, text: &str, pod: &PodSetup) -> Seen {
    same_code(case, &both(text), pod)
}

/// Asserts that a body does the same on both, and does not end by a trap.
fn same_calls(case: &str, body: &str) -> Seen {
    let seen = same(case, &guest(1, body), &setup());
    assert_eq!(seen.outcome.message, None, "{case}");
    seen
}

/// As [`same_calls`] for many bodies, of which each may trap. They share modules, to save compiling: a pod's number of
/// arguments says which one it runs.
fn same_each(bodies: &[String]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for bodies in bodies.chunks(250) {
        let cases = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| format!("(if (i32.eq (local.get $i) (i32.const {number})) (then {body}))\n"));
        let choose = "(drop (call $args_sizes_get (i32.const 61000) (i32.const 61004)))
            (local.set $i (i32.load (i32.const 61000)))";
        let codes = both(&guest(1, &format!("{choose} {}", cases.collect::<String>())));
        seen.extend(bodies.iter().enumerate().map(|(number, body)| {
            let args = std::iter::repeat_n("é", number).collect();
            same_code(body, &codes, &PodSetup { args, ..setup() })
        }));
    }
    seen
}

/// A call of which the guest keeps the number that it gives.
fn done<const N: usize>(function: &str, arguments: [u32; N]) -> String {
    let arguments: String = arguments.iter().map(|argument| format!(" (i32.const {argument})")).collect();
    format!("(call $done (call ${function}{arguments}))")
}

fn setup() -> PodSetup {
    let args = ["app", "", "--flag=é", "x y"].iter().collect();
    PodSetup { args, env: ["A=1", "EMPTY=", "B=x=y"].iter().collect(), ..bare() }
}

/// Values at which implementations differ: small, unaligned, at the edges of memory and of numbers.
const POINTERS: [u32; 14] =
    [0, 1, 2, 4, 8, 0xfff0, 0xfff8, 0xfffc, 0xfffe, 0xffff, 0x1_0000, 0x7fff_fff8, 0xffff_fff8, 0xffff_ffff];

const FDS: [u32; 6] = [0, 1, 2, 3, 0x7fff_ffff, 0xffff_ffff];

#[test]
fn arguments_and_environment_are_the_same() {
    let mut bodies = Vec::new();
    for (sizes, get) in [("args_sizes_get", "args_get"), ("environ_sizes_get", "environ_get")] {
        // The second lists overlap: what is written last stays.
        bodies.push(done(sizes, [0, 8]) + &done(get, [16, 64]));
        bodies.push(done(get, [200, 204]) + &done(get, [304, 300]));
        for pointer in POINTERS {
            bodies.extend([done(sizes, [pointer, 8]), done(sizes, [8, pointer])]);
            bodies.extend([done(get, [pointer, 64]), done(get, [64, pointer])]);
        }
        bodies.extend((0xffe0..=0xffff).map(|end| done(get, [64, end])));
    }
    same_each(&bodies);
    let seen = same_calls("both", &(done("args_get", [0, 64]) + &done("environ_get", [256, 300])));
    assert!(seen.stdout[64..].starts_with("app\0\0--flag=é\0x y\0".as_bytes()));
    assert!(seen.stdout[300..].starts_with(b"A=1\0EMPTY=\0B=x=y\0"));
    same("nothing to write", &guest(1, &done("args_get", [u32::MAX, u32::MAX])), &bare());
}

/// The times themselves are looked at below.
#[test]
fn clocks_are_the_same() {
    let mut bodies = Vec::new();
    for id in [0, 1, 2, 3, 4, 255, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for pointer in POINTERS {
            let time = format!(
                "(call $done (call $clock_time_get (i32.const {id}) (i64.const -1) (i32.const {pointer})))
                 (memory.fill (i32.const 0) (i32.const 0) (i32.const 16))"
            );
            bodies.extend([time, done("clock_res_get", [id, pointer])]);
        }
    }
    same_each(&bodies);
}

#[test]
fn the_time_is_the_time() {
    let body = "
        (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 0)))
        (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8)))
        (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 16)))
        ;; Since the guest's start: less than an hour, never back, and never 0, which Go takes for a broken clock.
        (if (i64.gt_u (i64.load (i32.const 0)) (i64.const 3600000000000)) (then (call $exit (i32.const 1))))
        (if (i64.gt_u (i64.load (i32.const 0)) (i64.load (i32.const 8))) (then (call $exit (i32.const 2))))
        (if (i64.eqz (i64.load (i32.const 0))) (then (call $exit (i32.const 3))))
        ;; After 2025.
        (if (i64.lt_u (i64.load (i32.const 16)) (i64.const 1735689600000000000)) (then (call $exit (i32.const 4))))
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 24))";
    assert_eq!(same_calls("time", body).outcome.exit_code, 0);
}

#[test]
fn what_is_known_of_streams_is_the_same() {
    let mut bodies = Vec::new();
    for fd in FDS {
        for pointer in POINTERS {
            for name in ["fd_fdstat_get", "fd_filestat_get", "fd_prestat_get", "fd_tell"] {
                bodies.push(done(name, [fd, pointer]));
            }
            bodies.push(done("fd_prestat_dir_name", [fd, pointer, 8]));
            bodies.extend([0, 2, 3, 256, u32::MAX].map(|whence| {
                format!(
                    "(call $done (call $fd_seek (i32.const {fd}) (i64.const -1) (i32.const {whence})
                        (i32.const {pointer})))"
                )
            }));
        }
        let flags = [0, 1, 4, 0x1f, 0x20, 0xffff, 0x1_0000, u32::MAX];
        bodies.extend(flags.map(|flags| done("fd_fdstat_set_flags", [fd, flags])));
    }
    // Where a structure ends past the memory's end.
    for stat in 0xffc0..=0xffff {
        bodies.extend([done("fd_fdstat_get", [1, stat]), done("fd_filestat_get", [0, stat])]);
    }
    same_each(&bodies);
}

#[test]
fn closed_streams_are_the_same() {
    let body = |closed: u32| {
        let mut body = done("fd_close", [closed]).repeat(2) + &done("fd_close", [3]);
        for fd in FDS {
            body += "(call $list (i32.const 144) (i32.const 192) (i32.const 3))";
            body += &stream(0, u32::from(fd > 0) + 1, fd).replacen("(i32.const 0)", "(i32.const 256)", 1);
            body += &[
                done("fd_fdstat_get", [fd, 0]),
                done("fd_filestat_get", [fd, 64]),
                done("fd_prestat_get", [fd, 128]),
                done("fd_prestat_dir_name", [fd, 128, 8]),
                done("fd_tell", [fd, 136]),
                done("fd_read", [fd, 144, 1, 160]),
                done("fd_write", [fd, 144, 1, 168]),
                done("poll_oneoff", [256, 512, 1, 176]),
            ]
            .concat();
        }
        body
    };
    let seen = same_each(&[body(0), body(1), body(2)]);
    let is_dumped = |bytes: &[u8]| bytes.len() >= 4096;
    let dumped: Vec<_> = seen.iter().map(|seen| [&seen.stdout, &seen.stderr].map(|bytes| is_dumped(bytes))).collect();
    assert_eq!(dumped, [[true, true], [false, true], [true, false]]);
}

#[test]
fn reading_and_writing_are_the_same() {
    let mut bodies = Vec::new();
    let list = |at: u32, address: u32, bytes: u32| {
        format!("(call $list (i32.const {at}) (i32.const {address}) (i32.const {bytes}))")
    };
    for name in ["fd_read", "fd_write"] {
        for fd in FDS {
            // Two buffers, an empty one before another, only empty ones, none at all.
            let lists = list(0, 100, 5) + &list(8, 200, 7) + &list(16, u32::MAX, 0) + &list(24, 300, 3);
            bodies.extend(
                [(0, 2), (16, 2), (16, 1), (0, 0), (u32::MAX, 0)]
                    .map(|(at, len)| lists.clone() + &done(name, [fd, at, len, 40])),
            );
            for pointer in POINTERS {
                bodies.push(list(0, pointer, 8) + &done(name, [fd, 0, 1, 40]));
                bodies.push(list(0, 64, 8) + &done(name, [fd, pointer, 1, 40]));
                bodies.push(list(0, 64, 8) + &done(name, [fd, 0, 1, pointer]));
            }
        }
        let fd = u32::from(name == "fd_write");
        let zeroes = "(memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))";
        for len in [1025, 5000, 8192, 8193, (128 << 20) / 8, (128 << 20) / 8 + 1, 0x2000_0000, u32::MAX] {
            bodies.push(zeroes.to_owned() + &done(name, [fd, 0, len, 40]));
        }
        for bytes in [65536, 65537, (128 << 20) - 8, (128 << 20) - 7, 128 << 20, u32::MAX] {
            bodies.push(list(0, 0, bytes) + &done(name, [fd, 0, 1, 40]));
        }
    }
    same_each(&bodies);
}

#[test]
fn random_bytes_are_asked_for_in_the_same_way() {
    // They go where the dump does not show them.
    let mut bodies: Vec<String> = [0, 1, 16, 1000, 65536 - 8192, 65536 - 8191, (64 << 20) + 1, u32::MAX]
        .map(|len| done("random_get", [8192, len]))
        .into();
    for pointer in POINTERS.into_iter().filter(|&pointer| pointer > 4096) {
        bodies.extend([done("random_get", [pointer, 0]), done("random_get", [pointer, 8])]);
    }
    bodies.push(
        done("random_get", [8192, 32])
            + &done("random_get", [8224, 32])
            + "(if (i64.eq (i64.load (i32.const 8192)) (i64.load (i32.const 8224))) (then (call $exit (i32.const 1))))
               (if (i64.eqz (i64.load (i32.const 8216))) (then (call $exit (i32.const 2))))
               (if (i64.ne (i64.load (i32.const 8256)) (i64.const 0xa5a5a5a5a5a5a5a5))
                    (then (call $exit (i32.const 3))))",
    );
    let seen = same_each(&bodies);
    assert_eq!(seen.last().map(|seen| seen.outcome.exit_code), Some(0));
}

#[test]
fn a_long_request_for_random_bytes_is_filled_to_its_end() {
    let body = "(call $done (call $random_get (i32.const 65536) (i32.const 200000)))
        (if (i64.eqz (i64.load (i32.const 265528))) (then (call $exit (i32.const 1))))
        (if (i64.ne (i64.load (i32.const 265536)) (i64.const 0)) (then (call $exit (i32.const 2))))";
    let seen = same("long", &guest(5, body), &setup());
    assert_eq!((seen.outcome.exit_code, seen.first_errno()), (0, 0));
}

fn clock(number: u32, id: u32, timeout: &str, flags: u32) -> String {
    let at = number * 48;
    format!("(call $clock (i32.const {at}) (i32.const {id}) (i64.const {timeout}) (i32.const {flags}))")
}

fn stream(number: u32, kind: u32, fd: u32) -> String {
    format!("(call $stream (i32.const {}) (i32.const {kind}) (i32.const {fd}))", number * 48)
}

/// Subscriptions from 0 on, events from 1024 on, their number at 2048.
fn poll(subscriptions: &[String]) -> String {
    let len = u32::try_from(subscriptions.len()).expect("few");
    subscriptions.concat() + &done("poll_oneoff", [0, 1024, len, 2048])
}

#[test]
fn single_subscriptions_are_the_same() {
    let mut bodies = vec![poll(&[])];
    for id in [0, 1, 2, 3, 4, u32::MAX] {
        for timeout in ["0", "1", "1000000"] {
            bodies.extend([0, 1, 2, 0xffff].map(|flags| poll(&[clock(0, id, timeout, flags)])));
        }
    }
    for fd in FDS {
        bodies.extend([1, 2, 3, 255].map(|kind| poll(&[stream(0, kind, fd)])));
    }
    assert_eq!(same_each(&bodies)[0].first_errno(), 28);
}

#[test]
fn several_subscriptions_are_the_same() {
    let past = |number| clock(number, 1, "0", 0);
    let soon = |number| clock(number, 1, "1000000", 0);
    let later = |number| clock(number, 0, "3600000000000", 0);
    let long_ago = |number| clock(number, 0, "1", 1);
    let never = |number| clock(number, 1, "-1", 0);
    let cases = [
        vec![later(0), soon(1)],
        vec![soon(0), later(1), soon(2)],
        vec![soon(0), past(1), long_ago(2), later(3)],
        vec![never(0), soon(1)],
        vec![past(0), stream(1, 1, 0), later(2)],
        vec![soon(0), stream(1, 2, 1), past(2)],
        vec![stream(0, 1, 0), stream(1, 2, 1), stream(2, 2, 2), stream(3, 2, 1)],
        vec![past(0), stream(1, 1, 0), stream(2, 1, 1)],
        vec![clock(0, 2, "0", 0), stream(1, 1, 9)],
        vec![stream(0, 1, 9), clock(1, 2, "0", 0)],
    ];
    same_each(&cases.map(|subscriptions| poll(&subscriptions)));
}

/// Nobody takes what the guest writes, so its log stays full; a stream that waits for the worker comes after what does not.
#[test]
fn waiting_for_a_full_log_is_the_same() {
    let full = "(call $list (i32.const 0) (i32.const 65536) (i32.const 1100000))".to_owned()
        + &done("fd_write", [1, 0, 1, 40]);
    let polls = [
        vec![stream(0, 1, 0), stream(1, 2, 1), clock(2, 1, "0", 0)],
        vec![stream(0, 2, 2), clock(1, 1, "0", 0), clock(2, 1, "3600000000000", 0)],
    ];
    for subscriptions in polls {
        let seen = same("full", &guest(20, &(full.clone() + &poll(&subscriptions))), &setup());
        assert_eq!((seen.outcome.exit_code, seen.stdout.len()), (0, 1_100_000 + 4096));
    }
}

#[test]
fn a_sleeper_on_either_host_is_pending_and_droppable() {
    let body = clock(0, 1, "3600000000000", 0) + &done("poll_oneoff", [0, 1024, 1, 2048]);
    for code in both(&guest(1, &body)) {
        super::in_runtime(async {
            let mut run = Box::pin(World::shared().sandbox.run(code, setup(), PodLog::default()));
            for _ in 0..3 {
                assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        });
    }
}

#[test]
fn lists_that_do_not_fit_are_the_same() {
    let mut bodies = Vec::new();
    for pointer in POINTERS {
        let calls = [[pointer, 1024, 1, 2048], [0, pointer, 1, 2048], [0, 1024, 1, pointer]];
        bodies.extend(calls.map(|arguments| stream(0, 1, 0) + &done("poll_oneoff", arguments)));
    }
    // Subscriptions and events that end past the memory's end.
    let zeroes = "(memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))";
    for at in 0xffc0..=0xffff {
        bodies.push(zeroes.to_owned() + &done("poll_oneoff", [at, 1024, 1, 2048]));
        bodies.push(stream(0, 2, 1) + &done("poll_oneoff", [0, at, 1, 2048]));
    }
    // 0xa5 is no kind of subscription, so both stop at the first one, if they look at it at all.
    bodies.extend(
        [1000, 2_097_152, 2_097_153, 0x0555_5555, u32::MAX].map(|len| done("poll_oneoff", [0, 1024, len, 2048])),
    );
    same_each(&bodies);
}

#[test]
fn an_absolute_deadline_on_either_clock_is_waited_for() {
    for id in [0, 1] {
        let body = format!(
            "(drop (call $clock_time_get (i32.const {id}) (i64.const 0) (i32.const 2056)))
             (local.set $time (i64.add (i64.load (i32.const 2056)) (i64.const 2000000)))
             (call $clock (i32.const 0) (i32.const {id}) (local.get $time) (i32.const 1))
             {}
             (drop (call $clock_time_get (i32.const {id}) (i64.const 0) (i32.const 2056)))
             (if (i64.lt_u (i64.load (i32.const 2056)) (local.get $time)) (then (call $exit (i32.const 1))))
             (memory.fill (i32.const 0) (i32.const 0) (i32.const 48)) (i64.store (i32.const 2056) (i64.const 0))",
            done("poll_oneoff", [0, 1024, 1, 2048])
        );
        let seen = same_calls("absolute", &body);
        assert_eq!((seen.outcome.exit_code, seen.first_errno()), (0, 0), "{id}");
    }
}

#[test]
fn a_guest_without_a_memory_is_told_the_same() {
    let calls = ["sched_yield)", "args_get (i32.const 0) (i32.const 0))", "fd_close (i32.const 9))"];
    for call in calls {
        let text = format!(r#"(module {IMPORTS} (func (export "_start") (drop (call ${call})))"#);
        let seen = same(call, &text, &setup());
        assert_eq!(
            seen.outcome.message.as_deref(),
            Some("a host function failed: missing required memory export"),
            "{call}"
        );
        let text = text.replace("(func (export", r#"(global (export "memory") i32 (i32.const 0)) (func (export"#);
        same(call, &text, &setup());
    }
    let text = format!(r#"(module {IMPORTS} (func (export "_start") (call $exit (i32.const 3))))"#);
    assert_eq!(same("exit", &text, &setup()).outcome.exit_code, 3);
}

#[test]
fn a_memory_that_grows_between_calls_is_seen_whole() {
    let body = "(call $done (call $random_get (i32.const 8192) (i32.const 8)))
        (drop (memory.grow (i32.const 1)))
        (call $list (i32.const 0) (i32.const 131064) (i32.const 8))
        (i64.store (i32.const 131064) (i64.const 0x6f6c6c6568206f68))
        (call $done (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 131000)))";
    assert!(same_calls("grown", body).stdout.starts_with(b"ho hello"));
}

#[test]
fn a_start_function_can_call_the_host() {
    let text = guest(1, "").replace(
        "(func (export \"_start\")",
        "(func $start (call $done (call $sched_yield))) (start $start) (func (export \"_start\")",
    );
    assert_eq!(same("start", &text, &setup()).outcome.exit_code, 0);
}

/// At once, and after the log is full: its worker must have turns, or the oldest of it is lost.
#[test]
fn more_output_than_a_log_holds_arrives_whole() {
    let text = guest(
        200,
        "(memory.fill (i32.const 0) (i32.const 0x61) (i32.const 12582912))
         (i32.store8 (i32.const 12582911) (i32.const 0x62))
         (call $list (i32.const 12582912) (i32.const 0) (i32.const 12582912))
         (drop (call $fd_write (i32.const 1) (i32.const 12582912) (i32.const 1) (i32.const 12582920)))
         (call $exit (i32.ne (i32.load (i32.const 12582920)) (i32.const 12582912)))",
    );
    for code in both(&text) {
        let log = PodLog::default();
        let mut written = Vec::new();
        super::in_runtime(async {
            let mut run = Box::pin(World::shared().sandbox.run(code, setup(), log.clone()));
            loop {
                let poll = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                written.extend(log.take().into_iter().flat_map(|(_, bytes)| bytes));
                if let Poll::Ready(end) = poll {
                    return assert_eq!(end.expect("a free slot").exit_code, 0);
                }
            }
        });
        assert_eq!(written.len(), 12 << 20);
        assert!(written.ends_with(b"aab"));
    }
}

#[test]
fn most_standard_guests_have_the_lean_host() {
    for image in ["hello", "exit-code", "hog", "index", "pi", "sleep", "spin"] {
        let code = World::shared().load(&format!("coracle/{image}"), None).expect("built in");
        assert_eq!(code.0.host, HostKind::Lean, "{image}");
    }
}
