//! Partitions on their way from one shard to another: how far each has come, and what is to be done next.
//!
//! Pure: no clock, no thread, no shard. The guardian, the simulator and the model in `tests/handover_model` feed it. Invariants: a partition
//! has one move at a time, and begins none while it is folded; a shard has one departure in hand at a time; a move that has begun ends, or the
//! engine does.

use holdfast_engine::ids::PartitionId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One partition from one shard to another. From when it begins the table names `to`, which keeps what comes for the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    pub partition: PartitionId,
    pub from: usize,
    pub to: usize,
}

/// Where the partition of a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// At the shard it leaves, which has not parted with it yet.
    Leaving,
    /// It panicked there. The guardian folds it.
    Rebuilding,
    /// On its way to the shard it goes to, or there without having said so.
    Travelling,
}

/// What the guardian hears of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The shard it leaves has parted with it.
    Departed,
    /// It panicked, wherever it was.
    Fell,
    /// It is folded from the journal and sent to the shard that the table names.
    Rebuilt,
    /// The shard it goes to has it.
    Arrived,
}

/// How a move ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Moved,
    /// It panicked on its way. The shard it was to go to hosts it, or will.
    Rebuilt,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Hand the partition to the shard it goes to.
    Deliver(Move),
    /// Have the shard it left pass on what waits there. It may have panicked while it read that it was to part with it.
    Clear(Move),
    Finished(Move, Outcome),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Handover {
    route: Move,
    stage: Stage,
    fell: bool,
}

/// All moves of an engine. See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Handovers {
    under_way: BTreeMap<PartitionId, Handover>,
    /// Partitions with the shards they are to go to, in the order they were asked for.
    waiting: VecDeque<(PartitionId, usize)>,
    /// Partitions that panicked and are not folded yet.
    folding: BTreeSet<PartitionId>,
}

impl Handovers {
    /// A partition is to go to a shard, when its turn comes.
    pub fn request(&mut self, partition: PartitionId, to: usize) {
        self.waiting.push_back((partition, to));
    }

    /// Begins the next move that may begin now. The table is to name its `to` first, then its `from` is to part with the partition.
    pub fn begin(&mut self, shard_of: impl Fn(PartitionId) -> usize) -> Option<Move> {
        loop {
            let may = |(partition, _): &(PartitionId, usize)| {
                let is_somewhere = !self.under_way.contains_key(partition) && !self.folding.contains(partition);
                is_somewhere && !self.is_leaving(shard_of(*partition))
            };
            let (partition, to) = self.waiting.iter().position(may).and_then(|index| self.waiting.remove(index))?;
            let route = Move { partition, from: shard_of(partition), to };
            if route.from != route.to {
                self.under_way.insert(partition, Handover { route, stage: Stage::Leaving, fell: false });
                return Some(route);
            }
        }
    }

    fn is_leaving(&self, shard: usize) -> bool {
        self.under_way.values().any(|one| one.stage == Stage::Leaving && one.route.from == shard)
    }

    /// What follows from what was heard of a partition. None: nothing, also where no move of it is under way.
    pub fn heard(&mut self, partition: PartitionId, event: Event) -> Option<Action> {
        match event {
            Event::Fell => drop(self.folding.insert(partition)),
            Event::Rebuilt => drop(self.folding.remove(&partition)),
            Event::Departed | Event::Arrived => {}
        }
        let one = self.under_way.get_mut(&partition)?;
        match (one.stage, event) {
            (Stage::Leaving, Event::Departed) => {
                one.stage = Stage::Travelling;
                Some(Action::Deliver(one.route))
            }
            (Stage::Leaving, Event::Fell) => {
                (one.stage, one.fell) = (Stage::Rebuilding, true);
                Some(Action::Clear(one.route))
            }
            (Stage::Rebuilding, Event::Rebuilt) => {
                one.stage = Stage::Travelling;
                None
            }
            // It came, and panicked before its shard could say so: it comes back there.
            (Stage::Travelling, Event::Fell) => {
                one.fell = true;
                self.finish(partition)
            }
            (Stage::Travelling, Event::Arrived) => self.finish(partition),
            (Stage::Leaving, Event::Rebuilt | Event::Arrived)
            | (Stage::Rebuilding, Event::Departed | Event::Fell | Event::Arrived)
            | (Stage::Travelling, Event::Departed | Event::Rebuilt) => None,
        }
    }

    fn finish(&mut self, partition: PartitionId) -> Option<Action> {
        let Handover { route, fell, .. } = self.under_way.remove(&partition)?;
        Some(Action::Finished(route, if fell { Outcome::Rebuilt } else { Outcome::Moved }))
    }

