//! What happens in a history: clients, time, commits and crashes, drawn from its seed.
//!
//! Knows what may happen, not what must follow. Invariant: in the end all pods are made to succeed, and every Job ends.

use super::shapes::{self, Draw};
use super::tally::Tally;
use super::world::World;
use crate::base::{Rng, Time, Uid};
use crate::control::{Capacity, DeleteJob, Input, NewDoc, NewJob, NewSpec, Propagation, Ticket};
use crate::model::{JobSpec, Kind};
use serde_json::Value;
use std::sync::Arc;

/// Two of them can give the same pod names.
const NAMES: [&str; 5] = ["a", "a-0", "b", "c", "d"];
/// Things that happen before all is made to succeed.
const ACTS: u32 = 200;
/// Rounds in which every Job must end once its pods succeed.
const ROUNDS_MAX: u32 = 600;

/// One history.
#[derive(Debug)]
pub(super) struct History {
    seed: u64,
    rng: Rng,
    world: Option<World>,
    record: bool,
    tickets: Ticket,
}

impl History {
    pub(super) fn new(seed: u64, record: bool) -> Self {
        Self { seed, rng: Rng::new(seed), world: None, record, tickets: 0 }
    }

    pub(super) fn into_tally(self) -> Tally {
        self.world.map(|world| world.tally).unwrap_or_default()
    }

    pub(super) fn into_lines(self) -> (u32, Vec<String>) {
        self.world.map(|world| (world.steps, world.lines.unwrap_or_default())).unwrap_or_default()
    }

