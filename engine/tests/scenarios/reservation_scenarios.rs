//! Direct reservations: the saga of an order without payment, under names of its own.

use crate::draft::{command_key, provider, reservation};
use crate::world::World;
use holdfast_engine::Causality;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::{Command, Terms};
use holdfast_engine::event::{HoldLimit, Kind, StoredResponse};
use holdfast_engine::ids::OrderId;
use holdfast_engine::order::Status;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::time::Policy;

fn held(world: &mut World) -> OrderId {
    world.place(&reservation("r").line("A", 3).line("B", 1).ttl(60_000))
}

#[test]
fn a_reservation_is_held_and_goes_by_its_own_names() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    assert_eq!(world.status(id).name(world.kind_of(id)), "held");
    world.confirm(id).unwrap();
    assert_eq!(world.status(id).name(world.kind_of(id)), "committed");
    assert_eq!(Status::Cancelled.name(Kind::Reservation), "released");
}

#[test]
fn committing_twice_commits_once() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    let first = world.confirm(id).unwrap();
    assert_eq!(world.confirm(id), Ok(first));
    assert_eq!(world.units("A"), (0, 0, 3, 0));
    assert_eq!(world.count(id, "Confirmed"), 1);
}

#[test]
fn releasing_twice_releases_once() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    let first = world.cancel(id).unwrap();
    assert_eq!(world.cancel(id), Ok(first));
    assert_eq!((world.available("A"), world.available("B")), (3, 3));
}

#[test]
fn what_may_be_asked_of_a_reservation_depends_on_its_state() {
    struct Case {
        rule: &'static str,
        given: fn(&mut World, OrderId),
        release: Result<Status, Rejection>,
        commit: Result<Status, Rejection>,
        extend: Result<Status, Rejection>,
    }
    let refused = |status| Err(Rejection::InvalidTransition { kind: Kind::Reservation, status });
    let gone = || Err(Rejection::ReservationExpired);
    let cases = [
        Case {
            rule: "held",
            given: |_, _| {},
            release: Ok(Status::Cancelled),
            commit: Ok(Status::Confirmed),
            extend: Ok(Status::AwaitingPayment),
        },
        Case {
            rule: "committed",
            given: |world, id| drop(world.confirm(id).unwrap()),
            release: refused(Status::Confirmed),
            commit: Ok(Status::Confirmed),
            extend: refused(Status::Confirmed),
        },
        Case {
            rule: "released",
            given: |world, id| drop(world.cancel(id).unwrap()),
            release: Ok(Status::Cancelled),
            commit: refused(Status::Cancelled),
            extend: refused(Status::Cancelled),
        },
        Case {
            rule: "expired",
            given: |world, _| world.pass(60_016),
            release: Ok(Status::Expired),
            commit: gone(),
            extend: gone(),
        },
        Case {
            // The time is over although no timer has said so yet.
            rule: "expired unnoticed",
            given: |world, _| world.now = world.now.plus(60_000),
            release: Ok(Status::Expired),
            commit: gone(),
            extend: gone(),
        },
    ];
    for Case { rule, given, release, commit, extend } in cases {
        for (verb, then) in [("release", release), ("commit", commit), ("extend", extend)] {
            let mut world = World::stocked(&[("A", 3), ("B", 3)]);
            let id = held(&mut world);
            given(&mut world, id);
            let outcome = match verb {
                "release" => world.cancel(id),
                "commit" => world.confirm(id),
                _ => world.extend(id, 70_000),
            };
            assert_eq!(outcome.map(|_| world.status(id)), then, "{verb} when {rule}");
            let kept = matches!(world.status(id), Status::AwaitingPayment | Status::Confirmed);
            assert_eq!(world.available("A"), if kept { 0 } else { 3 }, "{verb} when {rule}");
        }
    }
}

#[test]
fn an_extension_counts_from_now_and_never_shortens() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let start = world.now;
    let id = held(&mut world);
    world.pass(10_000);
    world.extend(id, 1_000).unwrap();
    assert_eq!(world.order(id).expires_at, start.plus(60_000));
    world.extend(id, 60_000).unwrap();
    assert_eq!(world.order(id).expires_at, start.plus(70_000));
    world.pass(59_999);
    assert_eq!(world.status(id), Status::AwaitingPayment);
    world.pass(17);
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 3));
}

const HOUR: u64 = 3_600_000;

