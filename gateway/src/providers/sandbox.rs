//! The sandbox payment provider: behaves like a remote one, with a durable record of its own.
//!
//! Invariants: an attempt is captured once and refunded once; what a button promised is on disk before the page answers;
//! webhooks are delivered until taken, also after a restart.

mod record;
mod secrets;
mod store;
mod webhook;

pub use secrets::{Secrets, finish_roll, roll};
pub use store::{AttemptEvent, Entry, State};
pub use webhook::SIGNATURE;

use crate::process::file_error::{FileError, at};
use crate::wire::ids::Attempt;
use holdfast_actors::provider::{Answer, Answering};
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::ids::Url;
use holdfast_engine::order::{CallKind, Outcome};
use holdfast_storage::private;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
pub(crate) use store::Store;

/// Its files below the data directory: what happened, and what must stay between the server and those it trusts.
pub const RECORD: &str = "sandbox/attempts.jsonl";
pub const SECRETS: [&str; 3] = ["sandbox/webhook-secret", "sandbox/webhook-secret.previous", "sandbox/page-secret"];

/// What a button does with the webhook it causes.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Send it so many times more.
    #[serde(default)]
    pub duplicates: u8,
    /// Send it so much later.
    #[serde(default)]
    pub delay_ms: u64,
}

pub struct Sandbox {
    store: Mutex<Store>,
    pub secrets: Secrets,
    base_url: String,
}

impl Sandbox {
    /// Opens the record in the data directory, or one in memory, and goes on delivering webhooks not yet taken.
    ///
    /// # Errors
    /// If the record or a secret cannot be read or written.
    pub fn open(data_dir: Option<&Path>, base_url: &str) -> Result<Arc<Self>, FileError> {
        if let Some(dir) = data_dir {
            private::directory(dir).map_err(at(dir))?;
        }
        let dir = data_dir.map(secrets::dir_in);
        let (store, secrets) = (Mutex::new(Store::open(dir.as_deref())?), Secrets::open(dir.as_deref())?);
        let sandbox = Arc::new(Self { store, secrets, base_url: base_url.to_owned() });
        for (attempt, step) in sandbox.locked(|store| store.undelivered()) {
            sandbox.deliver(attempt, step, Delivery::default());
        }
        Ok(sandbox)
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        match self.store.lock() {
            Ok(mut store) => work(&mut store),
            // The record is on disk before memory changes, so a panic in between loses nothing.
            Err(poisoned) => work(&mut poisoned.into_inner()),
        }
    }

    pub fn entry(&self, attempt: &str) -> Option<Entry> {
        self.locked(|store| store.entry(attempt).cloned())
    }

    /// Where the buyer of an attempt pays.
    pub fn redirect_url(&self, attempt: &str) -> Option<Url> {
        Url::new(&format!("{}/sandbox/payments/{}", self.base_url, self.secrets.link(attempt)))
    }

