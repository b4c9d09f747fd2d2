//! Where an order came from, as bytes: behind the body of a record or row, whose version then says so, and in a section of snapshots.
//!
//! Invariant: what has no origin is written as it was before there were any, byte for byte; an origin that says nothing is never written,
//! and is refused, as one that belongs to no order is.

use super::{Error, body_of, version, whole};
use crate::bytes::append;
use crate::event::{ArchiveFact, Event, History, OrderFact, Origin, Placed, Record};
use crate::ids::CorrelationId;
use std::sync::Arc;

/// A record behind its version.
pub(super) fn append_record(record: &Record, mut buffer: Vec<u8>) -> Vec<u8> {
    let origin = of_event(&record.event);
    buffer.push(if origin.is_empty() { version::PLAIN_RECORD } else { version::RECORD });
    let mut buffer = append(record, buffer);
    buffer.extend_from_slice(&origin);
    buffer
}

/// What follows a record, encoded: of the placing of an order all that is known, of its later facts what they show of it.
fn of_event(event: &Event) -> Vec<u8> {
    match event {
        Event::Order { fact, correlation, .. } => match (placed(fact), correlation) {
            (Some(placed), _) => placed.origin_bytes(),
            (None, correlation) => of_later_fact(correlation.as_ref().map(CorrelationId::as_str)),
        },
        Event::Archive(ArchiveFact::Restored { history, .. }) => history.origin_bytes().to_vec(),
        Event::Archive(ArchiveFact::Orders(_) | ArchiveFact::Keys(_)) => Vec::new(),
        Event::Stock { .. } | Event::Key(_) | Event::Partition(_) | Event::Operator(_) => Vec::new(),
    }
}

/// What follows the later facts of an order with this correlation, encoded; empty if it has none.
pub(crate) fn of_later_fact(correlation: Option<&str>) -> Vec<u8> {
    let Some(correlation) = correlation else { return Vec::new() };
    append(&(None::<&str>, Some(correlation)), Vec::new())
}

fn placed(fact: &OrderFact) -> Option<&Placed> {
    if let OrderFact::Placed(placed) = fact { Some(placed) } else { None }
}

/// A record of the newest version.
pub(super) fn record_of(body: &[u8]) -> Result<Record, Error> {
    let (mut record, rest): (Record, _) = body_of(body)?;
    let origin: Origin = whole(body_of(rest)?)?;
    match &mut record.event {
        Event::Order { fact, correlation, .. } if placed(fact).is_none() => *correlation = Some(correlation_of(origin)?),
        Event::Order { fact, .. } => put_into(fact, origin)?,
        Event::Archive(ArchiveFact::Restored { history, .. }) => put(history, origin)?,
        Event::Archive(ArchiveFact::Orders(_) | ArchiveFact::Keys(_)) => return Err(misplaced()),
        Event::Stock { .. } | Event::Key(_) | Event::Partition(_) | Event::Operator(_) => return Err(misplaced()),
    }
    Ok(record)
}

/// A history of the newest version.
pub(super) fn history_of(body: &[u8]) -> Result<History, Error> {
    let (mut history, rest) = super::history_of(body)?;
    put(&mut history, whole(body_of(rest)?)?)?;
    Ok(history)
}

/// All that a later fact has of an origin.
fn correlation_of(origin: Origin) -> Result<CorrelationId, Error> {
    let Origin { client: None, correlation: Some(correlation) } = origin else { return Err(misplaced()) };
    Ok(correlation)
}

/// Puts an origin into a history that was just read.
///
/// # Errors
/// If the origin says nothing.
pub(crate) fn put(history: &mut History, Origin { client, correlation }: Origin) -> Result<(), Error> {
    let origin = Origin::of(client, correlation).ok_or_else(misplaced)?;
    history.set_origin(&origin);
    Ok(())
}

fn put_into(fact: &mut Arc<OrderFact>, Origin { client, correlation }: Origin) -> Result<(), Error> {
    let Some(OrderFact::Placed(placed)) = Arc::get_mut(fact) else { return Err(misplaced()) };
    placed.origin = Origin::of(client, correlation);
    if placed.origin.is_some() { Ok(()) } else { Err(misplaced()) }
}

fn misplaced() -> Error {
    Error::Malformed("an origin that says nothing, or of what is no order".to_owned())
}
