//! Shards: a mailbox each, turns that take a few inputs, and what a turn hands on.
//!
//! Invariant, as in production: a shard submits the records of a turn before anything else of the turn leaves.

use super::agenda::{Happening, Life};
use super::client::Taken;
use super::faults::MILLI;
use super::ledger::{Breach, Checked, require};
use super::world::{Fresh, World, id_of};
use holdfast_actors::placement::stash::Stash;
use holdfast_actors::shard::hosting::{Hosted, Hosting, Place, Stepped, Submission};
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Event, Kind, Line, OrderFact, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, OrderId, PartitionId, Partitions, RequestId, Seq, Sku, Ticket};
use holdfast_engine::partition::{Input, Partition};
use holdfast_engine::protocol::{Body, Message, ToOrder, ToStock};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::stock::Hold;
use holdfast_engine::time::Timestamp;
use holdfast_engine::{Causality, invariants};
use holdfast_storage::LogId;
use std::collections::{BTreeSet, VecDeque};

/// What waits in a mailbox.
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large kind")]
pub(super) enum Post {
    To(usize, Mail),
    /// Up to this batch of the log everything is durable.
    Committed(LogId, u64),
}

/// What is for one partition.
pub(super) enum Mail {
    Input(Input),
    Heard(Body, (PartitionId, Seq)),
    Request(Ticket),
    Resume,
    /// It panics.
    Poison,
    /// It is back, in this life.
    Host(Box<Partition>, Life),
    /// The table names another host.
    Depart,
    /// It comes from another shard.
    Arrive(Box<Hosted>),
}

pub(super) struct Shard {
    pub(super) mailbox: VecDeque<Post>,
    pub(super) turning: bool,
    pub(super) up: bool,
    pub(super) life: Life,
    pub(super) skew_ms: i64,
    /// As in production: what is stepped, submitted, durable and lost.
    pub(super) hosting: Hosting,
    /// As in production: what is for partitions that are on their way here.
    pub(super) stash: Stash<Mail>,
    /// What was made and is not submitted yet, because enough is in flight.
    pub(super) made: Made,
}

impl Shard {
    pub(super) fn new(hosting: Hosting, skew_ms: i64) -> Self {
        let (stash, made) = (Stash::default(), Made::default());
        Self { mailbox: VecDeque::new(), turning: false, up: true, life: 0, skew_ms, hosting, stash, made }
    }

    /// Everything volatile is gone.
    pub(super) fn drop_all(&mut self, hosting: Hosting) {
        *self = Self { up: false, life: self.life + 1, ..Self::new(hosting, self.skew_ms) };
    }
}

/// What the steps of one turn made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) fx: Effects,
    /// Messages with the state their sender had.
    messages: Vec<(Message, (PartitionId, Seq))>,
    records: Vec<Fresh>,
    /// Orders that asked their SKUs by direct calls: they are judged when the ledger has what their SKUs had.
    at_once: BTreeSet<OrderId>,
}

impl World {
    pub(super) fn post(&mut self, partition: usize, mail: Mail) {
        self.post_to(self.shard_of[partition], Post::To(partition, mail));
    }

    pub(super) fn post_to(&mut self, index: usize, post: Post) {
        let shard = &mut self.shards[index];
        if !shard.up {
            return;
        }
        shard.mailbox.push_back(post);
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
        let Some(host) = self.host_of(partition) else { return };
        let now = self.clock(host);
        let due = self.here(partition).and_then(Partition::next_deadline).is_some_and(|deadline| deadline <= now);
        if due { self.post_to(host, Post::To(partition, Mail::Input(Input::Tick))) } else { self.arm(partition) }
    }

