//! State is the fold of the journal: proved by hash over random histories of three partitions.
//!
//! Mail is lost, doubled and reordered, partitions crash, time jumps, providers say anything at any time.

use crate::draft::{Draft, command_key, hold, label, location, order, provider, reservation, sku};
use crate::world::World;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Bucket, Event, OrderFact, StockFact};
use holdfast_engine::ids::{AttemptId, OrderId};
use holdfast_engine::order::{CallKind, Order, Outcome, Status};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::{LatePayment, Policy};
use holdfast_engine::{Causality, Input, Partition, ProviderResult};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SKUS: [&str; 4] = ["A", "B", "C", "U"];
const ORDERS: u8 = 6;

#[derive(Clone, Debug)]
enum Move {
    Place { order: u8, lines: Vec<(u8, u32)>, partial: bool, pays: bool, ttl_ms: u64 },
    Cancel(u8),
    Confirm(u8),
    Extend(u8),
    Pay { order: u8, key: u8 },
    Webhook { order: u8, number: u8, outcome: Outcome },
    Provider { call: usize, opens: bool, outcome: Outcome },
    SetStock { sku: u8, place: u8, units: u32 },
    Adjust { sku: u8, delta: i64, key: u8 },
    Pass(u64),
    Deliver(usize),
    Lose(usize),
    Double(usize),
    Project,
    Sync,
    Crash,
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{Captured, Declined, Pending, Refunded, Timeout, Voided};
    prop_oneof![3 => Just(Captured), 2 => Just(Declined), 1 => Just(Pending), 1 => Just(Voided), 1 => Just(Refunded), 1 => Just(Timeout)]
}

fn any_move() -> impl Strategy<Value = Move> {
    let lines = || proptest::collection::vec((0u8..4, 1u32..4), 1..4);
    let ttl = || prop_oneof![Just(1_000u64), Just(20_000), Just(900_000)];
    let pass = || prop_oneof![0u64..50, 200u64..3_000, 10_000u64..100_000, Just(1_300_000)];
    let place = (0..ORDERS, lines(), any::<bool>(), any::<bool>(), ttl());
    prop_oneof![
        4 => place.prop_map(|(order, lines, partial, pays, ttl_ms)| Move::Place { order, lines, partial, pays, ttl_ms }),
        1 => (0..ORDERS).prop_map(Move::Cancel),
        1 => (0..ORDERS).prop_map(Move::Confirm),
        1 => (0..ORDERS).prop_map(Move::Extend),
        3 => (0..ORDERS, 0u8..4).prop_map(|(order, key)| Move::Pay { order, key }),
        3 => (0..ORDERS, 1u8..4, any_outcome()).prop_map(|(order, number, outcome)| Move::Webhook { order, number, outcome }),
        4 => (0usize..8, any::<bool>(), any_outcome()).prop_map(|(call, opens, outcome)| Move::Provider { call, opens, outcome }),
        1 => (0u8..3, 0u8..3, 0u32..9).prop_map(|(sku, place, units)| Move::SetStock { sku, place, units }),
        1 => (0u8..3, -4i64..5, 0u8..5).prop_map(|(sku, delta, key)| Move::Adjust { sku, delta, key }),
        5 => pass().prop_map(Move::Pass),
        12 => (0usize..6).prop_map(Move::Deliver),
        1 => (0usize..6).prop_map(Move::Lose),
        1 => (0usize..6).prop_map(Move::Double),
        1 => Just(Move::Project),
        3 => Just(Move::Sync),
        1 => Just(Move::Crash),
    ]
}

fn draft(n: u8) -> Draft {
    if n.is_multiple_of(3) { reservation(&format!("k{n}")) } else { order(&format!("k{n}")) }
}

fn id(world: &World, n: u8) -> OrderId {
    draft(n).id(world.partitions)
}

