//! The journal on a real CQL cluster: the conformance suite, and what only this backend promises.
//!
//! `HOLDFAST__SCYLLA__NODES` names the cluster; `tests/servers start cassandra 1` starts one and prints it. Without it the
//! suite says that it was skipped, or fails where `HOLDFAST_REQUIRE_SERVERS` is set.
#![cfg(feature = "scylla")]

use holdfast_engine::codec::{self, Batch};
use holdfast_engine::effect::Archive;
use holdfast_engine::event::History;
use holdfast_engine::ids::{OrderId, PartitionId, Sku};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_storage::conformance::{World, frames, partitions, recovered};
use holdfast_storage::cql::{CqlJournal, Options};
use holdfast_storage::recovery::recover;
use holdfast_storage::rows::{self, Projector};
use holdfast_storage::{CommitCheck, Error, Journal, Keep, Log, LogId, Row, Rows, Snapshot, Snapshots, Table};
use scylla::client::session_builder::SessionBuilder;
use scylla::response::query_result::QueryResult;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const LOG: LogId = LogId(0);
const OF_ANY_AGE: Keep = Keep { since: Some(Timestamp::new(u64::MAX)), bytes: None };

/// A keyspace of its own for each test, made one at a time: a cluster settles one change of its schema after the other.
struct Keyspace(Options);

static MADE: AtomicU32 = AtomicU32::new(0);
static MAKING: Mutex<()> = Mutex::new(());

impl Keyspace {
    /// None, said aloud, if there is no cluster to run on.
    fn new() -> Option<Self> {
        let Ok(nodes) = std::env::var("HOLDFAST__SCYLLA__NODES") else {
            assert!(std::env::var_os("HOLDFAST_REQUIRE_SERVERS").is_none(), "HOLDFAST__SCYLLA__NODES is not set");
            // Not `eprintln!`: the harness would keep it to itself.
            let message =
                b"SKIPPED: no CQL cluster. Start one with `tests/servers start cassandra 1` and export what it prints.\n";
            return std::io::stderr().write_all(message).map(|()| None).unwrap_or_default();
        };
        let nodes: Vec<String> = nodes.split(',').map(|node| node.trim().to_owned()).collect();
        let replication = if nodes.len() < 3 { 1 } else { 3 };
        let keyspace = format!("hf_test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let keyspace_options = std::env::var("HOLDFAST__SCYLLA__KEYSPACE_OPTIONS").unwrap_or_default();
        let options = Options { nodes, keyspace, replication, keyspace_options, ..Options::default() };
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        CqlJournal::create(&options, partitions()).expect("the cluster answers");
        Some(Self(options))
    }

    fn open(&self) -> CqlJournal {
        CqlJournal::open(&self.0, partitions()).expect("the cluster answers")
    }

    /// With segments so short that a test fills many.
    fn with_segments_of(mut self, batches: u64) -> Self {
        self.0.segment_batches = batches;
        self
    }
}

impl Keyspace {
    fn ask(&self, statement: &str) -> QueryResult {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("the cluster answers");
        let statement = statement.replace("KEYSPACE", &self.0.keyspace);
        runtime.block_on(async {
            let session = SessionBuilder::new().known_nodes(&self.0.nodes).build().await.expect("the cluster answers");
            session.query_unpaged(statement, &[]).await.expect("the cluster answers")
        })
    }

    /// How many partitions of the cluster have rows of closed orders.
    fn partitions_of_orders(&self) -> usize {
        let found = self.ask("SELECT DISTINCT kind, grp FROM KEYSPACE.projection").into_rows_result().expect("there are rows");
        let kinds = found.rows::<(i32, Vec<u8>)>().expect("two columns").map(|row| row.expect("a row").0);
        // The number of the table, which is in the rows.
        kinds.filter(|kind| *kind == 0).count()
    }

    fn version(&self) -> i32 {
        let found = self.ask("SELECT version FROM KEYSPACE.layout WHERE id = 0").into_rows_result().expect("there is a row");
        found.single_row::<(i32,)>().expect("one number").0
    }

    /// As a build of this version left it.
    fn set_version(&self, version: i32) {
        self.ask(&format!("UPDATE KEYSPACE.layout SET version = {version} WHERE id = 0 IF EXISTS"));
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        CqlJournal::drop_keyspace(&self.0).unwrap_or_else(|error| eprintln!("{error}"));
    }
}

macro_rules! keyspace {
    () => {
        match Keyspace::new() {
            Some(keyspace) => keyspace,
            None => return,
        }
    };
}

mod rules {
    use super::*;