    /// One turn: a few steps, then their records are submitted, then their effects leave, then what panicked is parted with.
    pub(super) fn turn(&mut self, index: usize, life: Life) -> Checked {
        if self.shards[index].life != life {
            return Ok(());
        }
        self.shards[index].turning = false;
        let mut made = std::mem::take(&mut self.shards[index].made);
        let mut touched = Vec::new();
        for _ in 0..self.random.between(1, 12) {
            match self.shards[index].mailbox.pop_front() {
                Some(Post::To(partition, mail)) => {
                    self.step(index, partition, mail, &mut made)?;
                    touched.push(partition);
                }
                Some(Post::Committed(log, batch)) => self.committed(index, (log, batch), &mut made, &mut touched)?,
                None => break,
            }
            if self.random.below(1000) < self.plan.rates.panic_in_turn && self.random.chance(100) {
                return self.shard_panics(index);
            }
        }
        touched.extend(made.records.iter().map(|(partition, _)| *partition));
        self.flush(index, made)?;
        self.lose(index, |in_hand, unanswered| in_hand == unanswered)?;
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

    fn committed(&mut self, index: usize, landed: (LogId, u64), made: &mut Made, touched: &mut Vec<usize>) -> Checked {
        while let Some(upto) = self.shards[index].hosting.landed(landed.0, landed.1) {
            for (id, seq) in upto {
                let partition = usize::from(id.0);
                require(seq <= self.durable[partition], "a partition is told of what is durable", || {
                    format!("partition {partition}, durable up to {}, is told of {seq}", self.durable[partition])
                })?;
                // Of one that has left, or panicked, its next host or life hears itself.
                if self.shards[index].hosting.place(id) == Place::Here {
                    self.give(index, partition, Input::Durable(seq), made)?;
                    touched.push(partition);
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, index: usize, partition: usize, mail: Mail, made: &mut Made) -> Checked {
        let place = self.shards[index].hosting.place(id_of(partition));
        match mail {
            Mail::Depart => self.depart(index, partition, made),
            Mail::Arrive(hosted) => self.arrive(index, hosted),
            Mail::Host(state, life) => self.come_back(index, *state, life, made),
            // One that fell before it took up its work takes it up when it is back.
            Mail::Resume if place != Place::Here => Ok(()),
            Mail::Resume => self.resume(index, partition, made),
            mail if place == Place::Away => {
                self.pass_on(index, partition, mail);
                Ok(())
            }
            Mail::Input(input) => self.give(index, partition, input, made),
            Mail::Heard(body, basis) => {
                self.oracle.hear(body.order(), basis);
                self.give(index, partition, Input::Message(body), made)
            }
            Mail::Request(ticket) => match self.take_up(index, partition, ticket) {
                Some(input) => self.give(index, partition, input, made),
                None => Ok(()),
            },
            Mail::Poison if self.calm => Ok(()),
            Mail::Poison => self.give(index, partition, poison(self.plan.partitions, id_of(partition)), made),
        }
    }

    fn give(&mut self, index: usize, partition: usize, input: Input, made: &mut Made) -> Checked {
        let now = self.clock(index);
        self.counts.steps += 1;
        self.trace.mix_number((partition as u64) << 48 ^ now.millis());
        self.trace.note(self.now, || format!("p{partition} < {input:?}"));
        let poisoned = matches!(&input, Input::Command { ticket: POISON, .. });
        let mut fx = Effects::default();
        match self.shards[index].hosting.step(now, id_of(partition), input, &mut fx) {
            Stepped::Done => {}
            // Told 503, or waiting: whoever sent it tries again.
            Stepped::Later(_) => {}
            Stepped::Panicked if poisoned => {}
            Stepped::Panicked => {
                let reason = self.shards[index].hosting.take_fallen().pop().map(|fallen| fallen.reason);
                return Err(Breach::new("panic", reason.unwrap_or_default()));
            }
            Stepped::Refused(_) | Stepped::Elsewhere(_) => {
                return Err(Breach::new("what is sent reaches its partition", format!("partition {partition} at shard {index}")));
            }
        }
        self.gather(partition, fx, made)
    }

    fn resume(&mut self, index: usize, partition: usize, made: &mut Made) -> Checked {
        let (now, mut fx) = (self.clock(index), Effects::default());
        self.trace.note(self.now, || format!("p{partition} < Resume"));
        let resumed = self.shards[index].hosting.resume(now, id_of(partition), &mut fx);
        require(resumed == Stepped::Done, "panic", || format!("partition {partition} cannot take up its work"))?;
        self.gather(partition, fx, made)
    }

    /// A partition that panicked takes up its work, and what waited for it.
    fn come_back(&mut self, index: usize, state: Partition, life: Life, made: &mut Made) -> Checked {
        let (now, id, partition) = (self.clock(index), state.id, usize::from(state.id.0));
        let hosting = &mut self.shards[index].hosting;
        let comes = hosting.place(id) == Place::Away && self.shard_of[partition] == index;
        let waiting = if comes { Some(Vec::new()) } else { hosting.take_waiting(now, id, life) };
        require(waiting.is_some(), "a partition comes back where it is waited for", || format!("{partition} in life {life}"))?;
        hosting.host(state, life, Vec::new());
        self.resume(index, partition, made)?;
        waiting.into_iter().flatten().try_for_each(|input| self.give(index, partition, input, made))?;
        if comes {
            self.arrived(index, partition);
        }
        Ok(())
    }

    /// A request with what it needs from the projections, read in the same turn. None if nobody takes it.
    fn take_up(&mut self, index: usize, partition: usize, ticket: Ticket) -> Option<Input> {
        let hosting = &mut self.shards[index].hosting;
        let pending = self.clients.pending.get_mut(&ticket.0)?;
        hosting.took(id_of(partition));
        let Some(hosted) = hosting.get(id_of(partition)) else {
            // Its partition is being rebuilt: 503.
            pending.reached = None;
            return None;
        };
        pending.taken = Some(Taken { process: self.life, partition: hosted.life, seq: hosted.partition.seq() });
        let command: Command = pending.asked.command.clone();
        let missing = hosted.partition.missing(&command);
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
        let records = records_of(&fx.batch)?;
        made.at_once.extend(self.hear_at_once(&records));
        for (partition, record) in records {
            if let Event::Order { order, fact, .. } = &record.event
                && !made.at_once.contains(order)
            {
                self.oracle.recorded(self.now, *order, fact)?;
            }
            made.records.push((partition, record));
        }
        made.fx.batch.extend(&fx.batch);
        // A held-back message leaves long after the state it was made from: only at once is the state known.
        let seq = match self.plan.causality {
            Causality::OneLog => self.here(partition).map_or(0, Partition::seq),
            Causality::PerPartition => 0,
        };
        for message in std::mem::take(&mut fx.messages) {
            self.message_is_true(partition, &message)?;
            made.messages.push((message, (id_of(partition), seq)));
        }
        made.fx.replies.append(&mut fx.replies);
        made.fx.calls.append(&mut fx.calls);
        made.fx.archive.append(&mut fx.archive);
        Ok(())
    }

    /// The order that was placed and decided by one step, if any was: its SKUs were asked by direct calls.
    fn hear_at_once(&mut self, records: &[Fresh]) -> Option<OrderId> {
        let facts = records.iter().filter_map(|(_, record)| match &record.event {
            Event::Order { order, fact, .. } => Some((*order, &**fact)),
            Event::Stock { .. } | Event::Key(_) | Event::Archive(_) | Event::Partition(_) | Event::Operator(_) => None,
        });
        let facts: Vec<_> = facts.collect();
        let [(order, OrderFact::Placed(placed)), _, ..] = facts.as_slice() else { return None };
        for line in &placed.lines {
            let from = self.plan.partitions.of_sku(&line.sku);
            let seq = self.here(usize::from(from.0)).map_or(0, Partition::seq);
            self.oracle.hear(*order, (from, seq));
        }
        Some(*order)
    }

    /// A SKU that says it holds units does; a message that had to wait for its cause has waited.
    fn message_is_true(&self, partition: usize, message: &Message) -> Checked {
        if self.plan.causality == Causality::PerPartition {
            return self.cause_is_durable(partition, &message.body);
        }
        let Body::ToOrder(ToOrder::Held { sku, hold, .. }) = &message.body else { return Ok(()) };
        let found = self.here(partition).and_then(|home| home.hold(sku, hold));
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

    /// Records first, then everything else. Where enough is in flight records wait, unless something depends on them.
    fn flush(&mut self, index: usize, mut made: Made) -> Checked {
        let hosting = &self.shards[index].hosting;
        let urgent = !made.messages.is_empty() || hosting.has_fallen();
        if urgent || hosting.flying() < MAX_IN_FLIGHT * self.logs.len() {
            self.hand_over(index, &mut made)?;
        }
        self.release(&mut made)?;
        self.shards[index].made = made;
        self.counts.turns += 1;
        if self.counts.turns.is_multiple_of(CHECK_EVERY) { self.check_invariants() } else { Ok(()) }
    }

    pub(super) fn hand_over(&mut self, index: usize, made: &mut Made) -> Checked {
        for (partition, record) in made.records.drain(..) {
            self.trace.note(self.now, || format!("p{partition} * {} {:?}", record.seq, record.event));
            self.counts.record(&record);
            self.ledger.add(partition, &record)?;
            self.submitted[partition] = record.seq;
            match &record.event {
                Event::Stock { sku, .. } => self.oracle.stocked(self.now, &self.ledger, sku),
                Event::Order { order, fact, .. } if made.at_once.contains(order) => {
                    self.oracle.recorded(self.now, *order, fact)?
                }
                Event::Order { .. } | Event::Key(_) | Event::Archive(_) | Event::Partition(_) | Event::Operator(_) => {}
            }
            self.provider_agrees(&record)?;
        }
        made.at_once.clear();
        self.submit(index, made.fx.batch.take())
    }

    /// What is free to leave leaves.
    pub(super) fn release(&mut self, made: &mut Made) -> Checked {
        for reply in made.fx.replies.drain(..) {
            self.reply_leaves(reply)?;
        }
        for (message, basis) in made.messages.drain(..) {
            self.message_leaves(message, basis);
        }
        for call in made.fx.calls.drain(..) {
            self.trace.note(self.now, || format!("  > {call:?}"));
            let delay = self.random.latency(MILLI, 50 * MILLI);
            self.after(delay, Happening::CallArrives(Box::new(call)));
        }
        for archive in made.fx.archive.drain(..) {
            self.archive_leaves(archive);
        }
        Ok(())
    }

    fn submit(&mut self, index: usize, batch: Batch) -> Checked {
        if batch.is_empty() {
            return Ok(());
        }
        for submission in self.shards[index].hosting.submit(batch) {
            for (id, seq) in &submission.upto {
                let submitted = self.submitted[usize::from(id.0)];
                require(*seq == submitted, "what is submitted is what was made", || format!("{id:?}: {seq}, made {submitted}"))?;
            }
            self.fly(index, submission);
        }
        Ok(())
    }

    pub(super) fn fly(&mut self, index: usize, Submission { log, batch, upto }: Submission) {
        self.trace.mix(&batch.entries);
        let queue = &mut self.logs[usize::from(log.0)];
        queue.submitted += 1;
        queue.queue.push_back((queue.submitted, batch));
        self.shards[index].hosting.fly(log, queue.submitted, upto);
        self.commit(usize::from(log.0));
    }

    /// The invariants of the engine over all partitions, where none is being rebuilt.
    pub(super) fn check_invariants(&self) -> Checked {
        let here = self.all_here();
        if !self.up || here.len() < self.count() {
            return Ok(());
        }
        match invariants::check(&here).into_iter().next() {
            Some(violation) => Err(Breach::new("invariants of the engine", violation)),
            None => Ok(()),
        }
    }
}

/// The request that panics its partition.
const POISON: Ticket = Ticket(u64::MAX);

/// An order that costs more than can be counted.
fn poison(partitions: Partitions, home: PartitionId) -> Input {
    let ids = (0..).map(|number: u64| OrderId::derive(KeyHash::derive("", "poison", &number.to_string()), partitions));
    let (Some(order), Some(sku), Some(request_id)) =
        (ids.into_iter().find(|id| id.partition() == home), Sku::new("poison"), RequestId::new("poison"))
    else {
        unreachable!("constants in bounds, and ids of every partition")
    };
    let line = Line { sku, quantity: Quantity::new(2), unit_price: Money::new(i64::MAX), seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(0),
        request_id,
        customer: None,
        currency: None,
        lines: vec![line],
        allow_partial: false,
        expires_at: Timestamp::new(u64::MAX / 2),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    let command = Command::Place { order, placed: Box::new(placed) };
    Input::Command { ticket: POISON, command, loaded: Loaded::default() }
}

/// As in production.
const MAX_IN_FLIGHT: usize = 2;

/// Turns between two full checks; the books are checked at each record.
const CHECK_EVERY: u64 = 64;

/// The records of a batch as the log will have them.
fn records_of(batch: &Batch) -> Result<Vec<Fresh>, Breach> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let frame = batch.frame();
    decode_frame(&frame)
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
