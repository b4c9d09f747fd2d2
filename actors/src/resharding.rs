//! What the rest of the process asks of the placement: more shards or fewer, and one partition elsewhere.
//!
//! Invariant: what is asked for is refused, or an operation whose end can be read.

use crate::inbox::ShardReport;
use crate::placement::handover::Move;
use crate::placement::layout::{self, Located, Pins};
use crate::placement::operations::{Goal, Operation, Operations, Refused};
use crate::router::Router;
use crate::shard::to_guardian::{GuardianMessage, Task, ToGuardian};
use holdfast_engine::ids::PartitionId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const NOT_BEGUN: &str = "it did not begin: what it is for was given up";

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Resharding {
    pub(crate) operations: Operations,
    router: Router,
    guardian: ToGuardian,
    /// Partitions that somebody put where they are. They are forgotten with the engine.
    pins: Arc<Mutex<Pins>>,
}

impl Resharding {
    pub(crate) fn new(router: Router, guardian: ToGuardian) -> Self {
        Self { operations: Operations::default(), router, guardian, pins: Arc::default() }
    }

    fn pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moves that bring the partitions to so many shards, with what each shard has had to do so far.
    pub(crate) fn plan(&self, shards: usize, reports: &[ShardReport]) -> Vec<Move> {
        let heat = reports.iter().flat_map(|report| report.partitions.iter().copied().zip(report.heat.iter().copied()));
        let heat: BTreeMap<u16, u64> = heat.collect();
        let located = |partition: PartitionId| {
            let heat = heat.get(&partition.0).copied().unwrap_or_default();
            Located { partition, shard: self.router.shard_of(partition), heat }
        };
        let located: Vec<Located> = self.router.partitions.all().map(located).collect();
        layout::level(&located, &self.pins(), shards)
    }

    pub(crate) fn check_shards(&self, shards: usize) -> Result<(), Refused> {
        let most = usize::from(self.router.partitions.count());
        if (1..=most).contains(&shards) { Ok(()) } else { Err(Refused::Shards(most)) }
    }

    fn check_move(&self, partition: PartitionId, shard: usize) -> Result<(), Refused> {
        let last = self.router.table().inboxes.len() - 1;
        if partition.0 >= self.router.partitions.count() {
            return Err(Refused::Partition);
        }
        if shard > last { Err(Refused::Shard(last)) } else { Ok(()) }
    }

    fn operate(&self, operation: Operation, shards: Option<usize>, moves: Vec<Move>) -> Result<Operation, Refused> {
        let task = Task { operation: operation.id, shards, moves };
        if self.guardian.send(GuardianMessage::Operate(task)).is_err() {
            self.operations.end(operation.id, Err(Refused::Stopping.to_string()));
            return Err(Refused::Stopping);
        }
        Ok(operation)
    }

    /// See [`crate::Handle::move_partition`].
    pub(crate) fn move_partition(&self, partition: PartitionId, shard: usize) -> Result<Operation, Refused> {
        self.check_move(partition, shard)?;
        let route = Move { partition, from: self.router.shard_of(partition), to: shard };
        let operation = self.operations.begin(Goal::Partition(route))?;
        // One that ended meanwhile may have left fewer shards. No other begins before this one ends.
        if let Err(refused) = self.check_move(partition, shard) {
            self.operations.end(operation.id, Err(refused.to_string()));
            return Err(refused);
        }
        self.pins().insert(partition, shard);
        self.operate(operation, None, vec![route])
    }
}

/// The turn of another number of shards: no other operation begins before this one has ended. Dropped, it ends without having begun.
pub struct Reserved {
    resharding: Resharding,
    shards: usize,
    /// Taken when it begins.
    operation: Option<Operation>,
}

impl Reserved {
    pub(crate) fn new(resharding: &Resharding, shards: usize) -> Result<Self, Refused> {
        resharding.check_shards(shards)?;
        let operation = resharding.operations.begin(Goal::Shards(shards))?;
        Ok(Self { resharding: resharding.clone(), shards, operation: Some(operation) })
    }

    /// See [`crate::Handle::begin_reshard`].
    pub(crate) fn begin(mut self, reports: &[ShardReport]) -> Result<Operation, Refused> {
        let operation = self.operation.take().ok_or(Refused::Stopping)?;
        let moves = self.resharding.plan(self.shards, reports);
        self.resharding.operate(operation, Some(self.shards), moves)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(Operation { id, .. }) = self.operation.take() {
            self.resharding.operations.end(id, Err(NOT_BEGUN.to_owned()));
        }
    }
}
