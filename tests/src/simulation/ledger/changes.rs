//! What operators changed: each change has a number of its own and is shown as it is in the journal.

use super::{Checked, Ledger, require};
use holdfast_engine::event::{Change, Changed, Record};
use holdfast_engine::ids::Seq;
use std::collections::BTreeMap;

/// By partition and number, with the record.
pub(super) type ChangeBook = BTreeMap<(usize, u64), (Seq, Changed)>;

impl Ledger {
    pub(super) fn changed(&mut self, partition: usize, record: &Record, change: &Change) -> Checked {
        let of_partition = self.changes.range((partition, 0)..=(partition, u64::MAX));
        let last = of_partition.last().map_or(0, |((_, number), _)| *number);
        require(change.number == last + 1, "changes are counted", || {
            format!("partition {partition} has change {} after {last}", change.number)
        })?;
        let changed = Changed { at: record.at, change: Box::new(change.clone()) };
        self.changes.insert((partition, change.number), (record.seq, changed));
        Ok(())
    }

    pub(in super::super) fn changes_shown(&self, partition: usize, shown: &[Changed], durable: Seq) -> Checked {
        shown.iter().try_for_each(|changed| {
            let book = self.changes.get(&(partition, changed.change.number));
            let is_durable = book.is_some_and(|(seq, known)| *seq <= durable && known == changed);
            require(is_durable, "I14 acknowledged is durable", || format!("{changed:?} was shown, the journal has {book:?}"))
        })
    }
}
