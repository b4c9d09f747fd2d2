//! What a step wants done outside, as values. The shell and the simulator carry them out; neither looks inside.

use crate::answer::Reply;
use crate::codec::Batch;
use crate::event::{History, OrderFact, StoredResponse};
use crate::ids::{AttemptId, Fingerprint, KeyHash, OrderId, PartitionId, Provider, Url};
use crate::payment::CallKind;
use crate::protocol::Message;
use crate::quantity::{Currency, Money};
use std::sync::Arc;

/// Collects the effects of any number of steps, of any number of partitions.
#[derive(Debug, Default)]
pub struct Effects {
    /// Events to make durable, in order.
    pub batch: Batch,
    pub messages: Vec<Message>,
    /// Free to leave: the facts behind them are durable.
    pub replies: Vec<Reply>,
    pub calls: Vec<ProviderCall>,
    pub archive: Vec<Archive>,
    /// Things that must be impossible and were seen.
    pub alarms: Vec<String>,
    pub ended: EndedAttempts,
}

/// Payment attempts that ended, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedAttempts {
    /// Money came, in time or late.
    pub captured: u64,
    pub declined: u64,
    pub voided: u64,
}

impl EndedAttempts {
    /// Counts the attempt that a fact ends, if it ends one.
    pub fn count(&mut self, fact: &OrderFact) {
        match fact {
            OrderFact::Paid { .. } | OrderFact::PaymentLate { .. } => self.captured += 1,
            OrderFact::PaymentDeclined { .. } => self.declined += 1,
            OrderFact::PaymentVoided { .. } => self.voided += 1,
            OrderFact::Placed(_) | OrderFact::Held { .. } | OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => {}
            OrderFact::Expired | OrderFact::Cancelled { .. } | OrderFact::Extended { .. } | OrderFact::Confirmed { .. } => {}
            OrderFact::PaymentStarted { .. } | OrderFact::PaymentOpened { .. } | OrderFact::PaymentUnknown { .. } => {}
            OrderFact::Reheld { .. } | OrderFact::RefundDue { .. } | OrderFact::Refunded { .. } | OrderFact::Settled => {}
        }
    }
}

/// How far the effects reached before a step.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    bytes: usize,
    events: u32,
    messages: usize,
    replies: usize,
    calls: usize,
    archive: usize,
    alarms: usize,
    ended: EndedAttempts,
}

impl Effects {
    pub fn mark(&self) -> Mark {
        Mark {
            bytes: self.batch.entries.len(),
            events: self.batch.events,
            messages: self.messages.len(),
            replies: self.replies.len(),
            calls: self.calls.len(),
            archive: self.archive.len(),
            alarms: self.alarms.len(),
            ended: self.ended,
        }
    }

    /// Takes back everything since `mark`: what a step made that did not come to its end.
    ///
    /// # Panics
    /// If something from before is gone.
    pub fn cut(&mut self, mark: Mark) {
        let now = self.mark();
        let whole = now.bytes >= mark.bytes && now.messages >= mark.messages && now.replies >= mark.replies;
        assert!(whole, "a step took effects of earlier ones with it: {mark:?} is {now:?}");
        self.batch.entries.truncate(mark.bytes);
        self.batch.events = mark.events;
        self.messages.truncate(mark.messages);
        self.replies.truncate(mark.replies);
        self.calls.truncate(mark.calls);
        self.archive.truncate(mark.archive);
        self.alarms.truncate(mark.alarms);
        self.ended = mark.ended;
    }
}

/// A question to the payment provider. Idempotent by attempt and kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderCall {
    pub attempt: AttemptId,
    pub provider: Provider,
    pub kind: CallKind,
    pub amount: Money,
    pub currency: Option<Currency>,
    pub return_url: Option<Url>,
}

/// A closed thing to be written to the projection, after which it may leave memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Archive {
    Order { partition: PartitionId, order: OrderId, history: History },
    Key { partition: PartitionId, key: KeyHash, fingerprint: Fingerprint, answer: Arc<StoredResponse> },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, KeyFact, Record, StoredResponse};
    use crate::ids::{AttemptId, HoldKey, KeyHash, Partitions, Sku, Ticket};
    use crate::protocol::{Body, ToOrder};
    use crate::rejection::Rejection;
    use crate::time::Timestamp;

    /// One of each kind.
    fn one_more(number: u8, fx: &mut Effects) {
        let order = OrderId::derive(KeyHash([number; 16]), Partitions::new(1).unwrap());
        let answer = Arc::new(StoredResponse::Payment { attempt: AttemptId { order, number: 1 }, redirect_url: None });
        let (key, fingerprint) = (KeyHash([number; 16]), Fingerprint(1));
        let event = Event::Key(KeyFact::Answered { key, fingerprint, answer: answer.clone() });
        fx.batch.push(PartitionId(0), &Record { seq: u64::from(number), at: Timestamp::ZERO, event });
        let body = Body::ToOrder(ToOrder::HoldProbe { sku: Sku::new("A").unwrap(), hold: HoldKey { order, generation: 1 } });
        fx.messages.push(Message { to: PartitionId(0), body });
        fx.replies.push(Reply { ticket: Ticket(number.into()), outcome: Err(Rejection::NotFound), replayed: false });
        let (attempt, provider) = (AttemptId { order, number: 1 }, Provider::new("p").unwrap());
        let (kind, amount) = (CallKind::Query, Money::new(1));
        fx.calls.push(ProviderCall { attempt, provider, kind, amount, currency: None, return_url: None });
        fx.archive.push(Archive::Key { partition: PartitionId(0), key, fingerprint, answer });
        fx.alarms.push(number.to_string());
        fx.ended.count(&OrderFact::PaymentVoided { attempt: 1 });
    }

    #[test]
    fn what_a_step_made_is_taken_back_and_what_was_there_before_stays() {
        let (mut fx, mut expected) = (Effects::default(), Effects::default());
        one_more(1, &mut fx);
        one_more(1, &mut expected);
        let mark = fx.mark();
        one_more(2, &mut fx);
        assert_ne!(format!("{fx:?}"), format!("{expected:?}"));
        fx.cut(mark);
        assert_eq!(format!("{fx:?}"), format!("{expected:?}"));
    }

    #[test]
    #[should_panic(expected = "a step took effects of earlier ones with it")]
    fn effects_of_earlier_steps_that_are_gone_are_noticed() {
        let mut fx = Effects::default();
        one_more(1, &mut fx);
        let mark = fx.mark();
        fx.batch.take();
        fx.cut(mark);
    }
}
