//! Exit codes: the guest's own, and those of traps.

use super::{World, bare, program, run_body, with_args};
use crate::exec::PodSetup;
use crate::model::Reason;

#[test]
fn a_guests_own_code_is_kept_modulo_256() {
    let cases = [(0, 0), (1, 1), (125, 125), (126, 126), (137, 137), (255, 255), (256, 0), (-1, 255), (i32::MIN, 0)];
    for (code, exit_code) in cases {
        let outcome = run_body(&format!("(call $exit (i32.const {code})) unreachable")).outcome;
        let reason = if exit_code == 0 { Reason::Completed } else { Reason::Error };
        assert_eq!((outcome.exit_code, outcome.reason), (exit_code, reason), "{code}");
        assert_eq!((outcome.message, outcome.trace), (None, None), "{code}: an exit is no failure to explain");
    }
}

#[test]
fn returning_is_exit_code_0() {
    let outcome = run_body("").outcome;
    assert_eq!((outcome.exit_code, outcome.reason), (0, Reason::Completed));
    assert_eq!((outcome.fuel, outcome.peak_bytes), (0, 64 << 10));
}

#[test]
fn each_trap_has_the_code_of_the_nearest_signal() {
    let calls = |body: &str| {
        format!(
            r#"(module (type $none (func)) (type $one (func (param i32)))
                (table 2 funcref) (elem (i32.const 0) $callee) (func $callee)
                (func (export "_start") {body}))"#
        )
    };
    let cases = [
        ("unreachable", program("unreachable"), 134, "wasm trap: unreachable"),
        (
            "division by zero",
            program("(drop (i32.div_s (i32.const 1) (i32.const 0)))"),
            136,
            "wasm trap: integer divide by zero",
        ),
        (
            "overflow",
            program("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"),
            136,
            "wasm trap: integer overflow",
        ),
        (
            "conversion",
            program("(drop (i32.trunc_f32_s (f32.const nan)))"),
            136,
            "wasm trap: invalid conversion to integer",
        ),
        (
            "out of bounds",
            program("(drop (i32.load (i32.const 65536)))"),
            139,
            "wasm trap: out of bounds memory access",
        ),
        (
            "bulk out of bounds",
            program("(memory.fill (i32.const 0) (i32.const 1) (i32.const 65537))"),
            139,
            "wasm trap: out of bounds memory access",
        ),
        (
            "recursion",
            r#"(module (func $f (export "_start") (call $f) (call $f)))"#.to_owned(),
            139,
            "wasm trap: call stack exhausted",
        ),
        ("null call", calls("(call_indirect (type $none) (i32.const 1))"), 139, "wasm trap: uninitialized element"),
        (
            "wrong signature",
            calls("(call_indirect (type $one) (i32.const 7) (i32.const 0))"),
            139,
            "wasm trap: indirect call type mismatch",
        ),
        (
            "table out of bounds",
            calls("(call_indirect (type $none) (i32.const 2))"),
            139,
            "wasm trap: undefined element: out of bounds table access",
        ),
    ];
    let world = World::shared();
    for (name, text, exit_code, message) in cases {
        let outcome = world.run(&world.image(&text), bare()).outcome;
        assert_eq!((outcome.exit_code, outcome.reason), (exit_code, Reason::Error), "{name}");
        assert_eq!(outcome.message.as_deref(), Some(message), "{name}");
        assert!(outcome.trace.is_some_and(|trace| !trace.0.is_empty() && trace.0.len() <= 64), "{name}");
    }
}

#[test]
fn spent_fuel_ends_a_pod_and_is_counted() {
    let world = World::shared();
    let forever = world.image(&program("(loop $again (br $again))"));
    let outcome = world.run(&forever, PodSetup { fuel: Some(10_000), ..bare() }).outcome;
    assert_eq!((outcome.exit_code, outcome.reason, outcome.fuel), (152, Reason::FuelExhausted, 10_000));
    assert_eq!(outcome.message.as_deref(), Some("fuel spent"));
}

#[test]
fn fuel_that_suffices_is_reported_as_what_was_spent() {
    let world = World::shared();
    let short = world.image(&program("(drop (i32.const 1))"));
    let outcome = world.run(&short, PodSetup { fuel: Some(1_000_000), ..bare() }).outcome;
    assert_eq!((outcome.exit_code, outcome.reason), (0, Reason::Completed));
    assert!((1..100).contains(&outcome.fuel), "{}", outcome.fuel);
    let none = world.run(&short, PodSetup { fuel: Some(0), ..bare() }).outcome;
    assert_eq!((none.exit_code, none.fuel), (152, 0));
}

#[test]
fn the_standard_guests_end_as_they_say() {
    let world = World::shared();
    let hello = world.run("coracle/hello", with_args(&["hello", "pod"]));
    assert_eq!((hello.outcome.exit_code, hello.stdout.as_str(), hello.stderr.as_str()), (0, "hello, pod\n", ""));
    assert_eq!(world.run("coracle/exit-code", with_args(&["exit-code", "200"])).outcome.exit_code, 200);
    let usage = world.run("coracle/exit-code", with_args(&["exit-code"]));
    assert_eq!(usage.outcome.exit_code, 2);
    assert!(usage.stderr.contains("usage"), "{}", usage.stderr);
    let pi = world.run("coracle/pi", with_args(&["pi", "1000"])).stdout;
    assert!(pi.starts_with("3.14159265358979") && pi.trim_end().len() == 1002, "{pi}");
    let sleep = world.run("coracle/sleep", with_args(&["sleep", "0.01"]));
    assert_eq!((sleep.outcome.exit_code, sleep.stdout.as_str()), (0, "awake after 0.01 s\n"));
    let mut pod = with_args(&["index"]);
    pod.env = ["JOB_COMPLETION_INDEX=7"].iter().collect();
    assert_eq!(world.run("coracle/index", pod).stdout, "JOB_COMPLETION_INDEX=7\n");
}
