//! The type, the subject and the members of every fact, as consumers know them.

use super::data::{Adjustment, ChangeData, Data, Each, Hex, LineData, PlacedData, allocations, holds, shortages};
use crate::wire::ids::{Attempt, Id};
use crate::wire::names;
use crate::wire::times::Rfc3339;
use holdfast_engine::event::{
    ArchiveFact, Event, KeyFact, Kind, Level, OperatorFact, OrderFact, PartitionFact, Placed, RefundReason, ReleaseCause,
    StockFact,
};
use holdfast_engine::ids::{AttemptId, HoldKey, OrderId, Sku};

/// Begins every type of an event.
pub const TYPE_PREFIX: &str = "holdfast.";

pub(super) struct Described<'a> {
    pub event_type: &'static str,
    pub subject: Subject<'a>,
    pub data: Data<'a>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    Order(Id),
    /// A SKU, or a word for what has no name.
    Text(&'a str),
    Key(Hex),
}

impl Subject<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Order(id) => id.as_str(),
            Self::Text(text) => text,
            Self::Key(hash) => hash.as_str(),
        }
    }
}

pub(super) fn describe(event: &Event) -> Described<'_> {
    match event {
        Event::Order { order, fact, .. } => {
            let kind = if let OrderFact::Placed(placed) = &**fact { placed.kind } else { Kind::Order };
            let data = order_data(*order, kind, fact);
            Described { event_type: order_type(kind, fact), subject: Subject::Order(Id::order(*order)), data }
        }
        Event::Stock { sku, fact } => {
            Described { event_type: stock_type(fact), subject: Subject::Text(sku.as_str()), data: stock_data(sku, fact) }
        }
        Event::Key(KeyFact::Answered { key, .. }) => {
            let key_hash = Hex::of(*key);
            Described { event_type: "holdfast.key.answered", subject: Subject::Key(key_hash), data: Data::Key { key_hash } }
        }
        Event::Archive(fact) => archive(fact),
        Event::Partition(PartitionFact::Restored { placed, restored_at }) => {
            let data = Data::Restored { orders_counted: *placed, restored_at: Rfc3339(*restored_at) };
            Described { event_type: "holdfast.partition.restored", subject: Subject::Text("partition"), data }
        }
        Event::Operator(OperatorFact::Changed(change)) => {
            let data = Data::Changed(ChangeData::of(change));
            Described { event_type: "holdfast.operator.changed", subject: Subject::Text("operator"), data }
        }
    }
}

fn archive(fact: &ArchiveFact) -> Described<'_> {
    let (event_type, data) = match fact {
        ArchiveFact::Orders(orders) => {
            ("holdfast.archive.orders", Data::ArchivedOrders { order_ids: Each(orders, |id| Id::order(*id)) })
        }
        ArchiveFact::Keys(keys) => ("holdfast.archive.keys", Data::ArchivedKeys { keys: keys.len() }),
        ArchiveFact::Restored { order, .. } => ("holdfast.archive.restored", Data::Order { order_id: Id::order(*order) }),
    };
    Described { event_type, subject: Subject::Text("archive"), data }
}

pub(super) fn order_type(kind: Kind, fact: &OrderFact) -> &'static str {
    match fact {
        OrderFact::Placed(_) if kind == Kind::Reservation => "holdfast.reservation.placed",
        OrderFact::Placed(_) => "holdfast.order.placed",
        OrderFact::Held { .. } => "holdfast.order.held",
        OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => "holdfast.order.rejected",
        OrderFact::Expired => "holdfast.order.expired",
        OrderFact::Cancelled { .. } => "holdfast.order.cancelled",
        OrderFact::Extended { .. } => "holdfast.order.extended",
        OrderFact::Confirmed { .. } => "holdfast.order.confirmed",
        OrderFact::PaymentStarted { .. } => "holdfast.payment.started",
        OrderFact::PaymentOpened { .. } => "holdfast.payment.opened",
        OrderFact::PaymentUnknown { .. } => "holdfast.payment.unknown",
        OrderFact::PaymentDeclined { .. } => "holdfast.payment.declined",
        OrderFact::PaymentVoided { .. } => "holdfast.payment.voided",
        OrderFact::Paid { .. } => "holdfast.order.paid",
        OrderFact::PaymentLate { .. } => "holdfast.payment.late",
        OrderFact::Reheld { .. } => "holdfast.order.reheld",
        OrderFact::RefundDue { .. } => "holdfast.refund.due",
        OrderFact::Refunded { .. } => "holdfast.refund.done",
        OrderFact::Settled => "holdfast.order.settled",
    }
}

