//! The complete list of what can have happened. Events are journalled, folded and published; commands are not.
//!
//! Invariant: an event says everything its fold needs, absolute times and versions included, so replay never
//! depends on today's rules. Variants are encoded by position: new ones go last, old ones are frozen.

mod fact_kind;
mod history;
mod in_place;
mod operator;
mod stored;

pub use crate::buckets::Buckets;
pub use crate::rejection::{HoldLimit, Shortage};
pub use crate::status::Kind;
pub use fact_kind::FactKind;
pub(crate) use history::Placing;
pub use history::{History, RecordRef, Records};
pub use in_place::{AllocationRef, Bytes, InPlace, LineRef, List, OriginRef, PaymentRequestRef, PlacedRef, SkuHoldRef};
pub use operator::{Change, Changed, OperatorFact};

use crate::bytes::append;
use crate::ids::{
    AttemptId, CorrelationId, CustomerId, Fingerprint, HoldKey, KeyHash, KeyName, Label, Location, OrderId, Provider, RequestId,
    Seq, Sku, Url,
};
use crate::quantity::{Currency, Money, Quantity};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
pub(crate) use stored::{Adjustment, Refused};

/// One journalled event with its place in the dense sequence of its partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub seq: Seq,
    pub at: Timestamp,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Stock {
        sku: Sku,
        fact: StockFact,
    },
    Order {
        order: OrderId,
        fact: Arc<OrderFact>,
        /// That of the order. `None` for its placing, which has it in its [`Origin`].
        #[serde(skip)]
        correlation: Option<CorrelationId>,
    },
    Key(KeyFact),
    Archive(ArchiveFact),
    Partition(PartitionFact),
    Operator(OperatorFact),
}

impl Event {
    /// What the order that the event is of is related to.
    pub fn correlation(&self) -> Option<&CorrelationId> {
        let Self::Order { fact, correlation, .. } = self else { return None };
        if let OrderFact::Placed(placed) = &**fact { placed.correlation() } else { correlation.as_ref() }
    }
}

/// Where units stand. `held`, `pinned` and `committed` are moved by holds only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Bucket {
    OnHand,
    Damaged,
    QualityControl,
}

/// Units taken from one location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Allocation {
    pub location: Location,
    pub quantity: Quantity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReleaseCause {
    Released,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Nothing is available.
    Depleted,
    /// One unit to as many as the threshold.
    Low,
    /// More than the threshold.
    Restored,
}

impl Level {
    /// The level of a SKU with so many units available.
    pub fn of(available: u64, threshold: Quantity) -> Self {
        match available {
            0 => Self::Depleted,
            units if units <= u64::from(threshold.units()) => Self::Low,
            _ => Self::Restored,
        }
    }
}

/// Facts of one SKU. `version` is the number of the last movement the fact makes; a fact moves one location per number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StockFact {
    /// Absolute count of one location; `delta` is what it changed.
    Set {
        location: Location,
        on_hand: Quantity,
        safety_stock: Quantity,
        priority: u16,
        delta: i64,
        version: u64,
    },
    Adjusted {
        location: Location,
        bucket: Bucket,
        delta: i64,
        reason: Label,
        reference: Option<Label>,
        version: u64,
    },
    ThresholdSet {
        threshold: Quantity,
        version: u64,
    },
    HoldPlaced {
        hold: HoldKey,
        order_version: u32,
        allocations: Vec<Allocation>,
        probe_at: Timestamp,
        version: u64,
    },
    HoldPinned {
        hold: HoldKey,
        order_version: u32,
        allocations: Vec<Allocation>,
        version: u64,
    },
    HoldUnpinned {
        hold: HoldKey,
        order_version: u32,
        allocations: Vec<Allocation>,
        version: u64,
    },
    HoldCommitted {
        hold: HoldKey,
        allocations: Vec<Allocation>,
        version: u64,
    },
    HoldReleased {
        hold: HoldKey,
        cause: ReleaseCause,
        allocations: Vec<Allocation>,
        version: u64,
    },
    /// A release came before its hold: the hold, should it still arrive, is refused.
    HoldForbidden {
        hold: HoldKey,
    },
    /// The SKU came to another level. No movement.
    LevelCrossed {
        level: Level,
        available: u64,
    },
    /// The SKU has this location no longer; none of its units were there. Its priority and safety stock go with it.
    LocationClosed {
        location: Location,
        version: u64,
    },
}

