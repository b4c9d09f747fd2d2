//! Topics as anybody else sees them: made, filled, read, and how far a group is.
//!
//! It knows nothing of Holdfast. Invariant: what [`Topics::put`] returned from is in the topic.

use crate::server::poll;
use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// One question of many.
const QUESTION: Duration = Duration::from_secs(10);

/// A record as a topic has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: String,
    pub headers: BTreeMap<String, String>,
}

/// The topics of some brokers. Every method panics when the brokers do not do what is asked.
pub struct Topics {
    brokers: String,
}

impl Topics {
    pub fn at(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned() }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("reconnect.backoff.max.ms", "500");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        or_panic(self.config().create(), "a client of the brokers")
    }

    /// # Panics
    /// See [`Topics`].
    pub fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let created = block_on(self.admin().create_topics([&new], &patient()));
        or_panic(created, topic).into_iter().for_each(|one| drop(or_panic(one, topic)));
    }

    /// Returns when it is gone.
    ///
    /// # Panics
    /// See [`Topics`].
    pub fn delete(&self, topic: &str) {
        let deleted = block_on(self.admin().delete_topics(&[topic], &patient()));
        or_panic(deleted, topic).into_iter().for_each(|one| drop(or_panic(one, topic)));
        let gone = poll(PATIENCE, || self.named(topic).is_empty().then_some(()));
        assert!(gone.is_some(), "{topic} is still there");
    }

    /// # Panics
    /// See [`Topics`].
    pub fn alter(&self, topic: &str, name: &str, value: &str) {
        let altered = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
        let altered = block_on(self.admin().alter_configs([&altered], &patient()));
        or_panic(altered, topic).into_iter().for_each(|one| drop(or_panic(one, topic)));
    }

    /// Puts records where their keys belong, and waits until the topic has them.
    ///
    /// # Panics
    /// See [`Topics`].
    pub fn put<'a>(&self, topic: &str, records: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let records =
            records.into_iter().map(|(key, value)| (BaseRecord::to(topic).key(key).payload(value), OwnedHeaders::new()));
        self.send(records);
    }

    /// Puts copies of records into the partitions they were read from.
    ///
    /// # Panics
    /// See [`Topics`].
    pub fn put_again<'a>(&self, topic: &str, records: impl IntoIterator<Item = &'a Kept>) {
        let records = records.into_iter().map(|kept| {
            let headers = kept.headers.iter().map(|(key, value)| Header { key, value: Some(value) });
            let record = BaseRecord::to(topic).partition(kept.partition).key(kept.key.as_str()).payload(kept.value.as_str());
            (record, headers.fold(OwnedHeaders::new(), OwnedHeaders::insert))
        });
        self.send(records);
    }

    fn send<'a>(&self, records: impl Iterator<Item = (BaseRecord<'a, str, str>, OwnedHeaders)>) {
        let producer: BaseProducer = or_panic(self.config().create(), "a producer");
        for (record, headers) in records {
            or_panic(producer.send(record.headers(headers)).map_err(|(error, _)| error), "a record");
        }
        or_panic(producer.flush(PATIENCE), "what was produced");
        assert_eq!(producer.in_flight_count(), 0, "not everything landed");
    }

    /// The topics whose names begin like this.
    ///
    /// # Panics
    /// See [`Topics`].
    pub fn named(&self, prefix: &str) -> BTreeSet<String> {
        let consumer = self.consumer("nobody");
        let known = patiently("the topics", || consumer.fetch_metadata(None, QUESTION));
        known.topics().iter().map(|topic| topic.name().to_owned()).filter(|name| name.starts_with(prefix)).collect()
    }

    /// Every record the topic has now, nothing for a topic that is not there.
    ///
    /// # Panics
    /// See [`Topics`].
    pub fn all(&self, topic: &str) -> Vec<Kept> {
        let consumer = self.consumer("nobody");
        let (mut assigned, mut missing) = (TopicPartitionList::new(), 0);
        for partition in self.partitions(&consumer, topic) {
            let (low, high) = patiently(topic, || consumer.fetch_watermarks(topic, partition, QUESTION));
            missing += high - low;
            or_panic(assigned.add_partition_offset(topic, partition, Offset::Offset(low)), topic);
        }
        or_panic(consumer.assign(&assigned), topic);
        let mut found = Vec::new();
        while missing > 0 {
            let Some(message) = consumer.poll(PATIENCE) else { panic!("{missing} records of {topic} do not come") };
            // The client mends lost connections itself.
            let Ok(message) = message else { continue };
            found.push(kept(&message));
            missing -= 1;
        }
        found
    }

    /// The offsets a group has committed, without the partitions of which it has committed nothing.
    ///
    /// # Panics
    /// See [`Topics`].
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let consumer = self.consumer(group);
        let mut asked = TopicPartitionList::new();
        for partition in self.partitions(&consumer, topic) {
            asked.add_partition(topic, partition);
        }
        let known = patiently(topic, || consumer.committed_offsets(asked.clone(), QUESTION));
        let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        known.elements().iter().filter_map(|one| Some((one.partition(), offset(one.offset())?))).collect()
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        or_panic(self.config().set("group.id", group).set("enable.auto.commit", "false").create(), "a consumer")
    }

    fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> impl Iterator<Item = i32> + use<> {
        let known = patiently("the topics", || consumer.fetch_metadata(None, QUESTION));
        let found = known.topics().iter().find(|found| found.name() == topic);
        0..found.map_or(0, |found| found.partitions().len() as i32)
    }
}

/// For changes: brokers that are busy take their time.
fn patient() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// Asks again while there is an error: leaders and coordinators are not in office at once.
fn patiently<T>(what: &str, mut ask: impl FnMut() -> KafkaResult<T>) -> T {
    let mut last = None;
    let answer = poll(PATIENCE, || ask().map_err(|error| last = Some(error)).ok());
    answer.unwrap_or_else(|| panic!("{what}: {last:?}"))
}

fn kept(message: &impl Message) -> Kept {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Kept {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        headers: headers.map(|one| (one.key.to_owned(), text(one.value))).collect(),
    }
}

fn or_panic<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}
