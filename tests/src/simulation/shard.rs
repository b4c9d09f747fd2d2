//! Shards: a mailbox each, turns that take a few inputs, and what a turn hands on.
//!
//! Invariant, as in production: a shard submits the records of a turn before anything else of the turn leaves.

use super::agenda::{Happening, Life};
use super::client::Taken;
use super::faults::MILLI;
use super::ledger::{Breach, Checked, require};
use super::world::{Fresh, World};
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Event, Record};
use holdfast_engine::ids::{PartitionId, Seq, Ticket};
use holdfast_engine::partition::Input;
use holdfast_engine::protocol::{Body, Message, ToOrder, ToStock};
use holdfast_engine::stock::Hold;
use holdfast_engine::{Causality, invariants};
use std::collections::VecDeque;

/// What waits in a mailbox.
pub(super) enum Mail {
    Input(Input),
    Heard(Body, (PartitionId, Seq)),
    Request(Ticket),
    Resume,
}

pub(super) struct Shard {
    pub(super) mailbox: VecDeque<(usize, Mail)>,
    pub(super) turning: bool,
    pub(super) up: bool,
    pub(super) life: Life,
    pub(super) skew_ms: i64,
}

impl Shard {
    pub(super) fn new(skew_ms: i64) -> Self {
        Self { mailbox: VecDeque::new(), turning: false, up: true, life: 0, skew_ms }
    }

    /// Everything volatile is gone.
    pub(super) fn drop_all(&mut self) {
        self.mailbox.clear();
        (self.turning, self.up) = (false, false);
        self.life += 1;
    }
}

/// What the steps of one turn made.
#[derive(Default)]
struct Made {
    fx: Effects,
    /// Messages with the state their sender had.
    messages: Vec<(Message, (PartitionId, Seq))>,
    records: Vec<Fresh>,
    batches: Vec<(usize, Batch)>,
}

impl World {
    pub(super) fn post(&mut self, partition: usize, mail: Mail) {
        let index = self.plan.shard_of(partition);
        let shard = &mut self.shards[index];
        if !shard.up {
            return;
        }
        shard.mailbox.push_back((partition, mail));
        if !std::mem::replace(&mut shard.turning, true) {
            let life = shard.life;
            let delay = self.random.latency(5, 200);
            self.after(delay, Happening::Turn { shard: index, life });
        }
    }

    pub(super) fn tick(&mut self, partition: usize) {
        if self.armed[partition].is_some_and(|armed| armed <= self.now) {
            self.armed[partition] = None;
        }
        let shard = self.plan.shard_of(partition);
        let due = self.partitions[partition].next_deadline().is_some_and(|deadline| deadline <= self.clock(shard));
        if due { self.post(partition, Mail::Input(Input::Tick)) } else { self.arm(partition) }
    }

    /// One turn: a few steps, then their records are submitted, then their effects leave.
    pub(super) fn turn(&mut self, index: usize, life: Life) -> Checked {
        if self.shards[index].life != life {
            return Ok(());
        }
        self.shards[index].turning = false;
        let mut made = Made::default();
        let mut touched = Vec::new();
        for _ in 0..self.random.between(1, 12) {
            let Some((partition, mail)) = self.shards[index].mailbox.pop_front() else { break };
            self.step(partition, mail, &mut made)?;
            touched.push(partition);
            if self.random.below(1000) < self.plan.rates.panic_in_turn && self.random.chance(100) {
                self.trace.note(self.now, || format!("shard {index} panics inside a turn"));
                self.shard_panics(index);
                return Ok(());
            }
        }
        self.flush(made)?;
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().for_each(|partition| self.arm(partition));
        let shard = &mut self.shards[index];
        if !shard.mailbox.is_empty() {
            shard.turning = true;
            let delay = self.random.latency(5, 50);
            self.after(delay, Happening::Turn { shard: index, life });
        }
        Ok(())
    }

