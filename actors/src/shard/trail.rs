//! Traced orders on their way through a shard: see [`holdfast_storage::traced`].
//!
//! Invariant: while no order is traced this is empty, and costs one load a message.

use holdfast_engine::ids::{OrderId, PartitionId};
use holdfast_storage::LogId;
use holdfast_storage::traced::{Moment, TRACED};

#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Read since the last batch was handed over.
    read: Vec<OrderId>,
    flying: Vec<(LogId, u64, OrderId)>,
}

impl Trail {
    pub(super) fn read(&mut self, order: OrderId) {
        if TRACED.mark(order, Moment::Read) {
            self.read.push(order);
        }
    }

    /// What was read before is on its way as this batch, as far as it belongs to its log.
    pub(super) fn fly(&mut self, log: LogId, batch: u64, log_of: impl Fn(PartitionId) -> LogId) {
        for order in self.read.extract_if(.., |order| log_of(order.partition()) == log) {
            TRACED.mark(order, Moment::Submitted);
            self.flying.push((log, batch, order));
        }
    }

    /// What was read before wrote nothing.
    pub(super) fn wrote_nothing(&mut self) {
        self.read.clear();
    }

    /// A log is durable up to this batch.
    pub(super) fn landed(&mut self, log: LogId, batch: u64) {
        for (.., order) in self.flying.extract_if(.., |(of, number, _)| *of == log && *number <= batch) {
            TRACED.mark(order, Moment::Durable);
        }
    }
}
