//! The table of docs/adr/0014, line by line, and a property over random runs: one partition panics, others go on, a log keeps everything.

mod at_once;
mod passage;

use super::*;
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::codec;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::event::Record;
use holdfast_engine::ids::{HoldKey, KeyHash, Location, OrderId, Sku};
use holdfast_engine::protocol::{Body, Message, ToStock};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::stock::ReserveRequest;
use holdfast_engine::time::Policy;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::new(1_700_000_000_000);
const BOTH: [Causality; 2] = [Causality::OneLog, Causality::PerPartition];

fn partitions() -> Partitions {
    Partitions::new(4).unwrap()
}

/// A SKU of each partition.
fn sku(partition: u16) -> Sku {
    let mut names = (0..).map(|number: u32| Sku::new(&format!("S{number}")).unwrap());
    names.find(|sku| partitions().of_sku(sku).0 == partition).unwrap()
}

fn set_stock(partition: u16, ticket: u64, on_hand: u32) -> Input {
    let (sku, location, on_hand) = (sku(partition), Location::new("main").unwrap(), Quantity::new(on_hand));
    let command = Command::SetStock { sku, location, on_hand, safety_stock: None, priority: None, expected: None };
    Input::Command { ticket: Ticket(ticket), command, loaded: Loaded::default() }
}

fn reserve(partition: u16, number: u8, probe_at: Timestamp) -> Body {
    let hold = HoldKey { order: OrderId::derive(KeyHash([number; 16]), partitions()), generation: 1 };
    let request = ReserveRequest { hold, order_version: 1, quantity: Quantity::new(1), partial: false, locations: 1, probe_at };
    ToStock::Reserve { sku: sku(partition), request }.into()
}

/// A deadline that cannot be counted in milliseconds. It panics when the fact is made and the answer is sent.
fn poison(partition: u16, number: u8) -> Input {
    Input::Message(reserve(partition, number, Timestamp::new(u64::MAX)))
}

fn fresh(id: PartitionId, causality: Causality) -> Partition {
    Partition::new(id, partitions(), causality, Policy::default())
}

/// A hosting with what it is handed over to: the log of each partition, in one.
struct Rig {
    causality: Causality,
    hosting: Hosting,
    fx: Effects,
    /// Batches in the order they were submitted, with their logs.
    log: Vec<(LogId, Batch)>,
    durable: usize,
}

impl Rig {
    fn new(causality: Causality) -> Self {
        let mut hosting = Hosting::new(partitions(), causality);
        partitions().all().for_each(|id| hosting.host(fresh(id, causality), 0, Vec::new()));
        let mut rig = Self { causality, hosting, fx: Effects::default(), log: Vec::new(), durable: 0 };
        for partition in 0..4 {
            assert_eq!(rig.request(partition, 1_000 + u64::from(partition), 1_000_000), Stepped::Done);
        }
        rig.submit();
        rig.land_all();
        rig.fx = Effects::default();
        rig
    }

    fn step(&mut self, partition: u16, input: Input) -> Stepped {
        self.hosting.step(NOW, PartitionId(partition), input, &mut self.fx)
    }

    fn request(&mut self, partition: u16, ticket: u64, on_hand: u32) -> Stepped {
        self.hosting.took(PartitionId(partition));
        self.step(partition, set_stock(partition, ticket, on_hand))
    }

    fn submit(&mut self) {
        let batch = self.fx.batch.take();
        if batch.is_empty() {
            return;
        }
        for Submission { log, batch, upto } in self.hosting.submit(batch) {
            self.log.push((log, batch));
            self.hosting.fly(log, self.log.len() as u64, upto);
        }
    }

    /// The next batch is durable.
    fn land(&mut self) {
        let Some((log, _)) = self.log.get(self.durable) else { return };
        self.durable += 1;
        while let Some(upto) = self.hosting.landed(*log, self.durable as u64) {
            for (id, seq) in upto {
                self.hosting.step(NOW, id, Input::Durable(seq), &mut self.fx);
            }
        }
    }

    fn land_all(&mut self) {
        (self.durable..self.log.len()).for_each(|_| self.land());
    }

