//! Movements of stock as rows: what each fact moved, numbered per SKU.
//!
//! A row holds up to 256 consecutive movements of one SKU under `SKU | 0 | first number u64` (big-endian). Invariant: read
//! in order and with repeated numbers left out, the rows of a SKU are its movements 1, 2, 3, … as far as projected.

use crate::contract::{Error, Row, Rows, Table};
use holdfast_engine::codec;
use holdfast_engine::event::{Allocation, Bucket, ReleaseCause, StockFact};
use holdfast_engine::ids::{HoldKey, Label, Location, OrderId, Sku};
use holdfast_engine::limits;
use holdfast_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Movements of one row.
pub(super) const CHUNK: usize = 256;
// A row of movements is bounded like a fact: names, texts and numbers of each at their longest.
const _: () = assert!(CHUNK * (limits::LOCATION.bytes + 2 * limits::LABEL.bytes + 128) < limits::MAX_FACT_BYTES);
/// Rows asked for at once: short rows are common, so one question seldom has to be followed by another.
const ROWS: usize = 256;

/// Encoded by position in rows that stay: new kinds go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovementKind {
    Set,
    Adjusted,
    ThresholdSet,
    Held,
    Pinned,
    Unpinned,
    Committed,
    Released,
    Expired,
    /// No unit moved: there was none.
    LocationClosed,
}

/// One change of one SKU at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Version of the SKU that the movement made: 1, 2, 3, … without a gap.
    pub seq: u64,
    pub at: Timestamp,
    pub kind: MovementKind,
    /// None for what concerns the whole SKU.
    pub location: Option<Location>,
    /// What was counted, for counts and adjustments. A hold moves between the buckets its kind names.
    pub bucket: Option<Bucket>,
    /// By how much the bucket changed; how many units a hold moved; the threshold itself.
    pub quantity: i64,
    /// Whose hold it was. The id alone does not say whether of an order or of a reservation.
    pub order: Option<OrderId>,
    pub reason: Option<Label>,
    pub reference: Option<Label>,
}

impl Movement {
    /// Tells it from what has its number in another history. Frozen with the encoding of rows.
    pub fn check(&self) -> u32 {
        crc32fast::hash(&codec::encode(self))
    }

    fn new(seq: u64, at: Timestamp, kind: MovementKind, quantity: i64) -> Self {
        Self { seq, at, kind, location: None, bucket: None, quantity, order: None, reason: None, reference: None }
    }
}

/// The movements one fact makes.
pub(super) fn of_fact(at: Timestamp, fact: &StockFact) -> Vec<Movement> {
    match fact {
        StockFact::Set { location, delta, version, .. } => {
            let bucket = Some(Bucket::OnHand);
            let movement = Movement::new(*version, at, MovementKind::Set, *delta);
            vec![Movement { location: Some(location.clone()), bucket, ..movement }]
        }
        StockFact::Adjusted { location, bucket, delta, reason, reference, version } => vec![Movement {
            location: Some(location.clone()),
            bucket: Some(*bucket),
            reason: Some(reason.clone()),
            reference: reference.clone(),
            ..Movement::new(*version, at, MovementKind::Adjusted, *delta)
        }],
        StockFact::ThresholdSet { threshold, version } => {
            vec![Movement::new(*version, at, MovementKind::ThresholdSet, i64::from(threshold.units()))]
        }
        StockFact::HoldPlaced { hold, allocations, version, .. } => of_hold(*hold, allocations, *version, at, MovementKind::Held),
        StockFact::HoldPinned { hold, allocations, version, .. } => {
            of_hold(*hold, allocations, *version, at, MovementKind::Pinned)
        }
        StockFact::HoldUnpinned { hold, allocations, version, .. } => {
            of_hold(*hold, allocations, *version, at, MovementKind::Unpinned)
        }
        StockFact::HoldCommitted { hold, allocations, version } => {
            of_hold(*hold, allocations, *version, at, MovementKind::Committed)
        }
        StockFact::HoldReleased { hold, cause, allocations, version } => {
            let kind = match cause {
                ReleaseCause::Released => MovementKind::Released,
                ReleaseCause::Expired => MovementKind::Expired,
            };
            of_hold(*hold, allocations, *version, at, kind)
        }
        StockFact::LocationClosed { location, version } => {
            let movement = Movement::new(*version, at, MovementKind::LocationClosed, 0);
            vec![Movement { location: Some(location.clone()), ..movement }]
        }
        StockFact::HoldForbidden { .. } | StockFact::LevelCrossed { .. } => Vec::new(),
    }
}

/// One movement a location; the last has the number of the fact.
fn of_hold(hold: HoldKey, allocations: &[Allocation], version: u64, at: Timestamp, kind: MovementKind) -> Vec<Movement> {
    let first = (version + 1).saturating_sub(allocations.len() as u64);
    let numbered = allocations.iter().zip(first..);
    let movement = |(Allocation { location, quantity }, seq): (&Allocation, u64)| Movement {
        location: Some(location.clone()),
        order: Some(hold.order),
        ..Movement::new(seq, at, kind, i64::from(quantity.units()))
    };
    numbered.map(movement).collect()
}

pub(super) fn row_key(sku: &Sku, first: u64) -> Vec<u8> {
    // No SKU contains a zero byte, so no SKU is in the rows of another.
    let mut key = sku.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&first.to_be_bytes());
    key
}

/// The rows of what was gathered, those of each SKU in order, as its movements are.
pub(super) fn rows(gathered: &HashMap<Sku, Vec<Movement>>) -> Vec<Row> {
    let chunks = gathered.iter().flat_map(|(sku, movements)| movements.chunks(CHUNK).map(move |chunk| (sku, chunk)));
    let row = |(sku, chunk): (&Sku, &[Movement])| Row {
        table: Table::Movements,
        key: row_key(sku, chunk.first().map_or(0, |movement| movement.seq)),
        value: codec::encode(&chunk),
        version: chunk.last().map_or(0, |movement| movement.seq),
    };
    chunks.map(row).collect()
}

pub(super) fn page(journal: &dyn Rows, sku: &Sku, after: u64, limit: usize) -> Result<Vec<Movement>, Error> {
    // The movement after `after` may stand last in its row.
    let mut from = row_key(sku, after.saturating_sub(CHUNK as u64 - 2));
    let to = [row_key(sku, u64::MAX), vec![0]].concat();
    let mut page: Vec<Movement> = Vec::new();
    loop {
        let rows = journal.scan(Table::Movements, &from, &to, ROWS)?;
        for row in &rows {
            let movements: Vec<Movement> = codec::decode(&row.value)?;
            for movement in movements {
                if page.len() == limit {
                    return Ok(page);
                }
                if movement.seq > page.last().map_or(after, |last| last.seq) {
                    page.push(movement);
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS && page.len() < limit => from = [last.key.as_slice(), &[0]].concat(),
            Some(_) | None => return Ok(page),
        }
    }
}