    fn step(&mut self, partition: usize, mail: Mail, made: &mut Made) -> Checked {
        let now = self.clock(self.plan.shard_of(partition));
        self.counts.steps += 1;
        let mut fx = Effects::default();
        let input = match mail {
            Mail::Input(input) => Some(input),
            Mail::Heard(body, basis) => {
                self.oracle.hear(body.order(), basis);
                Some(Input::Message(body))
            }
            Mail::Request(ticket) => self.resume(partition, ticket),
            Mail::Resume => None,
        };
        self.trace.mix_number((partition as u64) << 48 ^ now.millis());
        self.trace.note(self.now, || {
            format!("p{partition} < {}", input.as_ref().map_or("Resume".to_owned(), |input| format!("{input:?}")))
        });
        match input {
            Some(input) => self.partitions[partition].step(now, input, &mut fx),
            None => self.partitions[partition].resume(now, &mut fx),
        }
        self.gather(partition, fx, made)
    }

    /// A request with what it needs from the projections, read in the same turn.
    fn resume(&mut self, partition: usize, ticket: Ticket) -> Option<Input> {
        let shard = self.shards[self.plan.shard_of(partition)].life;
        let state = &self.partitions[partition];
        let pending = self.clients.pending.get_mut(&ticket.0)?;
        pending.taken = Some(Taken { process: self.life, shard, seq: state.seq() });
        let command: Command = pending.asked.command.clone();
        let missing = state.missing(&command);
        let order = missing.order.and_then(|id| self.store.orders.get(&id));
        let loaded = Loaded {
            order: order.and_then(|row| codec::decode_history(row).ok()),
            key: missing.key.and_then(|key| self.store.keys.get(&key).cloned()),
        };
        Some(Input::Command { ticket, command, loaded })
    }

    /// Adds what one step made to what its turn made.
    fn gather(&mut self, partition: usize, mut fx: Effects, made: &mut Made) -> Checked {
        if let Some(alarm) = fx.alarms.first() {
            return Err(Breach::new("alarm of the engine", alarm.clone()));
        }
        for record in records_of(&fx.batch)? {
            if let Event::Order { order, fact, .. } = &record.event {
                self.oracle.recorded(self.now, *order, fact)?;
            }
            made.records.push((partition, record));
        }
        let log = self.plan.log_of(partition);
        match made.batches.iter_mut().find(|(other, _)| *other == log) {
            _ if fx.batch.is_empty() => {}
            Some((_, batch)) => batch.extend(&fx.batch),
            None => made.batches.push((log, std::mem::take(&mut fx.batch))),
        }
        let id = self.partitions[partition].id;
        // A held-back message leaves long after the state it was made from: only at once is the state known.
        let seq = if self.plan.causality == Causality::OneLog { self.partitions[partition].seq() } else { 0 };
        for message in std::mem::take(&mut fx.messages) {
            self.message_is_true(partition, &message)?;
            made.messages.push((message, (id, seq)));
        }
        made.fx.replies.append(&mut fx.replies);
        made.fx.calls.append(&mut fx.calls);
        made.fx.archive.append(&mut fx.archive);
        Ok(())
    }

    /// A SKU that says it holds units does; a message that had to wait for its cause has waited.
    fn message_is_true(&self, partition: usize, message: &Message) -> Checked {
        if self.plan.causality == Causality::PerPartition {
            return self.cause_is_durable(partition, &message.body);
        }
        let Body::ToOrder(ToOrder::Held { sku, hold, .. }) = &message.body else { return Ok(()) };
        let found = self.partitions[partition].sku(sku).and_then(|stock| stock.holds.get(hold));
        require(found.is_some_and(Hold::live), "I4 a hold ends once", || {
            format!("{sku} told order {} that it holds units, its hold is {found:?}", hold.order)
        })
    }

