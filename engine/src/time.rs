//! Time as a value. The engine never reads a clock: `now` arrives with each input.

use crate::limits;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch: before everything that happens.
    pub const ZERO: Self = Self(0);

    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Later by so much, or the end of time.
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Durations that steer sagas. They shape future decisions only: every event carries the absolute times it chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a pinned hold waits for the provider before the attempt is voided.
    pub pin_ms: u64,
    /// First question to a silent provider after this; the waits then double up to `query_max_ms`.
    pub query_after_ms: u64,
    pub query_max_ms: u64,
    /// An attempt nobody can tell the outcome of is given up after this.
    pub unknown_max_ms: u64,
    /// A declined buyer has at least this long to try again.
    pub decline_grace_ms: u64,
    /// A SKU asks the order about a hold this long after the hold's time.
    pub probe_grace_ms: u64,
    pub ask_every_ms: u64,
    /// First resend of an unanswered message; the waits then double up to `resend_max_ms`.
    pub resend_ms: u64,
    pub resend_max_ms: u64,
    /// An order whose SKUs do not answer for this long expires.
    pub reserve_timeout_ms: u64,
    pub late_payment: LatePayment,
    /// A hold is extended by so long from now on, at most.
    pub max_ttl_ms: u64,
    /// An extended hold ends so long after it was placed, at the latest.
    pub max_life_ms: u64,
    /// So often a hold is extended, at most.
    pub max_extensions: u32,
}

/// What happens to money that arrives after its order expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatePayment {
    /// Hold all lines afresh and confirm; refund only where that fails.
    Rehold,
    Refund,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            pin_ms: 1_200_000,
            query_after_ms: 10_000,
            query_max_ms: 60_000,
            unknown_max_ms: 86_400_000,
            decline_grace_ms: 60_000,
            probe_grace_ms: 5_000,
            ask_every_ms: 10_000,
            resend_ms: 250,
            resend_max_ms: 5_000,
            reserve_timeout_ms: 30_000,
            late_payment: LatePayment::Rehold,
            max_ttl_ms: limits::MAX_TTL_MS,
            max_life_ms: limits::DEFAULT_LIFE_MS,
            max_extensions: limits::DEFAULT_EXTENSIONS,
        }
    }
}
