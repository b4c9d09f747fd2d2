//! A few partitions driven by commands, for batches of real events.
//!
//! Invariant: the batches a world has given, in order, are its whole history. Messages are delivered within the call
//! that caused them, so each batch leaves the world at rest.

use crate::contract::{Journal, LogId, LogSeq, Row, Snapshot, Table};
use crate::rows::{self, Archived, Writer, basis, meta};
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::{Command, CommandKey, Loaded};
use holdfast_engine::effect::{Archive, Effects};
use holdfast_engine::event::{Bucket, Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, Label, Location, OrderId, PartitionId, Partitions, RequestId, Sku, Ticket};
use holdfast_engine::partition::{Causality, Input, Partition};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::{Policy, Timestamp};
use std::collections::VecDeque;

/// See the module.
pub struct World {
    partitions: Partitions,
    hosted: Vec<Partition>,
    now: Timestamp,
    count: u64,
    archives: Vec<Archive>,
}

impl World {
    pub fn new(partitions: Partitions) -> Self {
        let new = |id| Partition::new(id, partitions, Causality::OneLog, Policy::default());
        let hosted = partitions.all().map(new).collect();
        Self { partitions, hosted, now: Timestamp::new(1_000_000), count: 0, archives: Vec::new() }
    }

    /// Goes on with partitions that were recovered. Its clock and its names go on where those of `before` were.
    pub fn resumed(hosted: Vec<Partition>, before: &Self) -> Self {
        let Self { partitions, now, count, .. } = *before;
        Self { partitions, hosted, now, count, archives: Vec::new() }
    }

    pub fn hashes(&self) -> Vec<u64> {
        self.hosted.iter().map(Partition::hash).collect()
    }

    pub fn partition_of(&self, order: OrderId) -> &Partition {
        &self.hosted[usize::from(order.partition().0)]
    }

    pub fn version_of(&self, sku: &Sku) -> u64 {
        let partition = &self.hosted[usize::from(self.partitions.of_sku(sku).0)];
        partition.sku(sku).map_or(0, |stock| stock.version)
    }

    /// Of every partition, with the commit after which its tail begins.
    pub fn snapshots(&self, after: impl Fn(PartitionId) -> LogSeq) -> Vec<Snapshot> {
        let snapshot =
            |one: &Partition| Snapshot { partition: one.id, seq: one.seq(), after: after(one.id), state: one.snapshot() };
        self.hosted.iter().map(snapshot).collect()
    }

    /// What closed so far and was not taken yet.
    pub fn take_archives(&mut self) -> Vec<Archive> {
        std::mem::take(&mut self.archives)
    }

    /// The batch that counts `units` of a SKU at two shelves, or that says there is nothing to change.
    pub fn set_stock(&mut self, sku: &str, units: u32) -> Batch {
        let mut batch = Batch::default();
        for location in ["north", "south"] {
            batch.extend(&self.command(Command::SetStock {
                sku: sku_of(sku),
                location: location_of(location),
                on_hand: Quantity::new(units),
                safety_stock: None,
                priority: None,
                expected: None,
            }));
        }
        batch
    }

    /// Places an order without payment for `units` of each SKU.
    pub fn place(&mut self, skus: &[&str], units: u32) -> (OrderId, Batch) {
        self.count += 1;
        let order = OrderId::derive(KeyHash::derive("world", "orders", &self.count.to_string()), self.partitions);
        let placed = placed(skus, units, self.now.plus(900_000));
        (order, self.command(Command::Place { order, placed: Box::new(placed) }))
    }

    /// As [`Self::place`], of one unit, with so many bytes of notes on each line.
    pub fn place_noted(&mut self, skus: &[&str], bytes: usize) -> (OrderId, Batch) {
        self.count += 1;
        let order = OrderId::derive(KeyHash::derive("world", "orders", &self.count.to_string()), self.partitions);
        let mut placed = placed(skus, 1, self.now.plus(900_000));
        placed.lines.iter_mut().for_each(|line| line.metadata = Some("1".repeat(bytes).into()));
        (order, self.command(Command::Place { order, placed: Box::new(placed) }))
    }

    /// So long nothing happens.
    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn confirm(&mut self, order: OrderId) -> Batch {
        self.command(Command::Confirm { order, kind: Kind::Order, reason: None })
    }

    pub fn cancel(&mut self, order: OrderId) -> Batch {
        self.command(Command::Cancel { order, kind: Kind::Order, reason: None })
    }

    /// Corrects what is counted of a SKU under a key of its own, which is answered and then left to the store.
    pub fn adjust(&mut self, sku: &str, delta: i64) -> (KeyHash, Batch) {
        self.count += 1;
        let hash = KeyHash::derive("world", "adjustments", &self.count.to_string());
        let request_id = RequestId::new("request").unwrap_or_else(|| unreachable!("a constant"));
        let batch = self.command(Command::AdjustStock {
            sku: sku_of(sku),
            location: location_of("north"),
            bucket: Bucket::OnHand,
            delta,
            reason: Label::new("count").unwrap_or_else(|| unreachable!("a constant")),
            reference: None,
            key: CommandKey { hash, fingerprint: Fingerprint(1), request_id },
        });
        (hash, batch)
    }

