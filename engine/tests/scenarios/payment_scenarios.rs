//! Attempts to pay: opened, approved, declined, repeated, silent, run out of time.

use crate::draft::{Draft, command_key, order, provider, url};
use crate::world::World;
use holdfast_engine::ProviderResult;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::StoredResponse;
use holdfast_engine::ids::{AttemptId, OrderId, Ticket};
use holdfast_engine::order::{CallKind, Outcome, PaymentStatus, Status};
use holdfast_engine::quantity::Money;
use holdfast_engine::rejection::Rejection;

fn world_with_order(ttl_ms: u64) -> (World, OrderId) {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5).ttl(ttl_ms));
    (world, id)
}

fn kept(world: &World, ticket: Ticket) -> StoredResponse {
    match &world.reply(ticket).expect("it is answered").outcome {
        Ok(Answer::Stored(kept)) => (**kept).clone(),
        other => panic!("not an answer about a payment: {other:?}"),
    }
}

fn refused_in(kept: &StoredResponse) -> &str {
    match kept {
        StoredResponse::PaymentRefused { state, .. } => state,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_attempt_pins_the_units_and_answers_with_its_page() {
    let (mut world, id) = world_with_order(900_000);
    let ticket = world.send_payment(id, "p");
    assert_eq!((world.status(id), world.units("A")), (Status::PaymentInFlight, (0, 5, 0, 0)));
    assert!(world.reply(ticket).is_none(), "the page is not open yet");
    assert_eq!(world.calls[0].amount, Money::new(500));
    let attempt = world.open_page();
    let page = Some(url("https://bank.example/page"));
    assert_eq!(kept(&world, ticket), StoredResponse::Payment { attempt, redirect_url: page });
    assert_eq!(world.order(id).payment_status(), PaymentStatus::Pending);
}

#[test]
fn an_approved_order_is_sold() {
    let (mut world, id) = world_with_order(900_000);
    let attempt = world.pay(id, "p");
    world.webhook(attempt, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
    assert_eq!(world.order(id).payment_status(), PaymentStatus::Captured);
    world.pass(2_000_000);
    assert_eq!((world.status(id), world.calls.len()), (Status::Confirmed, 0));
}

#[test]
fn an_order_that_pays_at_once_is_answered_when_its_page_is_open() {
    let mut world = World::stocked(&[("A", 5)]);
    let draft = order("k").line("A", 5).paying();
    let (id, ticket) = world.send_order(&draft);
    assert!(world.reply(ticket).is_none());
    let (_, second) = world.send_order(&draft);
    assert_eq!(world.reply(second).unwrap().outcome, Err(Rejection::KeyInProgress));
    world.open_page();
    let first = world.reply(ticket).unwrap().outcome.clone().unwrap();
    let attempt = AttemptId { order: id, number: 1 };
    world.webhook(attempt, Outcome::Captured);
    let again = world.ask(draft.command(world.now, world.partitions));
    assert_eq!((again, world.status(id)), (Ok(first), Status::Confirmed));
}

#[test]
fn an_order_that_pays_at_once_and_is_rejected_asks_for_no_money() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 6).paying());
    assert_eq!((world.status(id), world.calls.len()), (Status::Rejected, 0));
}

