//! What left memory, as the records say, and whether the tables have it.
//!
//! Invariant: what left memory and is in no row is reported, save what the next start puts into the tables again because they
//! are older than the log. Rows are looked for while the log is read, because they only ever grow: a few thousand ids are in
//! memory, however many have left it.

use crate::parallel;
use crate::recovery;
use crate::{Error, Journal, LogId, LogSeq, rows};
use holdfast_engine::event::{ArchiveFact, Event, Record};
use holdfast_engine::ids::{KeyHash, OrderId, PartitionId, Seq};
use holdfast_engine::order::Order;
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Policy;
use std::collections::BTreeMap;

/// Closed orders and keys read at once from a store on another machine.
const READERS: usize = 32;
/// Ids that are looked for together.
const TOGETHER: usize = 4096;

/// What a start makes again: all that leaves memory behind the snapshot it begins with and behind what the tables are whole to.
pub(super) struct Remade {
    begins: BTreeMap<PartitionId, Seq>,
    whole_to: BTreeMap<LogId, LogSeq>,
}

impl Remade {
    /// # Errors
    /// If what lies beside the log is of another moment, or cannot be read.
    pub(super) fn of(journal: &dyn Journal, policy: &Policy) -> Result<Self, Error> {
        let ids: Vec<PartitionId> = journal.partitions().all().collect();
        let beginning = recovery::begin(journal, &ids, policy, 1)?;
        let begins = beginning.seqs().collect();
        let whole_to = journal.logs().into_iter().map(|log| (log, beginning.marks().rows_whole_to(log))).collect();
        Ok(Self { begins, whole_to })
    }

    fn covers(&self, (log, commit): (LogId, LogSeq), partition: PartitionId, seq: Seq) -> bool {
        let whole_to = self.whole_to.get(&log).copied().unwrap_or_default();
        commit > whole_to && seq > self.begins.get(&partition).copied().unwrap_or_default()
    }
}

/// What must be in the tables and was not looked for yet.
#[derive(Default)]
pub(super) struct Left {
    /// With the number of facts.
    orders: Vec<(OrderId, usize)>,
    keys: Vec<KeyHash>,
    /// What is not there, in words.
    missing: Vec<String>,
}

impl Left {
    /// A record that `partition` is about to take.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(super) fn note(
        &mut self,
        journal: &dyn Journal,
        at: (LogId, LogSeq),
        partition: &Partition,
        record: &Record,
        remade: &Remade,
    ) -> Result<(), Error> {
        let Event::Archive(fact) = &record.event else { return Ok(()) };
        if remade.covers(at, partition.id, record.seq) {
            return Ok(());
        }
        match fact {
            ArchiveFact::Orders(orders) => self.orders.extend(orders.iter().map(|id| (*id, facts_of(partition, *id)))),
            ArchiveFact::Keys(keys) => self.keys.extend(keys),
            // Its row stays, until it leaves again and the row has more.
            ArchiveFact::Restored { .. } => {}
        }
        if self.orders.len() + self.keys.len() >= TOGETHER { self.look(journal) } else { Ok(()) }
    }

    fn look(&mut self, journal: &dyn Journal) -> Result<(), Error> {
        let (orders, keys) = (std::mem::take(&mut self.orders), std::mem::take(&mut self.keys));
        self.missing.extend(each(journal, &orders, |(id, facts)| order_missing(journal, *id, *facts))?);
        self.missing.extend(each(journal, &keys, |key| key_missing(journal, *key))?);
        Ok(())
    }

    /// What is not there, in words.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(super) fn missing(mut self, journal: &dyn Journal) -> Result<Vec<String>, Error> {
        self.look(journal)?;
        Ok(self.missing)
    }
}

fn facts_of(partition: &Partition, id: OrderId) -> usize {
    partition.order(id).map_or(0, |order| order.history().len())
}

fn order_missing(journal: &dyn Journal, id: OrderId, facts: usize) -> Result<Option<String>, Error> {
    let order = rows::order(journal, id)?.map(|history| Order::of(id, history));
    let there = order.is_some_and(|order| order.archivable() && order.history().len() >= facts);
    Ok((!there).then(|| format!("I14 order {id} left memory but its row is missing or not closed")))
}

fn key_missing(journal: &dyn Journal, key: KeyHash) -> Result<Option<String>, Error> {
    let there = rows::key(journal, key)?.is_some();
    Ok((!there).then(|| format!("I13 the answer under key {key:?} left memory but its row is missing")))
}

/// Asks about each, beside each other where each question takes a round trip.
fn each<T: Sync>(
    journal: &dyn Journal,
    all: &[T],
    ask: impl Fn(&T) -> Result<Option<String>, Error> + Sync,
) -> Result<Vec<String>, Error> {
    let readers = if journal.remote() { READERS } else { 1 };
    Ok(parallel::each(readers, all, ask)?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryJournal;
    use crate::stoppable::Stoppable;
    use holdfast_engine::ids::Partitions;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Nobody heard that whoever had asked was gone before the last of millions of rows was read.
    #[test]
    fn rows_are_looked_for_one_by_one_until_it_is_to_stop() {
        let partitions = Partitions::new(4).unwrap();
        let order = |n: u32| OrderId::derive(KeyHash::derive("shop", "orders", &n.to_string()), partitions);
        let key = |n: u32| KeyHash::derive("shop", "adjustments", &n.to_string());
        let left =
            || Left { orders: (0..100).map(|n| (order(n), 1)).collect(), keys: (0..100).map(key).collect(), ..Left::default() };
        for last in [1, 50, 150, 200] {
            let asked = Arc::new(AtomicUsize::new(0));
            let asking = asked.clone();
            let stop = move || asking.fetch_add(1, Ordering::Relaxed) + 1 >= last;
            let journal = Stoppable::new(Arc::new(MemoryJournal::new(partitions)), stop);
            assert!(matches!(left().missing(&journal), Err(Error::Stopped)), "{last}");
            assert_eq!(asked.load(Ordering::Relaxed), last);
        }
        assert_eq!(left().missing(&MemoryJournal::new(partitions)).unwrap().len(), 200);
    }
}
