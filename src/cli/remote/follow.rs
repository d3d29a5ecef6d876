//! Following Jobs on a server to their end: two watches, and the output of each pod.
//!
//! Says what `cli/follow.rs` says of an engine in this process. The API gives a pod's stdout and stderr as one text, and
//! times in whole seconds: all output goes to stdout, and the summary has no percentiles.

use super::pods::{self, OUTPUTS_MAX, Outputs, PAGE, Pages};
use super::watch::{Change, watch};
use super::{Connection, RemoteError, Server};
use crate::api::{Answer, path_segment};
use crate::base::{Time, Uid};
use crate::cli::error::{CliError, code};
use crate::cli::follow::{Ended, FAILURES_TOLD_MAX, Followed, REFRESH};
use crate::cli::progress::{Done, Progress};
use crate::cli::signals;
use crate::cli::summary::{self, Ending, FailedPod};
use crate::engine::now;
use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// News that wait to be looked at; the watches wait beyond that, and the server with them.
const NEWS_MAX: usize = 1024;

/// Jobs that a selector names; more are picked from all.
const SELECTED_MAX: usize = 50;

/// When the Jobs have ended and the ends of pods are still missing for so long, the pods are listed.
const LINGER: Duration = Duration::from_secs(2);

/// Pods that have ended and are told of together.
const ENDED_MAX: usize = PAGE as usize;

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const INDEX_LABEL: &str = "/metadata/labels/batch.kubernetes.io~1job-completion-index";

/// Reasons of a waiting container that do not pass by themselves.
const REFUSED: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError"];

enum News {
    Job(Change),
    Pod(Change),
    /// What a living pod has written.
    Output(Uid, Bytes),
    /// It writes no more, or is heard no more.
    OutputEnd(Uid),
}

/// A Job as it was seen last.
#[derive(Debug)]
struct Watched {
    followed: Followed,
    status: Value,
    is_deleted: bool,
    /// Pods whose end was seen.
    ended: u64,
}

impl Watched {
    fn count(&self, name: &str) -> u64 {
        self.status[name].as_u64().unwrap_or(0)
    }

    fn condition(&self, kind: &str) -> Option<&Value> {
        let conditions = self.status["conditions"].as_array()?;
        conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
    }

    fn is_over(&self) -> bool {
        self.is_deleted || self.condition("Complete").is_some() || self.condition("Failed").is_some()
    }

    /// Whether the ends of all its counted pods were seen.
    fn is_told(&self) -> bool {
        self.is_deleted || self.ended >= self.count("succeeded") + self.count("failed")
    }

    fn ending(&self) -> Ending {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let failure = match self.condition("Failed") {
            Some(failed) => Some((text(&failed["reason"]), text(&failed["message"]))),
            None if self.is_deleted => Some(("Deleted".to_owned(), "somebody deleted the Job".to_owned())),
            None => None,
        };
        Ending { name: self.followed.name.clone(), failure }
    }

    fn path(&self) -> String {
        format!("{}/{}", jobs_path(Some(&self.followed.namespace)), path_segment(&self.followed.name))
    }
}

fn jobs_path(namespace: Option<&str>) -> String {
    let within = namespace.map(|namespace| format!("/namespaces/{}", path_segment(namespace))).unwrap_or_default();
    format!("/apis/batch/v1{within}/jobs")
}

fn pods_path(namespace: Option<&str>) -> String {
    let within = namespace.map(|namespace| format!("/namespaces/{}", path_segment(namespace))).unwrap_or_default();
    format!("/api/v1{within}/pods")
}

/// A pod's output that is followed while it lives.
#[derive(Debug, Default)]
struct Living {
    printed: usize,
    is_heard: bool,
    /// It has ended, and is told of when its output has.
    end: Option<Value>,
}

/// What was seen so far.
#[derive(Debug)]
pub(in crate::cli) struct RemoteFollower {
    server: Arc<Server>,
    connection: Connection,
    outputs: Outputs,
    interrupt: Arc<Notify>,
    started: Time,
    jobs: BTreeMap<Uid, Watched>,
    /// Their uids in the order in which they were given.
    order: Vec<Uid>,
    /// Pods whose end was told, or was there before.
    told: BTreeSet<Uid>,
    living: BTreeMap<Uid, Living>,
    /// Pods that have ended and whose output is not asked for yet, at the most [`ENDED_MAX`].
    ended: Vec<Value>,
    ended_here: u64,
    failures: u64,
    last_exit_code: u8,
    is_program: bool,
}

