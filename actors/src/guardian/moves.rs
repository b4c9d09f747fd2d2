//! Carries out what [`crate::placement::handover`] says: changes the table, tells the shards, starts shards and ends them.
//!
//! Invariants: the table names the new host before the old one is told to part with a partition; a shard ends when no partition is there and
//! nobody can send it anything any more.

use crate::inbox::{Inbox, ShardMessage};
use crate::placement::handover::{Action, Event, Handovers, Move, Outcome};
use crate::placement::operations::Operations;
use crate::rebuild::Rebuild;
use crate::shard::to_guardian::Task;
use crate::shard_threads::ShardThreads;
use holdfast_engine::ids::PartitionId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Who has an inbox when nobody sends to it any more: its shard, the notices of commits to that shard, and the guardian.
const OWN_HOLDERS: usize = 3;

const STOPPING: &str = "the engine stopped";

pub(super) struct Mover {
    rebuild: Arc<Rebuild>,
    threads: Arc<ShardThreads>,
    operations: Operations,
    handovers: Handovers,
    /// When the moves under way began.
    begun: BTreeMap<PartitionId, Instant>,
    running: Option<Running>,
    /// Of shards that are to end. The table has them no more.
    retiring: Vec<Arc<Inbox>>,
    stopping: bool,
}

/// The operation that is carried out.
struct Running {
    operation: u64,
    shards: Option<usize>,
}

impl Mover {
    pub(super) fn new(rebuild: Arc<Rebuild>, threads: Arc<ShardThreads>, operations: Operations) -> Self {
        let (handovers, begun) = (Handovers::default(), BTreeMap::new());
        Self { rebuild, threads, operations, handovers, begun, running: None, retiring: Vec::new(), stopping: false }
    }

    /// Takes up an operation. Shards that there are to be are there before the first move to them.
    pub(super) fn operate(&mut self, task: Task) {
        let Task { operation, shards, moves } = task;
        self.running = Some(Running { operation, shards });
        if self.stopping {
            return self.end(Err(STOPPING.to_owned()));
        }
        self.operations.takes(operation, moves.len());
        let there = self.rebuild.router().table().inboxes.len();
        for shard in there..shards.unwrap_or(there) {
            if let Err(error) = self.threads.add(&self.rebuild, shard) {
                return self.end(Err(format!("shard {shard} did not start: {error}")));
            }
        }
        moves.iter().for_each(|one| self.handovers.request(one.partition, one.to));
    }

    /// What may begin begins. When nothing is left, the shards that are too many end, and then the operation does.
    pub(super) fn advance(&mut self) {
        let router = self.rebuild.router().clone();
        while let Some(route) = self.handovers.begin(|id| router.shard_of(id)) {
            self.begun.insert(route.partition, Instant::now());
            router.host_at(route.partition, route.to);
            self.tell(route.from, ShardMessage::Depart(route.partition));
        }
        if self.running.is_some() && self.handovers.idle() {
            self.shrink();
        }
        if self.running.is_some() && self.handovers.idle() && self.retiring.is_empty() {
            self.end(Ok(()));
        }
    }

    fn shrink(&mut self) {
        if let Some(shards) = self.running.as_mut().and_then(|running| running.shards.take()) {
            self.retiring = self.rebuild.router().retain(shards);
        }
        let free = |inbox: &mut Arc<Inbox>| Arc::strong_count(inbox) <= OWN_HOLDERS;
        for inbox in self.retiring.extract_if(.., free).collect::<Vec<_>>() {
            self.threads.end(&inbox);
        }
    }

    /// Whether there is a shard that ends when nobody can send it anything any more, which nobody says.
    pub(super) fn waits_for_senders(&self) -> bool {
        !self.retiring.is_empty()
    }

    fn end(&mut self, ended: Result<(), String>) {
        if let Some(Running { operation, .. }) = self.running.take() {
            tracing::info!(operation, ?ended, "the placement of partitions has changed");
            self.operations.end(operation, ended);
        }
    }

    /// Nothing begins any more.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.handovers.stop();
        // Their threads end with all others.
        self.retiring.clear();
        self.end(Err(STOPPING.to_owned()));
    }

    pub(super) fn heard(&mut self, id: PartitionId, event: Event) {
        match self.handovers.heard(id, event) {
            Some(Action::Deliver(route)) => self.tell(route.to, ShardMessage::Arrive(id)),
            Some(Action::Clear(route)) => self.tell(route.from, ShardMessage::Depart(id)),
            Some(Action::Finished(route, outcome)) => self.finished(route, outcome),
            None => {}
        }
    }

    fn finished(&mut self, route: Move, outcome: Outcome) {
        let label = match outcome {
            Outcome::Moved => "moved",
            Outcome::Rebuilt => "rebuilt",
        };
        metrics::counter!("holdfast_partition_moves_total", "outcome" => label).increment(1);
        if let Some(begun) = self.begun.remove(&route.partition) {
            metrics::histogram!("holdfast_partition_move_pause_seconds").record(begun.elapsed().as_secs_f64());
        }
        if let Some(Running { operation, .. }) = self.running {
            self.operations.moved(operation);
        }
    }

    /// A closed inbox is one of an engine that ends.
    fn tell(&self, shard: usize, message: ShardMessage) {
        if let Some(inbox) = self.rebuild.router().table().inboxes.get(shard) {
            inbox.push(message);
        }
    }
}
