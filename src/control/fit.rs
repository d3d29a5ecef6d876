//! What pods ask of the node, and what it has left (kubernetes: kube-scheduler's filters).
//!
//! A Job whose pods ask for nothing is not known here. Invariant: what is reserved is what the pods ask for that were handed
//! out and have not ended.

use crate::base::JobId;
use crate::model::{Needs, NodeSays, NodeShape, Unplaced};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a Job's pods ask for.
#[derive(Debug)]
struct Asked {
    needs: Needs,
    /// The node is one of those that they want.
    is_wanted: bool,
    /// Pods that were handed out and have not ended.
    reserved: u64,
    /// The Job is gone; its last pods have not ended.
    is_gone: bool,
}

/// Whether pods fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fit {
    /// So many more of them.
    Room(u32),
    /// The node takes no more pods.
    Cordoned,
    /// They want another node.
    Unwanted,
    /// The node has too little left, or has too little at all.
    Insufficient {
        /// CPU.
        cpu: bool,
        /// Memory.
        memory: bool,
        /// Something that it has not.
        other: bool,
        /// Even without any other pod.
        for_ever: bool,
    },
}

impl Fit {
    /// For how many pods there is room.
    pub(super) fn room(self) -> u32 {
        if let Self::Room(pods) = self { pods } else { 0 }
    }
}

#[derive(Debug)]
pub(super) struct Fits {
    node: Arc<NodeShape>,
    labels: BTreeMap<String, String>,
    is_cordoned: bool,
    cpu_m: u64,
    memory_bytes: u64,
    asked: BTreeMap<JobId, Asked>,
}

impl Fits {
    pub(super) fn new(node: Arc<NodeShape>) -> Self {
        let labels = node.labels.clone();
        Self { node, labels, is_cordoned: false, cpu_m: 0, memory_bytes: 0, asked: BTreeMap::new() }
    }

    /// True when pods that did not fit may do so now.
    pub(super) fn set_needs(&mut self, job: JobId, needs: Option<&Needs>) -> bool {
        let Some(needs) = needs else {
            let known = !self.asked.is_empty() && self.asked.contains_key(&job);
            if known {
                self.change(job, Needs::default());
            }
            return known;
        };
        self.change(job, needs.clone());
        true
    }

    fn change(&mut self, job: JobId, needs: Needs) {
        let is_wanted = needs.takes(&self.node.name, &self.labels);
        let reserved = self.asked.get(&job).map_or(0, |asked| asked.reserved);
        if let Some(before) = self.asked.insert(job, Asked { needs, is_wanted, reserved, is_gone: false }) {
            self.cpu_m -= before.needs.cpu_m.saturating_mul(reserved);
            self.memory_bytes -= before.needs.memory_bytes.saturating_mul(reserved);
        }
        let needs = &self.asked[&job].needs;
        self.cpu_m += needs.cpu_m.saturating_mul(reserved);
        self.memory_bytes += needs.memory_bytes.saturating_mul(reserved);
    }

    pub(super) fn set_node(&mut self, says: Option<&NodeSays>) {
        self.labels = says.map_or_else(|| self.node.labels.clone(), |says| says.metadata.labels.clone());
        self.is_cordoned = says.is_some_and(|says| says.spec.unschedulable);
        for asked in self.asked.values_mut() {
            asked.is_wanted = asked.needs.takes(&self.node.name, &self.labels);
        }
    }

    /// The Job is gone.
    pub(super) fn forget(&mut self, job: JobId) {
        if let Some(asked) = self.asked.get_mut(&job) {
            asked.is_gone = true;
            if asked.reserved == 0 {
                self.asked.remove(&job);
            }
        }
    }

    pub(super) fn reserve(&mut self, job: JobId, pods: usize) {
        if self.asked.is_empty() {
            return;
        }
        let Some(asked) = self.asked.get_mut(&job) else { return };
        let pods = pods as u64;
        asked.reserved += pods;
        self.cpu_m += asked.needs.cpu_m * pods;
        self.memory_bytes += asked.needs.memory_bytes * pods;
    }

