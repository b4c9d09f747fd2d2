//! Publishing inside a session: what became durable goes out, what landed moves the position.
//!
//! Invariant: what is kept is written only after it landed.

use super::Error;
use super::context::{Context, age};
use super::cpu_backoff::CpuBackoff;
use super::cursor::{Checkpoint, Offer, Sent, Session};
use super::producer::Producer;
use super::standing::Checks;
use crate::contract::{self, LogId, LogSeq};
use crate::kafka::client::TopicPartition;
use crate::traced::{Moment, Span, Subject, TRACED};
use holdfast_engine::codec::{self, Entry};
use holdfast_engine::event::Event;
use holdfast_engine::ids::OrderId;
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Between two looks for something to do.
const IDLE: Duration = Duration::from_millis(10);
/// The position is kept this often, or after this many events.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_EVENTS: u64 = 10_000;
/// Events read of a log before it is the turn of what landed.
const PIECE: usize = 4096;

/// What a session goes on after.
pub(super) struct Begun {
    pub(super) session: Session,
    pub(super) checkpoints: BTreeMap<LogId, Checkpoint>,
    pub(super) checks: Checks,
}

/// A session with its producer.
pub(super) struct Publishing<'a> {
    context: &'a mut Context,
    session: Session,
    producer: Producer,
    /// As it stands in the journal.
    checkpoints: BTreeMap<LogId, Checkpoint>,
    checks: Checks,
    /// Published since then.
    fresh: u64,
    keep_at: Instant,
    /// Set while the producer is full: it is full until no more than this many events are on their way.
    room_at: Option<usize>,
    cpu_backoff: CpuBackoff,
    /// The first event of each traced order that is on its way.
    traced: Vec<((TopicPartition, u64), OrderId)>,
    /// When the last event that was handed over happened: those that wait are later.
    reached: Option<Timestamp>,
    /// Nothing is read for publishing before.
    rest_until: Instant,
}

impl<'a> Publishing<'a> {
    pub(super) fn begin(context: &'a mut Context, begun: Begun, producer: Producer) -> Self {
        let Begun { session, checkpoints, checks } = begun;
        let (now, cpu_backoff) = (Instant::now(), CpuBackoff::default());
        let keep_at = now + KEEP_INTERVAL;
        Self {
            context,
            session,
            producer,
            checkpoints,
            checks,
            fresh: 0,
            keep_at,
            room_at: None,
            cpu_backoff,
            traced: Vec::new(),
            reached: None,
            rest_until: now,
        }
    }

    /// What is left of it has to be closed.
    pub(super) fn end(self) -> Producer {
        self.producer
    }

