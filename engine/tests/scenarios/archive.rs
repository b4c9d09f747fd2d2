//! Closed orders and old keys leave memory, and nobody who asks can tell.

use crate::draft::{command_key, label, location, order, reservation, sku};
use crate::world::World;
use holdfast_engine::Causality;
use holdfast_engine::Input;
use holdfast_engine::command::Command;
use holdfast_engine::effect::Archive;
use holdfast_engine::event::{Bucket, Kind};
use holdfast_engine::ids::{AttemptId, OrderId};
use holdfast_engine::order::{CallKind, Outcome, Status};
use holdfast_engine::protocol::ToStock;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::time::{LatePayment, Policy};

fn in_memory(world: &World, id: OrderId) -> bool {
    world.part(id.partition()).order(id).is_some()
}

/// An expired order, out of memory, whose declined attempt may still bring money.
fn archived(mut world: World) -> (World, OrderId, AttemptId) {
    world.stock("A", "main", 5);
    let id = world.place(&order("k").line("A", 5).ttl(10_000));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.pass(60_016);
    assert!(world.project() > 0);
    assert!(!in_memory(&world, id));
    (world, id, attempt)
}

#[test]
fn an_order_leaves_memory_once_it_is_closed_and_projected_and_not_before() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2));
    assert_eq!(world.project(), 0, "an open order is nobody's history");
    world.confirm(id).unwrap();
    assert!(in_memory(&world, id), "closed, but not yet projected");
    assert_eq!(world.project(), 1);
    assert!(!in_memory(&world, id));
    assert_eq!(world.units("A"), (0, 0, 2, 3));
}

#[test]
fn an_archived_order_answers_as_before() {
    let mut world = World::stocked(&[("A", 5)]);
    let draft = order("k").line("A", 2);
    let place = draft.command(world.now, world.partitions);
    let placed = world.ask(place.clone()).unwrap();
    let id = draft.id(world.partitions);
    world.confirm(id).unwrap();
    let read = Command::GetOrder { order: id, kind: Some(Kind::Order) };
    let confirm = Command::Confirm { order: id, kind: Kind::Order, reason: None };
    let cancel = Command::Cancel { order: id, kind: Kind::Order, reason: None };
    let other = order("k").line("A", 3).command(world.now, world.partitions);
    let commands = [place, read, confirm, cancel, other, Command::GetOrder { order: id, kind: Some(Kind::Reservation) }];
    let before = commands.clone().map(|command| world.ask(command));
    world.project();
    assert!(!in_memory(&world, id));
    let after = commands.map(|command| world.ask(command));
    assert_eq!(before, after);
    assert_eq!(after[0], Ok(placed));
    assert!(!in_memory(&world, id), "reading brings nothing back");
    assert_eq!(world.available("A"), 3);
}

#[test]
fn a_released_reservation_out_of_memory_is_released_once_more_without_effect() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&reservation("r").line("A", 2));
    let first = world.cancel(id).unwrap();
    world.project();
    let again = Command::Cancel { order: id, kind: Kind::Reservation, reason: None };
    assert_eq!(world.ask(again), Ok(first));
    assert_eq!(world.available("A"), 5);
}

#[test]
fn late_money_brings_an_archived_order_back_and_sells_it() {
    let (mut world, id, attempt) = archived(World::new());
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
    world.project();
    assert!(!in_memory(&world, id));
    world.webhook(attempt, Outcome::Captured);
    assert!(!in_memory(&world, id), "a webhook told again changes nothing");
    assert_eq!(world.units("A"), (0, 0, 5, 0));
}

#[test]
fn late_money_of_an_archived_order_whose_units_are_gone_is_given_back_once() {
    let (mut world, id, attempt) = archived(World::new());
    world.place(&order("other").line("A", 5));
    world.webhook(attempt, Outcome::Captured);
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!(world.status(id), Status::Refunded);
    world.project();
    world.webhook(attempt, Outcome::Captured);
    world.pass(100_000);
    assert_eq!(world.calls, []);
}

#[test]
fn late_money_of_an_archived_order_survives_a_crash() {
    let policy = Policy { late_payment: LatePayment::Refund, ..Policy::default() };
    let (mut world, id, attempt) = archived(World::with(Causality::OneLog, policy));
    world.webhook(attempt, Outcome::Captured);
    world.crash();
    assert_eq!(world.status(id), Status::LatePayment);
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!((world.status(id), world.count(id, "RefundDue")), (Status::Refunded, 1));
}

#[test]
fn an_order_that_changed_while_it_was_written_is_written_again() {
    let (mut world, id, attempt) = {
        let mut world = World::stocked(&[("A", 5)]);
        let id = world.place(&order("k").line("A", 5).ttl(10_000));
        let attempt = world.pay(id, "p");
        world.webhook(attempt, Outcome::Declined);
        world.pass(60_016);
        (world, id, attempt)
    };
    let stale: Vec<Archive> = world.archive.drain(..).collect();
    world.webhook(attempt, Outcome::Captured);
    let [Archive::Order { partition, order: archived, history }] = stale.as_slice() else { panic!("one order: {stale:?}") };
    world.step(*partition, Input::Archived { orders: vec![(*archived, history.len())], keys: Vec::new() });
    assert!(in_memory(&world, id), "what the projection has is not all");
    world.project();
    assert!(!in_memory(&world, id));
}

#[test]
fn an_archive_order_lost_in_a_crash_is_given_again() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    world.cancel(id).unwrap();
    world.crash();
    assert_eq!(world.project(), 1);
    assert!(!in_memory(&world, id));
}

#[test]
fn a_key_out_of_memory_answers_as_before() {
    let mut world = World::stocked(&[("A", 5)]);
    let adjust = |body: &str, delta| Command::AdjustStock {
        sku: sku("A"),
        location: location("main"),
        bucket: Bucket::OnHand,
        delta,
        reason: label("count"),
        reference: None,
        key: command_key("k", body),
    };
    let first = world.ask(adjust("one", 3)).unwrap();
    assert_eq!(world.project(), 1);
    let home = world.partitions.of_sku(&sku("A"));
    assert_eq!(world.part(home).missing(&adjust("one", 3)).key, Some(command_key("k", "").hash));
    assert_eq!(world.ask(adjust("one", 3)), Ok(first));
    assert_eq!(world.ask(adjust("two", 4)), Err(Rejection::KeyReused));
    assert_eq!(world.available("A"), 8);
}

#[test]
fn the_key_of_an_attempt_of_an_archived_order_answers_as_before() {
    let (mut world, id, _) = archived(World::new());
    let ticket = world.send_payment(id, "p");
    let reply = world.reply(ticket).unwrap();
    assert!(reply.replayed && reply.outcome.is_ok(), "{reply:?}");
    assert!(!in_memory(&world, id));
}

#[test]
fn an_archived_order_keeps_its_hold_from_coming_back() {
    let (mut world, id, _) = archived(World::new());
    let demand = holdfast_engine::stock::ReserveRequest {
        hold: crate::draft::hold(id, 1),
        order_version: 1,
        quantity: holdfast_engine::quantity::Quantity::new(5),
        partial: false,
        locations: 256,
        probe_at: world.now.plus(1_000),
    };
    world.pass(31_000);
    world.stock("A", "main", 5);
    let home = world.partitions.of_sku(&sku("A"));
    world.step(home, Input::Message(ToStock::Reserve { sku: sku("A"), request: demand }.into()));
    world.settle();
    world.pass(2_000);
    assert_eq!(world.available("A"), 5);
}
