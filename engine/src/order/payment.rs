//! Attempts to pay an order: in flight, authorised, declined, unknown, late.
//!
//! Invariants: a time-out is not a failure; money that comes for an order that is over ends in fresh holds or in exactly
//! one refund; an attempt captures once, however often its outcome is told.

use super::{AttemptState, CallKind, Order, Outcome, Status};
use crate::event::{FactKind, OrderFact, RefundReason, StoredResponse};
use crate::ids::{AttemptId, Fingerprint, KeyHash, Label, Provider, RequestId, Url};
use crate::limits;
use crate::plant::{self, Bug};
use crate::time::{LatePayment, Policy, Timestamp};

#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub number: u8,
    pub provider: Provider,
    pub return_url: Option<Url>,
    pub redirect_url: Option<Url>,
    pub state: AttemptState,
    pub started_at: Timestamp,
    pub pin_until: Timestamp,
    pub key: Option<(KeyHash, Fingerprint)>,
}

impl Order {
    pub fn attempt(&self, number: u8) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    /// Attempts that were ever started; the last one has this number.
    pub fn attempts_made(&self) -> u8 {
        u8::try_from(self.attempts.len()).expect("an order has at most MAX_ATTEMPTS attempts")
    }

    pub fn attempt_id(&self, attempt: &Attempt) -> AttemptId {
        AttemptId { order: self.id, number: attempt.number }
    }

    /// The answer to the request that started an attempt: folded from the facts, so it is the same for ever.
    /// `None` while neither its page is open nor its outcome known.
    pub fn attempt_answer(&self, number: u8) -> Option<StoredResponse> {
        let started = |fact: OrderFact| matches!(fact, OrderFact::PaymentStarted { attempt, .. } if attempt == number);
        let mut records = self.history.iter().enumerate();
        records.find(|(_, record)| record.kind == FactKind::PaymentStarted && started(record.fact()))?;
        let attempt = AttemptId { order: self.id, number };
        records.find_map(|(index, record)| match record.fact() {
            OrderFact::PaymentOpened { attempt: n, redirect_url } if n == number => {
                Some(StoredResponse::Payment { attempt, redirect_url: Some(redirect_url) })
            }
            OrderFact::Paid { attempt: n } if n == number => Some(StoredResponse::Payment { attempt, redirect_url: None }),
            OrderFact::PaymentDeclined { .. }
            | OrderFact::PaymentVoided { .. }
            | OrderFact::Expired
            | OrderFact::Cancelled { .. } => {
                let then = Order::of(self.id, self.history.prefix(index + 1)?);
                let request_id = RequestId::of_checked(self.placed().request_id);
                Some(StoredResponse::PaymentRefused { request_id, state: then.status.name(then.kind()).to_owned() })
            }
            OrderFact::PaymentOpened { .. } | OrderFact::Paid { .. } | OrderFact::PaymentStarted { .. } => None,
            OrderFact::PaymentUnknown { .. } | OrderFact::PaymentLate { .. } | OrderFact::Confirmed { .. } => None,
            OrderFact::Placed(_) | OrderFact::Held { .. } | OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => {
                None
            }
            OrderFact::Extended { .. } | OrderFact::Reheld { .. } | OrderFact::Settled => None,
            OrderFact::RefundDue { .. } | OrderFact::Refunded { .. } => None,
        })
    }

    /// The call an attempt needs, without regard to when.
    pub(super) fn call_for(&self, attempt: &Attempt) -> Option<CallKind> {
        match attempt.state {
            AttemptState::RefundDue if plant::active(Bug::LateMoneyKept) => None,
            AttemptState::RefundDue => Some(CallKind::Refund),
            AttemptState::Captured | AttemptState::Declined | AttemptState::Voided | AttemptState::Refunded => None,
            AttemptState::Opening if self.status == Status::PaymentInFlight => Some(CallKind::Create),
            AttemptState::Opening | AttemptState::Open | AttemptState::Unknown => match self.status {
                Status::PaymentInFlight | Status::PaymentUnknown => Some(CallKind::Query),
                Status::Confirmed | Status::Cancelled | Status::LatePayment | Status::Refunded => Some(CallKind::Void),
                // An attempt given up as unknown: only the provider can bring it back.
                Status::Reserving | Status::AwaitingPayment | Status::Expired | Status::Rejected => None,
            },
        }
    }

