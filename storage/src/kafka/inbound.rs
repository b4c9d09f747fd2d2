//! What others put into a topic for Holdfast, brought to whoever knows what it means.
//!
//! One thread reads the topic as a member of a consumer group. Invariants: the offset of a record is committed only after
//! its effect is durable, or after the topic of dead letters has it; in a partition nothing is passed over. A record may
//! come again after a crash or when members change, so what it does must be something that can be done twice.
//!
//! `member` is the place in the group, `dead_letters` the way to the dead letters, `worker` the thread.

mod dead_letters;
mod member;
mod worker;

use crate::background;
use crate::kafka::client::{self, Connection, TopicPartition};
use crate::kafka::session::Stop;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Headers of a dead letter, beside those the record had.
pub mod header {
    /// Why, for machines.
    pub const REASON: &str = "hf-dlq-reason";
    /// Why, for people.
    pub const DETAIL: &str = "hf-dlq-detail";
    /// Where the record stands.
    pub const TOPIC: &str = "hf-dlq-topic";
    pub const PARTITION: &str = "hf-dlq-partition";
    pub const OFFSET: &str = "hf-dlq-offset";
}

/// What to read, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    pub connection: Connection,
    pub topic: String,
    /// Where records go that can never be taken.
    pub dead_letters: String,
    /// Members of one group share the partitions; the group remembers how far it is.
    pub group: String,
    /// Partitions and copies of either topic, should it have to be created.
    pub topic_partitions: TopicPartition,
    pub replication: i32,
}

/// A record as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub topic_partition: TopicPartition,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Some records of the topic, those of a partition in their order.
pub type Batch = Arc<Vec<Record>>;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What it says is durable, or was before.
    Taken,
    /// It can never be taken.
    Dead(Reason),
}

/// Why a record is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub code: &'static str,
    pub detail: String,
}

/// Takes a batch and answers with what became of each record, as soon as that is known of all of them. Whatever may
/// pass is waited out there.
pub type Settle = Box<dyn FnMut(Batch) -> Receiver<Vec<Settled>> + Send>;

/// Why nothing is read. Says what to do where somebody has to do something; the reader itself tries again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kafka(#[from] client::Error),
    #[error("the place in the consumer group is lost: {0}")]
    Group(String),
    #[error("a dead letter cannot be published: {0}")]
    DeadLetter(String),
    #[error("{answers} answers came to {records} records")]
    Answers { answers: usize, records: usize },
    #[error("nobody takes what is read")]
    Unheard,
    #[error("a thread of a session: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running reader.
pub struct Inbound {
    stop: Sender<Instant>,
    thread: JoinHandle<()>,
}

impl Inbound {
    /// Starts the thread. Needs no broker to be there.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(options: Options, settle: Settle) -> std::io::Result<Self> {
        let (stop, stopping) = bounded(1);
        let worker = worker::Worker::new(options, settle, Stop::new(stopping));
        let thread = std::thread::Builder::new().name("inbound".to_owned()).spawn(move || worker.run())?;
        Ok(Self { stop, thread })
    }

    /// Settles what is in hand, commits it and leaves the group. Gives up after `timeout`: what is not committed is read
    /// again after the next start. Blocks.
    pub fn stop(self, timeout: Duration) {
        // If the thread is gone there is nothing left to stop.
        let _ = self.stop.send(Instant::now() + timeout);
        background::join(self.thread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test runs.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_stop_with_nothing_in_hand_waits_for_no_broker() {
        let connection = Connection { brokers: "127.0.0.1:1".to_owned(), properties: Vec::new() };
        let (topic, dead_letters, group) = ("t".to_owned(), "d".to_owned(), "g".to_owned());
        let options = Options { connection, topic, dead_letters, group, topic_partitions: 1, replication: 1 };
        let inbound = Inbound::start(options, Box::new(|_| unreachable!("nothing can be read"))).unwrap();
        let began = Instant::now();
        inbound.stop(LONG);
        assert!(began.elapsed() < LONG);
    }
}
