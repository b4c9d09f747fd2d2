//! Settings and events as the relay takes them: the only place that knows both.

use crate::events::CloudEvent;
use crate::settings::{Kafka, KafkaProtocol, KafkaSecurity};
use holdfast_engine::event::Record;
use holdfast_engine::ids::PartitionId;
use holdfast_storage::Journal;
use holdfast_storage::kafka::inbound;
use holdfast_storage::kafka::relay::{Encode, Encoded, Options, Relay, topic_name};
use holdfast_storage::kafka::{Connection, TopicPartition};
use std::sync::Arc;

/// Starts the relay over a journal. Needs no broker to be there.
///
/// # Errors
/// If the file with the password cannot be read, or the thread cannot be started.
pub fn start(kafka: &Kafka, journal: Arc<dyn Journal>) -> std::io::Result<Relay> {
    let encode: Encode = Arc::new(encode);
    Relay::start(journal, options(kafka)?, encode)
}

/// An event as it stands in the topic.
pub fn encode(partition: PartitionId, record: &Record) -> Encoded {
    let event = CloudEvent::of(partition, record);
    Encoded {
        id: event.id().to_owned(),
        key: event.subject().to_owned(),
        event_type: event.event_type().to_owned(),
        body: event.bytes(),
    }
}

/// # Errors
/// If the file with the password cannot be read.
pub fn options(kafka: &Kafka) -> std::io::Result<Options> {
    Ok(Options {
        connection: connection(kafka)?,
        topic: topic_name(&kafka.topic_prefix),
        topic_partitions: TopicPartition::from(kafka.topic_partitions),
        replication: i32::from(kafka.replication),
        queue_events: kafka.queue_events as usize,
    })
}

/// Where payment results come from and where dead letters go.
///
/// # Errors
/// If the file with the password cannot be read.
pub fn payment_results(kafka: &Kafka) -> std::io::Result<inbound::Options> {
    Ok(inbound::Options {
        connection: connection(kafka)?,
        topic: format!("{}.payment-results.v1", kafka.topic_prefix),
        dead_letters: format!("{}.payment-results.dlq.v1", kafka.topic_prefix),
        group: kafka.group.clone(),
        topic_partitions: TopicPartition::from(kafka.topic_partitions),
        replication: i32::from(kafka.replication),
    })
}

/// # Errors
/// If the file with the password cannot be read.
pub fn connection(kafka: &Kafka) -> std::io::Result<Connection> {
    Ok(Connection { brokers: kafka.brokers.clone(), properties: properties(&kafka.security)? })
}

/// What the client library calls the settings of security.
fn properties(security: &KafkaSecurity) -> std::io::Result<Vec<(String, String)>> {
    if security.protocol == KafkaProtocol::Plaintext {
        return Ok(Vec::new());
    }
    let protocol = match security.protocol {
        KafkaProtocol::Plaintext => "plaintext",
        KafkaProtocol::Ssl => "ssl",
        KafkaProtocol::SaslPlaintext => "sasl_plaintext",
        KafkaProtocol::SaslSsl => "sasl_ssl",
    };
    let password = match security.password_file.as_str() {
        "" => String::new(),
        path => std::fs::read_to_string(path).map_err(|error| std::io::Error::other(format!("{path}: {error}")))?,
    };
    let all = [
        ("security.protocol", protocol),
        ("ssl.ca.location", &security.ca_file),
        ("ssl.certificate.location", &security.certificate_file),
        ("ssl.key.location", &security.key_file),
        ("sasl.mechanism", &security.mechanism),
        ("sasl.username", &security.user),
        ("sasl.password", password.trim_end_matches(['\r', '\n'])),
    ];
    let set = all.into_iter().filter(|(_, value)| !value.is_empty());
    Ok(set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::event::{Event, StockFact};
    use holdfast_engine::ids::Sku;
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;
    use serde_json::{Value, json};

    #[test]
    fn an_event_is_a_structured_cloud_event_under_its_subject() {
        let fact = StockFact::ThresholdSet { threshold: Quantity::new(5), version: 3 };
        let record = Record {
            seq: 7,
            at: Timestamp::new(1_700_000_000_123),
            event: Event::Stock { sku: Sku::new("SKU-1").unwrap(), fact },
        };
        let Encoded { id, key, event_type, body } = encode(PartitionId(12), &record);
        assert_eq!((&*id, &*key, &*event_type), ("12-7", "SKU-1", "holdfast.stock.threshold_set"));
        let expected = json!({"specversion": "1.0", "id": "12-7", "source": "/holdfast", "type": "holdfast.stock.threshold_set",
            "subject": "SKU-1", "time": "2023-11-14T22:13:20.123Z", "datacontenttype": "application/json", "partition": 12,
            "sequence": 7, "data": {"low_stock_threshold": 5, "sku": "SKU-1", "version": 3}});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn a_password_comes_from_its_file_without_the_end_of_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "secret\n").unwrap();
        let security = KafkaSecurity {
            protocol: KafkaProtocol::SaslSsl,
            mechanism: "SCRAM-SHA-512".to_owned(),
            user: "holdfast".to_owned(),
            password_file: path.display().to_string(),
            ..KafkaSecurity::default()
        };
        let properties = properties(&security).unwrap();
        let value = |name: &str| properties.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        assert_eq!((value("sasl.password"), value("security.protocol")), (Some("secret"), Some("sasl_ssl")));
        assert_eq!(value("ssl.ca.location"), None);
    }
}
