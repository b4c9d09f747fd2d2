//! How much of the journal waits to be published. Reads on by itself while nothing can be sent.
//!
//! Invariant: each commit is counted once, and an event that is published does not count.

use crate::contract::{Error, Log, LogId, LogSeq};
use holdfast_engine::codec;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

#[derive(Debug)]
pub(super) struct Backlog {
    /// The last event of each partition that was seen in the journal.
    heads: Vec<Seq>,
    counted: BTreeMap<LogId, LogSeq>,
    /// When the first event after the published ones happened, where it was seen.
    oldest: Option<Timestamp>,
}

impl Backlog {
    pub(super) fn new(partitions: u16) -> Self {
        Self { heads: vec![0; usize::from(partitions)], counted: BTreeMap::new(), oldest: None }
    }

    /// An event is in the journal.
    pub(super) fn saw(&mut self, partition: PartitionId, seq: Seq) {
        let head = &mut self.heads[usize::from(partition.0)];
        *head = (*head).max(seq);
    }

    /// A commit was read elsewhere, and [`Self::saw`] told of its events.
    pub(super) fn read(&mut self, log: LogId, commit: LogSeq) {
        let counted = self.counted.entry(log).or_default();
        *counted = (*counted).max(commit);
    }

    /// Counts what is in the journal and was not seen yet.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(super) fn count(&mut self, journal: &dyn Log) -> Result<(), Error> {
        for log in journal.logs() {
            let after = self.counted.get(&log).copied().unwrap_or_default();
            if journal.end(log) <= after {
                continue;
            }
            journal.read(log, after, &mut |commit, frame| {
                for entry in codec::read_frame(frame)? {
                    let entry = entry?;
                    if self.oldest.is_none() && entry.seq > self.head(entry.partition) {
                        self.oldest = Some(entry.decode()?.at);
                    }
                    self.saw(entry.partition, entry.seq);
                }
                self.read(log, commit);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    /// The last event of a partition that was seen in the journal.
    pub(super) fn head(&self, partition: PartitionId) -> Seq {
        self.heads[usize::from(partition.0)]
    }

    /// Events seen in the journal and not published, given the last published one of each partition.
    pub(super) fn events(&self, published: impl Fn(PartitionId) -> Seq) -> u64 {
        let partitions = (0..).map(PartitionId);
        self.heads.iter().zip(partitions).map(|(head, partition)| head.saturating_sub(published(partition))).sum()
    }

    /// When the oldest waiting event happened, if one was seen waiting.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    /// What a session knows of the oldest event replaces what was seen here.
    pub(super) fn oldest_is(&mut self, oldest: Option<Timestamp>) {
        self.oldest = oldest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryJournal;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Event, Record, StockFact};
    use holdfast_engine::ids::{Partitions, Sku};
    use holdfast_engine::quantity::Quantity;

    fn append(journal: &MemoryJournal, partition: u16, seq: Seq) {
        let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
        let record = Record { seq, at: Timestamp::new(1000 * seq), event: Event::Stock { sku: Sku::new("S").unwrap(), fact } };
        let mut batch = Batch::default();
        batch.push(PartitionId(partition), &record);
        journal.append(LogId(0), &batch).unwrap();
    }

    #[test]
    fn it_counts_what_is_not_published_and_how_old_it_is() {
        let journal = MemoryJournal::new(Partitions::new(2).unwrap());
        let mut backlog = Backlog::new(2);
        append(&journal, 0, 1);
        backlog.saw(PartitionId(0), 1);
        backlog.read(LogId(0), 1);
        assert_eq!((backlog.events(|_| 1), backlog.oldest()), (0, None));
        append(&journal, 0, 2);
        append(&journal, 1, 1);
        append(&journal, 0, 3);
        backlog.count(&journal).unwrap();
        backlog.count(&journal).unwrap();
        let published = |partition: PartitionId| if partition.0 == 0 { 1 } else { 0 };
        assert_eq!((backlog.events(published), backlog.oldest()), (3, Some(Timestamp::new(2000))));
    }
}
