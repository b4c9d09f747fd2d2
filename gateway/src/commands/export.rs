//! `holdfast export`: every event as a line of JSON, or the stock as rows of an import.

use super::Outcome;
use super::output::Output;
use crate::cli::ExportArgs;
use crate::events::{Cursor, read};
use holdfast_engine::ids::Sku;
use holdfast_engine::stock::SkuStock;
use holdfast_storage::Journal;
use serde_json::json;
use std::ops::ControlFlow;
use std::process::ExitCode;

/// Events read at once.
const PAGE: usize = 4096;

pub(super) fn run(args: &ExportArgs) -> Outcome {
    let journal = super::observe(&args.data)?;
    let mut out = Output::open();
    if args.stock {
        stock(&*journal, &mut out)?
    } else {
        events(&*journal, &mut out)?
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn events(journal: &dyn Journal, out: &mut Output) -> Result<(), Box<dyn std::error::Error>> {
    let mut after = Cursor::default();
    loop {
        let mut written = Ok(());
        let reached = read(journal, &after, PAGE, &mut |event| {
            written = out.line(json!(event.cloud_event()));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written?;
        let Some(next) = reached.next else { return Ok(()) };
        after = next;
    }
}

/// In the order of SKUs, each location of one behind the other.
fn stock(journal: &dyn Journal, out: &mut Output) -> Result<(), Box<dyn std::error::Error>> {
    let partitions = super::inspect::folded(journal)?;
    let all = partitions.iter().flat_map(|partition| partition.skus());
    let mut known: Vec<(&Sku, &SkuStock)> = all.filter(|(_, stock)| stock.known()).collect();
    known.sort_unstable_by_key(|(sku, _)| *sku);
    for (sku, stock) in known {
        for place in &stock.locations {
            let buckets = &place.buckets;
            out.line(json!({"sku": sku.as_str(), "location": place.name.as_str(), "on_hand": buckets.on_hand.units(),
                "safety_stock": buckets.safety_target.units()}))?;
        }
    }
    Ok(())
}
