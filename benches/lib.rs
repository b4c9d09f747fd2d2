//! What benches and counts of instructions share: the shop they work on, and the counts that are kept.

pub mod baseline;
mod shop;

pub use shop::{NOW, ORDER, Shop, order_id, partitions, place, placed, records, request_id, sku, stock};
