//! The way to the topic of dead letters: a record as it came, with why it could not be taken.
//!
//! Invariant: of every letter that was posted it says exactly once whether the topic has it.

use super::{Error, Options, Reason, Record, header};
use crate::kafka::client::{self, MAX_MESSAGE_BYTES, client_error};
use crossbeam::channel::{Receiver, Sender, unbounded};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, NoCustomPartitioner, ProducerContext, ThreadedProducer};

/// Called by the client on a thread of its own.
struct Acknowledged(Sender<Result<(), String>>);

impl ClientContext for Acknowledged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let landed = result.as_ref().map(drop).map_err(|(error, _)| error.to_string());
        // After the end of its session nobody listens.
        let _ = self.0.send(landed);
    }
}

pub(super) struct DeadLetters {
    client: ThreadedProducer<Acknowledged, NoCustomPartitioner>,
    topic: String,
    source: String,
    pub(super) landed: Receiver<Result<(), String>>,
}

impl DeadLetters {
    pub(super) fn open(options: &Options) -> Result<Self, Error> {
        // Bounded by the batch in hand.
        let (sender, landed) = unbounded();
        let client = client::config(&options.connection)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .create_with_context(Acknowledged(sender))
            .map_err(|error| client_error(&error))?;
        Ok(Self { client, topic: options.dead_letters.clone(), source: options.topic.clone(), landed })
    }

    pub(super) fn post(&self, record: &Record, reason: &Reason) -> Result<(), Error> {
        let headers = self.headers(record, reason);
        let mut letter = BaseRecord::<[u8], [u8], ()>::to(&self.topic).headers(headers);
        if let Some(key) = &record.key {
            letter = letter.key(key);
        }
        if let Some(value) = &record.value {
            letter = letter.payload(value);
        }
        let refused = |(error, _): (KafkaError, _)| Error::DeadLetter(error.to_string());
        self.client.send(letter).map_err(refused)
    }

    fn headers(&self, record: &Record, reason: &Reason) -> OwnedHeaders {
        let (topic_partition, offset) = (record.topic_partition.to_string(), record.offset.to_string());
        let ours = [
            (header::REASON, reason.code),
            (header::DETAIL, &reason.detail),
            (header::TOPIC, &self.source),
            (header::PARTITION, &topic_partition),
            (header::OFFSET, &offset),
        ];
        let theirs = record.headers.iter().map(|(key, value)| Header { key: key.as_str(), value: value.as_deref() });
        let ours = ours.into_iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) });
        theirs.chain(ours).fold(OwnedHeaders::new(), OwnedHeaders::insert)
    }
}
