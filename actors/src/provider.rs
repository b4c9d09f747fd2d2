//! Calls to payment providers, outside the shard threads.
//!
//! Invariant: every call ends in exactly one result to the order's partition; silence becomes `Timeout`, never failure.

use crate::inbox::ShardMessage;
use crate::router::Router;
use crate::tuning::Tuning;
use actix::Arbiter;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::ids::Url;
use holdfast_engine::order::Outcome;
use holdfast_engine::partition::ProviderResult;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// What a provider answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The attempt exists and the buyer pays there.
    Opened(Url),
    Outcome(Outcome),
}

pub type Answering = Pin<Box<dyn Future<Output = Answer>>>;

/// The provider port: create, query, void and refund, each idempotent by attempt.
/// An implementation answers `Outcome(Timeout)` for whatever it cannot know.
pub trait PaymentProvider: 'static {
    fn call(&self, call: &ProviderCall) -> Answering;
}

/// Makes the provider on the thread that will use it.
pub type MakeProvider = Box<dyn FnOnce() -> Rc<dyn PaymentProvider> + Send>;

/// Calls under way at once.
const MAX_CALLS: usize = 256;

/// Hands calls to the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct ProviderDispatcher {
    calls: mpsc::UnboundedSender<ProviderCall>,
}

impl ProviderDispatcher {
    /// Opens the dispatcher on an arbiter of its own.
    pub fn open(arbiter: &Arbiter, router: Router, make: MakeProvider, tuning: Arc<Tuning>) -> Self {
        // Bounded by the orders that are paying: one call an order at a time.
        let (calls, queue) = mpsc::unbounded_channel();
        arbiter.spawn_fn(move || {
            let provider = make();
            actix_rt::spawn(serve(queue, router, provider, tuning));
        });
        Self { calls }
    }

    pub fn call(&self, call: ProviderCall) {
        // A dispatcher that is gone means an engine that stops: the call follows again from the order.
        let _ = self.calls.send(call);
    }
}

async fn serve(
    mut queue: mpsc::UnboundedReceiver<ProviderCall>,
    router: Router,
    provider: Rc<dyn PaymentProvider>,
    tuning: Arc<Tuning>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CALLS));
    while let Some(call) = queue.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (router, provider, timeout) = (router.clone(), provider.clone(), tuning.provider_timeout());
        actix_rt::spawn(async move {
            let answer = tokio::time::timeout(timeout, provider.call(&call)).await;
            let result = result_of(&call, answer.unwrap_or(Answer::Outcome(Outcome::Timeout)));
            router.inbox(call.attempt.order.partition()).push(ShardMessage::Provider(result));
            drop(slot);
        });
    }
}

fn result_of(call: &ProviderCall, answer: Answer) -> ProviderResult {
    let attempt = call.attempt;
    match answer {
        Answer::Opened(redirect_url) => ProviderResult::Opened { attempt, redirect_url },
        Answer::Outcome(outcome) => ProviderResult::Outcome { attempt, kind: call.kind, outcome },
    }
}
