//! Where an order came from, as bytes: behind the body of a record or row, whose version then says so, and in a section of snapshots.
//!
//! Invariant: what has no origin is written as it was before there were any, byte for byte; an origin that says nothing is never written,
//! and is refused, as one that belongs to no order is.

use super::{Error, append, body_of, version, whole};
use crate::event::{ArchiveFact, Event, History, OrderFact, Origin, Placed, Record};
use crate::ids::{CorrelationId, KeyName};
use std::sync::Arc;

/// Encoded as an [`Origin`] is.
type Parts<'a> = (Option<&'a KeyName>, Option<&'a CorrelationId>);

/// A record behind its version.
pub(super) fn append_record(record: &Record, mut buffer: Vec<u8>) -> Vec<u8> {
    match of_event(&record.event) {
        None => {
            buffer.push(version::PLAIN_RECORD);
            append(record, buffer)
        }
        Some(parts) => {
            buffer.push(version::RECORD);
            append(&parts, append(record, buffer))
        }
    }
}

/// What follows a record: of the placing of an order all that is known, of its later facts what they show of it.
fn of_event(event: &Event) -> Option<Parts<'_>> {
    match event {
        Event::Order { fact, correlation, .. } => match placed(fact) {
            Some(placed) => placed.origin.as_deref().map(parts),
            None => correlation.as_ref().map(|correlation| (None, Some(correlation))),
        },
        Event::Archive(ArchiveFact::Restored { history, .. }) => of_history(history).map(parts),
        Event::Archive(ArchiveFact::Orders(_) | ArchiveFact::Keys(_)) => None,
        Event::Stock { .. } | Event::Key(_) | Event::Partition(_) => None,
    }
}

fn parts(origin: &Origin) -> Parts<'_> {
    (origin.client.as_ref(), origin.correlation.as_ref())
}

/// Where the order of a history came from.
pub(crate) fn of_history(history: &History) -> Option<&Origin> {
    history.placed().origin.as_deref()
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
        Event::Stock { .. } | Event::Key(_) | Event::Partition(_) => return Err(misplaced()),
    }
    Ok(record)
}

/// A history of the newest version.
pub(super) fn history_of(body: &[u8]) -> Result<History, Error> {
    let (mut history, rest): (History, _) = body_of(body)?;
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
pub(crate) fn put(history: &mut History, origin: Origin) -> Result<(), Error> {
    put_into(history.placing_mut().ok_or_else(misplaced)?, origin)
}

fn put_into(fact: &mut Arc<OrderFact>, Origin { client, correlation }: Origin) -> Result<(), Error> {
    let Some(OrderFact::Placed(placed)) = Arc::get_mut(fact) else { return Err(misplaced()) };
    placed.origin = Origin::of(client, correlation);
    if placed.origin.is_some() { Ok(()) } else { Err(misplaced()) }
}

fn misplaced() -> Error {
    Error::Malformed("an origin that says nothing, or of what is no order".to_owned())
}
