//! What travels: messages between partitions, requests and replies of clients, calls to the provider and its webhooks.
//!
//! Each may be lost, doubled, late or overtaken, at the rates of the plan.

use super::agenda::{Happening, Life, Micros};
use super::client::{Asked, Source};
use super::faults::{MESSAGE_LIFE, MILLI, SECOND};
use super::ledger::{Checked, require};
use super::oracle::Leaving;
use super::provider::Truth;
use super::shard::Mail;
use super::world::World;
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::codec;
use holdfast_engine::command::Command;
use holdfast_engine::effect::{Archive, ProviderCall};
use holdfast_engine::event::{Event, OrderFact, Record};
use holdfast_engine::ids::{AttemptId, Fingerprint, PartitionId, Seq, Ticket};
use holdfast_engine::order::Outcome;
use holdfast_engine::partition::{Input, ProviderResult};
use holdfast_engine::protocol::{Body, Message};
use holdfast_engine::rejection::Rejection;

impl World {
    pub(super) fn message_leaves(&mut self, message: Message, basis: (PartitionId, Seq)) {
        let Message { to, body } = message;
        self.trace.mix_number(u64::from(to.0));
        self.trace.mix(&body.order().bytes());
        self.trace.note(self.now, || format!("  > p{} {body:?}", to.0));
        if self.random.chance(self.plan.rates.message_doubled) {
            self.counts.doubled_messages += 1;
            self.message_travels(to, body.clone(), basis);
        }
        if self.random.chance(self.plan.rates.message_lost) {
            self.counts.lost_messages += 1;
            return;
        }
        self.message_travels(to, body, basis);
    }

    fn message_travels(&mut self, to: PartitionId, body: Body, basis: (PartitionId, Seq)) {
        let (low, high) = self.plan.network;
        let mut delay = self.random.latency(low, high);
        if self.random.chance(self.plan.rates.message_late) {
            self.counts.late_messages += 1;
            delay += self.random.below(self.plan.lateness);
        }
        let delay = delay.min(MESSAGE_LIFE);
        let life = self.life;
        self.after(delay, Happening::Deliver { life, to, body: Box::new(body), basis });
    }

    pub(super) fn deliver(&mut self, life: Life, to: PartitionId, body: Body, basis: (PartitionId, Seq)) {
        if life == self.life {
            self.post(usize::from(to.0), Mail::Heard(body, basis));
        }
    }

    pub(super) fn send(&mut self, asked: Asked) {
        self.oracle.attempt(&asked.command);
        let patience = self.random.latency(50 * MILLI, 5 * SECOND);
        let (low, high) = self.plan.network;
        let delay = self.random.latency(low, high);
        let ticket = self.clients.ticket(asked);
        if self.random.chance(self.plan.rates.request_lost) {
            self.counts.lost_requests += 1;
        } else {
            self.after(delay, Happening::RequestArrives(ticket));
        }
        self.after(patience, Happening::ClientGivesUp(ticket));
    }

    pub(super) fn request_arrives(&mut self, ticket: Ticket) {
        let Some(pending) = self.clients.pending.get_mut(&ticket.0) else { return };
        pending.reached = self.up.then_some(self.life);
        let partition = usize::from(pending.asked.command.partition(self.plan.partitions).0);
        self.post(partition, Mail::Request(ticket));
    }

    /// The outcome is unknown: the same request again, under the same key.
    pub(super) fn client_gives_up(&mut self, ticket: Ticket) {
        let Some(pending) = self.clients.pending.get_mut(&ticket.0) else { return };
        if std::mem::replace(&mut pending.over, true) {
            return;
        }
        let mut asked = pending.asked.clone();
        match asked.source {
            Source::Webhook { attempt, outcome, tries } => self.tell_again(attempt, outcome, tries),
            Source::Client if asked.tries_left > 0 => {
                asked.tries_left -= 1;
                let delay = self.random.latency(10 * MILLI, SECOND);
                self.after(delay, Happening::Send(Box::new(asked)));
            }
            Source::Client => {}
        }
    }

