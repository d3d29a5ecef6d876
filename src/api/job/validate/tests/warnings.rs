//! What is warned of and not refused.

use super::super::warnings;
use super::*;
use crate::api::warnings::Warnings;

fn of(patch: &Value) -> Vec<String> {
    let mut texts = Warnings::default();
    warnings(&prepared(changed(patch)), &mut texts);
    texts.into_vec()
}

#[test]
fn a_good_job_warns_of_nothing() {
    assert_eq!(of(&json!({})), [""; 0]);
}

#[test]
fn a_name_that_is_no_label_warns() {
    assert_eq!(
        of(&json!({"metadata": {"name": "a.b"}})),
        [
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
          recommended: [must not contain dots]"
        ]
    );
}

#[test]
fn many_indexes_at_a_time_warn_above_the_limits() {
    let indexed = |completions: i32, parallelism: i32| {
        of(&json!({"spec": {"completionMode": "Indexed", "completions": completions, "parallelism": parallelism}}))
    };
    assert_eq!(indexed(100_000, 100_000), [""; 0]);
    assert_eq!(indexed(100_001, 10_000), [""; 0]);
    assert_eq!(
        indexed(100_001, 10_001),
        [
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might \
          not be able to track completedIndexes when a big number of indexes fail"
        ]
    );
}

#[test]
fn containers_warn_of_repeated_variables_and_parts_of_bytes() {
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i",
        "resources": {"limits": {"memory": "100m"}},
        "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}]}}}});
    assert_eq!(
        of(&patch),
        [
            "spec.template.spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.template.spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
        ]
    );
}
