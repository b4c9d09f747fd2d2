//! Where partitions are to be: the fewest moves that level what the shards have to do.
//!
//! Pure. Invariants: a partition with a pin is where its pin is; the result depends on the arguments alone.

use super::handover::Move;
use holdfast_engine::ids::PartitionId;
use std::collections::BTreeMap;

/// A difference of less than this part of what a shard has on average is none.
const NEGLIGIBLE: u64 = 32;

/// A partition as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    pub partition: PartitionId,
    pub shard: usize,
    /// Requests and messages it was sent, of late or ever: only the ratio to that of others counts.
    pub heat: u64,
}

/// Partitions that are to stay at a shard, whatever their heat.
pub type Pins = BTreeMap<PartitionId, usize>;

/// The moves that bring `located` to `shards` shards, those of the hottest first. A pin to a shard that there will not be counts for nothing.
pub fn level(located: &[Located], pins: &Pins, shards: usize) -> Vec<Move> {
    let shards = shards.max(1);
    let mut plan = Plan::new(located, pins, shards);
    plan.pin();
    plan.vacate();
    plan.level();
    plan.moves(located)
}

struct Plan {
    /// Heaviest first.
    parts: Vec<Part>,
    loads: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Part {
    id: PartitionId,
    shard: usize,
    weight: u64,
    pin: Option<usize>,
}

impl Plan {
    fn new(located: &[Located], pins: &Pins, shards: usize) -> Self {
        // Half of what counts is the heat, half the number: partitions that are quiet now are levelled too.
        let mean = located.iter().map(|one| one.heat).sum::<u64>() / (located.len().max(1) as u64);
        let part = |one: &Located| Part {
            id: one.partition,
            shard: one.shard,
            weight: one.heat + mean + 1,
            pin: pins.get(&one.partition).copied().filter(|shard| *shard < shards),
        };
        let mut parts: Vec<Part> = located.iter().map(part).collect();
        parts.sort_by_key(|part| (std::cmp::Reverse(part.weight), part.id));
        let mut loads = vec![0; shards];
        parts.iter().filter(|part| part.shard < shards).for_each(|part| loads[part.shard] += part.weight);
        Self { parts, loads }
    }

    fn put(&mut self, index: usize, shard: usize) {
        let part = &mut self.parts[index];
        if let Some(load) = self.loads.get_mut(part.shard) {
            *load -= part.weight;
        }
        part.shard = shard;
        self.loads[shard] += part.weight;
    }

    fn pin(&mut self) {
        for index in 0..self.parts.len() {
            if let Some(shard) = self.parts[index].pin.filter(|shard| *shard != self.parts[index].shard) {
                self.put(index, shard);
            }
        }
    }

    /// Everything leaves the shards that there will not be: the heaviest goes first, to the one that has the least.
    fn vacate(&mut self) {
        for index in 0..self.parts.len() {
            if self.parts[index].shard >= self.loads.len() {
                self.put(index, self.lightest());
            }
        }
    }

    fn lightest(&self) -> usize {
        (0..self.loads.len()).min_by_key(|shard| (self.loads[*shard], *shard)).unwrap_or_default()
    }

    fn heaviest_first(&self) -> Vec<usize> {
        let mut shards: Vec<usize> = (0..self.loads.len()).collect();
        shards.sort_by_key(|shard| (std::cmp::Reverse(self.loads[*shard]), *shard));
        shards
    }

    /// From the shard that has the most, of those that have a partition which can go, to the one that has the least. A shard that has one hot
    /// partition alone keeps it, and the others are levelled all the same. A difference of a few percent is none.
    fn level(&mut self) {
        let few = self.loads.iter().sum::<u64>() / (self.loads.len() as u64 * NEGLIGIBLE);
        for _ in 0..self.parts.len() {
            let (from, to) = (self.heaviest_first(), self.lightest());
            let mut from = from.into_iter().take_while(|from| self.loads[*from] - self.loads[to] > few);
            let Some(best) = from.find_map(|from| self.best(from, to)) else { return };
            self.put(best, to);
        }
    }