    /// Nothing more begins. What is under way ends by itself, or with the engine: nothing of it is stored.
    pub fn stop(&mut self) {
        self.waiting.clear();
    }

    /// Whether no move is under way and none waits.
    pub fn idle(&self) -> bool {
        self.under_way.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionId = PartitionId(0);
    const Q: PartitionId = PartitionId(1);
    const ROUTE: Move = Move { partition: P, from: 0, to: 1 };

    fn leaving() -> Handovers {
        let mut moves = Handovers::default();
        moves.request(P, 1);
        assert_eq!(moves.begin(|_| 0), Some(ROUTE));
        moves
    }

    #[test]
    fn a_move_goes_on_with_what_is_heard_of_its_partition() {
        use Action::{Clear, Deliver, Finished};
        use Event::{Arrived, Departed, Fell, Rebuilt};
        for (rule, heard, then) in [
            ("it is handed over", &[Departed, Arrived][..], &[Some(Deliver(ROUTE)), Some(Finished(ROUTE, Outcome::Moved))][..]),
            (
                "it panics before it leaves",
                &[Fell, Rebuilt, Arrived],
                &[Some(Clear(ROUTE)), None, Some(Finished(ROUTE, Outcome::Rebuilt))],
            ),
            (
                "it panics where it came before that is said",
                &[Departed, Fell, Rebuilt],
                &[Some(Deliver(ROUTE)), Some(Finished(ROUTE, Outcome::Rebuilt)), None],
            ),
            (
                "it panics again when it is back",
                &[Fell, Rebuilt, Fell],
                &[Some(Clear(ROUTE)), None, Some(Finished(ROUTE, Outcome::Rebuilt))],
            ),
        ] {
            let mut moves = leaving();
            let actions: Vec<Option<Action>> = heard.iter().map(|event| moves.heard(P, *event)).collect();
            assert_eq!(actions, then, "{rule}");
            assert!(moves.idle(), "{rule}");
        }
    }

    #[test]
    fn a_partition_has_one_move_at_a_time_and_its_next_begins_where_it_has_come() {
        let mut moves = leaving();
        moves.request(P, 2);
        assert_eq!(moves.begin(|_| 1), None);
        moves.heard(P, Event::Departed);
        assert_eq!(moves.begin(|_| 1), None);
        moves.heard(P, Event::Arrived);
        assert_eq!(moves.begin(|_| 1), Some(Move { partition: P, from: 1, to: 2 }));
    }

    #[test]
    fn a_partition_that_is_to_go_there_and_back_does_both() {
        let mut moves = Handovers::default();
        moves.request(P, 1);
        moves.request(P, 0);
        assert_eq!(moves.begin(|_| 0), Some(ROUTE));
        moves.heard(P, Event::Departed);
        moves.heard(P, Event::Arrived);
        assert_eq!(moves.begin(|_| 1), Some(Move { partition: P, from: 1, to: 0 }));
    }

    #[test]
    fn a_shard_has_one_departure_in_hand_and_others_go_on() {
        let mut moves = leaving();
        moves.request(Q, 1);
        assert_eq!(moves.begin(|_| 0), None, "the shard has one in hand");
        assert!(moves.begin(|id| usize::from(id == Q) * 2).is_some(), "another shard has none");
    }

    #[test]
    fn a_partition_that_is_folded_begins_no_move_and_others_do() {
        let mut moves = Handovers::default();
        moves.heard(P, Event::Fell);
        moves.request(P, 1);
        moves.request(Q, 1);
        let shard_of = |id| usize::from(id == Q) * 2;
        assert_eq!(moves.begin(shard_of).map(|route| route.partition), Some(Q));
        assert_eq!(moves.begin(shard_of), None);
        moves.heard(P, Event::Rebuilt);
        assert_eq!(moves.begin(shard_of), Some(ROUTE));
    }

    #[test]
    fn a_partition_that_is_there_already_is_not_moved() {
        let mut moves = Handovers::default();
        moves.request(P, 1);
        assert_eq!(moves.begin(|_| 1), None);
        assert!(moves.idle());
    }

    #[test]
    fn what_was_asked_for_and_has_not_begun_is_given_up_when_the_engine_stops() {
        let mut moves = leaving();
        moves.request(Q, 1);
        moves.stop();
        moves.heard(P, Event::Departed);
        moves.heard(P, Event::Arrived);
        assert!(moves.idle());
    }

    #[test]
    fn panics_without_a_move_are_no_business_of_it() {
        let mut moves = Handovers::default();
        for event in [Event::Departed, Event::Fell, Event::Rebuilt, Event::Arrived] {
            assert_eq!(moves.heard(P, event), None);
        }
    }
}
