//! The relay where no broker is: how long a stop lasts.

use super::*;
use crate::memory::MemoryJournal;
use holdfast_engine::codec::Batch;
use holdfast_engine::event::{Event, StockFact};
use holdfast_engine::ids::{Partitions, Sku};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::Timestamp;

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(600);
const LOG: LogId = LogId(0);

fn journal(events: u64) -> Arc<MemoryJournal> {
    let journal = MemoryJournal::new(Partitions::new(1).unwrap());
    for seq in 1..=events {
        let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
        let event = Event::Stock { sku: Sku::new("MUG").unwrap(), fact };
        let mut batch = Batch::default();
        batch.push(PartitionId(0), &Record { seq, at: Timestamp::new(1), event });
        journal.append(LOG, &batch).unwrap();
    }
    Arc::new(journal)
}

/// Nobody listens on this port.
fn options(properties: &[(&str, &str)]) -> Options {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let connection = Connection { brokers: "127.0.0.1:1".to_owned(), properties };
    Options { connection, topic: "t".to_owned(), topic_partitions: 1, replication: 1, queue_events: 10 }
}

fn encode() -> Encode {
    Arc::new(|_, _| unreachable!("nothing can be sent"))
}

fn start(journal: &Arc<MemoryJournal>, properties: &[(&str, &str)]) -> Relay {
    Relay::start(journal.clone(), options(properties), encode()).unwrap()
}

/// How long it took.
fn stop(relay: Relay, timeout: Duration) -> Duration {
    let began = Instant::now();
    relay.stop(timeout);
    began.elapsed()
}

/// The stop is there before the first session begins.
#[test]
fn a_stop_with_events_left_and_no_broker_lasts_until_its_deadline() {
    let (journal, deadline) = (journal(1), Instant::now() + Duration::from_secs(1));
    let (stop, stopping) = bounded(1);
    stop.send(deadline).unwrap();
    let published = Published::of(&*journal);
    let context = Context::new(journal, encode(), Stop::new(stopping), published);
    Worker::new(context, options(&[])).run();
    let ended = Instant::now();
    assert!(ended >= deadline && ended < deadline + LONG);
}

#[test]
fn a_stop_without_time_waits_for_no_broker() {
    let relay = start(&journal(1), &[]);
    assert!(stop(relay, Duration::ZERO) < LONG);
}

#[test]
fn a_stop_with_everything_published_waits_for_no_broker() {
    let journal = journal(2);
    let checkpoint = Checkpoint { commit: 2, published: BTreeMap::from([(0, 2)]), topic_partitions: 1, ..Checkpoint::default() };
    journal.project(&[checkpoint_row(LOG, &checkpoint)]).unwrap();
    let took = stop(start(&journal, &[]), LONG);
    assert!(took < LONG, "{took:?}");
}

#[test]
fn a_stop_does_not_wait_for_what_somebody_has_to_mend() {
    let took = stop(start(&journal(1), &[("no.such.property", "1")]), LONG);
    assert!(took < LONG, "{took:?}");
}
