//! How Jobs and pods ended, as people read it: the same words for an engine in this process and for a server.

use super::error::code;
use super::progress::{Done, Progress};
use super::{duration_text, grouped};

/// A Job that failed is told of with this reason when it passed its deadline.
const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

/// A Job at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) name: String,
    /// Reason and message of its failure.
    pub(super) failure: Option<(String, String)>,
}

impl Ending {
    fn is_late(&self) -> bool {
        self.failure.as_ref().is_some_and(|(reason, _)| reason == DEADLINE_EXCEEDED)
    }

    fn failed_line(&self) -> String {
        let (reason, message) = self.failure.as_ref().map_or(("", ""), |(reason, message)| (reason, message));
        format!("✖ {}  {reason}: {message}", self.name)
    }
}

/// The exit code of a program that ran alone.
pub(super) fn program_code(jobs: &[Ending], last_exit_code: u8) -> u8 {
    if jobs.iter().any(Ending::is_late) { code::DEADLINE } else { last_exit_code }
}

/// Says how it ended: one line, and one more for each Job that failed beside others. Gives the exit code.
pub(super) fn sum_up(jobs: &[Ending], figures: &str, progress: &Progress) -> u8 {
    let failed: Vec<&Ending> = jobs.iter().filter(|job| job.failure.is_some()).collect();
    if jobs.len() > 1 {
        failed.iter().for_each(|job| progress.say(&job.failed_line()));
    }
    let code = match failed.as_slice() {
        [] => code::DONE,
        failed if failed.iter().all(|job| job.is_late()) => code::DEADLINE,
        _ => code::JOB_FAILED,
    };
    if progress.is_quiet() && failed.is_empty() {
        return code;
    }
    progress.say(&match (jobs, failed.len()) {
        ([job], 0) => format!("✔ {}  {figures}", job.name),
        ([job], _) => format!("{}  {figures}", job.failed_line()),
        (_, 0) => format!("✔ {} Jobs  {figures}", jobs.len()),
        (_, failed) => format!("✖ {failed} of {} Jobs failed  {figures}", jobs.len()),
    });
    code
}

/// What was done, how fast, and what more there is to say.
pub(super) fn figures(done: Done, elapsed_ms: u64, more: &str) -> String {
    let ms = elapsed_ms.max(1);
    let of = done.wanted.map(|wanted| format!("/{}", grouped(wanted))).unwrap_or_default();
    let failed = if done.failed > 0 { format!(", {} failed", grouped(done.failed)) } else { String::new() };
    let rate = grouped(done.ended_here * 1000 / ms);
    format!("{}{of}{failed} in {}  ({rate}/s{more})", grouped(done.succeeded), duration_text(ms))
}

/// A pod that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedPod<'a> {
    pub(super) pod: &'a str,
    pub(super) job: &'a str,
    pub(super) index: Option<u32>,
    pub(super) exit_code: u8,
    pub(super) reason: &'a str,
    pub(super) message: Option<&'a str>,
}

impl FailedPod<'_> {
    /// What to say of it; nothing of a program that ended by itself.
    pub(super) fn line(&self, is_program: bool) -> Option<String> {
        if is_program && self.message.is_none() {
            return None;
        }
        let who = match self.index {
            _ if is_program => String::new(),
            None => format!(" {}", self.pod),
            Some(index) => format!(" {} index {index}", self.job),
        };
        let reason = if self.reason == "Error" { "" } else { self.reason };
        let colon = if reason.is_empty() { "" } else { ", " };
        let message = self.message.map(|message| format!(": {message}")).unwrap_or_default();
        Some(format!("✖{who} exit {}{colon}{reason}{message}", self.exit_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::progress::Mode;

    fn ending(name: &str, reason: Option<&str>) -> Ending {
        Ending { name: name.to_owned(), failure: reason.map(|reason| (reason.to_owned(), "why".to_owned())) }
    }

    #[test]
    fn exit_codes_say_how_the_jobs_ended() {
        let (good, late, bad) =
            (ending("a", None), ending("b", Some("DeadlineExceeded")), ending("c", Some("BackoffLimitExceeded")));
        let quiet = Progress::new(Mode::Quiet, "x");
        let cases = [
            (vec![good.clone()], 0),
            (vec![good.clone(), late.clone()], 124),
            (vec![late.clone(), bad.clone()], 1),
            (vec![bad.clone()], 1),
        ];
        for (jobs, code) in cases {
            assert_eq!(sum_up(&jobs, "", &quiet), code, "{jobs:?}");
        }
        assert_eq!((program_code(&[bad], 42), program_code(&[late], 143), program_code(&[good], 0)), (42, 124, 0));
    }

    #[test]
    fn a_failed_pod_is_told_by_its_index_or_its_name() {
        let pod = FailedPod { pod: "a-x2", job: "a", index: None, exit_code: 3, reason: "Error", message: None };
        let oom =
            FailedPod { reason: "OOMKilled", exit_code: 137, message: Some("memory limit"), index: Some(7), ..pod };
        let cases = [
            (pod, false, Some("✖ a-x2 exit 3")),
            (pod, true, None),
            (oom, false, Some("✖ a index 7 exit 137, OOMKilled: memory limit")),
            (oom, true, Some("✖ exit 137, OOMKilled: memory limit")),
        ];
        for (pod, is_program, line) in cases {
            assert_eq!(pod.line(is_program).as_deref(), line);
        }
    }
}
