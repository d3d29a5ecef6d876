//! Pods of a Job in chunks that a list can share.
//!
//! Knows how a fact changes a pod, not who watches. Invariant: the record of ordinal `n` is at place `n % CHUNK_PODS` of
//! chunk `n / CHUNK_PODS`; an ordinal that was skipped has a record that is marked as removed.

use super::doc::JobDoc;
use super::objects::PodObject;
use crate::base::{JobId, NO_INDEX, Time};
use crate::model::{
    CHUNK_PODS, Chunk, ContainerExit, Counted, DeletedPod, EngineKind, IndexFailures, LogExtent, Phase, PodEnd,
    PodMark, PodRecord, Reason, Restarts, Waiting,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What few pods have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Extra {
    pub(super) message: Option<Arc<str>>,
    pub(super) mark: Option<Arc<PodMark>>,
    pub(super) failures: IndexFailures,
    pub(super) restarts: Option<Arc<Restarts>>,
}

impl Extra {
    /// What a pod has beside its record, if it has anything.
    fn of(pod: &PodObject) -> Option<Self> {
        let PodObject { message, mark, failures, restarts, .. } = pod;
        let (message, mark, restarts) = (message.clone(), mark.clone(), restarts.clone());
        let extra = Self { message, mark, failures: *failures, restarts };
        (extra != Self::default()).then_some(extra)
    }
}

/// Up to [`CHUNK_PODS`] pods with neighbouring ordinals.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodChunk {
    pub(super) records: Vec<PodRecord>,
    /// By ordinal.
    pub(super) extras: BTreeMap<u32, Extra>,
}

impl PodChunk {
    pub(super) fn restore(chunk: &Chunk) -> Self {
        let mut extras: BTreeMap<u32, Extra> = BTreeMap::new();
        for (ordinal, message) in &chunk.messages {
            extras.entry(*ordinal).or_default().message = Some(Arc::from(&**message));
        }
        for (ordinal, mark) in &chunk.marks {
            extras.entry(*ordinal).or_default().mark = Some(Arc::new(mark.clone()));
        }
        for (ordinal, failures) in &chunk.failures {
            extras.entry(*ordinal).or_default().failures = *failures;
        }
        for (ordinal, restarts) in &chunk.restarts {
            extras.entry(*ordinal).or_default().restarts = Some(Arc::new(restarts.clone()));
        }
        Self { records: chunk.records.clone(), extras }
    }

    pub(super) fn fold(&self, job: JobId, number: u32) -> Chunk {
        let of = |(ordinal, extra): (&u32, &Extra)| extra.message.as_ref().map(|text| (*ordinal, Box::from(&**text)));
        Chunk {
            job,
            number,
            records: self.records.clone(),
            messages: self.extras.iter().filter_map(of).collect(),
            marks: self.extras.iter().filter_map(mark_of).collect(),
            failures: self.extras.iter().filter_map(failures_of).collect(),
            restarts: self.extras.iter().filter_map(restarts_of).collect(),
        }
    }

    /// Room for `more` records, never for more than a chunk has.
    fn reserve(&mut self, more: usize) {
        let needed = self.records.len() + more;
        if needed > self.records.capacity() {
            let wanted = needed.max(self.records.capacity() * 2).min(CHUNK_PODS as usize);
            self.records.reserve_exact(wanted - self.records.len());
        }
    }

    /// The pod at `place`, as it is now.
    pub(super) fn object(&self, place: usize, job: &Arc<JobDoc>) -> PodObject {
        let record = self.records[place];
        let Extra { message, mark, failures, restarts } = self.extras.get(&record.ordinal).cloned().unwrap_or_default();
        PodObject { record, message, mark, failures, restarts, job: Arc::clone(job) }
    }
}

fn mark_of((ordinal, extra): (&u32, &Extra)) -> Option<(u32, PodMark)> {
    Some((*ordinal, PodMark::clone(extra.mark.as_deref()?)))
}

fn failures_of((ordinal, extra): (&u32, &Extra)) -> Option<(u32, IndexFailures)> {
    (extra.failures != IndexFailures::default()).then_some((*ordinal, extra.failures))
}

/// What is kept of a pod whose container was started again.
pub(super) fn restarts_of((ordinal, extra): (&u32, &Extra)) -> Option<(u32, Restarts)> {
    Some((*ordinal, Restarts::clone(extra.restarts.as_ref()?)))
}

/// The chunk and the place in it of an ordinal.
pub(super) fn place_of(ordinal: u32) -> (usize, usize) {
    ((ordinal / CHUNK_PODS) as usize, (ordinal % CHUNK_PODS) as usize)
}

/// All pods of a Job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pods {
    pub(super) chunks: Vec<Arc<PodChunk>>,
}