    /// The partition that brings two shards nearest to each other. What would take less than its own weight off the difference is not worth
    /// its pause.
    fn best(&self, from: usize, to: usize) -> Option<usize> {
        let apart = self.loads[from] - self.loads[to];
        let after = |weight: u64| apart.abs_diff(2 * weight);
        let movable = |part: &Part| part.shard == from && part.pin.is_none() && after(part.weight) + part.weight <= apart;
        let movable = (0..self.parts.len()).filter(|index| movable(&self.parts[*index]));
        movable.min_by_key(|index| after(self.parts[*index].weight))
    }

    fn moves(&self, located: &[Located]) -> Vec<Move> {
        let was: BTreeMap<PartitionId, usize> = located.iter().map(|one| (one.partition, one.shard)).collect();
        let route = |part: &Part| was.get(&part.id).map(|from| Move { partition: part.id, from: *from, to: part.shard });
        self.parts.iter().filter_map(route).filter(|route| route.from != route.to).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(partitions: u16, shards: usize) -> Vec<Located> {
        (0..partitions).map(|id| Located { partition: PartitionId(id), shard: usize::from(id) % shards, heat: 0 }).collect()
    }

    fn after(located: &[Located], moves: &[Move]) -> Vec<Located> {
        let to: BTreeMap<PartitionId, usize> = moves.iter().map(|route| (route.partition, route.to)).collect();
        let put = |one: &Located| Located { shard: to.get(&one.partition).copied().unwrap_or(one.shard), ..*one };
        located.iter().map(put).collect()
    }

    fn counts(located: &[Located], shards: usize) -> Vec<usize> {
        (0..shards).map(|shard| located.iter().filter(|one| one.shard == shard).count()).collect()
    }

    #[test]
    fn as_many_move_as_must_where_all_are_equally_hot() {
        for (partitions, from, to, moves, expected) in [
            (64, 1, 4, 48, vec![16; 4]),
            (64, 4, 16, 48, vec![4; 16]),
            (64, 16, 8, 32, vec![8; 8]),
            (64, 8, 1, 56, vec![64]),
            (64, 4, 4, 0, vec![16; 4]),
            (8, 2, 3, 2, vec![3, 3, 2]),
            (2, 2, 4, 0, vec![1, 1, 0, 0]),
        ] {
            let located = dealt(partitions, from);
            let found = level(&located, &Pins::new(), to);
            let counted = counts(&after(&located, &found), to);
            assert_eq!((found.len(), counted), (moves, expected), "{partitions} partitions from {from} to {to} shards");
        }
    }

    #[test]
    fn a_partition_that_is_as_hot_as_all_others_gets_most_of_a_shard() {
        let mut located = dealt(8, 1);
        located[3].heat = 1_000_000;
        let located = after(&located, &level(&located, &Pins::new(), 2));
        let beside = located.iter().filter(|one| one.shard == located[3].shard).count();
        assert!(beside <= 2, "{located:?}");
    }

    /// New shards stayed empty in a flash sale.
    #[test]
    fn a_shard_that_keeps_its_one_hot_partition_keeps_no_others_from_being_levelled() {
        let mut located = dealt(8, 4);
        located[0].heat = 1_000_000;
        let located = after(&located, &level(&located, &Pins::new(), 8));
        assert_eq!(counts(&located, 8), [1; 8]);
    }

    #[test]
    fn a_pin_wins_over_heat_and_over_the_place_it_has_now() {
        let located = dealt(8, 2);
        let pins = Pins::from([(PartitionId(0), 1), (PartitionId(2), 1), (PartitionId(4), 1), (PartitionId(6), 1)]);
        let located = after(&located, &level(&located, &pins, 2));
        assert!(pins.iter().all(|(id, shard)| located[usize::from(id.0)].shard == *shard), "{located:?}");
        assert_eq!(counts(&located, 2), [4, 4]);
    }

    #[test]
    fn a_pin_to_a_shard_that_goes_counts_for_nothing() {
        let located = dealt(8, 4);
        let pins = Pins::from([(PartitionId(0), 3)]);
        let located = after(&located, &level(&located, &pins, 2));
        assert_eq!(counts(&located, 2), [4, 4]);
    }
}
