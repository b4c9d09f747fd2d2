//! Units of one SKU at one location, and how facts move them.
//!
//! Invariant: the buckets add up after each move (I1). One that does not fit follows from a fact that no decision made.

use super::hold::HoldState;
use crate::event::{Bucket, Buckets};
use crate::ids::Location;
use crate::plant;
use crate::quantity::Quantity;
use serde::{Deserialize, Serialize};

/// One place that has units of the SKU. Written to snapshots: the order of its fields is frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocationStock {
    pub name: Location,
    /// Lower goes first when units are allocated; equal priorities go by name.
    pub priority: u16,
    pub buckets: Buckets,
}

impl LocationStock {
    pub(super) fn open(name: Location) -> Self {
        Self { name, priority: 0, buckets: Buckets::default() }
    }

    pub(super) fn available(&self) -> Quantity {
        self.buckets.available()
    }

    pub(super) fn set(&mut self, on_hand: Quantity, safety_stock: Quantity) {
        self.buckets.on_hand = on_hand;
        self.buckets.safety_target = safety_stock;
        self.must_balance();
    }

    pub(super) fn adjust(&mut self, bucket: Bucket, delta: i64) {
        let target = match bucket {
            Bucket::OnHand => &mut self.buckets.on_hand,
            Bucket::Damaged => &mut self.buckets.damaged,
            Bucket::QualityControl => &mut self.buckets.quality_control,
        };
        *target = moved(*target, delta);
        self.must_balance();
    }

    /// Units of a hold go from the bucket of one state to that of the next; `None`: from what is free.
    pub(super) fn transition(&mut self, from: Option<HoldState>, to: HoldState, units: Quantity) {
        let units = i64::from(units.units());
        let buckets = &mut self.buckets;
        match from {
            None => {}
            Some(HoldState::Held) => buckets.held = moved(buckets.held, -units),
            Some(HoldState::Pinned) => buckets.pinned = moved(buckets.pinned, -units),
            // Only a planted bug moves a hold that is resolved.
            Some(HoldState::Committed | HoldState::Released) => buckets.on_hand = moved(buckets.on_hand, units),
        }
        match to {
            HoldState::Held => buckets.held = moved(buckets.held, units),
            HoldState::Pinned => buckets.pinned = moved(buckets.pinned, units),
            HoldState::Committed => buckets.committed = moved(buckets.committed, units),
            HoldState::Released => {}
        }
        self.must_balance();
    }

    fn must_balance(&self) {
        assert!(plant::any() || self.buckets.balanced(), "stock at {} does not add up: {:?}", self.name, self.buckets);
    }
}

fn moved(quantity: Quantity, delta: i64) -> Quantity {
    match quantity.checked_add_signed(delta) {
        Some(quantity) => quantity,
        None if plant::any() => Quantity::of(u64::from(quantity.units()).saturating_add_signed(delta)),
        None => panic!("a bucket of {quantity} moved by {delta}"),
    }
}
