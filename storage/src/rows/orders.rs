//! Closed orders as rows: the whole history of each under `ord_… | 0 | first fact u64` (big-endian).
//!
//! What precedes the first zero byte of a key says which rows of a cluster lie together, so each order is on its own there.
//! Earlier builds wrote the 16 bytes of the id, which begin with the number of the partition: all orders of a partition below 256
//! were one partition of the cluster. Invariant: such rows are found, and a row with the new key counts before one with the old,
//! because whatever closes again is written under the new.

use crate::contract::{Error, Rows, Table};
use holdfast_engine::ids::OrderId;

/// The first fact of a row that holds a history from its beginning.
const WHOLE: u64 = 0;

/// The key of the row that an order has.
pub(super) fn key(id: OrderId) -> Vec<u8> {
    [b"ord_".as_slice(), &id.text(), &[0], &WHOLE.to_be_bytes()].concat()
}

/// The row of an order: one look-up, two if there is none or an earlier build wrote it.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn row(journal: &dyn Rows, id: OrderId) -> Result<Option<Vec<u8>>, Error> {
    let row = journal.get(Table::Orders, &key(id))?;
    row.map_or_else(|| journal.get(Table::Orders, &id.bytes()), |row| Ok(Some(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Row, group};
    use crate::memory::MemoryJournal;
    use holdfast_engine::ids::Partitions;
    use std::collections::BTreeSet;

    fn id(partition: u16, number: u64) -> OrderId {
        let mut bytes = (u128::from(number) << 8).to_be_bytes();
        bytes[..2].copy_from_slice(&partition.to_be_bytes());
        OrderId::from_bytes(bytes)
    }

    #[test]
    fn each_order_of_a_partition_is_a_group_of_its_own() {
        for partition in [0, 7, 255, 256, 4095] {
            let keys: Vec<Vec<u8>> = (0..1000).map(|number| key(id(partition, number))).collect();
            assert_eq!(keys.iter().map(|key| group(key)).collect::<BTreeSet<_>>().len(), 1000, "partition {partition}");
        }
        assert_eq!(key(id(7, 1)).len(), 4 + OrderId::TEXT + 1 + 8);
    }

    #[test]
    fn a_row_of_an_earlier_build_is_found_until_its_order_closes_again() {
        let journal = MemoryJournal::new(Partitions::new(1).unwrap());
        let row_at = |key: Vec<u8>, value: &[u8]| Row { table: Table::Orders, key, value: value.to_vec(), version: 1 };
        assert_eq!(row(&journal, id(0, 1)).unwrap(), None);
        journal.project(&[row_at(id(0, 1).bytes().to_vec(), b"old")]).unwrap();
        assert_eq!(row(&journal, id(0, 1)).unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(row(&journal, id(0, 2)).unwrap(), None);
        journal.project(&[row_at(key(id(0, 1)), b"closed again")]).unwrap();
        assert_eq!(row(&journal, id(0, 1)).unwrap().as_deref(), Some(&b"closed again"[..]));
    }
}
