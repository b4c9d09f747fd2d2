//! Group commit: order, barriers and fail-stop.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use holdfast_storage::conformance::{FaultyJournal, World, frames, partitions};
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::journal::Visit;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Error, Journal, LogSeq, Row, Snapshot, Table};
use std::sync::Arc;

/// Waits in each append until it is let go: what is submitted meanwhile must share the next commit.
struct SlowJournal {
    inner: MemoryJournal,
    entered: Sender<()>,
    let_go: Receiver<()>,
}

impl Journal for SlowJournal {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn append(&self, batch: &Batch) -> Result<LogSeq, Error> {
        let told = self.entered.send(());
        assert!(told.is_ok() && self.let_go.recv().is_ok(), "the test is gone");
        self.inner.append(batch)
    }

    fn end(&self) -> LogSeq {
        self.inner.end()
    }

    fn read(&self, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.read(after, visit)
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.inner.save_snapshot(snapshot)
    }

    fn snapshots(&self, partition: PartitionId) -> Result<Vec<Snapshot>, Error> {
        self.inner.snapshots(partition)
    }

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

fn notify() -> (Notify, Receiver<Notice>) {
    let (tell, told) = unbounded();
    (Arc::new(move |notice| tell.send(notice).unwrap_or_default()), told)
}

fn nobody() -> Notify {
    Arc::new(|_| {})
}

fn batches(count: usize) -> Vec<Batch> {
    let mut world = World::new(partitions());
    (0..count).map(|n| world.set_stock(&format!("SKU-{}", n % 7), 10 + n as u32)).collect()
}

fn log_of(notice: &Notice) -> LogSeq {
    match notice {
        Notice::Durable { log, .. } => *log,
        Notice::Failed(error) => panic!("{error}"),
    }
}

#[test]
fn batches_reach_the_log_in_the_order_of_their_submission() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(partitions()));
    let (committer, thread) = Committer::start(journal.clone(), nobody()).unwrap();
    let (tell, told) = notify();
    let batches = batches(100);
    let ids: Vec<u64> = batches.iter().map(|batch| committer.submit(batch.clone(), tell.clone())).collect();
    drop((committer, tell));
    thread.join().unwrap();

    let id_of = |notice| match notice {
        Notice::Durable { batch, .. } => batch,
        Notice::Failed(error) => panic!("{error}"),
    };
    assert_eq!(told.iter().map(id_of).collect::<Vec<u64>>(), ids);
    let mut submitted = Batch::default();
    batches.iter().for_each(|batch| submitted.extend(batch));
    let mut written = Vec::new();
    for (_, frame) in frames(&*journal, 0) {
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
    let (watch, watched) = notify();
    let (committer, _) = Committer::start(journal.clone(), watch).unwrap();
    let (tell, told) = notify();
    let batches = batches(10);
    committer.submit(batches[0].clone(), tell.clone());
    entries.recv().unwrap();
    for batch in &batches[1..] {
        committer.submit(batch.clone(), tell.clone());
    }
    go.send(()).unwrap();
    entries.recv().unwrap();
    go.send(()).unwrap();

    let logs: Vec<LogSeq> = told.iter().take(10).map(|notice| log_of(&notice)).collect();
    assert_eq!(logs, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(watched.iter().take(2).map(|notice| log_of(&notice)).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(journal.end(), 2);
}

#[test]
fn an_empty_batch_writes_nothing_and_ends_when_everything_before_it_has() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(partitions()));
    let (committer, _) = Committer::start(journal.clone(), nobody()).unwrap();
    let (tell, told) = notify();
    committer.submit(batches(1).remove(0), tell.clone());
    committer.submit(Batch::default(), tell);
    assert_eq!(told.iter().map(|notice| log_of(&notice)).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(journal.end(), 1);
}

#[test]
fn after_a_failure_everybody_hears_of_it_and_nothing_is_written() {
    let faulty = Arc::new(FaultyJournal::new(Arc::new(MemoryJournal::new(partitions()))));
    faulty.fill_after_appends(1);
    let journal: Arc<dyn Journal> = faulty.clone();
    let (watch, watched) = notify();
    let (committer, thread) = Committer::start(journal.clone(), watch).unwrap();
    let (tell, told) = notify();
    let batches = batches(6);
    committer.submit(batches[0].clone(), tell.clone());
    assert_eq!(log_of(&told.recv().unwrap()), 1);
    faulty.fill_after_appends(0);
    for batch in &batches[1..] {
        committer.submit(batch.clone(), tell.clone());
        assert!(matches!(told.recv().unwrap(), Notice::Failed(error) if matches!(*error, Error::Full)));
    }
    drop((committer, tell));
    thread.join().unwrap();
    assert_eq!(told.try_iter().count(), 0);
    assert_eq!(journal.end(), 1);
    assert_eq!(watched.try_iter().filter(|notice| matches!(notice, Notice::Failed(_))).count(), 1);
}
