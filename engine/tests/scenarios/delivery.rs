//! Messages lost, doubled and overtaken, and what must not leave before the records behind it are durable.

use crate::draft::{hold, order, reservation, sku};
use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Kind, ReleaseCause};
use holdfast_engine::ids::{AttemptId, OrderId};
use holdfast_engine::order::{CallKind, Outcome, Status};
use holdfast_engine::protocol::{Body, ToOrder, ToStock};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::stock::{HoldOp, ReserveRequest};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input};

/// An id whose order lives in another partition than the SKU, so that mail between them is mail between partitions.
fn apart(world: &World, name: &str) -> String {
    let home = world.partitions.of_sku(&sku(name));
    (0..).map(|n| format!("k{n}")).find(|key| order(key).id(world.partitions).partition() != home).unwrap()
}

fn reserve(
    world: &World,
    id: OrderId,
    generation: u8,
    units: u32,
    probe_at: Timestamp,
) -> (holdfast_engine::ids::PartitionId, Input) {
    let demand = ReserveRequest {
        hold: hold(id, generation),
        order_version: 1,
        quantity: Quantity::new(units),
        partial: false,
        locations: 256,
        probe_at,
    };
    (world.partitions.of_sku(&sku("A")), Input::Message(ToStock::Reserve { sku: sku("A"), request: demand }.into()))
}

#[test]
fn an_acknowledgement_does_not_leave_before_its_facts_are_durable() {
    let mut world = World::stocked(&[("A", 5)]);
    world.sync = false;
    let (id, ticket) = world.send_order(&order("k").line("A", 5));
    assert_eq!(world.status(id), Status::AwaitingPayment, "the actors have gone on");
    assert!(world.reply(ticket).is_none());
    world.sync_all();
    assert!(world.reply(ticket).is_some());
}

#[test]
fn a_refusal_does_not_leave_before_the_state_it_was_read_from_is_durable() {
    let mut world = World::stocked(&[("A", 5)]);
    world.sync = false;
    let (id, _) = world.send_order(&order("k").line("A", 5));
    let confirmed = world.send(Command::Confirm { order: id, kind: Kind::Order, reason: None });
    let refused = world.send(Command::Cancel { order: id, kind: Kind::Order, reason: None });
    let read = world.send(Command::GetStock { sku: sku("A") });
    let waiting = [confirmed, refused, read].map(|ticket| world.reply(ticket).is_some());
    assert_eq!(waiting, [false; 3]);
    world.sync_all();
    let answered = world.reply(refused).unwrap().outcome.clone();
    assert_eq!(answered, Err(Rejection::InvalidTransition { kind: Kind::Order, status: Status::Confirmed }));
    assert!(world.reply(read).is_some());
}

#[test]
fn a_rejection_told_to_the_buyer_waits_for_the_facts_that_made_it() {
    let mut world = World::stocked(&[("A", 5)]);
    world.sync = false;
    let (_, first) = world.send_order(&order("k1").line("A", 5));
    let (_, second) = world.send_order(&order("k2").line("A", 1));
    assert!(world.reply(first).is_none() && world.reply(second).is_none());
    world.sync_all();
    assert!(world.reply(first).is_some() && world.reply(second).is_some());
}

#[test]
fn the_provider_is_not_called_before_the_attempt_is_durable() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    world.sync = false;
    world.send_payment(id, "p");
    assert_eq!((world.status(id), world.calls.len()), (Status::PaymentInFlight, 0));
    world.sync_all();
    world.take_call(CallKind::Create);
}

#[test]
fn a_refund_is_not_asked_for_before_it_is_durably_due() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    let attempt = world.pay(id, "p");
    world.cancel(id).unwrap();
    world.calls.clear();
    world.sync = false;
    world.send(Command::PaymentResult { attempt, outcome: Outcome::Captured });
    assert_eq!(world.calls, []);
    world.sync_all();
    world.take_call(CallKind::Refund);
}

