//! What an order may decide, and what it then wants of its SKUs.

use super::{Order, Status};
use crate::event::{FactKind, HoldLimit, Kind, LineRef, List, OrderFact, RefundReason, ReleaseCause, Shortage, SkuHold};
use crate::ids::{Fingerprint, HoldKey, KeyHash, Label, Provider, Sku, Url};
use crate::limits;
use crate::plant::{self, Bug};
use crate::quantity::Quantity;
use crate::rejection::Rejection;
use crate::stock::{HoldOp, ReserveRefusal};
use crate::time::{Policy, Timestamp};

/// What the order has every SKU do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldIntent {
    Reserve,
    Op(HoldOp),
}

/// The reply of one SKU to [`HoldIntent::Reserve`].
#[derive(Clone, Debug, PartialEq)]
pub enum StockReply {
    Held(Vec<crate::event::Allocation>),
    Refused(ReserveRefusal),
}

impl Order {
    /// What the SKUs are to do in this state, for which generation of holds; `None` when there is nothing to do.
    pub fn hold_intent(&self) -> Option<(HoldIntent, HoldKey)> {
        let hold = HoldKey { order: self.id, generation: self.generation };
        let next = HoldKey { generation: self.generation + 1, ..hold };
        let release = |cause| (!self.stock_settled).then_some((HoldIntent::Op(HoldOp::Release(cause)), hold));
        match self.status {
            Status::Reserving => Some((HoldIntent::Reserve, hold)),
            Status::AwaitingPayment => self.unpin.then_some((HoldIntent::Op(HoldOp::Unpin), hold)),
            Status::PaymentInFlight | Status::PaymentUnknown => Some((HoldIntent::Op(HoldOp::Pin), hold)),
            Status::Confirmed => (!self.stock_settled).then_some((HoldIntent::Op(HoldOp::Commit), hold)),
            Status::Expired => release(ReleaseCause::Expired),
            Status::Cancelled | Status::Rejected | Status::Refunded => release(ReleaseCause::Released),
            Status::LatePayment if !self.stock_settled => release(ReleaseCause::Expired),
            Status::LatePayment => self.rehold_wanted().then_some((HoldIntent::Reserve, next)),
        }
    }

