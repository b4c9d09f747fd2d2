//! Expiry against payment: 100,000 races in the engine, one winner each, the same after replay.
//!
//! Every order was declined once and its grace runs out in the very milliseconds in which its money is reported after
//! all, while rivals grab what expiry frees. Who comes first is drawn; messages are left lying for drawn whiles.

use crate::draft::{command_key, location, order, provider, reservation, sku};
use holdfast_engine::codec;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::{Archive, Effects};
use holdfast_engine::event::{FactKind, History, Kind};
use holdfast_engine::ids::{AttemptId, OrderId, PartitionId, Partitions, Ticket};
use holdfast_engine::order::{CallKind, Outcome, PaymentStatus};
use holdfast_engine::protocol::Message;
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition, ProviderResult, invariants};
use std::collections::VecDeque;

const WAVES: u32 = 100;
const ORDERS: u32 = 1_000;
const RIVALS: u32 = 100;
const GRACE_MS: u64 = 2_000;
/// Money arrives this long before to this long after the end of the grace.
const WINDOW_MS: u64 = 24;

/// xorshift64*: the same seed gives the same races.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// How the races ended.
#[derive(Debug, Default, PartialEq)]
struct Winners {
    paid_in_time: u32,
    late_and_held_afresh: u32,
    late_and_refunded: u32,
}

struct Race {
    now: Timestamp,
    partitions: Partitions,
    parts: Vec<Partition>,
    replayed: Vec<Partition>,
    mail: VecDeque<Message>,
    fx: Effects,
    draw: Draw,
    winners: Winners,
}

impl Race {
    fn new(seed: u64) -> Self {
        let partitions = Partitions::new(4).unwrap();
        let policy = Policy { decline_grace_ms: GRACE_MS, ..Policy::default() };
        let fresh = || partitions.all().map(|id| Partition::new(id, partitions, Causality::OneLog, policy.clone())).collect();
        Self {
            now: Timestamp::new(1_700_000_000_000),
            partitions,
            parts: fresh(),
            replayed: fresh(),
            mail: VecDeque::new(),
            fx: Effects::default(),
            draw: Draw(seed),
            winners: Winners::default(),
        }
    }

    fn step(&mut self, id: PartitionId, input: Input) {
        self.parts[usize::from(id.0)].step(self.now, input, &mut self.fx);
        self.mail.extend(self.fx.messages.drain(..));
    }

    /// One commit makes the whole wave durable: its frame, and what was waiting for it.
    fn commit(&mut self) -> Vec<u8> {
        for part in &mut self.parts {
            let seq = part.seq();
            part.step(self.now, Input::Durable(seq), &mut self.fx);
        }
        assert_eq!(self.fx.alarms, Vec::<String>::new());
        let voids = self.fx.calls.drain(..).filter(|call| call.kind == CallKind::Void);
        assert_eq!(voids.count(), 0, "money is taken or given back, never both");
        self.fx.replies.clear();
        self.fx.batch.take().frame()
    }

    fn command(&mut self, command: Command) {
        let home = command.partition(self.partitions);
        self.step(home, Input::Command { ticket: Ticket(0), command, loaded: Loaded::default() });
    }

    fn deliver(&mut self, at_most: usize) {
        for _ in 0..at_most {
            let Some(message) = self.mail.pop_front() else { return };
            self.step(message.to, Input::Message(message.body));
        }
    }

    /// One wave: as many orders as there are units, all declined once, all racing at once.
    fn wave(&mut self, wave: u32) {
        let name = format!("S{wave}");
        self.command(Command::SetStock {
            sku: sku(&name),
            location: location("main"),
            on_hand: Quantity::new(ORDERS),
            safety_stock: None,
            priority: None,
            expected: None,
        });
        let ids: Vec<OrderId> = (0..ORDERS).map(|n| self.declined_order(&name, &format!("{wave}-{n}"))).collect();
        let over = self.now.plus(GRACE_MS);
        let mut due: Vec<(Timestamp, u64, Option<OrderId>)> = Vec::new();
        for id in &ids {
            let at = Timestamp::new(over.millis() - WINDOW_MS / 2 + self.draw.below(WINDOW_MS));
            due.push((at, self.draw.below(1 << 30), Some(*id)));
        }
        for at in over.millis() - 4..over.millis() + WINDOW_MS {
            due.push((Timestamp::new(at), self.draw.below(1 << 30), None));
        }
        due.sort_unstable();
        let mut rivals = Vec::new();
        for (at, _, approved) in due {
            self.now = at;
            match approved {
                Some(order) => self.command(Command::PaymentResult { attempt: first(order), outcome: Outcome::Captured }),
                None => self.tick(),
            }
            if rivals.len() < RIVALS as usize && at > over && self.draw.below(4) == 0 {
                let rival = reservation(&format!("{wave}-r{}", rivals.len())).line(&name, 1);
                self.command(rival.command(self.now, self.partitions));
                rivals.push(rival.id(self.partitions));
            }
            let deliveries = self.draw.below(8) as usize;
            self.deliver(deliveries);
        }
        self.settle(&rivals);
        self.check(&name, &ids);
    }