    /// All of it.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let mut draw = Draw(&mut self.rng);
        let roomy = draw.once_in(2);
        let capacity = match roomy {
            true => Capacity { workers: 2, queue_max: 100, alive_max: 200 },
            false => {
                Capacity { workers: draw.number(1, 4), queue_max: draw.number(1, 6), alive_max: draw.number(1, 10) }
            }
        };
        let crash_at = draw.number(20, ACTS);
        self.world = Some(World::new(capacity, self.record)?);
        let seed = self.seed;
        self.world().tell(|| format!("seed {seed}, {capacity:?}"));
        let namespace = NewDoc { kind: Kind::Namespace, name: "default".into(), doc: "{}".into() };
        let ticket = self.ticket();
        self.step(Some(Input::CreateDoc(ticket, namespace)))?;
        let most = self.draw().number(3, 6) as usize;
        for name in &NAMES[..most] {
            self.create(name)?;
        }
        self.commit()?;
        for act in 0..ACTS {
            if act == crash_at {
                self.crash()?;
            }
            self.act()?;
        }
        self.finish()
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("it is made first")
    }

    fn draw(&mut self) -> Draw<'_> {
        Draw(&mut self.rng)
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    fn step(&mut self, written: Option<Input>) -> Result<(), String> {
        let world = self.world.as_mut().expect("it is made first");
        world.step(written, &mut self.rng)
    }

    fn act(&mut self) -> Result<(), String> {
        match self.draw().number(0, 64) {
            0..=29 => self.wait_for_workers()?,
            30..=39 => self.wait_for_control()?,
            40..=43 => {
                let ms = self.draw().number(0, 400);
                self.advance(u64::from(ms));
            }
            44..=47 => return self.update(),
            48 => return self.delete(),
            49 => {
                let name = self.draw().one(&NAMES);
                return self.create(name);
            }
            50..=55 => return self.commit(),
            56 => return self.world().fold(),
            57 if self.draw().once_in(3) => return self.crash(),
            _ => {}
        }
        self.step(None)
    }

    fn advance(&mut self, ms: u64) {
        let world = self.world();
        world.now = world.now.plus_ms(ms);
    }

    fn advance_to(&mut self, at: Option<Time>) {
        let world = self.world();
        world.now = at.map_or(world.now, |at| world.now.max(at));
    }

    /// Until a worker has something to say; perhaps a bit longer.
    fn wait_for_workers(&mut self) -> Result<(), String> {
        let due = self.world().executor.due();
        self.advance_to(due);
        if self.draw().once_in(4) {
            let ms = self.draw().number(0, 500);
            self.advance(u64::from(ms));
        }
        Ok(())
    }

    /// Until `control` has something to do, unless that is an hour away: Events get old.
    fn wait_for_control(&mut self) -> Result<(), String> {
        let now = self.world().now;
        let due = self.world().state.next_deadline();
        let is_near = due.is_some_and(|at| at.since_ms(now) < 3_000_000);
        if is_near || self.draw().once_in(20) {
            self.advance_to(due);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), String> {
        let undurable = u32::try_from(self.world().undurable()).expect("few");
        let steps = if self.draw().once_in(3) { self.draw().number(0, undurable + 1) } else { undurable };
        self.world().tell(|| format!("{steps} of {undurable} steps become durable"));
        self.world().commit(steps as usize)
    }

    fn crash(&mut self) -> Result<(), String> {
        if self.draw().once_in(2) {
            self.commit()?;
        }
        self.world().tell(|| "the engine dies".to_owned());
        self.world().crash()?;
        self.step(None)
    }

    fn create(&mut self, name: &str) -> Result<(), String> {
        let uid = Uid::v4(self.rng.next_u128());
        let job = shapes::new_job(&mut self.draw(), name, uid);
        let doc: Arc<str> = job.to_string().into();
        self.world().tell(|| format!("create {doc}"));
        let spec = JobSpec::from_doc(&doc).map_err(|error| error.to_string())?;
        let created = self.world().now;
        let new = NewJob { namespace: "default".into(), name: name.into(), uid, created, doc, spec };
        let ticket = self.ticket();
        self.step(Some(Input::CreateJob(ticket, Box::new(new))))
    }

    /// Changes a Job, from what is shown of it.
    fn update(&mut self) -> Result<(), String> {
        let name = self.draw().one(&NAMES);
        self.change(name, shapes::change)
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Draw<'_>, &mut Value)) -> Result<(), String> {
        let Some(shown) = self.world().view.job("default", name) else { return self.step(None) };
        let mut job: Value = serde_json::from_str(&shown.doc.json).map_err(|error| error.to_string())?;
        change(&mut self.draw(), &mut job);
        let doc: Arc<str> = job.to_string().into();
        let spec = JobSpec::from_doc(&doc).map_err(|error| error.to_string())?;
        self.world().tell(|| format!("change {doc}"));
        let new = NewSpec { namespace: "default".into(), name: name.into(), base_rv: shown.doc.rv, doc, spec };
        let ticket = self.ticket();
        self.step(Some(Input::UpdateJob(ticket, Box::new(new))))
    }

    fn delete(&mut self) -> Result<(), String> {
        let name = self.draw().one(&NAMES);
        let uid = self.draw().once_in(8).then_some(Uid(1));
        self.world().tell(|| format!("delete {name}"));
        let doc = self.world().view.job("default", name).map(|job| (job.doc.rv, Arc::clone(&job.doc.json)));
        let (propagation, doc) = (Propagation::Background, doc.unwrap_or_else(|| (0, "{}".into())));
        let delete = DeleteJob { namespace: "default".into(), name: name.into(), uid, rv: None, propagation, doc };
        let ticket = self.ticket();
        self.step(Some(Input::DeleteJob(ticket, delete)))
    }

    /// From here on every pod succeeds, and every Job ends.
    fn finish(&mut self) -> Result<(), String> {
        self.world().tell(|| "from here on every pod succeeds".to_owned());
        let undurable = self.world().undurable();
        self.world().commit(undurable)?;
        let now = self.world().now;
        self.world().executor.be_kind(now);
        for name in NAMES {
            self.change(name, |_, job| shapes::let_end(job))?;
        }
        for _ in 0..ROUNDS_MAX {
            self.step(None)?;
            let world = self.world();
            if world.is_over() && world.executor.is_idle() {
                self.step(None)?;
                return self.world().end();
            }
            let due = [world.executor.due(), world.state.next_deadline()].into_iter().flatten().min();
            self.advance_to(due);
        }
        let open: Vec<String> = self.world().state.jobs().map(|job| job.name.as_ref().to_owned()).collect();
        Err(format!("not all of {open:?} end"))
    }
}