    /// The first call due, and from when on. Opening and refunds are urgent; questions start after a while.
    pub fn next_call(&self, now: Timestamp, policy: &Policy) -> Option<(u8, CallKind, Timestamp)> {
        self.attempts.iter().find_map(|attempt| {
            let kind = self.call_for(attempt)?;
            let overdue = now >= attempt.pin_until;
            Some(match kind {
                CallKind::Query | CallKind::Create if overdue => (attempt.number, CallKind::Void, attempt.pin_until),
                CallKind::Query => {
                    let first = attempt.started_at.plus(policy.query_after_ms);
                    (attempt.number, kind, first.min(attempt.pin_until))
                }
                CallKind::Create | CallKind::Void | CallKind::Refund => (attempt.number, kind, attempt.started_at),
            })
        })
    }

    /// Facts that follow from what the provider said. None if it was said before or changes nothing.
    pub fn decide_outcome(&self, now: Timestamp, number: u8, outcome: Outcome, policy: &Policy) -> Vec<OrderFact> {
        let Some(attempt) = self.attempt(number) else { return Vec::new() };
        match outcome {
            Outcome::Captured => self.decide_captured(now, attempt, policy),
            Outcome::Declined => self.decide_ended(now, attempt, policy, true),
            Outcome::Voided => self.decide_ended(now, attempt, policy, false),
            Outcome::Refunded if attempt.state == AttemptState::RefundDue => vec![OrderFact::Refunded { attempt: number }],
            // Money that we never heard of was taken and given back: the attempt takes none any more.
            Outcome::Refunded => self.decide_ended(now, attempt, policy, false),
            Outcome::Timeout => self.decide_timeout(now, attempt, policy),
            Outcome::Pending => Vec::new(),
        }
    }

    fn decide_captured(&self, now: Timestamp, attempt: &Attempt, policy: &Policy) -> Vec<OrderFact> {
        let number = attempt.number;
        if matches!(attempt.state, AttemptState::Captured | AttemptState::RefundDue | AttemptState::Refunded) {
            return Vec::new();
        }
        let twice = OrderFact::RefundDue { attempt: number, generation: self.generation, reason: RefundReason::PaidTwice };
        match self.status {
            Status::AwaitingPayment if now >= self.expires_at => {
                let mut facts = vec![OrderFact::Expired, OrderFact::PaymentLate { attempt: number }];
                facts.extend(self.refund_at_once(number, policy.late_payment == LatePayment::Refund));
                facts
            }
            Status::AwaitingPayment | Status::PaymentInFlight | Status::PaymentUnknown => {
                vec![OrderFact::Paid { attempt: number }]
            }
            Status::Expired | Status::Cancelled => {
                let refund = self.status == Status::Cancelled || policy.late_payment == LatePayment::Refund;
                let mut facts = vec![OrderFact::PaymentLate { attempt: number }];
                facts.extend(self.refund_at_once(number, refund));
                facts
            }
            Status::Confirmed | Status::LatePayment | Status::Refunded => vec![twice],
            // Attempts need holds, so an order without them never has one.
            Status::Reserving | Status::Rejected => Vec::new(),
        }
    }

    fn refund_at_once(&self, attempt: u8, refund: bool) -> Option<OrderFact> {
        let generation = self.generation;
        refund.then_some(OrderFact::RefundDue { attempt, generation, reason: RefundReason::OrderOver })
    }

    /// Declined by the buyer's bank or voided by us: the attempt takes no money any more.
    fn decide_ended(&self, now: Timestamp, attempt: &Attempt, policy: &Policy, declined: bool) -> Vec<OrderFact> {
        if !attempt.state.open() {
            return Vec::new();
        }
        let number = attempt.number;
        let grace = if declined { now.plus(policy.decline_grace_ms) } else { Timestamp::ZERO };
        let expires_at = self.expires_at.max(grace);
        let ended = if declined {
            OrderFact::PaymentDeclined { attempt: number, expires_at }
        } else {
            OrderFact::PaymentVoided { attempt: number }
        };
        let mut facts = vec![ended];
        if self.status.paying() && declined && number >= limits::MAX_ATTEMPTS {
            facts.push(OrderFact::Cancelled { reason: Label::new("payment_failed") });
        } else if self.status.paying() && now >= expires_at {
            facts.push(OrderFact::Expired);
        }
        facts
    }

