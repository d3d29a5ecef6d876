//! Which engine a pod gets, and that both count for themselves.

use super::{World, bare, in_runtime, with_args};
use crate::exec::{Busy, LoadError, PodLog, PodSetup, Runtime as _};
use crate::model::{EngineKind, PodTemplate};
use std::pin::pin;
use std::task::{Context, Waker};

const SLOT: u64 = 256 << 20;

fn kind(world: &World, template: &PodTemplate) -> Result<EngineKind, LoadError> {
    assert!(world.sandbox.cached(template).is_none(), "{template:?}");
    let loaded = world.sandbox.load(template)?;
    let cached = world.sandbox.cached(template).expect("it was just loaded");
    assert_eq!(world.sandbox.engine(&loaded), world.sandbox.engine(&cached));
    Ok(world.sandbox.engine(&loaded))
}

#[test]
fn the_template_and_the_module_decide() {
    let world = World::new(1);
    let start = r#"(func (export "_start"))"#;
    let [plain, wide, twice] = [("m", "(memory 1)"), ("w", "(memory 4097)"), ("t", "(memory 1) (memory 1)")]
        .map(|(name, memory)| world.image(&format!("(module {memory} {start} (func (export \"{name}\")))")));
    let cases = [
        (&plain, Some(SLOT), false, None, EngineKind::Small),
        (&plain, Some(SLOT + 1), false, None, EngineKind::Large),
        (&plain, None, false, Some(9), EngineKind::Small),
        (&plain, None, true, Some(9), EngineKind::Large),
        (&wide, None, false, None, EngineKind::Large),
        (&twice, None, false, None, EngineKind::Large),
        (&twice, None, false, Some(9), EngineKind::Large),
    ];
    for (image, memory_bytes_max, wants_whole_cpu, fuel, expected) in cases {
        let template =
            PodTemplate { image: image.clone(), memory_bytes_max, wants_whole_cpu, fuel, ..PodTemplate::default() };
        let kind = kind(&world, &template).unwrap_or_else(|error| panic!("{}", error.message));
        assert_eq!(kind, expected, "{template:?}");
    }
}

#[test]
fn a_pod_of_a_module_that_does_not_fit_a_slot_runs() {
    let world = World::new(1);
    let text = r#"(module (memory 4097) (func (export "_start") (i32.store8 (i32.const 268500000) (i32.const 1))))"#;
    let pod = PodSetup { memory_bytes_max: Some(SLOT + (64 << 10)), ..bare() };
    assert_eq!(world.run(&world.image(text), pod).outcome.exit_code, 0);
}

/// The template's limit decides the engine, so a limit above the slot never meets a small one; if it did, the guest would
/// be told no.
#[test]
fn growing_past_the_slot_only_says_no() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory 1)
        (func (export "_start")
            (if (i32.ne (memory.grow (i32.const 4096)) (i32.const -1)) (then (call $exit (i32.const 1))))
            (if (i32.ne (memory.grow (i32.const 4095)) (i32.const 1)) (then (call $exit (i32.const 2))))))"#;
    let world = World::new(1);
    let outcome = world.run(&world.image(text), PodSetup { memory_bytes_max: Some(4 * SLOT), ..bare() }).outcome;
    assert_eq!(outcome.exit_code, 0, "{outcome:?}");
}

#[test]
fn each_engine_has_its_own_slots_and_fuel_shares_them() {
    let world = World::new(1);
    let code = |wants_whole_cpu: bool, fuel: Option<u64>| {
        let image = "coracle/sleep".to_owned();
        let template = PodTemplate { image, wants_whole_cpu, fuel, ..PodTemplate::default() };
        world.sandbox.load(&template).unwrap_or_else(|error| panic!("{}", error.message))
    };
    let run = |code| world.sandbox.run(code, with_args(&["sleep", "1000"]), PodLog::default());
    in_runtime(async {
        let mut context = Context::from_waker(Waker::noop());
        let mut small = pin!(run(code(false, None)));
        assert!(small.as_mut().poll(&mut context).is_pending());
        assert_eq!(run(code(false, Some(1_000_000))).await, Err(Busy), "the slots are those of one arena");
        let mut large = pin!(run(code(true, None)));
        assert!(large.as_mut().poll(&mut context).is_pending());
        assert_eq!(run(code(true, None)).await, Err(Busy));
    });
}

#[test]
fn a_table_grows_to_what_a_pod_can_have_on_both_engines() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (table $t 0 funcref)
        (func (export "_start")
            (if (i32.ne (table.grow $t (ref.null func) (i32.const 100001)) (i32.const -1)) (then (call $exit (i32.const 1))))
            (if (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const 0)) (then (call $exit (i32.const 2))))))"#;
    let (small, large) = (World::shared(), super::OnEngine::<true>::shared());
    assert_eq!(small.run(&small.image(text), bare()).outcome.exit_code, 0);
    assert_eq!(large.run(&large.image(text), bare()).outcome.exit_code, 0);
}
