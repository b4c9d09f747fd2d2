//! An order whose SKUs are here asks them by direct calls: what that leaves behind is what messages leave, and where a call cannot be made
//! messages do it.

use super::*;
use holdfast_engine::event::{Kind, Line, OrderFact, PaymentRequest, Placed};
use holdfast_engine::ids::{Fingerprint, Provider, RequestId};
use holdfast_engine::quantity::Money;

/// Partitions of the SKUs, units of each, and what is asked besides.
#[derive(Clone, Debug)]
struct Wish {
    lines: Vec<(u16, u32)>,
    partial: bool,
    pays: bool,
}

fn order(number: u8) -> OrderId {
    OrderId::derive(KeyHash([number; 16]), partitions())
}

/// Partition 4 has no SKU: what is of it nobody ever stocked.
fn line((partition, units): (u16, u32)) -> Line {
    let sku = if partition < 4 { sku(partition) } else { Sku::new("nobody-stocked-it").unwrap() };
    Line { sku, quantity: Quantity::new(units), unit_price: Money::new(100), seller: None, metadata: None }
}

fn place(number: u8, wish: &Wish, expires_at: Timestamp) -> Input {
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(u128::from(number)),
        request_id: RequestId::new("r").unwrap(),
        customer: None,
        currency: None,
        lines: wish.lines.iter().copied().map(line).collect(),
        allow_partial: wish.partial,
        expires_at,
        shipping_address: None,
        metadata: None,
        payment: wish.pays.then(|| PaymentRequest { provider: Provider::new("p").unwrap(), return_url: None }),
        origin: None,
    };
    let command = Command::Place { order: order(number), placed: Box::new(placed) };
    Input::Command { ticket: Ticket(number.into()), command, loaded: Loaded::default() }
}

impl Rig {
    fn place(&mut self, number: u8, wish: &Wish, expires_at: Timestamp) -> Stepped {
        let id = order(number).partition();
        self.hosting.took(id);
        let stepped = self.hosting.step(NOW, id, place(number, wish, expires_at), &mut self.fx);
        self.hosting.deliver(NOW, &mut self.fx, || panic!("nothing is refused"));
        stepped
    }

    /// A shop in which each SKU has ten units, that takes these orders, twice each.
    fn after(at_once: bool, wishes: &[Wish]) -> Self {
        let mut rig = Self::new(Causality::OneLog);
        rig.hosting.at_once &= at_once;
        (0..4).for_each(|partition| drop(rig.request(partition, 2_000 + u64::from(partition), 10)));
        for (wish, number) in wishes.iter().zip(1..) {
            rig.place(number, wish, NOW.plus(900_000));
            rig.place(number, wish, NOW.plus(900_000));
        }
        rig.submit();
        rig.land_all();
        rig
    }

    fn written(&self) -> Vec<&[u8]> {
        self.log.iter().map(|(_, batch)| batch.entries.as_slice()).collect()
    }

    fn facts(&self, number: u8) -> Vec<OrderFact> {
        let home = &self.hosting.get(order(number).partition()).unwrap().partition;
        home.order(order(number)).unwrap().history().facts().collect()
    }
}

/// A key of an order whose home is there.
fn at_home(partition: u16) -> u8 {
    (1..=u8::MAX).find(|number| order(*number).partition() == PartitionId(partition)).unwrap()
}

fn one_unit_of(partition: u16) -> Wish {
    Wish { lines: vec![(partition, 1)], partial: false, pays: false }
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let lines = prop::collection::vec((0..5u16, 1..8u32), 1..4);
    let wish = (lines, any::<bool>(), any::<bool>()).prop_map(|(lines, partial, pays)| Wish { lines, partial, pays });
    prop::collection::vec(wish, 1..12)
}

proptest! {
    #[test]
    fn whether_skus_are_asked_by_calls_or_by_messages_the_records_the_replies_and_the_calls_are_the_same(wishes in wishes()) {
        let [calls, messages] = [true, false].map(|at_once| Rig::after(at_once, &wishes));
        prop_assert_eq!(calls.written(), messages.written());
        let [mut by_call, mut by_message] = [&calls, &messages].map(|rig| rig.fx.replies.clone());
        [&mut by_call, &mut by_message].into_iter().for_each(|replies| replies.sort_by_key(|reply| reply.ticket.0));
        prop_assert_eq!(by_call, by_message);
        prop_assert_eq!(calls.fx.calls.len(), messages.fx.calls.len());
        for id in partitions().all() {
            let [one, other] = [&calls, &messages].map(|rig| rig.hosting.get(id).unwrap());
            prop_assert_eq!(one.partition.hash(), other.partition.hash());
            prop_assert_eq!(one.in_hand, other.in_hand);
        }
    }
}

#[test]
fn an_order_of_which_a_sku_is_elsewhere_asks_by_message() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.hosting.slots[1] = Slot::Away;
    let number = at_home(0);
    let wish = Wish { lines: vec![(0, 1), (1, 1)], partial: false, pays: false };
    assert_eq!(rig.place(number, &wish, NOW.plus(900_000)), Stepped::Done);
    assert!(matches!(&rig.fx.messages[..], [Message { to: PartitionId(1), .. }]), "{:?}", rig.fx.messages);
    assert_eq!(rig.facts(number).len(), 1, "it waits for the other");
}

#[test]
fn an_order_whose_sku_is_being_rebuilt_is_decided_when_it_is_back() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, poison(1, 1));
    let fallen = rig.fallen();
    let number = at_home(0);
    rig.place(number, &one_unit_of(1), NOW.plus(900_000));
    assert_eq!(rig.facts(number).len(), 1);
    let waiting = rig.come_back(fallen, Vec::new());
    waiting.into_iter().for_each(|input| drop(rig.step(1, input)));
    rig.hosting.deliver(NOW, &mut rig.fx, || panic!("nothing is refused"));
    assert!(matches!(rig.facts(number).last(), Some(OrderFact::Held { .. })));
}

/// The order's own deadline can be counted, the one of its hold, which is later, cannot.
#[test]
fn a_sku_that_panics_when_it_is_asked_takes_its_partition_and_leaves_the_order() {
    let mut rig = Rig::new(Causality::OneLog);
    let (number, last) = (at_home(0), Timestamp::new(u64::MAX - 16));
    assert_eq!(rig.place(number, &one_unit_of(1), last), Stepped::Done);
    let fallen = rig.fallen();
    assert_eq!(fallen.partition.id, PartitionId(1));
    assert_eq!(fallen.suspect, Suspect::of(&Input::Message(reserve_of(number))), "named as its message would be");
    assert_eq!(rig.facts(number).len(), 1, "its saga asks again");
}

fn reserve_of(number: u8) -> Body {
    let hold = HoldKey { order: order(number), generation: 1 };
    let request =
        ReserveRequest { hold, order_version: 1, quantity: Quantity::new(1), partial: false, locations: 1, probe_at: NOW };
    ToStock::Reserve { sku: sku(1), request }.into()
}
