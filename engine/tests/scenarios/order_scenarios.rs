//! An order from placement to its one final decision, payment left aside.

use crate::draft::{Draft, command_key, order, provider};
use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Kind, StoredResponse};
use holdfast_engine::ids::OrderId;
use holdfast_engine::order::{PaymentStatus, Status};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::rejection::Rejection;

/// (line, SKU, requested, available) of every shortage.
fn shortages(world: &World, id: OrderId) -> Vec<(u16, String, u32, Option<u64>)> {
    let all = world.order(id).shortages();
    all.iter().map(|short| (short.line, short.sku.to_string(), short.requested.units(), short.available)).collect()
}

fn line_units(world: &World, id: OrderId) -> Vec<u32> {
    world.order(id).lines().map(|line| line.units.units()).collect()
}

#[test]
fn an_order_holds_all_its_lines() {
    let mut world = World::stocked(&[("A", 5), ("B", 5), ("C", 5)]);
    let id = world.place(&order("k").line("A", 2).line("B", 3).line("C", 5));
    assert_eq!(world.status(id), Status::AwaitingPayment);
    assert_eq!(line_units(&world, id), [2, 3, 5]);
    assert_eq!((world.available("A"), world.available("B"), world.available("C")), (3, 2, 0));
    assert_eq!(world.order(id).amount(), Money::new(1_000));
}

#[test]
fn an_order_that_cannot_have_all_lines_holds_none() {
    struct Case {
        rule: &'static str,
        when: Draft,
        then: Vec<(u16, &'static str, u32, Option<u64>)>,
    }
    // Given 5 of A, 1 of B, none of C, and U that nobody ever stocked.
    let cases = [
        Case { rule: "one line short", when: order("k").line("A", 6), then: vec![(1, "A", 6, Some(5))] },
        Case { rule: "the second line short", when: order("k").line("A", 5).line("B", 2), then: vec![(2, "B", 2, Some(1))] },
        Case {
            rule: "two lines short, both are told",
            when: order("k").line("B", 2).line("A", 1).line("C", 1),
            then: vec![(1, "B", 2, Some(1)), (3, "C", 1, Some(0))],
        },
        Case {
            rule: "lines of one SKU are summed, the first is named",
            when: order("k").line("B", 1).line("A", 3).line("A", 3),
            then: vec![(2, "A", 6, Some(5))],
        },
        Case {
            rule: "a SKU nobody stocked has no available",
            when: order("k").line("A", 1).line("U", 1),
            then: vec![(2, "U", 1, None)],
        },
        Case {
            rule: "not even a partial order may name a SKU nobody stocked",
            when: order("k").line("A", 1).line("U", 1).partial(),
            then: vec![(2, "U", 1, None)],
        },
        Case {
            rule: "a partial order that gets nothing",
            when: order("k").line("C", 4).partial(),
            then: vec![(1, "C", 4, Some(0))],
        },
    ];
    for Case { rule, when, then } in cases {
        let mut world = World::stocked(&[("A", 5), ("B", 1), ("C", 0)]);
        let id = world.place(&when);
        let mut found = shortages(&world, id);
        found.sort();
        assert_eq!(found, then.into_iter().map(|(l, s, r, a)| (l, s.to_owned(), r, a)).collect::<Vec<_>>(), "{rule}");
        assert_eq!(world.status(id), Status::Rejected, "{rule}");
        assert_eq!((world.available("A"), world.available("B")), (5, 1), "{rule}: what was held is back");
        assert!(world.order(id).stock_settled, "{rule}");
    }
}

#[test]
fn lines_of_one_sku_are_held_together_and_dealt_out_first_line_first() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2).line("A", 3));
    assert_eq!(line_units(&world, id), [2, 3]);
    assert_eq!(world.units("A"), (5, 0, 0, 0));
    let partial = order("p").line("A", 2).line("A", 3).partial();
    world.cancel(id).unwrap();
    world.stock("A", "main", 4);
    let id = world.place(&partial);
    assert_eq!(line_units(&world, id), [2, 2]);
}

#[test]
fn a_partial_order_takes_what_there_is_and_owes_for_that() {
    let mut world = World::stocked(&[("A", 3), ("B", 0), ("C", 9)]);
    let id = world.place(&order("k").line("A", 5).line("B", 1).line("C", 2).partial());
    assert_eq!(world.status(id), Status::AwaitingPayment);
    assert_eq!(line_units(&world, id), [3, 0, 2]);
    assert_eq!(world.order(id).amount(), Money::new(500));
    world.confirm(id).unwrap();
    assert_eq!((world.units("A"), world.units("C")), ((0, 0, 3, 0), (0, 0, 2, 7)));
}

#[test]
fn an_order_over_several_locations_names_what_each_gives() {
    let mut world = World::new();
    world.stock("A", "east", 2);
    world.stock("A", "west", 2);
    let id = world.place(&order("k").line("A", 3));
    let line = world.order(id).lines().next().unwrap();
    let given: Vec<(&str, u32)> = line.allocations.iter().map(|a| (a.location, a.quantity.units())).collect();
    assert_eq!(given, [("east", 2), ("west", 1)]);
}

