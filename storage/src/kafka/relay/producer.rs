//! The producer that says what landed.
//!
//! Invariants: it is idempotent and never gives a message up by itself, so what it acknowledges of a topic partition is in
//! the order it was sent, without a gap; of every message handed over it says exactly once what became of it.

use super::{CONTENT_TYPE, Encoded, Error, Options, header};
use crate::kafka::client::{self, MAX_MESSAGE_BYTES, TopicPartition, client_error};
use crate::traced::Span;
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_engine::codec::Entry;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, producer::NoCustomPartitioner};
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of a message: its offset, or why it is not in the topic.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) topic_partition: TopicPartition,
    pub(super) number: u64,
    pub(super) offset: Result<i64, String>,
}

/// Called by the client on a thread of its own.
struct Reports {
    landed: Sender<Landed>,
    away: AtomicBool,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        let down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if down && !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!("no Kafka broker can be reached: orders go on, their events wait in the journal");
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let (topic_partition, offset) = match result {
            Ok(message) => (message.partition(), Ok(message.offset())),
            Err((error, message)) => (message.partition(), Err(error.to_string())),
        };
        if offset.is_ok() && self.away.load(Ordering::Relaxed) && self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka answers again: events that waited are published");
        }
        // After the end of its session nobody listens.
        let _ = self.landed.send(Landed { topic_partition, number: number as u64, offset });
    }
}

/// A producer for one session. Dropped, it forgets what is not sent.
pub(super) struct Producer {
    client: ThreadedProducer<Reports, NoCustomPartitioner>,
    topic: String,
    journal: String,
    pub(super) landed: Receiver<Landed>,
}

impl Producer {
    pub(super) fn open(options: &Options, journal: String) -> Result<Self, Error> {
        // Bounded by the queue of the client.
        let (sender, landed) = unbounded();
        let reports = Reports { landed: sender, away: AtomicBool::new(false) };
        let client = client::config(&options.connection)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Never given up: a message that is given up is a gap.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            .set("batch.size", "1048576")
            .set("compression.type", "lz4")
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.messages", options.queue_events.to_string())
            .set("queue.buffering.max.kbytes", "262144")
            .create_with_context(reports)
            .map_err(|error| client_error(&error))?;
        Ok(Self { client, topic: options.topic.clone(), journal, landed })
    }

    /// Hands a message over. False if there is no room for it now.
    pub(super) fn send(
        &self,
        (topic_partition, number): (TopicPartition, u64),
        entry: &Entry<'_>,
        event: &Encoded,
        span: Option<Span>,
    ) -> Result<bool, Error> {
        let headers = self.headers(entry, event);
        let headers = match span.map(|span| span.to_string()) {
            Some(span) => headers.insert(Header { key: header::TRACEPARENT, value: Some(&span) }),
            None => headers,
        };
        let record = BaseRecord::with_opaque_to(&self.topic, number as usize)
            .partition(topic_partition)
            .key(event.key.as_str())
            .payload(&event.body)
            .headers(headers);
        match self.client.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => {
                Err(Error::Produce(format!("event {} of {} bytes was refused: {error}", event.id, event.body.len())))
            }
        }
    }

    fn headers(&self, entry: &Entry<'_>, event: &Encoded) -> OwnedHeaders {
        let (partition, seq) = (entry.partition.0.to_string(), entry.seq.to_string());
        let check = format!("{:08x}", entry.check());
        let pairs = [
            (header::CONTENT_TYPE, CONTENT_TYPE),
            (header::TYPE, &event.event_type),
            (header::PARTITION, &partition),
            (header::SEQUENCE, &seq),
            (header::ID, &event.id),
            (header::JOURNAL, &self.journal),
            (header::CHECK, &check),
        ];
        let empty = OwnedHeaders::new_with_capacity(pairs.len());
        pairs.into_iter().fold(empty, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
    }

    /// Why this producer can go on no more, if that is so.
    pub(super) fn fatal(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }
}
