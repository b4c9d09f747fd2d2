//! `holdfast kafka`: compares the topic with the journal, or follows it.

mod compare;
mod tail;

use super::{Outcome, output};
use crate::backend;
use crate::cli::{KafkaCommand, KafkaVerifyArgs};
use crate::kafka::connection;
use crate::settings::{self, Backend, Settings};
use compare::{Comparison, Tally};
use holdfast_engine::codec;
use holdfast_storage::kafka::relay::reader::{Reader, Start};
use holdfast_storage::kafka::relay::{self, topic_name};
use holdfast_storage::{Error, Journal, LogId, history};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;

pub(super) fn run(what: KafkaCommand, as_json: bool) -> Outcome {
    match what {
        KafkaCommand::Verify(args) => verify_topic(&args, as_json),
        KafkaCommand::Tail(args) => tail::run(&args, as_json),
    }
}

fn load(config: Option<&Path>) -> Result<Settings, settings::Mistakes> {
    Ok(settings::load(config, settings::environment())?.settings)
}

fn verify_topic(args: &KafkaVerifyArgs, as_json: bool) -> Outcome {
    let mut settings = load(args.config.as_deref())?;
    if let Some(dir) = &args.data_dir {
        settings.data.dir.clone_from(dir);
        settings.journal.backend = Backend::Embedded;
    }
    let journal = backend::observe(&settings)?;
    let mut comparison = facts(&*journal)?;
    let mut reader =
        Reader::open(&connection::connection(&settings.kafka)?, &topic_name(&settings.kafka.topic_prefix), |_| Start::At(0))?;
    let own = history::name(&*journal)?;
    while let Some(carried) = reader.record()? {
        comparison.see(&carried, own.as_deref());
    }
    let positions = relay::positions(&*journal)?;
    let topic_partitions = reader.spans().len().max(1);
    let tally = comparison.finish(|partition| {
        let cut = reader.spans().get(usize::from(partition.0) % topic_partitions).is_some_and(|span| span.low > 0);
        cut.then(|| positions.get(&partition).copied().unwrap_or(0))
    });
    output::verdict(tally.clean(), shown(&tally, as_json))
}

/// What the topic must carry.
fn facts(journal: &dyn Journal) -> Result<Comparison, Error> {
    let mut comparison = Comparison::default();
    for log in journal.logs() {
        let first = journal.first(log)?;
        if first > 1 {
            purged(journal, log, &mut comparison)?;
        }
        journal.read(log, first - 1, &mut |commit, frame| {
            for entry in codec::read_frame(frame)? {
                let entry = entry?;
                let record = entry.decode().map_err(|error| Error::of_commit(commit, &error))?;
                let event = connection::encode(entry.partition, &record);
                comparison.expect(entry.partition, entry.seq, &event, entry.check());
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(comparison)
}

/// Of what is no longer in the log nothing can be said but that it was there.
fn purged(journal: &dyn Journal, log: LogId, comparison: &mut Comparison) -> Result<(), Error> {
    for partition in journal.partitions().all().filter(|partition| journal.log_of(*partition) == log) {
        let oldest = journal.snapshot_heads(partition)?.pop();
        comparison.forget(partition, oldest.map_or(0, |head| head.seq));
    }
    Ok(())
}

fn shown(tally: &Tally, as_json: bool) -> String {
    let Tally { events, records, missing, invented, out_of_order, duplicates, expired, purged, first } = tally;
    if as_json {
        let shown = json!({"ok": tally.clean(), "events": events, "records": records, "missing": missing, "invented": invented,
            "out_of_order": out_of_order, "duplicates": duplicates, "expired": expired, "purged": purged, "first": first});
        return shown.to_string();
    }
    let gone = [("expired", *expired), ("purged", *purged)].into_iter().filter(|(_, count)| *count > 0);
    let gone: String = gone.map(|(name, count)| format!(" {name}={count}")).collect();
    let first = first.as_ref().map_or_else(String::new, |first| format!("\nfirst: {first}"));
    format!(
        "events={events} records={records} missing={missing} invented={invented} out_of_order={out_of_order} duplicates={duplicates}{gone}{first}"
    )
}