impl RemoteFollower {
    /// Starts to listen for ^C.
    pub(in crate::cli) fn new(server: &Arc<Server>) -> Result<Self, CliError> {
        Ok(Self::heard(server, signals::interrupt()?))
    }

    fn heard(server: &Arc<Server>, interrupt: Arc<Notify>) -> Self {
        Self {
            connection: server.connection(),
            outputs: Outputs::new(server),
            server: Arc::clone(server),
            interrupt,
            started: now(),
            jobs: BTreeMap::new(),
            order: Vec::new(),
            told: BTreeSet::new(),
            living: BTreeMap::new(),
            ended: Vec::new(),
            ended_here: 0,
            failures: 0,
            last_exit_code: 0,
            is_program: false,
        }
    }

    /// Follows `jobs` until the last has ended, and gives the exit code. The Jobs go on when it ends early.
    pub(in crate::cli) async fn follow(
        mut self,
        jobs: Vec<Followed>,
        mut progress: Progress,
        is_program: bool,
    ) -> Result<u8, Ended> {
        self.is_program = is_program;
        let is_live = jobs.len() == 1 && jobs[0].completions == Some(1);
        for followed in jobs {
            let uid = followed.uid;
            self.order.push(uid);
            self.jobs.insert(uid, Watched { followed, status: Value::Null, is_deleted: false, ended: 0 });
        }
        let interrupt = Arc::clone(&self.interrupt);
        let ended = tokio::select! {
            biased;
            () = interrupt.notified() => Err(Ended::Interrupted),
            ended = self.until_end(&mut progress, is_live) => ended,
        };
        progress.finish();
        ended?;
        let endings: Vec<Ending> =
            self.order.iter().filter_map(|uid| self.jobs.get(uid)).map(Watched::ending).collect();
        if is_program {
            return Ok(summary::program_code(&endings, self.last_exit_code));
        }
        let figures = summary::figures(self.done(), now().since_ms(self.started), "");
        Ok(summary::sum_up(&endings, &figures, &progress))
    }

    async fn until_end(&mut self, progress: &mut Progress, is_live: bool) -> Result<(), Ended> {
        self.skip_earlier().await?;
        let (sender, mut news) = mpsc::channel(NEWS_MAX);
        let (jobs, pods) = self.collections();
        tokio::spawn(watch(Arc::clone(&self.server), jobs, sender.clone(), News::Job));
        tokio::spawn(watch(Arc::clone(&self.server), pods, sender.clone(), News::Pod));
        let mut over_since = None;
        loop {
            let is_over = self.jobs.values().all(Watched::is_over);
            let is_told = self.jobs.values().all(Watched::is_told) && self.living.values().all(|pod| pod.end.is_none());
            if is_over && is_told {
                return Ok(());
            }
            if is_over {
                let since = *over_since.get_or_insert_with(now);
                if u128::from(now().since_ms(since)) >= LINGER.as_millis() {
                    return self.tell_rest(progress).await;
                }
            }
            tokio::select! {
                one = news.recv() => {
                    let mut next = one;
                    while let Some(one) = next {
                        self.look(one, progress, is_live.then_some(&sender)).await?;
                        next = news.try_recv().ok();
                    }
                    self.finish_ended(progress).await?;
                }
                () = tokio::time::sleep(REFRESH) => {}
            }
            progress.update(self.done(), now().since_ms(self.started));
        }
    }

    /// What to watch: as few objects as selectors can say.
    fn collections(&self) -> (String, String) {
        let mut jobs = self.jobs.values().map(|job| &job.followed);
        let namespaces: BTreeSet<&str> = jobs.clone().map(|job| job.namespace.as_str()).collect();
        let namespace = if namespaces.len() == 1 { namespaces.first().copied() } else { None };
        let names = match (jobs.next(), self.jobs.len()) {
            (Some(only), 1) => format!("fieldSelector={}", path_segment(&format!("metadata.name={}", only.name))),
            _ => String::new(),
        };
        let labels = if self.jobs.len() <= SELECTED_MAX { self.selector(self.jobs.keys()) } else { String::new() };
        (format!("{}?{names}", jobs_path(namespace)), format!("{}?{labels}", pods_path(namespace)))
    }

