//! Key → partition → shard → inbox, by a table that is swapped whole when a partition begins another life, or another shard is to host it.
//!
//! Invariant: no stored data knows a shard; the table alone says which shard hosts which partition.

use crate::counts::Counts;
use crate::inbox::Inbox;
use arc_swap::ArcSwap;
use holdfast_engine::ids::{PartitionId, Partitions};
use std::sync::Arc;

/// Which shard hosts which partition, and how to reach it.
#[derive(Clone, Debug)]
pub struct PartitionTable {
    pub shard_of: Vec<usize>,
    /// How often each partition was rebuilt.
    pub lives: Vec<u64>,
    pub inboxes: Vec<Arc<Inbox>>,
}

#[derive(Clone, Debug)]
pub struct Router {
    pub partitions: Partitions,
    pub counts: Arc<Counts>,
    table: Arc<ArcSwap<PartitionTable>>,
}

impl Router {
    /// Partitions dealt out to the shards in turn.
    pub fn new(partitions: Partitions, inboxes: Vec<Arc<Inbox>>) -> Self {
        let shard_of = partitions.all().map(|id| usize::from(id.0) % inboxes.len().max(1)).collect();
        let lives = partitions.all().map(|_| 0).collect();
        let counts = Arc::default();
        Self { partitions, counts, table: Arc::new(ArcSwap::from_pointee(PartitionTable { shard_of, lives, inboxes })) }
    }

    pub fn table(&self) -> Arc<PartitionTable> {
        self.table.load_full()
    }

    /// The way to a partition, and which of its lives a request that is sent now is for, at least.
    pub fn route(&self, partition: PartitionId) -> (Arc<Inbox>, u64) {
        let (table, index) = (self.table.load(), usize::from(partition.0));
        (table.inboxes[table.shard_of[index]].clone(), table.lives[index])
    }

    pub fn inbox(&self, partition: PartitionId) -> Arc<Inbox> {
        self.route(partition).0
    }

    /// The shard that hosts a partition, or is to.
    pub fn shard_of(&self, partition: PartitionId) -> usize {
        self.table.load().shard_of[usize::from(partition.0)]
    }

    pub fn hosted_by(&self, shard: usize) -> Vec<PartitionId> {
        let table = self.table.load();
        self.partitions.all().filter(|id| table.shard_of[usize::from(id.0)] == shard).collect()
    }

    /// From now on what is for `partition` is sent to `shard`.
    pub(crate) fn host_at(&self, partition: PartitionId, shard: usize) {
        self.change(|table| table.shard_of[usize::from(partition.0)] = shard);
    }

    /// A shard more, behind those there are.
    pub(crate) fn add(&self, inbox: Arc<Inbox>) {
        self.change(|table| table.inboxes.push(inbox.clone()));
    }

    /// Leaves the first `shards`. The inboxes of the others are returned: senders that found them before may have them still.
    ///
    /// # Panics
    /// If a partition is at one of the others.
    pub(crate) fn retain(&self, shards: usize) -> Vec<Arc<Inbox>> {
        let table = self.table();
        assert!(table.shard_of.iter().all(|shard| *shard < shards), "a shard that ends hosts a partition");
        self.change(|table| table.inboxes.truncate(shards));
        table.inboxes.get(shards..).unwrap_or_default().to_vec()
    }

    fn change(&self, change: impl Fn(&mut PartitionTable)) {
        self.table.rcu(|table| {
            let mut table = PartitionTable::clone(table);
            change(&mut table);
            table
        });
    }

    /// These lives are over.
    pub fn lives_end(&self, over: &[(PartitionId, u64)]) {
        self.change(|table| over.iter().for_each(|(partition, life)| table.lives[usize::from(partition.0)] = life + 1));
    }
}