    /// Until a failure, or a stop after which all is published or it is late.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        loop {
            let rests = Instant::now() < self.rest_until && !self.context.stop.asked();
            let sent = if self.room_at.is_none() && !rests { self.read_on()? } else { 0 };
            if sent > 0 {
                self.rest_until = Instant::now() + self.cpu_backoff.due();
            }
            self.take_reports(if sent > 0 { Duration::ZERO } else { IDLE })?;
            if let Some(reason) = self.producer.fatal() {
                return Err(Error::Produce(reason));
            }
            let now = Instant::now();
            if now >= self.keep_at || self.fresh >= KEEP_EVENTS {
                self.keep()?;
                self.show()?;
                self.keep_at = now + KEEP_INTERVAL;
            }
            if self.context.stop.asked() && self.done() {
                self.keep()?;
                return self.show();
            }
        }
    }

    /// Hands over what became durable. Returns how many events.
    fn read_on(&mut self) -> Result<usize, Error> {
        let mut sent = 0;
        for index in 0..self.context.logs.len() {
            let log = self.context.logs[index].0;
            if self.room_at.is_none() && self.context.journal.end(log) > self.session.read(log) {
                sent += self.read_log(log)?;
            }
        }
        Ok(sent)
    }

    fn read_log(&mut self, log: LogId) -> Result<usize, Error> {
        let journal = self.context.journal.clone();
        let (mut sent, mut failed) = (0, None);
        journal.read(log, self.session.read(log), &mut |commit, frame| {
            for entry in codec::read_frame(frame)? {
                match self.publish(log, commit, &entry?) {
                    Ok(new) => sent += usize::from(new),
                    Err(error) => failed = Some(error),
                }
                if failed.is_some() || self.room_at.is_some() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.session.read_whole(log, commit);
            self.checks.read(log, commit, codec::frame_check(frame)?);
            self.context.backlog.read(log, commit);
            Ok(if sent < PIECE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        failed.map_or(Ok(sent), Err)
    }

    /// Whether the event was handed over: it may have been before, or there may be no room.
    fn publish(&mut self, log: LogId, commit: LogSeq, entry: &Entry<'_>) -> Result<bool, Error> {
        let Entry { partition, seq, .. } = *entry;
        self.context.backlog.saw(partition, seq);
        let place = match self.session.offer(partition, seq) {
            Offer::Known => return Ok(false),
            Offer::Gap { expected } => return Err(Error::Gap { partition: partition.0, expected, found: seq }),
            Offer::Next { topic_partition, number } => (topic_partition, number),
        };
        let record = entry.decode().map_err(contract::Error::from)?;
        let sent = Sent { log, commit, partition, seq, at: record.at };
        let encoded = (self.context.encode)(partition, &record);
        let traced = traced_order(&record.event);
        if !self.producer.send(place, entry, &encoded, traced.map(|(_, span)| span))? {
            self.room_at = Some(self.session.on_the_way() / 2);
            return Ok(false);
        }
        self.session.sent(sent);
        if let Some((order, _)) = traced
            && TRACED.mark(&Subject::Order(order), Moment::Handed)
        {
            self.traced.push((place, order));
        }
        self.reached = Some(record.at);
        Ok(true)
    }

    /// Takes what landed, waiting for it up to `wait`.
    fn take_reports(&mut self, wait: Duration) -> Result<(), Error> {
        let first = self.producer.landed.recv_timeout(wait).ok();
        let reports = self.producer.landed.clone();
        let mut published = 0;
        for report in first.into_iter().chain(reports.try_iter()) {
            let offset = report.offset.map_err(Error::Produce)?;
            let place = (report.topic_partition, report.number);
            for (_, order) in self.traced.extract_if(.., |(of, _)| *of == place) {
                TRACED.mark(&Subject::Order(order), Moment::Published);
            }
            published += self.session.landed(report.topic_partition, report.number, offset)?;
        }
        self.fresh += published;
        self.context.gauges.published.increment(published);
        if self.room_at.is_some_and(|room| self.session.on_the_way() <= room) {
            self.room_at = None;
        }
        Ok(())
    }

    /// P3: writes the position, for the next session and for whoever wants to drop what is published.
    fn keep(&mut self) -> Result<(), Error> {
        let mut rows = Vec::new();
        for (log, partitions) in &self.context.logs {
            let now = self.session.checkpoint(*log, partitions.iter().copied());
            if self.checkpoints.get(log) != Some(&now) {
                rows.extend(self.checks.rows(*log, &now));
                self.checkpoints.insert(*log, now);
            }
        }
        if !rows.is_empty() {
            self.context.journal.project(&rows)?;
            self.checkpoints.iter().for_each(|(log, checkpoint)| self.context.published.reached(*log, checkpoint.commit));
        }
        self.fresh = 0;
        Ok(())
    }

    fn show(&mut self) -> Result<(), Error> {
        if self.room_at.is_some() || Instant::now() < self.rest_until {
            // Nothing is read for publishing: what gathers has to be counted by itself.
            let journal = self.context.journal.clone();
            self.context.backlog.count(&*journal)?;
        }
        let waiting = self.context.lag(&self.session);
        let oldest = self.session.oldest().or(self.reached.filter(|_| waiting > 0));
        self.context.backlog.oldest_is(oldest);
        self.context.gauges.lag_events.set(waiting as f64);
        self.context.gauges.lag_seconds.set(age(oldest));
        Ok(())
    }

    /// Whether everything durable is published, or there is no more time for it.
    fn done(&mut self) -> bool {
        let late = self.context.stop.late();
        let Context { journal, logs, .. } = &*self.context;
        let through = || logs.iter().all(|(log, _)| self.session.read(*log) >= journal.end(*log));
        late || (self.session.on_the_way() == 0 && through())
    }
}

/// The order that an event is of, if it is traced, with what its publishing is in the trace.
fn traced_order(event: &Event) -> Option<(OrderId, Span)> {
    match event {
        Event::Order { order, .. } => Some((*order, TRACED.publishing(*order)?)),
        Event::Stock { .. } | Event::Key(_) | Event::Archive(_) | Event::Partition(_) | Event::Operator(_) => None,
    }
}