impl StockFact {
    /// The hold that the fact is of.
    pub fn hold(&self) -> Option<HoldKey> {
        match self {
            Self::HoldPlaced { hold, .. } | Self::HoldPinned { hold, .. } | Self::HoldUnpinned { hold, .. } => Some(*hold),
            Self::HoldCommitted { hold, .. } | Self::HoldReleased { hold, .. } | Self::HoldForbidden { hold } => Some(*hold),
            Self::Set { .. } | Self::Adjusted { .. } | Self::ThresholdSet { .. } | Self::LocationClosed { .. } => None,
            Self::LevelCrossed { .. } => None,
        }
    }

    /// The hold that the fact ends, or that never comes to be by it.
    pub fn resolves(&self) -> Option<HoldKey> {
        match self {
            Self::HoldCommitted { hold, .. } | Self::HoldReleased { hold, .. } | Self::HoldForbidden { hold } => Some(*hold),
            Self::Set { .. } | Self::Adjusted { .. } | Self::ThresholdSet { .. } | Self::LocationClosed { .. } => None,
            Self::HoldPlaced { .. } | Self::HoldPinned { .. } | Self::HoldUnpinned { .. } | Self::LevelCrossed { .. } => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
    pub seller: Option<Label>,
    /// Compact JSON of the caller, kept as it came.
    pub metadata: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequest {
    pub provider: Provider,
    pub return_url: Option<Url>,
}

/// What a storefront asked for: everything of an order that never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    pub kind: Kind,
    /// Counts the orders of all partitions without a meeting point: `count × partitions + partition + 1`.
    pub number: u64,
    pub fingerprint: Fingerprint,
    pub request_id: RequestId,
    pub customer: Option<CustomerId>,
    pub currency: Option<Currency>,
    pub lines: Vec<Line>,
    pub allow_partial: bool,
    pub expires_at: Timestamp,
    pub shipping_address: Option<Box<str>>,
    pub metadata: Option<Box<str>>,
    pub payment: Option<PaymentRequest>,
    /// Encoded by itself behind the others, where there is one.
    #[serde(skip)]
    pub origin: Option<Box<Origin>>,
}

impl Placed {
    /// What the caller relates the order to.
    pub fn correlation(&self) -> Option<&CorrelationId> {
        self.origin.as_ref()?.correlation.as_ref()
    }

    /// Where it came from, encoded; empty if that is not known.
    pub(crate) fn origin_bytes(&self) -> Vec<u8> {
        self.origin.as_ref().map(|origin| append(origin, Vec::new())).unwrap_or_default()
    }
}

/// Where an order came from: no part of what was asked for, so that a retry may have another. One that says nothing is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who placed it. `None` where there were no API keys.
    pub client: Option<KeyName>,
    pub correlation: Option<CorrelationId>,
}

impl Origin {
    /// `None` if neither is known.
    pub fn of(client: Option<KeyName>, correlation: Option<CorrelationId>) -> Option<Box<Self>> {
        (client.is_some() || correlation.is_some()).then(|| Box::new(Self { client, correlation }))
    }
}

/// What one SKU answered for all lines of an order that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuHold {
    pub sku: Sku,
    pub allocations: Vec<Allocation>,
}

