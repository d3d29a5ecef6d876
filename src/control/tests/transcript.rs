//! What a step did, as one line.
//!
//! `+3` pod 3 was created and handed to a worker (`+3:1` with completion index 1, `+3(waits)` no worker has room);
//! `>3` it was handed out later; `-3` it was told to stop (`-3(gone)` no worker had it, so it is gone); `S3` it ended and
//! counts as succeeded, `F3` as failed, `I3` ignored, `D3` dropped; `X3` it failed and its index with it; `H3` it failed and is
//! held, `h3` the same ignored, `=3` it is held no longer; `~3` it ended after a stop and is gone; `C3` its container ended and
//! waits, `R3` it is started again;
//! `x3` a client deleted it (`x3F` it counts as failed at once, `x3(gone)` no worker had it); `S~3`, `F~3`, `I~3` and `X~3` it ended after that,
//! counts, and is gone; `rm3` it had ended and is gone; `m3` its metadata changed (`m3(left)` and it is not the Job's any more);
//! `u3` its gates are gone; `rm-ended` every pod that has ended is gone; `orphaned` the Job is gone without its pods;
//! `W3(ErrImagePull)` it could not start; `Failed(DeadlineExceeded)` a condition; `deleted` the Job
//! is gone with its pods; `rerun` parts of the Job run again; `!Conflict` a write was refused. Three or more pods in
//! a row are `+0..2`. With several Jobs, each token opens with the Job's name.

use super::store::MemStore;
use crate::base::{JobId, NO_INDEX};
use crate::control::Effects;
use crate::model::{Claim, Condition, Counted, Fact, PodEnd};
use std::collections::BTreeSet;

type Pod = (JobId, u32);

#[derive(PartialEq)]
struct Token {
    job: String,
    sign: &'static str,
    ordinal: u32,
    rest: String,
}

/// Everything in `fx` but Events, published versions, starts and documents, which `verify` checks by rule.
pub(super) fn transcript(fx: &Effects, store: &MemStore) -> String {
    let launched: BTreeSet<Pod> =
        fx.launches.iter().flat_map(|(_, pods)| pods).map(|launch| (launch.job, launch.ordinal)).collect();
    let removed: BTreeSet<Pod> = fx.batch.facts.iter().flat_map(removed).collect();
    let stopped: BTreeSet<Pod> = fx.batch.facts.iter().flat_map(stopped).collect();
    let ended_here: BTreeSet<Pod> = fx.batch.facts.iter().flat_map(ended_pods).collect();
    let opening = |id| if store.jobs.len() > 1 { format!("{}/", store.name(id)) } else { String::new() };
    let mut created = BTreeSet::new();
    let mut lines: Vec<Token> = Vec::new();
    for fact in &fx.batch.facts {
        let Some(id) = fact.job() else { continue };
        let job = opening(id);
        let mut say = |sign, ordinal, rest| lines.push(Token { job: job.clone(), sign, ordinal, rest });
        match fact {
            Fact::PodsCreated { first, count, indexes, .. } => {
                for (ordinal, index) in Fact::created_pods(*first, *count, indexes) {
                    created.insert((id, ordinal));
                    let waits = if launched.contains(&(id, ordinal)) { "" } else { "(waits)" };
                    let index = if index == NO_INDEX { String::new() } else { format!(":{index}") };
                    say("+", ordinal, format!("{index}{waits}"));
                }
            }
            Fact::PodsStopping { ordinals, .. } => {
                for ordinal in ordinals {
                    let gone = if removed.contains(&(id, *ordinal)) { "(gone)" } else { "" };
                    say("-", *ordinal, gone.to_owned());
                }
            }
            Fact::PodsDeleted { pods, .. } => {
                for pod in pods {
                    let gone = if removed.contains(&(id, pod.ordinal)) { "(gone)" } else { "" };
                    let failed = match pod.counted {
                        Counted::Failed => "F",
                        Counted::IndexFailed => "X",
                        Counted::Held => "H",
                        _ => "",
                    };
                    say("x", pod.ordinal, format!("{failed}{gone}"));
                }
            }
            Fact::PodsRemoved { ordinals, .. } => {
                let is_known =
                    |ordinal: &&u32| stopped.contains(&(id, **ordinal)) || ended_here.contains(&(id, **ordinal));
                ordinals
                    .iter()
                    .filter(|ordinal| !is_known(ordinal))
                    .for_each(|ordinal| say("rm", *ordinal, String::new()));
            }
            Fact::PodUngated { ordinal, .. } => say("u", *ordinal, String::new()),
            Fact::EndedPodsRemoved { .. } => say("rm-ended", u32::MAX, String::new()),
            Fact::JobOrphaned { .. } => say("orphaned", u32::MAX, String::new()),
            Fact::PodChanged { ordinal, claim, .. } => {
                let claim = match claim {
                    Claim::Same => "",
                    Claim::Left { .. } => "(left)",
                    Claim::Joined { .. } => "(joined)",
                };
                say("m", *ordinal, claim.to_owned());
            }
            Fact::PodsEnded { ends, .. } => {
                for end in ends.iter().filter(|end| !stopped.contains(&(id, end.ordinal))) {
                    say(ended(end, removed.contains(&(id, end.ordinal))), end.ordinal, String::new());
                }
            }
            Fact::PodsWaiting { pods, .. } => {
                pods.iter().for_each(|pod| say("W", pod.ordinal, format!("({})", pod.reason.as_str())));
            }
            Fact::PodsReleased { ordinals, .. } => {
                ordinals.iter().for_each(|ordinal| say("=", *ordinal, String::new()));
            }
            Fact::ContainersExited { exits, .. } => exits.iter().for_each(|exit| say("C", exit.ordinal, String::new())),
            Fact::ContainersRestarted { ordinals, .. } => {
                ordinals.iter().for_each(|ordinal| say("R", *ordinal, String::new()));
            }
            Fact::IndexesRerun { .. } => say("rerun", u32::MAX, String::new()),
            Fact::JobRemoved { .. } => say("deleted", u32::MAX, String::new()),
            Fact::ConditionSet { condition, .. } => say("", u32::MAX, shown(condition)),
            _ => {}
        }
    }
    for (id, ordinal) in launched.difference(&created) {
        let job = opening(*id);
        lines.push(Token { job, sign: ">", ordinal: *ordinal, rest: String::new() });
    }
    for error in fx.replies.iter().filter_map(|(_, reply)| reply.as_ref().err()) {
        lines.push(Token { job: String::new(), sign: "!", ordinal: u32::MAX, rest: format!("{error:?}") });
    }
    joined(&lines)
}

