//! Pauses a server under load, lets another take its journal over, and sees that the first one, once it goes on,
//! acknowledges nothing that is not so.
//!
//! One keyspace, two processes: in each round the one that serves is stopped with SIGSTOP, its successor is started, load
//! goes there, and the first one goes on with requests in its hands and new ones coming in. Then it is told to stop, and
//! the successor is the next to be paused. Invariants: what either acknowledged is with the successor, to the byte; stock
//! adds up; a server that was taken over from says so on `/readyz` and once in its log.

use crate::server::{Options as ServerOptions, Server, poll};
use crate::torture::check::{self, Checker};
use crate::torture::client::{Client, Reached, Request, Watch};
use crate::torture::dice::Dice;
use crate::torture::load::Worker;
use crate::torture::{self, Breach, Kind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Threads that have requests in the hands of the paused server, and as many that go on with the other.
const WORKERS: u64 = 6;
/// Threads that send new orders to the server that was paused.
const LATECOMERS: u64 = 2;
/// How long a takeover may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server that goes on may take to find out that it was taken over from.
const NOTICE: Duration = Duration::from_secs(15);
/// Rounds between two audits of the whole journal by the server itself.
const AUDIT_EVERY: u64 = 10;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    pub rounds: u64,
    pub seed: u64,
    /// `host:port` of each node of the cluster.
    pub nodes: Vec<String>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub rounds: u64,
    pub acknowledged: u64,
    /// Acknowledged by a server that was taken over from, to requests that came after it.
    pub while_fenced: u64,
    /// Acknowledged by it after the pause, to requests from before it: durable before the takeover, or they are lost.
    pub late: u64,
    /// From the start of the successor until it is ready, and until its first acknowledged order.
    pub ready: Vec<Duration>,
    pub takeovers: Vec<Duration>,
    pub breaches: Vec<Breach>,
}

impl Tally {
    fn count(&self, kind: Kind) -> usize {
        self.breaches.iter().filter(|breach| breach.kind == kind).count()
    }

    /// Nothing is broken.
    pub fn sound(&self) -> bool {
        self.breaches.is_empty() && self.while_fenced == 0
    }

    /// The one line of the result.
    pub fn line(&self) -> String {
        let Self { rounds, acknowledged, while_fenced, late, ready, takeovers, .. } = self;
        let (lost, oversold) = (self.count(Kind::Lost), self.count(Kind::Oversold));
        format!(
            "rounds={rounds} acknowledged={acknowledged} lost={lost} oversold={oversold} acknowledged_while_fenced={while_fenced} \
             takeover_p50_ms={} takeover_p99_ms={} ready_p50_ms={} ready_p99_ms={} acknowledged_late={late}",
            percentile(takeovers, 50),
            percentile(takeovers, 99),
            percentile(ready, 50),
            percentile(ready, 99),
        )
    }

    fn breach(&mut self, kind: Kind, what: impl Into<String>) {
        self.breaches.push(Breach { kind, what: what.into() });
    }
}

/// The least of them that `percent` of them do not exceed, in milliseconds.
fn percentile(times: &[Duration], percent: usize) -> u128 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0, Duration::as_millis)
}

/// Runs until the rounds are done or a promise is broken.
pub fn run(options: &Options) -> Tally {
    let mut run = Run::prepare(options);
    run.begin();
    while run.tally.rounds < options.rounds && run.tally.sound() {
        run.round();
    }
    if run.tally.sound() {
        run.finish();
    }
    run.tally
}

struct Run {
    options: ServerOptions,
    /// Serves.
    server: Server,
    dice: Dice,
    /// The first half has requests in the hands of the paused server, the second goes on with its successor; then they
    /// change places. The last ones are the latecomers.
    workers: Vec<Worker>,
    checker: Checker,
    tally: Tally,
}

impl Run {
    fn prepare(options: &Options) -> Self {
        let (nodes, replication) = (options.nodes.join(","), options.nodes.len().min(3));
        let keyspace = format!("hf_takeover_{}", std::process::id());
        // Small snapshots, so that successors recover from them too.
        let server = ServerOptions::new()
            .on_cluster(&nodes, replication, &keyspace)
            .env("HOLDFAST__DATA__PARTITIONS", "8")
            .env("HOLDFAST__ENGINE__SNAPSHOT_EVENTS", "500")
            .env("HOLDFAST__LOG__LEVEL", "warn");
        let mut dice = Dice::new(options.seed);
        let worker = |number| Worker::new(number, Dice::new(dice.word())).without_money();
        let workers = (0..2 * WORKERS + LATECOMERS).map(worker).collect();
        let checker = Checker::new(Dice::new(dice.word()));
        Self { server: Server::prepare(server.clone()), options: server, dice, workers, checker, tally: Tally::default() }
    }

