//! The thread: batch after batch, from joining the group to the first failure, and again.
//!
//! Invariants: a batch is committed after each of its records is settled and each dead letter is acknowledged, never before;
//! after a stop no record is taken, and what is in hand is settled and committed until the deadline, no longer.

use super::dead_letters::DeadLetters;
use super::member::Member;
use super::{Batch, Error, Options, Reason, Record, Settle, Settled};
use crate::background;
use crate::kafka::session::{Pauses, Stop};
use crate::kafka::topic::{self, Wanted};
use crossbeam::channel::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at whether it is time to stop.
const LOOK: Duration = Duration::from_millis(100);
/// After this a batch is slow, and the group wants to hear from its member.
const SLOW: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    options: Options,
    settle: Settle,
    /// What is not settled by its deadline is left to the next start.
    stop: Stop,
    /// What was last said to be wrong, so that it is said once.
    said: Option<String>,
    handled: metrics::Counter,
}

impl Worker {
    pub(super) fn new(options: Options, settle: Settle, stop: Stop) -> Self {
        let handled = metrics::counter!("holdfast_inbound_handled_total");
        Self { options, settle, stop, said: None, handled }
    }

    pub(super) fn run(mut self) {
        background::yield_to_the_hot_path();
        let mut pauses = Pauses::new();
        loop {
            let began = Instant::now();
            let Err(error) = self.live() else { return };
            self.tell(&error);
            // After a failure nothing is in hand.
            if self.stop.rest(pauses.after(began.elapsed())) || self.stop.asked() {
                return;
            }
        }
    }

    fn tell(&mut self, error: &Error) {
        let text = error.to_string();
        let topic = &self.options.topic;
        if self.said.as_ref() == Some(&text) {
            return tracing::debug!(%error, topic, "still not reading from Kafka");
        }
        tracing::error!(topic, "not reading from Kafka: {text}. Nothing there is lost; trying again");
        self.said = Some(text);
    }

    /// One session. Ends well only when it is time to stop.
    fn live(&mut self) -> Result<(), Error> {
        for topic in [self.options.topic.clone(), self.options.dead_letters.clone()] {
            let Some(()) = self.provide(topic)? else { return Ok(()) };
        }
        let dead_letters = DeadLetters::open(&self.options)?;
        let mut member = Member::join(&self.options)?;
        tracing::info!(topic = self.options.topic, group = self.options.group, "reading from Kafka");
        self.said = None;
        let ended = self.read(&mut member, &dead_letters);
        // Leaves the group.
        self.stop.close((member, dead_letters));
        ended
    }

    /// Nothing if it is time to stop.
    fn provide(&mut self, topic: String) -> Result<Option<()>, Error> {
        let Options { connection, topic_partitions, replication, .. } = self.options.clone();
        let wanted = Wanted { connection, topic, topic_partitions, replication };
        Ok(self.stop.unless_asked(move || topic::provide(&wanted))?.transpose()?)
    }

    fn read(&mut self, member: &mut Member, dead_letters: &DeadLetters) -> Result<(), Error> {
        while !self.stop.asked() {
            let batch = Arc::new(member.batch(LOOK)?);
            let settled = batch.is_empty() || self.take(member, dead_letters, &batch)?;
            if !settled {
                break;
            }
            member.commit(&mut self.stop)?;
        }
        self.commit_the_rest(member)
    }

    /// What is settled and could not be committed, for as long as there is time.
    fn commit_the_rest(&mut self, member: &mut Member) -> Result<(), Error> {
        while member.owes() && !self.stop.rest(LOOK) {
            member.stay()?;
            member.commit(&mut self.stop)?;
        }
        Ok(())
    }

    /// False if there was no time to settle all of it: then nothing of it may be committed.
    fn take(&mut self, member: &mut Member, dead_letters: &DeadLetters, batch: &Batch) -> Result<bool, Error> {
        let settling = (self.settle)(batch.clone());
        let Some(settled) = self.wait(member, &settling)? else { return Ok(false) };
        if settled.len() != batch.len() {
            return Err(Error::Answers { answers: settled.len(), records: batch.len() });
        }
        let dead: Vec<(&Record, &Reason)> = batch.iter().zip(&settled).filter_map(dead_letter).collect();
        for (record, reason) in &dead {
            dead_letters.post(record, reason)?;
        }
        for _ in &dead {
            let Some(landed) = self.wait(member, &dead_letters.landed)? else { return Ok(false) };
            landed.map_err(Error::DeadLetter)?;
        }
        member.settled(batch);
        for (Record { topic_partition, offset, .. }, Reason { code, detail }) in &dead {
            tracing::warn!(topic = self.options.topic, partition = topic_partition, offset, "dead letter, {code}: {detail}");
            metrics::counter!("holdfast_inbound_dead_lettered_total", "reason" => *code).increment(1);
        }
        self.handled.increment((batch.len() - dead.len()) as u64);
        Ok(true)
    }

    /// Waits for something that may take long. Nothing if there is no more time.
    fn wait<T>(&mut self, member: &mut Member, from: &Receiver<T>) -> Result<Option<T>, Error> {
        let began = Instant::now();
        loop {
            match from.recv_timeout(LOOK) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Disconnected) if self.stop.asked() => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Unheard),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.stop.late() {
                return Ok(None);
            }
            if began.elapsed() > SLOW {
                member.stay()?;
            }
        }
    }
}

fn dead_letter<'a>((record, settled): (&'a Record, &'a Settled)) -> Option<(&'a Record, &'a Reason)> {
    match settled {
        Settled::Taken => None,
        Settled::Dead(reason) => Some((record, reason)),
    }
}