#[test]
fn a_closed_order_is_not_archived_before_its_last_fact_is_durable() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    world.sync = false;
    world.send(Command::Cancel { order: id, kind: Kind::Order, reason: None });
    assert!(world.order(id).archivable() && world.archive.is_empty());
    world.sync_all();
    assert_eq!(world.archive.len(), 1);
}

#[test]
fn in_one_log_messages_leave_at_once_and_in_a_log_per_partition_they_wait() {
    for (causality, leaves) in [(Causality::OneLog, true), (Causality::PerPartition, false)] {
        let mut world = World::with(causality, Policy::default());
        world.stock("A", "main", 5);
        (world.sync, world.post) = (false, false);
        let key = apart(&world, "A");
        let (id, ticket) = world.send_order(&order(&key).line("A", 5));
        assert_eq!(!world.mail.is_empty(), leaves, "{causality:?}");
        world.sync_all();
        assert_eq!(world.mail.len(), 1, "the demand is on its way");
        world.post = true;
        // Each hop of the saga waits for a sync of its own.
        let mut syncs = 0;
        while world.reply(ticket).is_none() {
            world.sync_all();
            syncs += 1;
            assert!(syncs < 5);
        }
        assert_eq!((world.status(id), world.available("A")), (Status::AwaitingPayment, 0));
    }
}

#[test]
fn a_lost_demand_is_sent_again_with_growing_waits() {
    let mut world = World::stocked(&[("A", 5)]);
    world.post = false;
    let (id, ticket) = world.send_order(&order("k").line("A", 5));
    let mut sent = vec![world.now];
    world.lose_mail();
    for _ in 0..10_000 {
        world.pass(1);
        if world.mail.pop_front().is_some() {
            sent.push(world.now);
        }
    }
    let waits: Vec<u64> = sent.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    for (wait, least) in waits.iter().zip([250, 500, 1_000, 2_000, 4_000]) {
        assert!((least..least + 16).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), 5);
    world.post = true;
    world.pass(5_100);
    assert_eq!(world.status(id), Status::AwaitingPayment);
    assert!(world.reply(ticket).is_some());
}

#[test]
fn every_message_of_an_order_may_be_lost_once() {
    for verb in ["cancel", "confirm", "pay", "decline"] {
        let mut world = World::stocked(&[("A", 5), ("B", 5)]);
        let id = world.place(&order("k").line("A", 5).line("B", 5));
        let attempt = if verb == "decline" { Some(world.pay(id, "p")) } else { None };
        world.post = false;
        match verb {
            "cancel" => drop(world.send(Command::Cancel { order: id, kind: Kind::Order, reason: None })),
            "confirm" => drop(world.send(Command::Confirm { order: id, kind: Kind::Order, reason: None })),
            "pay" => drop(world.send_payment(id, "p")),
            _ => world.webhook(attempt.unwrap(), Outcome::Declined),
        }
        world.lose_mail();
        world.pass(300);
        // The request arrives, its answer does not.
        let requests: Vec<_> = world.mail.drain(..).collect();
        requests.into_iter().for_each(|message| world.step(message.to, Input::Message(message.body)));
        world.lose_mail();
        world.post = true;
        world.pass(1_000);
        let then = match verb {
            "cancel" => (0, 0, 0, 5),
            "confirm" => (0, 0, 5, 0),
            "pay" => (0, 5, 0, 0),
            _ => (5, 0, 0, 0),
        };
        assert_eq!((world.units("A"), world.units("B")), (then, then), "{verb}");
    }
}

