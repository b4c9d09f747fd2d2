//! Defects that users of comparable systems reported, each as the rule that forbids it here.
//!
//! The head comment of a test tells the defect and who had it; `complaints.md` has the threads.

use crate::draft::{Draft, order, reservation};
use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::event::StoredResponse;
use holdfast_engine::ids::{AttemptId, OrderId};
use holdfast_engine::order::{CallKind, Outcome, PaymentStatus, Status};

fn lost(world: &World, ids: &[OrderId]) -> usize {
    ids.iter().filter(|id| world.status(**id) == Status::Rejected).count()
}

fn paid(world: &mut World, draft: &Draft) -> (OrderId, AttemptId) {
    let id = world.place(draft);
    let attempt = world.pay(id, &format!("pay-{}", draft.key));
    world.webhook(attempt, Outcome::Captured);
    (id, attempt)
}

/// Saleor, Vendure, Medusa: two concurrent checkouts both passed the check and allocated more than there was.
/// Spree went to minus one on the last unit; Solidus failed the loser with an unhandled error.
#[test]
fn of_two_checkouts_for_the_last_unit_one_wins_and_the_other_is_told_so() {
    for reversed in [false, true] {
        let mut world = World::stocked(&[("A", 1)]);
        world.post = false;
        let (first, _) = world.send_order(&order("k1").line("A", 1));
        let (second, _) = world.send_order(&order("k2").line("A", 1));
        if reversed {
            world.mail.make_contiguous().reverse();
        }
        world.post = true;
        world.settle();
        assert_eq!(lost(&world, &[first, second]), 1);
        assert_eq!(world.units("A"), (1, 0, 0, 0));
        let loser = if world.status(first) == Status::Rejected { first } else { second };
        assert_eq!(world.order(loser).shortages()[0].available, Some(0));
    }
}

/// Medusa: concurrent reservations desynchronised the reserved quantity from its reservations.
#[test]
fn of_a_thousand_reservations_for_ten_units_exactly_ten_are_held() {
    let mut world = World::stocked(&[("A", 10)]);
    world.post = false;
    let ids: Vec<OrderId> = (0..1_000).map(|n| world.send_order(&reservation(&format!("r{n}")).line("A", 1)).0).collect();
    world.post = true;
    world.settle();
    assert_eq!(lost(&world, &ids), 990);
    assert_eq!(world.units("A"), (10, 0, 0, 0));
}

/// Two orders over the same two SKUs in opposite order deadlocked (Magento, at 16 parallel checkouts) or each kept
/// what the other lacked.
#[test]
fn orders_that_cross_over_two_skus_never_wait_for_each_other() {
    let mut world = World::stocked(&[("A", 1), ("B", 1)]);
    world.post = false;
    let (first, _) = world.send_order(&order("k1").line("A", 1).line("B", 1));
    let (second, _) = world.send_order(&order("k2").line("B", 1).line("A", 1));
    // A serves the first order, B the second.
    world.mail.swap(1, 3);
    world.post = true;
    world.settle();
    for id in [first, second] {
        assert_ne!(world.status(id), Status::Reserving);
    }
    let winners = 2 - lost(&world, &[first, second]) as u64;
    assert_eq!((world.available("A"), world.available("B")), (1 - winners, 1 - winners));
}

/// Vendure had no expiry of unpaid orders, CoreShop kept their stock on hold; "100 units, 60 paid, 40 silently
/// disappear" (Shopper).
#[test]
fn of_a_hundred_units_sixty_paid_forty_come_back() {
    let mut world = World::stocked(&[("A", 100)]);
    for n in 0..100 {
        let draft = order(&format!("k{n}")).line("A", 1);
        if n % 5 < 3 {
            paid(&mut world, &draft);
        } else {
            world.place(&draft);
        }
    }
    assert_eq!(world.available("A"), 0);
    world.pass(1_000_000);
    assert_eq!(world.units("A"), (0, 0, 60, 40));
}

