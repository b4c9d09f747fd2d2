//! Payments by a provider that is turned off.
//!
//! Invariant: none is started, as it would never open; but what was started under a key is answered again under it, whatever
//! was turned off since.

use super::history;
use crate::http::problem::{Code, Problem};
use crate::state::App;
use holdfast_engine::event::OrderFact;
use holdfast_engine::ids::{KeyHash, OrderId};

/// Whether nobody here could open a payment.
pub fn is_off(app: &App) -> bool {
    app.sandbox.is_none()
}

/// Lets a payment pass that was started before under this key; and one for an order nobody knows, which is refused as that.
///
/// # Errors
/// `provider_unavailable` for a new one, or why that cannot be known.
pub async fn started_before(app: &App, order: OrderId, key: KeyHash) -> Result<(), Problem> {
    let started = |fact: &OrderFact| match fact {
        OrderFact::PaymentStarted { key: Some(used), .. } => used.0 == key,
        _ => false,
    };
    let known = history(app, order).await?.is_none_or(|history| history.facts().any(|fact| started(&fact)));
    if known { Ok(()) } else { Err(provider_unavailable()) }
}

pub(crate) fn provider_unavailable() -> Problem {
    Problem::new(Code::ProviderUnavailable, "the sandbox, the only provider of this server, is turned off")
}
