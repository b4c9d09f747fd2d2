//! Idempotency keys that no order in memory keeps, as rows: the fingerprint and the answer under the hash of the key.
//!
//! Invariant: a key never changes its answer, so of two rows under one hash it does not matter which stays.

use crate::contract::{Error, Row, Rows, Table};
use holdfast_engine::codec;
use holdfast_engine::event::StoredResponse;
use holdfast_engine::ids::{Fingerprint, KeyHash};
use std::sync::Arc;

pub(super) fn row(hash: KeyHash, fingerprint: Fingerprint, answer: &StoredResponse) -> Row {
    Row { table: Table::Keys, key: hash.0.to_vec(), value: codec::encode_key(fingerprint, answer), version: 1 }
}

/// What a key is bound to.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn read(journal: &dyn Rows, hash: KeyHash) -> Result<Option<(Fingerprint, Arc<StoredResponse>)>, Error> {
    let row = journal.get(Table::Keys, &hash.0)?;
    Ok(row.map(|row| codec::decode_key(&row)).transpose()?)
}