/// A condition in short.
pub(super) fn shown(condition: &Condition) -> String {
    format!("{}({})", condition.kind.as_str(), condition.reason.as_str())
}

fn ended(end: &PodEnd, is_removed: bool) -> &'static str {
    match (end.counted, is_removed) {
        (Counted::Succeeded, false) => "S",
        (Counted::Failed, false) => "F",
        (Counted::Ignored, false) => "I",
        (Counted::Dropped, false) => "D",
        (Counted::IndexFailed, false) => "X",
        (Counted::Held, false) => "H",
        (Counted::HeldIgnored, false) => "h",
        (Counted::Dropped, true) => "~",
        (Counted::Strayed, _) => "stray ",
        (Counted::Succeeded, true) => "S~",
        (Counted::Failed, true) => "F~",
        (Counted::Ignored, true) => "I~",
        (Counted::IndexFailed, true) => "X~",
        (_, true) => "counted and gone: ",
    }
}

fn removed(fact: &Fact) -> Vec<Pod> {
    match fact {
        Fact::PodsRemoved { job, ordinals } => ordinals.iter().map(|ordinal| (*job, *ordinal)).collect(),
        _ => Vec::new(),
    }
}

fn stopped(fact: &Fact) -> Vec<Pod> {
    match fact {
        Fact::PodsStopping { job, ordinals, .. } => ordinals.iter().map(|ordinal| (*job, *ordinal)).collect(),
        Fact::PodsDeleted { job, pods, .. } => pods.iter().map(|pod| (*job, pod.ordinal)).collect(),
        _ => Vec::new(),
    }
}

fn ended_pods(fact: &Fact) -> Vec<Pod> {
    match fact {
        Fact::PodsEnded { job, ends } => ends.iter().map(|end| (*job, end.ordinal)).collect(),
        _ => Vec::new(),
    }
}

/// The tokens with runs of three and more folded.
fn joined(tokens: &[Token]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let follows = |at: usize| {
            let token = &rest[at];
            let alike = (&token.job, token.sign, &token.rest) == (&first.job, first.sign, &first.rest);
            alike && u64::from(token.ordinal) == u64::from(first.ordinal) + at as u64
        };
        let run = (1..rest.len()).take_while(|at| follows(*at)).count() + 1;
        let taken = if run >= 3 { run } else { 1 };
        let number = match (first.ordinal, taken) {
            (u32::MAX, _) => String::new(),
            (ordinal, 1) => ordinal.to_string(),
            (ordinal, many) => format!("{ordinal}..{}", ordinal as usize + many - 1),
        };
        words.push(format!("{}{}{number}{}", first.job, first.sign, first.rest));
        rest = &rest[taken..];
    }
    words.join(" ")
}
