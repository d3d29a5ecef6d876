//! A few seeds, in every run of the tests.

use super::{Tally, play};

/// Seeds of a run of the tests; `coracle sim` runs as many as one likes.
const SEEDS: u64 = 200;

#[test]
fn every_history_holds() {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        match play(seed, false) {
            Ok(told) => tally.merge(&told),
            Err(_) => {
                let failure = play(seed, true).expect_err("a seed gives the same history again");
                panic!("{failure}\n{}", failure.history.join("\n"));
            }
        }
    }
    assert_eq!(tally.missing(), [""; 0], "what no history reached");
}

#[test]
fn a_seed_gives_the_same_history_again() {
    let told =
        |seed| play(seed, true).expect("it holds").iter().map(|(name, count)| (name.to_owned(), count)).collect();
    for seed in 0..5 {
        let (first, second): (Vec<_>, Vec<_>) = (told(seed), told(seed));
        assert_eq!(first, second);
    }
}