    /// Where logs are separate, nobody may act on a fact that a crash could undo.
    fn cause_is_durable(&self, partition: usize, body: &Body) -> Checked {
        let facts = |order, step: u32| {
            self.ledger.orders.get(order).and_then(|book| book.history.get(step as usize - 1)).map(|fact| fact.seq)
        };
        let cause = match body {
            // Outside any round: an answer to a question about an old hold.
            Body::ToStock(ToStock::Move { order_version: u32::MAX, .. }) => return Ok(()),
            Body::ToStock(ToStock::Reserve { request, .. }) => facts(&request.hold.order, request.order_version),
            Body::ToStock(ToStock::Move { hold, order_version, .. }) => facts(&hold.order, *order_version),
            Body::ToOrder(ToOrder::Held { sku, hold, .. }) => {
                self.ledger.skus.get(sku).and_then(|book| book.holds.get(hold)).map(|hold| hold.placed)
            }
            Body::ToOrder(ToOrder::Refused { .. } | ToOrder::Moved { .. } | ToOrder::HoldProbe { .. }) => return Ok(()),
        };
        let durable = self.durable[partition];
        require(cause.is_some_and(|seq| seq <= durable), "D4 causes are durable", || {
            format!("partition {partition}, durable up to {durable}, let out {body:?} caused by {cause:?}")
        })
    }

    /// Records first, then everything else.
    fn flush(&mut self, made: Made) -> Checked {
        for (partition, record) in &made.records {
            self.trace.note(self.now, || format!("p{partition} * {} {:?}", record.seq, record.event));
            self.counts.record(record);
            self.ledger.add(*partition, record)?;
            self.submitted[*partition] = record.seq;
            if let Event::Stock { sku, .. } = &record.event {
                self.oracle.stocked(self.now, &self.ledger, sku);
            }
            self.provider_agrees(record)?;
        }
        for (log, batch) in made.batches {
            self.trace.mix(&batch.entries);
            self.logs[log].queue.push_back(batch);
            self.commit(log);
        }
        for reply in made.fx.replies {
            self.reply_leaves(reply)?;
        }
        for (message, basis) in made.messages {
            self.message_leaves(message, basis);
        }
        for call in made.fx.calls {
            self.trace.note(self.now, || format!("  > {call:?}"));
            let delay = self.random.latency(MILLI, 50 * MILLI);
            self.after(delay, Happening::CallArrives(Box::new(call)));
        }
        for archive in made.fx.archive {
            self.archive_leaves(archive);
        }
        self.counts.turns += 1;
        if self.counts.turns.is_multiple_of(CHECK_EVERY) { self.check_invariants() } else { Ok(()) }
    }

    /// The invariants of the engine over all partitions, where none is half rebuilt.
    pub(super) fn check_invariants(&self) -> Checked {
        if !self.up || self.shards.iter().any(|shard| !shard.up) {
            return Ok(());
        }
        match invariants::check(&self.partitions).into_iter().next() {
            Some(violation) => Err(Breach::new("invariants of the engine", violation)),
            None => Ok(()),
        }
    }
}

/// Turns between two full checks; the books are checked at each record.
const CHECK_EVERY: u64 = 64;

/// The records of a batch as the log will have them.
fn records_of(batch: &Batch) -> Result<Vec<Record>, Breach> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let frame = batch.frame();
    decode_frame(&frame)?.into_iter().map(|(_, record)| Ok(record)).collect()
}

/// Every record of a frame with its partition.
pub(super) fn decode_frame(frame: &[u8]) -> Result<Vec<Fresh>, Breach> {
    let broken = |error: codec::Error| Breach::new("the codec reads what it wrote", error.to_string());
    let entries = codec::read_frame(frame).map_err(broken)?;
    let decode = |entry: Result<codec::Entry<'_>, codec::Error>| {
        let entry = entry.map_err(broken)?;
        Ok((usize::from(entry.partition.0), entry.decode().map_err(broken)?))
    };
    entries.map(decode).collect()
}
