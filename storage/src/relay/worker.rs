//! The thread of the relay: one session after the other, each from reading back to its first failure.
//!
//! Invariants: what is kept is written only after it landed; a failure of any kind ends in a new session, never in an
//! event left out; while nothing can be published the lag still shows.

use super::backlog::Backlog;
use super::broker::Producer;
use super::courtesy::Courtesy;
use super::cursor::{Kept, Lane, Offer, Sent, Session};
use super::reader::{Reader, Start};
use super::{Encode, Error, Options, Published, kept_row, load_kept, partitions_of, topic};
use crate::background;
use crate::history;
use crate::journal::{self, Journal, LogId, LogSeq};
use crate::sessions::{Pauses, Stop};
use holdfast_engine::codec::{self, Entry};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks for something to do.
const IDLE: Duration = Duration::from_millis(10);
/// The position is kept this often, or after this many events.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_EVENTS: u64 = 10_000;
/// Events read of a log before it is the turn of what landed.
const PIECE: usize = 4096;

pub(super) struct Worker {
    journal: Arc<dyn Journal>,
    options: Options,
    encode: Encode,
    /// What is not published by its deadline waits for the next start.
    stop: Stop,
    /// Each log with the partitions whose facts it holds.
    logs: Vec<(LogId, Vec<PartitionId>)>,
    published: Published,
    backlog: Backlog,
    gauges: Gauges,
    /// What was last said to be wrong, so that it is said once.
    said: Option<String>,
}

struct Gauges {
    lag_events: metrics::Gauge,
    lag_seconds: metrics::Gauge,
    published: metrics::Counter,
    restarts: metrics::Counter,
}

impl Worker {
    pub(super) fn new(journal: Arc<dyn Journal>, options: Options, encode: Encode, stop: Stop, published: Published) -> Self {
        let gauges = Gauges {
            lag_events: metrics::gauge!("relay_lag_events"),
            lag_seconds: metrics::gauge!("relay_lag_seconds"),
            published: metrics::counter!("relay_published_total"),
            restarts: metrics::counter!("relay_restarts_total"),
        };
        let backlog = Backlog::new(journal.partitions().count());
        let logs = journal.logs().into_iter().map(|log| (log, partitions_of(&*journal, log))).collect();
        Self { journal, options, encode, stop, logs, published, backlog, gauges, said: None }
    }

    pub(super) fn run(mut self) {
        background::yield_to_the_hot_path();
        let mut pauses = Pauses::new();
        loop {
            let began = Instant::now();
            let Err(error) = self.live() else { return };
            self.tell(&error);
            self.gauges.restarts.increment(1);
            self.show_waiting();
            if self.stop.rest(pauses.after(began.elapsed())) {
                return;
            }
        }
    }

    fn tell(&mut self, error: &Error) {
        let text = error.to_string();
        if self.said.as_ref() == Some(&text) {
            return tracing::debug!(%error, "still not publishing to Kafka");
        }
        tracing::error!("not publishing to Kafka: {text}. Orders go on, their events wait in the journal; trying again");
        self.said = Some(text);
    }

    /// The lag while there is no session: measured from what is kept.
    fn show_waiting(&mut self) {
        let counted = self.backlog.count(&*self.journal);
        if let Err(error) = counted {
            tracing::debug!(%error, "the lag of the relay cannot be counted");
        }
        let kept = load_kept(&*self.journal).unwrap_or_default();
        let published = |partition: PartitionId| {
            let log = self.journal.log_of(partition);
            kept.get(&log).and_then(|kept| kept.published.get(&partition.0)).copied().unwrap_or(0)
        };
        let events = self.backlog.events(published);
        self.gauges.lag_events.set(events as f64);
        self.gauges.lag_seconds.set(if events == 0 { 0.0 } else { age(self.backlog.oldest()) });
    }

