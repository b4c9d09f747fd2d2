//! A topic as it must be: created if it is not there, else checked.
//!
//! Invariant: a topic that [`ensure`] passed is one in which no consumer could miss a record or see a partition out of order.

use super::client::{self, Connection, Error, MAX_MESSAGE_BYTES, SilentContext, TIMEOUT, TopicPartition, client_error};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// From this many copies on, two must have a record before it counts.
const SAFE_REPLICATION: i32 = 3;

/// What there has to be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) connection: Connection,
    pub(super) topic: String,
    pub(super) topic_partitions: TopicPartition,
    /// Copies of each partition. From three on, two must have a record before it counts.
    pub(super) replication: i32,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    topic_partitions: TopicPartition,
    /// Fewest copies of a partition.
    replication: i32,
    /// If the cluster says.
    min_in_sync: Option<i32>,
    cleanup: Option<String>,
}

/// Creates the topic, or checks the one that is there.
///
/// # Errors
/// If no broker answers, or the topic is not as it must be.
pub(super) fn ensure(wanted: &Wanted) -> Result<(), Error> {
    let admin = provided(wanted)?;
    let problem = judge(&shape(&admin, wanted)?, wanted);
    problem.map_or(Ok(()), |problem| Err(Error::Topic { topic: wanted.topic.clone(), problem }))
}

/// Creates the topic if it is not there. One that somebody else made is taken as it is.
///
/// # Errors
/// If no broker answers, or the topic cannot be created.
pub(super) fn provide(wanted: &Wanted) -> Result<(), Error> {
    provided(wanted).map(drop)
}

fn provided(wanted: &Wanted) -> Result<AdminClient<SilentContext>, Error> {
    let admin: AdminClient<SilentContext> =
        client::config(&wanted.connection).create_with_context(SilentContext).map_err(|error| client_error(&error))?;
    if topic_partitions(admin.inner(), wanted)?.is_none() {
        create(&admin, wanted)?;
    }
    Ok(admin)
}

fn unreachable(wanted: &Wanted, reason: &impl ToString) -> Error {
    Error::Unreachable { brokers: wanted.connection.brokers.clone(), reason: reason.to_string() }
}

/// Copies of each partition, or nothing if there is no such topic. Asks for all topics: asking for one may create it.
fn topic_partitions(client: &Client<SilentContext>, wanted: &Wanted) -> Result<Option<Vec<i32>>, Error> {
    let metadata = client.fetch_metadata(None, TIMEOUT).map_err(|error| unreachable(wanted, &error))?;
    let found = metadata.topics().iter().find(|topic| topic.name() == wanted.topic && topic.error().is_none());
    let copies = found.map(|topic| topic.partitions().iter().map(|partition| partition.replicas().len() as i32).collect());
    Ok(copies.filter(|copies: &Vec<i32>| !copies.is_empty()))
}

fn create(admin: &AdminClient<SilentContext>, wanted: &Wanted) -> Result<(), Error> {
    let size = MAX_MESSAGE_BYTES.to_string();
    let mut topic = NewTopic::new(&wanted.topic, wanted.topic_partitions, TopicReplication::Fixed(wanted.replication))
        .set("cleanup.policy", "delete")
        .set("unclean.leader.election.enable", "false")
        .set("max.message.bytes", &size);
    if wanted.replication >= SAFE_REPLICATION {
        topic = topic.set("min.insync.replicas", "2");
    }
    let asked = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let created = block_on(admin.create_topics([&topic], &asked)).map_err(|error| unreachable(wanted, &error))?;
    for result in created {
        match result {
            Ok(_) => tracing::info!(
                topic = wanted.topic,
                partitions = wanted.topic_partitions,
                replication = wanted.replication,
                "topic created"
            ),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(refused(topic, code, wanted)),
        }
    }
    Ok(())
}

