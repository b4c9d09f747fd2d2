//! A slowness that was planted is seen by percentiles and comparison, and one that was not is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_loadtest::diff::{Diff, Verdict, of_seconds};
use holdfast_loadtest::random::Random;
use holdfast_loadtest::summary::BySecond;
use std::collections::BTreeMap;

const P99: usize = 1;

fn verdicts(diff: &Diff) -> Vec<Verdict> {
    diff.ratios.iter().map(|ratio| ratio.verdict).collect()
}

/// A minute of a server whose commits take 1 to 2 ms, one of `slow` of them 2 ms more: drawn, not measured.
fn drawn(seed: u64, slow: u64) -> Vec<BySecond> {
    let mut random = Random::new(seed, 0);
    let second = |_| {
        let mut latency = BTreeMap::new();
        let machine = 0.9 + 0.2 * random.unit();
        for _ in 0..1000 {
            let own = (1000.0 + 400.0 * random.exponential()) * machine;
            let planted = if slow > 0 && random.below(slow) == 0 { 2000 } else { 0 };
            *latency.entry((own as u64 + planted) / 16 * 16).or_insert(0) += 1;
        }
        BySecond { due: 1000, done: [1000, 0, 0, 0], late: 0, latency: latency.into_iter().collect() }
    };
    (0..60).map(second).collect()
}

#[test]
fn two_runs_of_the_same_are_no_difference() {
    for seed in 0..5 {
        let diff = of_seconds(&[drawn(seed, 0)], &[drawn(seed + 100, 0)]).unwrap();
        assert_eq!(verdicts(&diff), [Verdict::NoDifference; 3], "seed {seed}: {}", diff.text());
    }
}

#[test]
fn two_milliseconds_in_one_commit_of_fifty_are_a_worse_p99_and_the_same_median() {
    let diff = of_seconds(&[drawn(1, 0)], &[drawn(2, 50)]).unwrap();
    assert_eq!(verdicts(&diff), [Verdict::NoDifference, Verdict::Worse, Verdict::NoDifference], "{}", diff.text());
    let back = of_seconds(&[drawn(2, 50)], &[drawn(1, 0)]).unwrap();
    assert_eq!(verdicts(&back)[P99], Verdict::Better);
}

#[test]
fn several_runs_that_differ_among_themselves_widen_the_interval() {
    let slower = |seconds: Vec<BySecond>| -> Vec<BySecond> {
        let slow = |second: BySecond| BySecond {
            latency: second.latency.iter().map(|(micros, count)| (micros * 5 / 4, *count)).collect(),
            ..second
        };
        seconds.into_iter().map(slow).collect()
    };
    let (alike, uneven) = ([drawn(1, 0), drawn(2, 0)], [drawn(3, 0), slower(drawn(4, 0))]);
    let one = of_seconds(&[drawn(1, 0)], &[slower(drawn(4, 0))]).unwrap();
    assert_eq!(verdicts(&one)[0], Verdict::Worse, "a pair of single runs does not know better");
    let both = of_seconds(&alike, &uneven).unwrap();
    assert_eq!(verdicts(&both)[0], Verdict::NoDifference, "{}", both.text());
}
