//! What somebody knows of one SKU who follows its events and never asks: whether it is in stock and whether it is low.
//!
//! Written from docs/events/README.md. Invariant: it looks at no counter but those of the first event.

use super::{Checked, require};
use holdfast_engine::event::{Bucket, Level, StockFact, StockView};
use holdfast_engine::ids::Sku;

pub(super) const RULE: &str = "I3 events tell each level once";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    in_stock: bool,
    low_stock: bool,
}

impl Shown {
    pub(super) fn new(available: u64, threshold: u64) -> Self {
        Self { in_stock: available > 0, low_stock: available <= threshold }
    }

    /// What a reader is shown.
    pub(crate) fn of(view: &StockView) -> Self {
        let units = view.locations.iter().map(|at| u64::from(at.buckets.available().units()));
        Self::new(units.sum(), u64::from(view.low_stock_threshold.units()))
    }
}

/// Nothing is known before the first event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Follower(Option<Shown>);

impl Follower {
    pub(super) fn known(self) -> Option<Shown> {
        self.0
    }

    pub(super) fn hear(&mut self, sku: &Sku, fact: &StockFact) -> Checked {
        let Some(now) = self.learns(fact) else { return Ok(()) };
        let before = self.0.replace(now);
        let news = before != Some(now) && (before.is_some() || !matches!(fact, StockFact::LevelCrossed { .. }));
        require(news, RULE, || format!("{sku}: {fact:?} was known to whoever knew {before:?}"))
    }

    fn learns(self, fact: &StockFact) -> Option<Shown> {
        match fact {
            StockFact::LevelCrossed { level: Level::Depleted, .. } => Some(Shown { in_stock: false, low_stock: true }),
            StockFact::LevelCrossed { level: Level::Low, .. } => Some(Shown { in_stock: true, low_stock: true }),
            StockFact::LevelCrossed { level: Level::Restored, .. } => Some(Shown { in_stock: true, low_stock: false }),
            StockFact::Set { on_hand, safety_stock, .. } if self.0.is_none() => {
                Some(Shown::new(u64::from(on_hand.units()).saturating_sub(u64::from(safety_stock.units())), 0))
            }
            StockFact::Adjusted { bucket: Bucket::OnHand, delta, .. } if self.0.is_none() => {
                Some(Shown::new(u64::try_from(*delta).unwrap_or(0), 0))
            }
            StockFact::Adjusted { .. } if self.0.is_none() => Some(Shown::new(0, 0)),
            _ => None,
        }
    }
}