    /// One session. Ends well only when it is time to stop.
    fn live(&mut self) -> Result<(), Error> {
        let mut kept = load_kept(&*self.journal)?;
        self.take_up(&kept);
        let own = history::ensure_name(&*self.journal)?;
        self.rest_of_the_journal()?;
        if self.stop.asked() {
            return Ok(());
        }
        topic::ensure(&self.options)?;
        self.check_lanes(&kept)?;
        let Some(session) = self.read_back(&mut kept, &own)? else { return Ok(()) };
        // Again: what was read back may have been written meanwhile.
        self.backlog.count(&*self.journal)?;
        self.check_not_ahead(&session)?;
        let producer = Producer::open(&self.options, own)?;
        tracing::info!(topic = self.options.topic, waiting = self.lag(&session), "publishing to Kafka");
        self.said = None;
        let now = Instant::now();
        let courtesy = Courtesy::default();
        Publishing {
            worker: self,
            session,
            producer,
            kept,
            fresh: 0,
            keep_at: now + KEEP_INTERVAL,
            room_at: None,
            courtesy,
            reached: None,
            rest_until: now,
        }
        .run()
    }

    fn take_up(&mut self, kept: &BTreeMap<LogId, Kept>) {
        for (log, kept) in kept {
            self.published.reached(*log, kept.commit);
            self.backlog.read(*log, kept.commit);
            for (partition, seq) in &kept.published {
                self.backlog.saw(PartitionId(*partition), *seq);
            }
        }
    }

    fn rest_of_the_journal(&mut self) -> Result<(), Error> {
        self.backlog.count(&*self.journal)?;
        self.show_waiting();
        Ok(())
    }

    fn lag(&self, session: &Session) -> u64 {
        self.backlog.events(|partition| session.published(partition))
    }

    fn check_lanes(&self, kept: &BTreeMap<LogId, Kept>) -> Result<(), Error> {
        let other = kept.values().map(|kept| kept.lanes).find(|lanes| *lanes != 0 && *lanes != self.options.lanes);
        other.map_or(Ok(()), |lanes| {
            let problem = format!(
                "was published with {lanes} partitions, the settings say {}: events of one partition would be in two places. \
                 Set kafka.topic_partitions = {lanes}",
                self.options.lanes
            );
            Err(Error::Topic { topic: self.options.topic.clone(), problem })
        })
    }

    /// P1: what a session before this one may have published after its position was kept last.
    fn read_back(&mut self, kept: &mut BTreeMap<LogId, Kept>, own: &str) -> Result<Option<Session>, Error> {
        let count = self.journal.partitions().count();
        let mut session = Session::after(kept, count, self.options.lanes);
        let (connection, topic) = (self.options.connection.clone(), self.options.topic.clone());
        let mut reader = Reader::open(&connection, &topic, |lane| Start::At(session.resume(lane)))?;
        if self.shorter(&reader, &session) {
            kept.iter_mut().for_each(|(_, kept)| *kept = Kept { base: kept.version(), ..Kept::default() });
            session = Session::after(kept, count, self.options.lanes);
            reader = Reader::open(&connection, &topic, |_| Start::At(0))?;
        }
        while let Some(carried) = reader.record_unless(|| self.stop.asked())? {
            let (Some(partition), Some(seq), Some(journal)) = (carried.partition, carried.seq, carried.journal) else { continue };
            if journal != own {
                return Err(Error::Foreign { topic, found: journal, own: own.to_owned() });
            }
            if partition.0 < count {
                session.read_back(partition, seq);
            }
        }
        if self.stop.asked() {
            return Ok(None);
        }
        reader.spans().iter().zip(0..).for_each(|(span, lane)| session.read_through(lane, span.high));
        Ok(Some(session))
    }

    /// Whether the topic ends before what is known to be in it: it was deleted and made anew, or has lost records.
    fn shorter(&self, reader: &Reader, session: &Session) -> bool {
        let short = reader.spans().iter().zip(0..).any(|(span, lane): (_, Lane)| span.high < session.resume(lane));
        if short {
            tracing::warn!(topic = self.options.topic, "the topic is shorter than what was published: it is filled anew");
        }
        short
    }

    fn check_not_ahead(&self, session: &Session) -> Result<(), Error> {
        for partition in self.journal.partitions().all() {
            let (published, journal) = (session.published(partition), self.backlog.head(partition));
            if published > journal {
                return Err(Error::Ahead { partition: partition.0, published, journal });
            }
        }
        Ok(())
    }
}

fn age(of: Option<Timestamp>) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    of.map_or(0.0, |at| Timestamp(now).since(at) as f64 / 1000.0)
}

