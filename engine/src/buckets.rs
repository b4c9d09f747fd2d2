//! Counters of one SKU at one location.
//!
//! Invariant I1: what holds, sales and checks have taken is never more than there is, so that available is never negative. It is kept
//! by [`crate::stock`], which moves them. Written to snapshots and kept answers: the order of the fields is frozen.

use crate::quantity::Quantity;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    pub on_hand: Quantity,
    pub held: Quantity,
    pub pinned: Quantity,
    pub committed: Quantity,
    pub damaged: Quantity,
    pub quality_control: Quantity,
    /// What the operator wants kept back. Less is kept back when less is free.
    pub safety_target: Quantity,
}

impl Buckets {
    /// Units that no hold, sale or check has taken.
    pub fn free(&self) -> Quantity {
        let taken = u32::try_from(self.taken()).unwrap_or(u32::MAX);
        self.on_hand.saturating_sub(Quantity::new(taken))
    }

    /// What is kept back now: the target, or all that is free where that is less.
    pub fn safety_stock(&self) -> Quantity {
        self.safety_target.min(self.free())
    }

    /// What a new hold may take.
    pub fn available(&self) -> Quantity {
        self.free().saturating_sub(self.safety_target)
    }

    /// Whether the counters add up (invariant I1).
    pub fn balanced(&self) -> bool {
        self.taken() <= u64::from(self.on_hand.units())
    }

    /// Whether no unit is counted here. A safety stock is a setting and counts none.
    pub fn empty(&self) -> bool {
        self.on_hand.is_zero() && self.taken() == 0
    }

    /// Units that holds, sales and checks have taken.
    pub(crate) fn taken(&self) -> u64 {
        let taken = [self.held, self.pinned, self.committed, self.damaged, self.quality_control];
        taken.map(|bucket| u64::from(bucket.units())).into_iter().sum()
    }
}