    /// The process lets an answer out: from here on it counts as acknowledged, heard or not.
    pub(super) fn reply_leaves(&mut self, reply: Reply) -> Checked {
        self.trace.mix_number(reply.ticket.0);
        self.trace.mix_number(digest(&reply));
        self.trace.note(self.now, || format!("  > client {reply:?}"));
        let Some(pending) = self.clients.pending.get_mut(&reply.ticket.0) else { return Ok(()) };
        let twice = std::mem::replace(&mut pending.answered, true);
        let command = pending.asked.command.clone();
        let taken = pending.taken;
        require(!twice, "a request is answered once", || format!("{command:?} was answered twice, now {reply:?}"))?;
        let leaving = Leaving {
            partition: usize::from(command.partition(self.plan.partitions).0),
            durable: &self.durable,
            read: taken.map_or(0, |taken| taken.seq),
        };
        self.oracle.answered(&command, &reply, &self.ledger, &leaving)?;
        if self.random.chance(self.plan.rates.reply_lost) {
            self.counts.lost_replies += 1;
            return Ok(());
        }
        let (low, high) = self.plan.network;
        let delay = self.random.latency(low, high);
        self.after(delay, Happening::ReplyArrives(Box::new(reply)));
        Ok(())
    }

    pub(super) fn reply_arrives(&mut self, reply: Reply) -> Checked {
        let Some(pending) = self.clients.pending.get_mut(&reply.ticket.0) else { return Ok(()) };
        if pending.over {
            return Ok(());
        }
        let again = reply.outcome == Err(Rejection::KeyInProgress) && pending.asked.tries_left > 0;
        if again {
            self.client_gives_up(reply.ticket);
            return Ok(());
        }
        pending.over = true;
        if let Ok(Answer::Stock(view)) = &reply.outcome {
            self.clients.versions.insert(view.sku.clone(), view.version);
        }
        if let Source::Webhook { attempt, outcome, .. } = pending.asked.source {
            let known = reply.outcome == Ok(Answer::Recorded);
            require(known, "I14 the provider knows only attempts in the journal", || format!("{attempt}: {:?}", reply.outcome))?;
            self.provider.attempts.entry(attempt).or_default().acknowledged = Some(outcome);
        }
        Ok(())
    }

    pub(super) fn call_arrives(&mut self, call: ProviderCall) -> Checked {
        let ProviderCall { attempt, kind, .. } = call;
        let times_out = self.random.chance(self.plan.rates.provider_times_out);
        let before_effect = times_out && self.random.chance(500);
        if !before_effect && self.provider.carry_out(attempt, kind)? {
            self.buyer_thinks(attempt);
        }
        let result = if times_out {
            ProviderResult::Outcome { attempt, kind, outcome: Outcome::Timeout }
        } else {
            self.provider.answer(attempt, kind)
        };
        self.counts.provider_timeouts += u64::from(times_out);
        let delay = self.random.latency(MILLI, if times_out { 3 * SECOND } else { 300 * MILLI });
        let life = self.life;
        self.after(delay, Happening::CallAnswered { life, result: Box::new(result) });
        Ok(())
    }

    fn buyer_thinks(&mut self, attempt: AttemptId) {
        let pin = self.plan.policy.pin_ms * MILLI;
        let delay = match self.random.below(10) {
            0..=5 => self.random.between(10 * MILLI, 3 * SECOND),
            6..=7 => self.random.between(SECOND, pin),
            8 => pin + self.random.below(4 * pin),
            // The buyer has left.
            _ => return,
        };
        let approves = self.random.chance(600);
        self.after(delay, Happening::BuyerDecides { attempt, approves });
        if !approves && self.random.chance(300) {
            let delay = delay + self.random.between(10 * MILLI, 2 * pin);
            self.after(delay, Happening::BuyerDecides { attempt, approves: true });
        }
    }

    pub(super) fn call_answered(&mut self, life: Life, result: ProviderResult) {
        let (ProviderResult::Opened { attempt, .. } | ProviderResult::Outcome { attempt, .. }) = &result;
        if life == self.life {
            self.post(usize::from(attempt.order.partition().0), Mail::Input(Input::Provider(result)));
        }
    }

    pub(super) fn buyer_decides(&mut self, attempt: AttemptId, approves: bool) {
        let Some(outcome) = self.provider.decide(attempt, approves) else { return };
        self.trace.note(self.now, || format!("buyer: {attempt} {outcome:?}"));
        let delay = self.random.latency(MILLI, SECOND);
        self.after(delay, Happening::Webhook { attempt, outcome, tries: 0 });
        if self.random.chance(self.plan.rates.webhook_doubled) {
            self.counts.doubled_webhooks += 1;
            let late = self.random.below(LATEST);
            self.after(late, Happening::Webhook { attempt, outcome, tries: 0 });
        }
    }

