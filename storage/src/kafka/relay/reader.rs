//! Reads the topic from one end to the other, or on and on.
//!
//! Invariant: what [`Reader::record`] gives is every record between the start and the end that the topic had when the reader
//! was opened, in the order of each topic partition.

use super::header;
use crate::kafka::client::{self, Connection, Error, SilentContext, TIMEOUT, TopicPartition, client_error};
use holdfast_engine::ids::{PartitionId, Seq};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long a reader waits for the next record that must be there. A broker may just be failing over.
const SILENCE: Duration = Duration::from_secs(60);
/// One wait of many.
const POLL: Duration = Duration::from_millis(100);

/// One record of the topic. What a record of ours always has may be missing in one of somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRecord {
    pub topic_partition: TopicPartition,
    pub offset: i64,
    pub key: Option<String>,
    pub partition: Option<PartitionId>,
    pub seq: Option<Seq>,
    pub id: Option<String>,
    pub event_type: Option<String>,
    pub journal: Option<String>,
    pub check: Option<u32>,
    pub body: Vec<u8>,
}

impl TopicRecord {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let mut carried = Self { topic_partition: message.partition(), offset: message.offset(), ..Self::default() };
        carried.key = message.key().map(text);
        carried.body = message.payload().unwrap_or_default().to_vec();
        for one in message.headers().into_iter().flat_map(Headers::iter) {
            let value = one.value.map(text);
            match one.key {
                header::PARTITION => carried.partition = value.and_then(|value| value.parse().ok()).map(PartitionId),
                header::SEQUENCE => carried.seq = value.and_then(|value| value.parse().ok()),
                header::ID => carried.id = value,
                header::TYPE => carried.event_type = value,
                header::JOURNAL => carried.journal = value,
                header::CHECK => carried.check = value.and_then(|value| u32::from_str_radix(&value, 16).ok()),
                _ => {}
            }
        }
        carried
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where to begin in a topic partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With this offset, or the first that is still kept.
    At(i64),
    End,
}

/// The records of a topic partition that a reader began with: `low ≤ offset < high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub low: i64,
    pub high: i64,
    next: i64,
}

/// Over all topic partitions of a topic.
pub struct Reader {
    consumer: BaseConsumer<SilentContext>,
    brokers: String,
    spans: Vec<Span>,
}

impl Reader {
    /// Notes where each topic partition ends now, and begins where `start` says.
    ///
    /// # Errors
    /// If no broker answers, or there is no such topic.
    pub fn open(connection: &Connection, topic: &str, start: impl Fn(TopicPartition) -> Start) -> Result<Self, Error> {
        let consumer: BaseConsumer<SilentContext> = client::config(connection)
            // The client wants a group for its context; it is never joined and nothing is committed.
            .set("group.id", "holdfast-reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .create_with_context(SilentContext)
            .map_err(|error| client_error(&error))?;
        let brokers = connection.brokers.clone();
        let away = |reason: &dyn ToString| Error::Unreachable { brokers: brokers.clone(), reason: reason.to_string() };
        let metadata = consumer.fetch_metadata(None, TIMEOUT).map_err(|error| away(&error))?;
        let topic_partitions =
            metadata.topics().iter().find(|found| found.name() == topic).map_or(0, |found| found.partitions().len());
        if topic_partitions == 0 {
            return Err(Error::TopicMissing { topic: topic.to_owned(), problem: "does not exist".to_owned() });
        }
        let (mut spans, mut assignment) = (Vec::new(), TopicPartitionList::new());
        for topic_partition in 0..topic_partitions as TopicPartition {
            let (low, high) = consumer.fetch_watermarks(topic, topic_partition, TIMEOUT).map_err(|error| away(&error))?;
            let next = match start(topic_partition) {
                Start::At(offset) => offset.max(low),
                Start::End => high,
            };
            spans.push(Span { low, high, next });
            assignment
                .add_partition_offset(topic, topic_partition, Offset::Offset(next))
                .map_err(|error| client_error(&error))?;
        }
        consumer.assign(&assignment).map_err(|error| client_error(&error))?;
        Ok(Self { consumer, brokers, spans })
    }

    /// Of each topic partition.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The next record up to the end that was noted, or nothing after it.
    ///
    /// # Errors
    /// If the brokers stay silent.
    pub fn record(&mut self) -> Result<Option<TopicRecord>, Error> {
        self.record_unless(|| false)
    }

    /// The same, or nothing once there is a reason to stop.
    ///
    /// # Errors
    /// If the brokers stay silent.
    pub fn record_unless(&mut self, mut stop: impl FnMut() -> bool) -> Result<Option<TopicRecord>, Error> {
        let deadline = Instant::now() + SILENCE;
        while self.spans.iter().any(|span| span.next < span.high) && !stop() {
            if let Some(carried) = self.follow(POLL) {
                if self.spans.get(carried.topic_partition as usize).is_some_and(|span| carried.offset < span.high) {
                    return Ok(Some(carried));
                }
            } else if Instant::now() > deadline {
                let reason = format!("nothing came for {} s, and there is more", SILENCE.as_secs());
                return Err(Error::Unreachable { brokers: self.brokers.clone(), reason });
            }
        }
        Ok(None)
    }

    /// The next record, whenever it was published, or nothing within `wait`. The client mends lost connections itself.
    pub fn follow(&mut self, wait: Duration) -> Option<TopicRecord> {
        let carried = match self.consumer.poll(wait)? {
            Ok(message) => TopicRecord::of(&message),
            Err(error) => {
                tracing::debug!(%error, "reading the topic");
                return None;
            }
        };
        if let Some(span) = self.spans.get_mut(carried.topic_partition as usize) {
            span.next = carried.offset + 1;
        }
        Some(carried)
    }
}
