//! Terms of a command: a version that was seen, and a key under which it is done once.

use crate::draft::{command_key, label, location, order, reservation, sku};
use crate::world::World;
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::command::{Command, Terms};
use holdfast_engine::event::{Bucket, Kind, StoredResponse};
use holdfast_engine::ids::{OrderId, Ticket};
use holdfast_engine::order::Status;
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;

fn keyed(key: &str, body: &str) -> Terms {
    Terms { versions: None, key: Some(command_key(key, body)) }
}

fn of_versions(versions: &[u64]) -> Terms {
    Terms { versions: Some(versions.to_vec()), key: None }
}

fn cancel(order: OrderId) -> Command {
    Command::Cancel { order, kind: Kind::Order, reason: None }
}

fn count(units: u32) -> Command {
    let (sku, location) = (sku("A"), location("main"));
    Command::SetStock { sku, location, on_hand: Quantity::new(units), safety_stock: None, priority: None, expected: None }
}

fn reply(world: &World, ticket: Ticket) -> Reply {
    world.reply(ticket).expect("the command is answered").clone()
}

#[test]
fn a_count_under_a_key_is_set_once_whatever_was_set_since() {
    let mut world = World::stocked(&[("A", 5)]);
    let first = world.ask(count(7).under(keyed("k", "7"))).unwrap();
    world.ask(count(40)).unwrap();
    for round in 0..3 {
        let again = world.send(count(7).under(keyed("k", "7")));
        assert_eq!(reply(&world, again), Reply { ticket: again, outcome: Ok(first.clone()), replayed: true }, "{round}");
        assert_eq!(world.ask(count(8).under(keyed("k", "8"))), Err(Rejection::KeyReused), "{round}");
        // In memory, out of it, and after a crash.
        match round {
            0 => assert_eq!(world.project(), 1),
            _ => world.crash(),
        }
    }
    assert_eq!(world.available("A"), 40);
}

#[test]
fn a_cancel_under_a_key_is_answered_as_it_was_carried_out_for_ever() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    world.post = false;
    let first = world.send(cancel(id).under(keyed("c", "")));
    assert!(world.reply(first).is_none(), "its SKU has not given the units back");
    assert_eq!(world.ask(cancel(id).under(keyed("c", ""))), Err(Rejection::KeyInProgress));
    world.post = true;
    world.settle();
    let answer = reply(&world, first).outcome.unwrap();
    let Answer::Order { history, .. } = &answer else { panic!("not an order: {answer:?}") };
    assert_eq!(history, world.order(id).history());
    for _ in 0..3 {
        let again = world.send(cancel(id).under(keyed("c", "")));
        assert_eq!(reply(&world, again), Reply { ticket: again, outcome: Ok(answer.clone()), replayed: true });
        assert_eq!(world.ask(cancel(id).under(keyed("c", "other"))), Err(Rejection::KeyReused));
        world.project();
        world.crash();
    }
    // Twice is once: a new key is bound to what there is, from the archive too.
    assert_eq!(world.ask(cancel(id).under(keyed("d", ""))), Ok(answer.clone()));
    assert_eq!(world.ask(cancel(id).under(keyed("d", ""))), Ok(answer));
}

#[test]
fn an_extension_under_a_key_is_counted_once() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&reservation("k").line("A", 1));
    let extend = || Command::Extend { order: id, ttl_ms: 5_000_000 }.under(keyed("e", "5000"));
    let first = world.ask(extend()).unwrap();
    let expires_at = world.order(id).expires_at;
    world.pass(10_000);
    assert_eq!(world.ask(extend()), Ok(first));
    assert_eq!(world.order(id).expires_at, expires_at);
}

#[test]
fn a_refusal_binds_the_key_unless_there_was_nothing_to_decide_on() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 5));
    let refused = world.ask(count(1).under(keyed("k", "1"))).unwrap();
    world.ask(cancel(id)).unwrap();
    assert_eq!(world.ask(count(1).under(keyed("k", "1"))), Ok(refused.clone()));
    let Answer::Stored(kept) = refused else { panic!("{refused:?}") };
    assert!(
        matches!(&*kept, StoredResponse::Refused { rejection: Rejection::BelowTaken { taken: 5, count: 1 }, .. }),
        "{kept:?}"
    );
    let confirm = Command::Confirm { order: id, kind: Kind::Order, reason: None }.under(keyed("c", ""));
    let Ok(Answer::Stored(kept)) = world.ask(confirm) else { panic!("it is over") };
    let past = Rejection::InvalidTransition { kind: Kind::Order, status: Status::Cancelled };
    assert!(matches!(&*kept, StoredResponse::Refused { rejection, .. } if *rejection == past), "{kept:?}");
    let threshold = || Command::SetThreshold { sku: sku("B"), threshold: Quantity::new(3) }.under(keyed("t", "3"));
    assert_eq!(world.ask(threshold()), Err(Rejection::NotFound));
    world.stock("B", "main", 1);
    assert!(world.ask(threshold()).is_ok());
}

#[test]
fn another_version_is_refused_changes_nothing_and_binds_no_key() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 1));
    let held = world.place(&reservation("r").line("A", 1));
    let (order_version, stock_version) = (2, 3);
    let adjust = || Command::AdjustStock {
        sku: sku("A"),
        location: location("main"),
        bucket: Bucket::OnHand,
        delta: 1,
        reason: label("count"),
        reference: None,
        key: command_key("a", "1"),
    };
    let commands = [
        (cancel(id), order_version),
        (Command::Confirm { order: id, kind: Kind::Order, reason: None }, order_version),
        (Command::Extend { order: held, ttl_ms: 50_000 }, order_version),
        (Command::SetThreshold { sku: sku("A"), threshold: Quantity::new(2) }, stock_version),
        (adjust(), stock_version),
    ];
    for (command, current) in commands {
        let records = world.records().len();
        for stale in [&[][..], &[current - 1], &[current + 1, 0]] {
            let terms = Terms { key: command.key().is_none().then(|| command_key("v", "")), ..of_versions(stale) };
            let refused = world.ask(command.clone().under(terms));
            assert_eq!(refused, Err(Rejection::VersionMismatch { current }), "{command:?}");
        }
        assert_eq!(world.records().len(), records, "{command:?}");
    }
    let done = world.ask(adjust().under(of_versions(&[1, stock_version]))).unwrap();
    // Done under its key: what it made another version of does not refuse it.
    assert_eq!(world.ask(adjust().under(of_versions(&[1, stock_version]))), Ok(done));
}

#[test]
fn a_payment_of_another_version_does_not_start_and_one_that_started_is_answered_again() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 1));
    let pay = |versions: &[u64]| {
        let key = command_key("p", "pay");
        Command::StartPayment { order: id, provider: crate::draft::provider(), return_url: None, key }
            .under(of_versions(versions))
    };
    assert_eq!(world.ask(pay(&[1])), Err(Rejection::VersionMismatch { current: 2 }));
    assert!(world.calls.is_empty());
    let first = world.send(pay(&[2]));
    world.open_page();
    let answer = reply(&world, first).outcome;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(world.ask(pay(&[2])), answer);
}

#[test]
fn an_expiry_that_is_due_is_another_version() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("k").line("A", 1));
    world.now = world.order(id).expires_at.plus(60_000);
    assert_eq!(world.ask(cancel(id).under(of_versions(&[2]))), Err(Rejection::VersionMismatch { current: 3 }));
}
