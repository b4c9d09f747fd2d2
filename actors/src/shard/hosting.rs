//! The partitions of one shard, by number: what is stepped, submitted, known to be durable, and what a panic takes out.
//!
//! Pure: no clock, no thread, no journal. The shard and the simulator both feed it. Invariants: a step that panics leaves no effect, and
//! takes its partition out and no other; facts of a partition are handed over in one dense sequence; what a batch made durable is
//! told to those of its partitions that are here. See docs/adr/0014.

mod passage;

pub use passage::Departure;

use super::departures::Departures;
use crate::panics::{self, Name, Suspect};
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::Placed;
use holdfast_engine::ids::{OrderId, PartitionId, Partitions, Seq, Ticket};
use holdfast_engine::partition::{Asked, Input, Partition};
use holdfast_engine::time::Timestamp;
use holdfast_storage::LogId;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Inputs that wait for a partition that is being rebuilt. Those beyond it are lost: what sent them sends them again.
const MOST_WAITING: usize = 4096;
/// The longest that one of them waits. A message must not come after what it is about is forgotten:
/// see [`holdfast_engine::limits::RESOLVED_MS`].
const LONGEST_WAIT_MS: u64 = 2_000;

/// Events between two snapshots of a partition, at least, for each order, SKU and hold that the earlier one has: what the
/// later one costs is then a share of what made it necessary, however large the partition has grown.
const EVENTS_PER_OBJECT: u64 = 2;

/// What a snapshot of this partition asks for before the next; operators may ask for more at any time.
pub(super) fn pause_after(partition: &Partition) -> u64 {
    EVENTS_PER_OBJECT * partition.objects() as u64
}

/// A partition that is here.
#[derive(Debug)]
pub struct Hosted {
    pub partition: Partition,
    /// Counts its rebuilds.
    pub life: u64,
    /// What panicked earlier lives too often.
    refused: Vec<Suspect>,
    /// Last sequence handed over.
    submitted: Seq,
    /// Requests read and not answered.
    in_hand: usize,
    /// Requests read since the process hosts it.
    requests: u64,
    /// Likewise, messages of other partitions.
    messages: u64,
    /// Listed in `dirty`.
    dirty: bool,
    /// Sequence of the newest snapshot.
    pub(super) checkpoint: Seq,
    /// Events that must follow on it before the next is worth its cost, whatever operators set.
    pub(super) pause: u64,
    /// What left memory for the store.
    pub(super) departures: Departures,
}

impl Hosted {
    /// Nearly always there is nothing to look for.
    fn refuses(&self, input: &Input) -> bool {
        !self.refused.is_empty() && Suspect::of(input).is_some_and(|suspect| self.refused.contains(&suspect))
    }
}

/// Where a partition is, as far as its number tells here.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Away,
    /// It panicked and is being rebuilt. It comes back here, in this life.
    Returning {
        life: u64,
        /// With the time each came.
        waiting: Vec<(Timestamp, Input)>,
    },
    Here(Box<Hosted>),
}

/// What is known of a partition here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Here,
    Returning,
    Away,
}

/// What became of an input.
#[derive(Debug, PartialEq)]
pub enum Stepped {
    /// It is carried out.
    Done,
    /// It panicked, and its partition is out.
    Panicked,
    /// It panicked earlier lives too often and is not carried out. A command is to be told so.
    Refused(Option<Ticket>),
    /// Its partition is being rebuilt. A command is to be told so; anything else waits for it.
    Later(Option<Ticket>),
    /// Its partition is not here.
    Elsewhere(Box<Input>),
}

/// A partition that panicked, as it was: what is left of it is good for nothing but to be dropped.
#[derive(Debug)]
pub struct Fallen {
    pub life: u64,
    /// Requests of which nobody knows what became.
    pub in_hand: usize,
    pub reason: String,
    /// What it was given, if somebody gave it.
    pub suspect: Option<Suspect>,
    pub partition: Partition,
}

/// A batch on its way to its log, with the sequences it brings.
#[derive(Debug)]
struct InFlight {
    batch: u64,
    upto: Vec<(PartitionId, Seq)>,
}

/// What is to be handed to a log.
#[derive(Debug)]
pub struct Submission {
    pub log: LogId,
    pub batch: Batch,
    pub upto: Vec<(PartitionId, Seq)>,
}

/// See the module.
#[derive(Debug)]
pub struct Hosting {
    causality: Causality,
    /// An order asks SKUs that are here by direct calls. Only where a record is never durable without those before it.
    pub at_once: bool,
    slots: Vec<Slot>,
    /// Partitions here that were stepped since the last submission.
    dirty: Vec<PartitionId>,
    /// By log.
    in_flight: BTreeMap<LogId, VecDeque<InFlight>>,
    /// Batches in flight to all logs.
    flying: usize,
    /// Partitions that panicked and were not taken away yet.
    fallen: Vec<Fallen>,
    /// Empty between turns, kept for its room.
    mail: Vec<holdfast_engine::protocol::Message>,
    /// Earliest deadline of the partitions stepped since it was taken.
    pub soonest: Option<Timestamp>,
}