#[test]
fn confirming_by_invoice_commits_the_units() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2));
    world.confirm(id).unwrap();
    assert_eq!(world.status(id), Status::Confirmed);
    assert_eq!(world.order(id).payment_status(), PaymentStatus::Invoiced);
    assert_eq!(world.units("A"), (0, 0, 2, 3));
}

#[test]
fn an_unpaid_order_expires_at_its_time_and_returns_its_stock() {
    let mut world = World::stocked(&[("A", 2), ("B", 2)]);
    let id = world.place(&order("k").line("A", 2).line("B", 1).ttl(10_000));
    world.pass(9_999);
    assert_eq!((world.status(id), world.available("A")), (Status::AwaitingPayment, 0));
    world.pass(17);
    assert_eq!((world.status(id), world.available("A"), world.available("B")), (Status::Expired, 2, 2));
    assert_eq!(world.count(id, "Expired"), 1);
    assert_eq!(world.count(id, "Settled"), 1);
}

#[test]
fn what_may_be_asked_of_an_order_depends_on_its_state() {
    struct Case {
        rule: &'static str,
        given: fn(&mut World) -> OrderId,
        cancel: Result<Status, Rejection>,
        confirm: Result<Status, Rejection>,
    }
    let refused = |status| Err(Rejection::InvalidTransition { kind: Kind::Order, status });
    let cases = [
        Case { rule: "awaiting payment", given: awaiting, cancel: Ok(Status::Cancelled), confirm: Ok(Status::Confirmed) },
        Case { rule: "page open", given: paying, cancel: Ok(Status::Cancelled), confirm: refused(Status::PaymentInFlight) },
        Case { rule: "confirmed", given: confirmed, cancel: refused(Status::Confirmed), confirm: Ok(Status::Confirmed) },
        Case { rule: "cancelled", given: cancelled, cancel: Ok(Status::Cancelled), confirm: refused(Status::Cancelled) },
        Case { rule: "expired", given: expired, cancel: refused(Status::Expired), confirm: Err(Rejection::ReservationExpired) },
        Case { rule: "rejected", given: rejected, cancel: refused(Status::Rejected), confirm: refused(Status::Rejected) },
    ];
    for Case { rule, given, cancel, confirm } in cases {
        for (verb, then) in [("cancel", cancel), ("confirm", confirm)] {
            let mut world = World::stocked(&[("A", 5)]);
            let id = given(&mut world);
            let before = world.facts(id);
            let outcome = if verb == "cancel" { world.cancel(id) } else { world.confirm(id) };
            assert_eq!(outcome.map(|_| world.status(id)), then, "{verb} when {rule}");
            if then.is_err() {
                assert_eq!(world.facts(id), before, "{verb} when {rule} leaves no fact");
            }
        }
    }
}

fn awaiting(world: &mut World) -> OrderId {
    world.place(&order("k").line("A", 2))
}

fn paying(world: &mut World) -> OrderId {
    let id = awaiting(world);
    world.pay(id, "p");
    id
}

fn confirmed(world: &mut World) -> OrderId {
    let id = awaiting(world);
    world.confirm(id).unwrap();
    id
}

fn cancelled(world: &mut World) -> OrderId {
    let id = awaiting(world);
    world.cancel(id).unwrap();
    id
}

fn expired(world: &mut World) -> OrderId {
    let id = awaiting(world);
    world.pass(900_016);
    id
}

fn rejected(world: &mut World) -> OrderId {
    world.place(&order("k").line("A", 6))
}

#[test]
fn a_cancelled_order_returns_its_stock_once() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    let first = world.cancel(id).unwrap();
    assert_eq!(world.available("A"), 5);
    assert_eq!(world.cancel(id), Ok(first));
    assert_eq!(world.available("A"), 5);
    assert_eq!(world.count(id, "Cancelled"), 1);
}

#[test]
fn an_order_cancelled_before_its_skus_answered_holds_nothing_ever() {
    let mut world = World::stocked(&[("A", 5)]);
    world.post = false;
    let (id, placing) = world.send_order(&order("k").line("A", 5));
    let cancelling = world.send(Command::Cancel { order: id, kind: Kind::Order, reason: None });
    // The release overtakes the demand.
    world.mail.make_contiguous().reverse();
    world.post = true;
    world.settle();
    assert_eq!((world.status(id), world.available("A")), (Status::Cancelled, 5));
    assert!(world.reply(placing).is_some() && world.reply(cancelling).is_some());
}

