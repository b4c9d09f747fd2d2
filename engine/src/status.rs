//! The states of the saga of an order, with their names. Below `order`, which moves through them, and `rejection`,
//! which names them.
//!
//! Invariant: an order and a reservation share the states; only the names differ.

use serde::{Deserialize, Serialize};

/// What was placed. Encoded by position: new variants go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Order,
    /// The same saga without payment.
    Reservation,
}

/// Where the saga stands. A reservation uses the same states under names of its own (see [`Status::name`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Reserving,
    /// Units are held. The name for an order; a reservation is simply held.
    AwaitingPayment,
    PaymentInFlight,
    PaymentUnknown,
    Confirmed,
    Cancelled,
    Expired,
    Rejected,
    LatePayment,
    Refunded,
}

impl Status {
    const ALL: [Status; 10] = [
        Status::Reserving,
        Status::AwaitingPayment,
        Status::PaymentInFlight,
        Status::PaymentUnknown,
        Status::Confirmed,
        Status::Cancelled,
        Status::Expired,
        Status::Rejected,
        Status::LatePayment,
        Status::Refunded,
    ];

    /// The inverse of [`Self::name`].
    pub fn named(kind: Kind, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name(kind) == name)
    }

    /// Refusals that are kept under a key have it in their bytes: a name never changes.
    pub fn name(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Status::Reserving, _) => "reserving",
            (Status::AwaitingPayment, Kind::Order) => "awaiting_payment",
            (Status::AwaitingPayment, Kind::Reservation) => "held",
            (Status::PaymentInFlight, _) => "payment_in_flight",
            (Status::PaymentUnknown, _) => "payment_unknown",
            (Status::Confirmed, Kind::Order) => "confirmed",
            (Status::Confirmed, Kind::Reservation) => "committed",
            (Status::Cancelled, Kind::Order) => "cancelled",
            (Status::Cancelled, Kind::Reservation) => "released",
            (Status::Expired, _) => "expired",
            (Status::Rejected, _) => "rejected",
            (Status::LatePayment, _) => "late_payment",
            (Status::Refunded, _) => "refunded",
        }
    }

    /// The order is over without goods: nothing of it may stay held.
    pub fn ended_without_goods(self) -> bool {
        matches!(self, Status::Cancelled | Status::Expired | Status::Rejected | Status::Refunded)
    }

    /// An attempt is open and the units are pinned.
    pub fn paying(self) -> bool {
        matches!(self, Status::PaymentInFlight | Status::PaymentUnknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_by_its_name_and_by_no_other() {
        for kind in [Kind::Order, Kind::Reservation] {
            assert!(Status::ALL.into_iter().all(|status| Status::named(kind, status.name(kind)) == Some(status)));
        }
        assert_eq!(Status::named(Kind::Order, Status::Confirmed.name(Kind::Reservation)), None);
    }
}
