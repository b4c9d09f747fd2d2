//! What the live holds took, as the log says it up to the position of the projector.
//!
//! The facts that pin, commit or release a hold name the hold and not its units. At the next start they cannot be asked
//! of the partitions, which are further than the projector was: a hold may be resolved in between. Nor may the whole log
//! be read again. So live holds are rows of [`Table::Meta`], written with the movements and the position they belong
//! to. Invariant: the rows are the live holds at the position, after a crash at any moment. A row is a numbered slot, used
//! again when its hold is resolved, so there are never more rows than there were live holds at once; a hold placed and
//! resolved between two writes never gets one.

use super::movements::Allocations;
use crate::journal::{Error, Journal, Row, Table};
use holdfast_engine::codec;
use holdfast_engine::event::Allocation;
use holdfast_engine::ids::{HoldKey, Sku};
use std::collections::{BTreeMap, BTreeSet};

const PREFIX: &[u8] = b"hold/";
/// Rows read at once at the start.
const PAGE: usize = 4096;

type Slot = u32;

#[derive(Debug)]
struct Live {
    allocations: Vec<Allocation>,
    /// None while no row has it.
    slot: Option<Slot>,
}

#[derive(Debug, Default)]
pub(super) struct Holds {
    live: BTreeMap<(HoldKey, Sku), Live>,
    /// Placed since the last write.
    unwritten: BTreeSet<(HoldKey, Sku)>,
    /// Slots whose row is empty.
    free: Vec<Slot>,
    /// Slots whose hold was resolved since the last write.
    resolved: Vec<Slot>,
    /// Slots there are.
    slots: Slot,
}

impl Holds {
    pub(super) fn load(journal: &dyn Journal) -> Result<Self, Error> {
        let mut holds = Self::default();
        let to = slot_key(Slot::MAX);
        loop {
            let rows = journal.scan(Table::Meta, &slot_key(holds.slots), &to, PAGE)?;
            for row in &rows {
                holds.load_slot(&row.value)?;
            }
            if rows.len() < PAGE {
                return Ok(holds);
            }
        }
    }

    /// Slots are dense, so the next row is the next slot.
    fn load_slot(&mut self, value: &[u8]) -> Result<(), Error> {
        let slot = self.slots;
        self.slots += 1;
        if value.is_empty() {
            self.free.push(slot);
            return Ok(());
        }
        let (hold, sku, allocations) = codec::decode(value)?;
        self.live.insert((hold, sku), Live { allocations, slot: Some(slot) });
        Ok(())
    }

    /// The rows that bring the table up to date. They count as written.
    pub(super) fn rows(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (hold, sku) in std::mem::take(&mut self.unwritten) {
            let slot = self.slot();
            let Some(live) = self.live.get_mut(&(hold, sku.clone())) else { continue };
            live.slot = Some(slot);
            rows.push(slot_row(slot, codec::encode(&(hold, sku, &live.allocations))));
        }
        for slot in self.resolved.drain(..) {
            rows.push(slot_row(slot, Vec::new()));
            self.free.push(slot);
        }
        rows
    }

    /// A slot for a new hold: one whose hold was just resolved saves the write that empties it.
    fn slot(&mut self) -> Slot {
        self.resolved.pop().or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }
}

impl Allocations for Holds {
    fn place(&mut self, sku: &Sku, hold: HoldKey, allocations: &[Allocation]) {
        let key = (hold, sku.clone());
        self.unwritten.insert(key.clone());
        self.live.insert(key, Live { allocations: allocations.to_vec(), slot: None });
    }

    fn of(&self, sku: &Sku, hold: HoldKey) -> Vec<Allocation> {
        self.live.get(&(hold, sku.clone())).map(|live| live.allocations.clone()).unwrap_or_default()
    }

    fn resolve(&mut self, sku: &Sku, hold: HoldKey) -> Vec<Allocation> {
        let key = (hold, sku.clone());
        self.unwritten.remove(&key);
        let Some(live) = self.live.remove(&key) else { return Vec::new() };
        self.resolved.extend(live.slot);
        live.allocations
    }
}

fn slot_key(slot: Slot) -> Vec<u8> {
    [PREFIX, &slot.to_be_bytes()].concat()
}

fn slot_row(slot: Slot, value: Vec<u8>) -> Row {
    Row { table: Table::Meta, key: slot_key(slot), value }
}
