//! A proxy in front of each node of a cluster that loses replies, delays them, and forges them into write time-outs.
//!
//! Invariant: every request reaches its node unchanged, so what is lost is only the knowledge of what became of it.

use scylla::errors::{DbError, WriteType};
use scylla::statement::Consistency;
use scylla_proxy::{Condition, Node, Proxy, Reaction, ResponseFrame, ResponseOpcode, ResponseReaction, ResponseRule};
use scylla_proxy::{RunningProxy, ShardAwareness};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// In the reply to every conditional statement, and in no other.
const CONDITIONAL: &[u8] = b"[applied]";
/// Delays: one that only slows, one below the patience of the engine with a statement, one beyond it.
const DELAYS: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];
/// Replies to anything else are hit so much more seldom: preparing alone takes dozens of them.
const OTHERS: f64 = 0.1;

/// How many replies were hit.
#[derive(Debug, Default)]
pub struct Counts {
    pub lost: AtomicU64,
    pub delayed: AtomicU64,
    pub forged: AtomicU64,
}

/// See the module.
pub struct Proxies {
    runtime: Runtime,
    /// Real address and address of the proxy, by node.
    addresses: Vec<(SocketAddr, SocketAddr)>,
    running: Vec<Option<RunningProxy>>,
    rate: f64,
    pub counts: Arc<Counts>,
}

impl Proxies {
    /// Stands in front of nodes at addresses `host.N:port`, at `at.N:port`. Of the replies to conditional statements
    /// `rate` are hit, of others a tenth of that.
    ///
    /// # Panics
    /// If an address is none, or is taken.
    pub fn start(nodes: &[String], at: &str, rate: f64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("a runtime for the proxies: {error}"));
        let addresses: Vec<_> = nodes.iter().map(|node| (address(node), in_front(node, at))).collect();
        let running = addresses.iter().map(|_| None).collect();
        let mut proxies = Self { runtime, addresses, running, rate, counts: Arc::default() };
        (0..proxies.addresses.len()).for_each(|node| proxies.open(node));
        proxies
    }

    /// `host:port` of each proxy.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(|(_, proxy)| proxy.to_string()).collect()
    }

    /// Hits no reply any more.
    pub fn let_pass(&mut self) {
        self.rate = 0.0;
        self.running.iter_mut().flatten().for_each(RunningProxy::turn_off_rules);
    }

    /// Closes the proxy of a node, counted from 0, that is dead: its port refuses, as that of the node does.
    pub fn close(&mut self, node: usize) {
        if let Some(running) = self.running[node].take() {
            // It complains that the node went away, and stumbles if it noticed before.
            let _ = self.runtime.block_on(self.runtime.spawn(running.finish()));
        }
    }

    /// Opens the proxy of a node that is there again.
    ///
    /// # Panics
    /// If its address is taken.
    pub fn open(&mut self, node: usize) {
        let (real, proxy) = self.addresses[node];
        let rules = self.runtime.block_on(async { rules(self.rate, &self.counts) });
        let node_of = Node::new(real, proxy, ShardAwareness::Unaware, None, Some(rules));
        let running = self.runtime.block_on(Proxy::new([node_of]).run());
        self.running[node] = Some(running.unwrap_or_else(|error| panic!("the proxy at {proxy}: {error}")));
    }
}

fn address(node: &str) -> SocketAddr {
    node.parse().unwrap_or_else(|error| panic!("{node} is no address: {error}"))
}

/// The address of node N's proxy ends like the node's.
fn in_front(node: &str, at: &str) -> SocketAddr {
    let tail = node.rsplit_once('.').map_or(node, |(_, tail)| tail);
    address(&format!("{at}.{tail}"))
}

fn rules(rate: f64, counts: &Arc<Counts>) -> Vec<ResponseRule> {
    if rate == 0.0 {
        return Vec::new();
    }
    let data = Condition::ResponseOpcode(ResponseOpcode::Result).and(Condition::not(Condition::ConnectionRegisteredAnyEvent));
    let conditional = || data.clone().and(Condition::BodyContainsCaseSensitive(CONDITIONAL.into()));
    let hit = |rate: f64, reaction: ResponseReaction| {
        // The dice first: a body is searched only for a reply that is to be hit.
        let often = Condition::RandomWithProbability(rate).and(conditional());
        let seldom = Condition::RandomWithProbability(rate * OTHERS).and(data.clone());
        ResponseRule(often.or(seldom), reaction)
    };
    // Each kind is a third.
    let third = rate / 3.0;
    let mut rules = vec![
        hit(third, counted(ResponseReaction::drop_frame(), counts, |counts| &counts.lost)),
        hit(third, counted(ResponseReaction::transform_frame(Arc::new(timed_out)), counts, |counts| &counts.forged)),
    ];
    let per_delay = third / DELAYS.len() as f64;
    let delay = |time| hit(per_delay, counted(ResponseReaction::delay(time), counts, |counts| &counts.delayed));
    rules.extend(DELAYS.map(delay));
    rules
}

/// The reply of a coordinator that does not know whether the proposal was accepted.
fn timed_out(reply: ResponseFrame) -> ResponseFrame {
    let (consistency, write_type) = (Consistency::LocalSerial, WriteType::Cas);
    let error = DbError::WriteTimeout { consistency, received: 1, required: 2, write_type };
    ResponseFrame::forged_error(reply.params, error, Some("CAS operation timed out (forged)")).unwrap_or(reply)
}

fn counted(reaction: ResponseReaction, counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicU64) -> ResponseReaction {
    let (tell, mut told) = mpsc::unbounded_channel();
    let counts = counts.clone();
    tokio::spawn(async move {
        while told.recv().await.is_some() {
            which(&counts).fetch_add(1, Ordering::Relaxed);
        }
    });
    reaction.with_feedback_when_performed(tell)
}
