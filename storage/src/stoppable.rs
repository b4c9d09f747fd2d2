//! A journal that is read for as long as nobody says stop.
//!
//! Invariant: once the question is answered with yes nothing of the journal is looked at any more, whatever it is looked through for:
//! each commit, snapshot and row that is asked for is [`Error::Stopped`]. It is never written.

use crate::contract::{
    CommitCheck, Error, Journal, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit,
};
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Partitions};
use std::sync::Arc;

/// See the module.
pub struct Stoppable {
    journal: Arc<dyn Journal>,
    stop: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Stoppable {
    pub fn new(journal: Arc<dyn Journal>, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { journal, stop: Box::new(stop) }
    }

    fn ask(&self) -> Result<(), Error> {
        if (self.stop)() { Err(Error::Stopped) } else { Ok(()) }
    }

    fn asked(&self) -> Result<&dyn Journal, Error> {
        self.ask().map(|()| &*self.journal)
    }
}

impl Log for Stoppable {
    fn causality(&self) -> Causality {
        self.journal.causality()
    }

    fn partitions(&self) -> Partitions {
        self.journal.partitions()
    }

    fn log_of(&self, partition: PartitionId) -> LogId {
        self.journal.log_of(partition)
    }

    fn logs(&self) -> Vec<LogId> {
        self.journal.logs()
    }

    fn append(&self, _: LogId, _: &Batch) -> Result<LogSeq, Error> {
        Err(Error::Stopped)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.journal.end(log)
    }

    fn tip(&self, log: LogId) -> Result<Option<CommitCheck>, Error> {
        self.asked()?.tip(log)
    }

    fn bytes(&self) -> u64 {
        self.journal.bytes()
    }

    fn refresh(&self) -> Result<(), Error> {
        self.asked()?.refresh()
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.asked()?.read(log, after, &mut |commit, frame| {
            self.ask()?;
            visit(commit, frame)
        })
    }

    fn first(&self, log: LogId) -> Result<LogSeq, Error> {
        self.asked()?.first(log)
    }
}

impl Snapshots for Stoppable {
    fn save_snapshot(&self, _: &Snapshot) -> Result<(), Error> {
        Err(Error::Stopped)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        self.asked()?.snapshot_heads(partition)
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        self.asked()?.snapshot(head)
    }
}

impl Rows for Stoppable {
    fn remote(&self) -> bool {
        self.journal.remote()
    }

    fn project(&self, _: &[Row]) -> Result<(), Error> {
        Err(Error::Stopped)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.asked()?.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.asked()?.scan(table, from, to, limit)
    }
}