#[test]
fn every_message_may_come_twice_and_late() {
    let mut world = World::stocked(&[("A", 5), ("B", 5)]);
    world.post = false;
    let (id, _) = world.send_order(&order("k").line("A", 5).line("B", 3));
    let mut all = Vec::new();
    let mut deliver = |world: &mut World| {
        while let Some(message) = world.mail.pop_front() {
            all.push(message.clone());
            world.step(message.to, Input::Message(message.body));
        }
    };
    deliver(&mut world);
    let payment = world.send_payment(id, "p");
    deliver(&mut world);
    let attempt = AttemptId { order: id, number: 1 };
    world.webhook(attempt, Outcome::Declined);
    deliver(&mut world);
    world.send(Command::Confirm { order: id, kind: Kind::Order, reason: None });
    deliver(&mut world);
    let (facts, units) = (world.facts(id), (world.units("A"), world.units("B")));
    assert_eq!(units, ((0, 0, 5, 0), (0, 0, 3, 2)));
    world.post = true;
    for message in all.into_iter().rev() {
        world.step(message.to, Input::Message(message.body));
        world.settle();
    }
    assert_eq!((world.facts(id), (world.units("A"), world.units("B"))), (facts, units));
    assert!(world.reply(payment).is_some());
}

#[test]
fn an_order_that_crashed_between_its_steps_goes_on() {
    for lost in 0..4 {
        let mut world = World::stocked(&[("A", 5)]);
        world.post = false;
        let (id, _) = world.send_order(&order("k").line("A", 5));
        for _ in 0..lost {
            let Some(message) = world.mail.pop_front() else { break };
            world.step(message.to, Input::Message(message.body));
        }
        world.post = true;
        world.crash();
        world.pass(1_000);
        assert_eq!((world.status(id), world.units("A")), (Status::AwaitingPayment, (5, 0, 0, 0)), "after {lost} messages");
    }
}

#[test]
fn an_order_nobody_knows_gives_its_hold_back_when_asked() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = order("ghost").id(world.partitions);
    let (home, input) = reserve(&world, id, 1, 5, world.now.plus(5_000));
    world.step(home, input);
    world.pass(4_900);
    assert_eq!(world.available("A"), 0, "not before its time");
    world.pass(200);
    assert_eq!(world.available("A"), 5);
}

/// Seen on three nodes slower than the first resend: the demand came twice, was refused and then met, and the units stayed
/// held for a rejected order until the time of the order had passed.
#[test]
fn a_hold_placed_for_an_order_that_was_rejected_meanwhile_is_given_back_at_once() {
    let mut world = World::stocked(&[("A", 0)]);
    let id = world.place(&order("k").line("A", 5));
    assert_eq!(world.status(id), Status::Rejected);
    // After a delivery of goods a duplicate of the demand arrives.
    world.stock("A", "main", 5);
    let (home, input) = reserve(&world, id, 1, 5, world.now.plus(900_000));
    world.step(home, input);
    assert_eq!(world.available("A"), 0);
    world.settle();
    assert_eq!((world.status(id), world.available("A")), (Status::Rejected, 5));
}

#[test]
fn a_sku_that_refused_and_then_held_counts_while_the_order_is_undecided() {
    for (units_of_b, then) in [(5, Status::AwaitingPayment), (0, Status::Rejected)] {
        let mut world = World::stocked(&[("A", 0), ("B", units_of_b)]);
        world.post = false;
        let (id, _) = world.send_order(&order("k").line("A", 1).line("B", 1));
        let to_b = world.mail.pop_back().unwrap();
        world.post = true;
        world.settle();
        world.stock("A", "main", 5);
        let (home, input) = reserve(&world, id, 1, 1, world.now.plus(900_000));
        world.step(home, input);
        world.settle();
        assert_eq!((world.status(id), world.available("A")), (Status::Reserving, 4));
        world.step(to_b.to, Input::Message(to_b.body));
        world.settle();
        let held = u64::from(then == Status::AwaitingPayment);
        assert_eq!((world.status(id), world.available("A")), (then, 5 - held));
    }
}

