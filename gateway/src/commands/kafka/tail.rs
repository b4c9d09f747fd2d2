//! `holdfast kafka tail`: follows the topic, with names and filters.

use super::super::output::Output;
use super::{Outcome, load};
use crate::cli::{From, KafkaTailArgs};
use crate::events::TYPE_PREFIX;
use crate::kafka::connection;
use holdfast_storage::kafka::relay::reader::{Reader, Start, TopicRecord};
use holdfast_storage::kafka::relay::topic_name;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks for the end of the output.
const WAIT: Duration = Duration::from_millis(500);

pub(super) fn run(args: &KafkaTailArgs, as_json: bool) -> Outcome {
    let settings = load(args.config.as_deref())?.kafka;
    let start = match args.from {
        From::Beginning => Start::At(0),
        From::End => Start::End,
    };
    let mut reader = Reader::open(&connection::connection(&settings)?, &topic_name(&settings.topic_prefix), |_| start)?;
    let (mut out, mut left) = (Output::open(), args.count.unwrap_or(u64::MAX));
    while left > 0 {
        let Some(record) = reader.follow(WAIT).filter(|record| wanted(record, args)) else { continue };
        let shown = if as_json { String::from_utf8_lossy(&record.body).into_owned() } else { line(&record) };
        out.line(shown)?;
        out.flush()?;
        left -= 1;
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(record: &TopicRecord, args: &KafkaTailArgs) -> bool {
    let event_type = record.event_type.as_deref().unwrap_or_default();
    let of_type = args.event_type.as_deref().is_none_or(|wanted| bare(event_type) == bare(wanted));
    let of_subject = args.subject.as_deref().is_none_or(|wanted| record.key.as_deref() == Some(wanted));
    of_type && of_subject
}

fn bare(event_type: &str) -> &str {
    event_type.strip_prefix(TYPE_PREFIX).unwrap_or(event_type)
}

/// Time, type, subject, place and what happened.
fn line(record: &TopicRecord) -> String {
    let body: Value = serde_json::from_slice(&record.body).unwrap_or_default();
    let time = body["time"].as_str().unwrap_or("?");
    let event_type = bare(record.event_type.as_deref().unwrap_or("?"));
    let place = match (record.partition, record.seq) {
        (Some(partition), Some(seq)) => format!("{}-{seq}", partition.0),
        (None, _) | (_, None) => "?".to_owned(),
    };
    format!("{time}  {event_type:<20}  {}  {place}  {}", record.key.as_deref().unwrap_or("?"), body["data"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::PartitionId;

    fn record() -> TopicRecord {
        TopicRecord {
            key: Some("ord_1".to_owned()),
            partition: Some(PartitionId(4)),
            seq: Some(9),
            event_type: Some("holdfast.order.paid".to_owned()),
            body: br#"{"time":"2026-01-01T00:00:00.000Z","data":{"attempt_id":"pay_1"}}"#.to_vec(),
            ..TopicRecord::default()
        }
    }

    fn args(event_type: Option<&str>, subject: Option<&str>) -> KafkaTailArgs {
        let own = |text: Option<&str>| text.map(str::to_owned);
        KafkaTailArgs { event_type: own(event_type), subject: own(subject), from: From::End, count: None, config: None }
    }

    #[test]
    fn a_type_may_leave_out_its_prefix() {
        assert!(wanted(&record(), &args(Some("order.paid"), None)));
        assert!(wanted(&record(), &args(Some("holdfast.order.paid"), Some("ord_1"))));
        assert!(!wanted(&record(), &args(Some("order.held"), None)));
        assert!(!wanted(&record(), &args(None, Some("ord_2"))));
    }

    #[test]
    fn a_line_says_when_what_whose_and_where() {
        assert_eq!(line(&record()), r#"2026-01-01T00:00:00.000Z  order.paid            ord_1  4-9  {"attempt_id":"pay_1"}"#);
    }
}
