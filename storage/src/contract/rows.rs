//! Rows of what left memory.
//!
//! Invariant: what [`Rows::project`] reported is kept like a commit; a reader sees the rows of one call in their order.

use super::Error;

/// What the projections hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Closed orders: order id → history.
    Orders,
    /// Idempotency keys that no order keeps: key hash → fingerprint and answer.
    Keys,
    /// Movements of stock: SKU, first movement → movements.
    Movements,
    /// Positions of the projections themselves.
    Meta,
}

impl Table {
    pub const ALL: [Table; 4] = [Table::Orders, Table::Keys, Table::Movements, Table::Meta];

    pub fn name(self) -> &'static str {
        match self {
            Table::Orders => "orders",
            Table::Keys => "keys",
            Table::Movements => "movements",
            Table::Meta => "meta",
        }
    }
}

/// One row to put into a projection; a row under the same key is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Of two writers the later wins by this, where the backend cannot keep an old one out: the facts behind the row
    /// only grow. Zero in rows that were read.
    pub version: u64,
}

/// The part of a key up to its first zero byte: rows of one group can be scanned in order.
pub fn group(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == 0).next().unwrap_or(key)
}

/// The tables of a journal.
pub trait Rows: Send + Sync + 'static {
    /// Whether `get` asks another machine: then nobody who serves others may wait for it.
    fn remote(&self) -> bool {
        false
    }

    /// Puts rows in the order given: after a crash the first of them are there, or all. Durable on return.
    ///
    /// # Errors
    /// If they could not be written.
    fn project(&self, rows: &[Row]) -> Result<(), Error>;

    /// # Errors
    /// If the store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Up to `limit` rows with `from ≤ key < to`, in order of key. Both are of one [`group`].
    ///
    /// # Errors
    /// If the store cannot be read.
    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error>;
}
