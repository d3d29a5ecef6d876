//! What a pod finds in its slot, whatever the pods before it did there.

use super::map::{Guards, PageMap};
use super::slots::WARM_MAX;
use super::*;
use crate::sandbox::engine::{Fuel, small};
use proptest::prelude::*;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use wasmtime::{Engine, Instance, InstancePre, Linker, Module, Store, Trap, Val};

const PAGE: usize = 64 << 10;
const PAGE_U32: u32 = 64 << 10;
/// The most pages that a pod of these tests has: more than are kept resident.
const PAGES_MAX: usize = 48;

/// An arena, its engine, and a guest for each size that a memory starts with.
struct World {
    arena: Arc<Arena>,
    guests: Vec<(usize, InstancePre<()>)>,
}

/// A pod that was polled and sleeps; dropping it ends it.
struct Sleeping<'a> {
    run: Pin<Box<dyn Future<Output = wasmtime::Result<()>>>>,
    _seat: Seat<'a>,
}

/// What a pod does after it looked at its memory.
#[derive(Clone, Debug)]
struct Plan {
    guest: usize,
    grow: usize,
    /// Places to write at, as parts of 65,536 of the memory.
    marks: Vec<u16>,
    fills: bool,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Returns,
    Traps,
    Sleeps,
}

impl World {
    fn new(slots: usize, scans: bool) -> Self {
        let pagemap = if scans { PageMap::open() } else { None };
        let arena = Arena::with_pagemap(slots, pagemap).expect("a few slots");
        let engine = small(&arena, Fuel::Free).expect("good settings");
        let guests = [1, 2, 17, 40].map(|pages| (pages, guest(&engine, pages)));
        Self { arena, guests: guests.into() }
    }

    fn seat(&self) -> Seat<'_> {
        self.arena.seat().expect("a free slot")
    }

    /// Runs a pod to its end, or to its sleep.
    fn start(&self, plan: &Plan) -> Option<Sleeping<'_>> {
        let seat = self.seat();
        let (pages, pre) = self.guests[plan.guest % self.guests.len()].clone();
        let mut run: Pin<Box<dyn Future<Output = _>>> = Box::pin(act(pre, pages, plan.clone()));
        match seat.enter(|| run.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
            Poll::Pending => Some(Sleeping { run, _seat: seat }),
            Poll::Ready(ended) => {
                assert_eq!(ended.is_err(), matches!(plan.end, End::Traps), "{ended:?}");
                None
            }
        }
    }
}

impl Sleeping<'_> {
    fn is_asleep(&mut self) -> bool {
        self.run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

fn guest(engine: &Engine, pages: usize) -> InstancePre<()> {
    let text = format!(
        r#"(module
            (import "host" "sleep" (func $sleep))
            (memory (export "memory") {pages})
            (data (i32.const 100) "data of the module")
            (func (export "returns"))
            (func (export "traps") unreachable)
            (func (export "sleeps") (call $sleep))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
            (func (export "load8") (param i32) (drop (i32.load8_u (local.get 0))))
            (func (export "load64") (param i32) (drop (i64.load (local.get 0))))
            (func (export "load_far") (param i32) (drop (i32.load offset=0x7fffffff (local.get 0))))
            (func (export "load_vector") (param i32) (drop (v128.load offset=16 (local.get 0))))
            (func (export "store8") (param i32) (i32.store8 (local.get 0) (i32.const 1)))
            (func (export "store64") (param i32) (i64.store offset=1 (local.get 0) (i64.const -1))))"#
    );
    let mut linker = Linker::new(engine);
    linker.func_wrap_async("host", "sleep", |_, (): ()| Box::new(pending::<()>())).expect("a new name");
    let module = Module::new(engine, wat::parse_str(text).expect("good text")).expect("a module");
    linker.instantiate_pre(&module).expect("it links")
}

fn store(pre: &InstancePre<()>) -> Store<()> {
    let mut store = Store::new(pre.module().engine(), ());
    store.set_epoch_deadline(1);
    store
}

async fn act(pre: InstancePre<()>, pages: usize, plan: Plan) -> wasmtime::Result<()> {
    let mut store = store(&pre);
    let instance = pre.instantiate_async(&mut store).await?;
    let memory = instance.get_memory(&mut store, "memory").expect("exported");
    let data = b"data of the module";
    assert_eq!(memory.data(&store).len(), pages * PAGE);
    memory.data_mut(&mut store)[100..100 + data.len()].copy_from_slice(&[0; 18]);
    assert_zero(memory.data(&store), "at the start");
    let grow = plan.grow.min(PAGES_MAX - pages);
    memory.grow_async(&mut store, grow as u64).await?;
    assert_zero(memory.data(&store), "after it grew");
    if plan.fills {
        let bytes = i32::try_from((pages + grow) * PAGE).expect("small");
        call(&mut store, &instance, "fill", &[0, 0xa5, bytes]).await?;
    }
    let bytes = memory.data_mut(&mut store);
    for mark in plan.marks {
        let at = bytes.len() * usize::from(mark) / (1 << 16);
        bytes[at] = 0xff;
    }
    let end = match plan.end {
        End::Returns => "returns",
        End::Traps => "traps",
        End::Sleeps => "sleeps",
    };
    call(&mut store, &instance, end, &[]).await
}

