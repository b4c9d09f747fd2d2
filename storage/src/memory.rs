//! A journal in memory, for tests and for servers that may forget.
//!
//! Invariant: it keeps the contract of [`crate::contract`] for as long as the value lives, and nothing longer. "Durable"
//! here means: as long as the process.

use crate::contract::{Error, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Partitions};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Snapshots kept of each partition.
const KEPT: usize = 2;

/// See the module.
#[derive(Debug)]
pub struct MemoryJournal {
    causality: Causality,
    partitions: Partitions,
    contents: RwLock<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    /// The frame of commit `n` is at `n - 1`.
    logs: BTreeMap<LogId, Vec<Arc<[u8]>>>,
    /// Newest first.
    snapshots: BTreeMap<PartitionId, Vec<Snapshot>>,
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryJournal {
    pub fn new(partitions: Partitions) -> Self {
        Self::with(Causality::OneLog, partitions)
    }

    /// With one log, or with one for each partition.
    pub fn with(causality: Causality, partitions: Partitions) -> Self {
        Self { causality, partitions, contents: RwLock::default() }
    }

    // A panic elsewhere cannot leave `Contents` half changed: every change is one call into a collection.
    fn reading(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn frame(&self, log: LogId, commit: LogSeq) -> Option<Arc<[u8]>> {
        let index = usize::try_from(commit.checked_sub(1)?).ok()?;
        self.reading().logs.get(&log)?.get(index).cloned()
    }
}

impl Log for MemoryJournal {
    fn causality(&self) -> Causality {
        self.causality
    }

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        let frame = batch.frame();
        let mut contents = self.writing();
        let frames = contents.logs.entry(log).or_default();
        frames.push(frame.into());
        Ok(frames.len() as LogSeq)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.reading().logs.get(&log).map_or(0, |frames| frames.len() as LogSeq)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        for commit in after + 1..=self.end(log) {
            // The lock is not held during the visit: a visitor may write.
            let Some(frame) = self.frame(log, commit) else { break };
            if visit(commit, &frame)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Snapshots for MemoryJournal {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let mut contents = self.writing();
        let snapshots = contents.snapshots.entry(snapshot.partition).or_default();
        snapshots.retain(|older| older.seq != snapshot.seq);
        snapshots.push(snapshot.clone());
        snapshots.sort_by_key(|contents| std::cmp::Reverse(contents.seq));
        snapshots.truncate(KEPT);
        Ok(())
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        let contents = self.reading();
        Ok(contents.snapshots.get(&partition).into_iter().flatten().map(Snapshot::head).collect())
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        let contents = self.reading();
        let mut kept = contents.snapshots.get(&head.partition).into_iter().flatten();
        Ok(kept.find(|snapshot| snapshot.head() == head).cloned())
    }
}

impl Rows for MemoryJournal {
    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        let mut contents = self.writing();
        for Row { table, key, value, .. } in rows {
            contents.tables.entry(*table).or_default().insert(key.clone(), value.clone());
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let contents = self.reading();
        Ok(contents.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let contents = self.reading();
        let rows = contents.tables.get(&table).into_iter();
        let rows = rows.flat_map(|rows| rows.range(from.to_vec()..to.to_vec())).take(limit);
        Ok(rows.map(|(key, value)| Row { table, key: key.clone(), value: value.clone(), version: 0 }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Journal;

    crate::conformance!({
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(crate::conformance::partitions()));
        move || journal.clone()
    });

    mod with_a_log_for_each_partition {
        use super::*;

        crate::conformance!({
            let partitions = crate::conformance::partitions();
            let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::with(Causality::PerPartition, partitions));
            move || journal.clone()
        });
    }
}