    fn begin(&mut self) {
        self.server.launch();
        let ready = self.server.wait_until_ready(PATIENCE);
        let stocked = ready.and_then(|()| check::stock(&Client::new(&self.server.url())));
        stocked.unwrap_or_else(|what| self.tally.breach(Kind::Other, format!("{what}\n{}", self.server.log())));
    }

    fn round(&mut self) {
        let successor = Server::prepare(self.options.clone());
        let old = std::mem::replace(&mut self.server, successor);
        let watch = Arc::default();
        self.take_over(&old, &watch);
        self.tally.rounds += 1;
        self.tally.late += watch.late.load(Ordering::SeqCst);
        self.tally.while_fenced += watch.wrong.load(Ordering::SeqCst);
        self.bury(old);
        if self.tally.breaches.is_empty() {
            let audit = self.tally.rounds.is_multiple_of(AUDIT_EVERY);
            self.compare(|checker, client, workers| {
                // Whoever is alive may still be at what it has not answered.
                checker.end_counts(client, workers);
                checker.after_restart(client, workers, audit)
            });
        }
        self.workers[..2 * WORKERS as usize].rotate_left(WORKERS as usize);
        eprintln!("round {}: {}", self.tally.rounds, self.tally.line());
    }

    /// The pause, the takeover and the time after it, under load throughout.
    fn take_over(&mut self, old: &Server, watch: &Arc<Watch>) {
        let (new, tally) = (&mut self.server, &mut self.tally);
        let (in_hand, others) = self.workers.split_at_mut(WORKERS as usize);
        let (going_on, latecomers) = others.split_at_mut(WORKERS as usize);
        let (before, after) = (self.dice.between(200, 1200), self.dice.between(200, 1000));
        let stop = &AtomicBool::new(false);
        let (old_url, new_url) = (old.url(), new.url());
        std::thread::scope(|scope| {
            for worker in in_hand {
                let client = Client::new(&old_url).watched(watch);
                scope.spawn(move || worker.work(&client, stop));
            }
            pause(before);
            old.pause();
            let launched = Instant::now();
            new.launch();
            let ready = new.wait_until_ready(PATIENCE).map(|()| launched.elapsed());
            let first = going_on[0].insist(&Client::new(&new_url), PATIENCE);
            match (ready, first) {
                (Ok(ready), true) => (tally.ready.push(ready), tally.takeovers.push(launched.elapsed())),
                (ready, _) => (tally.breach(Kind::Other, format!("no takeover: {ready:?}\n{}", new.log())), ()),
            };
            for worker in going_on {
                let client = Client::new(&new_url);
                scope.spawn(move || worker.work(&client, stop));
            }
            pause(after);
            watch.over.store(true, Ordering::SeqCst);
            old.resume();
            for worker in latecomers {
                let client = Client::new(&old_url).watched(watch);
                scope.spawn(move || come_late(worker, &client, stop));
            }
            if let Err(what) = wait_until_fenced(&Client::new(&old_url)) {
                tally.breach(Kind::Other, format!("{what}\n{}", old.log()));
            }
            pause(after);
            stop.store(true, Ordering::SeqCst);
        });
    }

    /// The one that was taken over from says so once, and stops when it is told to.
    fn bury(&mut self, mut old: Server) {
        if !old.terminate().success() {
            self.tally.breach(Kind::Other, format!("the fenced server did not stop in order\n{}", old.log()));
        }
        let log = old.log();
        let told = log.lines().filter(|line| line.contains("fenced: ")).count();
        if told != 1 {
            self.tally.breach(Kind::Other, format!("it said {told} times that it is fenced\n{log}"));
        }
    }

    fn compare(&mut self, compare: impl FnOnce(&mut Checker, &Client, &mut [Worker]) -> Vec<Breach>) {
        let client = Client::new(&self.server.url());
        self.tally.breaches.extend(compare(&mut self.checker, &client, &mut self.workers));
        self.tally.acknowledged = self.checker.acknowledged();
    }

    /// Everything once more, with nothing in flight, and offline.
    fn finish(&mut self) {
        self.compare(|checker, client, _| checker.at_the_end(client));
        self.tally.breaches.extend(torture::end(&mut self.server));
    }
}

/// New orders for a server that was taken over from, whatever it says to them.
fn come_late(worker: &mut Worker, client: &Client, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        worker.place(client, false);
        pause(20);
    }
}

/// Until `/readyz` says 503 and why.
fn wait_until_fenced(client: &Client) -> Result<(), String> {
    let mut last = String::new();
    let fenced = poll(NOTICE, || {
        let (Reached::Answered(answer) | Reached::Refused(answer)) = client.send(&Request::get("/readyz")) else { return None };
        last = answer.shown();
        (answer.status == 503 && last.contains("fenced")).then_some(())
    });
    fenced.ok_or_else(|| format!("/readyz of the server that was taken over from says {last}"))
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}
