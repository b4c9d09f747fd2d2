//! The registry of payment providers: by which names orders may pay, and who is called under each.
//!
//! Invariant: a name that a request may have is called by its provider alone; of one that is turned off nothing is known, so that it
//! is asked again until it is on.

use super::sandbox::Sandbox;
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::ids::Provider;
use holdfast_engine::order::Outcome;
use std::future::ready;
use std::sync::Arc;

/// A provider of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Sandbox,
}

impl Known {
    pub const ALL: [Self; 1] = [Self::Sandbox];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// The provider of this name, whether it is turned on or not.
pub fn provider(name: &str) -> Option<Provider> {
    Provider::new(Known::named(name)?.name())
}

/// What the name of a provider must be.
pub fn rule() -> String {
    format!("must be {}", Known::ALL.map(|known| format!("{:?}", known.name())).join(" or "))
}

/// Calls each provider by its name.
pub struct Registry {
    sandbox: Option<Arc<Sandbox>>,
}

impl Registry {
    /// Of the providers that are turned on.
    pub fn of(sandbox: Option<Arc<Sandbox>>) -> Self {
        Self { sandbox }
    }
}

impl PaymentProvider for Registry {
    fn call(&self, call: &ProviderCall) -> Answering {
        let called = match Known::named(call.provider.as_str()) {
            Some(Known::Sandbox) => self.sandbox.as_ref().map(|sandbox| sandbox.call(call)),
            None => None,
        };
        called.unwrap_or_else(|| Box::pin(ready(Answer::Outcome(Outcome::Timeout))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::{AttemptId, OrderId};
    use holdfast_engine::order::CallKind;
    use holdfast_engine::quantity::Money;

    #[test]
    fn a_request_may_name_the_providers_of_the_registry_and_no_others() {
        for known in Known::ALL {
            assert_eq!(provider(known.name()).unwrap().as_str(), known.name());
            assert!(rule().contains(known.name()));
        }
        for other in ["", "Sandbox", "sandbox ", "stripe"] {
            assert_eq!(provider(other), None, "{other:?}");
        }
    }

    #[actix_web::test]
    async fn a_provider_is_called_by_its_name_and_of_one_that_is_off_or_unknown_nothing_is_known() {
        let sandbox = Sandbox::open(None, "http://127.0.0.1:1").unwrap();
        let call = |provider: &str| ProviderCall {
            attempt: AttemptId { order: OrderId::from_bytes([1; 16]), number: 1 },
            provider: Provider::new(provider).unwrap(),
            kind: CallKind::Create,
            amount: Money::new(5),
            currency: None,
            return_url: None,
        };
        let on = Registry::of(Some(sandbox));
        assert!(matches!(on.call(&call("sandbox")).await, Answer::Opened(_)));
        assert_eq!(on.call(&call("other")).await, Answer::Outcome(Outcome::Timeout));
        assert_eq!(Registry::of(None).call(&call("sandbox")).await, Answer::Outcome(Outcome::Timeout));
    }
}
