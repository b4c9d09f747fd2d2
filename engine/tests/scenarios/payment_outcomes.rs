//! Money that comes late, twice, or for an order that is over: fresh holds or exactly one refund.

use crate::draft::order;
use crate::world::World;
use holdfast_engine::ids::{AttemptId, OrderId};
use holdfast_engine::order::{CallKind, Outcome, PaymentStatus, Status};

/// An order whose first attempt was declined and whose time then ran out.
fn expired(mut world: World) -> (World, OrderId, AttemptId) {
    world.stock("A", "main", 5);
    let id = world.place(&order("k").line("A", 5).ttl(10_000));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.pass(60_016);
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 5));
    (world, id, attempt)
}

fn refunds(world: &World, id: OrderId) -> (usize, usize) {
    (world.count(id, "RefundDue"), world.count(id, "Refunded"))
}

#[test]
fn late_money_finds_its_units_again_with_fresh_holds() {
    let (mut world, id, attempt) = expired(World::new());
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
    assert_eq!(refunds(&world, id), (0, 0));
    assert_eq!(world.order(id).generation, 2, "a new generation, not a second life of the old hold");
    assert_eq!(world.calls, []);
}

#[test]
fn late_money_whose_units_are_gone_is_given_back_once() {
    let (mut world, id, attempt) = expired(World::new());
    let other = world.place(&order("other").line("A", 1));
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), refunds(&world, id)), (Status::LatePayment, (1, 0)));
    assert_eq!(world.units("A"), (1, 0, 0, 4), "nothing of it stays held");
    world.webhook(attempt, Outcome::Captured);
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!((world.status(id), refunds(&world, id)), (Status::Refunded, (1, 1)));
    world.webhook(attempt, Outcome::Captured);
    world.webhook(attempt, Outcome::Refunded);
    world.pass(200_000);
    assert_eq!((refunds(&world, id), world.calls.len()), ((1, 1), 0));
    assert_eq!(world.status(other), Status::AwaitingPayment);
}

#[test]
fn late_money_is_given_back_whole_when_one_of_its_lines_is_gone() {
    let mut world = World::stocked(&[("A", 2), ("B", 2)]);
    let id = world.place(&order("k").line("A", 2).line("B", 2).ttl(10_000));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.pass(60_016);
    world.place(&order("other").line("B", 1));
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.available("A"), world.available("B")), (2, 1));
    assert_eq!(refunds(&world, id), (1, 0));
}

#[test]
fn where_the_policy_says_so_late_money_is_given_back_though_units_are_free() {
    let (mut world, id, attempt) = expired(World::refunding());
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.available("A"), refunds(&world, id)), (Status::LatePayment, 5, (1, 0)));
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!(world.status(id), Status::Refunded);
}

#[test]
fn money_that_comes_when_the_time_is_over_but_unnoticed_is_late() {
    let mut world = World::refunding();
    world.stock("A", "main", 5);
    let id = world.place(&order("k").line("A", 5).ttl(10_000));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.now = world.order(id).expires_at;
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.count(id, "Expired"), refunds(&world, id)), (1, (1, 0)));
    assert_eq!(world.available("A"), 5);
}

#[test]
fn a_partial_order_paid_late_is_held_afresh_for_what_it_had() {
    let mut world = World::stocked(&[("A", 2)]);
    let id = world.place(&order("k").line("A", 5).partial().ttl(10_000));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.pass(60_016);
    world.stock("A", "main", 9);
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 2, 7)));
}

#[test]
fn a_refund_the_provider_does_not_answer_is_asked_for_again() {
    let (mut world, id, attempt) = expired(World::refunding());
    world.webhook(attempt, Outcome::Captured);
    for _ in 0..4 {
        world.answer_call(CallKind::Refund, Outcome::Timeout);
        assert_eq!(world.calls.len(), 0, "not at once");
        world.pass(60_016);
    }
    assert_eq!(refunds(&world, id), (1, 0), "asked five times, owed once");
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!((world.status(id), refunds(&world, id)), (Status::Refunded, (1, 1)));
}

#[test]
fn a_refund_owed_survives_a_crash() {
    let (mut world, id, attempt) = expired(World::refunding());
    world.webhook(attempt, Outcome::Captured);
    world.crash();
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!((world.status(id), refunds(&world, id)), (Status::Refunded, (1, 1)));
}