    fn decide_timeout(&self, now: Timestamp, attempt: &Attempt, policy: &Policy) -> Vec<OrderFact> {
        let number = attempt.number;
        if !self.status.paying() || !attempt.state.open() {
            return Vec::new();
        }
        if plant::active(Bug::TimeoutIsFailure) {
            return self.decide_ended(now, attempt, policy, true);
        }
        if now >= attempt.pin_until.plus(policy.unknown_max_ms) {
            return vec![OrderFact::Expired];
        }
        // An attempt that never opened is simply opened again.
        let fresh = attempt.state == AttemptState::Open;
        if fresh { vec![OrderFact::PaymentUnknown { attempt: number }] } else { Vec::new() }
    }

    pub(super) fn evolve_payment(&mut self, at: Timestamp, fact: OrderFact) {
        match fact {
            OrderFact::PaymentStarted { attempt, provider, return_url, pin_until, key } => {
                self.attempt_started(Attempt {
                    number: attempt,
                    provider: *provider,
                    return_url: return_url.map(|url| *url),
                    redirect_url: None,
                    state: AttemptState::Opening,
                    started_at: at,
                    pin_until,
                    key: key.map(|key| *key),
                });
                self.status = Status::PaymentInFlight;
                self.unpin = false;
            }
            OrderFact::PaymentOpened { attempt, redirect_url } => {
                if let Some(attempt) = self.turn_attempt(attempt, AttemptState::Open) {
                    attempt.redirect_url = Some(redirect_url);
                }
            }
            OrderFact::PaymentUnknown { attempt } => {
                self.turn_attempt(attempt, AttemptState::Unknown);
                self.status = Status::PaymentUnknown;
            }
            OrderFact::PaymentDeclined { attempt, expires_at } => {
                self.expires_at = expires_at;
                self.attempt_over(attempt, AttemptState::Declined);
            }
            OrderFact::PaymentVoided { attempt } => self.attempt_over(attempt, AttemptState::Voided),
            OrderFact::Paid { attempt } => {
                self.turn_attempt(attempt, AttemptState::Captured);
                self.decided(Status::Confirmed);
            }
            OrderFact::PaymentLate { attempt } => {
                self.turn_attempt(attempt, AttemptState::Captured);
                self.status = Status::LatePayment;
            }
            OrderFact::RefundDue { attempt, generation, .. } => {
                self.turn_attempt(attempt, AttemptState::RefundDue);
                self.refund_decided(generation);
            }
            OrderFact::Refunded { attempt } => {
                self.turn_attempt(attempt, AttemptState::Refunded);
                let late = self.status == Status::LatePayment;
                if late && !self.attempts.iter().any(|attempt| attempt.state == AttemptState::Captured) {
                    self.status = Status::Refunded;
                }
            }
            OrderFact::Placed(_) | OrderFact::Held { .. } | OrderFact::Rejected { .. } | OrderFact::Expired => {}
            OrderFact::Cancelled { .. } | OrderFact::Extended { .. } | OrderFact::Confirmed { .. } => {}
            OrderFact::Reheld { .. } | OrderFact::Settled | OrderFact::TooManyLocations { .. } => {}
        }
    }

    fn attempt_started(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
    }

    fn turn_attempt(&mut self, number: u8, state: AttemptState) -> Option<&mut Attempt> {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.number == number)?;
        attempt.state = state;
        Some(attempt)
    }

    fn attempt_over(&mut self, number: u8, state: AttemptState) {
        self.turn_attempt(number, state);
        let another = self.attempts.iter().any(|attempt| attempt.state.open());
        if self.status.paying() && !another {
            self.status = Status::AwaitingPayment;
            self.unpin = true;
        }
    }
}
