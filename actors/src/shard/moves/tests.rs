//! Two shards of production without threads: what they are sent is read when a test says so.

use super::super::Links;
use super::*;
use crate::inbox::Inbox;
use crate::replies::Pending;
use crate::router::Router;
use crate::shop::{self, id_among, place_as, start_on};
use crate::{Engine, Options};
use crossbeam::channel::{Receiver, unbounded};
use holdfast_engine::Causality;
use holdfast_engine::answer;
use holdfast_engine::command::Command;
use holdfast_engine::ids::{Partitions, Sku};
use holdfast_engine::partition::Partition;
use holdfast_engine::protocol::Message;
use holdfast_engine::time::Policy;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Log, Snapshots};

/// At the first shard, as is the one that moves; its order is for a SKU at the second.
const MOVES: PartitionId = PartitionId(0);
const STAYS: PartitionId = PartitionId(2);
const OTHER: PartitionId = PartitionId(1);

fn partitions() -> Partitions {
    Partitions::new(4).unwrap()
}

/// The engine lends its journal and its threads. Its own shards are sent nothing: what these shards host it never touches.
struct Pair {
    engine: Engine,
    shards: [Shard; 2],
    journal: Arc<MemoryJournal>,
    router: Router,
    heard: Receiver<GuardianMessage>,
}

impl Pair {
    fn start() -> Self {
        let journal = Arc::new(MemoryJournal::with(Causality::OneLog, partitions()));
        let engine = start_on(&journal, Options::default());
        let inboxes: Vec<Arc<Inbox>> = (0..2).map(|shard| Arc::new(Inbox::new(shard, 1_000))).collect();
        let (router, (guardian, heard)) = (Router::new(partitions(), inboxes.clone()), unbounded());
        let shard = |number: usize| {
            let links = Links { router: router.clone(), ..engine.rebuild.links(guardian.clone()) };
            let fresh = |id| Partition::new(id, partitions(), Causality::OneLog, Policy::default());
            let hosted = router.hosted_by(number).into_iter().map(fresh).collect();
            Shard::new(inboxes[number].clone(), links, hosted, vec![0])
        };
        Self { shards: [shard(0), shard(1)], engine, journal, router, heard }
    }

    /// Puts a request into the inbox of a shard, wherever its partition is.
    fn send(&self, shard: usize, command: Command) -> Pending {
        let id = command.partition(partitions());
        let (pending, inbox) = (self.engine.handle.reply_queues.register(id, 0, None), &self.shards[shard].inbox);
        assert!(inbox.credits.take() && inbox.push(ShardMessage::request(pending.ticket(), command)));
        pending
    }

    /// Has a shard read what it was sent, and hand nothing on yet.
    fn read(&mut self, shard: usize) {
        while let Some(message) = self.shards[shard].next_message() {
            self.shards[shard].read(message);
        }
    }

    /// As the guardian does it.
    fn move_to_the_other(&mut self) {
        self.router.host_at(MOVES, 1);
        self.shards[0].inbox.push(ShardMessage::Depart(MOVES));
        self.read(0);
        assert!(matches!(self.heard.try_recv(), Ok(GuardianMessage::Departed(MOVES))));
        self.shards[1].inbox.push(ShardMessage::Arrive(MOVES));
    }

    /// Until everything that was handed over is durable and the notices of it are in the inboxes.
    fn settle(&self) {
        self.engine.rebuild.settle(self.journal.logs()).unwrap();
    }

    async fn stop(self) {
        let Self { engine, shards, .. } = self;
        drop(shards);
        engine.stop().await;
    }
}

fn sku(partition: PartitionId) -> Sku {
    let mut names = (0..).map(|number: u32| Sku::new(&format!("S{number}")).unwrap());
    names.find(|sku| partitions().of_sku(sku) == partition).unwrap()
}

fn stock(partition: PartitionId, on_hand: u32) -> Command {
    shop::stock(sku(partition).as_str(), on_hand)
}

/// An order at home in one partition, for a SKU of another.
fn order(home: PartitionId, of: PartitionId) -> Command {
    let mut ids = (0..).map(|number: u32| id_among(&number.to_string(), partitions()));
    place_as(ids.find(|order| order.partition() == home).unwrap(), &[sku(of).as_str()], (1, 1))
}

