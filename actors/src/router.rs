//! Key → partition → shard → inbox, by a table that is swapped whole when a shard is rebuilt.
//!
//! Invariant: no stored data knows a shard; the table alone says which shard hosts which partition.

use crate::inbox::Inbox;
use arc_swap::ArcSwap;
use holdfast_engine::ids::{PartitionId, Partitions};
use std::sync::Arc;

/// Which shard hosts which partition, and how to reach it.
#[derive(Clone, Debug)]
pub struct PartitionTable {
    pub shard_of: Vec<usize>,
    pub inboxes: Vec<Arc<Inbox>>,
}

#[derive(Clone, Debug)]
pub struct Router {
    pub partitions: Partitions,
    table: Arc<ArcSwap<PartitionTable>>,
}

impl Router {
    /// Partitions dealt out to the shards in turn.
    pub fn new(partitions: Partitions, inboxes: Vec<Arc<Inbox>>) -> Self {
        let shard_of = partitions.all().map(|id| usize::from(id.0) % inboxes.len().max(1)).collect();
        Self { partitions, table: Arc::new(ArcSwap::from_pointee(PartitionTable { shard_of, inboxes })) }
    }

    pub fn table(&self) -> Arc<PartitionTable> {
        self.table.load_full()
    }

    pub fn inbox(&self, partition: PartitionId) -> Arc<Inbox> {
        let table = self.table.load();
        table.inboxes[table.shard_of[usize::from(partition.0)]].clone()
    }

    pub fn hosted_by(&self, shard: usize) -> Vec<PartitionId> {
        let table = self.table.load();
        self.partitions.all().filter(|id| table.shard_of[usize::from(id.0)] == shard).collect()
    }

    /// Puts the inbox of a rebuilt shard in the place of its former life.
    pub fn replace(&self, inbox: &Arc<Inbox>) {
        self.table.rcu(|table| {
            let mut table = PartitionTable::clone(table);
            table.inboxes[inbox.shard] = inbox.clone();
            table
        });
    }
}
