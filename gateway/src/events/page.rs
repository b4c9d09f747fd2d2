//! A page of events as JSON.
//!
//! Invariants: events become text one by one, as the text of one may take many times the bytes of its record; a page ends with the event
//! that brings it to [`PAGE_BYTES`] of text, and its cursor is behind that event.

use super::{Cursor, Published, read};
use crate::keys::Role;
use holdfast_storage::{Error, Journal};
use serde::Serialize;
use std::ops::ControlFlow;

/// Bytes of text after which a page ends, however few events it has. A thousand events of ordinary orders take half of it.
pub const PAGE_BYTES: usize = 1 << 20;

const HEAD: &str = "{\"events\":[";

pub struct Page {
    pub json: Vec<u8>,
    pub next: Cursor,
}

impl Page {
    /// Up to `limit` events after a cursor, of those that are for a reader of this role. There are none only where there is none behind the
    /// cursor. Blocks on the store.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn read(journal: &dyn Journal, role: Role, after: &Cursor, limit: usize) -> Result<Self, Error> {
        let (mut json, mut next) = (HEAD.as_bytes().to_vec(), after.clone());
        loop {
            let reached = read(journal, &next, limit, &mut |event| {
                add(&mut json, &event, role);
                if json.len() < PAGE_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            let over = reached.last || reached.next.is_none() || json.len() > HEAD.len();
            next = reached.next.unwrap_or(next);
            if over {
                break;
            }
        }
        json.extend_from_slice(b"],\"next\":");
        write(&mut json, &next.to_string());
        json.push(b'}');
        Ok(Self { json, next })
    }
}

fn add(json: &mut Vec<u8>, event: &Published<'_>, role: Role) {
    let Some(event) = event.shown_to(role) else { return };
    if json.len() > HEAD.len() {
        json.push(b',');
    }
    write(json, &event);
}

fn write(json: &mut Vec<u8>, value: &impl Serialize) {
    // Text and numbers of ours, written into memory: there is no way for this to fail.
    let _ = serde_json::to_writer(json, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::Causality;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Allocation, Event, Record, StockFact};
    use holdfast_engine::ids::{HoldKey, Location, OrderId, PartitionId, Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;
    use holdfast_storage::memory::MemoryJournal;
    use holdfast_storage::{Log, LogId};
    use serde_json::Value;

    fn hold(seq: u64, allocations: u32) -> Record {
        let hold = HoldKey { order: OrderId::parse("00000000000000000000000000").unwrap(), generation: 0 };
        let location = Location::new("A").unwrap();
        let allocations =
            (0..allocations).map(|n| Allocation { location: location.clone(), quantity: Quantity::new(n) }).collect();
        let fact = StockFact::HoldPlaced { hold, order_version: 1, allocations, probe_at: Timestamp::new(1), version: seq };
        Record { seq, at: Timestamp::new(1), event: Event::Stock { sku: Sku::new("SKU").unwrap(), fact } }
    }

    /// Two logs of holds with so many allocations each.
    fn journal(holds: u64, allocations: u32) -> MemoryJournal {
        let journal = MemoryJournal::with(Causality::PerPartition, Partitions::new(4).unwrap());
        for (log, seq) in [0, 2].into_iter().flat_map(|log| (1..=holds).map(move |seq| (log, seq))) {
            let mut batch = Batch::default();
            batch.push(PartitionId(log), &hold(seq, allocations));
            journal.append(LogId(log), &batch).unwrap();
        }
        journal
    }

    /// The events of each page, by partition and sequence, and the bytes of the page.
    fn pages(journal: &MemoryJournal) -> Vec<(Vec<(u64, u64)>, usize)> {
        let (mut after, mut pages) = (Cursor::default(), Vec::new());
        loop {
            let page = Page::read(journal, Role::Admin, &after, 1000).unwrap();
            let json: Value = serde_json::from_slice(&page.json).unwrap();
            let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
            let events = json["events"].as_array().unwrap().iter();
            let events: Vec<_> = events.map(|event| (number(event, "partition"), number(event, "sequence"))).collect();
            assert_eq!(json["next"], page.next.to_string());
            after = json["next"].as_str().unwrap().parse().unwrap();
            if events.is_empty() {
                return pages;
            }
            pages.push((events, page.json.len()));
        }
    }

    #[track_caller]
    fn every_event_once(pages: &[(Vec<(u64, u64)>, usize)], holds: u64) {
        let mut seen: Vec<(u64, u64)> = pages.iter().flat_map(|(events, _)| events.clone()).collect();
        seen.sort_unstable();
        let all: Vec<(u64, u64)> = [0, 2].into_iter().flat_map(|log| (1..=holds).map(move |seq| (log, seq))).collect();
        assert_eq!(seen, all);
    }

    /// Defect: a page ended by the bytes of its records, of which each may be ten times as much text, and maps of many times that.
    #[test]
    fn a_page_ends_by_its_text_with_the_event_that_fills_it_and_the_next_one_goes_on_there() {
        let pages = pages(&journal(100, 1_000));
        let event = pages[0].1 / pages[0].0.len();
        let (last, full) = pages.split_last().unwrap();
        assert!(full.len() >= 5 && last.1 <= PAGE_BYTES + event, "{} full pages", full.len());
        for (_, bytes) in full {
            assert!((PAGE_BYTES..PAGE_BYTES + 2 * event).contains(bytes), "{bytes} bytes, an event has {event}");
        }
        every_event_once(&pages, 100);
    }

    #[test]
    fn an_event_that_is_larger_than_a_page_is_a_page() {
        let pages = pages(&journal(3, 50_000));
        assert!(pages.iter().all(|(events, bytes)| events.len() == 1 && *bytes > PAGE_BYTES));
        every_event_once(&pages, 3);
    }
}
