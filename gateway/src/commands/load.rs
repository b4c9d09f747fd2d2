//! A load without HTTP: an engine of its own on a new directory, a window of commands that is always full, and what was answered.
//!
//! Invariant: what is counted was answered, and answered means on disk.

use crate::backend;
use crate::cli::BenchWork;
use crate::providers::registry::Registry;
use crate::settings::Settings;
use holdfast_actors::replies::Pending;
use holdfast_actors::{Engine, Handle, Options, ReplyQueues, Unanswered};
use holdfast_engine::command::Command;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{CustomerId, Fingerprint, KeyHash, Location, OrderId, Partitions, RequestId, Sku};
use holdfast_engine::limits::MAX_BUCKET;
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_storage::{DirectoryLock, Error, Journal, LogId};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failed = Box<dyn std::error::Error>;

/// Longer than any load.
const TTL_MS: u64 = 24 * 3_600_000;

/// How long the tables of a load may take, and how often it is looked.
const LET_GO: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Load<'a> {
    pub(super) work: BenchWork,
    pub(super) skus: u64,
    pub(super) shards: usize,
    /// Commands in hand at once: each is measured, one after the other.
    pub(super) windows: &'a [usize],
    /// Of each window.
    pub(super) time: Duration,
}

/// What was answered, and what it cost.
pub(super) struct Measured {
    pub(super) done: u64,
    pub(super) seconds: f64,
    pub(super) commits: u64,
    pub(super) bytes: u64,
    /// Microseconds from a command to its answer, sorted.
    took: Vec<u32>,
}

impl Measured {
    pub(super) fn per_second(&self) -> u64 {
        (self.done as f64 / self.seconds) as u64
    }

