//! A few seeds, in every run of the tests.

use super::play;

/// Seeds of a run of the tests; `coracle sim` plays as many as one likes, and sees to it that everything occurs.
const SEEDS: u64 = 100;

#[test]
fn every_history_holds() {
    for seed in 0..SEEDS {
        if play(seed, false).is_err() {
            let failure = play(seed, true).expect_err("a seed gives the same history again");
            panic!("{failure}\n{}", failure.history.join("\n"));
        }
    }
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
