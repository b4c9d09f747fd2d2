//! `holdfast inspect`: what is in the data, and what is measured.

mod text;

use super::{Outcome, output};
use crate::cli::Inspect;
use crate::events::{TimelineItem, timeline_item};
use crate::http::view::stock_body;
use crate::telemetry::reference;
use crate::wire::ids::{Id, ORDER, RESERVATION};
use holdfast_engine::codec;
use holdfast_engine::event::{Kind, OrderRecord};
use holdfast_engine::ids::{OrderId, Sku};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Policy;
use holdfast_storage::recovery::recover;
use holdfast_storage::{Journal, rows};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::process::ExitCode;

pub(super) fn run(what: Inspect, as_json: bool) -> Outcome {
    let (shown, as_text): (Value, fn(&Value) -> String) = match what {
        Inspect::Journal(data) => (journal(&*super::observe(&data)?)?, text::journal),
        Inspect::Partitions(data) => (partitions(&*super::observe(&data)?)?, text::partitions),
        Inspect::Order { id, data } => (order(&*super::observe(&data)?, &id)?, text::order),
        Inspect::Sku { sku, data } => (stock(&*super::observe(&data)?, &sku)?, text::sku),
        Inspect::Metrics { markdown: true } => {
            output::print(reference::markdown().trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        Inspect::Metrics { markdown: false } => (reference::json(), text::metrics),
    };
    output::print(if as_json { shown.to_string() } else { as_text(&shown) })?;
    Ok(ExitCode::SUCCESS)
}

type Shown = Result<Value, Box<dyn std::error::Error>>;

fn journal(journal: &dyn Journal) -> Shown {
    let (mut commits, mut events, mut bytes) = (0_u64, 0_u64, 0_u64);
    for log in journal.logs() {
        journal.read(log, journal.first(log)? - 1, &mut |_, frame| {
            commits += 1;
            bytes += frame.len() as u64;
            events += codec::read_frame(frame)?.count() as u64;
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(json!({"commits": commits, "events": events, "bytes": bytes, "partitions": journal.partitions().count()}))
}

pub(super) fn folded(journal: &dyn Journal) -> Result<Vec<Partition>, holdfast_storage::Error> {
    let ids: Vec<_> = journal.partitions().all().collect();
    recover(journal, &ids, &Policy::default(), &mut |_, _| {})
}

fn partitions(journal: &dyn Journal) -> Shown {
    let rows: Result<Vec<Value>, holdfast_storage::Error> = folded(journal)?
        .iter()
        .map(|partition| {
            let snapshots: Vec<u64> = journal.snapshots(partition.id)?.iter().map(|snapshot| snapshot.seq).collect();
            let (orders, skus) = partition.counts();
            Ok(json!({"partition": partition.id.0, "sequence": partition.seq(), "orders_in_memory": orders, "skus": skus,
                "holds": partition.live_holds(), "snapshots": snapshots}))
        })
        .collect();
    Ok(json!({"partitions": rows?}))
}

fn order(journal: &dyn Journal, text: &str) -> Shown {
    let bare = text.strip_prefix(ORDER).or_else(|| text.strip_prefix(RESERVATION)).unwrap_or(text);
    let id = OrderId::parse(bare).ok_or("an order id looks like ord_ and 26 characters")?;
    let live = folded(journal)?.iter().find_map(|partition| partition.order(id).map(|order| order.history().clone()));
    let archived = live.is_none();
    let history = live.map_or_else(|| rows::order(journal, id), |history| Ok(Some(history)))?;
    let history = history.ok_or_else(|| format!("there is no order {text}"))?;
    let records: Vec<OrderRecord> = history.records().collect();
    let facts: Vec<TimelineItem<'_>> = records.iter().map(|record| timeline_item(id, Kind::Order, record)).collect();
    Ok(json!({"id": text, "partition": id.partition().0, "archived": archived, "facts": facts}))
}

fn stock(journal: &dyn Journal, text: &str) -> Shown {
    let sku = Sku::new(text).ok_or_else(|| format!("a SKU {}", Sku::rule()))?;
    let home = journal.partitions().of_sku(&sku);
    let all = folded(journal)?;
    let here = all.iter().find(|partition| partition.id == home);
    let stock = here.and_then(|partition| partition.sku(&sku)).ok_or_else(|| format!("there is no SKU {text}"))?;
    let view = serde_json::to_value(stock_body(&stock.view(&sku)))?;
    let theirs = here.into_iter().flat_map(Partition::holds).filter(|(of, _, _)| **of == sku);
    let mut holds: Vec<Value> = theirs
        .map(|(_, key, hold)| {
            let units: u64 = hold.allocations.iter().map(|one| u64::from(one.quantity.units())).sum();
            json!({"order_id": Id::order(key.order), "generation": key.generation, "state": format!("{:?}", hold.state), "units": units})
        })
        .collect();
    holds.sort_by_key(|hold| hold.to_string());
    Ok(json!({"partition": home.0, "stock": view, "holds": holds}))
}
