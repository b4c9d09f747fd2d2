//! Stock as the API answers it: the counters of a SKU, of each of its locations, and what of it can be had.

use crate::wire::json::to_json;
use crate::wire::scalars;
use holdfast_engine::event::{Buckets, LocationView, StockView};
use holdfast_engine::ids::Sku;
use holdfast_engine::quantity::Quantity;
use serde::Serialize;
use utoipa::ToSchema;

/// Counters of a SKU or of one of its locations.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = StockCounters)]
pub(super) struct CountersBody {
    #[schema(value_type = scalars::Sum)]
    pub available: u64,
    #[schema(value_type = scalars::Sum)]
    pub on_hand: u64,
    #[schema(value_type = scalars::Sum)]
    pub held: u64,
    #[schema(value_type = scalars::Sum)]
    pub pinned: u64,
    #[schema(value_type = scalars::Sum)]
    pub committed: u64,
    #[schema(value_type = scalars::Sum)]
    pub damaged: u64,
    #[schema(value_type = scalars::Sum)]
    pub quality_control: u64,
    /// Units kept back now: the target, or all that is free where that is less.
    #[schema(value_type = scalars::Sum)]
    pub safety_stock: u64,
    #[schema(value_type = scalars::Sum)]
    pub safety_stock_target: u64,
}

impl CountersBody {
    fn add(&mut self, buckets: &Buckets) {
        let sum = |total: &mut u64, units: Quantity| *total += u64::from(units.units());
        sum(&mut self.available, buckets.available());
        sum(&mut self.on_hand, buckets.on_hand);
        sum(&mut self.held, buckets.held);
        sum(&mut self.pinned, buckets.pinned);
        sum(&mut self.committed, buckets.committed);
        sum(&mut self.damaged, buckets.damaged);
        sum(&mut self.quality_control, buckets.quality_control);
        sum(&mut self.safety_stock, buckets.safety_stock());
        sum(&mut self.safety_stock_target, buckets.safety_target);
    }
}

/// The counters of one location.
#[derive(Serialize, ToSchema)]
#[schema(as = StockLocation)]
pub(super) struct LocationBody<'a> {
    #[schema(value_type = scalars::LocationName)]
    location: &'a str,
    #[schema(value_type = scalars::Priority)]
    priority: u16,
    #[serde(flatten)]
    counters: CountersBody,
}

/// One SKU with its locations.
#[derive(Serialize, ToSchema)]
#[schema(as = Stock)]
pub struct StockBody<'a> {
    #[schema(value_type = scalars::Sku)]
    sku: &'a str,
    /// Counts what moved the stock; also the `ETag`.
    version: u64,
    #[serde(flatten)]
    counters: CountersBody,
    in_stock: bool,
    low_stock: bool,
    #[schema(value_type = scalars::Units)]
    low_stock_threshold: u32,
    locations: Vec<LocationBody<'a>>,
}

pub fn stock_json(stock: &StockView) -> Vec<u8> {
    to_json(&stock_body(stock))
}

pub fn stock_body(stock: &StockView) -> StockBody<'_> {
    let mut counters = CountersBody::default();
    stock.locations.iter().for_each(|place| counters.add(&place.buckets));
    StockBody {
        sku: stock.sku.as_str(),
        version: stock.version,
        in_stock: counters.available > 0,
        low_stock: counters.available <= u64::from(stock.low_stock_threshold.units()),
        low_stock_threshold: stock.low_stock_threshold.units(),
        locations: stock.locations.iter().map(location_body).collect(),
        counters,
    }
}

fn location_body(place: &LocationView) -> LocationBody<'_> {
    let mut counters = CountersBody::default();
    counters.add(&place.buckets);
    LocationBody { location: place.location.as_str(), priority: place.priority, counters }
}

/// What can be had of some SKUs, in the order asked.
#[derive(Serialize, ToSchema)]
#[schema(as = Availability)]
pub struct AvailabilityBody<'a> {
    pub items: Vec<AvailabilityItem<'a>>,
}

/// What can be had of one SKU. Nothing of one that nobody ever stocked.
#[derive(Serialize, ToSchema)]
pub struct AvailabilityItem<'a> {
    #[schema(value_type = scalars::Sku)]
    sku: &'a str,
    #[schema(value_type = scalars::Sum)]
    available: u64,
    in_stock: bool,
}

pub fn availability_item(sku: &Sku, available: Option<u64>) -> AvailabilityItem<'_> {
    let available = available.unwrap_or(0);
    AvailabilityItem { sku: sku.as_str(), available, in_stock: available > 0 }
}