    fn rehold_wanted(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.state == super::AttemptState::Captured)
    }

    /// The SKUs that must do it, with their units: those that hold, and before that is known those that may.
    pub fn participants(&self) -> Vec<(Sku, Quantity)> {
        if self.holds().len() > 0 {
            return self.holds().map(|hold| (Sku::of_checked(hold.sku), hold.units())).collect();
        }
        let mut requested = self.requested();
        let shortages = self.shortages();
        requested.retain(|(sku, _)| shortages.iter().all(|shortage| shortage.sku != *sku));
        requested
    }

    /// What follows once every SKU has done as told.
    pub fn decide_settled(&self) -> Vec<OrderFact> {
        if self.stock_settled { Vec::new() } else { vec![OrderFact::Settled] }
    }

    /// What follows once every SKU has answered a reserve.
    pub fn decide_replies(&self, answers: Vec<(Sku, StockReply)>) -> Vec<OrderFact> {
        let refused = |answer: &StockReply| matches!(answer, StockReply::Refused(_));
        let late = self.status == Status::LatePayment;
        let partial = self.allow_partial && !late;
        let some_refused = answers.iter().any(|(_, answer)| refused(answer));
        let all_refused = answers.iter().all(|(_, answer)| refused(answer));
        let unknown = answers.iter().any(|(_, answer)| matches!(answer, StockReply::Refused(ReserveRefusal::Unknown)));
        let failed = if partial { all_refused || unknown } else { some_refused };
        match (failed, late) {
            (true, false) => vec![self.rejected(&answers)],
            (false, false) => vec![OrderFact::Held { holds: holds_of(answers) }],
            (true, true) => self.late_refund(),
            (false, true) => self.late_recovered(holds_of(answers)),
        }
    }

    /// Where units are short or a SKU is unknown the order is rejected for that, whatever else stands against it.
    fn rejected(&self, answers: &[(Sku, StockReply)]) -> OrderFact {
        let shortages = self.shortages_of(answers);
        let scattered = |answer: &StockReply| match answer {
            StockReply::Refused(refusal) => matches!(refusal, ReserveRefusal::TooManyLocations { .. }),
            StockReply::Held(_) => true,
        };
        if answers.iter().all(|(_, answer)| scattered(answer)) {
            OrderFact::TooManyLocations { shortages }
        } else {
            OrderFact::Rejected { shortages }
        }
    }

    fn late_refund(&self) -> Vec<OrderFact> {
        let due = self.captured().map(|attempt| OrderFact::RefundDue {
            attempt,
            generation: self.generation + 1,
            reason: RefundReason::OrderOver,
        });
        due.into_iter().collect()
    }

    fn late_recovered(&self, holds: Vec<SkuHold>) -> Vec<OrderFact> {
        let Some(attempt) = self.captured() else { return Vec::new() };
        // A late order is confirmed for what was paid: anything less is refunded instead.
        let units = |held: Quantity| u64::from(held.units());
        let before: u64 = self.holds().map(|hold| units(hold.units())).sum();
        if holds.iter().map(|hold| units(hold.units())).sum::<u64>() < before {
            return self.late_refund();
        }
        vec![OrderFact::Reheld { generation: self.generation + 1, holds }, OrderFact::Paid { attempt }]
    }

    fn captured(&self) -> Option<u8> {
        let captured = |attempt: &&super::Attempt| attempt.state == super::AttemptState::Captured;
        self.attempts.iter().find(captured).map(|attempt| attempt.number)
    }

    fn shortages_of(&self, answers: &[(Sku, StockReply)]) -> Vec<Shortage> {
        let lines = self.asked();
        let units = self.requested();
        let refused = answers.iter().filter_map(|(sku, answer)| match answer {
            StockReply::Refused(refusal) => Some((sku, refusal.available())),
            StockReply::Held(_) => None,
        });
        refused
            .map(|(sku, available)| Shortage {
                line: line_of(lines, sku),
                sku: sku.clone(),
                requested: units.iter().find(|(other, _)| other == sku).map(|(_, units)| *units).unwrap_or_default(),
                available,
            })
            .collect()
    }

    /// Expiry, if its time has come. Paid orders and open attempts do not expire.
    pub fn decide_expiry(&self, now: Timestamp, policy: &Policy) -> Vec<OrderFact> {
        let due = match self.status {
            Status::AwaitingPayment => now >= self.expires_at,
            Status::Reserving => now >= self.created_at().plus(policy.reserve_timeout_ms),
            Status::Confirmed if plant::active(Bug::ExpireAfterPayment) => now >= self.expires_at && !self.stock_settled,
            Status::PaymentInFlight | Status::PaymentUnknown | Status::Confirmed | Status::Cancelled => false,
            Status::Expired | Status::Rejected | Status::LatePayment | Status::Refunded => false,
        };
        if due { vec![OrderFact::Expired] } else { Vec::new() }
    }

    /// When [`Self::decide_expiry`] has something to say.
    pub fn expiry(&self, policy: &Policy) -> Option<Timestamp> {
        match self.status {
            Status::AwaitingPayment => Some(self.expires_at),
            Status::Reserving => Some(self.created_at().plus(policy.reserve_timeout_ms)),
            Status::Confirmed if plant::active(Bug::ExpireAfterPayment) && !self.stock_settled => Some(self.expires_at),
            Status::PaymentInFlight | Status::PaymentUnknown | Status::Confirmed | Status::Cancelled => None,
            Status::Expired | Status::Rejected | Status::LatePayment | Status::Refunded => None,
        }
    }

    pub fn decide_cancel(&self, reason: Option<Label>) -> Result<Vec<OrderFact>, Rejection> {
        match self.status {
            Status::Reserving | Status::AwaitingPayment | Status::PaymentInFlight | Status::PaymentUnknown => {
                Ok(vec![OrderFact::Cancelled { reason }])
            }
            Status::Cancelled => Ok(Vec::new()),
            // Deleting a reservation whose units are back anyway is what the caller wanted.
            Status::Expired | Status::Rejected if self.kind() == Kind::Reservation => Ok(Vec::new()),
            Status::Confirmed | Status::Expired | Status::Rejected | Status::LatePayment | Status::Refunded => {
                Err(self.invalid_transition())
            }
        }
    }

    /// Paid by invoice, or a reservation committed.
    pub fn decide_confirm(&self, now: Timestamp, reason: Option<Label>) -> Result<Vec<OrderFact>, Rejection> {
        match self.status {
            Status::AwaitingPayment if now < self.expires_at => Ok(vec![OrderFact::Confirmed { reason }]),
            Status::Confirmed => Ok(Vec::new()),
            Status::AwaitingPayment | Status::Expired => Err(Rejection::ReservationExpired),
            Status::Reserving | Status::PaymentInFlight | Status::PaymentUnknown | Status::Cancelled => {
                Err(self.invalid_transition())
            }
            Status::Rejected | Status::LatePayment | Status::Refunded => Err(self.invalid_transition()),
        }
    }

    /// A new end counted from now. Never shortens the life of the hold, and never makes it longer than the policy has it.
    pub fn decide_extend(&self, now: Timestamp, ttl_ms: u64, policy: &Policy) -> Result<Vec<OrderFact>, Rejection> {
        match self.status {
            Status::AwaitingPayment if now < self.expires_at => {
                let max_ms = policy.max_ttl_ms;
                if ttl_ms > max_ms {
                    return Err(Rejection::HoldTooLong { max_ms });
                }
                let expires_at = now.plus(ttl_ms).max(self.expires_at);
                self.may_be_extended(expires_at, policy)?;
                Ok(vec![OrderFact::Extended { expires_at }])
            }
            Status::AwaitingPayment | Status::Expired => Err(Rejection::ReservationExpired),
            Status::Reserving | Status::PaymentInFlight | Status::PaymentUnknown | Status::Confirmed => {
                Err(self.invalid_transition())
            }
            Status::Cancelled | Status::Rejected | Status::LatePayment | Status::Refunded => Err(self.invalid_transition()),
        }
    }

    /// Counted from its facts, so that neither a restart nor a snapshot forgets one.
    fn may_be_extended(&self, expires_at: Timestamp, policy: &Policy) -> Result<(), Rejection> {
        let (max, max_ms) = (policy.max_extensions, policy.max_life_ms);
        if self.extensions() >= max as usize {
            return Err(Rejection::HoldLimit(HoldLimit::Extensions { max }));
        }
        let longer = expires_at > self.expires_at && expires_at > self.created_at().plus(max_ms);
        if longer { Err(Rejection::HoldLimit(HoldLimit::Life { max_ms })) } else { Ok(()) }
    }

    fn extensions(&self) -> usize {
        self.history.iter().filter(|record| record.kind == FactKind::Extended).count()
    }

    pub fn decide_payment(
        &self,
        now: Timestamp,
        provider: Provider,
        return_url: Option<Url>,
        key: Option<(KeyHash, Fingerprint)>,
        policy: &Policy,
    ) -> Result<Vec<OrderFact>, Rejection> {
        let attempt = self.attempts_made() + 1;
        match self.status {
            Status::AwaitingPayment if now >= self.expires_at => Err(Rejection::ReservationExpired),
            Status::AwaitingPayment if attempt <= limits::MAX_ATTEMPTS && self.kind() == Kind::Order => {
                let pin_until = now.plus(policy.pin_ms);
                let (provider, return_url, key) = (Box::new(provider), return_url.map(Box::new), key.map(Box::new));
                Ok(vec![OrderFact::PaymentStarted { attempt, provider, return_url, pin_until, key }])
            }
            Status::Expired => Err(Rejection::ReservationExpired),
            Status::Reserving | Status::AwaitingPayment | Status::PaymentInFlight | Status::PaymentUnknown => {
                Err(self.invalid_transition())
            }
            Status::Confirmed | Status::Cancelled | Status::Rejected | Status::LatePayment | Status::Refunded => {
                Err(self.invalid_transition())
            }
        }
    }

    fn invalid_transition(&self) -> Rejection {
        Rejection::InvalidTransition { kind: self.kind(), status: self.status }
    }
}

/// The first line that names a SKU, from 1.
fn line_of<'a>(mut lines: List<'a, LineRef<'a>>, sku: &Sku) -> u16 {
    lines.position(|line| line.sku == sku.as_str()).map_or(0, line_number)
}

/// Lines count from 1.
fn line_number(index: usize) -> u16 {
    u16::try_from(index + 1).expect("an order has at most MAX_LINES lines")
}

fn holds_of(answers: Vec<(Sku, StockReply)>) -> Vec<SkuHold> {
    let held = answers.into_iter().filter_map(|(sku, answer)| match answer {
        StockReply::Held(allocations) => Some(SkuHold { sku, allocations }),
        StockReply::Refused(_) => None,
    });
    held.collect()
}
