//! A small share of the simulation in every test run; `cargo run -p holdfast-tests --bin simulate` runs many more seeds.

use holdfast_tests::simulation;

#[test]
fn a_hundred_seeds_break_no_invariant() {
    for seed in 1..=100 {
        let outcome = simulation::run_twice(seed);
        assert!(outcome.breach.is_none(), "seed {seed}: {:?}", outcome.breach);
    }
}

#[test]
fn a_seed_is_the_same_run_every_time_and_no_other_seed_is() {
    let first = simulation::run(7, false);
    let second = simulation::run(7, false);
    assert_eq!((first.hash, &first.counts), (second.hash, &second.counts));
    assert_ne!(first.hash, simulation::run(8, false).hash);
}

#[test]
fn runs_are_long_and_full_of_trouble() {
    let outcomes: Vec<_> = (1..=20).map(|seed| simulation::run(seed, false).counts).collect();
    assert!(outcomes.iter().all(|counts| counts.operations > 100), "every run has hundreds of operations");
    assert!(outcomes.iter().map(|counts| counts.crashes).sum::<u64>() > 20, "a run has more than one crash on average");
}
