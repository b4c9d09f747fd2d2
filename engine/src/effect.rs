//! What a step wants done outside, as values. The shell and the simulator carry them out; neither looks inside.

use crate::answer::Reply;
use crate::codec::Batch;
use crate::event::{History, StoredResponse};
use crate::ids::{AttemptId, Fingerprint, KeyHash, OrderId, PartitionId, Provider, Url};
use crate::payment::CallKind;
use crate::protocol::Message;
use crate::quantity::{Currency, Money};
use std::sync::Arc;

/// Collects the effects of any number of steps, of any number of partitions.
#[derive(Debug, Default)]
pub struct Effects {
    /// Events to make durable, in order.
    pub batch: Batch,
    pub messages: Vec<Message>,
    /// Free to leave: the facts behind them are durable.
    pub replies: Vec<Reply>,
    pub calls: Vec<ProviderCall>,
    pub archive: Vec<Archive>,
    /// Things that must be impossible and were seen.
    pub alarms: Vec<String>,
}

/// A question to the payment provider. Idempotent by attempt and kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderCall {
    pub attempt: AttemptId,
    pub provider: Provider,
    pub kind: CallKind,
    pub amount: Money,
    pub currency: Option<Currency>,
    pub return_url: Option<Url>,
}

/// A closed thing to be written to the projection, after which it may leave memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Archive {
    Order { partition: PartitionId, order: OrderId, history: History },
    Key { partition: PartitionId, key: KeyHash, fingerprint: Fingerprint, answer: Arc<StoredResponse> },
}
