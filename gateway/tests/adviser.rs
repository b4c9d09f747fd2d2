//! What the adviser says of an engine that one SKU is too much for: its shard, its probes and each frame are real.
//!
//! Invariant: time goes on by hand, and a probe waits because the shard is held up by what came before it. A slow machine says the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_actors::probe::Timing;
use holdfast_actors::shop::{archive, id, partitions, place_at, sku, start_on, stock};
use holdfast_actors::{Engine, Options};
use holdfast_engine::command::Command;
use holdfast_gateway::adviser::{Action, Advice, advise};
use holdfast_gateway::live::{Frame, Framer};
use holdfast_storage::conformance::FaultyJournal;
use holdfast_storage::memory::MemoryJournal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const HOT: &str = "HOT";
/// An order that left memory: whoever asks for it holds the shard up until the journal answers.
const CLOSED: &str = "closed";
const SECOND: Duration = Duration::from_secs(1);
/// Of so many orders one is looked at.
const SAMPLED: usize = 8;

/// Since the beginning, and how much of it the shard had a processor.
#[derive(Debug)]
struct ByHand {
    begun: Instant,
    passed: Mutex<(Duration, Duration)>,
}

impl ByHand {
    fn pass(&self, time: Duration, works: bool) {
        let mut passed = self.passed.lock().unwrap();
        *passed = (passed.0 + time, passed.1 + if works { time } else { Duration::ZERO });
    }
}

impl Timing for ByHand {
    fn now(&self) -> Instant {
        self.begun + self.passed.lock().unwrap().0
    }

    fn processor(&self) -> Option<Duration> {
        Some(self.passed.lock().unwrap().1)
    }
}

/// How a shard fares.
#[derive(Clone, Copy, Debug)]
struct Fares {
    /// What comes to it waits so long.
    wait: Duration,
    /// Whether it works all the time, or waits for something all the time.
    works: bool,
}

struct Shop {
    engine: Engine,
    journal: Arc<FaultyJournal>,
    time: Arc<ByHand>,
    fares: Fares,
}

impl Shop {
    async fn open(fares: Fares) -> Self {
        let time = Arc::new(ByHand { begun: Instant::now(), passed: Mutex::default() });
        let journal = Arc::new(FaultyJournal::new(Arc::new(MemoryJournal::new(partitions()))));
        let engine = start_on(&journal, Options { timing: time.clone(), ..Options::default() });
        engine.handle.execute(stock(HOT, 1_000_000)).await.unwrap();
        archive(&engine, CLOSED, &[HOT]).await;
        let shop = Self { engine, journal, time, fares };
        // From here on the shard's thread is looked at.
        shop.probe().await;
        shop
    }

    /// A probe comes behind a request that takes its time.
    async fn probe(&self) {
        let handle = &self.engine.handle;
        self.journal.hold_look_ups(true);
        let before = handle.send(Command::GetOrder { order: id(CLOSED), kind: None }).unwrap();
        handle.probe();
        self.time.pass(self.fares.wait, self.fares.works);
        self.journal.hold_look_ups(false);
        before.await.unwrap();
        // It is read behind the probe.
        handle.reports().await;
    }

    /// A second in which orders come.
    async fn second(&self, framer: &mut Framer, number: usize) -> Frame {
        for nth in 0..SAMPLED {
            self.engine.handle.execute(place_at(&format!("order-{number}-{nth}"), &[HOT], (1, 1))).await.unwrap();
        }
        self.time.pass(SECOND - self.fares.wait, self.fares.works);
        self.probe().await;
        framer.frame(&self.engine.handle)
    }
}

/// What is said after a minute.
async fn advice(fares: Fares) -> Vec<Advice> {
    let (shop, mut framer, mut frames) = (Shop::open(fares).await, Framer::default(), Vec::new());
    for number in 0..60 {
        frames.push(shop.second(&mut framer, number).await);
    }
    shop.engine.stop().await;
    advise(&frames)
}

#[actix_web::test]
async fn a_shard_that_is_behind_for_one_sku_is_told_and_its_partition_is_to_have_a_shard_of_its_own() {
    let (long, partition) = (Duration::from_millis(30), partitions().of_sku(&sku(HOT)).0);
    let behind = format!(
        "shard 0: wait p99 30 ms, 100 % busy, 100 % of the lines are for HOT in partition {partition}. More shards will not help HOT: give \
         partition {partition} a shard of its own (1 move), or let in fewer buyers at a time"
    );
    let calm = |seen: &str| format!("nothing to do: busiest shard {seen}");
    let rows = [
        (Fares { wait: long, works: true }, "hot_sku", behind, Some(Action::Isolate { partition })),
        (Fares { wait: Duration::ZERO, works: true }, "nothing_to_do", calm("100 %, wait p99 0.0 ms"), None),
        (Fares { wait: long, works: false }, "nothing_to_do", calm("0 %, wait p99 30 ms"), None),
    ];
    for (fares, code, sentence, action) in rows {
        assert_eq!(advice(fares).await, [Advice { code, sentence, action }], "{fares:?}");
    }
}
