//! The orders of an image: the bytes of all their histories behind one another.
//!
//! Invariant: they are the partition's own bytes, copied and not encoded again.

use crate::bytes::append_number;
use crate::codec::{self, Error};
use crate::event::History;
use crate::ids::OrderId;
use crate::order::Order;

/// Bytes of the number of facts that a history is encoded with.
const MOST_COUNT: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Of each order where it came from, if that is known, then its history as it is encoded.
    bytes: Vec<u8>,
    all: Vec<Place>,
}

/// Orders as they were read.
pub(super) type Histories = Vec<(OrderId, History)>;

/// Where an order is in the bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: OrderId,
    begin: usize,
    history: usize,
    end: usize,
}

impl Orders {
    /// Cost: two visits of each, and a copy of its bytes.
    pub(super) fn of<'a>(orders: impl ExactSizeIterator<Item = &'a Order> + Clone) -> Self {
        let room = |order: &Order| order.history().origin_bytes().len() + order.history().fact_bytes().len() + MOST_COUNT;
        let bytes = Vec::with_capacity(orders.clone().map(room).sum());
        let mut copy = Self { bytes, all: Vec::with_capacity(orders.len()) };
        for order in orders {
            let (begin, history) = (copy.bytes.len(), order.history());
            copy.bytes.extend_from_slice(history.origin_bytes());
            let behind = copy.bytes.len();
            codec::append_history(history, &mut copy.bytes);
            copy.all.push(Place { id: order.id, begin, history: behind, end: copy.bytes.len() });
        }
        copy
    }

    pub(super) fn sort(&mut self) {
        self.all.sort_unstable_by_key(|place| place.id);
    }

    /// Appends the list of ids with their histories.
    pub(super) fn append_histories(&self, buffer: &mut Vec<u8>) {
        buffer.reserve(self.bytes.len() + self.all.len() * 16);
        append_number(self.all.len() as u64, buffer);
        for place in &self.all {
            buffer.extend_from_slice(&place.id.bytes());
            buffer.extend_from_slice(&self.bytes[place.history..place.end]);
        }
    }

    fn with_origin(&self) -> impl Iterator<Item = &Place> {
        self.all.iter().filter(|place| place.begin < place.history)
    }

    pub(super) fn have_origins(&self) -> bool {
        self.with_origin().next().is_some()
    }

    /// Appends the list of ids with where their orders came from, of those of which it is known.
    pub(super) fn append_origins(&self, buffer: &mut Vec<u8>) {
        append_number(self.with_origin().count() as u64, buffer);
        for place in self.with_origin() {
            buffer.extend_from_slice(&place.id.bytes());
            buffer.extend_from_slice(&self.bytes[place.begin..place.history]);
        }
    }
}

/// The list of ids with their histories that begins here, and what follows it. Cost: a check and a copy of their bytes.
///
/// # Errors
/// If a history is not whole.
pub(super) fn read(body: &[u8]) -> Result<(Histories, &[u8]), Error> {
    let (count, mut rest): (usize, _) = codec::body_of(body)?;
    // No order takes less than its id.
    let mut orders = Vec::with_capacity(count.min(rest.len() / 16));
    for _ in 0..count {
        let (id, behind) = rest.split_first_chunk().ok_or(Error::Short)?;
        let (history, behind) = codec::history_of(behind)?;
        orders.push((OrderId::from_bytes(*id), history));
        rest = behind;
    }
    Ok((orders, rest))
}
