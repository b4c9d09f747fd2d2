//! The relay: publishes every fact of a journal to Kafka, in order, for ever.
//!
//! One thread follows all logs of a journal and produces what is durable. Invariants: what it publishes of a partition is
//! the dense sequence of that partition, so that `sequence <= last → drop` gives every consumer each fact exactly once,
//! in order; nothing in here can slow an order down or fail it, and with Kafka away facts wait in the journal.
//!
//! [`cursor`] is algorithm P without IO, `worker` the thread, `publishing` a session that sends, `context` what sessions share, `producer` says what
//! landed, [`reader`] reads the topic back, `standing` holds what was published against the journal.

mod backlog;
mod context;
mod cpu_backoff;
pub mod cursor;
mod producer;
mod publishing;
pub mod reader;
mod standing;
mod worker;

use crate::background;
use crate::contract::{self, Journal, Log, LogId, LogSeq, Row, Rows, Table};
use crate::kafka::client::{self, Connection, TopicPartition};
use crate::kafka::session::Stop;
use crate::rows::meta;
use context::Context;
use crossbeam::channel::{Sender, bounded};
use cursor::Checkpoint;
use holdfast_engine::codec;
use holdfast_engine::event::Record;
use holdfast_engine::ids::{PartitionId, Seq};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use worker::Worker;

/// Headers of a record.
pub mod header {
    /// The format of the value.
    pub const CONTENT_TYPE: &str = "content-type";
    /// Partition of Holdfast, in decimal.
    pub const PARTITION: &str = "hf-partition";
    /// Sequence in that partition, in decimal: 1, 2, 3, … without a gap.
    pub const SEQUENCE: &str = "hf-seq";
    /// Id of the event, the same in every copy of it.
    pub const ID: &str = "hf-id";
    /// Which journal the event is of.
    pub const JOURNAL: &str = "hf-journal";
    /// Check value of the event in the journal, 8 hexadecimal digits: tells copies of a journal apart that went on by themselves.
    pub const CHECK: &str = "hf-check";
    /// Of a traced order: where its trace goes on (W3C Trace Context).
    pub const TRACEPARENT: &str = "traceparent";
    /// Type of the event, so that a consumer can pass over it without parsing.
    pub const TYPE: &str = "ce-type";
}

/// What the value of a record is.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The topic of all events under a prefix.
pub fn topic_name(prefix: &str) -> String {
    format!("{prefix}.events.v1")
}

/// Knobs of the relay.
#[derive(Clone, Debug)]
pub struct Options {
    pub connection: Connection,
    pub topic: String,
    /// Partitions of the topic; fixed when it is created.
    pub topic_partitions: TopicPartition,
    /// Copies of each partition of the topic. From three on, two must have a record before it counts.
    pub replication: i32,
    /// Events handed to the client and not yet acknowledged. More ride out longer pauses, and cost memory.
    pub queue_events: usize,
}

/// An event as consumers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub id: String,
    /// Order id or SKU.
    pub key: String,
    pub event_type: String,
    pub body: Vec<u8>,
}

/// How an event is written. Called on the thread of the relay.
pub type Encode = Arc<dyn Fn(PartitionId, &Record) -> Encoded + Send + Sync>;

/// Why nothing is published. Says what to do where somebody has to do something; the relay itself tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Journal(#[from] contract::Error),
    #[error(transparent)]
    Kafka(#[from] client::Error),
    #[error(
        "the topic {topic} carries events of another journal ({found}, this one is {own}): \
         set another kafka.topic_prefix, or delete the topic if nobody needs it"
    )]
    Foreign { topic: String, found: String, own: String },
    #[error(
        "the topic has event {published} of partition {partition}, the journal ends at {journal}: was it restored from an older \
         copy? Consumers have seen facts that are gone. Publish to a new topic: set another kafka.topic_prefix"
    )]
    Ahead { partition: u16, published: Seq, journal: Seq },
    #[error(
        "{what} is not of this journal: was it restored from an older copy that went on? Consumers have seen facts that are \
         gone. Publish to a new topic: set another kafka.topic_prefix"
    )]
    Parted { what: String },
    #[error(
        "the journal has no event {expected} of partition {partition} any more, it goes on with {found}: the topic cannot be filled"
    )]
    Gap { partition: u16, expected: Seq, found: Seq },
    #[error("publishing failed: {0}")]
    Produce(String),
    #[error("a thread of a session: {0}")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Impossible(#[from] cursor::Impossible),
}