impl Hosting {
    pub fn new(partitions: Partitions, causality: Causality) -> Self {
        Self {
            causality,
            at_once: causality == Causality::OneLog,
            slots: partitions.all().map(|_| Slot::Away).collect(),
            dirty: Vec::new(),
            in_flight: BTreeMap::new(),
            flying: 0,
            fallen: Vec::new(),
            mail: Vec::new(),
            soonest: None,
        }
    }

    /// Takes a partition in. It is as the journal has it: everything it submitted before is durable.
    pub fn host(&mut self, partition: Partition, life: u64, refused: Vec<Suspect>) {
        let (id, seq) = (partition.id, partition.seq());
        let (departures, pause) = (Departures::after(seq), pause_after(&partition));
        // What was replayed behind its snapshot would be replayed again by the next start.
        let (submitted, checkpoint) = (seq, partition.snapshot_seq());
        let (in_hand, requests, messages, dirty) = (0, 0, 0, false);
        let hosted =
            Hosted { partition, life, refused, submitted, in_hand, requests, messages, dirty, checkpoint, pause, departures };
        if let Some(slot) = self.slots.get_mut(usize::from(id.0)) {
            *slot = Slot::Here(Box::new(hosted));
        }
    }

    /// What waited for a partition that comes back in this life, and not for too long. None: it is not waited for here.
    pub fn take_waiting(&mut self, now: Timestamp, id: PartitionId, life: u64) -> Option<Vec<Input>> {
        match self.slots.get_mut(usize::from(id.0)) {
            Some(Slot::Returning { life: next, waiting }) if *next == life => {
                let fresh = waiting.drain(..).filter(|(came, _)| now.since(*came) <= LONGEST_WAIT_MS);
                Some(fresh.map(|(_, input)| input).collect())
            }
            Some(Slot::Returning { .. } | Slot::Away | Slot::Here(_)) | None => None,
        }
    }

    /// Keeps what came at `came` for a partition that is awaited here.
    pub fn keep_waiting(&mut self, came: Timestamp, id: PartitionId, input: Input) {
        if let Some(Slot::Returning { waiting, .. }) = self.slots.get_mut(usize::from(id.0)) {
            let _command = wait(came, input, waiting);
        }
    }

    pub fn place(&self, id: PartitionId) -> Place {
        match self.slots.get(usize::from(id.0)) {
            Some(Slot::Here(_)) => Place::Here,
            Some(Slot::Returning { .. }) => Place::Returning,
            Some(Slot::Away) | None => Place::Away,
        }
    }

    pub fn get(&self, id: PartitionId) -> Option<&Hosted> {
        match self.slots.get(usize::from(id.0)) {
            Some(Slot::Here(hosted)) => Some(hosted),
            Some(Slot::Returning { .. } | Slot::Away) | None => None,
        }
    }

    pub fn get_mut(&mut self, id: PartitionId) -> Option<&mut Hosted> {
        match self.slots.get_mut(usize::from(id.0)) {
            Some(Slot::Here(hosted)) => Some(hosted),
            Some(Slot::Returning { .. } | Slot::Away) | None => None,
        }
    }

