//! Planted bugs of a SKU, beside its rules. Without the feature `plant` each is `None`, and nothing of it is left.

use super::{Hold, HoldDecision, HoldOp, HoldState, ReserveDecision, ReserveRequest, SkuStock};
use crate::event::StockFact;
use crate::ids::HoldKey;
use crate::plant::{self, Bug};
use crate::quantity::Quantity;

pub(super) fn reserve(stock: &SkuStock, known: Option<&Hold>, request: &ReserveRequest) -> Option<ReserveDecision> {
    if plant::active(Bug::LateReserveRevives) && known.is_some() {
        return Some(ReserveDecision::Held(None));
    }
    (plant::active(Bug::Oversell) && known.is_none()).then(|| oversell(stock, request)).flatten()
}

/// Units that are missing are taken where the first of the others are.
fn oversell(stock: &SkuStock, request: &ReserveRequest) -> Option<ReserveDecision> {
    let (wanted, available) = (u64::from(request.quantity.units()), stock.available());
    let missing = wanted.checked_sub(available).filter(|missing| *missing > 0)?;
    let there = ReserveRequest { quantity: Quantity::of(available), ..*request };
    let mut decision = stock.reserve(None, &there);
    if let ReserveDecision::Held(Some(StockFact::HoldPlaced { allocations, .. })) = &mut decision {
        let first = allocations.first_mut()?;
        first.quantity = Quantity::of(u64::from(first.quantity.units()) + missing);
    }
    Some(decision)
}

pub(super) fn op(stock: &SkuStock, found: Option<&Hold>, hold: HoldKey, op: HoldOp) -> Option<HoldDecision> {
    let found = found.filter(|_| plant::active(Bug::ReleaseTwice))?;
    let HoldOp::Release(cause) = op else { return None };
    let again = found.state == HoldState::Released && !found.allocations.is_empty();
    let version = stock.version_after(found.allocations.as_slice());
    let allocations = found.allocations.as_slice().to_vec();
    again.then_some(HoldDecision::Do(StockFact::HoldReleased { hold, cause, allocations, version }))
}
