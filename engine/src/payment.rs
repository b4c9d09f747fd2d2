//! The words between the engine and a payment provider: what it is asked, what it answers, where an attempt stands.
//!
//! Invariant: a value says nothing about an order; `order` decides what follows from it.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptState {
    /// The provider has not confirmed that it knows the attempt.
    Opening,
    Open,
    /// The provider was asked and did not answer.
    Unknown,
    Captured,
    Declined,
    Voided,
    RefundDue,
    Refunded,
}

impl AttemptState {
    /// The provider may still take the money.
    pub fn open(self) -> bool {
        matches!(self, AttemptState::Opening | AttemptState::Open | AttemptState::Unknown)
    }
}

/// How the payment of an order stands, all attempts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStatus {
    None,
    Pending,
    Unknown,
    Captured,
    /// The order is confirmed and was paid elsewhere.
    Invoiced,
    Failed,
    RefundDue,
    Refunded,
}

/// What a provider said about an attempt, by webhook or when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Captured,
    Declined,
    /// The buyer has not decided.
    Pending,
    /// Void succeeded, or the provider never heard of the attempt and never will.
    Voided,
    Refunded,
    /// Nobody knows: the provider did not answer in time.
    Timeout,
}

/// What the order wants from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    Create,
    Query,
    Void,
    Refund,
}