/// One pod's part of a fact.
#[derive(Clone, Copy, Debug)]
pub(super) enum PodStep<'a> {
    Started(Time, EngineKind),
    Waiting(&'a Waiting),
    Stopping(Time),
    Deleted(Time, &'a DeletedPod),
    /// Its Job is gone and it is kept: the part of it that changed is the Job's.
    Orphaned,
    Changed(Option<&'a str>),
    Ungated,
    Ended(&'a PodEnd),
    Released,
    ContainerExited(&'a ContainerExit),
    ContainerRestarted,
    Removed,
}

impl Pods {
    /// The record of `ordinal`, if it was ever given.
    pub(super) fn get(&self, ordinal: u32) -> Option<&PodRecord> {
        let (chunk, place) = place_of(ordinal);
        self.chunks.get(chunk)?.records.get(place)
    }

    /// The pod with this ordinal, unless it is gone.
    pub(super) fn object(&self, ordinal: u32, job: &Arc<JobDoc>) -> Option<PodObject> {
        let (chunk, place) = place_of(ordinal);
        let chunk = self.chunks.get(chunk)?;
        let is_there = !chunk.records.get(place)?.has(PodRecord::REMOVED);
        is_there.then(|| chunk.object(place, job))
    }

    /// The pods that are not gone, in order of their ordinals.
    pub(super) fn objects<'a>(&'a self, job: &'a Arc<JobDoc>) -> impl Iterator<Item = PodObject> + 'a {
        let places = self.chunks.iter().flat_map(|chunk| (0..chunk.records.len()).map(move |place| (chunk, place)));
        let there = places.filter(|(chunk, place)| !chunk.records[*place].has(PodRecord::REMOVED));
        there.map(move |(chunk, place)| chunk.object(place, job))
    }

    /// Fills the places of skipped ordinals, so that `first` is the next one; `count` pods will follow.
    pub(super) fn skip_to(&mut self, job: JobId, first: u32, count: u32) {
        let mut next = self.next_ordinal();
        while next < first {
            let mut skipped = PodRecord::new(job, next, NO_INDEX, Time::default(), 0);
            skipped.flags = PodRecord::REMOVED;
            self.push(skipped, first + count - next);
            next += 1;
        }
    }

    /// Whether a client changed the metadata of any pod, or may have.
    pub(super) fn has_marks(&self) -> bool {
        self.chunks.iter().any(|chunk| !chunk.extras.is_empty())
    }

    /// What is marked of pods that are there.
    pub(super) fn marks(&self) -> impl Iterator<Item = (u32, PodMark)> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.extras.iter().filter_map(mark_of))
    }

    pub(super) fn next_ordinal(&self) -> u32 {
        let Some(last) = self.chunks.last() else { return 0 };
        let full = u32::try_from(self.chunks.len() - 1).expect("ordinals are 32 bits");
        full * CHUNK_PODS + u32::try_from(last.records.len()).expect("a chunk is bounded")
    }

    /// Notes the earlier failures of its index that a new pod carries.
    pub(super) fn set_failures(&mut self, ordinal: u32, failures: IndexFailures) {
        if failures != IndexFailures::default() {
            let chunk = Arc::make_mut(&mut self.chunks[place_of(ordinal).0]);
            chunk.extras.entry(ordinal).or_default().failures = failures;
        }
    }

    /// Appends a record; `more` is how many will follow at least, itself included.
    pub(super) fn push(&mut self, record: PodRecord, more: u32) {
        let (number, place) = place_of(record.ordinal);
        if number == self.chunks.len() {
            self.chunks.push(Arc::default());
        }
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        debug_assert_eq!(place, chunk.records.len(), "ordinals are given in order");
        chunk.reserve(more.min(CHUNK_PODS) as usize);
        chunk.records.push(record);
    }

    /// Applies `step` to a pod at version `rv`: the pod before and after. `None` when there is no such pod.
    pub(super) fn step(
        &mut self,
        ordinal: u32,
        rv: u64,
        step: PodStep<'_>,
        job: &Arc<JobDoc>,
    ) -> Option<(PodObject, PodObject)> {
        let (number, place) = place_of(ordinal);
        let chunk = Arc::make_mut(self.chunks.get_mut(number)?);
        if chunk.records.get(place)?.has(PodRecord::REMOVED) {
            return None;
        }
        let before = chunk.object(place, job);
        let mut after = before.clone();
        after.apply(rv, step);
        chunk.records[place] = after.record;
        let is_gone = after.record.has(PodRecord::REMOVED);
        match Extra::of(&after).filter(|_| !is_gone) {
            Some(extra) => _ = chunk.extras.insert(ordinal, extra),
            None => _ = chunk.extras.remove(&ordinal),
        }
        Some((before, after))
    }
}

impl PodObject {
    /// As it is once it is gone, at version `rv`.
    pub(super) fn removed(&self, rv: u64) -> Self {
        let mut removed = self.clone();
        removed.apply(rv, PodStep::Removed);
        removed
    }

    fn apply(&mut self, rv: u64, step: PodStep<'_>) {
        let record = &mut self.record;
        record.rv = rv;
        match step {
            PodStep::Started(at, engine) => {
                record.phase = Phase::Running;
                record.flags |= PodRecord::STARTED;
                record.set_engine(engine);
                record.start_delta_ms = at.since_ms_u32(record.created);
                record.reason = Reason::None;
                // The log of the container before is not this one's.
                record.log = LogExtent::default();
                self.message = None;
            }
            PodStep::Waiting(waiting) => {
                record.reason = waiting.reason;
                record.attempts = record.attempts.saturating_add(1);
                self.message = (!waiting.message.is_empty()).then(|| Arc::from(&*waiting.message));
            }
            PodStep::Stopping(at) => {
                record.flags |= PodRecord::STOPPING;
                self.mark().stop = Some(at);
            }
            PodStep::Deleted(at, pod) => {
                record.flags |= PodRecord::STOPPING;
                let mark = self.mark();
                (mark.stop, mark.grace_s) = (Some(at), Some(pod.grace_s));
                mark.evicted |= pod.evicted;
            }
            PodStep::Orphaned => {}
            PodStep::Ungated => self.mark().ungated = true,
            PodStep::Changed(meta) => {
                self.mark().meta = meta.map(Box::from);
                self.mark.take_if(|mark| **mark == PodMark::default());
            }
            PodStep::Ended(end) => self.end(end),
            PodStep::Released => record.flags &= !PodRecord::HELD,
            PodStep::ContainerExited(exit) => self.exit(exit),
            PodStep::ContainerRestarted => {
                record.reason = Reason::None;
                if let Some(restarts) = &mut self.restarts {
                    let restarts = Arc::make_mut(restarts);
                    restarts.count = restarts.count.saturating_add(1);
                    restarts.is_waiting = false;
                }
            }
            PodStep::Removed => record.flags |= PodRecord::REMOVED,
        }
    }

    /// The container ended, and is started again.
    fn exit(&mut self, exit: &ContainerExit) {
        let record = &mut self.record;
        record.phase = Phase::Running;
        record.flags &= !(PodRecord::STARTED | PodRecord::SMALL | PodRecord::LARGE);
        if let Some(engine) = exit.terminated.engine {
            record.set_engine(engine);
        }
        record.reason = Reason::CrashLoopBackOff;
        record.log = exit.log;
        self.message = None;
        let before = self.restarts.as_ref();
        self.restarts = Some(Arc::new(Restarts {
            count: before.map_or(0, |before| before.count),
            first_started: before.map_or(exit.terminated.started, |before| before.first_started),
            back_off_ms: exit.back_off_ms,
            is_waiting: true,
            last: exit.terminated.clone(),
        }));
    }

    fn mark(&mut self) -> &mut PodMark {
        Arc::make_mut(self.mark.get_or_insert_default())
    }

    /// As it is when a client deletes it now.
    #[must_use]
    pub fn deleted_at(&self, at: Time, grace_s: u32) -> Self {
        let mut deleted = self.clone();
        let pod = DeletedPod { grace_s, ..DeletedPod::ended(self.record.ordinal) };
        deleted.apply(self.record.rv, PodStep::Deleted(at, &pod));
        deleted
    }

    /// As it is with other metadata.
    #[must_use]
    pub fn with_meta(&self, meta: Box<str>) -> Self {
        let mut changed = self.clone();
        changed.apply(self.record.rv, PodStep::Changed(Some(&meta)));
        changed
    }

    fn end(&mut self, end: &PodEnd) {
        let record = &mut self.record;
        record.phase = if end.exit_code == 0 { Phase::Succeeded } else { Phase::Failed };
        record.flags |= PodRecord::STARTED | if end.disrupted { PodRecord::DISRUPTED } else { 0 };
        if matches!(end.counted, Counted::Held | Counted::HeldIgnored) {
            record.flags |= PodRecord::HELD;
        }
        if let Some(engine) = end.engine {
            record.set_engine(engine);
        }
        record.start_delta_ms = end.started.since_ms_u32(record.created);
        record.run_ms = end.run_ms;
        record.exit_code = end.exit_code;
        record.reason = end.reason;
        record.log = end.log;
        record.fuel_k = end.fuel_k;
        record.peak_pages = end.peak_pages;
        self.message = end.message.as_deref().map(Arc::from);
    }
}
