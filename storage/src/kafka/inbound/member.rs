//! The place in the consumer group: what was read, what is committed, who reads what.
//!
//! Invariant: only what [`Member::settled`] was told is ever committed, and only of partitions that are this member's now.

use super::{Error, Options, Record};
use crate::kafka::client::{self, TopicPartition, client_error};
use crate::kafka::session::Stop;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, config::RDKafkaLogLevel};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Records in hand at once. More make better use of a sync of the journal, and are more to do again after a crash.
const BATCH: usize = 256;

/// Called by the client.
#[derive(Default)]
struct GroupContext {
    away: AtomicBool,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        let down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if down && !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!("no Kafka broker can be reached: what waits in its topics for this server is read when one is back");
        }
    }
}

impl ConsumerContext for GroupContext {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(topic_partitions) => {
                tracing::info!(partitions = ?numbers(topic_partitions), "reading partitions of the group")
            }
            Rebalance::Revoke(topic_partitions) => {
                tracing::debug!(partitions = ?numbers(topic_partitions), "partitions go to another member")
            }
            Rebalance::Error(error) => tracing::debug!(%error, "the group could not be joined"),
        }
    }
}

fn numbers(topic_partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    topic_partitions.elements().iter().map(|topic_partition| topic_partition.partition()).collect()
}

pub(super) struct Member {
    consumer: Arc<BaseConsumer<GroupContext>>,
    topic: String,
    /// Read while another batch was in hand.
    waiting: VecDeque<Record>,
    /// The first offset of each topic partition that is not settled.
    positions: BTreeMap<TopicPartition, i64>,
    /// The group knows all of them.
    committed: bool,
    paused: bool,
}

impl Member {
    pub(super) fn join(options: &Options) -> Result<Self, Error> {
        let consumer: BaseConsumer<GroupContext> = client::config(&options.connection)
            .set("group.id", &options.group)
            .set("enable.auto.commit", "false")
            // The partitions of a member that was killed are somebody else's after this: its own, once it is started again.
            .set("session.timeout.ms", "10000")
            // What came before the first start counts too.
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .create_with_context(GroupContext::default())
            .map_err(|error| client_error(&error))?;
        consumer.subscribe(&[&options.topic]).map_err(|error| client_error(&error))?;
        let topic = options.topic.clone();
        let consumer = Arc::new(consumer);
        Ok(Self { consumer, topic, waiting: VecDeque::new(), positions: BTreeMap::new(), committed: true, paused: false })
    }

    /// The next records, or none if nothing comes within `wait`.
    pub(super) fn batch(&mut self, wait: Duration) -> Result<Vec<Record>, Error> {
        self.resume()?;
        let mut batch: Vec<Record> = self.waiting.drain(..).collect();
        let mut wait = if batch.is_empty() { wait } else { Duration::ZERO };
        while batch.len() < BATCH {
            let Some(record) = self.poll(wait)? else { break };
            batch.push(record);
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    /// Stays in the group while a batch takes its time: whoever does not ask is taken for dead.
    pub(super) fn stay(&mut self) -> Result<(), Error> {
        let topic_partitions = self.consumer.assignment().map_err(|error| lost(&error))?;
        self.consumer.pause(&topic_partitions).map_err(|error| lost(&error))?;
        if !std::mem::replace(&mut self.paused, true) {
            tracing::debug!(topic = self.topic, "a batch takes long: its partitions are paused");
        }
        // Of a partition that just came there may be something.
        while let Some(record) = self.poll(Duration::ZERO)? {
            self.waiting.push_back(record);
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.paused) {
            let topic_partitions = self.consumer.assignment().map_err(|error| lost(&error))?;
            self.consumer.resume(&topic_partitions).map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    fn poll(&self, wait: Duration) -> Result<Option<Record>, Error> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => {
                if self.consumer.context().away.swap(false, Ordering::Relaxed) {
                    tracing::info!("Kafka answers again: what waited there is read");
                }
                Ok(Some(record(&message)))
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(lost(&error)),
            Some(Err(error)) if forbidden(&error) => {
                let problem = format!("cannot be read: {error}. Allow this user Read on the topic and on the group");
                Err(client::Error::Topic { topic: self.topic.clone(), problem }.into())
            }
            Some(Err(error)) => {
                // The client mends what can be mended.
                tracing::debug!(%error, "reading the topic");
                Ok(None)
            }
        }
    }

    /// All records of the batch are settled: the group is to be told.
    pub(super) fn settled(&mut self, batch: &[Record]) {
        for record in batch {
            self.positions.insert(record.topic_partition, record.offset + 1);
        }
        self.committed = false;
    }

    /// Whether something is settled that the group was not told of.
    pub(super) fn owes(&self) -> bool {
        !self.committed && !self.positions.is_empty()
    }

    /// Tells the group how far it is. A failure is no harm: it is told later, or what was settled comes again. With the brokers
    /// away it takes as long as the group waits for a member, or until it is late.
    pub(super) fn commit(&mut self, stop: &mut Stop) -> Result<(), Error> {
        let own = self.consumer.assignment().map_err(|error| lost(&error))?;
        let own: BTreeSet<TopicPartition> = numbers(&own).into_iter().collect();
        self.positions.retain(|topic_partition, _| own.contains(topic_partition));
        if !self.owes() {
            return Ok(());
        }
        let (consumer, offsets) = (self.consumer.clone(), self.offsets()?);
        match stop.unless_late(move || consumer.commit(&offsets, CommitMode::Sync))? {
            Some(Ok(())) => self.committed = true,
            Some(Err(error)) => tracing::debug!(%error, "offsets are not committed yet"),
            None => {}
        }
        Ok(())
    }

    fn offsets(&self) -> Result<TopicPartitionList, Error> {
        let mut offsets = TopicPartitionList::new();
        for (topic_partition, offset) in &self.positions {
            let added = offsets.add_partition_offset(&self.topic, *topic_partition, Offset::Offset(*offset));
            added.map_err(|error| lost(&error))?;
        }
        Ok(offsets)
    }
}

fn lost(error: &KafkaError) -> Error {
    Error::Group(error.to_string())
}

/// Passes only when somebody does something.
fn forbidden(error: &KafkaError) -> bool {
    let codes = [RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::GroupAuthorizationFailed];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let owned = |bytes: &[u8]| bytes.to_vec();
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Record {
        topic_partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(owned),
        value: message.payload().map(owned),
        headers: headers.map(|one| (one.key.to_owned(), one.value.map(owned))).collect(),
    }
}