/// Defect: one reservation of a client that extends it every minute kept its units from everybody for ever.
#[test]
fn a_hold_is_extended_to_seven_days_after_it_was_placed_and_no_further() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let (start, id) = (world.now, held(&mut world));
    for _ in 0..13 {
        world.extend(id, 24 * HOUR).unwrap();
        world.pass(12 * HOUR);
    }
    let week = 7 * 24 * HOUR;
    let limit = HoldLimit::Life { max_ms: week };
    assert_eq!(world.extend(id, 12 * HOUR + 1), Err(Rejection::HoldLimit(limit)), "a millisecond too long");
    world.extend(id, 12 * HOUR).unwrap();
    assert_eq!(world.order(id).expires_at, start.plus(week));
    world.pass(HOUR);
    assert_eq!(world.extend(id, 12 * HOUR), Err(Rejection::HoldLimit(limit)));
    world.extend(id, 11 * HOUR - 1).unwrap();
    assert_eq!(world.order(id).expires_at, start.plus(week), "what makes it no longer is no limit");
    assert_eq!((world.status(id), world.available("A")), (Status::AwaitingPayment, 0), "a refusal ends no hold");
    world.pass(11 * HOUR + 16);
    assert_eq!((world.status(id), world.available("A")), (Status::Expired, 3));
}

#[test]
fn a_hold_is_extended_a_thousand_times_and_a_restart_forgets_none() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    (0..999).for_each(|_| drop(world.extend(id, 60_000).unwrap()));
    world.crash();
    world.extend(id, 60_000).unwrap();
    let refused = Err(Rejection::HoldLimit(HoldLimit::Extensions { max: 1_000 }));
    assert_eq!(world.extend(id, 60_000), refused);
    world.crash();
    assert_eq!(world.extend(id, 60_000), refused);
    assert_eq!(world.count(id, "Extended"), 1_000);
    world.confirm(id).unwrap();
}

#[test]
fn a_refusal_for_the_limit_of_extensions_is_kept_under_its_key() {
    let mut world = World::with(Causality::OneLog, Policy { max_extensions: 0, ..Policy::default() });
    world.stock("A", "main", 3);
    world.stock("B", "main", 3);
    let id = held(&mut world);
    let extend = |ttl_ms: u64| {
        let key = Some(command_key("e", &ttl_ms.to_string()));
        Command::Extend { order: id, ttl_ms }.under(Terms { versions: None, key })
    };
    let first = world.ask(extend(70_000)).unwrap();
    let Answer::Stored(kept) = &first else { panic!("{first:?}") };
    let rejection = Rejection::HoldLimit(HoldLimit::Extensions { max: 0 });
    assert!(matches!(&**kept, StoredResponse::Refused { rejection: why, .. } if *why == rejection), "{kept:?}");
    for _ in 0..2 {
        assert_eq!(world.ask(extend(70_000)), Ok(first.clone()));
        assert_eq!(world.ask(extend(80_000)), Err(Rejection::KeyReused));
        world.project();
        world.crash();
    }
}

/// The engine prolongs the life of a declined order by itself: no extension of a client.
#[test]
fn the_grace_of_a_declined_payment_counts_as_no_extension() {
    let mut world = World::with(Causality::OneLog, Policy { max_extensions: 0, max_life_ms: 0, ..Policy::default() });
    world.stock("A", "main", 3);
    let id = world.place(&crate::draft::order("o").line("A", 1).ttl(1_000));
    let attempt = world.pay(id, "p");
    world.pass(900);
    world.webhook(attempt, holdfast_engine::order::Outcome::Declined);
    assert_eq!((world.status(id), world.order(id).expires_at), (Status::AwaitingPayment, world.now.plus(60_000)));
}

#[test]
fn an_extended_reservation_survives_the_question_of_its_sku() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    world.extend(id, 600_000).unwrap();
    world.pass(300_000);
    assert_eq!((world.status(id), world.available("A")), (Status::AwaitingPayment, 0));
    world.confirm(id).unwrap();
    assert_eq!(world.units("A"), (0, 0, 3, 0));
}

#[test]
fn a_short_reservation_is_rejected_and_holds_nothing() {
    let mut world = World::stocked(&[("A", 3), ("B", 0)]);
    let id = held(&mut world);
    assert_eq!((world.status(id), world.available("A")), (Status::Rejected, 3));
    assert!(world.cancel(id).is_ok(), "what has nothing to release is released");
}

#[test]
fn a_reservation_is_not_paid() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    let ticket =
        world.send(Command::StartPayment { order: id, provider: provider(), return_url: None, key: command_key("p", "pay") });
    let Ok(Answer::Stored(kept)) = &world.reply(ticket).unwrap().outcome else { panic!("it is answered") };
    assert!(matches!(&**kept, StoredResponse::PaymentRefused { .. }));
    assert_eq!((world.calls.len(), world.units("A")), (0, (3, 0, 0, 0)));
}

#[test]
fn a_deadline_is_told_ahead_so_that_one_timer_is_enough() {
    let mut world = World::stocked(&[("A", 3), ("B", 3)]);
    let id = held(&mut world);
    // The timer of the answered demand runs out first.
    world.pass(1_000);
    let due = world.part(id.partition()).next_deadline().unwrap();
    let expiry = world.order(id).expires_at;
    assert!((expiry..expiry.plus(16)).contains(&due), "{due:?} for {expiry:?}");
}
