//! Payment results that come over Kafka: read, compared with the order, delivered to the engine like those of a webhook.
//!
//! Invariants: a result is taken only after the engine answered that it is durable; what may pass (no room, no journal, an
//! unknown outcome) is waited out and never becomes a dead letter; results of one order are delivered in the order of the topic.
//! That an event of a provider, delivered again, changes nothing is the engine's: an attempt is captured once and declined once,
//! whoever tells it, whatever its event was called.

use crate::http::reply::{order_of, rejected};
use crate::http::routes;
use crate::state::App;
use crate::wire::ids::Attempt;
use crate::wire::money;
use crate::wire::object::read_from_objects;
use actix_web::web::Data;
use crossbeam::channel::bounded;
use futures_util::stream::{self, StreamExt};
use holdfast_engine::command::Command;
use holdfast_engine::ids::{AttemptId, OrderId};
use holdfast_engine::order::{Order, Outcome};
use holdfast_engine::rejection::Rejection;
use holdfast_storage::backoff::Backoff;
use holdfast_storage::kafka::inbound::{Batch, Reason, Record, Settle, Settled};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two tries to tell the engine: those who were turned away together do not come back together.
const PAUSES: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// In hundredths of a pause.
const JITTER: u32 = 50;
/// Orders whose results are delivered at once: enough to share a sync of the journal, too few to crowd buyers out.
const SIDE_BY_SIDE: usize = 64;

/// The value of a record.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct ResultIn {
    /// Of the provider's event, the same each time it is delivered.
    id: String,
    provider: String,
    /// `payment.captured` or `payment.declined`.
    r#type: String,
    attempt_id: String,
    /// In minor units. Compared with what the order costs, if it is there.
    amount: Option<i64>,
    currency: Option<String>,
}

read_from_objects! { ResultIn }

/// A result that can be delivered.
struct PaymentResult {
    event: ResultIn,
    attempt: AttemptId,
    outcome: Outcome,
}

/// Why a result is not taken now.
enum Failure {
    Dead(Reason),
    Passing(String),
}

/// What hands batches over, and the work that settles them, to be run where the engine can be asked.
pub fn handler(app: Data<App>) -> (Settle, impl Future<Output = ()>) {
    // One batch at a time is in hand.
    let (hand_over, mut batches) = mpsc::unbounded_channel();
    let settle: Settle = Box::new(move |batch| {
        let (answer, settled) = bounded(1);
        // If nobody is there, the end of the channel says so.
        let _ = hand_over.send((batch, answer));
        settled
    });
    let work = async move {
        let handler = PaymentResultHandler { app, waiting: AtomicBool::new(false) };
        while let Some((batch, answer)) = batches.recv().await {
            // Whoever asked may have been stopped.
            let _ = answer.send(handler.settle(batch).await);
        }
    };
    (settle, work)
}

struct PaymentResultHandler {
    app: Data<App>,
    /// Something has to be waited out: said once.
    waiting: AtomicBool,
}

impl PaymentResultHandler {
    /// Orders side by side, the results of each one after the other.
    async fn settle(&self, batch: Batch) -> Vec<Settled> {
        let mut settled = vec![Settled::Taken; batch.len()];
        let mut chains: BTreeMap<OrderId, Vec<(usize, PaymentResult)>> = BTreeMap::new();
        for (index, record) in batch.iter().enumerate() {
            match read(record) {
                Ok(result) => chains.entry(result.attempt.order).or_default().push((index, result)),
                Err(reason) => settled[index] = Settled::Dead(reason),
            }
        }
        let chains = chains.into_values().map(|chain| async move {
            let mut ended = Vec::with_capacity(chain.len());
            for (index, result) in chain {
                ended.push((index, self.deliver(&result).await));
            }
            ended
        });
        let ended: Vec<Vec<(usize, Settled)>> = stream::iter(chains).buffer_unordered(SIDE_BY_SIDE).collect().await;
        for (index, one) in ended.into_iter().flatten() {
            settled[index] = one;
        }
        if self.waiting.swap(false, Ordering::Relaxed) {
            tracing::info!("payment results on Kafka go on");
        }
        settled
    }

    /// Tells until the engine has answered.
    async fn deliver(&self, result: &PaymentResult) -> Settled {
        let mut pauses = PAUSES.with_jitter(JITTER, getrandom::u64().unwrap_or_default());
        loop {
            let why = match self.try_deliver(result).await {
                Ok(()) => return Settled::Taken,
                Err(Failure::Dead(reason)) => return Settled::Dead(reason),
                Err(Failure::Passing(why)) => why,
            };
            metrics::counter!("holdfast_inbound_retries_total").increment(1);
            if !self.waiting.swap(true, Ordering::Relaxed) {
                tracing::warn!(event = result.event.id, "payment results on Kafka wait: {why}");
            }
            tokio::time::sleep(pauses.next_pause()).await;
        }
    }