#[test]
fn every_outcome_of_an_attempt_has_one_end() {
    struct Case {
        rule: &'static str,
        ttl_ms: u64,
        outcomes: &'static [Outcome],
        then: (Status, (u32, u32, u32, u64)),
        payment: PaymentStatus,
    }
    use Outcome::{Captured, Declined, Pending, Refunded, Timeout, Voided};
    let (held, pinned, sold) = ((5, 0, 0, 0), (0, 5, 0, 0), (0, 0, 5, 0));
    let long = 900_000;
    let case = |rule, outcomes, then, payment| Case { rule, ttl_ms: long, outcomes, then, payment };
    let cases = [
        case("approved", &[Captured], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("approved twice", &[Captured, Captured], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("declined", &[Declined], (Status::AwaitingPayment, held), PaymentStatus::Failed),
        case("declined twice", &[Declined, Declined], (Status::AwaitingPayment, held), PaymentStatus::Failed),
        case("voided", &[Voided], (Status::AwaitingPayment, held), PaymentStatus::Failed),
        case("undecided", &[Pending, Pending], (Status::PaymentInFlight, pinned), PaymentStatus::Pending),
        case("silent", &[Timeout], (Status::PaymentUnknown, pinned), PaymentStatus::Unknown),
        case("silent, then approved", &[Timeout, Timeout, Captured], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("silent, then declined", &[Timeout, Declined], (Status::AwaitingPayment, held), PaymentStatus::Failed),
        case("silent, then undecided", &[Timeout, Pending], (Status::PaymentUnknown, pinned), PaymentStatus::Unknown),
        case("declined after approval", &[Captured, Declined], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("voided after approval", &[Captured, Voided], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("silent after approval", &[Captured, Timeout], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("a refund nobody asked for", &[Captured, Refunded], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("approved after all", &[Declined, Captured], (Status::Confirmed, sold), PaymentStatus::Captured),
        case("approved after a void", &[Voided, Captured], (Status::Confirmed, sold), PaymentStatus::Captured),
        Case {
            rule: "short of time, approved",
            ttl_ms: 1_000,
            outcomes: &[Captured],
            then: (Status::Confirmed, sold),
            payment: PaymentStatus::Captured,
        },
        Case {
            rule: "short of time, voided",
            ttl_ms: 1_000,
            outcomes: &[Voided],
            then: (Status::Expired, (0, 0, 0, 5)),
            payment: PaymentStatus::Failed,
        },
    ];
    for Case { rule, ttl_ms, outcomes, then, payment } in cases {
        let (mut world, id) = world_with_order(ttl_ms);
        let attempt = world.pay(id, "p");
        world.pass(5_000);
        outcomes.iter().for_each(|outcome| world.webhook(attempt, *outcome));
        assert_eq!((world.status(id), world.units("A")), then, "{rule}");
        assert_eq!(world.order(id).payment_status(), payment, "{rule}");
    }
}

#[test]
fn a_declined_buyer_may_try_again_until_the_grace_is_over() {
    let (mut world, id) = world_with_order(10_000);
    let attempt = world.pay(id, "p1");
    world.pass(9_000);
    world.webhook(attempt, Outcome::Declined);
    assert_eq!(world.order(id).expires_at, world.now.plus(60_000));
    world.pass(59_999);
    let second = world.pay(id, "p2");
    assert_eq!(second.number, 2);
    world.webhook(second, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
}

#[test]
fn a_declined_buyer_who_stays_away_loses_the_units() {
    let (mut world, id) = world_with_order(10_000);
    let attempt = world.pay(id, "p1");
    world.webhook(attempt, Outcome::Declined);
    world.pass(60_016);
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 5));
}

#[test]
fn the_last_attempt_declined_cancels_the_order() {
    let (mut world, id) = world_with_order(900_000);
    for number in 1..=5 {
        assert_eq!(world.status(id), Status::AwaitingPayment);
        let attempt = world.pay(id, &format!("p{number}"));
        world.webhook(attempt, Outcome::Declined);
    }
    assert_eq!((world.status(id), world.available("A")), (Status::Cancelled, 5));
    assert_eq!(refused_in(&kept_of_payment(&mut world, id, "p6")), "cancelled");
}

fn kept_of_payment(world: &mut World, id: OrderId, key: &str) -> StoredResponse {
    let ticket = world.send_payment(id, key);
    kept(world, ticket)
}

#[test]
fn one_attempt_at_a_time() {
    let (mut world, id) = world_with_order(900_000);
    world.pay(id, "p1");
    assert_eq!(refused_in(&kept_of_payment(&mut world, id, "p2")), "payment_in_flight");
    assert_eq!(world.order(id).attempts.len(), 1);
}

#[test]
fn the_key_of_an_attempt_answers_the_same_for_ever() {
    let (mut world, id) = world_with_order(900_000);
    let attempt = world.pay(id, "p");
    let first = kept_of_payment(&mut world, id, "p");
    world.webhook(attempt, Outcome::Declined);
    assert_eq!(kept_of_payment(&mut world, id, "p"), first);
    world.cancel(id).unwrap();
    assert_eq!(kept_of_payment(&mut world, id, "p"), first);
    world.crash();
    assert_eq!(kept_of_payment(&mut world, id, "p"), first);
    let other = Command::StartPayment { order: id, provider: provider(), return_url: None, key: command_key("p", "other") };
    assert_eq!(world.ask(other), Err(Rejection::KeyReused));
}

#[test]
fn the_key_of_an_attempt_whose_page_is_not_open_is_in_progress() {
    let (mut world, id) = world_with_order(900_000);
    world.send_payment(id, "p");
    let second = world.send_payment(id, "p");
    assert_eq!(world.reply(second).unwrap().outcome, Err(Rejection::KeyInProgress));
    assert_eq!(world.calls.len(), 1);
}

#[test]
fn an_attempt_that_ends_before_its_page_opens_is_answered_as_refused() {
    let (mut world, id) = world_with_order(900_000);
    let ticket = world.send_payment(id, "p");
    world.answer_call(CallKind::Create, Outcome::Declined);
    let answer = kept(&world, ticket);
    assert_eq!(refused_in(&answer), "awaiting_payment");
    world.cancel(id).unwrap();
    assert_eq!(kept_of_payment(&mut world, id, "p"), answer);
}

#[test]
fn a_provider_that_does_not_answer_is_asked_again_and_again_not_given_up() {
    let (mut world, id) = world_with_order(900_000);
    world.send_payment(id, "p");
    for _ in 0..6 {
        world.answer_call(CallKind::Create, Outcome::Timeout);
        assert_eq!(world.status(id), Status::PaymentInFlight);
        assert_eq!(world.calls.len(), 0, "not at once");
        world.pass(60_016);
    }
    let attempt = world.open_page();
    world.webhook(attempt, Outcome::Captured);
    assert_eq!(world.status(id), Status::Confirmed);
}

#[test]
fn a_call_whose_answer_is_lost_is_made_again() {
    let (mut world, id) = world_with_order(900_000);
    world.send_payment(id, "p");
    let lost = world.take_call(CallKind::Create);
    world.pass(59_000);
    assert_eq!(world.calls.len(), 0);
    world.pass(1_100);
    assert_eq!(world.take_call(CallKind::Create), lost, "the same attempt, so the provider knows it");
}

#[test]
fn a_silent_buyer_is_asked_after_by_query() {
    let (mut world, id) = world_with_order(900_000);
    world.pay(id, "p");
    world.pass(9_900);
    assert_eq!(world.calls.len(), 0);
    world.pass(200);
    world.answer_call(CallKind::Query, Outcome::Pending);
    assert_eq!(world.calls.len(), 0, "the next question waits");
    world.pass(300);
    world.answer_call(CallKind::Query, Outcome::Captured);
    assert_eq!(world.status(id), Status::Confirmed);
}

#[test]
fn a_silent_provider_is_unknown_until_it_is_known() {
    let (mut world, id) = world_with_order(900_000);
    world.pay(id, "p");
    world.pass(10_016);
    world.answer_call(CallKind::Query, Outcome::Timeout);
    assert_eq!((world.status(id), world.units("A")), (Status::PaymentUnknown, (0, 5, 0, 0)));
    world.pass(1_000_000);
    assert_eq!(world.status(id), Status::PaymentUnknown, "its time is over but nobody knows about the money");
    // Asked every minute meanwhile; one of the questions is answered.
    world.calls.drain(1..);
    world.answer_call(CallKind::Query, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
}

#[test]
fn pinned_longer_than_allowed_the_attempt_is_voided_before_the_units_are_free() {
    let (mut world, id) = world_with_order(900_000);
    world.pay(id, "p");
    let mut asked = Vec::new();
    while world.status(id) == Status::PaymentInFlight {
        world.pass(60_000);
        let call = world.calls.remove(0);
        asked.push(call.kind);
        assert_eq!(world.units("A"), (0, 5, 0, 0));
        let outcome = if call.kind == CallKind::Void { Outcome::Voided } else { Outcome::Pending };
        world.provider(ProviderResult::Outcome { attempt: call.attempt, kind: call.kind, outcome });
    }
    assert_eq!(asked.iter().filter(|kind| **kind == CallKind::Void).count(), 1);
    assert!(asked.len() >= 20, "20 minutes of questions came first");
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 5));
}

#[test]
fn a_void_that_comes_too_late_sells_the_order() {
    let (mut world, id) = world_with_order(900_000);
    world.pay(id, "p");
    world.pass(1_300_000);
    world.calls.clear();
    world.pass(60_000);
    world.answer_call(CallKind::Void, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
}

#[test]
fn an_attempt_nobody_can_tell_about_is_given_up_after_a_day() {
    let (mut world, id) = world_with_order(900_000);
    world.pay(id, "p");
    world.pass(10_016);
    for _ in 0..1_500 {
        if let Some(call) = world.calls.pop() {
            let (attempt, kind) = (call.attempt, call.kind);
            world.provider(ProviderResult::Outcome { attempt, kind, outcome: Outcome::Timeout });
        }
        world.pass(61_000);
    }
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 5));
    world.webhook(AttemptId { order: id, number: 1 }, Outcome::Captured);
    assert_eq!((world.status(id), world.units("A")), (Status::Confirmed, (0, 0, 5, 0)));
}

#[test]
fn an_outcome_of_an_attempt_that_never_was_is_not_found() {
    let (mut world, id) = world_with_order(900_000);
    let attempt = AttemptId { order: id, number: 1 };
    assert_eq!(world.ask(Command::PaymentResult { attempt, outcome: Outcome::Captured }), Err(Rejection::NotFound));
    assert_eq!(world.status(id), Status::AwaitingPayment);
}

#[test]
fn a_partial_order_asks_for_the_price_of_what_it_got() {
    let mut world = World::stocked(&[("A", 2)]);
    let draft: Draft = order("k").line("A", 5).partial();
    let id = world.place(&draft);
    world.send_payment(id, "p");
    assert_eq!(world.take_call(CallKind::Create).amount, Money::new(200));
}
