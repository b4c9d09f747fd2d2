//! When buyers arrive: a rate that changes over time, and how single arrivals are spread around it.
//!
//! Invariant: the times are known before the run and rise; nothing that the server does moves them.

use crate::random::Random;
use std::time::Duration;

/// Arrivals a second over time, straight lines between points.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Seconds since the start, and the rate there.
    points: Vec<(f64, f64)>,
}

impl Rate {
    pub fn constant(rate: f64, seconds: f64) -> Self {
        Self::ramp(rate, rate, seconds)
    }

    pub fn ramp(from: f64, to: f64, seconds: f64) -> Self {
        Self { points: vec![(0.0, from), (seconds, to)] }
    }

    /// `peak` instead of `rate` for a while: there within a second, and as fast back.
    pub fn spike(rate: f64, peak: f64, (from, until): (f64, f64), seconds: f64) -> Self {
        let edge = 1.0_f64.min((until - from) / 2.0);
        let points = [(0.0, rate), (from, rate), (from + edge, peak), (until - edge, peak), (until, rate), (seconds, rate)];
        Self { points: points.into() }
    }

    /// At a time of the run.
    pub fn at(&self, second: f64) -> f64 {
        let segment = self.points.windows(2).find(|ends| second <= ends[1].0);
        let Some([from, to]) = segment.map(|ends| [ends[0], ends[1]]) else { return 0.0 };
        let part = if to.0 > from.0 { (second - from.0) / (to.0 - from.0) } else { 1.0 };
        from.1 + (to.1 - from.1) * part
    }

    /// How many are to arrive.
    pub fn total(&self) -> f64 {
        self.points.windows(2).map(|ends| area(ends[0], ends[1])).sum()
    }

    /// The times of all arrivals, `seed` for a Poisson process.
    pub fn arrivals(&self, seed: Option<u64>) -> Arrivals {
        let random = seed.map(|seed| Random::new(seed, u64::MAX));
        let wanted = if random.is_some() { 0.0 } else { -1.0 };
        Arrivals { rate: self.clone(), segment: 0, before: 0.0, wanted, random }
    }
}

fn area(from: (f64, f64), to: (f64, f64)) -> f64 {
    (to.0 - from.0) * (from.1 + to.1) / 2.0
}

/// Arrival `n` is where the area below the rate reaches `n`; of a Poisson process, where it reaches the sum of `n` exponential gaps.
pub struct Arrivals {
    rate: Rate,
    segment: usize,
    /// Area of the segments before.
    before: f64,
    wanted: f64,
    random: Option<Random>,
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        /// Less than any gap between arrivals: sums of areas are not exact.
        const NOTHING: f64 = 1e-6;
        self.wanted += self.random.as_mut().map_or(1.0, Random::exponential);
        loop {
            let (from, to) = (*self.rate.points.get(self.segment)?, *self.rate.points.get(self.segment + 1)?);
            let area = area(from, to);
            if self.wanted < self.before + area - NOTHING {
                let needed = (self.wanted - self.before).max(0.0);
                let slope = (to.1 - from.1) / (to.0 - from.0);
                // Of the area's quadratic equation the form that also holds for a slope of zero.
                let reached = from.1 + (from.1 * from.1 + 2.0 * slope * needed).max(0.0).sqrt();
                let inside = if reached > 0.0 { 2.0 * needed / reached } else { 0.0 };
                return Some(Duration::from_secs_f64(from.0 + inside));
            }
            self.before += area;
            self.segment += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(rate: &Rate, seed: Option<u64>) -> Vec<f64> {
        rate.arrivals(seed).map(|at| at.as_secs_f64()).collect()
    }

    fn between(times: &[f64], from: f64, until: f64) -> usize {
        times.iter().filter(|at| (from..until).contains(*at)).count()
    }

    #[test]
    fn a_constant_rate_has_equal_gaps_from_the_start_on() {
        let times = seconds(&Rate::constant(100.0, 3.0), None);
        assert_eq!(times.len(), 300);
        assert!(times.iter().enumerate().all(|(number, at)| (at - number as f64 / 100.0).abs() < 1e-9));
    }

    #[test]
    fn a_ramp_sends_as_many_as_the_area_below_it() {
        let times = seconds(&Rate::ramp(0.0, 200.0, 10.0), None);
        assert_eq!(times.len(), 1000);
        assert_eq!(between(&times, 0.0, 5.0), 250, "a quarter of the triangle");
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_spike_is_at_its_peak_between_its_edges_only() {
        let rate = Rate::spike(10.0, 1000.0, (4.0, 8.0), 10.0);
        let times = seconds(&rate, None);
        assert_eq!((between(&times, 0.0, 4.0), between(&times, 5.0, 7.0)), (40, 2000));
        assert!((19..=21).contains(&between(&times, 8.0, 10.0)), "back at the rate before");
        assert!((rate.at(6.0) - 1000.0).abs() < 1e-9 && (rate.at(9.0) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn poisson_arrivals_repeat_with_their_seed_and_have_its_spread() {
        let rate = Rate::constant(1000.0, 20.0);
        let times = seconds(&rate, Some(7));
        assert_eq!(times, seconds(&rate, Some(7)));
        assert_ne!(times, seconds(&rate, Some(8)));
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.03, "mean gap {mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "an exponential gap varies by its mean");
    }
}
