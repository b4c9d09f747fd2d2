//! Group commit: order, barriers and fail-stop.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use holdfast_storage::conformance::{FaultyJournal, World, frames, partitions};
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Error, Journal, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::sync::Arc;

/// Waits in each append until it is let go: what is submitted meanwhile must share the next commit.
struct SlowJournal {
    inner: MemoryJournal,
    entered: Sender<()>,
    let_go: Receiver<()>,
}

impl Log for SlowJournal {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        let entered = self.entered.send(());
        assert!(entered.is_ok() && self.let_go.recv().is_ok(), "the test is gone");
        self.inner.append(log, batch)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.inner.end(log)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.read(log, after, visit)
    }
}

impl Snapshots for SlowJournal {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.inner.save_snapshot(snapshot)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        self.inner.snapshot_heads(partition)
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        self.inner.snapshot(head)
    }
}

impl Rows for SlowJournal {
    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.inner.project(rows)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.inner.scan(table, from, to, limit)
    }
}

const LOG: LogId = LogId(0);

fn notices() -> (Notify, Receiver<Notice>) {
    let (notify, notices) = unbounded();
    (Arc::new(move |notice| drop(notify.send(notice))), notices)
}

fn nobody() -> Notify {
    Arc::new(|_| {})
}

fn batches(count: usize) -> Vec<Batch> {
    let mut world = World::new(partitions());
    (0..count).map(|n| world.set_stock(&format!("SKU-{}", n % 7), 10 + n as u32)).collect()
}

fn commit_of(notice: &Notice) -> LogSeq {
    match notice {
        Notice::Durable { commit, .. } => *commit,
        Notice::Failed(error) => panic!("{error}"),
    }
}

#[test]
fn batches_reach_the_log_in_the_order_of_their_submission() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(partitions()));
    let (committer, threads) = Committer::start(&journal, &nobody()).unwrap();
    let (notify, notices) = notices();
    let batches = batches(100);
    let ids: Vec<u64> = batches.iter().map(|batch| committer.submit(LOG, batch.clone(), notify.clone())).collect();
    drop((committer, notify));
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    let id_of = |notice| match notice {
        Notice::Durable { batch, .. } => batch,
        Notice::Failed(error) => panic!("{error}"),
    };
    assert_eq!(notices.iter().map(id_of).collect::<Vec<u64>>(), ids);
    let mut submitted = Batch::default();
    batches.iter().for_each(|batch| submitted.extend(batch));
    let mut written = Vec::new();
    for (_, frame) in frames(&*journal, LOG, 0) {
        written.extend(codec::read_frame(&frame).unwrap().map(|entry| entry.unwrap().decode().unwrap()));
    }
    let frame = submitted.frame();
    let expected: Vec<_> = codec::read_frame(&frame).unwrap().map(|entry| entry.unwrap().decode().unwrap()).collect();
    assert_eq!(written, expected);
}

#[test]
fn what_arrives_during_a_sync_is_the_next_commit() {
    let (entered, entries) = unbounded();
    let (go, let_go) = bounded(0);
    let journal: Arc<dyn Journal> = Arc::new(SlowJournal { inner: MemoryJournal::new(partitions()), entered, let_go });
    let (watch, watched) = notices();
    let (committer, _) = Committer::start(&journal, &watch).unwrap();
    let (notify, notices) = notices();
    let batches = batches(10);
    committer.submit(LOG, batches[0].clone(), notify.clone());
    entries.recv().unwrap();
    for batch in &batches[1..] {
        committer.submit(LOG, batch.clone(), notify.clone());
    }
    go.send(()).unwrap();
    entries.recv().unwrap();
    go.send(()).unwrap();

    let logs: Vec<LogSeq> = notices.iter().take(10).map(|notice| commit_of(&notice)).collect();
    assert_eq!(logs, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(watched.iter().take(2).map(|notice| commit_of(&notice)).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(journal.end(LOG), 2);
}

#[test]
fn an_empty_batch_writes_nothing_and_ends_when_everything_before_it_has() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(partitions()));
    let (committer, _) = Committer::start(&journal, &nobody()).unwrap();
    let (notify, notices) = notices();
    committer.submit(LOG, batches(1).remove(0), notify.clone());
    committer.submit(LOG, Batch::default(), notify);
    assert_eq!(notices.iter().map(|notice| commit_of(&notice)).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(journal.end(LOG), 1);
}

#[test]
fn after_a_failure_everybody_hears_of_it_and_nothing_is_written() {
    let faulty = Arc::new(FaultyJournal::new(Arc::new(MemoryJournal::new(partitions()))));
    faulty.fill_after_appends(1);
    let journal: Arc<dyn Journal> = faulty.clone();
    let (watch, watched) = notices();
    let (committer, threads) = Committer::start(&journal, &watch).unwrap();
    let (notify, notices) = notices();
    let batches = batches(6);
    committer.submit(LOG, batches[0].clone(), notify.clone());
    assert_eq!(commit_of(&notices.recv().unwrap()), 1);
    faulty.fill_after_appends(0);
    for batch in &batches[1..] {
        committer.submit(LOG, batch.clone(), notify.clone());
        assert!(matches!(notices.recv().unwrap(), Notice::Failed(error) if matches!(*error, Error::Full)));
    }
    drop((committer, notify));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(notices.try_iter().count(), 0);
    assert_eq!(journal.end(LOG), 1);
    assert_eq!(watched.try_iter().filter(|notice| matches!(notice, Notice::Failed(_))).count(), 1);
}

/// One log must not wait for another: a partition whose replicas are slow would stop them all.
#[test]
fn each_log_commits_for_itself() {
    let (entered, entries) = unbounded();
    let (go, let_go) = bounded(0);
    let inner = MemoryJournal::with(Causality::PerPartition, partitions());
    let journal: Arc<dyn Journal> = Arc::new(SlowJournal { inner, entered, let_go });
    let (committer, _) = Committer::start(&journal, &nobody()).unwrap();
    let (notify, notices) = notices();
    let mut world = World::new(partitions());
    let day = world.busy_day();
    let mut whole = Batch::default();
    day.iter().for_each(|batch| whole.extend(batch));
    let parts = whole.by_partition();
    assert_eq!(parts.len(), usize::from(partitions().count()));
    assert_eq!(parts.values().map(|part| part.events).sum::<u32>(), whole.events);
    for (partition, part) in parts {
        committer.submit(journal.log_of(partition), part, notify.clone());
    }
    // Every log has entered its append before any of them returned.
    journal.logs().iter().for_each(|_| entries.recv().unwrap());
    journal.logs().iter().for_each(|_| go.send(()).unwrap());
    let mut logs: Vec<u16> = notices.iter().take(4).map(|notice| log_of(&notice).0).collect();
    logs.sort_unstable();
    assert_eq!(logs, [0, 1, 2, 3]);
}

fn log_of(notice: &Notice) -> LogId {
    match notice {
        Notice::Durable { log, .. } => *log,
        Notice::Failed(error) => panic!("{error}"),
    }
}
