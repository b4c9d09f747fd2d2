//! A journal whose disk fails on purpose, or that is far away and does not answer.
//!
//! Invariant: until it is told to fail it is the journal it wraps, and after a failed append it keeps the contract: it
//! writes nothing any more.

use super::Gate;
use crate::contract::{Error, Journal, Keep, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Partitions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub struct FaultyJournal {
    inner: Arc<dyn Journal>,
    far: bool,
    /// What is appended waits where it is shut.
    appending: Gate,
    /// So does what is looked up.
    looking_up: Gate,
    /// Appends that still succeed.
    appends: AtomicU64,
    projects: AtomicU64,
    stopped: AtomicBool,
    stateless: AtomicBool,
    older_damaged: AtomicBool,
    /// The first commit that is kept, and the one that is from the next read on. 0: as the journal says.
    first: AtomicU64,
    next_first: AtomicU64,
}

impl FaultyJournal {
    pub fn new(inner: Arc<dyn Journal>) -> Self {
        let endless = || AtomicU64::new(u64::MAX);
        Self {
            inner,
            far: false,
            appending: Gate::default(),
            looking_up: Gate::default(),
            appends: endless(),
            projects: endless(),
            stopped: AtomicBool::default(),
            stateless: AtomicBool::default(),
            older_damaged: AtomicBool::default(),
            first: AtomicU64::default(),
            next_first: AtomicU64::default(),
        }
    }

    /// On another machine, as a cluster is.
    pub fn far(inner: Arc<dyn Journal>) -> Self {
        Self { far: true, ..Self::new(inner) }
    }

    /// Says nothing to what is appended while it is silent, and takes it when it is no more.
    pub fn be_silent(&self, silent: bool) {
        self.appending.set(silent);
    }

    /// Nothing that is looked up is found or missed while look-ups are held.
    pub fn hold_look_ups(&self, held: bool) {
        self.looking_up.set(held);
    }

    /// The disk is full after `count` more appends.
    pub fn fill_after_appends(&self, count: u64) {
        self.appends.store(count, Ordering::SeqCst);
    }

    /// The disk is full after `count` more projections.
    pub fn fill_after_projects(&self, count: u64) {
        self.projects.store(count, Ordering::SeqCst);
    }

    /// No state of a snapshot can be read any more.
    pub fn lose_states(&self) {
        self.stateless.store(true, Ordering::SeqCst);
    }

    /// Of each partition the snapshot before the newest is not whole.
    pub fn damage_older_snapshots(&self) {
        self.older_damaged.store(true, Ordering::SeqCst);
    }

    /// While the log is read next all before this commit is deleted, as retention does beside a reader.
    pub fn purge_at_next_read(&self, first: LogSeq) {
        self.next_first.store(first, Ordering::SeqCst);
    }

    fn running(&self) -> Result<(), Error> {
        if self.stopped.load(Ordering::SeqCst) { Err(Error::Stopped) } else { Ok(()) }
    }
}

fn spend(left: &AtomicU64) -> Result<(), Error> {
    let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    spent.map(|_| ()).map_err(|_| Error::Full)
}

impl Log for FaultyJournal {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        self.appending.pass();
        self.running()?;
        let appended = spend(&self.appends).and_then(|()| self.inner.append(log, batch));
        self.stopped.fetch_or(appended.is_err(), Ordering::SeqCst);
        appended
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.inner.end(log)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        match self.next_first.swap(0, Ordering::SeqCst) {
            0 => self.inner.read(log, after, visit),
            first => {
                self.first.store(first, Ordering::SeqCst);
                Err(Error::Purged { first })
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    fn first(&self, log: LogId) -> Result<LogSeq, Error> {
        Ok(self.inner.first(log)?.max(self.first.load(Ordering::SeqCst)))
    }

    fn due_before(&self, log: LogId, keep: Keep) -> Result<LogSeq, Error> {
        self.inner.due_before(log, keep)
    }

    fn purge(&self, log: LogId, floor: LogSeq, keep: Keep) -> Result<LogSeq, Error> {
        self.running()?;
        self.inner.purge(log, floor, keep)
    }
}

impl Snapshots for FaultyJournal {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.running()?;
        self.inner.save_snapshot(snapshot)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        self.inner.snapshot_heads(partition)
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        if self.stateless.load(Ordering::SeqCst) {
            return Err(Error::Failed("the states of snapshots cannot be read".to_owned()));
        }
        let newest = self.inner.snapshot_heads(head.partition)?.first() == Some(&head);
        if self.older_damaged.load(Ordering::SeqCst) && !newest {
            return Ok(None);
        }
        self.inner.snapshot(head)
    }
}

impl Rows for FaultyJournal {
    fn remote(&self) -> bool {
        self.far || self.inner.remote()
    }

    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.running()?;
        spend(&self.projects)?;
        self.inner.project(rows)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.looking_up.pass();
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.inner.scan(table, from, to, limit)
    }
}
