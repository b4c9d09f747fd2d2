//! The simulated payment provider with its buyers: the only one that knows what really became of an attempt.
//!
//! Invariant: calls are idempotent by attempt and kind; money is taken at most once and given back at most once.

use super::ledger::{Checked, require};
use holdfast_engine::ids::{AttemptId, Url};
use holdfast_engine::order::{CallKind, Outcome};
use holdfast_engine::partition::ProviderResult;
use std::collections::BTreeMap;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Truth {
    /// Never heard of.
    #[default]
    Unknown,
    Pending,
    Captured,
    Declined,
    Voided,
    Refunded,
}

/// One attempt at the provider.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remote {
    pub truth: Truth,
    pub opened: bool,
    /// A card was declined, whatever came of the attempt later.
    pub declined: bool,
    /// The last outcome the merchant has heard by webhook and said so.
    pub acknowledged: Option<Outcome>,
}

#[derive(Debug, Default)]
pub(super) struct RemoteProvider {
    pub attempts: BTreeMap<AttemptId, Remote>,
}

impl RemoteProvider {
    pub(super) fn truth(&self, attempt: AttemptId) -> Truth {
        self.attempts.get(&attempt).map_or(Truth::Unknown, |remote| remote.truth)
    }

    /// Carries a call out. True if a buyer now has something to decide.
    pub(super) fn carry_out(&mut self, attempt: AttemptId, kind: CallKind) -> Result<bool, super::ledger::Breach> {
        let remote = self.attempts.entry(attempt).or_default();
        match (kind, remote.truth) {
            (CallKind::Create, Truth::Unknown) => {
                (remote.truth, remote.opened) = (Truth::Pending, true);
                return Ok(true);
            }
            (CallKind::Void, Truth::Unknown | Truth::Pending) => remote.truth = Truth::Voided,
            (CallKind::Refund, truth) => {
                refundable(attempt, truth)?;
                remote.truth = Truth::Refunded;
            }
            (CallKind::Create | CallKind::Query | CallKind::Void, _) => {}
        }
        Ok(false)
    }

    /// The buyer decides, if it is not too late: a declined card may be followed by another one on the same page.
    pub(super) fn decide(&mut self, attempt: AttemptId, approves: bool) -> Option<Outcome> {
        let remote = self.attempts.get_mut(&attempt)?;
        match (remote.truth, approves) {
            (Truth::Pending | Truth::Declined, true) => {
                remote.truth = Truth::Captured;
                Some(Outcome::Captured)
            }
            (Truth::Pending, false) => {
                (remote.truth, remote.declined) = (Truth::Declined, true);
                Some(Outcome::Declined)
            }
            (Truth::Declined | Truth::Unknown | Truth::Captured | Truth::Voided | Truth::Refunded, _) => None,
        }
    }

    pub(super) fn declined(&self, attempt: AttemptId) -> bool {
        self.attempts.get(&attempt).is_some_and(|remote| remote.declined)
    }

    pub(super) fn answer(&self, attempt: AttemptId, kind: CallKind) -> ProviderResult {
        let remote = self.attempts.get(&attempt).copied().unwrap_or_default();
        let outcome = match remote.truth {
            Truth::Unknown | Truth::Pending => Outcome::Pending,
            Truth::Captured => Outcome::Captured,
            Truth::Declined => Outcome::Declined,
            Truth::Voided => Outcome::Voided,
            Truth::Refunded => Outcome::Refunded,
        };
        match page(attempt).filter(|_| kind == CallKind::Create && remote.opened) {
            Some(redirect_url) => ProviderResult::Opened { attempt, redirect_url },
            None => ProviderResult::Outcome { attempt, kind, outcome },
        }
    }
}

fn refundable(attempt: AttemptId, truth: Truth) -> Checked {
    require(matches!(truth, Truth::Captured | Truth::Refunded), "I9 only money that was taken is given back", || {
        format!("a refund of {attempt} was asked for, which is {truth:?}")
    })
}

fn page(attempt: AttemptId) -> Option<Url> {
    Url::new(&format!("https://pay.example/{attempt}"))
}