#[test]
fn an_order_paid_by_two_attempts_gives_one_back_and_stays_sold() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2));
    let first = world.pay(id, "p1");
    world.webhook(first, Outcome::Declined);
    let second = world.pay(id, "p2");
    world.webhook(second, Outcome::Captured);
    world.webhook(first, Outcome::Captured);
    world.webhook(first, Outcome::Captured);
    assert_eq!(world.take_call(CallKind::Refund).attempt, first);
    world.webhook(first, Outcome::Refunded);
    assert_eq!((world.status(id), refunds(&world, id)), (Status::Confirmed, (1, 1)));
    assert_eq!((world.units("A"), world.order(id).payment_status()), ((0, 0, 2, 3), PaymentStatus::Captured));
}

#[test]
fn an_order_paid_by_an_earlier_attempt_voids_the_open_one() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2));
    let first = world.pay(id, "p1");
    world.webhook(first, Outcome::Declined);
    let second = world.pay(id, "p2");
    world.webhook(first, Outcome::Captured);
    assert_eq!(world.status(id), Status::Confirmed);
    let void = world.take_call(CallKind::Void);
    assert_eq!(void.attempt, second);
    world.webhook(second, Outcome::Captured);
    assert_eq!(refunds(&world, id), (1, 0), "the void came too late");
    assert_eq!(world.take_call(CallKind::Refund).attempt, second);
}

#[test]
fn an_order_cancelled_while_paying_voids_its_attempt_and_frees_its_units() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    let attempt = world.pay(id, "p");
    world.cancel(id).unwrap();
    assert_eq!((world.status(id), world.available("A")), (Status::Cancelled, 5));
    world.answer_call(CallKind::Void, Outcome::Voided);
    assert_eq!((world.order(id).payment_status(), refunds(&world, id)), (PaymentStatus::Failed, (0, 0)));
    world.webhook(attempt, Outcome::Declined);
    world.pass(200_000);
    assert_eq!(world.calls, []);
}

/// The provider knows more than a journal that was restored from an older copy: it would be asked for ever.
#[test]
fn an_attempt_whose_money_was_taken_and_given_back_unheard_takes_none_any_more() {
    for cancelled in [false, true] {
        let mut world = World::stocked(&[("A", 5)]);
        let id = world.place(&order("k").line("A", 5).ttl(10_000));
        world.pay(id, "p");
        if cancelled {
            world.cancel(id).unwrap();
            world.answer_call(CallKind::Void, Outcome::Refunded);
        } else {
            world.pass(10_000);
            world.answer_call(CallKind::Query, Outcome::Refunded);
        }
        world.pass(200_000);
        assert_eq!((world.order(id).payment_status(), refunds(&world, id)), (PaymentStatus::Failed, (0, 0)));
        assert_eq!((world.available("A"), &world.calls[..]), (5, &[][..]));
    }
}

#[test]
fn money_for_an_order_cancelled_while_paying_is_given_back_once() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    let attempt = world.pay(id, "p");
    world.cancel(id).unwrap();
    world.answer_call(CallKind::Void, Outcome::Captured);
    world.webhook(attempt, Outcome::Captured);
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    assert_eq!((world.status(id), refunds(&world, id)), (Status::Refunded, (1, 1)));
    assert_eq!(world.available("A"), 5);
}

#[test]
fn an_attempt_started_and_cancelled_before_it_opened_is_voided_all_the_same() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    world.send_payment(id, "p");
    world.calls.clear();
    world.cancel(id).unwrap();
    world.answer_call(CallKind::Void, Outcome::Voided);
    assert_eq!(world.order(id).payment_status(), PaymentStatus::Failed);
    assert!(world.order(id).archivable());
}

#[test]
fn late_money_waits_for_the_release_of_the_old_hold_before_it_holds_afresh() {
    let (mut world, id, attempt) = {
        let mut world = World::stocked(&[("A", 5)]);
        let id = world.place(&order("k").line("A", 5).ttl(10_000));
        let attempt = world.pay(id, "p");
        world.webhook(attempt, Outcome::Declined);
        (world, id, attempt)
    };
    world.post = false;
    world.pass(60_016);
    world.webhook(attempt, Outcome::Captured);
    assert_eq!(world.facts(id).last().unwrap(), "PaymentLate");
    world.post = true;
    world.settle();
    world.pass(1_000);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
}