    /// The attempt that the last part of a payment page's path names. `None` without the token it needs, which `trusted` callers
    /// need not have, or with a wrong one.
    pub fn attempt_of<'a>(&self, link: &'a str, trusted: bool) -> Option<&'a str> {
        match link.split_once('.') {
            Some((attempt, token)) => self.secrets.knows(attempt, token).then_some(attempt),
            None => trusted.then_some(link),
        }
    }

    /// A button was pressed. The attempt after that; `None` if there is none.
    ///
    /// # Errors
    /// If the record cannot be written: then nothing happened.
    pub fn press(self: &Arc<Self>, attempt: &str, step: AttemptEvent, delivery: Delivery) -> io::Result<Option<Entry>> {
        let pressed = self.locked(|store| store.record(attempt, step))?;
        if let Some((_, true)) = pressed
            && step != AttemptEvent::Silenced
        {
            self.deliver(attempt.to_owned(), step, delivery);
        }
        Ok(self.entry(attempt))
    }

    fn deliver(self: &Arc<Self>, attempt: String, step: AttemptEvent, delivery: Delivery) {
        let sandbox = self.clone();
        actix_web::rt::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delivery.delay_ms)).await;
            let delivered =
                webhook::deliver(&sandbox.base_url, sandbox.secrets.newest(), &attempt, step, delivery.duplicates).await;
            if delivered {
                let _ = sandbox.locked(|store| store.delivered(&attempt, step));
            }
        });
    }

    /// A call of the engine.
    pub fn call(self: &Arc<Self>, call: &ProviderCall) -> Answering {
        let (sandbox, call) = (self.clone(), call.clone());
        Box::pin(async move {
            // It syncs a file, so it must not run on the thread that makes the calls.
            match actix_web::web::block(move || sandbox.answer(&call)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Answer::Outcome(Outcome::Timeout),
            }
        })
    }

    fn answer(&self, call: &ProviderCall) -> io::Result<Answer> {
        let attempt = Attempt(call.attempt).to_string();
        if call.kind == CallKind::Create {
            let amount = (call.amount.minor(), call.currency.map(|currency| currency.as_str().to_owned()));
            let return_url = call.return_url.as_ref().map(|url| url.as_str().to_owned());
            self.locked(|store| store.create(&attempt, amount, return_url))?;
            let url = self.redirect_url(&attempt);
            return Ok(url.map_or(Answer::Outcome(Outcome::Timeout), Answer::Opened));
        }
        if call.kind == CallKind::Refund {
            // Whoever asks knows of the money, this record may be an older copy that does not: it must come to an end.
            self.locked(|store| store.record(&attempt, AttemptEvent::Refunded))?;
            return Ok(Answer::Outcome(Outcome::Refunded));
        }
        let Some(entry) = self.entry(&attempt) else {
            let unheard = if call.kind == CallKind::Void { Outcome::Voided } else { Outcome::Pending };
            return Ok(Answer::Outcome(unheard));
        };
        if entry.silent {
            return Ok(Answer::Outcome(Outcome::Timeout));
        }
        let state = match (call.kind, entry.state) {
            (CallKind::Void, State::Pending | State::Declined) => {
                self.locked(|store| store.record(&attempt, AttemptEvent::Voided))?
            }
            (CallKind::Create | CallKind::Query | CallKind::Void | CallKind::Refund, state) => Some((state, false)),
        };
        let outcome = match state.map(|(state, _)| state) {
            Some(State::Captured) => Outcome::Captured,
            Some(State::Declined) => Outcome::Declined,
            Some(State::Voided) => Outcome::Voided,
            Some(State::Refunded) => Outcome::Refunded,
            Some(State::Pending) | None => Outcome::Pending,
        };
        Ok(Answer::Outcome(outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::{AttemptId, OrderId, Provider};
    use holdfast_engine::quantity::Money;

    fn call(kind: CallKind) -> ProviderCall {
        let attempt = AttemptId { order: OrderId::from_bytes([1; 16]), number: 1 };
        let provider = Provider::new("sandbox").unwrap();
        ProviderCall { attempt, provider, kind, amount: Money::new(5), currency: None, return_url: None }
    }

    /// A record of an older copy beside a newer journal: it would be asked for the money again and again.
    #[actix_web::test]
    async fn a_refund_of_money_that_the_record_does_not_know_of_comes_to_an_end() {
        let buttons: [Option<&[AttemptEvent]>; 5] =
            [None, Some(&[]), Some(&[AttemptEvent::Declined]), Some(&[AttemptEvent::Silenced]), Some(&[AttemptEvent::Approved])];
        for pressed in buttons {
            let sandbox = Sandbox::open(None, "http://127.0.0.1:1").unwrap();
            let attempt = Attempt(call(CallKind::Refund).attempt).to_string();
            if let Some(steps) = pressed {
                sandbox.answer(&call(CallKind::Create)).unwrap();
                for step in steps {
                    sandbox.locked(|store| store.record(&attempt, *step)).unwrap();
                }
            }
            for _ in 0..2 {
                assert_eq!(sandbox.answer(&call(CallKind::Refund)).unwrap(), Answer::Outcome(Outcome::Refunded), "{pressed:?}");
            }
            // The buyer cannot pay behind it.
            let after = sandbox.press(&attempt, AttemptEvent::Approved, Delivery::default()).unwrap();
            assert_eq!(after.map(|entry| entry.state), pressed.map(|_| State::Refunded), "{pressed:?}");
        }
    }
}