impl SkuHold {
    /// Of all locations. A SKU holds what was asked for, which fits.
    pub fn units(&self) -> Quantity {
        Quantity::of(self.allocations.iter().map(|taken| u64::from(taken.quantity.units())).sum())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RefundReason {
    /// The order was over and its units could not be held again.
    OrderOver,
    /// Another attempt had already paid.
    PaidTwice,
}

/// Facts of one order. The state of an order is the fold of these, and so is every answer about it.
/// Rare large fields are boxed: every open order keeps its facts, and a small variant must not pay for a large one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OrderFact {
    Placed(Box<Placed>),
    /// All units (or, where partial was allowed, some) are held.
    Held {
        holds: Vec<SkuHold>,
    },
    Rejected {
        shortages: Vec<Shortage>,
    },
    Expired,
    Cancelled {
        reason: Option<Label>,
    },
    Extended {
        expires_at: Timestamp,
    },
    /// Confirmed without a payment attempt: paid by invoice, or a reservation committed.
    Confirmed {
        reason: Option<Label>,
    },
    PaymentStarted {
        attempt: u8,
        provider: Box<Provider>,
        return_url: Option<Box<Url>>,
        pin_until: Timestamp,
        key: Option<Box<(KeyHash, Fingerprint)>>,
    },
    PaymentOpened {
        attempt: u8,
        redirect_url: Url,
    },
    PaymentUnknown {
        attempt: u8,
    },
    /// The buyer may try again until `expires_at`.
    PaymentDeclined {
        attempt: u8,
        expires_at: Timestamp,
    },
    PaymentVoided {
        attempt: u8,
    },
    /// The units of this order are sold.
    Paid {
        attempt: u8,
    },
    /// Money came for an order that was over.
    PaymentLate {
        attempt: u8,
    },
    /// All units could be held again for a late payment: a new generation of holds.
    Reheld {
        generation: u8,
        holds: Vec<SkuHold>,
    },
    /// `generation` of holds, if any were tried for this payment, is to be released.
    RefundDue {
        attempt: u8,
        generation: u8,
        reason: RefundReason,
    },
    Refunded {
        attempt: u8,
    },
    /// Every SKU has carried out what the order decided.
    Settled,
    /// Rejected although there are enough units: they are in more locations than the order may take from. `available` of each is what
    /// its share of locations could give.
    TooManyLocations {
        shortages: Vec<Shortage>,
    },
}

/// One fact of an order with its place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderRecord {
    pub seq: Seq,
    pub at: Timestamp,
    pub fact: Arc<OrderFact>,
}

/// The answer bound to an idempotency key that no order keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum KeyFact {
    Answered { key: KeyHash, fingerprint: Fingerprint, answer: Arc<StoredResponse> },
}

/// Answers that are stored under a key: whole, or as how many facts of an order they are folded from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StoredResponse {
    Adjusted(StockView),
    AdjustmentRefused {
        request_id: RequestId,
        #[serde(serialize_with = "stored::write::<Adjustment, _>", deserialize_with = "stored::read::<Adjustment, _>")]
        rejection: Rejection,
    },
    /// The attempt as it stood when its payment page was open.
    Payment {
        attempt: AttemptId,
        redirect_url: Option<Url>,
    },
    /// The attempt ended before its page was open.
    PaymentRefused {
        request_id: RequestId,
        state: String,
    },
    /// A count or a threshold was set.
    Set(StockView),
    /// The order moved on, if it had to: the answer is how it stood once its SKUs had carried out what these facts decided.
    Moved {
        order: OrderId,
        facts: u32,
    },
    /// The command was refused for good: the key is bound to it.
    Refused {
        request_id: RequestId,
        #[serde(serialize_with = "stored::write::<Refused, _>", deserialize_with = "stored::read::<Refused, _>")]
        rejection: Rejection,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationView {
    pub location: Location,
    pub priority: u16,
    pub buckets: Buckets,
}

/// One SKU as its actor saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockView {
    pub sku: Sku,
    pub version: u64,
    pub low_stock_threshold: Quantity,
    pub locations: Vec<LocationView>,
}

/// What left memory because a durable projection has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ArchiveFact {
    Orders(Vec<OrderId>),
    Keys(Vec<KeyHash>),
    /// An archived order that has more to decide (late money) is back in memory.
    Restored {
        order: OrderId,
        history: History,
    },
}

/// What happened to a partition as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PartitionFact {
    /// The data was restored from a backup. Whatever ran on after the backup was made may have given out numbers that are not in
    /// this journal, so the count of orders goes on from `placed`, and what is below it is not given out any more.
    Restored { placed: u64, restored_at: Timestamp },
}