    /// Those that are here, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Hosted> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Here(hosted) => Some(&**hosted),
            Slot::Returning { .. } | Slot::Away => None,
        })
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Hosted> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Here(hosted) => Some(&mut **hosted),
            Slot::Returning { .. } | Slot::Away => None,
        })
    }

    /// A request of a partition here was read: it is in hand until its reply.
    pub fn took(&mut self, id: PartitionId) {
        if let Some(hosted) = self.get_mut(id) {
            hosted.in_hand += 1;
            hosted.requests += 1;
        }
    }

    /// A request in hand was told why it has no reply.
    pub fn gave_up(&mut self, id: PartitionId) {
        if let Some(hosted) = self.get_mut(id) {
            hosted.in_hand = hosted.in_hand.saturating_sub(1);
        }
    }

    /// Gives an input to its partition.
    pub fn step(&mut self, now: Timestamp, id: PartitionId, input: Input, fx: &mut Effects) -> Stepped {
        match self.slots.get_mut(usize::from(id.0)) {
            Some(Slot::Here(hosted)) if hosted.refuses(&input) => Stepped::Refused(ticket_of(&input)),
            Some(Slot::Here(hosted)) => match input {
                Input::Command { ticket, command: Command::Place { order, placed }, loaded } if self.at_once => {
                    self.place_at_once(now, (ticket, loaded), (order, placed), fx)
                }
                input => {
                    hosted.messages += u64::from(matches!(input, Input::Message(_)));
                    self.run(id, Name::of(&input), fx, |partition, fx| partition.step(now, input, fx))
                }
            },
            Some(Slot::Returning { waiting, .. }) => Stepped::Later(wait(now, input, waiting)),
            Some(Slot::Away) | None => Stepped::Elsewhere(Box::new(input)),
        }
    }

    /// Places an order and asks its SKUs by direct calls, where all of them are here.
    fn place_at_once(
        &mut self,
        now: Timestamp,
        (ticket, loaded): (Ticket, Loaded),
        (order, placed): (OrderId, Box<Placed>),
        fx: &mut Effects,
    ) -> Stepped {
        let (id, name) = (order.partition(), Name::Placed(order, placed.fingerprint));
        let mut asked = Vec::new();
        let begun = self.run(id, Some(name), fx, |partition, fx| {
            asked = partition.begin_order(now, (ticket, loaded), (order, placed), fx);
        });
        if begun != Stepped::Done || asked.is_empty() {
            return begun;
        }
        if asked.iter().all(|asked| self.takes_all(asked.to)) {
            asked.iter_mut().for_each(|asked| self.ask(now, asked, fx));
        }
        // Not given again: the next life asks by messages, which have names.
        self.run(id, None, fx, |partition, fx| partition.conclude_order(now, ticket, order, asked, fx))
    }

    /// It is here, and no input is refused in this life.
    fn takes_all(&self, id: PartitionId) -> bool {
        self.get(id).is_some_and(|hosted| hosted.refused.is_empty())
    }

    /// No reply: its partition panicked, and what it made is cut off.
    fn ask(&mut self, now: Timestamp, asked: &mut Asked, fx: &mut Effects) {
        let Asked { to, sku, request, .. } = asked;
        if let Some(hosted) = self.get_mut(*to) {
            hosted.messages += 1;
        }
        let (name, mut reply) = (Name::of_message("reserve", sku, request.hold, 0), None);
        let ran = self.run(*to, Some(name), fx, |partition, fx| reply = Some(partition.reserve_at_once(now, sku, request, fx)));
        asked.reply = reply.filter(|_| ran == Stepped::Done);
    }

    /// Has a partition take up its work after recovery.
    pub fn resume(&mut self, now: Timestamp, id: PartitionId, fx: &mut Effects) -> Stepped {
        self.run(id, None, fx, |partition, fx| {
            partition.resume(now, fx);
            partition.step(now, Input::Tick, fx);
        })
    }

    /// Effects gathered before stay, those of work that panics are cut off, and its partition goes.
    fn run(
        &mut self,
        id: PartitionId,
        given: Option<Name>,
        fx: &mut Effects,
        work: impl FnOnce(&mut Partition, &mut Effects),
    ) -> Stepped {
        let Some(Slot::Here(hosted)) = self.slots.get_mut(usize::from(id.0)) else { return Stepped::Panicked };
        let mark = fx.mark();
        let replies = fx.replies.len();
        let worked = catch_unwind(AssertUnwindSafe(|| {
            work(&mut hosted.partition, fx);
            hosted.partition.next_deadline()
        }));
        match worked {
            Ok(due) => {
                hosted.in_hand = hosted.in_hand.saturating_sub(fx.replies.len() - replies);
                if !std::mem::replace(&mut hosted.dirty, true) {
                    self.dirty.push(id);
                }
                self.due(due);
                Stepped::Done
            }
            Err(panic) => {
                fx.cut(mark);
                self.fall(id, given.map(Name::suspect), panics::text(&*panic));
                Stepped::Panicked
            }
        }
    }

    pub fn due(&mut self, due: Option<Timestamp>) {
        if let Some(due) = due {
            self.soonest = Some(self.soonest.map_or(due, |soonest| soonest.min(due)));
        }
    }

    fn fall(&mut self, id: PartitionId, suspect: Option<Suspect>, reason: String) {
        let Some(slot) = self.slots.get_mut(usize::from(id.0)) else { return };
        if let Slot::Here(hosted) = std::mem::take(slot) {
            let Hosted { partition, life, in_hand, .. } = *hosted;
            *slot = Slot::Returning { life: life + 1, waiting: Vec::new() };
            self.fallen.push(Fallen { life, in_hand, reason, suspect, partition });
        }
    }

    /// Every partition here goes: nobody knows what of their effects is left.
    pub fn fall_all(&mut self, reason: &str) {
        let here: Vec<PartitionId> = self.iter().map(|hosted| hosted.partition.id).collect();
        here.into_iter().for_each(|id| self.fall(id, None, reason.to_owned()));
        self.dirty.clear();
    }

    /// Nothing is here any more, and nothing comes back.
    pub fn end(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = Slot::Away);
        (self.dirty, self.fallen) = (Vec::new(), Vec::new());
    }

    /// Those that panicked. What was gathered before must be submitted before the journal is folded for their next lives.
    pub fn take_fallen(&mut self) -> Vec<Fallen> {
        std::mem::take(&mut self.fallen)
    }

    pub fn has_fallen(&self) -> bool {
        !self.fallen.is_empty()
    }

    /// Delivers messages between partitions that are here until only those to others are left.
    pub fn deliver(&mut self, now: Timestamp, fx: &mut Effects, mut refused: impl FnMut()) {
        let (mut away, mut mail) = (Vec::new(), std::mem::take(&mut self.mail));
        while !fx.messages.is_empty() {
            std::mem::swap(&mut mail, &mut fx.messages);
            for message in mail.drain(..) {
                if self.place(message.to) == Place::Away {
                    away.push(message);
                } else if let Stepped::Refused(_) = self.step(now, message.to, Input::Message(message.body), fx) {
                    refused();
                }
            }
        }
        fx.messages.append(&mut away);
        self.mail = mail;
    }

    /// What is to be handed to which log, out of a batch of what was stepped since the last time.
    pub fn submit(&mut self, batch: Batch) -> Vec<Submission> {
        let mut upto = self.fresh();
        match self.causality {
            Causality::OneLog => vec![Submission { log: LogId(0), batch, upto: upto.remove(&LogId(0)).unwrap_or_default() }],
            Causality::PerPartition => {
                let of_log = |(partition, batch): (PartitionId, Batch)| {
                    let log = LogId(partition.0);
                    Submission { log, batch, upto: upto.remove(&log).unwrap_or_default() }
                };
                batch.by_partition().into_iter().map(of_log).collect()
            }
        }
    }

    /// The last sequences that were not handed over yet, by log.
    fn fresh(&mut self) -> BTreeMap<LogId, Vec<(PartitionId, Seq)>> {
        let mut upto: BTreeMap<LogId, Vec<(PartitionId, Seq)>> = BTreeMap::new();
        for id in self.dirty.drain(..) {
            let Some(Slot::Here(hosted)) = self.slots.get_mut(usize::from(id.0)) else { continue };
            hosted.dirty = false;
            let seq = hosted.partition.seq();
            if seq > hosted.submitted {
                hosted.submitted = seq;
                upto.entry(log_of(self.causality, id)).or_default().push((id, seq));
            }
        }
        upto
    }

    /// A submission is on its way as this batch of its log.
    pub fn fly(&mut self, log: LogId, batch: u64, upto: Vec<(PartitionId, Seq)>) {
        self.in_flight.entry(log).or_default().push_back(InFlight { batch, upto });
        self.flying += 1;
    }

    /// Batches in flight to all logs.
    pub fn flying(&self) -> usize {
        self.flying
    }

    /// Whether all that a partition has made is known to be durable.
    pub fn is_durable(&self, id: PartitionId) -> bool {
        let handed_over = self.get(id).is_some_and(|hosted| hosted.submitted == hosted.partition.seq());
        let mut flying = self.in_flight.values().flatten().flat_map(|batch| &batch.upto);
        handed_over && flying.all(|(partition, _)| *partition != id)
    }

    /// The sequences of the next batch in flight to `log` that is durable with `batch`.
    pub fn landed(&mut self, log: LogId, batch: u64) -> Option<Vec<(PartitionId, Seq)>> {
        let in_flight = self.in_flight.get_mut(&log)?;
        let landed = in_flight.pop_front_if(|first| first.batch <= batch)?;
        self.flying -= 1;
        Some(landed.upto)
    }
}

fn log_of(causality: Causality, id: PartitionId) -> LogId {
    match causality {
        Causality::OneLog => LogId(0),
        Causality::PerPartition => LogId(id.0),
    }
}

fn ticket_of(input: &Input) -> Option<Ticket> {
    match input {
        Input::Command { ticket, .. } => Some(*ticket),
        Input::Message(_) | Input::Provider(_) | Input::Tick | Input::Durable(_) | Input::Archived { .. } | Input::Policy(_) => {
            None
        }
    }
}

/// Keeps what a partition is to be given when it is back. A command is not kept: whoever sent it is told at once.
fn wait(now: Timestamp, input: Input, waiting: &mut Vec<(Timestamp, Input)>) -> Option<Ticket> {
    match input {
        Input::Command { ticket, .. } => return Some(ticket),
        Input::Message(_) | Input::Provider(_) if waiting.len() < MOST_WAITING => waiting.push((now, input)),
        // The next life looks at its time and its records itself, and archives again what it finds closed.
        Input::Message(_) | Input::Provider(_) | Input::Tick | Input::Durable(_) | Input::Archived { .. } => {}
        // It is given the newest when it is back.
        Input::Policy(_) => {}
    }
    None
}

#[cfg(test)]
mod tests;