    fn selector<'a>(&self, uids: impl Iterator<Item = &'a Uid>) -> String {
        let uids: Vec<String> = uids.map(ToString::to_string).collect();
        format!("labelSelector={}", path_segment(&format!("{UID_LABEL} in ({})", uids.join(","))))
    }

    /// What ended before this run is not told.
    async fn skip_earlier(&mut self) -> Result<(), Ended> {
        let there: Vec<Uid> = self.jobs.iter().filter(|(_, job)| !job.followed.is_new).map(|(uid, _)| *uid).collect();
        for uid in there {
            let mut pages = self.pages_of(uid);
            while let Some(page) = self.next_page(&mut pages).await? {
                for pod in page {
                    if exit_of(&pod).is_some() && self.told.insert(uid_of(&pod)) {
                        self.count_end(uid);
                    }
                }
            }
        }
        Ok(())
    }

    fn count_end(&mut self, job: Uid) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.ended += 1;
        }
    }

    /// The pods of a Job, page by page.
    fn pages_of(&self, job: Uid) -> Pages {
        let namespace = self.jobs.get(&job).map(|job| job.followed.namespace.as_str());
        Pages::new(&format!("{}?{}", pods_path(namespace), self.selector([job].iter())))
    }

    async fn next_page(&mut self, pages: &mut Pages) -> Result<Option<Vec<Value>>, Ended> {
        pages.next(&self.server, &mut self.connection).await.map_err(lost)
    }

    /// The watch has not told of every pod: looks at all of them.
    async fn tell_rest(&mut self, progress: &Progress) -> Result<(), Ended> {
        let left: Vec<Uid> = self.jobs.iter().filter(|(_, job)| !job.is_told()).map(|(uid, _)| *uid).collect();
        for job in left {
            let mut pages = self.pages_of(job);
            while let Some(page) = self.next_page(&mut pages).await? {
                for pod in page {
                    self.tell_end(pod, progress).await?;
                }
                self.finish_ended(progress).await?;
            }
        }
        let waiting = self.living.values_mut().filter_map(|pod| pod.end.take());
        self.ended.extend(waiting);
        self.finish_ended(progress).await
    }

    async fn look(&mut self, news: News, progress: &Progress, live: Option<&mpsc::Sender<News>>) -> Result<(), Ended> {
        match news {
            News::Job(Change::Lost(error)) | News::Pod(Change::Lost(error)) => Err(lost(error)),
            News::Job(Change::Is(job)) => {
                self.look_at_job(job, false);
                Ok(())
            }
            News::Job(Change::Gone(job)) => {
                self.look_at_job(job, true);
                Ok(())
            }
            News::Job(Change::Again) => self.look_for_deleted().await,
            News::Pod(Change::Again) => Ok(()),
            News::Pod(Change::Is(pod) | Change::Gone(pod)) => {
                if let Some(sender) =
                    live.filter(|_| pod.pointer("/status/phase").is_some_and(|phase| phase == "Running"))
                {
                    self.hear(&pod, sender);
                }
                self.tell_end(pod, progress).await
            }
            News::Output(uid, bytes) => {
                self.finish_ended(progress).await?;
                if let Some(pod) = self.living.get_mut(&uid) {
                    pod.printed += bytes.len();
                    print(&bytes, progress)?;
                }
                Ok(())
            }
            News::OutputEnd(uid) => {
                let end = self.living.get_mut(&uid).and_then(|pod| {
                    pod.is_heard = false;
                    pod.end.take()
                });
                match end {
                    Some(pod) => self.add_ended(pod, progress).await,
                    None => Ok(()),
                }
            }
        }
    }

    fn look_at_job(&mut self, mut job: Value, is_deleted: bool) {
        if let Some(watched) = self.jobs.get_mut(&uid_of(&job)) {
            watched.status = job["status"].take();
            watched.is_deleted |= is_deleted && !watched.is_over();
        }
    }

    /// A Job that was deleted while nobody listened is not heard of again.
    async fn look_for_deleted(&mut self) -> Result<(), Ended> {
        let open: Vec<(Uid, String)> =
            self.jobs.iter().filter(|(_, job)| !job.is_over()).map(|(uid, job)| (*uid, job.path())).collect();
        for (uid, path) in open {
            let answer = pods::get(&mut self.connection, &path).await.map_err(lost)?;
            let is_gone = answer.status == 404 || (answer.status == 200 && uid_of(&answer.body) != uid);
            if let Some(job) = self.jobs.get_mut(&uid) {
                job.is_deleted |= is_gone;
            }
        }
        Ok(())
    }

    /// Follows the output of a living pod from where it was left.
    fn hear(&mut self, pod: &Value, sender: &mpsc::Sender<News>) {
        let uid = uid_of(pod);
        let living = self.living.entry(uid).or_default();
        if std::mem::replace(&mut living.is_heard, true) {
            return;
        }
        let (connection, path, skip, sender) =
            (self.server.connection(), format!("{}?follow=true", log_path(pod)), living.printed, sender.clone());
        tokio::spawn(async move {
            // What goes wrong here is made good when the pod has ended.
            _ = hear(connection, &path, skip, uid, &sender).await;
            _ = sender.send(News::OutputEnd(uid)).await;
        });
    }

    async fn tell_end(&mut self, pod: Value, progress: &Progress) -> Result<(), Ended> {
        let Some(job) = job_of(&pod).filter(|job| self.jobs.contains_key(job)) else { return Ok(()) };
        refused(&pod)?;
        if exit_of(&pod).is_none() || !self.told.insert(uid_of(&pod)) {
            return Ok(());
        }
        self.count_end(job);
        self.ended_here += 1;
        match self.living.get_mut(&uid_of(&pod)) {
            Some(living) if living.is_heard => {
                living.end = Some(pod);
                Ok(())
            }
            _ => self.add_ended(pod, progress).await,
        }
    }

    async fn add_ended(&mut self, pod: Value, progress: &Progress) -> Result<(), Ended> {
        self.ended.push(pod);
        if self.ended.len() < ENDED_MAX { Ok(()) } else { self.finish_ended(progress).await }
    }

    /// Finishes the pods that have ended in the order of their ends; the outputs of the next ones are asked for meanwhile.
    async fn finish_ended(&mut self, progress: &Progress) -> Result<(), Ended> {
        let mut waiting = std::mem::take(&mut self.ended).into_iter();
        let mut asked = VecDeque::with_capacity(OUTPUTS_MAX);
        loop {
            while asked.len() < OUTPUTS_MAX
                && let Some(pod) = waiting.next()
            {
                asked.push_back((self.outputs.ask(log_path(&pod)), pod));
            }
            let Some((output, pod)) = asked.pop_front() else { return Ok(()) };
            let output = self.outputs.wait(output).await.map_err(lost)?;
            self.finish_pod(&pod, output, progress)?;
        }
    }

    /// Prints what was not printed of the output, and tells of a failure.
    fn finish_pod(&mut self, pod: &Value, output: Result<Bytes, Answer>, progress: &Progress) -> Result<(), Ended> {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let is_stopped = pod.pointer("/metadata/deletionTimestamp").is_some();
        match output {
            Ok(bytes) => {
                let printed = self.living.remove(&uid_of(pod)).map_or(0, |living| living.printed);
                print(bytes.get(printed..).unwrap_or_default(), progress)?;
            }
            Err(answer) if answer.status == 204 || is_stopped => {}
            Err(answer) => {
                let why = answer.body["message"].as_str().unwrap_or("no reason given");
                progress.say(&format!("warning: the output of pod {name} cannot be read: {why}"));
            }
        }
        let exit = exit_of(pod).unwrap_or_default();
        self.last_exit_code = exit.code;
        if exit.code == 0 && pod.pointer("/status/phase").is_none_or(|phase| phase != "Failed") {
            return Ok(());
        }
        self.failures += 1;
        let job = job_of(pod).and_then(|job| self.jobs.get(&job));
        let failed = FailedPod {
            pod: name,
            job: job.map_or("", |job| &job.followed.name),
            index: pod.pointer(INDEX_LABEL).and_then(|index| index.as_str()?.parse().ok()),
            exit_code: exit.code,
            reason: &exit.reason,
            message: exit.message.as_deref(),
        };
        if let Some(line) = failed.line(self.is_program)
            && !is_stopped
            && self.failures <= FAILURES_TOLD_MAX
        {
            progress.say(&line);
        }
        Ok(())
    }

    fn done(&self) -> Done {
        let mut done = Done { wanted: Some(0), ended_here: self.ended_here, ..Done::default() };
        for job in self.jobs.values() {
            done.succeeded += job.count("succeeded");
            done.failed += job.count("failed");
            done.active += job.count("active");
            done.wanted = done.wanted.zip(job.followed.completions).map(|(sum, more)| sum + more);
        }
        done
    }
}

