//! The same inputs give the same effects.

use super::random::History;

#[test]
fn a_history_told_twice_is_the_same() {
    for seed in 0..20 {
        let tell = || {
            let mut history = History::new(seed);
            history.world.history = Some(String::new());
            history.run();
            history.world.history.take().expect("was set above")
        };
        assert!(tell() == tell(), "seed {seed}");
    }
}