impl Error {
    /// Whether it stays until somebody does something: then a stop need not wait for it to pass.
    fn lasts(&self) -> bool {
        match self {
            Self::Kafka(error) => error.lasts(),
            Self::Foreign { .. } | Self::Ahead { .. } | Self::Parted { .. } | Self::Gap { .. } => true,
            Self::Journal(_) | Self::Produce(_) | Self::Thread(_) | Self::Impossible(_) => false,
        }
    }
}

/// The running relay.
pub struct Relay {
    stop: Sender<Instant>,
    thread: JoinHandle<()>,
    published: Published,
}

impl Relay {
    /// Starts the thread. Needs no broker to be there.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>, options: Options, encode: Encode) -> std::io::Result<Self> {
        let (stop, stopping) = bounded(1);
        let published = Published::of(&*journal);
        let context = Context::new(journal, encode, Stop::new(stopping), published.clone());
        let worker = Worker::new(context, options);
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || worker.run())?;
        Ok(Self { stop, thread, published })
    }

    /// The commit up to which everything of a log is published, and known to be after any crash: what lies before it is no
    /// longer needed here.
    pub fn published(&self, log: LogId) -> LogSeq {
        self.published.of_log(log)
    }

    /// Publishes what is durable by now, keeps the position and ends the thread, whether it publishes already or is still on
    /// the way to it. Gives up on the rest after `timeout`: it is published after the next start. Blocks.
    pub fn stop(self, timeout: Duration) {
        // If the thread is gone there is nothing left to stop.
        let _ = self.stop.send(Instant::now() + timeout);
        background::join(self.thread);
    }
}

/// Positions that are safe in the journal.
#[derive(Clone, Debug)]
struct Published(Arc<BTreeMap<LogId, AtomicU64>>);

impl Published {
    fn of(journal: &dyn Log) -> Self {
        Self(Arc::new(journal.logs().into_iter().map(|log| (log, AtomicU64::new(0))).collect()))
    }

    fn of_log(&self, log: LogId) -> LogSeq {
        self.0.get(&log).map_or(0, |commit| commit.load(Ordering::SeqCst))
    }

    fn reached(&self, log: LogId, commit: LogSeq) {
        if let Some(published) = self.0.get(&log) {
            published.store(commit, Ordering::SeqCst);
        }
    }
}

/// The last event of each partition that is known to be published.
///
/// # Errors
/// If the journal cannot be read.
pub fn positions(journal: &dyn Journal) -> Result<BTreeMap<PartitionId, Seq>, contract::Error> {
    let checkpoints = load_checkpoints(journal)?;
    Ok(checkpoints
        .into_values()
        .flat_map(|checkpoint| checkpoint.published)
        .map(|(partition, seq)| (PartitionId(partition), seq))
        .collect())
}

/// The commit of a log up to which everything is published. None: nothing ever was.
///
/// # Errors
/// If the journal cannot be read.
pub fn position(journal: &dyn Rows, log: LogId) -> Result<Option<LogSeq>, contract::Error> {
    Ok(load_checkpoint(journal, log)?.map(|checkpoint| checkpoint.commit))
}

fn load_checkpoints(journal: &dyn Journal) -> Result<BTreeMap<LogId, Checkpoint>, contract::Error> {
    let load = |log| Ok((log, load_checkpoint(journal, log)?.unwrap_or_default()));
    journal.logs().into_iter().map(load).collect()
}

fn load_checkpoint(journal: &dyn Rows, log: LogId) -> Result<Option<Checkpoint>, contract::Error> {
    let row = journal.get(Table::Meta, &meta::relay(log))?;
    Ok(row.map(|row| codec::decode(&row)).transpose()?)
}

fn checkpoint_row(log: LogId, checkpoint: &Checkpoint) -> Row {
    Row { table: Table::Meta, key: meta::relay(log), value: codec::encode(checkpoint), version: checkpoint.version() }
}

/// The partitions whose facts a log holds.
fn partitions_of(journal: &dyn Log, log: LogId) -> Vec<PartitionId> {
    journal.partitions().all().filter(|partition| journal.log_of(*partition) == log).collect()
}

#[cfg(test)]
mod tests;