    holdfast_storage::conformance!({
        let keyspace = keyspace!();
        move || -> Arc<dyn Journal> { Arc::new(keyspace.open()) }
    });
}

/// Batches of partition 0.
fn batches(count: usize) -> Vec<Batch> {
    let mut world = World::new(partitions());
    let here = |name: &String| partitions().of_sku(&Sku::new(name).expect("a SKU")) == PartitionId(0);
    (0..).map(|n| format!("SKU-{n}")).filter(here).take(count).map(|name| world.set_stock(&name, 100)).collect()
}

fn fenced<T>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Fenced { by: 2 }))
}

#[test]
fn whoever_opens_later_fences_whoever_opened_before() {
    let keyspace = keyspace!();
    let batches = batches(3);
    let old = keyspace.open();
    old.append(LOG, &batches[0]).unwrap();
    let new = keyspace.open();
    assert!(fenced(old.append(LOG, &batches[1])));
    assert_eq!(new.append(LOG, &batches[2]).unwrap(), 2);
    let written = [(1, batches[0].frame()), (2, batches[2].frame())];
    assert_eq!(frames(&new, LOG, 0), written);
    // Once fenced, always fenced: nothing else reaches the cluster either.
    assert!(matches!(old.append(LOG, &batches[1]), Err(Error::Stopped)));
    assert_eq!(frames(&keyspace.open(), LOG, 0), written);
}

#[test]
fn a_journal_that_is_closed_gives_its_partitions_back() {
    let keyspace = keyspace!();
    let first = keyspace.open();
    let second = keyspace.open();
    let owner = || second.lease(LOG).unwrap().unwrap().owner;
    let second_owner = owner();
    assert!(second_owner.is_some());
    // One that was fenced gives nothing back.
    drop(first);
    assert_eq!(owner(), second_owner);
    drop(second);
    let looking = CqlJournal::observe(&keyspace.0).unwrap();
    let lease = looking.lease(LOG).unwrap().unwrap();
    assert_eq!((lease.epoch, lease.owner), (2, None));
    drop(looking);
    assert_eq!(keyspace.open().lease(LOG).unwrap().unwrap().epoch, 3);
}

#[test]
fn a_fenced_process_saves_no_snapshot() {
    let keyspace = keyspace!();
    let old = keyspace.open();
    let new = keyspace.open();
    let world = World::new(partitions());
    let snapshot = world.snapshots(|_| 0).remove(0);
    assert!(fenced(old.save_snapshot(&snapshot)));
    assert_eq!(new.snapshots(PartitionId(0)).unwrap(), []);
    new.save_snapshot(&snapshot).unwrap();
}

/// A process that was fenced and does not know it must not put an older fact over a newer.
#[test]
fn the_row_that_knows_more_stays_whoever_writes_last() {
    let keyspace = keyspace!();
    let (old, new) = (keyspace.open(), keyspace.open());
    let row = |version, value: &[u8]| Row { table: Table::Orders, key: b"k".to_vec(), value: value.to_vec(), version };
    new.project(&[row(9, b"closed again")]).unwrap();
    old.project(&[row(5, b"closed")]).unwrap();
    assert_eq!(new.get(Table::Orders, b"k").unwrap().as_deref(), Some(&b"closed again"[..]));
}

/// A partition of the cluster that held all closed orders of one of ours would grow for ever, and one node would serve it.
#[test]
fn closed_orders_of_one_partition_are_spread_and_those_of_earlier_builds_are_found() {
    let keyspace = keyspace!();
    let journal: Arc<dyn Journal> = Arc::new(keyspace.open());
    let (notify, mut world) = (Box::new(|_| {}), World::new(partitions()));
    (0..20).for_each(|_| drop(world.busy_day()));
    let (archives, _) = world.leave_memory();
    let orders: Vec<_> = archives
        .iter()
        .filter_map(|archive| match archive {
            Archive::Order { order, history, .. } if order.partition() == PartitionId(0) => Some((*order, history.clone())),
            Archive::Order { .. } | Archive::Key { .. } => None,
        })
        .collect();
    assert!(orders.len() > 20, "{} orders of partition 0 closed", orders.len());
    let (old, new) = orders.split_at(orders.len() / 2);
    let row = |(id, history): &(OrderId, History)| Row {
        table: Table::Orders,
        key: id.bytes().to_vec(),
        value: codec::encode_history(history),
        version: 1,
    };
    journal.project(&old.iter().map(row).collect::<Vec<_>>()).unwrap();
    let (projector, thread) = Projector::start(journal.clone(), rows::Options::default(), notify).unwrap();
    let is_new = |archive: &Archive| matches!(archive, Archive::Order { order, .. } if new.iter().any(|(id, _)| id == order));
    archives.into_iter().filter(is_new).for_each(|archive| projector.archive(archive));
    let (done, flushed) = std::sync::mpsc::channel();
    projector.flush(Box::new(move |outcome| done.send(outcome).unwrap()));
    flushed.recv().unwrap().unwrap();
    drop(projector);
    thread.join().unwrap();
    for (id, history) in &orders {
        assert_eq!(rows::order(&*journal, *id).unwrap().as_ref(), Some(history));
    }
    // All old rows of partition 0 lie in one partition of the cluster, each new one in its own.
    assert_eq!(keyspace.partitions_of_orders(), 1 + new.len());
}