    /// As the guardian does: everything submitted is durable, then the partition is folded from the log.
    fn come_back(&mut self, fallen: Fallen, refused: Vec<Suspect>) -> Vec<Input> {
        self.submit();
        self.land_all();
        let id = fallen.partition.id;
        let waiting = self.hosting.take_waiting(NOW, id, fallen.life + 1).unwrap();
        self.hosting.host(self.fold(id), fallen.life + 1, refused);
        assert_eq!(self.hosting.resume(NOW, id, &mut self.fx), Stepped::Done);
        waiting
    }

    /// Panics if its records are not one dense sequence.
    fn fold(&self, id: PartitionId) -> Partition {
        let mut partition = fresh(id, self.causality);
        self.records(id).into_iter().for_each(|record| partition.apply(record));
        partition
    }

    fn records(&self, id: PartitionId) -> Vec<Record> {
        let frames = self.log.iter().map(|(_, batch)| batch.frame());
        let entries: Vec<Record> = frames
            .flat_map(|frame| {
                let entries = codec::read_frame(&frame).unwrap().map(Result::unwrap);
                entries.filter(|entry| entry.partition == id).map(|entry| entry.decode().unwrap()).collect::<Vec<_>>()
            })
            .collect();
        entries
    }

    fn fallen(&mut self) -> Fallen {
        let mut fallen = self.hosting.take_fallen();
        assert_eq!(fallen.len(), 1);
        fallen.remove(0)
    }

    fn on_hand(&self, partition: u16) -> u32 {
        let state = &self.hosting.get(PartitionId(partition)).unwrap().partition;
        state.sku(&sku(partition)).unwrap().locations[0].buckets.on_hand.units()
    }
}

#[test]
fn a_step_that_panics_leaves_no_effect_and_takes_its_partition_and_no_other() {
    for causality in BOTH {
        let mut rig = Rig::new(causality);
        rig.request(0, 1, 7);
        let (bytes, events) = (rig.fx.batch.entries.clone(), rig.fx.batch.events);
        assert_eq!(rig.step(1, poison(1, 1)), Stepped::Panicked);
        assert_eq!((&rig.fx.batch.entries, rig.fx.batch.events), (&bytes, events), "what was gathered before stays");
        assert!(rig.fx.messages.is_empty() && rig.fx.replies.is_empty());
        let places: Vec<Place> = partitions().all().map(|id| rig.hosting.place(id)).collect();
        assert_eq!(places, [Place::Here, Place::Returning, Place::Here, Place::Here]);
        assert_eq!(rig.fallen().partition.id, PartitionId(1));
    }
}

#[test]
fn a_request_in_hand_of_a_lost_partition_is_counted_once_and_one_that_was_answered_is_not() {
    for causality in BOTH {
        let mut rig = Rig::new(causality);
        rig.request(1, 1, 5);
        rig.submit();
        rig.land_all();
        assert_eq!(rig.fx.replies.iter().map(|reply| reply.ticket.0).collect::<Vec<_>>(), [1]);
        rig.request(1, 2, 6);
        rig.request(1, 3, 7);
        rig.request(0, 4, 7);
        rig.step(1, poison(1, 1));
        assert_eq!(rig.fallen().in_hand, 2, "those whose facts are not durable");
        assert_eq!(rig.fx.replies.len(), 1, "the answer that was free to leave leaves");
    }
}

#[test]
fn what_was_gathered_before_the_panic_is_submitted_and_the_next_life_has_it() {
    for causality in BOTH {
        let mut rig = Rig::new(causality);
        rig.request(1, 1, 5);
        rig.submit();
        rig.request(1, 2, 6);
        rig.step(1, poison(1, 1));
        let fallen = rig.fallen();
        rig.come_back(fallen, Vec::new());
        assert_eq!(rig.on_hand(1), 6);
        rig.request(1, 3, 8);
        rig.submit();
        assert_eq!(rig.fold(PartitionId(1)).seq(), rig.hosting.get(PartitionId(1)).unwrap().partition.seq());
    }
}

#[test]
fn a_batch_of_the_former_life_that_lands_tells_those_of_its_partitions_that_are_here() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.request(0, 1, 5);
    rig.request(1, 2, 5);
    rig.submit();
    rig.step(1, poison(1, 1));
    rig.land_all();
    assert_eq!(rig.fx.replies.iter().map(|reply| reply.ticket.0).collect::<Vec<_>>(), [1]);
    assert_eq!(rig.hosting.flying(), 0);
}

