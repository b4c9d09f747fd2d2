//! The thread that writes the projections, and the handle to it.
//!
//! Invariants: one writer; nothing is reported before it is durable; after the first failure nothing is written or
//! reported any more. What is queued when the last handle goes is not written: it is archived again after the next
//! start, and the log is still there.

mod shifts;

use super::basis::Said;
use super::movements::{self, Movement};
use super::{keys, meta, orders};
use crate::backoff::Backoff;
use crate::contract::{Error, Journal, Log, LogId, LogSeq, Row, Rows, Table};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use holdfast_engine::codec;
use holdfast_engine::effect::Archive;
use holdfast_engine::event::Event;
use holdfast_engine::ids::{KeyHash, OrderId, PartitionId, Sku};
#[cfg(test)]
pub(super) use shifts::PRESSED;
use shifts::{Over, Shift};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two tries to reach a store that is away.
const PAUSES: Backoff = Backoff::even(Duration::from_secs(1));
/// Movements gathered for one write, some 150 bytes each until then. The more there are, the more of one SKU share a row.
const PIECE: usize = 64 * 1024;

/// Knobs of the projector. All trade the freshness of projections against work taken from the hot path.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Closed orders and keys leave memory in batches this far apart. Longer: fewer syncs, more closed orders in memory.
    pub archive_interval: Duration,
    /// How far movements may be behind the log while nobody asks: a flush brings them up to date. Longer: more movements
    /// of a SKU share a row.
    pub movement_interval: Duration,
    /// A batch of archives is written early when it is this large.
    pub max_archives: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { archive_interval: Duration::from_millis(100), movement_interval: Duration::from_secs(5), max_archives: 4096 }
    }
}

/// What is durable in the projections and may leave the memory of its partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Archived {
    pub partition: PartitionId,
    /// With the number of facts written.
    pub orders: Vec<(OrderId, usize)>,
    pub keys: Vec<KeyHash>,
}

/// What the projector tells.
#[derive(Clone, Debug)]
pub enum Notice {
    Archived(Archived),
    /// Nothing is projected any more. Nothing is lost: what was not reported stays in memory.
    Failed(Arc<Error>),
}

/// Called on the projector's thread; must not block.
pub type Notify = Box<dyn Fn(Notice) + Send>;

/// Called once, when it is done.
pub type Flushed = Box<dyn FnOnce(Result<(), Arc<Error>>) + Send>;

enum Input {
    Archive(Archive),
    Committed,
    Flush(Flushed),
}

#[derive(Debug)]
struct Progress {
    /// Last commit told of each log.
    committed: Vec<AtomicU64>,
    /// Whether [`Input::Committed`] is on its way: one is enough however many commits there are.
    notified: AtomicBool,
}

/// Hands work to the projector. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone)]
pub struct Projector {
    queue: Sender<Input>,
    progress: Arc<Progress>,
}

impl Projector {
    /// Starts the thread. It first takes up what was committed and not yet projected.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>, options: Options, notify: Notify) -> std::io::Result<(Self, JoinHandle<()>)> {
        // Bounded by the orders in memory: each is in here at most once.
        let (queue, inbox) = unbounded();
        let committed = journal.logs().into_iter().map(|log| AtomicU64::new(journal.end(log))).collect();
        let progress = Arc::new(Progress { committed, notified: AtomicBool::new(true) });
        let worker = Worker::new(journal, options, notify, inbox, progress.clone());
        Ok((Self { queue, progress }, shifts::start(worker)?))
    }

    /// Queues a closed thing. It is reported when it is durable.
    pub fn archive(&self, archive: Archive) {
        // After the end of the thread nothing is archived any more, and the order stays where it is.
        let _ = self.queue.send(Input::Archive(archive));
    }

    /// Closed things that wait to be written.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The log is durable up to `commit`.
    pub fn committed(&self, log: LogId, commit: LogSeq) {
        self.progress.committed[usize::from(log.0)].fetch_max(commit, Ordering::SeqCst);
        if !self.progress.notified.swap(true, Ordering::SeqCst) {
            let _ = self.queue.send(Input::Committed);
        }
    }

    /// Writes everything queued and every movement committed before this call at once, then calls `flushed`.
    pub fn flush(&self, flushed: Flushed) {
        if let Err(refused) = self.queue.send(Input::Flush(flushed))
            && let Input::Flush(flushed) = refused.0
        {
            flushed(Err(Arc::new(Error::Stopped)));
        }
    }
}