#[test]
fn a_log_of_many_segments_is_read_from_any_batch() {
    let keyspace = keyspace!().with_segments_of(3);
    let batches = batches(20);
    let written: Vec<_> = (1..).zip(batches.iter().map(Batch::frame)).collect();
    for part in batches.chunks(7) {
        let journal = keyspace.open();
        for batch in part {
            journal.append(LOG, batch).unwrap();
        }
    }
    let journal = keyspace.open();
    assert_eq!(journal.end(LOG), 20);
    for after in [0, 1, 2, 3, 4, 11, 12, 18, 19, 20] {
        assert_eq!(frames(&journal, LOG, after), written[after as usize..], "after {after}");
    }
    assert_eq!(frames(&CqlJournal::observe(&keyspace.0).unwrap(), LOG, 0), written);
}

#[test]
fn looking_at_the_data_fences_nobody() {
    let keyspace = keyspace!();
    let owner = keyspace.open();
    let batches = batches(2);
    owner.append(LOG, &batches[0]).unwrap();
    let observer = CqlJournal::observe(&keyspace.0).unwrap();
    assert!(matches!(observer.append(LOG, &batches[1]), Err(Error::Stopped)));
    owner.append(LOG, &batches[1]).unwrap();
    assert_eq!(observer.end(LOG), 1);
    assert_eq!(frames(&observer, LOG, 0).len(), 1);
}

/// Whoever has something against the data, the clock of its last record for example, leaves it to its owner.
#[test]
fn an_opening_that_is_refused_by_its_check_takes_nothing_over() {
    let keyspace = keyspace!();
    let owner = keyspace.open();
    let batches = batches(3);
    owner.append(LOG, &batches[0]).unwrap();
    let refused = CqlJournal::open_if(&keyspace.0, partitions(), |journal| {
        assert_eq!(frames(journal, LOG, 0).len(), 1);
        Err(Error::Stopped)
    });
    assert!(matches!(refused, Err(Error::Stopped)));
    owner.append(LOG, &batches[1]).unwrap();
    let next = CqlJournal::open_if(&keyspace.0, partitions(), |_| Ok::<_, Error>(())).unwrap();
    assert!(fenced(owner.append(LOG, &batches[2]).map(drop)));
    next.append(LOG, &batches[2]).unwrap();
    assert_eq!((next.end(LOG), frames(&next, LOG, 0).len()), (3, 3));
}

