//! How a partition leaves a shard for another, and comes to it. See docs/adr/0017.
//!
//! Invariants: a partition leaves with everything it has made handed over to its log, so its facts come from one host at a time; it goes
//! on where it stopped, and its gate opens when what it made before is durable.

use super::{Hosted, Hosting, Slot, Submission, log_of};
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Input;
use holdfast_engine::plant::{self, Bug};
use holdfast_engine::time::Timestamp;

/// What a shard has of a partition that is to leave it.
#[derive(Debug)]
pub enum Departure {
    Hosted(Box<Hosted>),
    /// It panicked and comes back elsewhere: what waited for it here, with the time each came.
    Returning(Vec<(Timestamp, Input)>),
    Away,
}

impl Hosted {
    /// Requests read and not answered: their credits go with the partition.
    pub fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// Requests that were read since the process hosts it.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// What it has had to do: requests, and messages of other partitions. A SKU that all orders are for is sent messages alone.
    pub fn heat(&self) -> u64 {
        self.requests + self.messages
    }

    fn unsubmitted(&self) -> bool {
        self.submitted != self.partition.seq()
    }
}

impl Hosting {
    /// Whether a partition has made what is not handed over to its log yet: that goes before it does.
    pub fn must_submit_before(&self, id: PartitionId) -> bool {
        !plant::active(Bug::DepartBeforeSubmit) && self.get(id).is_some_and(Hosted::unsubmitted)
    }

    /// Takes a partition out for another host.
    ///
    /// # Panics
    /// If it has made what is not handed over.
    pub fn depart(&mut self, id: PartitionId) -> Departure {
        assert!(plant::any() || !self.must_submit_before(id), "partition {} leaves without all that it made", id.0);
        let Some(slot) = self.slots.get_mut(usize::from(id.0)) else { return Departure::Away };
        match std::mem::take(slot) {
            Slot::Here(hosted) => Departure::Hosted(hosted),
            Slot::Returning { waiting, .. } => Departure::Returning(waiting),
            Slot::Away => Departure::Away,
        }
    }

    /// Takes in a partition as another host had it. What is returned is to be handed over at once: behind it everything that the partition
    /// made before is durable.
    ///
    /// # Panics
    /// If it is here already, or awaited here.
    #[must_use = "the gate of the partition opens when this has landed"]
    pub fn arrive(&mut self, mut hosted: Box<Hosted>) -> Submission {
        let (id, seq) = (hosted.partition.id, hosted.partition.seq());
        hosted.dirty = false;
        self.due(hosted.partition.next_deadline());
        if let Some(slot) = self.slots.get_mut(usize::from(id.0)) {
            let before = std::mem::replace(slot, Slot::Here(hosted));
            assert!(matches!(before, Slot::Away), "partition {} comes to where it is", id.0);
        }
        // It may be listed still from when it was here before.
        self.dirty.retain(|dirty| *dirty != id);
        Submission { log: log_of(self.causality, id), batch: Batch::default(), upto: vec![(id, seq)] }
    }
}
