//! Guides to requests that are well formed and meet something that stands against them: stock, states, versions, keys, cursors.

use super::Guide;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{rejected, scattered, short};
use crate::wire::ids::Id;
use holdfast_engine::event::{Buckets, Kind, Shortage};
use holdfast_engine::ids::{OrderId, Sku};
use holdfast_engine::order::Status;
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;

/// The refusal of an order for one line of this SKU.
fn shortage(sku: &str, available: Option<u64>) -> Problem {
    let sku = Sku::new(sku).map(|sku| Shortage { line: 1, sku, requested: Quantity::new(3), available });
    let order = Id::order(OrderId::from_bytes([9; 16]));
    short(sku.as_slice()).with("order_id", order.as_str())
}

pub(super) const OUT_OF_STOCK: Guide = Guide {
    meaning: "Fewer units are available than the request needs. Nothing is held for it.",
    causes: &[
        "Others hold or have bought the units. Held units may come back when a hold expires or a payment fails.",
        "Units are damaged, in quality control or kept as safety stock: they are on hand and not available.",
    ],
    cures: &[
        "Ask the buyer for fewer units, or offer another SKU: POST /v1/availability:query answers for up to {availability_skus} at once.",
        "To try again later, use a new Idempotency-Key: the refusal is the answer to this one, byte for byte, for good.",
    ],
    example: || shortage("DEMO-LAST-ONE", Some(1)),
};

pub(super) const TOO_MANY_LOCATIONS: Guide = Guide {
    meaning: "There are enough units, in more locations than the order may take from. Nothing is held for it.",
    causes: &[
        "The order takes from at most `allocations_per_order` locations (GET /v1/limits), all its SKUs together, and each of its SKUs has an \
         equal share of them: an order of {lines_per_order} SKUs takes each from at most {allocations_per_sku} locations.",
        "The stock of a SKU is a few units each at a great many locations.",
    ],
    cures: &[
        "`available` of each line is what its share of locations can give: an order for so many units is taken, and so are orders of \
         fewer SKUs each.",
        "Use a new Idempotency-Key for them: the refusal is the answer to this one, byte for byte, for good.",
    ],
    example: || {
        let sku = Sku::new("DEMO-SHIRT").map(|sku| Shortage { line: 1, sku, requested: Quantity::new(90), available: Some(80) });
        scattered(sku.as_slice()).with("order_id", Id::order(OrderId::from_bytes([9; 16])).as_str())
    },
};

pub(super) const COUNT_BELOW_TAKEN: Guide = Guide {
    meaning: "Fewer units would be on hand than holds, sales and checks have taken already. Nothing was changed.",
    causes: &[
        "Buyers hold or have bought more units than the count says: the count is older than their orders, or units are lost.",
        "An adjustment takes away units that somebody holds.",
    ],
    cures: &["If units are really missing, cancel orders until the rest is covered, and set the count then."],
    example: || rejected(&Rejection::BelowTaken { taken: 7, count: 6 }),
};

pub(super) const LOCATION_IN_USE: Guide = Guide {
    meaning: "A location is closed only when none of its counters counts anything.",
    causes: &["There are units on hand, held, sold, damaged or in quality control at this location."],
    cures: &[
        "Closing is for locations that were made by mistake. To stop selling from one, set what is on hand to what is taken.",
    ],
    example: || rejected(&Rejection::LocationInUse { buckets: Buckets { on_hand: Quantity::new(5), ..Buckets::default() } }),
};

pub(super) const INVALID_TRANSITION: Guide = Guide {
    meaning: "The order or reservation is in a state from which there is no way to what was asked. Nothing was changed.",
    causes: &[
        "Something else came first: the buyer paid while it was being cancelled, or the hold expired while the buyer paid.",
        "The order was placed by a retry of a request whose order was cancelled since.",
    ],
    cures: &[
        "Read it again and decide by its `status`; its timeline (GET /v1/orders/{id}/timeline) says what happened and when.",
        "If the state is already the one you wanted, somebody else has done it: treat that as success.",
    ],
    example: || rejected(&Rejection::InvalidTransition { kind: Kind::Order, status: Status::PaymentInFlight }),
};

pub(super) const RESERVATION_EXPIRED: Guide = Guide {
    meaning: "The hold has ended before it was committed, extended or paid. Its units can be had by others.",
    causes: &[
        "Nothing was done with it within its `ttl_seconds`, {hold_minutes} minutes if none were asked for.",
        "The buyer was slower than the hold. A payment that starts in time keeps the units while it is open.",
    ],
    cures: &[
        "Extend a hold before it ends (POST /v1/reservations/{id}:extend), or ask for a longer one: GET /v1/limits has the longest.",
        "Use a new Idempotency-Key for the new hold.",
    ],
    example: || rejected(&Rejection::ReservationExpired),
};

pub(super) const IDEMPOTENCY_IN_PROGRESS: Guide = Guide {
    meaning: "The first request with this key is still at work. This one was not executed.",
    causes: &[
        "A client gave up waiting and tried again while the payment provider was still opening the payment.",
        "Two processes send the same order with the same key.",
    ],
    cures: &["Do not change the key: a new one would be a second order."],
    example: || rejected(&Rejection::KeyInProgress),
};

