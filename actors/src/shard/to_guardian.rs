//! What the guardian is told, by shards and by whoever wants partitions elsewhere.
//!
//! Invariant: what one shard says is heard in the order it was said.

use super::hosting::Fallen;
use crate::placement::handover::Move;
use crossbeam::channel::Sender;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use std::time::Duration;

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few of them, and none waits long")]
pub enum GuardianMessage {
    /// A partition panicked.
    Fallen(Fallen),
    /// Partitions that panicked are folded from the journal.
    Folded(Folded),
    /// A shard has parted with a partition.
    Departed(PartitionId),
    /// A shard has a partition that came to it.
    Arrived(PartitionId),
    /// Carry out an operation that has begun.
    Operate(Task),
    /// The engine is about to stop: nothing begins any more.
    Stop,
    /// Nobody tells it anything any more.
    End,
}

/// What became of a fold.
#[derive(Debug)]
pub struct Folded {
    pub ids: Vec<PartitionId>,
    pub took: Duration,
    /// Or why they cannot be folded.
    pub partitions: Result<Vec<Partition>, String>,
}

/// The moves of an operation.
#[derive(Debug)]
pub struct Task {
    pub operation: u64,
    /// So many shards there are to be. None: as many as there are.
    pub shards: Option<usize>,
    pub moves: Vec<Move>,
}

pub type ToGuardian = Sender<GuardianMessage>;