fn place(world: &World, n: u8, lines: &[(u8, u32)], partial: bool, pays: bool, ttl_ms: u64) -> Command {
    let add = |draft: Draft, (sku, units): &(u8, u32)| draft.line(SKUS[usize::from(*sku)], *units);
    // Orders 2 and 3 name a client, 4 and 5 also what they are related to.
    let [client, correlation] = [if n < 2 { "" } else { "shop" }, if n < 4 { "" } else { "cart" }];
    let mut filled = lines.iter().fold(draft(n).ttl(ttl_ms).from(client, correlation), add);
    if partial {
        filled = filled.partial();
    }
    if pays && !n.is_multiple_of(3) {
        filled = filled.paying();
    }
    filled.command(world.now, world.partitions)
}

fn command(world: &World, made: &Move) -> Option<Command> {
    let kind =
        |n: u8| if n.is_multiple_of(3) { holdfast_engine::event::Kind::Reservation } else { holdfast_engine::event::Kind::Order };
    Some(match made {
        Move::Place { order, lines, partial, pays, ttl_ms } => place(world, *order, lines, *partial, *pays, *ttl_ms),
        Move::Cancel(n) => Command::Cancel { order: id(world, *n), kind: kind(*n), reason: None },
        Move::Confirm(n) => Command::Confirm { order: id(world, *n), kind: kind(*n), reason: None },
        Move::Extend(n) => Command::Extend { order: id(world, *n), ttl_ms: 50_000 },
        Move::Pay { order, key } => {
            let key = command_key(&format!("p{order}-{key}"), "pay");
            Command::StartPayment { order: id(world, *order), provider: provider(), return_url: None, key }
        }
        Move::Webhook { order, number, outcome } => {
            let attempt = AttemptId { order: id(world, *order), number: *number };
            Command::PaymentResult { attempt, outcome: *outcome }
        }
        Move::SetStock { sku: n, place, units } => Command::SetStock {
            sku: sku(SKUS[usize::from(*n)]),
            location: location(["east", "west", "attic"][usize::from(*place)]),
            on_hand: Quantity::new(*units),
            safety_stock: None,
            priority: None,
            expected: None,
        },
        Move::Adjust { sku: n, delta, key } => Command::AdjustStock {
            sku: sku(SKUS[usize::from(*n)]),
            location: location("east"),
            bucket: if key % 2 == 0 { Bucket::OnHand } else { Bucket::Damaged },
            delta: *delta,
            reason: label("count"),
            reference: None,
            key: command_key(&format!("a{key}"), &format!("{n} {delta}")),
        },
        Move::Provider { .. } | Move::Pass(_) | Move::Deliver(_) | Move::Lose(_) | Move::Double(_) => return None,
        Move::Project | Move::Sync | Move::Crash => return None,
    })
}

fn provider_says(world: &mut World, call: usize, opens: bool, outcome: Outcome) {
    if world.calls.is_empty() {
        return;
    }
    let call = world.calls.remove(call % world.calls.len());
    let (attempt, kind) = (call.attempt, call.kind);
    world.provider(match kind {
        CallKind::Create if opens => {
            ProviderResult::Opened { attempt, redirect_url: crate::draft::url("https://bank.example/page") }
        }
        CallKind::Create | CallKind::Query | CallKind::Void | CallKind::Refund => {
            ProviderResult::Outcome { attempt, kind, outcome }
        }
    });
}

fn carry_out(world: &mut World, made: &Move) {
    if let Some(command) = command(world, made) {
        world.send(command);
        return;
    }
    let mail = world.mail.len();
    match made {
        Move::Provider { call, opens, outcome } => provider_says(world, *call, *opens, *outcome),
        Move::Pass(millis) => world.pass(*millis),
        Move::Project => drop(world.project()),
        Move::Sync => world.sync_all(),
        // What is not durable would be lost in a crash: the world's journal keeps all, so all is durable first.
        Move::Crash => {
            world.sync_all();
            world.crash();
        }
        Move::Deliver(n) | Move::Lose(n) | Move::Double(n) if mail > 0 => {
            let message = world.mail.remove(n % mail).expect("within the mail");
            if matches!(made, Move::Double(_)) {
                world.mail.push_back(message.clone());
            }
            if !matches!(made, Move::Lose(_)) {
                world.step(message.to, Input::Message(message.body));
            }
        }
        _ => {}
    }
}

