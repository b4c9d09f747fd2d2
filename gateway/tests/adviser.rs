//! What the adviser says of an engine that one SKU is too much for: the requests here are real, and so is each frame.
//!
//! Over HTTP on two cores it cannot be shown: parsing costs so much more than a turn that no shard gets behind. So they come to the
//! engine beside HTTP. Invariant: the sentence is waited for and not timed: a slow machine says it later.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use actix_web::rt::System;
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Handle, Options, ReplyQueues};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, Location, OrderId, Partitions, RequestId, Sku};
use holdfast_engine::order::Outcome;
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_gateway::adviser::{Action, Advice, advise};
use holdfast_gateway::live::Framer;
use holdfast_storage::memory::MemoryJournal;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Only a failure takes it: the adviser looks at a minute.
const TIMEOUT: Duration = Duration::from_secs(150);
/// As the server does.
const PROBES: Duration = Duration::from_millis(100);
const FRAME: u32 = 10;
/// Requests in hand.
const TOGETHER: usize = 2_000;
/// Orders that there are, few and large: each request about one has its shard read all of its lines, and memory does not grow.
const ORDERS: u64 = 500;
const LINES: usize = 500;
/// Of so many requests one places an order again, which is answered as the first time.
const AGAIN: u64 = 16;

struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

fn partitions() -> Partitions {
    Partitions::new(8).unwrap()
}

fn hot() -> Sku {
    Sku::new("HOT").unwrap()
}

fn stock() -> Command {
    let (location, on_hand) = (Location::new("main").unwrap(), Quantity::new(2_000_000_000));
    Command::SetStock { sku: hot(), location, on_hand, safety_stock: None, priority: None, expected: None }
}

fn id(number: u64) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", &number.to_string()), partitions())
}

/// An order with as many lines as one may have, all for one SKU.
fn place(number: u64) -> Command {
    let line = || Line { sku: hot(), quantity: Quantity::new(1), unit_price: Money::new(1), seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(1),
        request_id: RequestId::new("req_1").unwrap(),
        customer: None,
        currency: None,
        lines: (0..LINES).map(|_| line()).collect(),
        allow_partial: false,
        expires_at: Timestamp::new(u64::MAX / 2),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    Command::Place { order: id(number), placed: Box::new(placed) }
}

/// Has orders confirmed that are, and placed that were, until it is over: so many at a time.
async fn insist(handle: &Handle, over: &AtomicBool) {
    let mut request = 0;
    let mut next = || {
        request += 1;
        let number = request % ORDERS;
        let confirm = Command::Confirm { order: id(number), kind: Kind::Order, reason: None };
        handle.execute(if request.is_multiple_of(AGAIN) { place(number) } else { confirm })
    };
    let mut in_hand: VecDeque<_> = (0..TOGETHER).map(|_| next()).collect();
    while !over.load(Ordering::Relaxed) {
        in_hand.push_back(next());
        in_hand.pop_front().unwrap().await.unwrap();
    }
}

/// Looks as the server does, until the adviser says something with this code.
async fn until_said(handle: &Handle, code: &str) -> Advice {
    let (begun, mut framer, mut frames) = (Instant::now(), Framer::default(), Vec::new());
    let mut tick = tokio::time::interval(PROBES);
    for turn in (0..FRAME).cycle() {
        tick.tick().await;
        handle.probe();
        if turn != 0 {
            continue;
        }
        frames.push(framer.frame(handle));
        let last_minute = &frames[frames.len().saturating_sub(60)..];
        let mut said = advise(last_minute);
        if let Some(at) = said.iter().position(|advice| advice.code == code) {
            return said.swap_remove(at);
        }
        assert!(begun.elapsed() < TIMEOUT, "never {code}: {said:?} {:?}", last_minute.last());
    }
    unreachable!("it goes round and round")
}

#[actix_web::test]
async fn a_shard_that_is_behind_for_one_sku_is_told_and_its_partition_is_to_have_a_shard_of_its_own() {
    // Before other programs, where that is allowed: who waits for a processor is not busy.
    let _ = rustix::process::setpriority_process(None, -15);
    let journal = Arc::new(MemoryJournal::new(partitions()));
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let engine = Engine::start(journal, ReplyQueues::default(), provider, Options::default(), &mut |_, _| {}).unwrap();
    engine.handle.execute(stock()).await.unwrap();
    for number in 0..ORDERS {
        engine.handle.execute(place(number)).await.unwrap();
    }
    let over = Arc::new(AtomicBool::new(false));
    let (handle, ends) = (engine.handle.clone(), over.clone());
    let buyers = std::thread::spawn(move || System::new().block_on(insist(&handle, &ends)));
    let said = until_said(&engine.handle, "hot_sku").await;
    over.store(true, Ordering::Relaxed);
    buyers.join().unwrap();
    let partition = partitions().of_sku(&hot()).0;
    assert!(said.sentence.starts_with("shard 0: wait p99 "), "{said:?}");
    assert!(said.sentence.contains(&format!("100 % of the lines are for HOT in partition {partition}")), "{said:?}");
    assert_eq!(said.action, Some(Action::Isolate { partition }));
    engine.stop().await;
}
