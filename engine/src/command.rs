//! The complete list of what one may ask of a partition.

use crate::event::{Bucket, Change, History, Kind, Placed, StoredResponse};
use crate::ids::{
    AttemptId, CustomerId, Fingerprint, KeyHash, Label, Location, OrderId, PartitionId, Partitions, Provider, RequestId, Seq,
    Sku, Url,
};
use crate::payment::Outcome;
use crate::quantity::Quantity;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `placed.number` is ignored: the partition numbers its orders.
    Place {
        order: OrderId,
        placed: Box<Placed>,
    },
    GetOrder {
        order: OrderId,
        kind: Option<Kind>,
    },
    Cancel {
        order: OrderId,
        kind: Kind,
        reason: Option<Label>,
    },
    Confirm {
        order: OrderId,
        kind: Kind,
        reason: Option<Label>,
    },
    Extend {
        order: OrderId,
        ttl_ms: u64,
    },
    StartPayment {
        order: OrderId,
        provider: Provider,
        return_url: Option<Url>,
        key: CommandKey,
    },
    /// A provider told the outcome of an attempt.
    PaymentResult {
        attempt: AttemptId,
        outcome: Outcome,
    },
    SetStock {
        sku: Sku,
        location: Location,
        on_hand: Quantity,
        safety_stock: Option<Quantity>,
        priority: Option<u16>,
        /// The versions it may have, 0 for a location that is new. None: any.
        expected: Option<Vec<u64>>,
    },
    AdjustStock {
        sku: Sku,
        location: Location,
        bucket: Bucket,
        delta: i64,
        reason: Label,
        reference: Option<Label>,
        key: CommandKey,
    },
    SetThreshold {
        sku: Sku,
        threshold: Quantity,
    },
    /// Takes a location that counts nothing off a SKU.
    CloseLocation {
        sku: Sku,
        location: Location,
        /// The versions that the SKU may have. None: any.
        expected: Option<Vec<u64>>,
    },
    GetStock {
        sku: Sku,
    },
    Availability {
        partition: PartitionId,
        skus: Vec<Sku>,
    },
    /// Orders that are in memory and pass the filter, placed after the record `after`.
    ListOrders {
        partition: PartitionId,
        filter: OrderFilter,
        after: Seq,
        limit: usize,
    },
    /// SKUs whose names begin so and come after `after`.
    ListStock {
        partition: PartitionId,
        prefix: Option<Sku>,
        after: Option<Sku>,
        limit: usize,
    },
    /// What was answered under a key. Binds nothing.
    GetAnswer {
        partition: PartitionId,
        key: CommandKey,
    },
    /// What an operator is about to change, journalled before it is done. The numbers are ignored: the partition counts its changes.
    RecordChanges {
        partition: PartitionId,
        changes: Vec<Change>,
    },
    /// What operators changed, the newest first, with numbers below `before`.
    ListChanges {
        partition: PartitionId,
        before: Option<u64>,
        limit: usize,
    },
    /// A command that is asked for under terms. Not another one of these.
    Under {
        terms: Box<Terms>,
        command: Box<Command>,
    },
}

/// Which orders a list has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OrderFilter {
    OfCustomer(CustomerId),
    Numbered(u64),
}

/// What a caller makes a command depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The versions that the order or SKU may have. None: any.
    pub versions: Option<Vec<u64>>,
    /// For a command that has no key of its own: executed once, and answered alike each time.
    pub key: Option<CommandKey>,
}

/// The idempotency key of a command whose answer no order keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandKey {
    pub hash: KeyHash,
    pub fingerprint: Fingerprint,
    pub request_id: RequestId,
}