#[test]
fn a_command_names_an_order_that_exists_and_is_of_its_kind() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 1));
    let wrong = Command::Cancel { order: id, kind: Kind::Reservation, reason: None };
    assert_eq!(world.ask(wrong), Err(Rejection::NotFound));
    assert_eq!(world.extend(id, 5_000), Err(Rejection::NotFound));
    let nobody = order("other").id(world.partitions);
    for command in [
        Command::GetOrder { order: nobody, kind: None },
        Command::GetOrder { order: id, kind: Some(Kind::Reservation) },
        Command::Confirm { order: nobody, kind: Kind::Order, reason: None },
        Command::StartPayment { order: nobody, provider: provider(), return_url: None, key: command_key("p", "pay") },
    ] {
        assert_eq!(world.ask(command), Err(Rejection::NotFound));
    }
    assert_eq!(world.facts(id), ["Placed", "Held"]);
}

#[test]
fn a_key_answers_the_same_after_every_later_change() {
    type Change = fn(&mut World, OrderId);
    let draft = order("k").line("A", 2);
    let changes: [(&str, Change); 5] = [
        ("nothing", |_, _| {}),
        ("confirmed", |world, id| drop(world.confirm(id).unwrap())),
        ("cancelled", |world, id| drop(world.cancel(id).unwrap())),
        ("expired", |world, _| world.pass(1_000_000)),
        ("paying", |world, id| assert_eq!(world.pay(id, "p").number, 1)),
    ];
    for (name, change) in changes {
        let mut world = World::stocked(&[("A", 2)]);
        let command = draft.command(world.now, world.partitions);
        let first = world.ask(command.clone()).unwrap();
        let id = draft.id(world.partitions);
        change(&mut world, id);
        let facts = world.facts(id);
        let ticket = world.send(command.clone());
        let again = world.reply(ticket).unwrap();
        assert_eq!((again.outcome.clone(), again.replayed), (Ok(first.clone()), true), "after: {name}");
        assert_eq!(world.facts(id), facts, "a replay leaves no fact");
        world.crash();
        assert_eq!(world.ask(command), Ok(first), "after a crash and: {name}");
    }
}

#[test]
fn a_rejected_order_stays_rejected_under_its_key() {
    let mut world = World::stocked(&[("A", 1)]);
    let draft = order("k").line("A", 2);
    let id = world.place(&draft);
    world.stock("A", "main", 10);
    world.place(&draft);
    assert_eq!(world.status(id), Status::Rejected);
    assert_eq!(world.available("A"), 10);
}

#[test]
fn a_key_used_for_another_body_is_refused() {
    let mut world = World::stocked(&[("A", 5)]);
    world.place(&order("k").line("A", 1));
    let other = order("k").line("A", 2).command(world.now, world.partitions);
    assert_eq!(world.ask(other), Err(Rejection::KeyReused));
    assert_eq!(world.available("A"), 4);
}

#[test]
fn a_key_whose_first_request_is_not_answered_is_in_progress() {
    let mut world = World::stocked(&[("A", 5)]);
    world.post = false;
    let draft = order("k").line("A", 1);
    let (_, first) = world.send_order(&draft);
    let (_, second) = world.send_order(&draft);
    assert_eq!(world.reply(second).unwrap().outcome, Err(Rejection::KeyInProgress));
    assert!(world.reply(first).is_none());
    world.post = true;
    world.settle();
    assert!(world.reply(first).unwrap().outcome.is_ok());
    assert_eq!(world.available("A"), 4);
}

#[test]
fn orders_are_numbered_without_a_meeting_of_partitions() {
    let mut world = World::stocked(&[("A", 100)]);
    let ids: Vec<OrderId> = (0..30).map(|n| world.place(&order(&format!("k{n}")).line("A", 1))).collect();
    let mut numbers: Vec<u64> = ids.iter().map(|id| world.order(*id).placed().number).collect();
    let of_first: Vec<u64> = numbers.iter().copied().filter(|number| number % 3 == 1).collect();
    assert!(of_first.iter().zip(0..).all(|(number, count)| *number == count * 3 + 1), "dense inside a partition");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 30);
}

#[test]
fn an_order_shorter_lived_than_its_answers_expires_and_says_so() {
    let mut world = World::stocked(&[("A", 5)]);
    world.post = false;
    let (id, ticket) = world.send_order(&order("k").line("A", 1).ttl(1_000));
    world.pass(31_000);
    world.post = true;
    world.settle();
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 5));
    let Ok(Answer::Order { history, .. }) = &world.reply(ticket).unwrap().outcome else { panic!("it is answered") };
    assert_eq!(history.len(), 2);
}

#[test]
fn a_payment_of_an_order_that_is_over_is_refused_and_the_refusal_is_kept() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = cancelled(&mut world);
    let mut states = Vec::new();
    for _ in 0..2 {
        let ticket = world.send_payment(id, "p");
        let Ok(Answer::Stored(kept)) = &world.reply(ticket).unwrap().outcome else { panic!("it is answered") };
        let StoredResponse::PaymentRefused { state, .. } = &**kept else { panic!("not refused: {kept:?}") };
        states.push((state.clone(), world.reply(ticket).unwrap().replayed));
    }
    assert_eq!(states, [("cancelled".to_owned(), false), ("cancelled".to_owned(), true)]);
    assert_eq!(world.calls, []);
    assert_eq!(world.buckets("A").on_hand, Quantity::new(5));
}