/// Delivers everything and lets time pass until nobody has anything left to wait for.
fn come_to_rest(world: &mut World) {
    (world.post, world.sync) = (true, true);
    world.sync_all();
    for _ in 0..60 {
        world.pass(61_000);
        for call in std::mem::take(&mut world.calls) {
            let outcome = match call.kind {
                CallKind::Create | CallKind::Query => Outcome::Declined,
                CallKind::Void => Outcome::Voided,
                CallKind::Refund => Outcome::Refunded,
            };
            world.provider(ProviderResult::Outcome { attempt: call.attempt, kind: call.kind, outcome });
        }
        if at_rest(world) {
            return;
        }
    }
    panic!("an hour later something is still open");
}

fn at_rest(world: &World) -> bool {
    let closed = |order: &Order| order.archivable() && (order.status.ended_without_goods() || order.status == Status::Confirmed);
    let quiet = |partition: &Partition| {
        let free = partition.live_holds() == 0 && partition.holds().all(|(_, _, hold)| !hold.live());
        free && partition.orders().all(closed)
    };
    world.calls.is_empty() && world.parts.iter().all(quiet)
}

/// Read from the journal alone: the units each sold order counts on were committed by their SKU.
fn sold_but_not_committed(world: &World) -> Vec<String> {
    let (mut committed, mut counted_on, mut missing) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    let records = world.records();
    for (_, record) in &records {
        if let Event::Stock { sku, fact: StockFact::HoldCommitted { hold, .. } } = &record.event {
            committed.insert((sku.clone(), *hold));
        }
    }
    for (_, record) in &records {
        let Event::Order { order, fact, .. } = &record.event else { continue };
        match &**fact {
            OrderFact::Held { holds } => drop(counted_on.insert(*order, (1, holds.clone()))),
            OrderFact::Reheld { generation, holds } => drop(counted_on.insert(*order, (*generation, holds.clone()))),
            OrderFact::Paid { .. } | OrderFact::Confirmed { .. } => {
                let (generation, holds) = &counted_on[order];
                let lost = holds.iter().filter(|held| !committed.contains(&(held.sku.clone(), hold(*order, *generation))));
                missing.extend(lost.map(|held| format!("{order} was sold without {}", held.sku)));
            }
            _ => {}
        }
    }
    missing
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn state_is_the_fold_of_the_journal_and_every_order_comes_to_an_end(
        moves in proptest::collection::vec(any_move(), 1..140), one_log in any::<bool>(), rehold in any::<bool>(),
    ) {
        let causality = if one_log { Causality::OneLog } else { Causality::PerPartition };
        let late_payment = if rehold { LatePayment::Rehold } else { LatePayment::Refund };
        let mut world = World::with(causality, Policy { late_payment, ..Policy::default() });
        ["A", "B", "C"].iter().for_each(|name| world.stock(name, "east", 6));
        (world.post, world.sync) = (false, false);
        moves.iter().for_each(|made| carry_out(&mut world, made));
        come_to_rest(&mut world);
        let crashed = moves.iter().any(|made| matches!(made, Move::Crash));
        prop_assert!(crashed || world.replies.len() as u64 == world.tickets, "every command is answered");
        prop_assert_eq!(sold_but_not_committed(&world), Vec::<String>::new());
        // A commit told again more than 30 s after it was done finds its hold forgotten. That it was done is checked above.
        world.alarms.retain(|alarm| !alarm.starts_with("Commit of"));
        // The world compares fold, snapshot and audit when it goes out of scope.
    }
}

/// Replies that waited for it would leave before what they say is so.
#[test]
#[should_panic(expected = "was never made")]
fn a_record_that_was_never_made_does_not_become_durable() {
    let mut world = World::stocked(&[("A", 1)]);
    let home = world.partitions.of_sku(&sku("A"));
    let next = world.part(home).seq() + 1;
    world.step(home, Input::Durable(next));
}