#[test]
fn of_many_who_open_at_once_one_can_write() {
    for round in 0..10 {
        let keyspace = keyspace!();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| CqlJournal::open(&keyspace.0, partitions()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let batch = batches(1).remove(0);
        let mut written = 0;
        for outcome in opened.into_iter().map(|journal| journal.and_then(|one| one.append(LOG, &batch))) {
            match outcome {
                Ok(_) => written += 1,
                Err(Error::Fenced { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(written, 1, "round {round}");
        assert_eq!(frames(&keyspace.open(), LOG, 0).len(), 1);
    }
}

/// Nothing is purged before its movements are in the tables.
fn movements_up_to(journal: &CqlJournal, commit: u64) {
    let row = Row { table: Table::Meta, key: b"movements".to_vec(), value: codec::encode(&commit), version: commit };
    journal.project(&[row]).expect("the cluster answers");
}

#[test]
fn a_purged_log_is_recovered_from_its_snapshots() {
    let keyspace = keyspace!().with_segments_of(2);
    let journal = keyspace.open();
    let mut world = World::new(partitions());
    let append = |batch: &Batch| {
        for (partition, part) in batch.by_partition() {
            journal.append(journal.log_of(partition), &part).unwrap();
        }
    };
    for _ in 0..2 {
        world.busy_day().iter().for_each(append);
        world.snapshots(|id| journal.end(journal.log_of(id))).iter().for_each(|one| journal.save_snapshot(one).unwrap());
    }
    let floor = journal.snapshots(PartitionId(0)).unwrap()[1].after;
    movements_up_to(&journal, floor);
    let first = journal.purge(LOG, floor, OF_ANY_AGE).unwrap();
    assert!(first > 1 && first <= floor + 1, "{first} of {floor}");
    assert!(
        matches!(journal.read(LOG, 0, &mut |_, _| Ok(std::ops::ControlFlow::Continue(()))), Err(Error::Purged { first: f }) if f == first)
    );
    world.busy_day().iter().for_each(append);
    assert_eq!(recovered(&journal), world.hashes());
    drop(journal);
    assert_eq!(recovered(&keyspace.open()), world.hashes());
}

/// One that is cut, say. Nothing else leads up to what is left of the log.
#[test]
fn a_purged_log_whose_snapshots_cannot_be_read_is_refused() {
    let keyspace = keyspace!().with_segments_of(2);
    let journal = keyspace.open();
    let mut world = World::new(partitions());
    for batch in world.busy_day() {
        for (partition, part) in batch.by_partition() {
            journal.append(journal.log_of(partition), &part).unwrap();
        }
    }
    let whole = world.snapshots(|id| journal.end(journal.log_of(id))).swap_remove(0);
    let unreadable = Snapshot { state: whole.state[..whole.state.len() / 2].to_vec(), ..whole.clone() };
    journal.save_snapshot(&unreadable).unwrap();
    // Where the log is whole it is folded from its beginning.
    assert_eq!(recovered(&journal), world.hashes());
    movements_up_to(&journal, whole.after);
    let first = journal.purge(LOG, whole.after, OF_ANY_AGE).unwrap();
    assert!(first > 1, "{first}");
    let ids: Vec<PartitionId> = partitions().all().collect();
    for journal in [&keyspace.open(), &CqlJournal::observe(&keyspace.0).unwrap()] {
        match recover(journal, &ids, &Policy::default(), &mut |_, _| {}) {
            Err(Error::Mixed(message)) => assert!(message.contains("purged"), "{message}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("a shorter state was believed"),
        }
    }
    let journal = keyspace.open();
    journal.save_snapshot(&whole).unwrap();
    assert_eq!(recovered(&journal), world.hashes());
}

/// Before it is known that the data is of one moment nobody is fenced.
#[test]
fn tables_of_another_moment_than_the_log_keep_it_from_being_taken_over() {
    let keyspace = keyspace!();
    let journal = keyspace.open();
    let end = journal.append(LOG, &batches(1)[0]).unwrap();
    let newer = CommitCheck { commit: end + 1, check: 0 };
    let key = [b"basis\0", &LOG.0.to_be_bytes()[..], &[0]].concat();
    journal.project(&[Row { table: Table::Meta, key, value: codec::encode(&newer), version: newer.commit }]).unwrap();
    match CqlJournal::open(&keyspace.0, partitions()) {
        Err(Error::Mixed(message)) => assert!(message.contains("partition 0") && message.contains("keyspace"), "{message}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    assert_eq!(journal.lease(LOG).unwrap().unwrap().epoch, 1);
    // Once the log has the commit it is still another one.
    journal.append(LOG, &batches(2)[1]).unwrap();
    let opened = CqlJournal::open(&keyspace.0, partitions());
    assert!(matches!(opened, Err(Error::Mixed(message)) if message.contains("another commit")));
}

/// Builds of before version 2 do not find the rows of closed orders that are written today.
#[test]
fn tables_of_an_earlier_version_get_that_of_today_when_they_are_taken_over_and_not_when_they_are_looked_at() {
    let keyspace = keyspace!();
    let today = keyspace.version();
    keyspace.set_version(1);
    drop(CqlJournal::observe(&keyspace.0).unwrap());
    assert_eq!(keyspace.version(), 1);
    let _opened = keyspace.open();
    assert_eq!((keyspace.version(), today), (2, 2));
    keyspace.set_version(today + 1);
    assert!(matches!(CqlJournal::open(&keyspace.0, partitions()), Err(Error::Incompatible(_))));
    keyspace.set_version(today);
}

#[test]
fn a_cluster_that_is_not_there_is_named_with_what_to_do() {
    let nodes = vec!["127.0.0.1:9".to_owned()];
    let refused = CqlJournal::open(&Options { nodes, ..Options::default() }, partitions());
    match refused {
        Err(Error::Unreachable(message)) => assert!(message.contains("127.0.0.1:9") && message.contains("[scylla]"), "{message}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}
