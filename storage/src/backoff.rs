//! Pauses between tries that fail: each longer than the one before, up to a limit.
//!
//! Invariant: no pause is longer than the limit. Jitter only shortens a pause, so that those who failed together do not come back
//! together; it follows from its seed.

use std::time::Duration;

/// See the module. A value is one series of tries; a new series begins with a new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    factor: u32,
    most: Duration,
    /// Up to so many hundredths of a pause are left out.
    jitter: u32,
    random: u64,
    next: Duration,
}

impl Backoff {
    /// Doubles from `first` up to `most`.
    pub const fn doubling(first: Duration, most: Duration) -> Self {
        Self { first, factor: 2, most, jitter: 0, random: 0, next: first }
    }

    /// The same pause again and again.
    pub const fn even(pause: Duration) -> Self {
        Self { first: pause, factor: 1, most: pause, jitter: 0, random: 0, next: pause }
    }

    /// Leaves out up to `percent` of each pause, others with another seed.
    #[must_use]
    pub const fn with_jitter(mut self, percent: u32, seed: u64) -> Self {
        (self.jitter, self.random) = (percent, seed);
        self
    }

    /// How long to wait before the next try.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(self.factor).min(self.most);
        let share = f64::from(self.dice()) / f64::from(u32::MAX) * f64::from(self.jitter) / 100.0;
        pause.saturating_sub(pause.mul_f64(share))
    }

    /// A try went well: the next pause is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next of a series of numbers that look random (SplitMix64).
    fn dice(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(250);
    const MOST: Duration = Duration::from_secs(15);

    fn pauses(mut backoff: Backoff, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.next_pause().as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::doubling(FIRST, MOST);
        assert_eq!(pauses(backoff.clone(), 8), [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        assert_eq!((backoff.next_pause(), backoff.next_pause()), (FIRST, 2 * FIRST));
        backoff.reset();
        assert_eq!(backoff.next_pause(), FIRST);
    }

    #[test]
    fn an_even_backoff_never_changes() {
        assert_eq!(pauses(Backoff::even(FIRST), 3), [250; 3]);
    }

    #[test]
    fn jitter_shortens_a_pause_by_no_more_than_its_share() {
        for seed in 0..1000 {
            let mut backoff = Backoff::doubling(FIRST, FIRST).with_jitter(40, seed);
            for _ in 0..10 {
                let pause = backoff.next_pause();
                assert!((FIRST * 6 / 10..=FIRST).contains(&pause), "{pause:?}");
            }
        }
    }

    #[test]
    fn those_who_failed_together_come_back_apart_and_a_seed_gives_the_same_again() {
        let first = |seed| pauses(Backoff::doubling(FIRST, MOST).with_jitter(50, seed), 5);
        let firsts: std::collections::BTreeSet<u128> = (0..100).map(|seed| first(seed)[0]).collect();
        assert!(firsts.len() > 50, "{firsts:?}");
        assert_eq!(first(7), first(7));
    }

    #[test]
    fn a_pause_that_cannot_grow_further_is_the_longest() {
        assert_eq!(pauses(Backoff::doubling(Duration::MAX, Duration::MAX), 2).len(), 2);
    }
}
