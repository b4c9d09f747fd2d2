//! Placing an order whose SKUs are asked in the same turn: for whoever hosts them all, where a message would reach them before anything else.
//!
//! The order begins, each SKU replies, the order concludes. Invariant: records, their sequence and the reply are those of the way by
//! messages. An order whose SKUs did not all reply goes on that way: its saga asks them, and a SKU that holds units says so again.

use super::Partition;
use super::saga::Wait;
use super::turn::{Request, Turn};
use crate::command::Loaded;
use crate::effect::Effects;
use crate::event::Placed;
use crate::ids::{OrderId, PartitionId, Sku, Ticket};
use crate::order::StockReply;
use crate::stock::ReserveRequest;
use crate::time::Timestamp;

/// What an order that has begun asks of one SKU.
#[derive(Debug)]
pub struct Asked {
    /// Where the SKU is.
    pub to: PartitionId,
    pub sku: Sku,
    pub request: ReserveRequest,
    pub reply: Option<StockReply>,
}

impl Partition {
    /// Begins an order that is new. Empty: it was known, and is replied to. Whatever else it gives is to be concluded.
    pub fn begin_order(
        &mut self,
        now: Timestamp,
        (ticket, loaded): (Ticket, Loaded),
        (order, placed): (OrderId, Box<Placed>),
        fx: &mut Effects,
    ) -> Vec<Asked> {
        let turn = &mut Turn { now: now.max(self.at), fx };
        if !self.admit(turn, Request { ticket, loaded }, order, placed) {
            return Vec::new();
        }
        let Some(actor) = self.orders.get(&order) else { return Vec::new() };
        let partitions = self.partitions;
        let asked = |(sku, request)| Asked { to: partitions.of_sku(&sku), sku, request, reply: None };
        actor.first_requests(&self.policy).map(asked).collect()
    }

    /// The reply of a SKU to an order that has begun.
    pub fn reserve_at_once(&mut self, now: Timestamp, sku: &Sku, request: &ReserveRequest, fx: &mut Effects) -> StockReply {
        let turn = &mut Turn { now: now.max(self.at), fx };
        self.decide_reserve(turn, sku, request)
    }

    /// Decides an order that has begun.
    pub fn conclude_order(&mut self, now: Timestamp, ticket: Ticket, id: OrderId, asked: Vec<Asked>, fx: &mut Effects) {
        let turn = &mut Turn { now: now.max(self.at), fx };
        let replies: Option<Vec<_>> = asked.into_iter().map(|Asked { sku, reply, .. }| Some((sku, reply?))).collect();
        if let (Some(replies), Some(actor)) = (replies, self.orders.get(&id)) {
            for fact in actor.order.decide_replies(replies) {
                self.emit_order(turn, id, &fact);
            }
        }
        match self.orders.get(&id).and_then(|actor| actor.answer_at_once()) {
            Some(answer) => self.reply(turn, ticket, Ok(answer), false),
            None => self.wait(id, ticket, Wait::Placed),
        }
        self.advance(turn, id);
    }
}