/// The members of a fact of an order, which goes by the id of its kind.
pub(super) fn order_data(order: OrderId, kind: Kind, fact: &OrderFact) -> Data<'_> {
    let order_id = if kind == Kind::Reservation { Id::reservation(order) } else { Id::order(order) };
    let attempt = |number: u8| Attempt(AttemptId { order, number });
    match fact {
        OrderFact::Placed(placed) => Data::Placed(placed_data(order_id, placed)),
        OrderFact::Held { holds: held } => Data::Held { holds: holds(held), order_id },
        OrderFact::Reheld { generation, holds: held } => Data::Reheld { generation: *generation, holds: holds(held), order_id },
        OrderFact::Rejected { shortages: short } => Data::Rejected { order_id, shortages: shortages(short) },
        OrderFact::TooManyLocations { shortages: short } => {
            Data::Scattered { order_id, reason: "too_many_locations", shortages: shortages(short) }
        }
        OrderFact::Expired | OrderFact::Settled => Data::Order { order_id },
        OrderFact::Cancelled { reason } | OrderFact::Confirmed { reason } => Data::Reasoned { order_id, reason: reason.as_ref() },
        OrderFact::Extended { expires_at } => Data::Extended { expires_at: Rfc3339(*expires_at), order_id },
        OrderFact::PaymentStarted { attempt: n, provider, pin_until, .. } => {
            Data::PaymentStarted { attempt_id: attempt(*n), order_id, pin_until: Rfc3339(*pin_until), provider }
        }
        OrderFact::PaymentOpened { attempt: n, redirect_url } => {
            Data::PaymentOpened { attempt_id: attempt(*n), order_id, redirect_url: Some(redirect_url) }
        }
        OrderFact::PaymentDeclined { attempt: n, expires_at } => {
            Data::PaymentDeclined { attempt_id: attempt(*n), expires_at: Rfc3339(*expires_at), order_id }
        }
        OrderFact::RefundDue { attempt: n, reason, .. } => {
            Data::RefundDue { attempt_id: attempt(*n), order_id, reason: refund_reason(*reason) }
        }
        OrderFact::PaymentUnknown { attempt: n } | OrderFact::PaymentVoided { attempt: n } | OrderFact::Paid { attempt: n } => {
            Data::Attempt { attempt_id: attempt(*n), order_id }
        }
        OrderFact::PaymentLate { attempt: n } | OrderFact::Refunded { attempt: n } => {
            Data::Attempt { attempt_id: attempt(*n), order_id }
        }
    }
}

fn placed_data(order_id: Id, placed: &Placed) -> PlacedData<'_> {
    PlacedData {
        currency: placed.currency.as_ref().map(|currency| currency.as_str()),
        customer_id: placed.customer.as_ref(),
        expires_at: Rfc3339(placed.expires_at),
        kind: if placed.kind == Kind::Order { "order" } else { "reservation" },
        lines: Each(&placed.lines, LineData::of),
        number: placed.number,
        order_id,
    }
}

fn refund_reason(reason: RefundReason) -> &'static str {
    match reason {
        RefundReason::OrderOver => "order_over",
        RefundReason::PaidTwice => "paid_twice",
    }
}

fn stock_type(fact: &StockFact) -> &'static str {
    match fact {
        StockFact::Set { .. } => "holdfast.stock.set",
        StockFact::Adjusted { .. } => "holdfast.stock.adjusted",
        StockFact::ThresholdSet { .. } => "holdfast.stock.threshold_set",
        StockFact::HoldPlaced { .. } => "holdfast.stock.held",
        StockFact::HoldPinned { .. } => "holdfast.stock.pinned",
        StockFact::HoldUnpinned { .. } => "holdfast.stock.unpinned",
        StockFact::HoldCommitted { .. } => "holdfast.stock.committed",
        StockFact::HoldReleased { .. } => "holdfast.stock.released",
        StockFact::HoldForbidden { .. } => "holdfast.stock.hold_forbidden",
        StockFact::LevelCrossed { level: Level::Depleted, .. } => "holdfast.stock.depleted",
        StockFact::LevelCrossed { level: Level::Low, .. } => "holdfast.stock.low",
        StockFact::LevelCrossed { level: Level::Restored, .. } => "holdfast.stock.restored",
        StockFact::LocationClosed { .. } => "holdfast.stock.location_closed",
    }
}

fn stock_data<'a>(sku: &'a Sku, fact: &'a StockFact) -> Data<'a> {
    let order = |hold: &HoldKey| Id::order(hold.order);
    match fact {
        StockFact::Set { location, on_hand, safety_stock, delta, version, .. } => {
            let (on_hand, safety_stock) = (*on_hand, *safety_stock);
            Data::Set { delta: *delta, location, on_hand, safety_stock, sku, version: *version }
        }
        StockFact::Adjusted { location, bucket, delta, reason, reference, version } => Data::Adjusted(Adjustment {
            bucket: names::bucket(*bucket),
            delta: *delta,
            location,
            reason,
            reference: reference.as_ref(),
            sku,
            version: *version,
        }),
        StockFact::ThresholdSet { threshold, version } => {
            Data::ThresholdSet { low_stock_threshold: *threshold, sku, version: *version }
        }
        StockFact::HoldPlaced { hold, allocations: taken, version, .. }
        | StockFact::HoldPinned { hold, allocations: taken, version, .. }
        | StockFact::HoldUnpinned { hold, allocations: taken, version, .. }
        | StockFact::HoldCommitted { hold, allocations: taken, version } => {
            Data::Hold { allocations: allocations(taken), order_id: order(hold), sku, version: *version }
        }
        StockFact::HoldReleased { hold, cause, allocations: taken, version } => {
            let (allocations, cause) = (allocations(taken), release_cause(*cause));
            Data::HoldReleased { allocations, cause, order_id: order(hold), sku, version: *version }
        }
        StockFact::HoldForbidden { hold } => Data::HoldForbidden { order_id: order(hold), sku },
        StockFact::LevelCrossed { available, .. } => Data::LevelCrossed { available: *available, sku },
        StockFact::LocationClosed { location, version } => Data::LocationClosed { location, sku, version: *version },
    }
}

fn release_cause(cause: ReleaseCause) -> &'static str {
    match cause {
        ReleaseCause::Released => "released",
        ReleaseCause::Expired => "expired",
    }
}