fn refused(topic: String, code: RDKafkaErrorCode, wanted: &Wanted) -> Error {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            let problem = "does not exist and this user may not create it: create it, or allow Create".to_owned();
            Error::Topic { topic, problem }
        }
        // Passes if the others are just starting.
        RDKafkaErrorCode::InvalidReplicationFactor => {
            let copies = wanted.replication;
            let problem =
                format!("cannot be created with {copies} copies: are there that many brokers? Else set kafka.replication");
            Error::TopicMissing { topic, problem }
        }
        code => Error::TopicMissing { topic, problem: format!("cannot be created: {code}") },
    }
}

fn shape(admin: &AdminClient<SilentContext>, wanted: &Wanted) -> Result<Shape, Error> {
    let deadline = Instant::now() + TIMEOUT;
    let copies = loop {
        // A topic that was just created is not known everywhere at once.
        match topic_partitions(admin.inner(), wanted)? {
            Some(copies) => break copies,
            None if Instant::now() > deadline => return Err(unreachable(wanted, &"the topic was created and does not show")),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let topic = ResourceSpecifier::Topic(&wanted.topic);
    let asked = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let mut described = block_on(admin.describe_configs([&topic], &asked)).map_err(|error| unreachable(wanted, &error))?;
    let described = described.pop().and_then(|result| {
        let unknown =
            |code| tracing::warn!(topic = wanted.topic, %code, "the settings of the topic cannot be read and are not checked");
        result.map_err(unknown).ok()
    });
    let setting = |name| described.as_ref().and_then(|described| described.get(name)?.value.clone());
    Ok(Shape {
        topic_partitions: copies.len() as TopicPartition,
        replication: copies.into_iter().min().unwrap_or(0),
        min_in_sync: setting("min.insync.replicas").and_then(|value| value.parse().ok()),
        cleanup: setting("cleanup.policy"),
    })
}

/// What is wrong with a topic, and what to do.
fn judge(found: &Shape, wanted: &Wanted) -> Option<String> {
    if found.topic_partitions != wanted.topic_partitions {
        return Some(format!(
            "has {} partitions, the settings say {}: set kafka.topic_partitions = {}, or use a new topic with another kafka.topic_prefix",
            found.topic_partitions, wanted.topic_partitions, found.topic_partitions
        ));
    }
    if found.replication < wanted.replication {
        return Some(format!(
            "has {} copies, the settings say {}: reassign its partitions, or set kafka.replication = {}",
            found.replication, wanted.replication, found.replication
        ));
    }
    if wanted.replication >= SAFE_REPLICATION && found.min_in_sync.is_some_and(|copies| copies < 2) {
        return Some("takes a record that only one broker has: alter the topic to min.insync.replicas=2".to_owned());
    }
    if found.cleanup.as_deref().is_some_and(|policy| policy.contains("compact")) {
        return Some("is compacted, which removes events: alter the topic to cleanup.policy=delete".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(replication: i32) -> Wanted {
        let connection = Connection { brokers: String::new(), properties: Vec::new() };
        Wanted { connection, topic: "t".to_owned(), topic_partitions: 8, replication }
    }

    fn found() -> Shape {
        Shape { topic_partitions: 8, replication: 3, min_in_sync: Some(2), cleanup: Some("delete".to_owned()) }
    }

    #[test]
    fn a_topic_as_it_must_be_is_taken() {
        assert_eq!(judge(&found(), &wanted(3)), None);
        assert_eq!(judge(&found(), &wanted(1)), None, "more copies do no harm");
        assert_eq!(
            judge(&Shape { min_in_sync: None, cleanup: None, ..found() }, &wanted(3)),
            None,
            "what nobody says is not held against it"
        );
    }

    #[test]
    fn whatever_could_lose_or_reorder_an_event_is_refused_with_what_to_do() {
        let refused = |shape: Shape, words: &str| {
            let problem = judge(&shape, &wanted(3)).unwrap();
            assert!(problem.contains(words), "{problem}");
        };
        refused(Shape { topic_partitions: 6, ..found() }, "kafka.topic_partitions = 6");
        refused(Shape { replication: 1, ..found() }, "kafka.replication = 1");
        refused(Shape { min_in_sync: Some(1), ..found() }, "min.insync.replicas=2");
        refused(Shape { cleanup: Some("compact,delete".to_owned()), ..found() }, "cleanup.policy=delete");
    }
}