/// Medusa: a compensation that ran twice drove the reserved quantity negative; Magento compensated bundles twice.
#[test]
fn stock_comes_back_on_expiry_exactly_once_however_often_it_is_told() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5).ttl(10_000));
    world.post = false;
    world.pass(10_016);
    let releases: Vec<_> = world.mail.iter().cloned().collect();
    world.post = true;
    world.settle();
    let other = world.place(&order("other").line("A", 3));
    world.mail.extend(releases.into_iter().cycle().take(3));
    world.settle();
    world.crash();
    world.pass(100_000);
    assert_eq!((world.status(id), world.status(other)), (Status::Expired, Status::AwaitingPayment));
    assert_eq!(world.units("A"), (3, 0, 0, 2));
}

/// Medusa: after a failed authorisation a second attempt was impossible. WooCommerce: a retry became a backorder
/// because the stock had been sold meanwhile.
#[test]
fn after_a_decline_a_second_attempt_finds_its_units_still_held() {
    let mut world = World::stocked(&[("A", 1)]);
    let id = world.place(&order("k").line("A", 1));
    let first = world.pay(id, "p1");
    world.webhook(first, Outcome::Declined);
    let other = world.place(&order("other").line("A", 1));
    assert_eq!(world.status(other), Status::Rejected);
    let second = world.pay(id, "p2");
    world.webhook(second, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 1, 0)));
}

/// Mollie for WooCommerce: a late `paid` webhook revived a refunded or cancelled order and took its stock again.
#[test]
fn a_late_paid_webhook_does_not_revive_a_cancelled_order() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Declined);
    world.cancel(id).unwrap();
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::LatePayment, (0, 0, 0, 5)));
    world.answer_call(CallKind::Refund, Outcome::Refunded);
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Refunded, (0, 0, 0, 5)));
    assert_eq!((world.count(id, "RefundDue"), world.count(id, "Paid")), (1, 0));
}

/// Mollie for WooCommerce: an `expired` or `failed` webhook cancelled an order that was paid.
#[test]
fn a_webhook_of_failure_does_not_cancel_a_paid_order() {
    for outcome in [Outcome::Declined, Outcome::Voided, Outcome::Timeout, Outcome::Pending] {
        let mut world = World::stocked(&[("A", 5)]);
        let (id, attempt) = paid(&mut world, &order("k").line("A", 2));
        let facts = world.facts(id);
        world.webhook(attempt, outcome);
        assert_eq!((world.facts(id), world.units("A")), (facts, (0, 0, 2, 3)), "{outcome:?}");
    }
}

/// Webhooks out of order: the failure of a first attempt arrives after the second one paid.
#[test]
fn the_failure_of_an_earlier_attempt_does_not_undo_a_later_one() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 2));
    let first = world.pay(id, "p1");
    world.webhook(first, Outcome::Declined);
    let second = world.pay(id, "p2");
    world.webhook(second, Outcome::Captured);
    world.webhook(first, Outcome::Declined);
    world.webhook(first, Outcome::Voided);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 2, 3)));
}

/// Medusa: a simultaneous double tap created two payment collections; double captures; "no order, but everything
/// successful".
#[test]
fn a_double_click_makes_one_order_and_one_payment() {
    let mut world = World::stocked(&[("A", 5)]);
    let draft = order("k").line("A", 1);
    let (id, _) = world.send_order(&draft);
    let (same, _) = world.send_order(&draft);
    assert_eq!(id, same);
    let first = world.send_payment(id, "p");
    let second = world.send_payment(id, "p");
    let other_tab = world.send_payment(id, "p-other");
    assert_eq!(world.calls.len(), 1);
    let attempt = world.open_page();
    world.webhook(attempt, Outcome::Captured);
    world.webhook(attempt, Outcome::Captured);
    assert_eq!(world.order(id).attempts.len(), 1);
    assert_eq!((world.count(id, "Paid"), world.units("A")), (1, (0, 0, 1, 4)));
    assert!([first, second, other_tab].iter().all(|ticket| world.reply(*ticket).is_some()));
    let Ok(Answer::Stored(kept)) = &world.reply(other_tab).unwrap().outcome else { panic!("it is answered") };
    assert!(matches!(&**kept, StoredResponse::PaymentRefused { .. }));
}

