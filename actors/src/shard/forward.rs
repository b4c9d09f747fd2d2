//! What is addressed to a partition that is not here goes on by the table, with its credit, or waits here if the partition is to come.
//!
//! Invariant: a request is never dropped: it is forwarded, kept, or told that it was not executed.

use super::Shard;
use crate::inbox::{Inbox, ShardMessage};
use crate::unanswered::Unanswered;
use holdfast_engine::ids::{PartitionId, Ticket};
use holdfast_engine::partition::Input;
use holdfast_engine::protocol::Message;

impl Shard {
    pub(super) fn forward_input(&mut self, id: PartitionId, input: Input) {
        let message = match input {
            Input::Command { ticket, command, .. } => ShardMessage::request(ticket, command),
            Input::Message(body) => ShardMessage::Peer(vec![Message { to: id, body }]),
            Input::Provider(result) => ShardMessage::Provider(result),
            Input::Archived { orders, keys } => ShardMessage::Archived { partition: id, orders, keys },
            // Whoever hosts it looks at its time and the policy itself, and hears of its records.
            Input::Tick | Input::Durable(_) | Input::Policy(_) => return,
        };
        self.forward(id, message);
    }

    /// One look at the table decides: it may change meanwhile.
    pub(super) fn forward(&mut self, id: PartitionId, message: ShardMessage) {
        let table = self.links.router.table();
        match table.shard_of.get(usize::from(id.0)) {
            Some(shard) if *shard != self.inbox.shard => self.push_on(&table.inboxes[*shard], message),
            Some(_) if !self.inbox.closed() => self.keep(id, message),
            Some(_) => self.give_up(&message),
            None => {
                nowhere(id);
                self.give_up(&message);
            }
        }
    }

    fn push_on(&self, inbox: &Inbox, message: ShardMessage) {
        let (ticket, credits) = (message.ticket(), usize::from(message.has_credit()));
        inbox.credits.take_over(credits);
        if !inbox.push(message) {
            inbox.credits.give_back(credits);
            self.refuse_not_taken(ticket);
        }
        self.inbox.credits.give_back(credits);
    }

    /// There is no other shard that takes it.
    fn give_up(&self, message: &ShardMessage) {
        self.refuse_not_taken(message.ticket());
        self.inbox.credits.give_back(usize::from(message.has_credit()));
    }

    fn refuse_not_taken(&self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.links.reply_queues.refuse(ticket, Unanswered::Unavailable);
        }
    }
}

pub(super) fn nowhere(id: PartitionId) {
    metrics::counter!("holdfast_alarms_total").increment(1);
    tracing::error!(partition = id.0, "there is no such partition: what was sent to it is dropped");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::{partitions, start_on};
    use crate::{Engine, Options};
    use holdfast_engine::Causality;
    use holdfast_engine::command::Command;
    use holdfast_engine::ids::Sku;
    use holdfast_engine::rejection::Rejection;
    use holdfast_storage::memory::MemoryJournal;
    use std::sync::Arc;

    fn start() -> Engine {
        let journal = Arc::new(MemoryJournal::with(Causality::OneLog, partitions()));
        start_on(&journal, Options { shards: 3, ..Options::default() })
    }

    /// A question to a partition, put into the inbox of any shard.
    async fn ask(engine: &Engine, shard: usize, partition: PartitionId) -> Result<Rejection, Unanswered> {
        let mut names = (0..).map(|number: u32| Sku::new(&format!("S{number}")).unwrap());
        let sku = names.find(|sku| partitions().of_sku(sku) == partition).unwrap();
        let pending = engine.handle.reply_queues.register(partition, 0, None);
        let inbox = engine.handle.router.table().inboxes[shard].clone();
        assert!(inbox.credits.take());
        assert!(inbox.push(ShardMessage::request(pending.ticket(), Command::GetStock { sku })));
        pending.await.map(|reply| reply.outcome.unwrap_err())
    }

    #[actix::test]
    async fn a_request_to_whichever_shard_is_answered_once_and_gives_its_credit_back() {
        let engine = start();
        for shard in 0..3 {
            for partition in partitions().all() {
                assert_eq!(ask(&engine, shard, partition).await, Ok(Rejection::NotFound), "{partition:?} at {shard}");
            }
        }
        // A shard gives back what it sent on after the other one has it: only a shard that has stopped has given back all.
        let handle = engine.handle.clone();
        engine.stop().await;
        assert_eq!(handle.depths(), [0, 0, 0]);
    }

    #[actix::test]
    async fn a_request_to_a_partition_that_nobody_hosts_is_told_that_it_was_not_executed() {
        let engine = start();
        engine.handle.router.table().inboxes[1].close();
        for partition in partitions().all().filter(|partition| partition.0 % 3 == 1) {
            for shard in [0, 2] {
                assert_eq!(ask(&engine, shard, partition).await, Err(Unanswered::Unavailable), "{partition:?} at {shard}");
            }
        }
        let handle = engine.handle.clone();
        engine.stop().await;
        assert_eq!(handle.depths(), [0, 0, 0]);
    }
}