fn assert_zero(bytes: &[u8], when: &str) {
    static ZEROS: [u8; PAGES_MAX * PAGE] = [0; PAGES_MAX * PAGE];
    assert!(bytes == &ZEROS[..bytes.len()], "a dirty byte {when}: {:?}", bytes.iter().position(|byte| *byte != 0));
}

async fn call(store: &mut Store<()>, instance: &Instance, name: &str, args: &[i32]) -> wasmtime::Result<()> {
    let function = instance.get_func(&mut *store, name).expect("exported");
    let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg)).collect();
    let mut results = vec![Val::I32(0); function.ty(&*store).results().len()];
    function.call_async(&mut *store, &args, &mut results).await
}

fn plans() -> impl Strategy<Value = Plan> {
    let marks = prop_oneof![
        3 => prop::collection::vec(any::<u16>(), 0..6),
        1 => prop::collection::vec(any::<u16>(), 100..200),
        1 => Just(vec![0, u16::MAX]),
    ];
    let end = prop_oneof![Just(End::Returns), Just(End::Traps), Just(End::Sleeps)];
    (0..4_usize, prop_oneof![Just(0), 0..PAGES_MAX], marks, prop::bool::weighted(0.2), end)
        .prop_map(|(guest, grow, marks, fills, end)| Plan { guest, grow, marks, fills, end })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_pod_finds_a_byte_of_another(
        scans in any::<bool>(),
        plans in prop::collection::vec((plans(), 0..4_usize), 1..24),
    ) {
        static WORLDS: OnceLock<[World; 2]> = OnceLock::new();
        let worlds = WORLDS.get_or_init(|| [false, true].map(|scans| World::new(4, scans)));
        let world = &worlds[usize::from(scans)];
        let mut asleep: Vec<Sleeping<'_>> = Vec::new();
        for (plan, wakes) in plans {
            if asleep.len() == 3 {
                let mut ended = asleep.remove(wakes % 3);
                prop_assert!(ended.is_asleep());
            }
            asleep.extend(world.start(&plan));
        }
    }

    #[test]
    fn every_access_past_the_size_traps_and_every_other_does_not(
        grow in 0..8_u32,
        at in prop_oneof![any::<u32>(), 0..9 * PAGE_U32, (256 << 20) - 32..(256_u32 << 20) + 32],
        near in prop::option::of(-40..40_i64),
    ) {
        static WORLD: OnceLock<World> = OnceLock::new();
        let world = WORLD.get_or_init(|| World::new(4, true));
        let (pages, pre) = world.guests[0].clone();
        prop_assert_eq!(pages, 1);
        let size = i64::from((1 + grow) * PAGE_U32);
        let at = near.map_or_else(|| i64::from(at), |near| size + near);
        let address = u32::try_from(at).expect("in range").cast_signed();
        let accesses = [
            ("load8", at, 1), ("load64", at, 8), ("load_far", at + 0x7fff_ffff, 4), ("load_vector", at + 16, 16),
            ("store8", at, 1), ("store64", at + 1, 8),
        ];
        for (name, first, width) in accesses {
            let seat = world.seat();
            let mut run = std::pin::pin!(async {
                let mut store = store(&pre);
                let instance = pre.instantiate_async(&mut store).await?;
                call(&mut store, &instance, "grow", &[grow.cast_signed()]).await?;
                call(&mut store, &instance, name, &[address]).await
            });
            let Poll::Ready(ended) = seat.enter(|| run.as_mut().poll(&mut Context::from_waker(Waker::noop()))) else {
                panic!("it does not sleep");
            };
            let trap = ended.err().map(|error| *error.downcast_ref::<Trap>().expect("a trap"));
            let expected = (first + width > size).then_some(Trap::MemoryOutOfBounds);
            prop_assert_eq!(trap, expected, "{} at {} of {}", name, at, size);
        }
    }
}

/// A full slot, and what lies behind it in the arena.
#[test]
fn a_memory_ends_where_its_slot_ends() {
    let world = World::new(2, true);
    let (_, pre) = world.guests[0].clone();
    let full = SLOT_BYTES / PAGE;
    let seat = world.seat();
    let run = std::pin::pin!(async {
        let mut store = store(&pre);
        let instance = pre.instantiate_async(&mut store).await.expect("it fits");
        let memory = instance.get_memory(&mut store, "memory").expect("exported");
        assert!(memory.grow_async(&mut store, full as u64).await.is_err(), "one page too many");
        assert_eq!(memory.grow_async(&mut store, full as u64 - 1).await.expect("the whole slot"), 1);
        assert!(memory.grow_async(&mut store, 1).await.is_err());
        let last = i32::try_from(SLOT_BYTES - 1).expect("small");
        call(&mut store, &instance, "store8", &[last]).await.expect("the last byte");
        let error = call(&mut store, &instance, "store8", &[last + 1]).await.expect_err("the next slot's first byte");
        assert_eq!(error.downcast_ref(), Some(&Trap::MemoryOutOfBounds));
    });
    assert!(seat.enter(|| run.poll(&mut Context::from_waker(Waker::noop()))).is_ready());
}