/// Sends what a pod writes, without the first `skip` bytes.
async fn hear(
    connection: Connection,
    path: &str,
    mut skip: usize,
    uid: Uid,
    sender: &mpsc::Sender<News>,
) -> Result<(), RemoteError> {
    let Ok(mut stream) = connection.stream(path).await? else { return Ok(()) };
    while let Some(mut bytes) = stream.next_bytes().await? {
        let known = bytes.split_to(skip.min(bytes.len()));
        skip -= known.len();
        if !bytes.is_empty() && sender.send(News::Output(uid, bytes)).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn lost(error: RemoteError) -> Ended {
    Ended::Error(error.told().help("the Jobs go on on the server: kubectl get jobs"))
}

fn print(bytes: &[u8], progress: &Progress) -> Result<(), Ended> {
    if bytes.is_empty() {
        return Ok(());
    }
    let printed = progress.print(|| {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    });
    printed.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ended::Unread,
        _ => Ended::Error(CliError::new(code::ENGINE, format!("cannot write the pods' output: {error}"))),
    })
}

fn uid_of(object: &Value) -> Uid {
    object.pointer("/metadata/uid").and_then(|uid| Uid::parse(uid.as_str()?)).unwrap_or_default()
}

fn job_of(pod: &Value) -> Option<Uid> {
    Uid::parse(pod["metadata"]["labels"][UID_LABEL].as_str()?)
}

