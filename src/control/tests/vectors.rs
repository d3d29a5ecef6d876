//! Which of the controller's scenarios have a test.

use std::collections::BTreeSet;
use std::path::Path;

/// How many scenarios there are.
const SCENARIOS: u32 = 134;

/// Those that cannot happen here, and why.
const IMPOSSIBLE: [(u32, &str); 5] = [
    (23, "creating pods never fails for some of them"),
    (31, "a creation is seen at once"),
    (74, "no two pods have an index, and none has a bad one"),
    (76, "no pod has a bad index"),
    (89, "a pod has one container"),
];

/// Those that need what is not there yet: conditions that clients write.
const MISSING: [u32; 1] = [128];

/// Where tests carry the numbers of scenarios in their names.
const PLACES: [&str; 2] = ["src/control/tests", "src/api/job/validate/tests"];

fn numbers(text: &str) -> impl Iterator<Item = u32> + '_ {
    let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn v"));
    names.filter_map(|name| name.split('_').next()?.parse().ok())
}

#[test]
fn every_scenario_has_a_test_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tested = BTreeSet::new();
    for place in PLACES {
        for file in std::fs::read_dir(root.join(place)).expect("the folder") {
            let text = std::fs::read_to_string(file.expect("an entry").path()).expect("a source file");
            tested.extend(numbers(&text));
        }
    }
    let known = |number: &u32| MISSING.contains(number) || IMPOSSIBLE.iter().any(|(other, _)| other == number);
    let untested: Vec<u32> = (1..=SCENARIOS).filter(|number| !tested.contains(number)).collect();
    let forgotten: Vec<u32> = untested.iter().copied().filter(|number| !known(number)).collect();
    assert_eq!(forgotten, [0; 0], "scenarios without a test");
    let done: Vec<u32> = tested.into_iter().filter(|number| known(number) || *number > SCENARIOS).collect();
    assert_eq!(done, [0; 0], "scenarios that have a test after all, or do not exist");
}
