//! What left the memory of a partition last, so that an answer of the store can be told to be stale.
//!
//! A row that was looked up is stale only if that order or key left memory meanwhile: then the store has another row than the one
//! that was read. Invariant: what left memory after a look-up began is never missed; what is no longer remembered counts as left.

use holdfast_engine::command::Missing;
use holdfast_engine::ids::{KeyHash, OrderId, Seq};
use std::collections::VecDeque;

/// Ids that are remembered: as many as leave memory while a store answers.
const REMEMBERED: usize = 1024;
/// 32 KiB a partition, on a cluster alone.
const _: () = assert!(size_of::<(Seq, Id)>() == 32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    Order(OrderId),
    Key(KeyHash),
}

/// One for each partition that a shard hosts.
#[derive(Debug)]
pub(super) struct Departures {
    /// Oldest first, each with the record of the partition by which it was gone.
    left: VecDeque<(Seq, Id)>,
    /// What left up to this record is forgotten.
    forgotten: Seq,
}

impl Departures {
    /// Of a partition that begins, or begins again, behind record `seq`: it knows of nothing before.
    pub(super) fn after(seq: Seq) -> Self {
        Self { left: VecDeque::new(), forgotten: seq }
    }

    /// These left memory up to record `seq`, or may have.
    pub(super) fn note(&mut self, seq: Seq, orders: &[(OrderId, usize)], keys: &[KeyHash]) {
        let orders = orders.iter().map(|(id, _)| Id::Order(*id));
        for id in orders.chain(keys.iter().map(|key| Id::Key(*key))) {
            if self.left.len() == REMEMBERED {
                self.forgotten = self.left.pop_front().map_or(self.forgotten, |(seq, _)| seq);
            }
            self.left.push_back((seq, id));
        }
    }

    /// Whether a row of `missing`, asked for when record `asked` was the last, may be an older one than the store has now.
    pub(super) fn stale(&self, missing: &Missing, asked: Seq) -> bool {
        let ids = [missing.order.map(Id::Order), missing.key.map(Id::Key)];
        let mut meanwhile = self.left.iter().rev().take_while(|(seq, _)| *seq > asked);
        self.forgotten > asked || meanwhile.any(|(_, left)| ids.contains(&Some(*left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u64) -> OrderId {
        OrderId::from_bytes(u128::from(number).to_be_bytes())
    }

    fn asked_for(id: u64, key: u8) -> Missing {
        Missing { order: Some(order(id)), key: Some(KeyHash([key; 16])) }
    }

    #[test]
    fn a_row_is_stale_only_if_its_order_or_key_left_memory_since_it_was_asked_for() {
        struct Case {
            rule: &'static str,
            missing: Missing,
            asked: Seq,
            then: bool,
        }
        // Order 1 and key 1 were gone by record 10, order 2 by record 20.
        let mut departures = Departures::after(5);
        departures.note(10, &[(order(1), 3)], &[KeyHash([1; 16])]);
        departures.note(20, &[(order(2), 3)], &[]);
        let none = Missing::default();
        for Case { rule, missing, asked, then } in [
            Case { rule: "others that left do not matter", missing: asked_for(7, 7), asked: 6, then: false },
            Case { rule: "its order left", missing: asked_for(1, 7), asked: 6, then: true },
            Case { rule: "its key left", missing: asked_for(7, 1), asked: 6, then: true },
            Case { rule: "it left with the very next record", missing: asked_for(2, 7), asked: 19, then: true },
            Case { rule: "it had left before", missing: asked_for(1, 1), asked: 10, then: false },
            Case { rule: "nothing was asked for", missing: none, asked: 6, then: false },
            Case { rule: "it was asked for in an earlier life", missing: none, asked: 4, then: true },
        ] {
            assert_eq!(departures.stale(&missing, asked), then, "{rule}");
        }
    }

    #[test]
    fn what_is_no_longer_remembered_counts_as_left() {
        let mut departures = Departures::after(0);
        for number in 0..=REMEMBERED as u64 {
            departures.note(100 + number, &[(order(number), 1)], &[]);
        }
        // The first is forgotten, which was gone by record 100.
        assert!(departures.stale(&asked_for(u64::MAX, 0), 99));
        assert!(!departures.stale(&asked_for(u64::MAX, 0), 100));
        assert!(departures.stale(&asked_for(1, 0), 100));
    }
}
