//! The audit finds what it is for: each of these answers of a server is false, and no other.

use holdfast_loadtest::audit::{Answers, Counters, compare};
use holdfast_loadtest::ledger::{Breach, Ledger, Outcome, Possible};
use holdfast_loadtest::workload::{Body, Line};

const UNITS: u64 = 10;

fn accepted(id: &str) -> Outcome {
    Outcome { accepted: vec![(Body::First, id.into())], unknown: false }
}

fn line(quantity: u32) -> Vec<Line> {
    vec![Line { sku: 0, quantity }]
}

fn counters(held: u64, committed: u64) -> Option<Counters> {
    Some(Counters { available: UNITS.saturating_sub(held + committed), held, pinned: 0, committed, on_hand: UNITS })
}

/// One order that is held, one that was sold, one that was cancelled: of 4, 3 and 2 units.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(1, 1);
    ledger.close(1, &accepted("ord_1"), |_| line(4), Possible::HELD);
    ledger.close(2, &accepted("ord_2"), |_| line(3), Possible::SOLD);
    ledger.close(3, &accepted("ord_3"), |_| line(2), Possible::RETURNED);
    ledger
}

fn answers(stock: Option<Counters>, orders: [&str; 3]) -> Answers {
    let orders = orders.map(|status| (!status.is_empty()).then(|| status.to_owned()));
    Answers { stock: vec![stock], orders: orders.into(), listed: Some(vec!["ord_1".to_owned(), "ord_2".to_owned()]) }
}

const RIGHT: [&str; 3] = ["awaiting_payment", "confirmed", "cancelled"];

fn breaches(ledger: &Ledger, answers: &Answers) -> Vec<Breach> {
    compare(ledger, UNITS, answers).into_iter().map(|finding| finding.breach).collect()
}

#[test]
fn answers_that_follow_from_what_was_acknowledged_are_no_finding() {
    assert_eq!(breaches(&ledger(), &answers(counters(4, 3), RIGHT)), []);
}

#[test]
fn more_units_acknowledged_than_there_were_is_oversold() {
    let mut ledger = ledger();
    ledger.close(4, &accepted("ord_4"), |_| line(4), Possible::HELD);
    let mut answers = answers(counters(8, 3), RIGHT);
    answers.orders.push(Some("awaiting_payment".to_owned()));
    assert!(breaches(&ledger, &answers).contains(&Breach::Oversold));
}

#[test]
fn an_acknowledged_order_that_is_not_there_is_lost() {
    let found = breaches(&ledger(), &answers(counters(4, 3), ["", "confirmed", "cancelled"]));
    assert_eq!(found, [Breach::LostAcknowledgement]);
    assert_eq!(breaches(&ledger(), &answers(counters(0, 3), RIGHT)), [Breach::LostAcknowledgement], "its units are not held");
}

#[test]
fn a_confirmation_that_was_acknowledged_and_did_not_happen_is_lost() {
    let found = breaches(&ledger(), &answers(counters(7, 0), ["awaiting_payment", "awaiting_payment", "cancelled"]));
    assert_eq!(found, [Breach::LostAcknowledgement, Breach::LostAcknowledgement], "by its units and by its order");
}

#[test]
fn two_orders_under_one_key_are_found() {
    let mut twice = accepted("ord_9");
    twice.accepted.push((Body::First, "ord_10".into()));
    let mut ledger = Ledger::new(1, 1);
    ledger.close(9, &twice, |_| line(1), Possible::HELD);
    let answers = Answers { stock: vec![counters(1, 0)], orders: vec![Some("awaiting_payment".to_owned())], listed: None };
    assert_eq!(breaches(&ledger, &answers), [Breach::DoubleOrder]);
}

#[test]
fn an_order_that_nobody_was_told_of_is_found_by_its_units_and_in_the_list() {
    let mut answers = answers(counters(6, 3), RIGHT);
    answers.listed.as_mut().unwrap().push("ord_7".to_owned());
    assert_eq!(breaches(&ledger(), &answers), [Breach::DoubleOrder, Breach::DoubleOrder]);
}

#[test]
fn counters_that_do_not_add_up_are_found() {
    let short = Counters { available: 2, ..counters(4, 3).unwrap() };
    assert_eq!(breaches(&ledger(), &answers(Some(short), RIGHT)), [Breach::Inconsistent]);
    assert_eq!(breaches(&ledger(), &answers(None, RIGHT)), [Breach::Inconsistent]);
}

#[test]
fn an_order_nobody_can_tell_of_makes_its_units_possible_and_no_more() {
    let mut ledger = ledger();
    ledger.give_up(&line(2));
    for (held, expected) in [(4, 0), (6, 0), (7, 1), (3, 1)] {
        assert_eq!(breaches(&ledger, &answers(counters(held, 3), RIGHT)).len(), expected, "{held} held");
    }
}
