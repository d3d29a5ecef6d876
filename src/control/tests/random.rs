//! Histories drawn from a seed: a few Jobs, and everything that clients, workers, time and crashes may do to them.
//!
//! Every step goes through `verify`. In the end all pods are made to succeed, and every Job must finish.

use super::Spec;
use super::claims::{change, selecting};
use super::world::World;
use crate::base::{JobId, Rng, Uid};
use crate::control::{Capacity, PodChange, Propagation};
use crate::model::{ConditionReason, ConditionType, FailureAction, JobRecord, Reason};

/// Two of them can give the same pod names.
const NAMES: [&str; 4] = ["a", "a-0", "b", "c"];
/// Things that happen in a history before all is made to succeed.
const ACTS: u32 = 150;
/// Rounds in which a Job must finish once its pods succeed.
const ROUNDS_MAX: u32 = 400;

/// One history.
pub(super) struct History {
    pub(super) world: World,
    rng: Rng,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut draw = |from: u32, to: u32| from + u32::try_from(rng.next_u64() % u64::from(to - from)).expect("small");
        let capacity = Capacity { workers: draw(1, 4), queue_max: draw(1, 6), alive_max: draw(1, 10) };
        Self { world: World::with_capacity(capacity), rng }
    }

    /// All of it.
    pub(super) fn run(&mut self) {
        for name in &NAMES[..self.draw(2, 5) as usize] {
            let spec = self.spec();
            self.world.create(name, spec);
            if self.chance(2) {
                self.world.try_step();
            }
        }
        self.world.try_step();
        self.world.commit();
        for _ in 0..ACTS {
            self.act();
            if self.chance(2) {
                self.world.try_step();
            }
        }
        self.world.try_step();
        self.finish();
    }

    /// A number from `from` on, below `to`.
    fn draw(&mut self, from: u32, to: u32) -> u32 {
        from + u32::try_from(self.rng.next_u64() % u64::from(to - from)).expect("small")
    }

    /// Once in `n` times.
    fn chance(&mut self, n: u32) -> bool {
        self.draw(0, n) == 0
    }

    fn spec(&mut self) -> Spec {
        let indexed = self.chance(2);
        let completions = (indexed || !self.chance(4)).then(|| self.draw(0, 14));
        let mut spec = Spec::new(self.draw(0, 7), completions);
        if indexed {
            spec = spec.indexed();
        }
        if self.chance(2) {
            spec = spec.backoff_limit(self.draw(0, 5));
        }
        if self.chance(4) {
            spec = spec.deadline_s(u64::from(self.draw(0, 2000)));
        }
        if self.chance(3) {
            spec = spec.replace_failed();
        }
        if self.chance(3) {
            let action = [FailureAction::Ignore, FailureAction::Count][self.draw(0, 2) as usize];
            spec = spec.rule(action, "In", &[1, 2]);
        }
        if self.chance(5) {
            spec = spec.rule(FailureAction::FailJob, "NotIn", &[1, 3, 143]);
        }
        if self.chance(6) {
            spec = spec.suspended();
        }
        if self.chance(6) {
            spec = spec.ttl_s(self.draw(0, 20));
        }
        if self.chance(2) {
            spec = selecting(spec);
        }
        if indexed { self.indexed(spec) } else { self.restarting(spec) }
    }

    /// What only Indexed Jobs have.
    fn indexed(&mut self, mut spec: Spec) -> Spec {
        if self.chance(2) {
            spec = spec.per_index(self.draw(0, 3));
            if self.chance(2) {
                spec = spec.max_failed_indexes(self.draw(0, 5));
            }
            if self.chance(3) {
                spec = spec.rule(FailureAction::FailIndex, "In", &[3]);
            }
            if self.chance(3) {
                spec = spec.backoff_limit(self.draw(0, 8));
            }
        }
        if self.chance(4) {
            spec = spec.success(None, Some(self.draw(0, 10)));
        }
        self.restarting(spec)
    }

    /// Perhaps with containers that are started again.
    fn restarting(&mut self, spec: Spec) -> Spec {
        match self.draw(0, 6) {
            0 if spec.0.failure_policy.is_empty() => spec.on_failure(),
            1 => spec.restarts_at(&[2, 5]),
            _ => spec,
        }
    }

    fn act(&mut self) {
        match self.draw(0, 29) {
            25..=28 => self.touch(),
            0..=4 => self.on_pods(|history, id, ordinal| history.start(id, ordinal)),
            5..=12 => self.on_pods(|history, id, ordinal| history.exit(id, ordinal)),
            13 => self.on_pods(|history, id, ordinal| history.refuse(id, ordinal)),
            14..=15 => self.world.end_stopped(),
            16..=17 => self.update(),
            18..=19 => {
                let ms = u64::from(self.draw(0, 200));
                self.world.advance(ms);
            }
            20..=21 => self.jump(),
            22 => self.world.commit(),
            23 if self.chance(2) => self.delete(),
            24 if self.chance(2) => self.rerun(),
            _ if self.chance(4) => self.crash(),
            _ => {}
        }
    }

    /// Does something to about a third of the pods that workers have.
    fn on_pods(&mut self, act: fn(&mut Self, JobId, u32)) {
        let alive: Vec<(JobId, u32)> = self.world.workers.alive.keys().copied().collect();
        for (id, ordinal) in alive {
            if self.chance(3) {
                act(self, id, ordinal);
            }
        }
    }

    fn is_started(&self, id: JobId, ordinal: u32) -> bool {
        self.world.workers.alive[&(id, ordinal)].started.is_some()
    }

    fn start(&mut self, id: JobId, ordinal: u32) {
        if !self.is_started(id, ordinal) {
            self.world.workers.start(id, ordinal, self.world.now);
        }
    }

    fn exit(&mut self, id: JobId, ordinal: u32) {
        let code = [0, 0, 0, 0, 1, 2, 3, 5][self.draw(0, 8) as usize];
        let at = self.world.now.plus_ms(u64::from(self.draw(0, 5)));
        // A start is in an earlier report than the exit; the scripted workers send both with the next step.
        self.world.workers.exit(id, ordinal, code, at);
    }

    fn refuse(&mut self, id: JobId, ordinal: u32) {
        if !self.is_started(id, ordinal) {
            let reasons = [Reason::ErrImagePull, Reason::InvalidImageName, Reason::CreateContainerError];
            let reason = reasons[self.draw(0, 3) as usize];
            self.world.workers.refuse(id, ordinal, reason);
        }
    }

    fn update(&mut self) {
        let names = self.names();
        if names.is_empty() {
            return;
        }
        let name = names[self.draw(0, u32::try_from(names.len()).expect("four")) as usize];
        let (what, value) = (self.draw(0, 9), self.draw(0, 9));
        self.world.focus(name);
        let is_finished = self.world.job_status().is_finished();
        self.world.update(|spec| match what {
            6..=7 => spec.suspend = value % 2 == 0,
            8 if spec.is_indexed() && !is_finished => (spec.parallelism, spec.completions) = (value, Some(value)),
            0..=2 => spec.parallelism = value,
            3 => spec.backoff_limit = value,
            4 => spec.active_deadline_s = Some(u64::from(value) * 300).filter(|seconds| *seconds > 0),
            _ => spec.only_replace_failed = !spec.failure_policy.is_empty() || value % 2 == 0,
        });
        self.world.try_step();
    }

    /// What clients do to a pod, perhaps to one that has ended or is gone.
    fn touch(&mut self) {
        let names = self.names();
        if names.is_empty() {
            return;
        }
        let name = names[self.draw(0, u32::try_from(names.len()).expect("four")) as usize];
        self.world.focus(name);
        let ordinal = match self.world.record().next_ordinal {
            0 => return,
            next => self.draw(next.saturating_sub(8), next),
        };
        match self.draw(0, 8) {
            0 => change(&mut self.world, ordinal, |meta| meta.labels.clear()),
            1 => change(&mut self.world, ordinal, |meta| _ = meta.labels.insert("app".to_owned(), "a".to_owned())),
            2 => change(&mut self.world, ordinal, |meta| meta.finalizers = vec!["a.io/b".to_owned()]),
            3 => change(&mut self.world, ordinal, |meta| meta.finalizers.clear()),
            4 => change(&mut self.world, ordinal, |meta| meta.owner_references.clear()),
            _ => {
                let evict = self.chance(2);
                self.world.change_pod(ordinal, None, PodChange::Delete { grace_s: 30, evict });
            }
        }
        if self.chance(2) {
            self.world.try_step();
        }
    }

    /// Runs parts of a Job again, most times.
    fn rerun(&mut self) {
        let names = self.names();
        if names.is_empty() {
            return;
        }
        let name = names[self.draw(0, u32::try_from(names.len()).expect("four")) as usize];
        self.world.focus(name);
        let spec = self.world.spec();
        let has_index = spec.is_indexed() && spec.completions > Some(0);
        let indexes = (has_index && self.chance(2)).then_some("0");
        self.world.rerun(indexes);
        self.world.try_step();
    }

    /// Deletes a Job, most times, and perhaps creates another one of its name in the same step.
    fn delete(&mut self) {
        let name = NAMES[self.draw(0, 4) as usize];
        self.world.focus(name);
        if self.chance(2) {
            self.world.report_now();
        }
        let uid = self.chance(4).then_some(Uid(1));
        match [Propagation::Foreground, Propagation::Orphan][self.draw(0, 2) as usize] {
            propagation if self.chance(2) && self.names().contains(&name) => self.world.delete_with(propagation),
            _ => self.world.delete_if("default", uid, None),
        }
        if self.chance(2) {
            let spec = self.spec();
            self.world.create(name, spec);
        }
        if self.chance(2) {
            self.world.try_step();
        }
    }

    /// The Jobs that survived.
    fn names(&self) -> Vec<&'static str> {
        let is_it = |job: &JobRecord, name: &str| *job.name == *name && !job.placement.orphaned;
        let known = |name: &&str| self.world.store.jobs.values().any(|job| is_it(job, name));
        NAMES.into_iter().filter(known).collect()
    }

    fn jump(&mut self) {
        let ms = self.world.due_in_ms().unwrap_or(1000);
        self.world.advance(ms);
    }

    fn crash(&mut self) {
        if self.chance(2) {
            self.world.crash();
        } else {
            self.world.crash_losing_undurable();
        }
    }

    /// From here on every pod succeeds.
    fn finish(&mut self) {
        for name in self.names() {
            self.world.focus(name);
            self.world.update(|spec| (spec.parallelism, spec.suspend) = (spec.parallelism.max(1), false));
            self.world.try_step();
        }
        for _ in 0..ROUNDS_MAX {
            self.world.end_stopped();
            let alive: Vec<(JobId, u32)> = self.world.workers.alive.keys().copied().collect();
            for (id, ordinal) in alive {
                self.world.workers.exit(id, ordinal, 0, self.world.now);
            }
            self.world.try_step();
            let is_over = |job: &JobRecord| job.status.is_finished() || job.placement.orphaned;
            let world = &self.world;
            let have_ended = world.store.pods.is_empty() && world.store.jobs.values().all(is_over);
            if have_ended && world.due_in_ms().is_none() {
                break;
            }
            self.jump();
        }
        assert!(self.world.workers.alive.is_empty() && self.world.store.pods.is_empty(), "pods of nobody");
        for name in self.names() {
            self.world.focus(name);
            let completions = self.world.spec().completions;
            ended_well(self.world.record(), completions);
        }
    }
}

fn ended_well(job: &JobRecord, completions: Option<u32>) {
    let status = &job.status;
    assert!(status.is_finished(), "{} does not finish: {job:?}", job.name);
    let verdict = status.conditions.iter().find(|condition| condition.kind != ConditionType::Suspended);
    let reason = verdict.expect("it has ended").reason;
    if status.condition(ConditionType::Failed).is_some() {
        assert!(![ConditionReason::CompletionsReached, ConditionReason::SuccessPolicy].contains(&reason));
        return;
    }
    if reason == ConditionReason::SuccessPolicy {
        return;
    }
    assert_eq!(reason, ConditionReason::CompletionsReached);
    match completions {
        Some(completions) => assert_eq!(status.succeeded, completions, "{}: succeeded", job.name),
        None => assert!(status.succeeded > 0, "{}: a work queue without a success", job.name),
    }
}

#[test]
fn every_history_keeps_the_invariants_and_ends() {
    for seed in 0..2000 {
        let told = std::panic::catch_unwind(|| History::new(seed).run());
        assert!(told.is_ok(), "the history of seed {seed} fails");
    }
}
