//! The journal on a cluster that speaks CQL: ScyllaDB, or Apache Cassandra.
//!
//! Each partition has a log of its own behind a fence ([`crate::fencing`]): whoever opens the keyspace for writing raises
//! the epoch of every partition, and from then on nothing that an older process sends is applied, however late it arrives.
//! Invariants: what `append` acknowledged was applied under our epoch; what is not known to be applied is tried again,
//! the same statement with the same bytes, until it is known.
//!
//! The trait is synchronous: each call waits, on its own thread, for a task of the runtime kept here.

mod answer;
mod cluster;
mod errors;
mod log;
mod options;
mod projections;
pub mod schema;
mod snapshots;
mod statements;
#[cfg(feature = "scylla-tls")]
mod tls;
mod values;

pub use options::{Consistency, Credentials, Options, Tls};

use crate::contract::{
    CommitCheck, Error, Keep, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit, WantedPartitions,
    read_tip,
};
use crate::fencing::{Lease, Owner, bid_above};
use crate::marks::Marks;
use answer::Answer;
use cluster::Cluster;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use log::{Body, PartitionLog};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Beyond it a commit gathers no more: what a cell holds without a warning, and a cluster replicates in milliseconds.
const COMMIT_BYTES: usize = 256 * 1024;
/// Partitions claimed at once: more only wait for each other in the cluster.
const CLAIMS: usize = 16;
/// How long a journal that is closed tries to give its partitions back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// See the module. Closing is dropping it.
pub struct CqlJournal {
    partitions: Partitions,
    cluster: Arc<Cluster>,
    /// By partition.
    logs: Arc<[PartitionLog]>,
    stopping: Arc<AtomicBool>,
    /// Whether it has taken the partitions over.
    owns: AtomicBool,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

impl CqlJournal {
    /// Opens the data in a keyspace, or creates it with the wanted partitions, and takes every partition over.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with what to do about it, [`Error::Incompatible`] if another version wrote it,
    /// [`Error::OtherPartitions`] or [`Error::TooManyShards`] before anything is taken over,
    /// [`Error::Fenced`] if another process claims at the same time and won, [`Error::Damaged`] if a head cannot be.
    pub fn open(options: &Options, partitions: impl Into<WantedPartitions>) -> Result<Self, Error> {
        Self::open_if(options, partitions, |_| Ok(()))
    }

    /// As [`Self::open`], if `check` has nothing against the data: it is asked before anything is taken over.
    ///
    /// # Errors
    /// As [`Self::open`], or what `check` has against it.
    pub fn open_if<E: From<Error>>(
        options: &Options,
        partitions: impl Into<WantedPartitions>,
        check: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let journal = Self::connect(options, partitions.into())?;
        // Before anything is written: whoever owns the partitions keeps them if the tables are not of one moment.
        let marks = Marks::read(&journal, &journal.logs())?;
        journal.look()?;
        marks.check(&journal)?;
        check(&journal)?;
        // Whoever has the data wrote on meanwhile: claiming finds out anew.
        journal.logs.iter().for_each(PartitionLog::forget_ends);
        journal.take_over()?;
        let cluster = journal.cluster.clone();
        journal.wait(async move { cluster.upgrade_layout().await })?;
        Ok(journal)
    }

    /// Opens the data to look at it. Whoever writes it is not disturbed, and what is written meanwhile is not seen.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn observe(options: &Options) -> Result<Self, Error> {
        let any = Partitions::new(64).ok_or(Error::Stopped)?;
        let journal = Self::connect(options, any.into())?;
        journal.look()?;
        Ok(journal)
    }

    /// Finds where the logs end now.
    fn look(&self) -> Result<(), Error> {
        self.each_log(|logs, index| async move { logs[index].observe().await })
    }

