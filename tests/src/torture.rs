//! Kills the real binary under load, again and again, and compares what it says afterwards with a ledger of its own.
//!
//! [`load`] sends orders, reservations, payments and adjustments and notes each in the [`ledger`], acknowledged or not;
//! [`facts`] folds the published events with rules of its own; [`check`] compares the three after every restart.
//! Invariant of it all: acknowledged ⊆ recovered ⊆ attempted, and no SKU is sold more often than it was stocked.

pub mod check;
pub mod client;
pub mod cluster;
pub mod dice;
pub mod facts;
pub mod ledger;
pub mod load;
pub mod moves;

use crate::server::{Options as ServerOptions, Server};
use check::Checker;
use client::Client;
use cluster::{Blows, Cluster};
use dice::Dice;
use load::Worker;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Threads that each send one request after the other.
const WORKERS: u64 = 12;
/// How long a recovery may take.
const RECOVERY: Duration = Duration::from_secs(60);
/// Kills between two audits of the whole journal by the server itself.
const AUDIT_EVERY: u64 = 10;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    pub kills: u64,
    pub seed: u64,
    pub binary: Option<PathBuf>,
    pub data_dir: PathBuf,
    /// The journal on a cluster that is beaten too.
    pub cluster: Option<Blows>,
    /// Partitions move between shards all the time.
    pub reshard: bool,
}

/// What a broken promise is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something acknowledged is not there, or not as it was acknowledged.
    Lost,
    Oversold,
    /// Recovered but never attempted, an invariant, a server that does not come up.
    Other,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Breach {
    pub kind: Kind,
    pub what: String,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub kills: u64,
    pub acknowledged: u64,
    pub max_restart: Duration,
    /// Moves of partitions that began, if there were to be any.
    pub moves: Option<u64>,
    /// What else was done, if anything.
    pub beaten: String,
    pub breaches: Vec<Breach>,
}

impl Tally {
    fn count(&self, kind: Kind) -> usize {
        self.breaches.iter().filter(|breach| breach.kind == kind).count()
    }

    /// The one line of the result.
    pub fn line(&self) -> String {
        let Self { kills, acknowledged, max_restart, beaten, .. } = self;
        let moves = self.moves.map(|moves| format!(" moves={moves}")).unwrap_or_default();
        let (lost, oversold) = (self.count(Kind::Lost), self.count(Kind::Oversold));
        format!(
            "kills={kills} acknowledged={acknowledged} lost={lost} oversold={oversold} max_restart_ms={}{moves}{beaten}",
            max_restart.as_millis()
        )
    }

    fn breach(&mut self, kind: Kind, what: impl Into<String>) {
        self.breaches.push(Breach { kind, what: what.into() });
    }
}

/// Runs until the kills are done or a promise is broken.
pub fn run(options: &Options) -> Tally {
    let mut run = Run::prepare(options);
    run.creation();
    run.beat();
    while run.tally.breaches.is_empty() && (run.tally.kills < options.kills || !run.beaten()) {
        run.round(options.kills);
        run.show(options.kills);
    }
    run.calm();
    if run.tally.breaches.is_empty() {
        run.finish();
    }
    run.tally
}

struct Run {
    server: Server,
    dice: Dice,
    workers: Vec<Worker>,
    checker: Checker,
    /// Dropped after the server: nothing is left that asks it.
    cluster: Option<Cluster>,
    tally: Tally,
}

impl Run {
    fn prepare(options: &Options) -> Self {
        let cluster = options.cluster.map(Cluster::start);
        let mut server = ServerOptions::new().env("HOLDFAST__LOG__LEVEL", "warn").data_dir(&options.data_dir);
        // Short lives and small snapshots, so that expiry, late money and recovery from snapshots all happen.
        for (name, value) in
            [("PAYMENTS__PIN_SECONDS", "2"), ("PAYMENTS__QUERY_AFTER_SECONDS", "1"), ("PAYMENTS__QUERY_MAX_SECONDS", "2")]
        {
            server = server.env(format!("HOLDFAST__{name}"), value);
        }
        for (name, value) in
            [("PAYMENTS__UNKNOWN_MAX_SECONDS", "5"), ("PAYMENTS__DECLINE_GRACE_SECONDS", "1"), ("ENGINE__SNAPSHOT_EVENTS", "500")]
        {
            server = server.env(format!("HOLDFAST__{name}"), value);
        }
        if let Some(binary) = &options.binary {
            server = server.binary(binary);
        }
        if options.reshard {
            server = server.arg("--shards").arg(moves::SHARDS.to_string());
        }
        if let Some(cluster) = &cluster {
            server = cluster.server(server);
        }
        let server = Server::prepare(server);
        let mut dice = Dice::new(options.seed);
        let workers = (0..WORKERS).map(|number| Worker::new(number, Dice::new(dice.word()))).collect();
        let checker = Checker::new(Dice::new(dice.word()));
        let tally = Tally { moves: options.reshard.then_some(0), ..Tally::default() };
        Self { server, dice, workers, checker, cluster, tally }
    }