impl Command {
    /// The partition whose actor decides.
    pub fn partition(&self, partitions: Partitions) -> PartitionId {
        match self {
            Command::Place { order, .. } | Command::GetOrder { order, .. } | Command::Cancel { order, .. } => order.partition(),
            Command::Confirm { order, .. } | Command::Extend { order, .. } | Command::StartPayment { order, .. } => {
                order.partition()
            }
            Command::PaymentResult { attempt, .. } => attempt.order.partition(),
            Command::SetStock { sku, .. } | Command::AdjustStock { sku, .. } => partitions.of_sku(sku),
            Command::SetThreshold { sku, .. } | Command::GetStock { sku } => partitions.of_sku(sku),
            Command::CloseLocation { sku, .. } => partitions.of_sku(sku),
            Command::Availability { partition, .. } | Command::GetAnswer { partition, .. } => *partition,
            Command::ListOrders { partition, .. } | Command::ListStock { partition, .. } => *partition,
            Command::RecordChanges { partition, .. } | Command::ListChanges { partition, .. } => *partition,
            Command::Under { command, .. } => command.partition(partitions),
        }
    }

    /// This command under these terms, if they ask for anything.
    #[must_use]
    pub fn under(self, terms: Terms) -> Self {
        if terms == Terms::default() {
            return self;
        }
        Command::Under { terms: Box::new(terms), command: Box::new(self) }
    }

    /// The order it is about, if any.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Command::Place { order, .. } | Command::GetOrder { order, .. } | Command::Cancel { order, .. } => Some(*order),
            Command::Confirm { order, .. } | Command::Extend { order, .. } | Command::StartPayment { order, .. } => Some(*order),
            Command::PaymentResult { attempt, .. } => Some(attempt.order),
            Command::SetStock { .. } | Command::AdjustStock { .. } | Command::SetThreshold { .. } => None,
            Command::CloseLocation { .. } | Command::GetStock { .. } | Command::Availability { .. } => None,
            Command::ListOrders { .. } | Command::ListStock { .. } | Command::GetAnswer { .. } => None,
            Command::RecordChanges { .. } | Command::ListChanges { .. } => None,
            Command::Under { command, .. } => command.order(),
        }
    }

    /// The key whose kept answer decides whether it is executed at all.
    pub fn key(&self) -> Option<&CommandKey> {
        match self {
            Command::StartPayment { key, .. } | Command::AdjustStock { key, .. } | Command::GetAnswer { key, .. } => Some(key),
            Command::Place { .. } | Command::GetOrder { .. } | Command::Cancel { .. } | Command::Confirm { .. } => None,
            Command::Extend { .. } | Command::PaymentResult { .. } | Command::SetStock { .. } => None,
            Command::SetThreshold { .. } | Command::CloseLocation { .. } | Command::GetStock { .. } => None,
            Command::Availability { .. } | Command::ListOrders { .. } | Command::ListStock { .. } => None,
            Command::RecordChanges { .. } | Command::ListChanges { .. } => None,
            Command::Under { terms, command } => terms.key.as_ref().or(command.key()),
        }
    }

    /// Whether it is of those who look after the server, and must get in when nobody else does.
    pub fn is_of_operators(&self) -> bool {
        matches!(self, Command::RecordChanges { .. } | Command::ListChanges { .. })
    }

    /// Whether it changes nothing: without an answer there is nothing to find out about.
    pub fn reads(&self) -> bool {
        match self {
            Command::GetOrder { .. } | Command::GetStock { .. } | Command::Availability { .. } => true,
            Command::ListOrders { .. } | Command::ListStock { .. } | Command::GetAnswer { .. } => true,
            Command::ListChanges { .. } => true,
            Command::Place { .. } | Command::Cancel { .. } | Command::Confirm { .. } | Command::Extend { .. } => false,
            Command::StartPayment { .. } | Command::PaymentResult { .. } | Command::SetStock { .. } => false,
            Command::AdjustStock { .. } | Command::SetThreshold { .. } | Command::CloseLocation { .. } => false,
            Command::RecordChanges { .. } => false,
            Command::Under { command, .. } => command.reads(),
        }
    }
}

/// What a command needs that left memory: looked up by the shell before the step, so that the step stays pure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    pub order: Option<History>,
    pub key: Option<(Fingerprint, Arc<StoredResponse>)>,
}

/// What of [`Loaded`] the partition does not have in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    pub order: Option<OrderId>,
    pub key: Option<KeyHash>,
}