    /// A pod has ended that was handed out; true when there is more room now.
    pub(super) fn release(&mut self, job: JobId) -> bool {
        if self.asked.is_empty() {
            return false;
        }
        let Some(asked) = self.asked.get_mut(&job) else { return false };
        asked.reserved -= 1;
        self.cpu_m -= asked.needs.cpu_m;
        self.memory_bytes -= asked.needs.memory_bytes;
        let has_freed = asked.needs.cpu_m > 0 || asked.needs.memory_bytes > 0;
        if asked.is_gone && asked.reserved == 0 {
            self.asked.remove(&job);
        }
        has_freed
    }

    pub(super) fn has_room(&self, job: JobId) -> bool {
        (self.asked.is_empty() && !self.is_cordoned) || self.of(job).room() > 0
    }

    /// Whether the Job's pods fit; the first filter that says no is the one that is told.
    pub(super) fn of(&self, job: JobId) -> Fit {
        let asked = if self.asked.is_empty() { None } else { self.asked.get(&job) };
        let tolerates_cordon = asked.is_some_and(|asked| asked.needs.tolerates_cordon);
        if self.is_cordoned && !tolerates_cordon {
            return Fit::Cordoned;
        }
        let Some(Asked { needs, is_wanted, .. }) = asked else { return Fit::Room(u32::MAX) };
        if !is_wanted {
            return Fit::Unwanted;
        }
        let pods = |all: u64, used: u64, each: u64| all.saturating_sub(used).checked_div(each).unwrap_or(u64::MAX);
        let cpu = pods(self.node.cpu_m, self.cpu_m, needs.cpu_m);
        let memory = pods(self.node.memory_bytes, self.memory_bytes, needs.memory_bytes);
        let other = !needs.others.is_empty();
        let least = if other { 0 } else { cpu.min(memory) };
        if least > 0 {
            return Fit::Room(u32::try_from(least).unwrap_or(u32::MAX));
        }
        let is_too_much = needs.cpu_m > self.node.cpu_m || needs.memory_bytes > self.node.memory_bytes;
        Fit::Insufficient { cpu: cpu == 0, memory: memory == 0, other, for_ever: other || is_too_much }
    }

    /// What is reserved: thousandths of a CPU, and bytes.
    pub(super) fn reserved(&self) -> (u64, u64) {
        (self.cpu_m, self.memory_bytes)
    }
}

/// What is said of pods that do not fit (kubernetes v1.36: kube-scheduler, `FitError` and the PostFilter plugins).
pub(super) fn unplaced(fit: Fit, needs: Option<&Needs>, since: crate::base::Time) -> Unplaced {
    const NO_VICTIMS: &str = "1 No preemption victims found for incoming pod.";
    const NO_HELP: &str = "1 Preemption is not helpful for scheduling.";
    let of = |why: &str, preemption: &str| {
        format!(
            "0/1 nodes are available: {why}. no new claims to deallocate, preemption: 0/1 nodes are available: {preemption}"
        )
    };
    let why = match fit {
        Fit::Room(_) => of("1 Too many pods", NO_VICTIMS),
        Fit::Cordoned => of("1 node(s) were unschedulable", NO_HELP),
        Fit::Unwanted => of("1 node(s) didn't match Pod's node affinity/selector", NO_HELP),
        Fit::Insufficient { cpu, memory, other, for_ever } => {
            let others = needs.into_iter().flat_map(|needs| &needs.others).filter(|_| other).map(String::as_str);
            let own = [("cpu", cpu), ("memory", memory)].into_iter().filter(|(_, is_short)| *is_short);
            let mut short: Vec<String> =
                own.map(|(name, _)| name).chain(others).map(|name| format!("1 Insufficient {name}")).collect();
            short.sort();
            of(&short.join(", "), if for_ever { NO_HELP } else { NO_VICTIMS })
        }
    };
    Unplaced { since, why: why.into() }
}