/// A snapshot of it may be written at once then, and must wait otherwise.
#[test]
fn a_partition_is_durable_from_when_its_last_batch_has_landed_until_it_makes_more() {
    for causality in BOTH {
        let mut shard = Rig::new(causality);
        let durable = |shard: &Rig| [0, 1].map(|id| shard.hosting.is_durable(PartitionId(id)));
        assert_eq!(durable(&shard), [true, true]);
        shard.request(0, 1, 5);
        assert_eq!(durable(&shard), [false, true], "it is not handed over");
        shard.submit();
        assert_eq!(durable(&shard), [false, true], "it is on its way");
        shard.land_all();
        assert_eq!(durable(&shard), [true, true]);
    }
}

#[test]
fn messages_and_provider_results_wait_for_a_partition_that_comes_back_and_a_command_is_told_at_once() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, poison(1, 1));
    let message = Input::Message(reserve(1, 2, NOW));
    assert_eq!(rig.step(1, message.clone()), Stepped::Later(None));
    assert_eq!(rig.step(1, set_stock(1, 7, 1)), Stepped::Later(Some(Ticket(7))));
    assert_eq!(rig.step(1, Input::Durable(1)), Stepped::Later(None));
    assert_eq!(rig.step(1, Input::Archived { orders: Vec::new(), keys: Vec::new() }), Stepped::Later(None));
    let fallen = rig.fallen();
    assert_eq!(rig.come_back(fallen, Vec::new()), [message]);
}

#[test]
fn a_bounded_number_of_messages_waits() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, poison(1, 1));
    (0..MOST_WAITING + 10).for_each(|_| drop(rig.step(1, Input::Message(reserve(1, 2, NOW)))));
    let fallen = rig.fallen();
    assert_eq!(rig.come_back(fallen, Vec::new()).len(), MOST_WAITING);
}

#[test]
fn a_message_does_not_wait_until_what_it_is_about_may_be_forgotten() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, poison(1, 1));
    let fallen = rig.fallen();
    let id = PartitionId(1);
    rig.hosting.step(NOW, id, Input::Message(reserve(1, 2, NOW)), &mut rig.fx);
    rig.hosting.step(NOW.plus(1), id, Input::Message(reserve(1, 3, NOW)), &mut rig.fx);
    let waiting = rig.hosting.take_waiting(NOW.plus(LONGEST_WAIT_MS + 1), id, fallen.life + 1).unwrap();
    assert_eq!(waiting, [Input::Message(reserve(1, 3, NOW))]);
}

#[test]
fn a_message_inside_the_shard_that_panics_its_receiver_leaves_its_sender_and_the_messages_behind_it() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.fx.messages.push(Message { to: PartitionId(1), body: reserve(1, 1, Timestamp::new(u64::MAX)) });
    rig.fx.messages.push(Message { to: PartitionId(2), body: reserve(2, 2, NOW) });
    let hosting = &mut rig.hosting;
    hosting.deliver(NOW, &mut rig.fx, || panic!("nothing is refused"));
    assert_eq!(rig.hosting.place(PartitionId(1)), Place::Returning);
    let held = rig.hosting.get(PartitionId(2)).unwrap().partition.live_holds();
    assert_eq!(held, 1);
}

#[test]
fn what_panicked_too_often_is_refused_in_the_next_life_and_told_if_it_is_a_command() {
    let mut rig = Rig::new(Causality::OneLog);
    let refused = [poison(1, 1), set_stock(1, 1, 5)].map(|input| Suspect::of(&input).unwrap());
    rig.step(1, poison(1, 2));
    let fallen = rig.fallen();
    assert_eq!(fallen.suspect, Suspect::of(&poison(1, 2)));
    rig.come_back(fallen, refused.to_vec());
    assert_eq!(rig.step(1, poison(1, 1)), Stepped::Refused(None));
    assert_eq!(rig.step(1, set_stock(1, 9, 5)), Stepped::Refused(Some(Ticket(9))));
    assert_eq!(rig.step(1, set_stock(1, 9, 6)), Stepped::Done, "another request is not");
}