    /// In microseconds.
    pub(super) fn percentile(&self, percent: usize) -> u32 {
        let rank = (self.took.len() * percent).div_ceil(100);
        self.took.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// A command that waits for its answer, and what follows on it.
struct Waiting {
    begun: Instant,
    pending: Pending,
    then: Option<Command>,
}

struct Driver {
    handle: Handle,
    partitions: Partitions,
    now: Timestamp,
    work: BenchWork,
    skus: Vec<Sku>,
    placed: u64,
}

/// Runs it, and stops the engine in order. What was measured is in the order of the windows.
///
/// # Errors
/// If the engine does not start, refuses a command, or does not stop well.
pub(super) async fn run(load: &Load<'_>, settings: &Settings) -> Result<Vec<Measured>, Failed> {
    let lock = DirectoryLock::take(&settings.data.dir)?;
    let journal = backend::open(settings, Some(&lock), |_| Ok::<_, holdfast_storage::Error>(()))?;
    let partitions = journal.partitions();
    let widest = load.windows.iter().copied().max().unwrap_or_default();
    let options = Options { shards: load.shards.max(1), credits: widest.saturating_mul(2).max(32_768), ..Options::default() };
    let provider = Box::new(|| Rc::new(Registry::of(None)) as Rc<_>);
    let engine = Engine::start(journal.clone(), ReplyQueues::default(), provider, options, &mut |_, _| {})?;
    let skus = (0..load.skus).map(|n| Sku::new(&format!("SKU-{n}")).ok_or("a name of a SKU")).collect::<Result<_, _>>()?;
    let now = engine.clock().now();
    let mut driver = Driver { handle: engine.handle.clone(), partitions, now, work: load.work, skus, placed: 0 };
    driver.stock(widest).await?;
    let mut all = Vec::with_capacity(load.windows.len());
    for window in load.windows {
        all.push(driver.measure(*window, load.time, &*journal).await?);
    }
    drop(driver);
    if !engine.stop().await {
        return Err("the engine did not stop well".into());
    }
    Ok(all)
}

/// The journal of a load that has ended. The tables of what was closed are still being written when its engine has stopped: until they are,
/// their thread has the directory.
///
/// # Errors
/// If they are not done in two minutes, or it cannot be read.
pub(super) fn let_go(settings: &Settings) -> Result<Arc<dyn Journal>, Error> {
    let begun = Instant::now();
    loop {
        match backend::observe(settings) {
            Err(Error::Locked) if begun.elapsed() < LET_GO => std::thread::sleep(LOOK),
            opened => return opened,
        }
    }
}

/// Those of a server that has its data there.
pub(super) fn settings_at(data: &Path) -> Settings {
    let mut settings = Settings::default();
    data.clone_into(&mut settings.data.dir);
    settings
}

impl Driver {
    /// As many units of each as a bucket takes.
    async fn stock(&self, batch: usize) -> Result<(), Failed> {
        for skus in self.skus.chunks(batch.max(1)) {
            let sent: Vec<Pending> = skus.iter().map(|sku| self.send(self.stock_of(sku)?)).collect::<Result<_, Failed>>()?;
            for pending in sent {
                accepted(pending.await)?;
            }
        }
        Ok(())
    }

    fn stock_of(&self, sku: &Sku) -> Result<Command, Failed> {
        let location = Location::new("main").ok_or("a name of a location")?;
        let on_hand = Quantity::new(MAX_BUCKET);
        Ok(Command::SetStock { sku: sku.clone(), location, on_hand, safety_stock: None, priority: None, expected: None })
    }

    async fn measure(&mut self, window: usize, time: Duration, journal: &dyn Journal) -> Result<Measured, Failed> {
        let before = (journal.end(LogId(0)), journal.bytes());
        let (took, seconds) = self.drive(window, time).await?;
        let (commits, bytes) = (journal.end(LogId(0)) - before.0, journal.bytes() - before.1);
        Ok(Measured { done: took.len() as u64, seconds, commits, bytes, took })
    }

    /// Keeps `window` commands in hand until the time is over, then waits for those that are. Returns how long each piece of work took.
    async fn drive(&mut self, window: usize, time: Duration) -> Result<(Vec<u32>, f64), Failed> {
        let begun = Instant::now();
        let (mut in_hand, mut took) = (VecDeque::with_capacity(window), Vec::new());
        loop {
            while in_hand.len() < window && begun.elapsed() < time {
                in_hand.push_back(self.begin()?);
            }
            let Some(Waiting { begun: since, pending, then }) = in_hand.pop_front() else { break };
            accepted(pending.await)?;
            match then {
                Some(command) => in_hand.push_back(Waiting { begun: since, pending: self.send(command)?, then: None }),
                None => took.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)),
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        took.sort_unstable();
        Ok((took, seconds))
    }

    fn begin(&mut self) -> Result<Waiting, Failed> {
        self.placed += 1;
        let key = KeyHash::derive("bench", "orders", &self.placed.to_string());
        let order = OrderId::derive(key, self.partitions);
        let (kind, ends) = match self.work {
            BenchWork::Holds => (Kind::Reservation, false),
            BenchWork::Pairs => (Kind::Reservation, true),
            BenchWork::Orders => (Kind::Order, true),
        };
        let placed = Box::new(self.placed(kind)?);
        let then = ends.then_some(Command::Confirm { order, kind, reason: None });
        Ok(Waiting { begun: Instant::now(), pending: self.send(Command::Place { order, placed })?, then })
    }

    /// SKUs take turns, so that each is sold as often as the others.
    fn placed(&self, kind: Kind) -> Result<Placed, Failed> {
        let at = usize::try_from(self.placed)? % self.skus.len();
        let is_order = kind == Kind::Order;
        let price = if is_order { Money::new(1999) } else { Money::ZERO };
        let line =
            Line { sku: self.skus[at].clone(), quantity: Quantity::new(1), unit_price: price, seller: None, metadata: None };
        Ok(Placed {
            kind,
            number: 0,
            fingerprint: Fingerprint(u128::from(self.placed)),
            request_id: RequestId::new("bench").ok_or("a request id")?,
            customer: is_order.then(|| CustomerId::new("ada")).flatten(),
            currency: is_order.then(|| Currency::new("EUR")).flatten(),
            lines: vec![line],
            allow_partial: false,
            expires_at: self.now.plus(TTL_MS),
            shipping_address: None,
            metadata: None,
            payment: None,
            origin: None,
        })
    }

    fn send(&self, command: Command) -> Result<Pending, Failed> {
        self.handle.send(command).map_err(|why| format!("the engine takes no command: {why:?}").into())
    }
}

fn accepted(answer: Result<holdfast_engine::answer::Reply, Unanswered>) -> Result<(), Failed> {
    let reply = answer.map_err(|why| format!("a command was not answered: {why:?}"))?;
    reply.outcome.map(drop).map_err(|rejection| format!("a command was refused: {rejection:?}").into())
}