fn log_path(pod: &Value) -> String {
    let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}/log", pods_path(Some(text("/metadata/namespace"))), path_segment(text("/metadata/name")))
}

/// How a pod ended.
#[derive(Debug, Default)]
struct Exit {
    code: u8,
    reason: String,
    message: Option<String>,
}

/// `None` of a pod that has not ended.
fn exit_of(pod: &Value) -> Option<Exit> {
    let status = &pod["status"];
    let phase = status["phase"].as_str().unwrap_or_default();
    if !matches!(phase, "Succeeded" | "Failed") {
        return None;
    }
    let terminated = &status["containerStatuses"][0]["state"]["terminated"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let code = terminated["exitCode"].as_u64().unwrap_or_else(|| u64::from(phase == "Failed"));
    Some(Exit {
        code: u8::try_from(code).unwrap_or(u8::MAX),
        reason: text(&terminated["reason"]).or_else(|| text(&status["reason"])).unwrap_or_default(),
        message: text(&terminated["message"]).or_else(|| text(&status["message"])),
    })
}

/// A pod that cannot start would wait for ever.
fn refused(pod: &Value) -> Result<(), Ended> {
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    if !waiting["reason"].as_str().is_some_and(|reason| REFUSED.contains(&reason)) {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let what = format!("pod {} cannot start: {}", text(&pod["metadata"]["name"]), text(&waiting["message"]));
    let job = text(&pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]);
    let namespace = text(&pod["metadata"]["namespace"]);
    let error = CliError::new(code::MODULE, what);
    Err(Ended::Error(
        error.help(format!("it is tried again on the server; kubectl delete job {job} -n {namespace}   ends that")),
    ))
}

#[cfg(test)]
mod tests;
