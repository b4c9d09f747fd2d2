//! Lets buyers go when they are due: an open loop by the clock, a closed loop one after the other, a crowd all at once.
//!
//! Invariant: of an open loop nobody is held back because others are not served yet. How late the generator itself is, is measured.

use crate::buyer::Shop;
use crate::scenario::{Scenario, Shape};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Buyers who are there at once at most: beyond it they are counted as dropped, and the run is not valid.
const PRESENT: u64 = 200_000;
/// How late the system may wake the pacer, in nanoseconds.
const SLACK: u64 = 1_000;

/// Runs the load to its end, or until `enough` is set, and every buyer to his.
///
/// # Errors
/// If a crowd cannot connect, or there is no thread.
pub async fn run(shop: Arc<Shop>, scenario: &Scenario, enough: Arc<AtomicBool>) -> Result<(), String> {
    match scenario.load.shape {
        Shape::Constant | Shape::Ramp | Shape::Spike => open(shop, scenario, enough).await,
        Shape::Crowd => crowd(shop, scenario.load.buyers).await,
        Shape::Closed => {
            closed(shop, scenario.load.connections, Duration::from_secs_f64(scenario.seconds)).await;
            Ok(())
        }
    }
}

async fn open(shop: Arc<Shop>, scenario: &Scenario, enough: Arc<AtomicBool>) -> Result<(), String> {
    let (due, mut arrivals) = mpsc::unbounded_channel();
    let present = Arc::new(AtomicU64::new(0));
    let pacer = Pacer { start: shop.start, present: present.clone(), due, enough };
    let times = scenario.rate().arrivals(scenario.arrival_seed());
    let thread = std::thread::Builder::new().name("pacer".to_owned()).spawn(move || pacer.pace(times));
    thread.map_err(|error| error.to_string())?;
    let mut buyers = JoinSet::new();
    while let Some(Arrival { number, due, comes }) = arrivals.recv().await {
        let (at, late) = (due - shop.start, due.elapsed());
        if !comes {
            shop.record().dropped(at);
            continue;
        }
        shop.record().arrived(at, late);
        let (shop, present) = (shop.clone(), present.clone());
        buyers.spawn(async move {
            shop.serve(number, due).await;
            present.fetch_sub(1, Ordering::Relaxed);
        });
        while buyers.try_join_next().is_some() {}
    }
    buyers.join_all().await;
    Ok(())
}

struct Arrival {
    number: u64,
    due: Instant,
    comes: bool,
}

/// A thread of its own that does nothing but wait: timers of the runtime are a millisecond coarse.
struct Pacer {
    start: Instant,
    present: Arc<AtomicU64>,
    due: mpsc::UnboundedSender<Arrival>,
    enough: Arc<AtomicBool>,
}

impl Pacer {
    fn pace(self, times: impl Iterator<Item = Duration>) {
        // Without it waits end up to 50 µs late.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK)).ok();
        for (number, at) in (0..).zip(times) {
            let due = self.start + at;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
            let comes = self.present.load(Ordering::Relaxed) < PRESENT;
            self.present.fetch_add(u64::from(comes), Ordering::Relaxed);
            if self.due.send(Arrival { number, due, comes }).is_err() {
                return;
            }
        }
    }
}

async fn crowd(shop: Arc<Shop>, buyers: u64) -> Result<(), String> {
    let due = Instant::now();
    let mut crowd = JoinSet::new();
    for number in 0..buyers {
        shop.record().arrived(due - shop.start, Duration::ZERO);
        crowd.spawn(shop.clone().serve(number, due));
    }
    crowd.join_all().await;
    Ok(())
}

async fn closed(shop: Arc<Shop>, connections: usize, time: Duration) {
    let (next, until) = (Arc::new(AtomicU64::new(0)), Instant::now() + time);
    let mut buyers = JoinSet::new();
    for _ in 0..connections {
        let (shop, next) = (shop.clone(), next.clone());
        buyers.spawn(async move {
            while Instant::now() < until {
                let due = Instant::now();
                shop.record().arrived(due - shop.start, Duration::ZERO);
                shop.clone().serve(next.fetch_add(1, Ordering::Relaxed), due).await;
            }
        });
    }
    buyers.join_all().await;
}