    async fn try_deliver(&self, result: &PaymentResult) -> Result<(), Failure> {
        let partitions = routes::live(&self.app).map_err(|problem| Failure::Passing(problem.detail))?.handle.router().partitions;
        let (attempt, outcome) = (result.attempt, result.outcome);
        if attempt.order.partition().0 >= partitions.count() {
            return Err(unknown(result));
        }
        let answer = self.ask(result, Command::GetOrder { order: attempt.order, kind: None }).await?;
        let order = order_of(answer).ok_or_else(|| unknown(result))?;
        compare(&result.event, attempt, &order).map_err(Failure::Dead)?;
        self.ask(result, Command::PaymentResult { attempt, outcome }).await.map(drop)
    }

    async fn ask(&self, result: &PaymentResult, command: Command) -> Result<holdfast_engine::answer::Answer, Failure> {
        match routes::execute(&self.app, command).await {
            Ok(reply) => reply.outcome.map_err(|rejection| match rejection {
                Rejection::NotFound => unknown(result),
                other => Failure::Dead(dead("refused", rejected(&other).detail)),
            }),
            Err(why) if why.passes() => Err(Failure::Passing(why.to_string())),
            Err(why) => Err(Failure::Dead(dead("refused", why.to_string()))),
        }
    }
}

fn dead(code: &'static str, detail: impl Into<String>) -> Reason {
    Reason { code, detail: detail.into() }
}

fn unknown(result: &PaymentResult) -> Failure {
    Failure::Dead(dead("unknown_attempt", format!("there is no payment attempt {}", result.event.attempt_id)))
}

fn read(record: &Record) -> Result<PaymentResult, Reason> {
    let value = record.value.as_deref().unwrap_or_default();
    let event: ResultIn = serde_json::from_slice(value).map_err(|error| dead("malformed", error.to_string()))?;
    if event.id.is_empty() || event.provider.is_empty() {
        return Err(dead("malformed", "id and provider must not be empty"));
    }
    let outcome = match event.r#type.as_str() {
        "payment.captured" => Outcome::Captured,
        "payment.declined" => Outcome::Declined,
        other => return Err(dead("unknown_type", format!("{other:?} is neither payment.captured nor payment.declined"))),
    };
    let Some(Attempt(attempt)) = Attempt::parse(&event.attempt_id) else {
        return Err(dead("unknown_attempt", format!("{:?} is no id of a payment attempt", event.attempt_id)));
    };
    Ok(PaymentResult { event, attempt, outcome })
}

/// What a result says must be what the order knows, neither of which ever changes.
fn compare(event: &ResultIn, attempt: AttemptId, order: &Order) -> Result<(), Reason> {
    let Some(started) = order.attempt(attempt.number) else {
        return Err(dead("unknown_attempt", format!("there is no payment attempt {}", Attempt(attempt))));
    };
    if event.provider != started.provider.as_str() {
        let detail = format!("the attempt is with {}, the result from {}", started.provider.as_str(), event.provider);
        return Err(dead("other_provider", detail));
    }
    let placed = order.placed();
    let owed = (order.amount().minor(), placed.currency.as_ref().map_or("", |currency| currency.as_str()));
    let paid = (event.amount.unwrap_or(owed.0), event.currency.as_deref().unwrap_or(owed.1));
    if paid != owed {
        let shown = |(amount, currency): (i64, &str)| money::shown(amount, Some(currency).filter(|code| !code.is_empty()));
        let detail = format!("the order is over {}, the result over {}", shown(owed), shown(paid));
        return Err(dead("other_amount", detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(value: &str) -> &'static str {
        let record = Record { value: Some(value.as_bytes().to_vec()), ..Record::default() };
        read(&record).err().unwrap().code
    }

    #[test]
    fn what_can_never_be_read_says_why() {
        let with = |id: &str, kind: &str, attempt: &str| {
            format!(r#"{{"id":"{id}","provider":"sandbox","type":"{kind}","attempt_id":"{attempt}"}}"#)
        };
        assert_eq!(reason("nonsense"), "malformed");
        assert_eq!(reason("{}"), "malformed");
        assert_eq!(reason(&with("", "payment.captured", "x")), "malformed");
        assert_eq!(reason(&with("e", "payment.stolen", "x")), "unknown_type");
        assert_eq!(reason(&with("e", "payment.captured", "x")), "unknown_attempt");
        assert_eq!(read(&Record::default()).err().unwrap().code, "malformed", "a record without a value");
    }

    #[test]
    fn members_of_the_provider_that_nobody_here_knows_are_passed_over() {
        let value = r#"{"id":"e","provider":"sandbox","type":"payment.declined","attempt_id":"pay_00000000000000000000000000-1",
            "amount":5,"currency":"EUR","bank":{"code":7}}"#;
        let result = read(&Record { value: Some(value.as_bytes().to_vec()), ..Record::default() }).ok().unwrap();
        assert_eq!((result.outcome, result.attempt.number, result.event.amount), (Outcome::Declined, 1, Some(5)));
    }
}