    /// The directory is made under fire as well: a kill in its creation must leave something that opens.
    fn creation(&mut self) {
        for _ in 0..3 {
            self.server.launch();
            pause(self.dice.between(0, 40));
            self.server.kill();
            self.tally.kills += 1;
        }
        self.start();
        if self.tally.breaches.is_empty() {
            let stocked = check::stock(&Client::new(&self.server.url()));
            stocked.unwrap_or_else(|what| self.tally.breach(Kind::Other, what));
        }
    }

    fn beat(&mut self) {
        let dice = Dice::new(self.dice.word());
        if let Some(cluster) = &mut self.cluster {
            cluster.beat(dice);
        }
    }

    /// Whether the cluster has borne all it has to.
    fn beaten(&self) -> bool {
        self.cluster.as_ref().is_none_or(Cluster::borne_all)
    }

    fn calm(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        let calmed = cluster.calm();
        self.tally.beaten = format!(" {}", cluster.line());
        calmed.unwrap_or_else(|what| self.tally.breach(Kind::Other, what));
    }

    /// Load, a kill, now and then another in the recovery, and the comparison.
    fn round(&mut self, kills: u64) {
        self.burst();
        while self.tally.kills < kills && self.dice.chance(100) {
            self.server.launch();
            pause(self.dice.between(0, 60));
            self.server.kill();
            self.tally.kills += 1;
        }
        self.start();
        if self.tally.breaches.is_empty() {
            let audit = self.tally.kills.is_multiple_of(AUDIT_EVERY);
            self.compare(|checker, client, workers| checker.after_restart(client, workers, audit));
        }
    }

    fn burst(&mut self) {
        let stop = AtomicBool::new(false);
        // A cluster that is beaten answers slowly: in a short burst nothing would happen.
        let (least, most) = if self.cluster.is_some() { (500, 4000) } else { (100, 500) };
        let millis = self.dice.between(least, most);
        let mut mover = Dice::new(self.dice.word());
        let (server, workers, moves) = (&mut self.server, &mut self.workers, &mut self.tally.moves);
        let url = server.url();
        std::thread::scope(|scope| {
            if let Some(moves) = moves {
                let (stop, url, mover) = (&stop, &url, &mut mover);
                scope.spawn(move || *moves += moves::move_until(stop, &Client::new(url), mover));
            }
            for worker in workers {
                let (stop, url) = (&stop, &url);
                scope.spawn(move || worker.work(&Client::new(url), stop));
            }
            pause(millis);
            // Killed first, so that requests are in flight, then no more are sent.
            server.kill();
            stop.store(true, Ordering::SeqCst);
        });
        self.tally.kills += 1;
    }

    fn start(&mut self) {
        let started = Instant::now();
        self.server.launch();
        if let Err(reason) = self.server.wait_until_ready(RECOVERY) {
            let what = format!("{reason}\n{}", self.server.log());
            self.tally.breach(Kind::Other, what);
        }
        self.tally.max_restart = self.tally.max_restart.max(started.elapsed());
    }

    fn compare(&mut self, compare: impl FnOnce(&mut Checker, &Client, &mut [Worker]) -> Vec<Breach>) {
        let client = Client::new(&self.server.url());
        self.tally.breaches.extend(compare(&mut self.checker, &client, &mut self.workers));
        self.tally.acknowledged = self.checker.acknowledged();
    }

    /// Everything once more, with nothing in flight, and offline.
    fn finish(&mut self) {
        self.compare(|checker, client, _| checker.at_the_end(client));
        self.tally.breaches.extend(end(&mut self.server));
    }

    fn show(&self, kills: u64) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            let beaten = self.cluster.as_ref().map(Cluster::line).unwrap_or_default();
            let shown = write!(out, "\r{}/{kills} kills, {} acknowledged {beaten} ", self.tally.kills, self.tally.acknowledged);
            let _ = shown.and_then(|()| out.flush());
        }
    }
}

/// Stops a server in order and has its data added up offline.
pub(crate) fn end(server: &mut Server) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |what| breaches.push(Breach { kind: Kind::Other, what });
    if !server.terminate().success() {
        breach(format!("it did not stop in order\n{}", server.log()));
    }
    let (sound, said) = server.verify();
    if !sound {
        breach(format!("verify: {said}"));
    }
    breaches
}

/// Lets the server run for a while: what is tested is that the moment does not matter.
fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}
