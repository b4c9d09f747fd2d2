//! Words of the API for what the engine calls otherwise: states of money, buckets, and what may be asked of an order.
//!
//! Invariant: a word never changes its meaning. Names of states are the engine's: they are in bytes that it keeps.

use holdfast_engine::event::{Bucket, Kind};
use holdfast_engine::order::{AttemptState, PaymentStatus, Status};

/// What may be asked of an order or reservation in this state: the verbs of its path.
pub fn allowed(status: Status, kind: Kind) -> &'static [&'static str] {
    match (status, kind) {
        (Status::AwaitingPayment, Kind::Order) => &["payments", "cancel", "confirm"],
        (Status::AwaitingPayment, Kind::Reservation) => &["commit", "extend", "release"],
        (Status::Reserving, Kind::Order) => &["cancel"],
        (Status::Reserving, Kind::Reservation) => &["release"],
        (Status::PaymentInFlight | Status::PaymentUnknown, _) => &["cancel"],
        (Status::Confirmed | Status::Cancelled | Status::Expired, _) => &[],
        (Status::Rejected | Status::LatePayment | Status::Refunded, _) => &[],
    }
}

pub fn payment_status(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::None => "none",
        PaymentStatus::Pending => "pending",
        PaymentStatus::Unknown => "unknown",
        PaymentStatus::Captured => "captured",
        PaymentStatus::Invoiced => "invoiced",
        PaymentStatus::Failed => "failed",
        PaymentStatus::RefundDue => "refund_due",
        PaymentStatus::Refunded => "refunded",
    }
}

pub fn attempt(state: AttemptState) -> &'static str {
    match state {
        AttemptState::Opening => "opening",
        AttemptState::Open => "pending",
        AttemptState::Unknown => "unknown",
        AttemptState::Captured => "captured",
        AttemptState::Declined => "declined",
        AttemptState::Voided => "voided",
        AttemptState::RefundDue => "refund_due",
        AttemptState::Refunded => "refunded",
    }
}

pub fn bucket(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::OnHand => "on_hand",
        Bucket::Damaged => "damaged",
        Bucket::QualityControl => "quality_control",
    }
}
