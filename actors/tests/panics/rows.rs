//! Rows that cannot be read, or not yet, and a log that takes no more: each costs whoever needs it.

use super::*;
use holdfast_actors::placement::operations::State;

/// How the row of an order is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// The store says that it cannot.
    Refused,
    /// Bytes that nobody wrote.
    Garbage,
    /// A row that can be read, and is no history.
    NoHistory,
    /// The store itself breaks.
    Panic,
    /// The store does not answer yet.
    Silence,
    /// The log takes no more.
    Full,
}

/// A journal whose rows of orders are damaged, once it is told so.
struct Damaged {
    inner: MemoryJournal,
    damage: Damage,
    remote: bool,
    on: Arc<Gate>,
}

impl Log for Damaged {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        match self.damage {
            Damage::Full if self.on.is_shut() => Err(Error::Full),
            _ => self.inner.append(log, batch),
        }
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.inner.end(log)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.read(log, after, visit)
    }
}

impl Snapshots for Damaged {
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

impl Rows for Damaged {
    fn remote(&self) -> bool {
        self.remote
    }

    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.inner.project(rows)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if table != Table::Orders || !self.on.is_shut() {
            return self.inner.get(table, key);
        }
        match self.damage {
            Damage::Refused => Err(Error::Failed("a block does not match its checksum".to_owned())),
            Damage::Garbage => Ok(Some(vec![0xee; 40])),
            Damage::NoHistory => Ok(Some(codec::encode(&Vec::<holdfast_engine::event::OrderRecord>::new()))),
            Damage::Panic => panic!("a planted panic"),
            Damage::Silence => {
                self.on.pass();
                self.inner.get(table, key)
            }
            Damage::Full => self.inner.get(table, key),
        }
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.inner.scan(table, from, to, limit)
    }
}

/// Has an order leave memory for the store.
async fn archive(engine: &Engine, key: &str) {
    tokio::time::timeout(TIMEOUT, shop::archive(engine, key, &[SKU])).await.unwrap();
}

#[actix::test]
async fn a_row_that_cannot_be_read_fails_the_request_that_needs_it_and_no_other() {
    for (damage, remote) in [
        (Damage::Refused, false),
        (Damage::Refused, true),
        (Damage::Garbage, false),
        (Damage::Garbage, true),
        (Damage::NoHistory, false),
        (Damage::NoHistory, true),
        (Damage::Panic, false),
        (Damage::Panic, true),
    ] {
        let on = Arc::<Gate>::default();
        let engine = start(Damaged { inner: MemoryJournal::new(partitions()), damage, remote, on: on.clone() });
        engine.handle.execute(stock()).await.unwrap();
        archive(&engine, "closed").await;
        assert!(engine.handle.execute(get("closed")).await.is_ok_and(|reply| found(&reply)), "{damage:?}");
        on.set(true);
        for number in 0..20 {
            let read = tokio::time::timeout(TIMEOUT, engine.handle.execute(get("closed"))).await.unwrap();
            assert_eq!(read, Err(Unanswered::Unreadable), "{damage:?} {remote}");
            let placed = engine.handle.execute(place(&format!("other-{number}"))).await.unwrap();
            assert!(found(&placed), "{damage:?} {remote}: {placed:?}");
        }
        assert_eq!(lives(&engine), 0, "{damage:?} {remote}: a partition paid for it");
        assert_eq!(engine.handle.depths(), [0], "{damage:?} {remote}: a credit is gone");
        on.set(false);
        assert!(engine.handle.execute(get("closed")).await.is_ok_and(|reply| found(&reply)), "{damage:?}: it can be read again");
        engine.stop().await;
    }
}

/// The request was lost with the life that asked, and its credit given back with it: the row that comes then is for nobody.
#[actix::test]
async fn a_look_up_of_a_former_life_is_answered_to_nobody() {
    let on = Arc::<Gate>::default();
    let inner = MemoryJournal::new(partitions());
    let engine = start(Damaged { inner, damage: Damage::Silence, remote: true, on: on.clone() });
    engine.handle.execute(stock()).await.unwrap();
    archive(&engine, "closed").await;
    on.set(true);
    let read = engine.handle.send(get("closed")).unwrap();
    let poisonous = keys("poison", |partition| partition == id("closed").partition()).next().unwrap();
    assert_eq!(engine.handle.execute(poison(&poisonous)).await, Err(Unanswered::Lost));
    assert_eq!(read.await, Err(Unanswered::Lost));
    assert!(found(
        &taken(&engine, place(&keys("other", |partition| partition == id("closed").partition()).next().unwrap())).await.unwrap()
    ));
    on.set(false);
    assert!(found(&engine.handle.execute(get("closed")).await.unwrap()));
    assert_eq!(engine.handle.depths(), [0], "a credit was given back twice, or is gone");
    engine.stop().await;
}

/// What was looked up comes back to the shard that asked. The request is in hand where its partition is, and its credit with it.
#[actix::test]
async fn a_look_up_of_a_partition_that_moved_meanwhile_is_answered_where_it_is_now() {
    let on = Arc::<Gate>::default();
    let journal = Damaged { inner: MemoryJournal::new(partitions()), damage: Damage::Silence, remote: true, on: on.clone() };
    let engine = start_with(journal, Options { shards: 2, ..Options::default() });
    engine.handle.execute(stock()).await.unwrap();
    archive(&engine, "closed").await;
    on.set(true);
    let home = id("closed").partition();
    let from = engine.handle.router().shard_of(home);
    let read = engine.handle.send(get("closed")).unwrap();
    let operation = engine.handle.move_partition(home, 1 - from).unwrap();
    while engine.handle.operations().get(operation.id).unwrap().state == State::Running {
        meanwhile(&engine).await;
    }
    let mut depths = [0, 0];
    depths[1 - from] = 1;
    assert_eq!(engine.handle.depths(), depths, "its credit went along");
    on.set(false);
    assert!(found(&tokio::time::timeout(TIMEOUT, read).await.unwrap().unwrap()));
    let handle = engine.handle.clone();
    engine.stop().await;
    assert_eq!(handle.depths(), [0, 0], "a credit was given back twice, or is gone");
}

#[actix::test]
async fn a_journal_that_fails_ends_the_engine_and_leaves_nobody_waiting() {
    let on = Arc::<Gate>::default();
    let engine = start(Damaged { inner: MemoryJournal::new(partitions()), damage: Damage::Full, remote: false, on: on.clone() });
    let mut failed = engine.failed();
    engine.handle.execute(stock()).await.unwrap();
    on.set(true);
    // Those that come after the failure are refused.
    let sent: Vec<_> = keys("order", |_| true).take(50).filter_map(|key| engine.handle.send(place(&key)).ok()).collect();
    for pending in sent {
        let outcome = tokio::time::timeout(TIMEOUT, pending).await.unwrap();
        assert_eq!(outcome, Err(Unanswered::Lost), "nobody knows what is in the journal");
    }
    tokio::time::timeout(TIMEOUT, failed.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert_eq!(engine.handle.execute(stock()).await, Err(Unanswered::Unavailable));
    assert_eq!(lives(&engine), 0, "nothing is rebuilt from it");
    assert!(!tokio::time::timeout(TIMEOUT, engine.stop()).await.unwrap());
}
