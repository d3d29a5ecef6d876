//! Following Jobs to their end: the pods' output, their failures, and how far it all is.

use super::error::{CliError, code};
use super::local::Local;
use super::progress::{Done, Progress};
use super::summary::{self, Ending, FailedPod};
use super::{bytes_text, signals};
use crate::base::{JobId, Time, Uid};
use crate::engine::{Handle, Health, now};
use crate::exec::{Following, LogEntry, Stream};
use crate::model::{ConditionType, JobStatus, LogExtent, Phase, PodRecord, Reason};
use crate::view::{Cursor, Filter, JobObject, Object, PodObject, Topic};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Changes looked at before the display is refreshed.
const CHANGES_MAX: usize = 4096;

/// The display is refreshed this often.
pub(super) const REFRESH: Duration = Duration::from_millis(100);

/// What has just happened is looked at together with what comes so soon after: a guest that writes 1 GB/s stays within the 10 MiB
/// that one look can give.
const TOGETHER: Duration = Duration::from_millis(1);

/// Failed pods that are told of one by one; the summary counts them all.
pub(super) const FAILURES_TOLD_MAX: u64 = 10;

/// Looks at the changes before everything else gets its turn again.
const ROUNDS_MAX: usize = 16;

/// Why following ended before the Jobs did.
#[derive(Debug)]
pub(super) enum Ended {
    /// ^C.
    Interrupted,
    /// Whoever read stdout has gone.
    Unread,
    /// What an error is.
    Error(CliError),
}

/// A Job to follow.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: Uid,
    pub(super) completions: Option<u64>,
    /// It was created by this run.
    pub(super) is_new: bool,
}

impl Followed {
    /// From the API's answer.
    pub(super) fn new(job: &Value, is_new: bool) -> Self {
        let text = |at: &str| job.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            name: text("/metadata/name"),
            namespace: text("/metadata/namespace"),
            uid: Uid::parse(&text("/metadata/uid")).unwrap_or_default(),
            completions: job.pointer("/spec/completions").and_then(Value::as_u64),
            is_new,
        }
    }

    fn look(&self, handle: &Handle) -> Option<JobObject> {
        handle.view().job(&self.namespace, &self.name).filter(|job| job.doc.key.uid == self.uid)
    }
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Follower {
    handle: Handle,
    cursor: Cursor,
    /// The changes of Jobs.
    jobs: Cursor,
    /// The last status of each: one that has finished may be gone a moment later (`ttlSecondsAfterFinished`).
    statuses: BTreeMap<Uid, Arc<JobStatus>>,
    /// Only what happened after this version is told.
    since_rv: u64,
    started: Time,
    /// Pods whose end was told.
    told: BTreeMap<JobId, crate::base::IndexSet>,
    /// How far the output of a living pod was printed.
    printed: BTreeMap<(JobId, u32), LogExtent>,
    tally: Tally,
    interrupt: Arc<Notify>,
    /// Why the pods' output could not be printed.
    unprinted: Option<std::io::Error>,
    /// A pod that cannot start: its message.
    refused: Option<String>,
    has_data_dir: bool,
}

/// Figures of the pods that ended.
#[derive(Debug, Default)]
struct Tally {
    run_ms: BTreeMap<u32, u64>,
    peak_pages: u32,
    failures: u64,
    last_exit_code: u8,
}

impl Tally {
    fn add(&mut self, pod: &PodRecord) {
        *self.run_ms.entry(pod.run_ms).or_default() += 1;
        self.peak_pages = self.peak_pages.max(pod.peak_pages);
        self.last_exit_code = pod.exit_code;
    }

    fn count(&self) -> u64 {
        self.run_ms.values().sum()
    }

    /// The run time that `percent` of the pods did not pass, ms.
    fn percentile(&self, percent: u64) -> u32 {
        let rank = (self.count() * percent).div_ceil(100);
        let mut seen = 0;
        let within = self.run_ms.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        within.map_or(0, |(ms, _)| *ms)
    }
}

