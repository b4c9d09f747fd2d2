//! Snapshots at a panic: what panicked may have spoilt the one that waits for its last record, so it is never written.

use super::*;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Events between two snapshots. An order makes two in its own partition, and one in that of its SKU.
const EVENTS: u64 = 10;

/// A journal that tells of each append and of each snapshot that is written, and whose appends can be held up.
struct Watched {
    inner: MemoryJournal,
    gate: Arc<Gate>,
    appending: UnboundedSender<()>,
    saved: UnboundedSender<PartitionId>,
}

impl Log for Watched {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        self.appending.send(()).ok();
        self.gate.pass();
        self.inner.append(log, batch)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.inner.end(log)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.read(log, after, visit)
    }
}

impl Snapshots for Watched {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.inner.save_snapshot(snapshot)?;
        self.saved.send(snapshot.partition).ok();
        Ok(())
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        self.inner.snapshot_heads(partition)
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        self.inner.snapshot(head)
    }
}

impl Rows for Watched {
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

struct Bench {
    engine: Engine,
    gate: Arc<Gate>,
    appending: UnboundedReceiver<()>,
    saved: UnboundedReceiver<PartitionId>,
}

impl Bench {
    fn start() -> Self {
        let ((appending_to, appending), (saved_to, saved)) = (unbounded_channel(), unbounded_channel());
        let gate = Arc::<Gate>::default();
        let inner = MemoryJournal::new(partitions());
        let journal = Watched { inner, gate: gate.clone(), appending: appending_to, saved: saved_to };
        let engine = start_with(journal, Options { snapshot_events: EVENTS, ..Options::default() });
        Self { engine, gate, appending, saved }
    }

    /// The partition whose snapshot is written first, once that of the SKU has had its turn: they are written in the order they were handed on.
    async fn first_saved(&mut self) -> PartitionId {
        for more in 1..=EVENTS as u32 {
            self.engine.handle.execute(stock_of(1_000 + more)).await.unwrap();
        }
        tokio::time::timeout(TIMEOUT, self.saved.recv()).await.unwrap().unwrap()
    }
}

#[actix::test]
async fn a_snapshot_that_is_not_durable_when_its_partition_panics_is_never_written() {
    let stocked = partitions().of_sku(&sku());
    let home = partitions().all().find(|partition| *partition != stocked).unwrap();
    for panics in [false, true] {
        let mut bench = Bench::start();
        bench.engine.handle.execute(stock()).await.unwrap();
        let mut own = keys("own", |partition| partition == home);
        for key in own.by_ref().take(EVENTS as usize / 2) {
            bench.engine.handle.execute(place(&key)).await.unwrap();
        }
        bench.gate.set(true);
        while bench.appending.try_recv().is_ok() {}
        let last = own.next().unwrap();
        let pending = bench.engine.handle.send(place(&last)).unwrap();
        // The shard takes the snapshot behind this batch, before it reads anything more.
        tokio::time::timeout(TIMEOUT, bench.appending.recv()).await.unwrap().unwrap();
        if panics {
            let poisonous = keys("poison", |partition| partition == home).next().unwrap();
            assert_eq!(bench.engine.handle.execute(poison(&poisonous)).await, Err(Unanswered::Lost));
        }
        bench.gate.set(false);
        assert_eq!(pending.await.is_ok(), !panics);
        assert!(found(&retried(&bench.engine, place(&last)).await));
        assert_eq!(bench.first_saved().await, if panics { stocked } else { home }, "panics: {panics}");
        bench.engine.stop().await;
    }
}