    fn declined_order(&mut self, name: &str, key: &str) -> OrderId {
        let draft = order(key).line(name, 1).ttl(1_000);
        let id = draft.id(self.partitions);
        self.command(draft.command(self.now, self.partitions));
        self.deliver(usize::MAX);
        let key = command_key(key, "pay");
        self.command(Command::StartPayment { order: id, provider: provider(), return_url: None, key });
        self.deliver(usize::MAX);
        self.provider_outcome(id, CallKind::Create, Outcome::Declined);
        self.deliver(usize::MAX);
        id
    }

    fn provider_outcome(&mut self, order: OrderId, kind: CallKind, outcome: Outcome) {
        let result = ProviderResult::Outcome { attempt: first(order), kind, outcome };
        self.step(order.partition(), Input::Provider(result));
    }

    fn tick(&mut self) {
        let mut ids: Vec<PartitionId> = self.partitions.all().collect();
        self.draw.shuffle(&mut ids);
        ids.into_iter().for_each(|id| self.step(id, Input::Tick));
    }

    fn settle(&mut self, rivals: &[OrderId]) {
        self.deliver(usize::MAX);
        for rival in rivals {
            self.command(Command::Confirm { order: *rival, kind: Kind::Reservation, reason: None });
            self.deliver(usize::MAX);
        }
        let owed = |partition: &Partition| -> Vec<OrderId> {
            partition.orders().filter(|order| order.payment_status() == PaymentStatus::RefundDue).map(|order| order.id).collect()
        };
        let owed: Vec<OrderId> = self.parts.iter().flat_map(owed).collect();
        for order in owed {
            self.provider_outcome(order, CallKind::Refund, Outcome::Refunded);
        }
        self.deliver(usize::MAX);
    }

    fn check(&mut self, name: &str, ids: &[OrderId]) {
        for id in ids {
            let order = self.parts[usize::from(id.partition().0)].order(*id).unwrap();
            assert!(order.archivable(), "{:?}", order.history());
            match winner(order.history()) {
                [1, 0, 0, 0, 0] => self.winners.paid_in_time += 1,
                [1, 1, 1, 0, 0] => self.winners.late_and_held_afresh += 1,
                [0, 1, 1, 1, 1] => self.winners.late_and_refunded += 1,
                other => panic!("no single winner: {other:?} of {:?}", order.history()),
            }
        }
        assert_eq!(invariants::check(&self.parts), Vec::<String>::new());
        self.check_stock(name);
        self.replay();
    }

    /// Every unit is sold to somebody who was confirmed, or free.
    fn check_stock(&self, name: &str) {
        let sku = sku(name);
        let stock = self.parts[usize::from(self.partitions.of_sku(&sku).0)].sku(&sku).unwrap();
        let confirmed = self.parts.iter().flat_map(Partition::orders).filter(|order| {
            order.status == holdfast_engine::order::Status::Confirmed
                && order.placed().lines.next().is_some_and(|line| line.sku == sku.as_str())
        });
        let buckets = stock.locations[0].buckets;
        assert_eq!(buckets.committed.units() as usize, confirmed.count());
        assert_eq!((buckets.held, buckets.pinned, buckets.on_hand), (Quantity::ZERO, Quantity::ZERO, Quantity::new(ORDERS)));
    }

    /// The wave leaves memory, and the journal of the wave folds to the same state.
    fn replay(&mut self) {
        let decided = self.commit();
        for item in std::mem::take(&mut self.fx.archive) {
            let Archive::Order { partition, order, history } = item else { continue };
            self.step(partition, Input::Archived { orders: vec![(order, history.len())], keys: Vec::new() });
        }
        for frame in [decided, self.commit()] {
            for entry in codec::read_frame(&frame).unwrap() {
                let entry = entry.unwrap();
                self.replayed[usize::from(entry.partition.0)].apply(entry.decode().unwrap());
            }
        }
        for (live, folded) in self.parts.iter().zip(&self.replayed) {
            assert_eq!(live.hash(), folded.hash(), "partition {}", live.id.0);
        }
        // The next wave finds a quiet world.
        self.now = self.now.plus(60_000);
    }
}

fn first(order: OrderId) -> AttemptId {
    AttemptId { order, number: 1 }
}

/// How often an order was paid, expired, late, owed money and refunded.
fn winner(history: &History) -> [usize; 5] {
    let counted = [FactKind::Paid, FactKind::Expired, FactKind::PaymentLate, FactKind::RefundDue, FactKind::Refunded];
    counted.map(|kind| history.iter().filter(|record| record.kind == kind).count())
}

#[test]
fn of_expiry_and_payment_in_a_hundred_thousand_races_exactly_one_wins() {
    let mut race = Race::new(0x5eed);
    (0..WAVES).for_each(|wave| race.wave(wave));
    let Winners { paid_in_time, late_and_held_afresh, late_and_refunded } = race.winners;
    assert_eq!(paid_in_time + late_and_held_afresh + late_and_refunded, WAVES * ORDERS);
    // Each end was reached often enough to mean something.
    for count in [paid_in_time, late_and_held_afresh, late_and_refunded] {
        assert!(count > WAVES * ORDERS / 100, "{:?}", race.winners);
    }
}