impl Follower {
    /// Starts to follow what `local` has done since its boot, and to listen for ^C.
    pub(super) fn new(local: &Local, has_data_dir: bool) -> Result<Self, CliError> {
        let interrupt = signals::interrupt()?;
        let handle = local.handle().clone();
        let since_rv = local.engine.booted_rv();
        Ok(Self {
            cursor: cursor_from(&handle, Topic::Pods, since_rv),
            jobs: cursor_from(&handle, Topic::Jobs, since_rv),
            statuses: BTreeMap::new(),
            handle,
            since_rv,
            started: now(),
            told: BTreeMap::new(),
            printed: BTreeMap::new(),
            tally: Tally::default(),
            interrupt,
            unprinted: None,
            refused: None,
            has_data_dir,
        })
    }

    /// Follows `jobs` until the last has ended, and gives the exit code.
    pub(super) async fn follow(
        mut self,
        jobs: Vec<Followed>,
        mut progress: Progress,
        is_program: bool,
    ) -> Result<u8, Ended> {
        let uids: BTreeSet<Uid> = jobs.iter().map(|job| job.uid).collect();
        let is_live = jobs.len() == 1 && jobs[0].completions == Some(1);
        let logs = Arc::clone(self.handle.logs());
        loop {
            let ended = jobs.iter().all(|job| job.look(&self.handle).is_none_or(|job| job.status.is_finished()));
            let is_all = self.tell_news(&uids, &progress, is_program);
            self.see_jobs(&uids);
            // The bell is there before the look, so that what is written after the look is heard.
            let living = if is_live { self.living(&uids) } else { None };
            let following = living.as_ref().map(|pod| logs.follow(pod.job, pod.ordinal));
            let grown = following.as_ref().map(Following::grown);
            if let Some(pod) = &living {
                self.print_living(pod, &progress);
            }
            progress.update(self.done(&jobs), now().since_ms(self.started));
            if let Some(reason) = self.cannot_go_on() {
                progress.finish();
                return Err(reason);
            }
            if ended && is_all {
                progress.finish();
                if is_program && self.tally.count() == 0 {
                    self.tell_earlier(&uids, &progress);
                }
                return Ok(self.sum_up(&jobs, &progress, is_program));
            }
            let interrupt = Arc::clone(&self.interrupt);
            tokio::select! {
                biased;
                () = interrupt.notified() => {
                    progress.finish();
                    return Err(Ended::Interrupted);
                }
                () = self.handle.view().changed(&self.cursor) => tokio::time::sleep(TOGETHER).await,
                () = heard(grown) => tokio::time::sleep(TOGETHER).await,
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    fn cannot_go_on(&mut self) -> Option<Ended> {
        if let Health::Failed(why) = self.handle.health() {
            let error = CliError::new(code::ENGINE, format!("the store failed: {why}"));
            let error = if self.has_data_dir { error.help("run the same command again to go on") } else { error };
            return Some(Ended::Error(error));
        }
        if let Some(error) = self.unprinted.take() {
            return Some(match error.kind() {
                std::io::ErrorKind::BrokenPipe => Ended::Unread,
                _ => Ended::Error(CliError::new(code::ENGINE, format!("cannot write the pods' output: {error}"))),
            });
        }
        self.refused.take().map(|what| Ended::Error(CliError::new(code::MODULE, what)))
    }

    /// Tells of the pods that ended since the last time; false when there is more to tell.
    fn tell_news(&mut self, uids: &BTreeSet<Uid>, progress: &Progress, is_program: bool) -> bool {
        for _ in 0..ROUNDS_MAX {
            match self.handle.view().poll(&mut self.cursor, CHANGES_MAX) {
                Ok(changes) if changes.is_empty() => return true,
                Ok(changes) => {
                    for change in changes {
                        if let Object::Pod(pod) = change.object {
                            self.tell_end(&pod, uids, progress, is_program);
                        }
                    }
                }
                Err(_overtaken) => self.tell_all(uids, progress, is_program),
            }
        }
        false
    }

    /// Takes up how the Jobs are, or were when they went.
    fn see_jobs(&mut self, uids: &BTreeSet<Uid>) {
        for _ in 0..ROUNDS_MAX {
            let Ok(changes) = self.handle.view().poll(&mut self.jobs, CHANGES_MAX) else {
                self.jobs = cursor_from(&self.handle, Topic::Jobs, self.handle.view().rv());
                return;
            };
            if changes.is_empty() {
                return;
            }
            for change in changes {
                if let Object::Job(job) = change.object
                    && uids.contains(&job.doc.key.uid)
                {
                    self.statuses.insert(job.doc.key.uid, job.status);
                }
            }
        }
    }

    /// How a Job is, or was when it went.
    fn status(&self, job: &Followed) -> Arc<JobStatus> {
        let last = || self.statuses.get(&job.uid).cloned();
        job.look(&self.handle).map(|job| job.status).or_else(last).unwrap_or_default()
    }

    /// The changes came faster than they were told: looks at every pod instead, and goes on from there. What is told twice
    /// is told once.
    fn tell_all(&mut self, uids: &BTreeSet<Uid>, progress: &Progress, is_program: bool) {
        let view = self.handle.view().clone();
        self.cursor = cursor_from(&self.handle, Topic::Pods, view.rv());
        let (_, pods) = view.pods(None, None);
        for pod in pods.iter() {
            self.tell_end(&pod, uids, progress, is_program);
        }
    }

    /// A program that ended in an earlier run of the same command: its output and its exit code once more.
    fn tell_earlier(&mut self, uids: &BTreeSet<Uid>, progress: &Progress) {
        self.since_rv = 0;
        self.tell_all(uids, progress, true);
    }

    fn tell_end(&mut self, pod: &PodObject, uids: &BTreeSet<Uid>, progress: &Progress, is_program: bool) {
        let record = &pod.record;
        if record.rv <= self.since_rv || !uids.contains(&pod.job.key.uid) {
            return;
        }
        let is_refused = matches!(
            record.reason,
            Reason::ErrImagePull | Reason::ImagePullBackOff | Reason::InvalidImageName | Reason::CreateContainerError
        );
        if is_refused {
            // It would be tried again for ever; here nobody can mend it meanwhile.
            let why = pod.message.as_deref().unwrap_or_default();
            self.refused.get_or_insert_with(|| format!("pod {} cannot start: {why}", pod.name()));
        }
        if !record.is_terminal() || !self.told.entry(record.job).or_default().insert(record.ordinal) {
            return;
        }
        self.tally.add(record);
        self.print_output(record, record.log, progress);
        self.printed.remove(&(record.job, record.ordinal));
        if record.phase == Phase::Failed {
            self.tally.failures += 1;
            if let Some(line) = failure_line(pod, is_program).filter(|_| self.tally.failures <= FAILURES_TOLD_MAX) {
                progress.say(&line);
            }
        }
    }

    /// The pod that lives, of a Job that has one at a time.
    fn living(&self, uids: &BTreeSet<Uid>) -> Option<PodRecord> {
        let pods = uids.iter().map(|uid| self.handle.view().pods(None, Some(*uid)).1);
        pods.filter_map(|pods| pods.iter().map(|pod| pod.record).filter(|record| !record.is_terminal()).last())
            .next_back()
    }

    /// Prints what a living pod has written since the last time.
    fn print_living(&mut self, pod: &PodRecord, progress: &Progress) {
        if let Some(extent) = self.handle.logs().live(pod.job, pod.ordinal) {
            self.print_output(pod, extent, progress);
        }
    }

    fn print_output(&mut self, pod: &PodRecord, extent: LogExtent, progress: &Progress) {
        let before = self.printed.insert((pod.job, pod.ordinal), extent);
        if before == Some(extent) || extent.bytes == 0 {
            return;
        }
        let seen = before.unwrap_or_default();
        match self.handle.logs().read_after(extent, seen) {
            Ok(entries) => {
                let given: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
                let missing = u64::from(extent.bytes.wrapping_sub(seen.bytes)).saturating_sub(given as u64);
                if missing > 0 {
                    progress.say(&format!("warning: {} of the output are gone: too much at once", bytes_text(missing)));
                }
                let printed = progress.print(|| print_entries(&entries));
                if let Err(error) = printed {
                    self.unprinted.get_or_insert(error);
                }
            }
            Err(error) => progress.say(&format!("warning: the output of a pod cannot be read: {error}")),
        }
    }

    fn done(&self, jobs: &[Followed]) -> Done {
        let mut done = Done { wanted: Some(0), ended_here: self.tally.count(), ..Done::default() };
        for job in jobs {
            let status = self.status(job);
            done.succeeded += u64::from(status.succeeded);
            done.failed += u64::from(status.failed);
            done.active += u64::from(status.active);
            done.wanted = done.wanted.zip(job.completions).map(|(sum, more)| sum + more);
        }
        done
    }

    fn sum_up(&self, jobs: &[Followed], progress: &Progress, is_program: bool) -> u8 {
        let endings: Vec<Ending> = jobs.iter().map(|job| self.ending(job)).collect();
        if is_program {
            return summary::program_code(&endings, self.tally.last_exit_code);
        }
        let peak = bytes_text(u64::from(self.tally.peak_pages) * 65_536);
        let (p50, p99) = (self.tally.percentile(50), self.tally.percentile(99));
        let more = format!(", p50 {p50} ms, p99 {p99} ms, peak {peak}");
        let figures = summary::figures(self.done(jobs), now().since_ms(self.started), &more);
        summary::sum_up(&endings, &figures, progress)
    }

    fn ending(&self, job: &Followed) -> Ending {
        let status = self.status(job);
        let failed = status.condition(ConditionType::Failed);
        let failure = failed.map(|failed| (failed.reason.as_str().to_owned(), failed.message.to_string()));
        Ending { name: job.name.clone(), failure }
    }
}

/// Waits for a bell, if there is one.
async fn heard(bell: Option<Notified<'_>>) {
    match bell {
        Some(bell) => bell.await,
        None => std::future::pending().await,
    }
}

/// What to say of a failed pod; nothing of one that was stopped with its Job.
fn failure_line(pod: &PodObject, is_program: bool) -> Option<String> {
    let record = &pod.record;
    if record.has(PodRecord::STOPPING) {
        return None;
    }
    let failed = FailedPod {
        pod: &pod.name(),
        job: &pod.job.key.name,
        index: record.index(),
        exit_code: record.exit_code,
        reason: record.reason.as_str(),
        message: pod.message.as_deref(),
    };
    failed.line(is_program)
}

fn print_entries(entries: &[LogEntry]) -> std::io::Result<()> {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let mut printed = Ok(());
    for entry in entries {
        match entry.stream {
            Stream::Stdout => printed = printed.and_then(|()| out.write_all(&entry.bytes)),
            // Nobody is left to tell that stderr is closed.
            Stream::Stderr => _ = err.write_all(&entry.bytes),
        }
    }
    printed.and_then(|()| out.flush())
}

/// A cursor over the changes of a topic from `rv` on, or from now when too much has happened since.
fn cursor_from(handle: &Handle, topic: Topic, rv: u64) -> Cursor {
    let view = handle.view();
    let mut from = rv;
    loop {
        match view.watch_from(topic, Filter::default(), from) {
            Ok(cursor) => return cursor,
            Err(_overtaken) => from = view.rv(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_pods() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentile(50), 0);
        tally.run_ms = BTreeMap::from([(1, 98), (5, 1), (70, 1)]);
        assert_eq!((tally.percentile(50), tally.percentile(99), tally.percentile(100)), (1, 5, 70));
    }
}
