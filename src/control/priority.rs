//! Which priority a Job's pods get (kubernetes: `plugin/pkg/admission/priority`, `admitPod`).
//!
//! Invariant: all pods of a Job have the priority that its first ones got, whatever becomes of the classes later.

use super::effects::Effects;
use super::state::State;
use crate::base::JobId;
use crate::model::{Fact, PodPriority, PriorityClass};
use std::sync::Arc;

impl State {
    /// Gives the Job's first pods their priority.
    ///
    /// # Errors
    /// Why it may have no pods, as the job controller of Kubernetes would say it.
    pub(super) fn resolve_priority(&mut self, id: JobId, fx: &mut Effects) -> Result<(), String> {
        let job = &self.jobs[&id];
        let forbidden = |why: String| Err(format!("pods \"{}-\" is forbidden: {why}", job.record.name));
        let template = &job.spec.template;
        let Some(found) = self.priority_of(&template.priority_class) else {
            return forbidden(format!("no PriorityClass with name {} was found", template.priority_class));
        };
        let is_first = job.record.next_ordinal == 0;
        let priority = if is_first { found } else { job.record.placement.priority.clone().unwrap_or_default() };
        if let Some(given) = template.priority.filter(|given| *given != priority.value) {
            return forbidden(format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {} from the given PriorityClass name",
                priority.value
            ));
        }
        if let Some(given) = template.preemption_policy.filter(|given| *given != priority.preemption_policy) {
            return forbidden(format!(
                "the string value of PreemptionPolicy ({}) must not be provided in pod spec; priority admission \
                 controller computed {} from the given PriorityClass name",
                given.as_str(),
                priority.preemption_policy.as_str()
            ));
        }
        if is_first && job.record.placement.priority.clone().unwrap_or_default() != priority {
            self.record(fx, Fact::PriorityResolved { job: id, priority });
        }
        Ok(())
    }

    /// The priority of a class, or without a name that of the default class; `None` when there is no such class.
    fn priority_of(&self, class: &str) -> Option<PodPriority> {
        let of = |(name, class): (&Arc<str>, &PriorityClass)| PodPriority {
            class: Some(Arc::clone(name)),
            value: class.value,
            preemption_policy: class.preemption_policy,
        };
        if !class.is_empty() {
            return self.classes.get_key_value(class).map(of);
        }
        // kubernetes: of several default classes the one with the lowest value counts.
        let default =
            self.classes.iter().filter(|(_, class)| class.global_default).min_by_key(|(_, class)| class.value);
        Some(default.map(of).unwrap_or_default())
    }
}