#[test]
fn a_hold_on_a_sku_that_a_partial_order_did_without_is_given_back_at_once() {
    let mut world = World::stocked(&[("A", 0), ("B", 1)]);
    let id = world.place(&order("k").line("A", 1).line("B", 1).partial());
    world.stock("A", "main", 5);
    let (home, input) = reserve(&world, id, 1, 1, world.now.plus(900_000));
    world.step(home, input);
    world.settle();
    assert_eq!((world.units("A"), world.units("B")), ((0, 0, 0, 5), (1, 0, 0, 0)));
}

/// The audit took the late hold for a second one of the SKU that was sold, as both are in one partition.
#[test]
fn a_hold_on_a_sku_that_a_sold_order_did_without_is_given_back_and_no_violation() {
    let mut world = World::stocked(&[("A", 0)]);
    let home = world.partitions.of_sku(&sku("A"));
    let beside = (0..).map(|n| format!("B{n}")).find(|name| world.partitions.of_sku(&sku(name)) == home).unwrap();
    world.stock(&beside, "main", 1);
    let id = world.place(&order("k").line("A", 1).line(&beside, 1).partial());
    world.confirm(id).unwrap();
    world.stock("A", "main", 5);
    let (home, input) = reserve(&world, id, 1, 1, world.now.plus(900_000));
    world.step(home, input);
    world.settle();
    assert_eq!((world.units("A"), world.units(&beside)), ((0, 0, 0, 5), (0, 0, 1, 0)));
}

#[test]
fn a_hold_is_asked_about_until_its_order_answers_and_never_freed_by_its_sku() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&reservation("k").line("A", 5).ttl(10_000));
    world.post = false;
    world.pass(100_000);
    assert_eq!((world.status(id), world.units("A")), (Status::Expired, (5, 0, 0, 0)));
    let asks = world.mail.iter().filter(|message| matches!(message.body, Body::ToOrder(ToOrder::HoldProbe { .. }))).count();
    assert!((8..=10).contains(&asks), "{asks}");
    world.post = true;
    world.settle();
    assert_eq!(world.available("A"), 5);
}

#[test]
fn a_commit_that_finds_no_hold_moves_nothing_and_raises_an_alarm() {
    let mut world = World::stocked(&[("A", 5)]);
    let stray = hold(order("ghost").id(world.partitions), 1);
    for op in [HoldOp::Commit, HoldOp::Pin, HoldOp::Unpin] {
        let home = world.partitions.of_sku(&sku("A"));
        world.step(home, Input::Message(ToStock::Move { sku: sku("A"), hold: stray, order_version: 1, op }.into()));
    }
    assert_eq!(std::mem::take(&mut world.alarms).len(), 1);
    let release = HoldOp::Release(ReleaseCause::Released);
    let home = world.partitions.of_sku(&sku("U"));
    world.step(home, Input::Message(ToStock::Move { sku: sku("U"), hold: stray, order_version: 1, op: release }.into()));
    assert_eq!(world.units("A"), (0, 0, 0, 5));
    assert_eq!(world.ask(Command::GetStock { sku: sku("U") }), Err(Rejection::NotFound));
}

#[test]
fn time_never_runs_backwards_inside_a_partition() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 1).ttl(10_000));
    world.pass(5_000);
    world.confirm(id).unwrap();
    let late = world.part(id.partition()).at();
    world.now = Timestamp::new(late.millis() - 4_000);
    let answer = world.cancel(id);
    assert!(matches!(answer, Err(Rejection::InvalidTransition { .. })));
    let next = (0..).map(|n| format!("n{n}")).find(|key| order(key).id(world.partitions).partition() == id.partition()).unwrap();
    let next = world.place(&order(&next).line("A", 1));
    assert!(world.order(next).created_at() >= late);
    let Ok(Answer::Order { history, .. }) = world.ask(Command::GetOrder { order: next, kind: None }) else {
        panic!("it is there")
    };
    assert!(history.iter().is_sorted_by_key(|record| record.at));
}