    /// Makes the keyspace and its tables, and fixes the number of partitions. Claims nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn create(options: &Options, partitions: Partitions) -> Result<(), Error> {
        Self::connect(options, partitions.into()).map(drop)
    }

    /// Who has a partition, as the cluster knows it now. None: nobody ever had.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub fn lease(&self, log: LogId) -> Result<Option<Lease>, Error> {
        let (logs, index) = (self.logs.clone(), usize::from(log.0));
        self.wait(async move { logs[index].lease().await })
    }

    /// Deletes a keyspace with all that is in it.
    ///
    /// # Errors
    /// If the cluster does not answer.
    #[cfg(any(test, feature = "test-util"))]
    pub fn drop_keyspace(options: &Options) -> Result<(), Error> {
        let journal = Self::connect(options, Partitions::new(1).ok_or(Error::Stopped)?.into())?;
        let (cluster, keyspace) = (journal.cluster.clone(), options.keyspace.clone());
        journal.wait(async move { cluster.drop_keyspace(&keyspace).await })
    }

    fn connect(options: &Options, wanted: WantedPartitions) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("cql").enable_all().build();
        let runtime = runtime.map_err(|error| Error::Failed(error.to_string()))?;
        let asked = options.clone();
        let connected = wait(&runtime, async move {
            let cluster = Cluster::connect(&asked).await?;
            let partitions = wanted.accept(cluster.partitions(wanted.if_new).await?)?;
            Ok((Arc::new(cluster), partitions))
        });
        let (cluster, partitions) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let stopping = Arc::new(AtomicBool::new(false));
        let log = |id: PartitionId| PartitionLog::new(cluster.clone(), id.0, options, stopping.clone());
        let logs = partitions.all().map(log).collect();
        Ok(Self { partitions, cluster, logs, stopping, owns: AtomicBool::new(false), runtime: Some(runtime) })
    }

    /// Under one epoch for all partitions, won on the first: of those who start at once the last to win there gets them all.
    fn take_over(&self) -> Result<(), Error> {
        let (owner, logs) = (Owner(Uuid::new_v4().as_u128()), self.logs.clone());
        let bid = self.wait(async move {
            let leases: Vec<_> = iter(&*logs).map(PartitionLog::lease).buffered(CLAIMS).try_collect().await?;
            let used_up = || Error::Damaged { record: 0, reason: "the leases show an epoch that cannot be".to_owned() };
            let bid = bid_above(leases).ok_or_else(used_up)?;
            logs[0].claim(owner, bid).await?;
            Ok(bid)
        })?;
        self.each_log(move |logs, index| async move {
            match index {
                0 => Ok(()),
                _ => logs[index].claim(owner, bid).await,
            }
        })?;
        self.owns.store(true, Ordering::Release);
        Ok(())
    }

    fn each_log<F, W>(&self, work: W) -> Result<(), Error>
    where
        W: Fn(Arc<[PartitionLog]>, usize) -> F + Send + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let logs = self.logs.clone();
        self.wait(async move {
            let all: Vec<F> = (0..logs.len()).map(|index| work(logs.clone(), index)).collect();
            iter(all).map(Ok).try_for_each_concurrent(CLAIMS, |one| one).await
        })
    }

    /// So that whoever looks sees that nobody has the partitions. A successor does not depend on it.
    fn release(&self) {
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let logs = self.logs.clone();
        let released = self.wait(async move {
            let all = iter(0..logs.len()).for_each_concurrent(CLAIMS, |index| {
                let logs = logs.clone();
                async move { logs[index].release().await.unwrap_or_else(|error| tracing::debug!(%error, "not given back")) }
            });
            tokio::time::timeout(RELEASE_TIMEOUT, all).await.map_err(|error| Error::Failed(error.to_string()))
        });
        released.unwrap_or_else(|error| tracing::debug!(%error, "not given back"));
    }

    fn wait<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
        match &self.runtime {
            // Who stops is not told to try again.
            Some(runtime) => wait(runtime, work).map_err(|error| match error {
                Error::Unreachable(_) if self.stopping.load(Ordering::Acquire) => Error::Stopped,
                error => error,
            }),
            None => Err(Error::Stopped),
        }
    }
}

/// Runs a task and waits for it. Works on any thread, those of another runtime included.
fn wait<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    let (sender, receiver) = crossbeam::channel::bounded(1);
    runtime.spawn(async move { drop(sender.send(work.await)) });
    receiver.recv().unwrap_or(Err(Error::Stopped))
}

impl Drop for CqlJournal {
    fn drop(&mut self) {
        self.release();
        self.give_up();
        if let Some(runtime) = self.runtime.take() {
            // Dropping it would wait, which the threads of another runtime may not.
            runtime.shutdown_background();
        }
    }
}

