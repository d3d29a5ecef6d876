//! What is allowed and still surprises: the texts of `Warning` headers (kubernetes: job strategy, `WarningsOnCreate`).

use super::scalars::{COMPLETIONS_SOFT_MAX, HIGH_COMPLETIONS_PARALLELISM_MAX};
use super::text::dns_label;
use crate::api::warnings::Warnings;
use crate::base::Quantity;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Container;
use std::collections::BTreeSet;
use std::fmt::Arguments;

/// Adds the warnings about a valid Job, in the reference's order.
pub(in crate::api::job) fn warnings(job: &Job, texts: &mut Warnings) {
    let messages = dns_label(job.metadata.name.as_deref().unwrap_or(""));
    if !messages.is_empty() {
        texts.add(&format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            messages.join(" ")
        ));
    }
    let Some(spec) = &job.spec else { return };
    let above = |value: Option<i32>, max: i32| value.is_some_and(|value| value > max);
    if spec.completion_mode.as_deref() == Some("Indexed")
        && above(spec.completions, COMPLETIONS_SOFT_MAX)
        && above(spec.parallelism, HIGH_COMPLETIONS_PARALLELISM_MAX)
    {
        texts.add(
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
        );
    }
    for (at, container) in spec.template.spec.iter().flat_map(|pod| &pod.containers).enumerate() {
        of_container(container, format_args!("spec.template.spec.containers[{at}]"), texts);
    }
}

/// kubernetes: `GetWarningsForPodTemplate`, the parts about fields that are offered.
fn of_container(container: &Container, path: Arguments<'_>, texts: &mut Warnings) {
    let amounts = container.resources.as_ref();
    let (limits, requests) =
        (amounts.and_then(|amounts| amounts.limits.as_ref()), amounts.and_then(|amounts| amounts.requests.as_ref()));
    for (what, list) in [("limits", limits), ("requests", requests)] {
        for resource in ["memory", "ephemeral-storage"] {
            let value = list.and_then(|list| list.get(resource)).and_then(|quantity| Quantity::parse(&quantity.0));
            if let Some(value) = value.filter(|value| !value.is_whole()) {
                texts.add(&format!(
                    "{path}.resources.{what}[{resource}]: fractional byte value {:?} is invalid, must be an integer",
                    value.canonical()
                ));
            }
        }
    }
    let mut names = BTreeSet::new();
    for (at, variable) in container.env.iter().flatten().enumerate() {
        if texts.is_full() {
            return;
        }
        if !names.insert(variable.name.as_str()) {
            texts.add(&format!(
                "{path}.env[{at}]: hides previous definition of {:?}, which may be dropped when using apply",
                variable.name
            ));
        }
    }
}
