//! What an event has in `data`, typed and borrowed: nothing is copied or allocated between the record and its bytes.
//!
//! Invariant: members stand in the order of their names, in lists too. Consumers have had these bytes since the first release.

use crate::wire::ids::{Attempt, Id};
use crate::wire::times::Rfc3339;
use holdfast_engine::event::{Allocation, Change, Line, Shortage, SkuHold};
use holdfast_engine::ids::{CustomerId, KeyHash, KeyName, Label, Location, OrderId, Provider, RequestId, Sku, Url};
use holdfast_engine::quantity::{Money, Quantity};
use serde::{Serialize, Serializer};

/// The members of all events. Variants are named after the fact that has them, or after what several facts are about.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Data<'a> {
    Placed(PlacedData<'a>),
    Held {
        holds: Holds<'a>,
        order_id: Id,
    },
    Reheld {
        generation: u8,
        holds: Holds<'a>,
        order_id: Id,
    },
    Rejected {
        order_id: Id,
        shortages: Shortages<'a>,
    },
    Scattered {
        order_id: Id,
        reason: &'static str,
        shortages: Shortages<'a>,
    },
    Order {
        order_id: Id,
    },
    Reasoned {
        order_id: Id,
        reason: Option<&'a Label>,
    },
    Extended {
        expires_at: Rfc3339,
        order_id: Id,
    },
    Attempt {
        attempt_id: Attempt,
        order_id: Id,
    },
    PaymentStarted {
        attempt_id: Attempt,
        order_id: Id,
        pin_until: Rfc3339,
        provider: &'a Provider,
    },
    PaymentOpened {
        attempt_id: Attempt,
        order_id: Id,
        #[serde(skip_serializing_if = "Option::is_none")]
        redirect_url: Option<&'a Url>,
    },
    PaymentDeclined {
        attempt_id: Attempt,
        expires_at: Rfc3339,
        order_id: Id,
    },
    RefundDue {
        attempt_id: Attempt,
        order_id: Id,
        reason: &'static str,
    },
    Set {
        delta: i64,
        location: &'a Location,
        on_hand: Quantity,
        safety_stock: Quantity,
        sku: &'a Sku,
        version: u64,
    },
    Adjusted(Adjustment<'a>),
    ThresholdSet {
        low_stock_threshold: Quantity,
        sku: &'a Sku,
        version: u64,
    },
    Hold {
        allocations: Allocations<'a>,
        order_id: Id,
        sku: &'a Sku,
        version: u64,
    },
    HoldReleased {
        allocations: Allocations<'a>,
        cause: &'static str,
        order_id: Id,
        sku: &'a Sku,
        version: u64,
    },
    HoldForbidden {
        order_id: Id,
        sku: &'a Sku,
    },
    LevelCrossed {
        available: u64,
        sku: &'a Sku,
    },
    LocationClosed {
        location: &'a Location,
        sku: &'a Sku,
        version: u64,
    },
    Key {
        key_hash: Hex,
    },
    ArchivedOrders {
        order_ids: Each<'a, OrderId, Id>,
    },
    ArchivedKeys {
        keys: usize,
    },
    Restored {
        orders_counted: u64,
        restored_at: Rfc3339,
    },
    Changed(ChangeData<'a>),
}

impl Data<'_> {
    /// Takes out the links that let a buyer pay.
    pub(super) fn without_links(self) -> Self {
        match self {
            Self::PaymentOpened { attempt_id, order_id, redirect_url: _ } => {
                Self::PaymentOpened { attempt_id, order_id, redirect_url: None }
            }
            other => other,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct PlacedData<'a> {
    pub currency: Option<&'a str>,
    pub customer_id: Option<&'a CustomerId>,
    pub expires_at: Rfc3339,
    pub kind: &'static str,
    pub lines: Each<'a, Line, LineData<'a>>,
    pub number: u64,
    pub order_id: Id,
}

#[derive(Debug, Serialize)]
pub(super) struct LineData<'a> {
    quantity: Quantity,
    seller_id: Option<&'a Label>,
    sku: &'a Sku,
    unit_price: Money,
}

impl<'a> LineData<'a> {
    pub(super) fn of(line: &'a Line) -> Self {
        let Line { sku, quantity, unit_price, seller, .. } = line;
        Self { quantity: *quantity, seller_id: seller.as_ref(), sku, unit_price: *unit_price }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Adjustment<'a> {
    pub bucket: &'static str,
    pub delta: i64,
    pub location: &'a Location,
    pub reason: &'a Label,
    pub reference: Option<&'a Label>,
    pub sku: &'a Sku,
    pub version: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ChangeData<'a> {
    after: Option<&'a Label>,
    before: Option<&'a Label>,
    note: Option<&'a Label>,
    number: u64,
    request_id: &'a RequestId,
    what: &'a Label,
    who: Option<&'a KeyName>,
}

impl<'a> ChangeData<'a> {
    pub(super) fn of(change: &'a Change) -> Self {
        Self {
            after: change.after.as_ref(),
            before: change.before.as_ref(),
            note: change.note.as_ref(),
            number: change.number,
            request_id: &change.request_id,
            what: &change.what,
            who: change.who.as_ref(),
        }
    }
}

pub(super) type Allocations<'a> = Each<'a, Allocation, AllocationData<'a>>;

#[derive(Debug, Serialize)]
pub(super) struct AllocationData<'a> {
    location: &'a Location,
    quantity: Quantity,
}

pub(super) fn allocations(allocations: &[Allocation]) -> Allocations<'_> {
    Each(allocations, |one| AllocationData { location: &one.location, quantity: one.quantity })
}

pub(super) type Holds<'a> = Each<'a, SkuHold, HoldData<'a>>;

#[derive(Debug, Serialize)]
pub(super) struct HoldData<'a> {
    allocations: Allocations<'a>,
    sku: &'a Sku,
}

pub(super) fn holds(holds: &[SkuHold]) -> Holds<'_> {
    Each(holds, |hold| HoldData { allocations: allocations(&hold.allocations), sku: &hold.sku })
}

pub(super) type Shortages<'a> = Each<'a, Shortage, ShortageData<'a>>;

#[derive(Debug, Serialize)]
pub(super) struct ShortageData<'a> {
    available: Option<u64>,
    line: u16,
    requested: Quantity,
    sku: &'a Sku,
}

pub(super) fn shortages(shortages: &[Shortage]) -> Shortages<'_> {
    Each(shortages, |Shortage { line, sku, requested, available }| ShortageData {
        available: *available,
        line: *line,
        requested: *requested,
        sku,
    })
}

/// A list, each of it as the function has it: written without a copy in between.
#[derive(Debug)]
pub(super) struct Each<'a, T, W>(pub &'a [T], pub fn(&'a T) -> W);

impl<T, W: Serialize> Serialize for Each<'_, T, W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// The hash of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hex([u8; 32]);

impl Hex {
    pub(super) fn of(key: KeyHash) -> Self {
        let mut text = [0; 32];
        data_encoding::HEXLOWER.encode_mut(&key.0, &mut text);
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
