//! The gauges of the last minutes, by arithmetic on counts that only rise.
//!
//! Pure: time comes with each look. Invariants: a window never has more of the past in it than its span, or the time since the first
//! look where that is shorter; a ratio of nothing is 0.

use super::tally::Answers;
use holdfast_engine::effect::EndedAttempts;
use std::collections::VecDeque;
use std::time::Duration;

/// Of orders and answers.
const MINUTE: Duration = Duration::from_secs(60);
/// Of payments, which are fewer.
const PAYMENTS: Duration = Duration::from_secs(300);

/// Looks at a count that rises, those of the last `span`.
#[derive(Debug)]
struct Window<T> {
    span: Duration,
    /// When each look was, since the start, and what was counted until then.
    looks: VecDeque<(Duration, T)>,
}

impl<T: Copy> Window<T> {
    fn new(span: Duration) -> Self {
        Self { span, looks: VecDeque::new() }
    }

    /// Returns what was counted when the window began.
    fn look(&mut self, at: Duration, count: T) -> T {
        self.looks.push_back((at, count));
        while self.looks.front().is_some_and(|(first, _)| at.saturating_sub(*first) > self.span) {
            self.looks.pop_front();
        }
        self.looks.front().map_or(count, |(_, first)| *first)
    }
}

/// What the gauges say at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Orders accepted in the last minute.
    pub orders_per_minute: f64,
    /// Seconds, of API routes in the last minute.
    pub request_latency_p95: f64,
    /// Of all answers of the last minute, those with a status of 500 or more.
    pub error_rate_5xx: f64,
    /// Of all answers of the last minute, those with 503.
    pub refusal_rate_503: f64,
    /// Of the payment attempts that ended in the last five minutes, those that were declined or voided.
    pub payment_failure_rate: f64,
}

/// Makes them of one look after the other.
#[derive(Debug)]
pub struct Minutes {
    answers: Window<Answers>,
    payments: Window<EndedAttempts>,
}

impl Default for Minutes {
    fn default() -> Self {
        Self { answers: Window::new(MINUTE), payments: Window::new(PAYMENTS) }
    }
}

impl Minutes {
    /// `at` is the time since any moment before the first look.
    pub fn look(&mut self, at: Duration, answers: Answers, payments: EndedAttempts) -> Gauges {
        let since = answers.since(&self.answers.look(at, answers));
        let before = self.payments.look(at, payments);
        let [captured, declined, voided] =
            [(payments.captured, before.captured), (payments.declined, before.declined), (payments.voided, before.voided)]
                .map(|(now, before)| now.saturating_sub(before));
        Gauges {
            orders_per_minute: since.orders as f64,
            request_latency_p95: since.latency(95),
            error_rate_5xx: ratio(since.errors, since.all),
            refusal_rate_503: ratio(since.refusals, since.all),
            payment_failure_rate: ratio(declined + voided, captured + declined + voided),
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::buckets::bucket;

    const NOBODY: EndedAttempts = EndedAttempts { captured: 0, declined: 0, voided: 0 };

    fn answers(all: u64, errors: u64, refusals: u64, orders: u64) -> Answers {
        Answers { all, errors, refusals, orders, ..Answers::NONE }
    }

    #[test]
    fn what_is_older_than_a_minute_is_not_counted_any_more() {
        let mut minutes = Minutes::default();
        // Seconds since the start, all answers, errors, 503, orders; then orders, errors, 503.
        let looks = [
            (0, [0, 0, 0, 0], [0.0, 0.0, 0.0]),
            (1, [100, 10, 4, 50], [50.0, 0.1, 0.04]),
            (30, [200, 10, 4, 60], [60.0, 0.05, 0.02]),
            (60, [200, 10, 4, 60], [60.0, 0.05, 0.02]),
            (61, [200, 10, 4, 60], [10.0, 0.0, 0.0]),
            (90, [201, 11, 4, 60], [0.0, 1.0, 0.0]),
            (200, [201, 11, 4, 60], [0.0, 0.0, 0.0]),
        ];
        for (second, [all, errors, refusals, orders], expected) in looks {
            let gauges = minutes.look(Duration::from_secs(second), answers(all, errors, refusals, orders), NOBODY);
            assert_eq!([gauges.orders_per_minute, gauges.error_rate_5xx, gauges.refusal_rate_503], expected, "second {second}");
        }
    }

    #[test]
    fn payments_that_failed_are_told_of_those_that_ended_in_five_minutes() {
        let mut minutes = Minutes::default();
        // Seconds since the start; captured, declined, voided; the rate.
        let looks = [
            (0, (0, 0, 0), 0.0),
            (10, (3, 1, 0), 0.25),
            (20, (3, 1, 4), 0.625),
            (309, (3, 1, 4), 1.0),
            (330, (3, 1, 4), 0.0),
            (340, (4, 1, 4), 0.0),
            (350, (0, 0, 0), 0.0),
        ];
        for (second, (captured, declined, voided), expected) in looks {
            let payments = EndedAttempts { captured, declined, voided };
            let gauges = minutes.look(Duration::from_secs(second), Answers::NONE, payments);
            assert_eq!(gauges.payment_failure_rate, expected, "second {second}");
        }
    }

    #[test]
    fn the_latency_is_one_of_the_last_minute() {
        let mut minutes = Minutes::default();
        let slow = |count: u64| {
            let mut latencies = Answers::NONE.latencies;
            latencies[bucket(60_000_000)] = count;
            Answers { latencies, all: count, ..Answers::NONE }
        };
        minutes.look(Duration::ZERO, slow(0), NOBODY);
        let gauges = minutes.look(Duration::from_secs(1), slow(5), NOBODY);
        assert!(gauges.request_latency_p95 > 0.05, "{gauges:?}");
        minutes.look(Duration::from_secs(2), slow(5), NOBODY);
        assert_eq!(minutes.look(Duration::from_secs(62), slow(5), NOBODY).request_latency_p95, 0.0);
    }
}
