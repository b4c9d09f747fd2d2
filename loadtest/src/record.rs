//! What was measured: answers counted, latencies in histograms, by the second.
//!
//! Invariant: every buyer is counted once by his order's last answer, from when he was due; answers to attempts are counted one by one.

use crate::http::Answer;
use crate::pool::NoAnswer;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest latency that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Place,
    /// The same order again, under its key, because there was no answer or it was not executed.
    Again,
    /// The same key at the same time.
    Copy,
    Pay,
    Confirm,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Accepted,
    /// An answer from what is on disk: out of stock, another body under the key.
    Refused,
    /// 503: not executed.
    TurnedAway,
    /// No answer, an unknown outcome, a failure.
    Failed,
}

pub const CLASSES: [Class; 4] = [Class::Accepted, Class::Refused, Class::TurnedAway, Class::Failed];

pub type Answered = Result<Answer, NoAnswer>;

impl Class {
    pub fn of(answered: &Answered) -> Self {
        match answered.as_ref().map(|answer| answer.status) {
            Ok(202) => Self::Failed,
            Ok(200..300) => Self::Accepted,
            Ok(503) => Self::TurnedAway,
            Ok(400..500) => Self::Refused,
            Ok(_) | Err(_) => Self::Failed,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::TurnedAway => "turned away",
            Self::Failed => "failed",
        }
    }
}

/// `201`, `409 out_of_stock`, `connection reset`, …
pub fn name(answered: &Answered) -> String {
    match answered {
        Ok(answer) => {
            let code = answer.reply().code.map_or(String::new(), |code| format!(" {code}"));
            let promised = if answer.status == 503 && !answer.retry_after { " without Retry-After" } else { "" };
            format!("{}{code}{promised}", answer.status)
        }
        Err(no_answer) => no_answer.why.clone(),
    }
}

/// Orders that were due in a second of the run, and answers that came in it.
pub struct Second {
    pub due: u64,
    pub done: [u64; 4],
    /// Of accepted orders that were due in it. Two digits are enough for one second.
    pub latency: Histogram<u32>,
    /// The generator's own, at most, in microseconds.
    pub late: u64,
}

impl Second {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST, 2).expect("the bounds are in order");
        Self { due: 0, done: [0; 4], latency, late: 0 }
    }
}

pub struct Record {
    pub answers: BTreeMap<Operation, BTreeMap<String, u64>>,
    pub latencies: BTreeMap<(Operation, Class), Histogram<u64>>,
    /// From when a buyer was due to when the generator let him go.
    pub lateness: Histogram<u64>,
    pub seconds: Vec<Second>,
    /// Buyers that were due and did not come, because too many were there already.
    pub dropped: u64,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

impl Default for Record {
    fn default() -> Self {
        let (answers, latencies) = (BTreeMap::new(), BTreeMap::new());
        Self { answers, latencies, lateness: histogram(), seconds: Vec::new(), dropped: 0 }
    }
}

impl Record {
    fn second(&mut self, at: Duration) -> &mut Second {
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        while self.seconds.len() <= second {
            self.seconds.push(Second::new());
        }
        &mut self.seconds[second]
    }

    /// A buyer was let go.
    pub fn arrived(&mut self, due: Duration, late: Duration) {
        self.lateness.saturating_record(micros(late));
        let second = self.second(due);
        second.due += 1;
        second.late = second.late.max(micros(late));
    }

    pub fn dropped(&mut self, due: Duration) {
        self.dropped += 1;
        self.second(due).due += 1;
    }

    /// One answer, or its absence.
    pub fn answered(&mut self, operation: Operation, answered: &Answered) {
        *self.answers.entry(operation).or_default().entry(name(answered)).or_default() += 1;
    }

    /// What an operation came to in the end.
    pub fn ended(&mut self, operation: Operation, class: Class, latency: Duration) {
        self.latencies.entry((operation, class)).or_insert_with(histogram).saturating_record(micros(latency));
    }

    /// What an order came to in the end: due then, answered so much later.
    pub fn placed(&mut self, class: Class, due: Duration, latency: Duration) {
        self.ended(Operation::Place, class, latency);
        self.second(due + latency).done[class as usize] += 1;
        if class == Class::Accepted {
            self.second(due).latency.saturating_record(micros(latency));
        }
    }

    pub fn count(&self, class: Class) -> u64 {
        self.latencies.get(&(Operation::Place, class)).map_or(0, Histogram::len)
    }

    /// Of orders, in milliseconds.
    pub fn percentile(&self, class: Class, percentile: f64) -> Option<f64> {
        let histogram = self.latencies.get(&(Operation::Place, class))?;
        Some(histogram.value_at_percentile(percentile) as f64 / 1000.0)
    }
}
