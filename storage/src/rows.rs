//! What left memory, and who writes it: closed orders, idempotency keys, movements of stock.
//!
//! The projector is one thread behind a queue. Invariants: a closed order or a key is reported only when its row is durable, because
//! it may leave the memory of its partition then; the position in a log is written after the movements read up to it. So a crash
//! at any moment repeats work, and loses or doubles none.
//!
//! `orders`, `keys` and `movements` lay out the rows of one table each, `meta` names every key of the fourth, `basis` says which
//! commits the tables follow from.

pub(crate) mod basis;
mod keys;
pub(crate) mod meta;
mod movements;
mod orders;
mod projector;

pub(crate) use basis::Writer;
pub use basis::save_snapshot;
pub use movements::{Movement, MovementKind};
pub(crate) use projector::row_of;
pub use projector::{Archived, Flushed, Notice, Notify, Options, Projector, position};

use crate::contract::{Error, Rows};
use holdfast_engine::codec;
use holdfast_engine::event::{History, StoredResponse};
use holdfast_engine::ids::{Fingerprint, KeyHash, OrderId, Sku};
use std::sync::Arc;

/// The history of a closed order.
///
/// # Errors
/// If the store cannot be read.
pub fn order(journal: &dyn Rows, id: OrderId) -> Result<Option<History>, Error> {
    let row = orders::row(journal, id)?;
    Ok(row.map(|row| codec::decode_history(&row)).transpose()?)
}

/// What an idempotency key is bound to.
///
/// # Errors
/// If the store cannot be read.
pub fn key(journal: &dyn Rows, hash: KeyHash) -> Result<Option<(Fingerprint, Arc<StoredResponse>)>, Error> {
    keys::read(journal, hash)
}

/// Up to `limit` movements of a SKU after number `after`, in order.
///
/// # Errors
/// If the store cannot be read.
pub fn movements(journal: &dyn Rows, sku: &Sku, after: u64, limit: usize) -> Result<Vec<Movement>, Error> {
    movements::page(journal, sku, after, limit)
}

#[cfg(test)]
mod tests;