pub(super) const PLAN_STALE: Guide = Guide {
    meaning: "A plan says what would be changed of the settings as they were. They are not so any more, or nobody made this plan.",
    causes: &[
        "Somebody else carried out a plan in between.",
        "The plan was carried out already, or the server was restarted since: plans are not kept.",
    ],
    cures: &["Plan again: `holdfast tune plan`. `holdfast tune history` says who changed what."],
    example: crate::http::routes::tuning::stale,
};

pub(super) const LIMIT_REACHED: Guide = Guide {
    meaning: "What the request adds to is as large as it can get. Nothing was changed.",
    causes: &[
        "A bucket of a location would exceed {bucket_units} units, which is `bucket_units` of GET /v1/limits.",
        "A SKU would have more than {locations_per_sku} locations, which is `locations_per_sku`.",
        "A hold was extended as often as it may be (`hold_extensions`), or would end later after it was placed than it may \
         (`hold_life_seconds`).",
    ],
    cures: &[
        "A count that large is mostly a mistake in units: grams for pieces, or one import that ran twice.",
        "Commit or release a hold that is wanted for longer: the operator can allow more with `holds.max_extensions` and \
         `holds.max_life_seconds`.",
    ],
    example: || rejected(&Rejection::TooMany),
};

pub(super) const CURSOR_NOT_OF_THIS_HISTORY: Guide = Guide {
    meaning: "The reader has seen events that this server never wrote: reading on would silently leave something out.",
    causes: &[
        "The data was restored from an older copy, and what came after the copy is gone.",
        "The cursor was given out by another server, for example by the one of a test environment.",
    ],
    cures: &["Give cursors back as they came and keep them beside the effects of what was read; never make one up."],
    example: || Problem::new(Code::CursorNotOfThisHistory, "the cursor is of another journal than the one of this server"),
};

pub(super) const CURSOR_EXPIRED: Guide = Guide {
    meaning: "The events after this cursor have been deleted, as the operator has set.",
    causes: &["The reader was away for longer than `journal.keep_days`, or for more events than `journal.keep_gb` has room for."],
    cures: &[
        "To have what was missed, read the state itself: GET /v1/orders/{id} and GET /v1/inventory/{sku} do not depend on events.",
    ],
    example: || Problem::new(Code::CursorExpired, "events after this cursor are older than what the journal keeps"),
};

pub(super) const PRECONDITION_FAILED: Guide = Guide {
    meaning: "The version in If-Match is not the version that is there. Nothing was changed.",
    causes: &[
        "Somebody else changed it after it was read: another import, an adjustment, or orders that took stock.",
        "The request was executed before and its answer was lost: then the new version is your own.",
    ],
    cures: &[
        "Decide again by what is there now, then send the new version. To add or take away units use adjustments, which need no version.",
    ],
    example: || rejected(&Rejection::VersionMismatch { current: 7 }),
};

pub(super) const UNKNOWN_SKU: Guide = Guide {
    meaning: "The SKU was never put into stock on this server, which is something else than having none left.",
    causes: &[
        "The SKU is misspelt: case and punctuation count.",
        "The catalogue was not imported yet, or was imported into another server.",
        "Demo SKUs exist only in data that was new when the server started with `data.demo`.",
    ],
    cures: &["Use a new Idempotency-Key once the SKU exists: an order refused like this is kept as rejected."],
    example: || shortage("NO-SUCH-SHIRT", None),
};

pub(super) const TOTALS_MISMATCH: Guide = Guide {
    meaning: "The caller and the server do not agree about what the order costs. Nothing was executed.",
    causes: &[
        "The total has shipping, taxes or a discount in it that no line has.",
        "Prices were sent in major units: 19.99 EUR is 1999.",
        "A price changed between the cart and the order.",
    ],
    cures: &["`expected` is the sum of the lines. Shipping or a fee can be a line of a SKU of its own."],
    example: || Problem::new(Code::TotalsMismatch, "the lines sum to 3998 minor units, the total says 39").with("expected", 3998),
};

pub(super) const PROVIDER_UNAVAILABLE: Guide = Guide {
    meaning: "The order wants to be paid through a provider that nobody here can reach. Nothing was executed.",
    causes: &["The sandbox is off. It turns itself off as soon as there are API keys, so that nobody pays with it by mistake."],
    cures: &[
        "Without `payment` the order holds its units and waits; POST /v1/orders/{id}:confirm tells that it was paid elsewhere.",
    ],
    example: crate::http::routes::turned_off::provider_unavailable,
};

pub(super) const IDEMPOTENCY_KEY_REUSED: Guide = Guide {
    meaning: "The key was used before, for a request with another body. This one was not executed.",
    causes: &[
        "The key is not made anew for each order, for example because it is the id of the customer.",
        "The body of a retry is not that of the first attempt: a price, a time stamp or the order of the lines has changed.",
    ],
    cures: &["Store the body beside its key and send exactly those bytes again."],
    example: || rejected(&Rejection::KeyReused),
};

pub(super) const OPERATION_RUNNING: Guide = Guide {
    meaning: "Partitions are being moved between shards. This request has started nothing.",
    causes: &["Somebody else changes shards at the same time, or the request before this one is not carried out yet."],
    cures: &["An operation takes milliseconds for each partition that moves: send the request again."],
    example: || Problem::new(Code::OperationRunning, "operation 1 is running"),
};
