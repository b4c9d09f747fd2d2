//! Which decisions follow from which state. Rules of `decide` and `payment` make them; here is what any of them must keep.
//!
//! Invariant: looked at before a fact is journalled, as what does not follow would be folded ever after.

use super::{AttemptState, Order, Status};
use crate::event::OrderFact;

impl Order {
    pub(crate) fn may_decide(&self, fact: &OrderFact) -> bool {
        let status = self.status;
        let holds = status == Status::AwaitingPayment || status.paying();
        let is = |number: u8, state: AttemptState| self.attempt(number).is_some_and(|attempt| attempt.state == state);
        let open = |number: u8| self.attempt(number).is_some_and(|attempt| attempt.state.open());
        match fact {
            OrderFact::Placed(_) => false,
            OrderFact::Held { .. } | OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => {
                status == Status::Reserving
            }
            // The one final decision, once.
            OrderFact::Expired | OrderFact::Cancelled { .. } => holds || status == Status::Reserving,
            OrderFact::Confirmed { .. } | OrderFact::Extended { .. } => status == Status::AwaitingPayment,
            OrderFact::Paid { attempt } => (holds || status == Status::LatePayment) && self.attempt(*attempt).is_some(),
            OrderFact::Reheld { generation, .. } => status == Status::LatePayment && *generation > self.generation,
            OrderFact::Settled => !self.stock_settled,
            OrderFact::PaymentStarted { attempt, .. } => {
                status == Status::AwaitingPayment && *attempt == self.attempts_made() + 1
            }
            OrderFact::PaymentOpened { attempt, .. } => is(*attempt, AttemptState::Opening),
            OrderFact::PaymentUnknown { attempt } => status.paying() && is(*attempt, AttemptState::Open),
            OrderFact::PaymentDeclined { attempt, .. } | OrderFact::PaymentVoided { attempt } => open(*attempt),
            OrderFact::PaymentLate { attempt } => {
                matches!(status, Status::Expired | Status::Cancelled) && self.attempt(*attempt).is_some()
            }
            OrderFact::RefundDue { attempt, .. } => {
                matches!(status, Status::Confirmed | Status::LatePayment | Status::Refunded) && self.attempt(*attempt).is_some()
            }
            OrderFact::Refunded { attempt } => is(*attempt, AttemptState::RefundDue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::examples;
    use crate::event::OrderRecord;
    use crate::ids::OrderId;
    use std::sync::Arc;

    fn held() -> Order {
        Order::of(OrderId::from_bytes([0; 16]), examples::history().prefix(2).unwrap())
    }

    fn after(mut order: Order, fact: OrderFact) -> Order {
        order.evolve(&OrderRecord { seq: 9, at: order.updated_at(), fact: Arc::new(fact) });
        order
    }

    #[test]
    fn the_final_decision_is_made_once() {
        let finals = [OrderFact::Expired, OrderFact::Cancelled { reason: None }, OrderFact::Confirmed { reason: None }];
        for first in &finals {
            assert!(held().may_decide(first), "{first:?}");
            let over = after(held(), first.clone());
            assert!(finals.iter().all(|second| !over.may_decide(second)), "{first:?}");
            assert!(over.may_decide(&OrderFact::Settled), "{first:?}");
        }
    }

    #[test]
    fn no_fact_is_about_an_attempt_that_was_never_started() {
        let attempt = 1;
        assert!(!held().may_decide(&OrderFact::Paid { attempt }));
        assert!(!held().may_decide(&OrderFact::PaymentDeclined { attempt, expires_at: held().expires_at }));
        assert!(!held().may_decide(&OrderFact::Refunded { attempt }));
    }
}
