//! Traps as people read them: the guest's functions, files and lines.

use super::{World, bare, program, with_args};
use crate::exec::Runtime as _;

#[test]
fn a_panic_names_the_guests_file_and_lines() {
    let world = World::shared();
    let end = world.run("coracle/crash", with_args(&["crash"]));
    assert_eq!(end.outcome.exit_code, 134);
    assert!(end.stderr.contains("no shelf for hinges"), "{}", end.stderr);
    let code = world.load("coracle/crash", None).expect("built in");
    let explained = world.sandbox.explain(&code, &end.outcome.trace.expect("a trap has a trace"));
    let lines: Vec<&str> = explained.lines().collect();
    for (line, function) in lines.iter().zip(["shelf_of", "reserve", "ship_order", "main"]) {
        assert!(line.contains(&format!("crash::{function} (")) && line.contains("src/main.rs:"), "{explained}");
    }
    assert_eq!(lines.len(), 4, "only the guest's own frames:\n{explained}");
}

#[test]
fn a_module_without_debug_information_has_its_names() {
    let world = World::shared();
    let text = program("(call $inner))(func $inner unreachable").replace("(func (export", "(func $outer (export");
    let image = world.image(&text);
    let trace = world.run(&image, bare()).outcome.trace.expect("a trap has a trace");
    let code = world.load(&image, None).expect("a program");
    assert_eq!(world.sandbox.explain(&code, &trace), "    at inner\n    at outer");
}

#[test]
fn a_trace_is_cut_at_its_depth() {
    let world = World::shared();
    let image = world.image(r#"(module (func $f (export "_start") (call $f) (call $f)))"#);
    let trace = world.run(&image, bare()).outcome.trace.expect("a trap has a trace");
    assert_eq!(trace.0.len(), 64);
    let code = world.load(&image, None).expect("a program");
    let explained = world.sandbox.explain(&code, &trace);
    assert!(explained.lines().all(|line| line == "    at f"), "{explained}");
}
