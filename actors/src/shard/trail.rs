//! Traced requests on their way through a shard: see [`holdfast_storage::traced`].
//!
//! Invariant: while no request is traced this is empty, and costs one load a message.

use holdfast_engine::command::Command;
use holdfast_engine::ids::{OrderId, PartitionId, Partitions};
use holdfast_storage::LogId;
use holdfast_storage::traced::{Moment, Subject, TRACED};

#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Read since the last batch was handed over, with the partition that decides.
    read: Vec<(PartitionId, Subject)>,
    flying: Vec<(LogId, u64, Subject)>,
}

impl Trail {
    /// An order that is to be placed.
    pub(super) fn read(&mut self, order: OrderId) {
        if !TRACED.is_empty() {
            self.note(order.partition(), Subject::Order(order));
        }
    }

    /// Any other request.
    pub(super) fn read_command(&mut self, command: &Command, partitions: Partitions) {
        if !TRACED.is_empty()
            && let Some(subject) = Subject::of(command)
        {
            self.note(command.partition(partitions), subject);
        }
    }

    fn note(&mut self, partition: PartitionId, subject: Subject) {
        if TRACED.mark(&subject, Moment::Read) {
            self.read.push((partition, subject));
        }
    }

    /// What was read before is on its way as this batch, as far as it belongs to its log.
    pub(super) fn fly(&mut self, log: LogId, batch: u64, log_of: impl Fn(PartitionId) -> LogId) {
        for (_, subject) in self.read.extract_if(.., |(partition, _)| log_of(*partition) == log) {
            TRACED.mark(&subject, Moment::Submitted);
            self.flying.push((log, batch, subject));
        }
    }

    /// What was read before wrote nothing.
    pub(super) fn wrote_nothing(&mut self) {
        self.read.clear();
    }

    /// A log is durable up to this batch.
    pub(super) fn landed(&mut self, log: LogId, batch: u64) {
        for (.., subject) in self.flying.extract_if(.., |(of, number, _)| *of == log && *number <= batch) {
            TRACED.mark(&subject, Moment::Durable);
        }
    }
}