/// Medusa: the webhook of the provider and the completion by the storefront raced, and both completed.
#[test]
fn webhook_and_query_race_and_one_of_them_counts() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 1));
    let attempt = world.pay(id, "p");
    world.pass(10_016);
    world.webhook(attempt, Outcome::Captured);
    world.answer_call(CallKind::Query, Outcome::Captured);
    assert_eq!((world.count(id, "Paid"), world.count(id, "RefundDue")), (1, 0));
    assert_eq!(world.units("A"), (0, 0, 1, 4));
}

/// Medusa: the total said yes, the reservation against the first location said no. Spree failed to split one plus one.
#[test]
fn an_order_larger_than_each_warehouse_is_split_over_them() {
    let mut world = World::new();
    world.stock("A", "east", 1);
    world.stock("A", "west", 1);
    let (id, _) = paid(&mut world, &order("k").line("A", 2));
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 2, 0)));
    assert_eq!(world.order(id).lines().next().unwrap().allocations.iter().count(), 2);
}

/// WooCommerce: a shopper was blocked by the hold of their own order; Sylius and PrestaShop refused the buyer's retry.
#[test]
fn an_order_does_not_block_itself() {
    let mut world = World::stocked(&[("A", 1)]);
    let draft = order("k").line("A", 1);
    world.post = false;
    let (id, _) = world.send_order(&draft);
    // The demand is sent again before its first answer came: the second finds the hold of the first.
    world.pass(2_000);
    world.post = true;
    world.settle();
    assert_eq!(world.status(id), Status::AwaitingPayment);
    world.place(&draft);
    assert_eq!(world.units("A"), (1, 0, 0, 0));
}

/// Vendure: cancelling an order in payment gave back what was never taken, or took it again; stock went negative.
#[test]
fn cancelling_gives_back_what_was_taken_and_no_more() {
    let mut world = World::stocked(&[("A", 5), ("B", 1)]);
    let rejected = world.place(&order("k1").line("A", 2).line("B", 2));
    assert!(world.cancel(rejected).is_err());
    assert_eq!((world.available("A"), world.available("B")), (5, 1));
    let partial = world.place(&order("k2").line("A", 2).line("B", 2).partial());
    world.pay(partial, "p");
    world.cancel(partial).unwrap();
    assert_eq!((world.available("A"), world.available("B")), (5, 1));
}

/// Saleor: the expiry of a checkout was ignored for ever once a payment object was attached to it.
#[test]
fn an_attempt_that_ended_does_not_keep_the_hold_for_ever() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5).ttl(10_000));
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Voided);
    world.pass(10_016);
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 5));
}

/// Medusa: charged although the stock was zero, and the charge could not be taken back.
#[test]
fn whoever_is_charged_has_the_units_or_gets_the_money_back() {
    for refund in [false, true] {
        let mut world = World::stocked(&[("A", 1)]);
        let id = world.place(&order("k").line("A", 1).ttl(10_000));
        let attempt = world.pay(id, "p");
        world.webhook(attempt, Outcome::Declined);
        world.pass(60_016);
        if refund {
            world.place(&order("other").line("A", 1));
        }
        world.webhook(attempt, Outcome::Captured);
        let then = if refund { (PaymentStatus::RefundDue, (1, 0, 0, 0)) } else { (PaymentStatus::Captured, (0, 0, 1, 0)) };
        assert_eq!((world.order(id).payment_status(), world.units("A")), then);
    }
}

/// Holds that live for a day at most and a second at least: one minute was too long for one-off items (WooCommerce).
#[test]
fn a_hold_may_be_as_short_as_a_second() {
    let mut world = World::stocked(&[("A", 1)]);
    let id = world.place(&reservation("r").line("A", 1).ttl(1_000));
    world.pass(1_016);
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 1));
}