#[test]
fn slots_that_go_back_to_the_kernel_are_clean_as_well() {
    for scans in [false, true] {
        let world = World::new(2 * WARM_MAX, scans);
        for round in 0..3 {
            let plan = Plan { guest: round, grow: 3, marks: vec![0, 9, u16::MAX], fills: round == 1, end: End::Sleeps };
            let asleep: Vec<_> = (0..2 * WARM_MAX).map(|_| world.start(&plan).expect("it sleeps")).collect();
            assert!(world.arena.seat().is_none(), "every slot is taken");
            drop(asleep);
        }
        assert!(world.arena.slots.has_enough_warm());
    }
}

#[test]
fn threads_share_slots_without_sharing_bytes() {
    let world = World::new(3, true);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let world = &world;
            scope.spawn(move || {
                let mut asleep = None;
                for turn in 0..60 {
                    let end = [End::Returns, End::Traps, End::Sleeps][(turn + thread) % 3];
                    let plan =
                        Plan { guest: turn, grow: turn % 5, marks: vec![7, 70, 7000], fills: turn % 7 == 0, end };
                    drop(asleep.take());
                    asleep = world.start(&plan);
                }
            });
        }
    });
}

#[test]
fn a_slot_belongs_to_whoever_is_polled() {
    let world = World::new(2, true);
    let creator = Creator(Arc::clone(&world.arena));
    let memory = || creator.new_memory(wasmtime::MemoryType::new(1, None), PAGE, None, None, 0);
    assert!(memory().is_err() && creator.new_stack(64 << 10, false).is_err(), "nobody is polled");
    let other = World::new(1, true);
    assert!(other.seat().enter(memory).is_err(), "a seat of another arena");
    let seat = world.seat();
    seat.enter(|| {
        let first = memory().expect("a memory");
        assert!(memory().is_err(), "a second memory");
        let stack = creator.new_stack(64 << 10, false).expect("a stack");
        assert!(creator.new_stack(64 << 10, false).is_err(), "a second stack");
        drop(stack);
        drop(creator.new_stack(64 << 10, false).expect("one after the other"));
        assert!(creator.new_stack(64 << 10, true).is_err(), "zeroed stacks are not offered");
        drop(first);
        memory().expect("one after the other");
    });
    assert!(memory().is_err(), "nobody is polled any more");
    drop(seat);
    let seats: Vec<Seat<'_>> = std::iter::from_fn(|| world.arena.seat()).take(3).collect();
    assert_eq!(seats.len(), 2, "what was made in its name is gone as well");
}

/// The kernel reads into the page in our name, and says what we may not do.
fn can_write(address: *mut u8) -> bool {
    let zeros = std::fs::File::open("/dev/zero").expect("every system has it");
    // SAFETY: the kernel writes one zero, or nothing, into a stack that is not in use.
    unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&zeros), address.cast(), 1) == 1 }
}

#[test]
fn beneath_every_stack_is_a_guard() {
    let arenas = [Guards::Marked, Guards::protected()].map(|guards| {
        let mut arena = Arc::into_inner(Arena::new(3).expect("slots")).expect("the only one");
        // A kernel before 6.13 has the second only.
        if arena.guards == Guards::Marked {
            arena.guards = guards;
        }
        Arc::new(arena)
    });
    for arena in arenas {
        let creator = Creator(Arc::clone(&arena));
        let seats: Vec<_> = std::iter::from_fn(|| arena.seat()).take(4).collect();
        let stacks: Vec<_> =
            seats.iter().map(|seat| seat.enter(|| creator.new_stack(64 << 10, false)).expect("a stack")).collect();
        for stack in &stacks {
            let (guard, range) = (stack.guard_range(), stack.range());
            assert_eq!((guard.end.addr(), stack.top().addr()), (range.start, range.end));
            assert!(range.start.is_multiple_of(map::page_bytes()) && range.end.is_multiple_of(map::page_bytes()));
            assert!(can_write(guard.end) && can_write(stack.top().wrapping_sub(1)), "{:?}", arena.guards);
            assert!(!can_write(guard.start) && !can_write(guard.end.wrapping_sub(1)), "{:?}", arena.guards);
        }
    }
}

#[test]
fn a_short_address_space_gives_fewer_slots_before_smaller_ones() {
    let all: Vec<(usize, usize)> = shapes(100_000).map(|shape| (shape.slots, shape.slot_bytes >> 20)).collect();
    assert_eq!(all[..2], [(100_000, 256), (50_000, 256)]);
    assert_eq!(all[6..12], [(1562, 256), (1024, 256), (1024, 128), (1024, 64), (1024, 32), (1024, 16)]);
    assert_eq!((all[12], all.last()), ((512, 16), Some(&(1, 16))));
    assert_eq!(shapes(1).count(), 5);
}