/// A session with its producer.
struct Publishing<'a> {
    worker: &'a mut Worker,
    session: Session,
    producer: Producer,
    /// As it stands in the journal.
    kept: BTreeMap<LogId, Kept>,
    /// Published since then.
    fresh: u64,
    keep_at: Instant,
    /// Set while the producer is full: it is full until no more than this many events are on their way.
    room_at: Option<usize>,
    courtesy: Courtesy,
    /// When the last event that was handed over happened: those that wait are later.
    reached: Option<Timestamp>,
    /// Nothing is read for publishing before.
    rest_until: Instant,
}

impl Publishing<'_> {
    fn run(mut self) -> Result<(), Error> {
        loop {
            let rests = Instant::now() < self.rest_until && !self.worker.stop.asked();
            let sent = if self.room_at.is_none() && !rests { self.read_on()? } else { 0 };
            if sent > 0 {
                self.rest_until = Instant::now() + self.courtesy.owed();
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
            if self.worker.stop.asked() && self.done() {
                self.keep()?;
                return self.show();
            }
        }
    }

    /// Hands over what became durable. Returns how many events.
    fn read_on(&mut self) -> Result<usize, Error> {
        let mut sent = 0;
        for index in 0..self.worker.logs.len() {
            let log = self.worker.logs[index].0;
            if self.room_at.is_none() && self.worker.journal.end(log) > self.session.read(log) {
                sent += self.read_log(log)?;
            }
        }
        Ok(sent)
    }

    fn read_log(&mut self, log: LogId) -> Result<usize, Error> {
        let journal = self.worker.journal.clone();
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
            self.worker.backlog.read(log, commit);
            Ok(if sent < PIECE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        failed.map_or(Ok(sent), Err)
    }

    /// Whether the event was handed over: it may have been before, or there may be no room.
    fn publish(&mut self, log: LogId, commit: LogSeq, entry: &Entry<'_>) -> Result<bool, Error> {
        let Entry { partition, seq, .. } = *entry;
        self.worker.backlog.saw(partition, seq);
        let place = match self.session.offer(partition, seq) {
            Offer::Known => return Ok(false),
            Offer::Gap { expected } => return Err(Error::Gap { partition: partition.0, expected, found: seq }),
            Offer::Next { lane, number } => (lane, number),
        };
        let record = entry.decode().map_err(journal::Error::from)?;
        let sent = Sent { log, commit, partition, seq, at: record.at };
        let encoded = (self.worker.encode)(partition, &record);
        if !self.producer.send(place, (partition, seq), &encoded)? {
            self.room_at = Some(self.session.on_the_way() / 2);
            return Ok(false);
        }
        self.session.sent(sent);
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
            published += self.session.landed(report.lane, report.number, offset)?;
        }
        self.fresh += published;
        self.worker.gauges.published.increment(published);
        if self.room_at.is_some_and(|room| self.session.on_the_way() <= room) {
            self.room_at = None;
        }
        Ok(())
    }

    /// P3: writes the position, for the next session and for whoever wants to drop what is published.
    fn keep(&mut self) -> Result<(), Error> {
        let mut rows = Vec::new();
        for (log, partitions) in &self.worker.logs {
            let now = self.session.kept(*log, partitions.iter().copied());
            if self.kept.get(log) != Some(&now) {
                rows.push(kept_row(*log, &now));
                self.kept.insert(*log, now);
            }
        }
        if !rows.is_empty() {
            self.worker.journal.project(&rows)?;
            self.kept.iter().for_each(|(log, kept)| self.worker.published.reached(*log, kept.commit));
        }
        self.fresh = 0;
        Ok(())
    }

    fn show(&mut self) -> Result<(), Error> {
        if self.room_at.is_some() || Instant::now() < self.rest_until {
            // Nothing is read for publishing: what gathers has to be counted by itself.
            let journal = self.worker.journal.clone();
            self.worker.backlog.count(&*journal)?;
        }
        let waiting = self.worker.lag(&self.session);
        let oldest = self.session.oldest().or(self.reached.filter(|_| waiting > 0));
        self.worker.backlog.oldest_is(oldest);
        self.worker.gauges.lag_events.set(waiting as f64);
        self.worker.gauges.lag_seconds.set(age(oldest));
        Ok(())
    }

    /// Whether everything durable is published, or there is no more time for it.
    fn done(&self) -> bool {
        let Worker { journal, logs, .. } = &*self.worker;
        let through = || logs.iter().all(|(log, _)| self.session.read(*log) >= journal.end(*log));
        let late = self.worker.stop.late();
        late || (self.session.on_the_way() == 0 && through())
    }
}
