//! Where an order came from: its client and what the caller relates it to go with it, wherever it is kept and whatever it does.

use crate::draft::{order, reservation};
use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::event::{Event, Origin};
use holdfast_engine::ids::{CorrelationId, KeyName, OrderId};
use holdfast_engine::order::{CallKind, Outcome, Status};
use holdfast_engine::rejection::Rejection;

/// What each event of an order in the journal is related to.
fn related(world: &World, id: OrderId) -> Vec<Option<CorrelationId>> {
    let records = world.records();
    let of_order = records.iter().filter(|(_, record)| matches!(record.event, Event::Order { order, .. } if order == id));
    of_order.map(|(_, record)| record.event.correlation().cloned()).collect()
}

fn origin(client: &str, correlation: &str) -> Option<Box<Origin>> {
    Origin::of(KeyName::new(client), CorrelationId::new(correlation))
}

#[test]
fn every_event_of_an_order_is_related_to_what_its_placing_was() {
    let mut world = World::stocked(&[("A", 9)]);
    let id = world.place(&order("k").line("A", 2).from("shop", "cart-7"));
    let other = world.place(&order("other").line("A", 2));
    let client_alone = world.place(&reservation("r").line("A", 1).from("till", ""));
    for id in [id, other, client_alone] {
        world.cancel(id).unwrap();
    }
    assert_eq!(related(&world, id), vec![CorrelationId::new("cart-7"); 4], "{:?}", world.facts(id));
    assert_eq!([related(&world, other), related(&world, client_alone)], [vec![None; 4], vec![None; 4]]);
    assert_eq!(world.order(client_alone).placed().origin.to_origin(), origin("till", ""));
}

/// It expires after one crash, leaves memory as a row, comes back for late money, and is refunded after another.
#[test]
fn an_order_keeps_where_it_came_from_over_crashes_and_out_of_memory() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5).ttl(10_000).from("shop", "cart-7"));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.crash();
    world.pass(60_016);
    world.project();
    world.place(&order("other").line("A", 5));
    world.webhook(attempt, Outcome::Captured);
    world.crash();
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!((world.status(id), world.order(id).placed().origin.to_origin()), (Status::Refunded, origin("shop", "cart-7")));
    let related = related(&world, id);
    assert_eq!(related, vec![CorrelationId::new("cart-7"); world.facts(id).len()]);
}

/// The correlation is of the request that placed the order, not of the body that it is known by.
#[test]
fn a_retry_that_comes_from_elsewhere_is_the_same_request_and_gets_the_first_answer() {
    let mut world = World::stocked(&[("A", 5)]);
    let draft = order("k").line("A", 2).from("shop", "first");
    let place = |world: &World, draft: &crate::draft::Draft| draft.command(world.now, world.partitions);
    let first = world.ask(place(&world, &draft)).unwrap();
    for again in [draft.clone().from("", ""), draft.clone().from("till", "second")] {
        assert_eq!(world.ask(place(&world, &again)), Ok(first.clone()));
    }
    let Answer::Order { id, history } = first else { panic!("not an order") };
    assert_eq!((history.len(), world.order(id).placed().origin.to_origin()), (2, origin("shop", "first")));
    let another_body = order("k").line("A", 3).from("shop", "first");
    assert_eq!(world.ask(place(&world, &another_body)), Err(Rejection::KeyReused));
}
