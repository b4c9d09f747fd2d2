//! A reference consumer: counts what was taken, each `holdfast.order.paid` exactly once, however often it is delivered.
//!
//! The whole trick: the last sequence of each partition is kept in one atomic write together with the effects. What is not
//! above it was counted before and is dropped; what is more than one above it must be impossible, and stops everything.
//! Here the write is a renamed file. In your program it is a transaction of your database, with a row for each partition.
//!
//! `takings --brokers HOST:PORT --topic holdfast.events.v1 --state FILE`; `--once` ends where the topic ends now.

use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Args {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    state: PathBuf,
    #[arg(long)]
    once: bool,
    /// Records between two writes.
    #[arg(long, default_value_t = 500)]
    batch: usize,
}

/// Effects and position, written together or not at all.
#[derive(Default, Deserialize, Serialize)]
struct State {
    /// The last sequence of each partition of Holdfast, by journal: other data counts by itself.
    last: BTreeMap<String, u64>,
    /// Where to read on. Only a short cut: with the oldest record again the result is the same.
    next: BTreeMap<i32, i64>,
    /// What open orders cost.
    open: BTreeMap<String, (String, i64)>,
    takings: BTreeMap<String, Takings>,
}

#[derive(Default, Deserialize, Serialize)]
struct Takings {
    orders: u64,
    amount: i64,
}

impl State {
    fn load(path: &Path) -> Result<Self, Box<dyn Error>> {
        if !path.exists() {
            return Ok(Self::default());
        }
        Ok(serde_json::from_reader(File::open(path)?)?)
    }

    fn save(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        serde_json::to_writer(&mut file, self)?;
        file.sync_all()?;
        Ok(std::fs::rename(new, path)?)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Box<dyn Error>> {
        let header = |name: &str| {
            let found = message.headers()?.iter().find(|header| header.key == name)?;
            std::str::from_utf8(found.value?).ok()
        };
        let (Some(journal), Some(partition), Some(sequence)) = (header("hf-journal"), header("hf-partition"), header("hf-seq"))
        else {
            return Err("a record without hf-journal, hf-partition and hf-seq".into());
        };
        let (place, sequence) = (format!("{journal}/{partition}"), sequence.parse::<u64>()?);
        self.next.insert(message.partition(), message.offset() + 1);
        match self.last.get(&place) {
            Some(last) if sequence <= *last => return Ok(()),
            Some(last) if sequence > last + 1 => return Err(format!("partition {place} jumps from {last} to {sequence}").into()),
            // The first one seen may be any: older ones may be gone by the retention of the topic.
            Some(_) | None => self.last.insert(place, sequence),
        };
        match header("ce-type") {
            Some("holdfast.order.placed") => self.placed(&serde_json::from_slice(message.payload().unwrap_or_default())?),
            Some("holdfast.order.paid") => self.paid(&serde_json::from_slice(message.payload().unwrap_or_default())?),
            _ => {}
        }
        Ok(())
    }

    fn placed(&mut self, event: &Value) {
        let lines = event["data"]["lines"].as_array().into_iter().flatten();
        let cost = lines.map(|line| line["quantity"].as_i64().unwrap_or(0) * line["unit_price"].as_i64().unwrap_or(0)).sum();
        let currency = event["data"]["currency"].as_str().unwrap_or_default();
        self.open.insert(event["subject"].to_string(), (currency.to_owned(), cost));
    }

    fn paid(&mut self, event: &Value) {
        if let Some((currency, cost)) = self.open.remove(&event["subject"].to_string()) {
            let takings = self.takings.entry(currency).or_default();
            takings.orders += 1;
            takings.amount += cost;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut state = State::load(&args.state)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &args.brokers).set("group.id", "takings").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let ends = assign(&consumer, &args.topic, &state)?;
    let at_end =
        |state: &State| ends.iter().all(|(topic_partition, end)| state.next.get(topic_partition).is_some_and(|next| next >= end));
    while !(args.once && at_end(&state)) {
        let mut fresh = false;
        for _ in 0..args.batch {
            let Some(message) = consumer.poll(Duration::from_millis(200)).transpose()? else { break };
            state.take(&message)?;
            fresh = true;
        }
        if fresh {
            state.save(&args.state)?;
        }
    }
    println!("{}", serde_json::to_string(&state.takings)?);
    Ok(())
}

/// Reads every partition from where the state says, and returns where they end now.
fn assign(consumer: &BaseConsumer, topic: &str, state: &State) -> Result<BTreeMap<i32, i64>, Box<dyn Error>> {
    let known = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for topic_partition in known.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()) {
        let (low, high) = consumer.fetch_watermarks(topic, topic_partition, PATIENCE)?;
        list.add_partition_offset(
            topic,
            topic_partition,
            Offset::Offset(state.next.get(&topic_partition).copied().unwrap_or(low).max(low)),
        )?;
        if high > low {
            ends.insert(topic_partition, high);
        }
    }
    consumer.assign(&list)?;
    Ok(ends)
}
