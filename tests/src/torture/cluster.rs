//! Blows at the cluster below the server: nodes are killed and paused, replies are lost, delayed and forged.
//!
//! Invariant: of three nodes at most one is away at a time, so a majority is there throughout, and everything must go on.

use super::dice::Dice;
use crate::cassandra::{Cassandra, PROXIED_AT};
use crate::faults::Proxies;
use crate::server::Options as ServerOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const NODES: u16 = 3;

/// What the cluster has to bear.
#[derive(Clone, Copy, Debug)]
pub struct Blows {
    pub node_kills: u64,
    pub node_pauses: u64,
    /// Share of the replies to conditional statements that are lost, delayed or forged into time-outs.
    pub faults: f64,
}

/// What it has borne so far.
#[derive(Debug, Default)]
pub struct Borne {
    pub node_kills: AtomicU64,
    pub node_pauses: AtomicU64,
}

/// Three nodes, each behind a proxy.
pub struct Cluster {
    nodes: Vec<String>,
    blows: Blows,
    pub borne: Arc<Borne>,
    counts: Arc<crate::faults::Counts>,
    state: State,
}

enum State {
    Calm(Box<(Cassandra, Proxies)>),
    Beaten(JoinHandle<(Cassandra, Proxies)>),
    /// The thread that beat it panicked.
    Broken,
}

impl Cluster {
    /// Starts the nodes, which takes half a minute.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start(blows: Blows) -> Self {
        let cassandra = Cassandra::start(NODES, true);
        let proxies = Proxies::start(cassandra.addresses(), PROXIED_AT, blows.faults);
        let (nodes, counts) = (proxies.addresses(), proxies.counts.clone());
        Self { nodes, blows, borne: Arc::default(), counts, state: State::Calm(Box::new((cassandra, proxies))) }
    }

    /// A server on this cluster.
    pub fn server(&self, options: ServerOptions) -> ServerOptions {
        let keyspace = format!("hf_torture_{}", std::process::id());
        let options = options.on_cluster(&self.nodes.join(","), usize::from(NODES), &keyspace);
        // Short patience, so that unknown outcomes are many and waiting for them is little.
        options.env("HOLDFAST__DATA__PARTITIONS", "8").env("HOLDFAST__SCYLLA__TIMEOUT_MS", "1500")
    }

    /// The blows begin to fall.
    pub fn beat(&mut self, mut dice: Dice) {
        let State::Calm(calm) = std::mem::replace(&mut self.state, State::Broken) else { return };
        let (cassandra, mut proxies) = *calm;
        let (blows, borne) = (self.blows, self.borne.clone());
        self.state = State::Beaten(std::thread::spawn(move || {
            for kill in schedule(blows, &mut dice) {
                let node = dice.between(1, u64::from(NODES)) as u16;
                pause(dice.between(1000, 5000));
                if kill {
                    kill_one(&cassandra, &mut proxies, node, &mut dice, &borne)
                } else {
                    pause_one(&cassandra, node, &mut dice, &borne)
                }
            }
            (cassandra, proxies)
        }));
    }

    /// Whether all blows have fallen.
    pub fn borne_all(&self) -> bool {
        !matches!(&self.state, State::Beaten(thread) if !thread.is_finished())
    }

    /// Waits for the blows that are still to fall. From then on every reply arrives.
    ///
    /// # Errors
    /// If a node did not come back.
    pub fn calm(&mut self) -> Result<(), String> {
        let (cassandra, mut proxies) = match std::mem::replace(&mut self.state, State::Broken) {
            State::Calm(calm) => *calm,
            State::Beaten(thread) => thread.join().map_err(|_| "a node of the cluster did not come back".to_owned())?,
            State::Broken => return Err("a node of the cluster did not come back".to_owned()),
        };
        proxies.let_pass();
        self.state = State::Calm(Box::new((cassandra, proxies)));
        Ok(())
    }

    /// For the one line of the result.
    pub fn line(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (borne, counts) = (&self.borne, &self.counts);
        format!(
            "node_kills={} node_pauses={} replies_lost={} replies_delayed={} time_outs_forged={}",
            of(&borne.node_kills),
            of(&borne.node_pauses),
            of(&counts.lost),
            of(&counts.delayed),
            of(&counts.forged)
        )
    }
}

/// Kills and pauses, true for a kill, in an order that the dice decide.
fn schedule(blows: Blows, dice: &mut Dice) -> Vec<bool> {
    let times = |kill, times| std::iter::repeat_n(kill, times as usize);
    let mut all: Vec<bool> = times(true, blows.node_kills).chain(times(false, blows.node_pauses)).collect();
    (1..all.len()).rev().for_each(|last| all.swap(last, dice.index(last + 1)));
    all
}

fn kill_one(cassandra: &Cassandra, proxies: &mut Proxies, node: u16, dice: &mut Dice, borne: &Borne) {
    cassandra.kill(node);
    proxies.close(usize::from(node) - 1);
    borne.node_kills.fetch_add(1, Ordering::Relaxed);
    pause(dice.between(0, 2000));
    cassandra.restart(node);
    proxies.open(usize::from(node) - 1);
}

fn pause_one(cassandra: &Cassandra, node: u16, dice: &mut Dice, borne: &Borne) {
    cassandra.pause(node);
    borne.node_pauses.fetch_add(1, Ordering::Relaxed);
    pause(dice.between(500, 6000));
    cassandra.resume(node);
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}