/// A second reader found it: a crash in between left a hold without the order that had asked for it.
#[actix::test]
async fn when_a_partition_leaves_no_message_of_another_leaves_before_the_facts_it_follows_from() {
    let mut pair = Pair::start();
    let _pending = pair.send(0, order(STAYS, OTHER));
    pair.read(0);
    assert!(!pair.shards[0].fx.messages.is_empty() && !pair.shards[0].fx.batch.is_empty(), "nothing is handed on yet");
    pair.move_to_the_other();
    let asks = |message: &ShardMessage| matches!(message, ShardMessage::Peer(messages) if messages[0].to == OTHER);
    assert!(pair.shards[1].next_message().is_some_and(|message| asks(&message)), "it has left");
    assert!(pair.shards[0].fx.batch.is_empty(), "what it follows from is not handed over");
    pair.stop().await;
}

#[actix::test]
async fn what_waited_for_a_partition_is_read_in_the_order_it_came_and_before_all_that_came_later() {
    let mut pair = Pair::start();
    pair.router.host_at(MOVES, 1);
    let mut sent: Vec<Pending> = (1..=20).map(|units| pair.send(1, stock(MOVES, units))).collect();
    pair.read(1);
    pair.move_to_the_other();
    sent.extend((21..=30).map(|units| pair.send(1, stock(MOVES, units))));
    pair.read(1);
    pair.shards[1].flush();
    pair.settle();
    pair.read(1);
    pair.shards[1].flush();
    let mut seen = Vec::new();
    for pending in sent {
        let Ok(answer::Answer::Stock(view)) = pending.await.unwrap().outcome else { panic!("no stock") };
        seen.push((view.version, view.locations[0].buckets.on_hand.units()));
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last().map(|(_, units)| *units), Some(30));
    assert_eq!(pair.shards.each_ref().map(|shard| shard.inbox.credits.taken()), [0, 0]);
    pair.stop().await;
}

#[actix::test]
async fn a_snapshot_that_waits_for_its_last_record_goes_along_and_is_written_where_its_partition_is() {
    let mut pair = Pair::start();
    let _pending = pair.send(0, stock(MOVES, 5));
    pair.read(0);
    pair.shards[0].snapshot_asked(MOVES);
    assert_eq!(pair.shards[0].snapshots.len(), 1, "its last record is not durable");
    pair.move_to_the_other();
    pair.read(1);
    assert_eq!(pair.shards.each_ref().map(|shard| shard.snapshots.len()), [0, 1]);
    pair.settle();
    pair.read(0);
    pair.read(1);
    assert!(pair.shards[1].snapshots.is_empty());
    pair.engine.rebuild.snapshot_writer.wait();
    assert_eq!(pair.journal.snapshot_heads(MOVES).unwrap().len(), 1);
    pair.stop().await;
}

/// It may wait at one shard after the other, and no longer than at one.
#[actix::test]
async fn a_message_that_waited_at_one_shard_is_as_old_at_the_next() {
    let mut pair = Pair::start();
    let now = pair.shards[1].links.clock.now();
    pair.router.host_at(MOVES, 1);
    let body = message(&mut pair).body;
    let input = |body| Box::new(Input::Message(body));
    let long_ago = Timestamp::new(now.millis() - LONGEST_MS - 1);
    for came in [long_ago, now] {
        pair.shards[1].read(ShardMessage::Waited { partition: MOVES, came, input: input(body.clone()) });
    }
    assert_eq!(pair.shards[1].stash.take(now, MOVES).len(), 1, "what came long ago is sent again");
    pair.shards[0].stash.put(long_ago, MOVES, Kind::Repeated, ShardMessage::Peer(Vec::new()));
    pair.shards[0].stash.put(now, MOVES, Kind::Repeated, ShardMessage::Peer(vec![Message { to: MOVES, body }]));
    pair.shards[0].depart(MOVES);
    let passed_on = pair.shards[1].next_message();
    assert!(matches!(passed_on, Some(ShardMessage::Waited { came, .. }) if came == now), "{passed_on:?}");
    pair.stop().await;
}

/// Any message between partitions.
fn message(pair: &mut Pair) -> Message {
    let _pending = pair.send(0, order(STAYS, OTHER));
    pair.read(0);
    pair.shards[0].fx.messages.pop().unwrap()
}