impl Cluster {
    /// The number of partitions fixed when the data was created: now, if there is none.
    async fn partitions(&self, if_new: Partitions) -> Result<Partitions, Error> {
        let read = async || Answer::read(self.serial(&self.layout.read, ()).await?);
        let mut found = read().await?;
        if found.is_empty() {
            let values = (schema::VERSION, i32::from(if_new.count()));
            self.serial(&self.layout.create, values).await?;
            found = read().await?;
        }
        let version = found.int("version");
        if !version.is_some_and(|version| (schema::OLDEST..=schema::VERSION).contains(&version)) {
            return Err(Error::Incompatible(format!(
                "the tables are of version {version:?}, this is version {}",
                schema::VERSION
            )));
        }
        let partitions = found.int("partitions").and_then(|count| Partitions::new(u16::try_from(count).ok()?));
        partitions.ok_or_else(|| Error::Incompatible("the number of partitions in the table layout is out of bounds".to_owned()))
    }

    /// Tables of an earlier build get the version of today: a build that would not find the rows of today refuses them from now on.
    async fn upgrade_layout(&self) -> Result<(), Error> {
        self.serial(&self.layout.upgrade, (schema::VERSION, schema::VERSION)).await.map(drop)
    }
}

impl Log for CqlJournal {
    fn causality(&self) -> Causality {
        Causality::PerPartition
    }

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn commit_bytes(&self) -> usize {
        COMMIT_BYTES
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        let (logs, index) = (self.logs.clone(), usize::from(log.0));
        let body = Body { events: i32::try_from(batch.events).unwrap_or(i32::MAX), frame: batch.frame() };
        self.wait(async move { logs[index].append(body).await })
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.logs[usize::from(log.0)].end()
    }

    fn tip(&self, log: LogId) -> Result<Option<CommitCheck>, Error> {
        let last = self.logs[usize::from(log.0)].last();
        last.map_or_else(|| read_tip(self, log), |last| Ok(Some(last)))
    }

    /// An owner knows: nobody else can move the ends.
    fn refresh(&self) -> Result<(), Error> {
        if self.owns.load(Ordering::Acquire) { Ok(()) } else { self.look() }
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        let (index, end) = (usize::from(log.0), self.end(log));
        let mut next = after.saturating_add(1);
        while next <= end {
            let logs = self.logs.clone();
            let page = self.wait(async move { logs[index].page(next).await })?;
            for (commit, frame) in page.into_iter().take_while(|(commit, _)| *commit <= end) {
                let damaged = |error: codec::Error| Error::Damaged { record: commit, reason: error.to_string() };
                codec::read_frame(&frame).map_err(damaged)?;
                next = commit + 1;
                if visit(commit, &frame)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn first(&self, log: LogId) -> Result<LogSeq, Error> {
        let (logs, index) = (self.logs.clone(), usize::from(log.0));
        self.wait(async move { logs[index].first().await })
    }

    /// Whole segments go: what is left of one that holds a later commit stays.
    fn purge(&self, log: LogId, floor: LogSeq, keep: Keep) -> Result<LogSeq, Error> {
        let Some(since) = keep.since else { return self.first(log) };
        let (logs, index) = (self.logs.clone(), usize::from(log.0));
        self.wait(async move { logs[index].purge(floor, since).await })
    }

    fn give_up(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

impl Snapshots for CqlJournal {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let (cluster, snapshot) = (self.cluster.clone(), snapshot.clone());
        let epoch = self.logs[usize::from(snapshot.partition.0)].epoch();
        self.wait(async move { cluster.save_snapshot(epoch, &snapshot).await })
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        let cluster = self.cluster.clone();
        self.wait(async move { cluster.snapshot_heads(partition).await })
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        let cluster = self.cluster.clone();
        self.wait(async move { cluster.snapshot(head).await })
    }
}

impl Rows for CqlJournal {
    fn remote(&self) -> bool {
        true
    }

    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        let (cluster, rows) = (self.cluster.clone(), rows.to_vec());
        self.wait(async move { cluster.project(&rows).await })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (cluster, key) = (self.cluster.clone(), key.to_vec());
        self.wait(async move { cluster.get(table, &key).await })
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        let (cluster, from, to) = (self.cluster.clone(), from.to_vec(), to.to_vec());
        self.wait(async move { cluster.scan(table, &from, &to, limit).await })
    }
}