#[test]
fn a_life_that_is_not_waited_for_is_not_taken_in() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, poison(1, 1));
    assert_eq!(rig.hosting.take_waiting(NOW, PartitionId(1), 0), None, "the former life");
    assert_eq!(rig.hosting.take_waiting(NOW, PartitionId(0), 1), None, "it is here");
    rig.hosting.end();
    assert_eq!(rig.hosting.take_waiting(NOW, PartitionId(1), 1), None, "nothing comes back any more");
}

#[test]
fn what_is_for_a_partition_that_is_not_here_comes_back_to_be_sent_on() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.hosting.end();
    for partition in [0, 3, u16::MAX] {
        let input = Input::Message(reserve(0, 1, NOW));
        assert_eq!(rig.step(partition, input.clone()), Stepped::Elsewhere(Box::new(input)));
    }
    let away = Message { to: PartitionId(2), body: reserve(2, 2, NOW) };
    rig.fx.messages.push(away.clone());
    rig.hosting.deliver(NOW, &mut rig.fx, || panic!("nothing is refused"));
    assert_eq!(rig.fx.messages, [away]);
}

#[test]
fn where_the_shard_itself_panics_all_partitions_go_with_what_was_not_submitted() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.request(0, 1, 5);
    rig.submit();
    rig.request(1, 2, 5);
    rig.fx = Effects::default();
    rig.hosting.fall_all("outside a step");
    let fallen = rig.hosting.take_fallen();
    assert_eq!(fallen.iter().map(|one| one.in_hand).collect::<Vec<_>>(), [1, 1, 0, 0]);
    fallen.into_iter().for_each(|one| drop(rig.come_back(one, Vec::new())));
    assert_eq!([0, 1].map(|partition| rig.on_hand(partition)), [5, 1_000_000]);
}

#[derive(Clone, Debug)]
enum Act {
    Request(u16),
    Peer(u16, u8),
    Poison(u16),
    Submit,
    Land,
    ComeBack,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..4u16).prop_map(Act::Request),
        3 => ((0..4u16), any::<u8>()).prop_map(|(partition, number)| Act::Peer(partition, number)),
        1 => (0..4u16).prop_map(Act::Poison),
        2 => Just(Act::Submit),
        2 => Just(Act::Land),
        1 => Just(Act::ComeBack),
    ];
    prop::collection::vec(act, 1..80)
}

proptest! {
    /// Every request ends once: with a reply, as refused, or among those that fell. What was answered is in the log.
    #[test]
    fn whatever_panics_each_request_ends_once_and_each_log_is_one_dense_sequence(acts in acts(), one_log in any::<bool>()) {
        let mut rig = Rig::new(if one_log { Causality::OneLog } else { Causality::PerPartition });
        let (mut away, mut asked, mut ended, mut lost) = (Vec::new(), 0, 0, 0);
        for act in acts.into_iter().chain([Act::Submit, Act::ComeBack, Act::Submit]) {
            match act {
                Act::Request(partition) => {
                    asked += 1;
                    ended += usize::from(matches!(rig.request(partition, asked, 100_000 + asked as u32), Stepped::Later(Some(_))));
                }
                Act::Peer(partition, number) => drop(rig.step(partition, Input::Message(reserve(partition, number, NOW)))),
                Act::Poison(partition) => drop(rig.step(partition, poison(partition, asked as u8))),
                Act::Submit => rig.submit(),
                Act::Land => rig.land(),
                Act::ComeBack => {
                    let back: Vec<Fallen> = std::mem::take(&mut away);
                    back.into_iter().for_each(|one| drop(rig.come_back(one, Vec::new())));
                }
            }
            for one in rig.hosting.take_fallen() {
                rig.submit();
                lost += one.in_hand;
                away.push(one);
            }
            for Reply { ticket, outcome, .. } in rig.fx.replies.drain(..) {
                ended += 1;
                let Ok(Answer::Stock(view)) = outcome else { return Err(TestCaseError::fail("not of stock")) };
                prop_assert!(view.locations[0].buckets.on_hand.units() == 100_000 + ticket.0 as u32);
            }
            rig.fx.messages.clear();
        }
        rig.land_all();
        ended += rig.fx.replies.len();
        prop_assert_eq!(ended + lost, asked as usize);
        for hosted in rig.hosting.iter() {
            prop_assert_eq!(rig.fold(hosted.partition.id).hash(), hosted.partition.hash());
        }
        prop_assert!(rig.hosting.iter().all(|hosted| hosted.in_hand == 0));
    }
}