    /// Tells the outcome now, or late, or loses it until the next try.
    pub(super) fn webhook(&mut self, attempt: AttemptId, outcome: Outcome, tries: u8) {
        if self.random.chance(self.plan.rates.webhook_lost) {
            self.counts.lost_webhooks += 1;
            return self.tell_again(attempt, outcome, tries);
        }
        if self.random.chance(self.plan.rates.webhook_late) {
            self.counts.late_webhooks += 1;
            let delay = self.random.below(LATEST);
            return self.after(delay, Happening::Webhook { attempt, outcome, tries: tries.saturating_add(1) });
        }
        let command = Command::PaymentResult { attempt, outcome };
        self.send(Asked { command, tries_left: 0, source: Source::Webhook { attempt, outcome, tries } });
    }

    /// A provider tells an outcome until it is heard, ever more slowly.
    fn tell_again(&mut self, attempt: AttemptId, outcome: Outcome, tries: u8) {
        if self.provider.attempts.get(&attempt).is_some_and(|remote| remote.acknowledged == Some(outcome)) {
            return;
        }
        let delay = SECOND << tries.min(7);
        self.after(delay, Happening::Webhook { attempt, outcome, tries: tries.saturating_add(1) });
    }

    /// What an order says about its money is what the provider knows.
    pub(super) fn provider_agrees(&self, record: &Record) -> Checked {
        let Event::Order { order, fact, .. } = &record.event else { return Ok(()) };
        let of = |number: u8| self.provider.truth(AttemptId { order: *order, number });
        let (agrees, truth) = match &**fact {
            OrderFact::Paid { attempt } | OrderFact::PaymentLate { attempt } => (of(*attempt) == Truth::Captured, of(*attempt)),
            OrderFact::RefundDue { attempt, .. } => (of(*attempt) == Truth::Captured, of(*attempt)),
            OrderFact::PaymentDeclined { attempt, .. } => {
                (self.provider.declined(AttemptId { order: *order, number: *attempt }), of(*attempt))
            }
            OrderFact::PaymentVoided { attempt } => (of(*attempt) == Truth::Voided, of(*attempt)),
            OrderFact::Refunded { attempt } => (of(*attempt) == Truth::Refunded, of(*attempt)),
            _ => return Ok(()),
        };
        require(agrees, "I9 the books agree with the provider", || format!("order {order} says {fact:?}, the provider {truth:?}"))
    }

    /// Projections are written one after the other, as by one writer.
    pub(super) fn archive_leaves(&mut self, archive: Archive) {
        let delay = self.random.latency(MILLI, 500 * MILLI);
        self.store.busy_until = (self.now + delay).max(self.store.busy_until + 1);
        let life = self.life;
        self.at(self.store.busy_until, Happening::Archived { life, archive: Box::new(archive) });
    }

    /// A row is written. What a dead process was writing is there or not.
    pub(super) fn archived(&mut self, life: Life, archive: Archive) {
        let landed = life == self.life || self.random.chance(500);
        if !landed {
            return;
        }
        let (partition, orders, keys) = match archive {
            Archive::Order { partition, order, history } => {
                self.store.orders.insert(order, codec::encode_history(&history));
                (partition, vec![(order, history.len())], Vec::new())
            }
            Archive::Key { partition, key, fingerprint, answer } => {
                self.store.keys.insert(key, (fingerprint, answer));
                (partition, Vec::new(), vec![key])
            }
        };
        if life == self.life {
            self.post(usize::from(partition.0), Mail::Input(Input::Archived { orders, keys }));
        }
    }
}

/// How late a webhook may be.
const LATEST: Micros = 90 * SECOND;

/// A number that two different replies do not share.
fn digest(reply: &Reply) -> u64 {
    match &reply.outcome {
        Ok(Answer::Order { history, .. }) => xxhash_rust::xxh3::xxh3_64(&codec::encode_history(history)),
        Ok(Answer::Stock(view)) => Fingerprint::of(view).0 as u64,
        Ok(Answer::Stored(answer)) => Fingerprint::of(&**answer).0 as u64,
        Ok(Answer::Availability(items)) => Fingerprint::of(items).0 as u64,
        Ok(Answer::Orders(page)) => Fingerprint::of(&(&page.found, page.next, page.some_left)).0 as u64,
        Ok(Answer::StockList(page)) => Fingerprint::of(&(&page.found, &page.next)).0 as u64,
        Ok(Answer::LocationClosed { version }) => *version,
        Ok(Answer::Changes(changes)) => Fingerprint::of(changes).0 as u64,
        Ok(Answer::Recorded) => 1,
        Err(rejection) => xxhash_rust::xxh3::xxh3_64(format!("{rejection:?}").as_bytes()),
    }
}