struct Worker {
    journal: Arc<dyn Journal>,
    options: Options,
    notify: Notify,
    inbox: Receiver<Input>,
    progress: Arc<Progress>,
    archives: Vec<Archive>,
    archives_due: Instant,
    /// Whether there may be commits after the position of the tail.
    behind: bool,
    movements_due: Instant,
    flushes: Vec<Flushed>,
    said: Said,
    lag: metrics::Gauge,
}

impl Worker {
    fn new(journal: Arc<dyn Journal>, options: Options, notify: Notify, inbox: Receiver<Input>, progress: Arc<Progress>) -> Self {
        let now = Instant::now();
        let lag = metrics::gauge!("holdfast_projection_lag_commits");
        let (archives, flushes) = (Vec::new(), Vec::new());
        let (archives_due, movements_due) = (now, now);
        let said = Said::default();
        Self {
            journal,
            options,
            notify,
            inbox,
            progress,
            archives,
            archives_due,
            behind: true,
            movements_due,
            flushes,
            said,
            lag,
        }
    }

    /// `None` if it is not known from where on to project.
    fn begin(self) -> Option<Shift> {
        let (logs, journal) = (self.journal.logs(), self.journal.clone());
        let tails: Result<Vec<Tail>, Error> = logs.into_iter().map(|log| steadily(|| Tail::load(&*journal, log))).collect();
        match tails {
            Ok(tails) => Some(Shift { worker: self, tails }),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Works until nobody can ask for anything any more, or until somebody else is to, by what is queued.
    fn work(&mut self, tails: &mut [Tail], relieved: impl Fn(usize) -> bool) -> Result<Over, Error> {
        while self.wait() {
            self.take_queued();
            let now = Instant::now();
            let flush = !self.flushes.is_empty();
            let full = self.archives.len() >= self.options.max_archives;
            if !self.archives.is_empty() && (full || flush || now >= self.archives_due) {
                self.write_archives()?;
                self.archives_due = Instant::now() + self.options.archive_interval;
            }
            if flush || (self.behind && now >= self.movements_due) {
                self.write_movements(tails, flush)?;
            }
            self.flushes.drain(..).for_each(|flushed| flushed(Ok(())));
            if relieved(self.inbox.len()) {
                return Ok(Over::Relieved);
            }
        }
        Ok(Over::Ended)
    }

    /// Waits for something to do. False if there never will be.
    fn wait(&mut self) -> bool {
        let archives = (!self.archives.is_empty()).then_some(self.archives_due);
        let movements = self.behind.then_some(self.movements_due);
        let received = match [archives, movements].into_iter().flatten().min() {
            Some(due) => self.inbox.recv_deadline(due),
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(input) => self.take(input),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    fn take_queued(&mut self) {
        while self.archives.len() < self.options.max_archives {
            let Ok(input) = self.inbox.try_recv() else { break };
            self.take(input);
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Archive(archive) => self.archives.push(archive),
            Input::Committed => self.behind = true,
            Input::Flush(flushed) => self.flushes.push(flushed),
        }
    }

    fn write_archives(&mut self) -> Result<(), Error> {
        let archives = std::mem::take(&mut self.archives);
        let logs = archives.iter().map(|archive| self.journal.log_of(partition_of(archive))).collect();
        self.project(&logs, archives.iter().map(row_of).collect())?;
        metrics::counter!("holdfast_archived_total").increment(archives.len() as u64);
        by_partition(&archives).into_values().for_each(|archived| (self.notify)(Notice::Archived(archived)));
        Ok(())
    }

    /// Writes the next piece of movements of each log, or all of them. After a piece it is the turn of the archives again.
    fn write_movements(&mut self, tails: &mut [Tail], all: bool) -> Result<(), Error> {
        // Before the targets are read: a commit told later is told anew.
        self.progress.notified.store(false, Ordering::SeqCst);
        let mut behind = 0;
        for tail in tails {
            let committed = self.progress.committed[usize::from(tail.log.0)].load(Ordering::SeqCst);
            let target = committed.max(if all { self.journal.end(tail.log) } else { 0 });
            while tail.position < target {
                let rows = steadily(|| tail.advance(&*self.journal))?;
                self.project(&BTreeSet::from([tail.log]), rows)?;
                if !all {
                    break;
                }
            }
            behind += target.saturating_sub(tail.position);
        }
        self.behind = behind > 0;
        let pause = if self.behind { Duration::ZERO } else { self.options.movement_interval };
        self.movements_due = Instant::now() + pause;
        self.lag.set(behind as f64);
        Ok(())
    }

    /// Writes rows that follow from these logs, behind the basis that says so.
    fn project(&mut self, logs: &BTreeSet<LogId>, rows: Vec<Row>) -> Result<(), Error> {
        let mut all = steadily(|| self.said.rows(&*self.journal, logs))?;
        all.extend(rows);
        steadily(|| self.journal.project(&all))
    }

    fn fail(mut self, error: Error) {
        let error = Arc::new(error);
        (self.notify)(Notice::Failed(error.clone()));
        self.flushes.drain(..).for_each(|flushed| flushed(Err(error.clone())));
        tracing::error!(%error, "the projections failed: nothing leaves memory until the next start");
        while let Ok(input) = self.inbox.recv() {
            if let Input::Flush(flushed) = input {
                flushed(Err(error.clone()));
            }
        }
    }
}

/// The row that answers for what leaves memory.
pub(crate) fn row_of(archive: &Archive) -> Row {
    match archive {
        Archive::Order { order, history, .. } => {
            let version = history.last().seq;
            Row { table: Table::Orders, key: orders::key(*order), value: codec::encode_history(history), version }
        }
        Archive::Key { key, fingerprint, answer, .. } => keys::row(*key, *fingerprint, answer),
    }
}

fn partition_of(archive: &Archive) -> PartitionId {
    let (Archive::Order { partition, .. } | Archive::Key { partition, .. }) = archive;
    *partition
}

fn by_partition(archives: &[Archive]) -> BTreeMap<PartitionId, Archived> {
    let mut reports = BTreeMap::new();
    for archive in archives {
        let partition = partition_of(archive);
        let empty = || Archived { partition, orders: Vec::new(), keys: Vec::new() };
        let report = reports.entry(partition).or_insert_with(empty);
        match archive {
            Archive::Order { order, history, .. } => report.orders.push((*order, history.len())),
            Archive::Key { key, .. } => report.keys.push(*key),
        }
    }
    reports
}

/// Follows one log and makes movements of it.
struct Tail {
    log: LogId,
    position: LogSeq,
}

impl Tail {
    fn load(journal: &dyn Rows, log: LogId) -> Result<Self, Error> {
        Ok(Self { log, position: position(journal, log)? })
    }

    /// Reads some commits on. The position is the last of the rows: if it is there, so are the movements before it.
    fn advance(&mut self, journal: &dyn Log) -> Result<Vec<Row>, Error> {
        let mut gathered: HashMap<Sku, Vec<Movement>> = HashMap::new();
        let (mut count, mut position) = (0, self.position);
        journal.read(self.log, position, &mut |commit, frame| {
            let damaged = |error: codec::Error| Error::Damaged { record: commit, reason: error.to_string() };
            count += gather(frame, &mut gathered).map_err(damaged)?;
            position = commit;
            Ok(if count < PIECE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        // Nothing has changed if the read fails half-way.
        self.position = position;
        let mut rows = movements::rows(&gathered);
        let (key, value) = (meta::movements(self.log), codec::encode(&self.position));
        rows.push(Row { table: Table::Meta, key, value, version: self.position });
        Ok(rows)
    }
}

/// The commit of a log up to which movements are projected.
///
/// # Errors
/// If the store cannot be read.
pub fn position(journal: &dyn Rows, log: LogId) -> Result<LogSeq, Error> {
    let row = journal.get(Table::Meta, &meta::movements(log))?;
    Ok(row.map(|row| codec::decode(&row)).transpose()?.unwrap_or(0))
}

/// Tries until a store on another machine answers: nobody should have to start anew because it was away.
fn steadily<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut pauses = PAUSES;
    loop {
        match attempt() {
            Err(Error::Unreachable(reason)) => tracing::warn!(reason, "projections wait for the store"),
            done => return done,
        }
        std::thread::sleep(pauses.next_pause());
    }
}

fn gather(frame: &[u8], gathered: &mut HashMap<Sku, Vec<Movement>>) -> Result<usize, codec::Error> {
    let mut count = 0;
    for entry in codec::read_frame(frame)? {
        let entry = entry?;
        // Most records are of orders: looking before decoding halves the work.
        if !entry.concerns_stock() {
            continue;
        }
        let record = entry.decode()?;
        if let Event::Stock { sku, fact } = record.event {
            let movements = movements::of_fact(record.at, &fact);
            count += movements.len();
            gathered.entry(sku).or_default().extend(movements);
        }
    }
    Ok(count)
}