    /// What closed leaves memory, as if a projector had written it, a batch of each partition.
    pub fn leave_memory(&mut self) -> (Vec<Archive>, Vec<Batch>) {
        let archives = self.take_archives();
        let batches = archived_of(&archives).into_iter().map(|archived| self.archived(archived)).collect();
        (archives, batches)
    }

    /// What closed leaves memory for the rows of a journal that has all of this world, but for the last `lost`, and snapshots of its end
    /// are written: nothing before that is needed to know the world.
    ///
    /// # Panics
    /// If the journal takes nothing.
    pub fn rest(&mut self, journal: &dyn Journal, lost: usize) -> Vec<Archive> {
        let (log, (left, batches)) = (LogId(0), self.leave_memory());
        for batch in batches {
            journal.append(log, &batch).expect("a journal that takes what left memory");
        }
        let tip = journal.tip(log).ok().flatten().expect("a journal with commits");
        let moved = Row { table: Table::Meta, key: meta::movements(log), value: codec::encode(&tip.commit), version: tip.commit };
        let mut all = vec![basis::row(log, Writer::Rows, tip), moved];
        all.extend(left.iter().take(left.len() - lost).map(rows::row_of));
        journal.project(&all).expect("a journal that takes rows");
        for snapshot in self.snapshots(|_| tip.commit) {
            rows::save_snapshot(journal, &snapshot).expect("a journal that takes snapshots");
        }
        left
    }

    /// The projection has these.
    pub fn archived(&mut self, archived: Archived) -> Batch {
        let Archived { partition, orders, keys } = archived;
        self.settle(usize::from(partition.0), Input::Archived { orders, keys })
    }

    /// Orders that are confirmed, cancelled, refused and left open, some of SKUs of several partitions.
    pub fn busy_day(&mut self) -> Vec<Batch> {
        let skus: Vec<String> = (0..12).map(|n| format!("SKU-{n}")).collect();
        let mut batches: Vec<Batch> = skus.iter().map(|sku| self.set_stock(sku, 50)).collect();
        for (n, pair) in skus.windows(2).enumerate() {
            let (order, batch) = self.place(&[pair[0].as_str(), pair[1].as_str()], 3 * n as u32 + 1);
            batches.push(batch);
            match n % 3 {
                0 => batches.push(self.confirm(order)),
                1 => batches.push(self.cancel(order)),
                _ => {}
            }
        }
        batches.push(self.place(&["SKU-0"], 1_000).1);
        batches.retain(|batch| !batch.is_empty());
        batches
    }

    fn command(&mut self, command: Command) -> Batch {
        let to = usize::from(command.partition(self.partitions).0);
        self.count += 1;
        self.settle(to, Input::Command { ticket: Ticket(self.count), command, loaded: Loaded::default() })
    }

    /// Steps until no message is left, then says that all of it is durable.
    fn settle(&mut self, to: usize, input: Input) -> Batch {
        self.now = self.now.plus(1);
        let mut fx = Effects::default();
        let mut inputs = VecDeque::from([(to, input)]);
        while let Some((to, input)) = inputs.pop_front() {
            self.hosted[to].step(self.now, input, &mut fx);
            inputs.extend(fx.messages.drain(..).map(|message| (usize::from(message.to.0), Input::Message(message.body))));
        }
        for partition in &mut self.hosted {
            let seq = partition.seq();
            partition.step(self.now, Input::Durable(seq), &mut fx);
        }
        self.archives.append(&mut fx.archive);
        fx.batch.take()
    }
}

fn archived_of(archives: &[Archive]) -> Vec<Archived> {
    let one = |archive: &Archive| match archive {
        Archive::Order { partition, order, history } => {
            Archived { partition: *partition, orders: vec![(*order, history.len())], keys: Vec::new() }
        }
        Archive::Key { partition, key, .. } => Archived { partition: *partition, orders: Vec::new(), keys: vec![*key] },
    };
    archives.iter().map(one).collect()
}

/// An order of `units` of each SKU.
///
/// # Panics
/// If a SKU is out of bounds.
pub fn placed(skus: &[&str], units: u32, expires_at: Timestamp) -> Placed {
    let line = |sku: &&str| Line {
        sku: sku_of(sku),
        quantity: Quantity::new(units),
        unit_price: Money::new(100),
        seller: None,
        metadata: None,
    };
    Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(1),
        request_id: RequestId::new("request").unwrap_or_else(|| unreachable!("a constant")),
        customer: None,
        currency: None,
        lines: skus.iter().map(line).collect(),
        allow_partial: false,
        expires_at,
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    }
}

fn sku_of(text: &str) -> Sku {
    Sku::new(text).unwrap_or_else(|| panic!("not a SKU: {text}"))
}

fn location_of(text: &str) -> Location {
    Location::new(text).unwrap_or_else(|| panic!("not a location: {text}"))
}
