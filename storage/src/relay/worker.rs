//! The thread of the relay: one session after the other, each from reading back to its first failure.
//!
//! Invariants: a failure of any kind ends in a new session, never in an event left out; while nothing can be published the
//! lag still shows; a stop lets every phase go on until its deadline, and none longer.

use super::backlog::Backlog;
use super::broker::Producer;
use super::cursor::{Checkpoint, Session, TopicPartition};
use super::publishing::{Begun, Publishing};
use super::reader::{Reader, Start};
use super::standing::{Checks, ReadBack};
use super::{Encode, Error, Options, Published, load_checkpoints, partitions_of, topic};
use crate::background;
use crate::history;
use crate::journal::{Journal, LogId};
use crate::sessions::{Pauses, Stop};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) struct Worker {
    pub(super) journal: Arc<dyn Journal>,
    options: Options,
    pub(super) encode: Encode,
    /// What is not published by its deadline waits for the next start.
    pub(super) stop: Stop,
    /// Each log with the partitions whose facts it holds.
    pub(super) logs: Vec<(LogId, Vec<PartitionId>)>,
    pub(super) published: Published,
    pub(super) backlog: Backlog,
    pub(super) gauges: Gauges,
    /// What was last said to be wrong, so that it is said once.
    said: Option<String>,
}

pub(super) struct Gauges {
    pub(super) lag_events: metrics::Gauge,
    pub(super) lag_seconds: metrics::Gauge,
    pub(super) published: metrics::Counter,
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
            let hopeless = error.lasts() && self.stop.asked();
            if hopeless || self.stop.rest(pauses.after(began.elapsed())) {
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
        let checkpoints = load_checkpoints(&*self.journal).unwrap_or_default();
        let published = |partition: PartitionId| {
            let log = self.journal.log_of(partition);
            checkpoints.get(&log).and_then(|checkpoint| checkpoint.published.get(&partition.0)).copied().unwrap_or(0)
        };
        let events = self.backlog.events(published);
        self.gauges.lag_events.set(events as f64);
        self.gauges.lag_seconds.set(if events == 0 { 0.0 } else { age(self.backlog.oldest()) });
    }

    /// One session. Ends well only when it is time to stop: all is published, or it is late.
    fn live(&mut self) -> Result<(), Error> {
        let checkpoints = load_checkpoints(&*self.journal)?;
        self.resume(&checkpoints);
        let own = history::ensure_name(&*self.journal)?;
        self.rest_of_the_journal()?;
        if self.stop.asked() && self.all_published() {
            return Ok(());
        }
        let options = self.options.clone();
        let Some(()) = self.stop.unless_late(move || topic::ensure(&options))?.transpose()? else { return Ok(()) };
        self.check_topic_partitions(&checkpoints)?;
        let Some(begun) = self.read_back(checkpoints, &own)? else { return Ok(()) };
        let producer = Producer::open(&self.options, own)?;
        tracing::info!(topic = self.options.topic, waiting = self.lag(&begun.session), "publishing to Kafka");
        self.said = None;
        let mut publishing = Publishing::begin(self, begun, producer);
        let ended = publishing.run();
        let producer = publishing.end();
        self.stop.close(producer);
        ended
    }

    /// Whether the positions say so, without a look at the topic.
    fn all_published(&self) -> bool {
        self.logs.iter().all(|(log, _)| self.published.of_log(*log) >= self.journal.end(*log))
    }

    fn resume(&mut self, checkpoints: &BTreeMap<LogId, Checkpoint>) {
        for (log, checkpoint) in checkpoints {
            self.published.reached(*log, checkpoint.commit);
            self.backlog.read(*log, checkpoint.commit);
            for (partition, seq) in &checkpoint.published {
                self.backlog.saw(PartitionId(*partition), *seq);
            }
        }
    }

    fn rest_of_the_journal(&mut self) -> Result<(), Error> {
        self.backlog.count(&*self.journal)?;
        self.show_waiting();
        Ok(())
    }

    pub(super) fn lag(&self, session: &Session) -> u64 {
        self.backlog.events(|partition| session.published(partition))
    }

    fn check_topic_partitions(&self, checkpoints: &BTreeMap<LogId, Checkpoint>) -> Result<(), Error> {
        let other = checkpoints
            .values()
            .map(|checkpoint| checkpoint.topic_partitions)
            .find(|topic_partitions| *topic_partitions != 0 && *topic_partitions != self.options.topic_partitions);
        other.map_or(Ok(()), |topic_partitions| {
            let problem = format!(
                "was published with {topic_partitions} partitions, the settings say {}: events of one partition would be in two places. \
                 Set kafka.topic_partitions = {topic_partitions}",
                self.options.topic_partitions
            );
            Err(Error::Topic { topic: self.options.topic.clone(), problem })
        })
    }

    /// P1: what a session before this one may have published after its position was kept last. Nothing if it is late.
    fn read_back(&mut self, mut checkpoints: BTreeMap<LogId, Checkpoint>, own: &str) -> Result<Option<Begun>, Error> {
        let (count, topic_partitions) = (self.journal.partitions().count(), self.options.topic_partitions);
        let mut session = Session::after(&checkpoints, count, topic_partitions);
        let resume: Vec<i64> = (0..topic_partitions).map(|topic_partition| session.resume(topic_partition)).collect();
        let Some(mut reader) = self.open_reader(resume)? else { return Ok(None) };
        let checks = if self.shorter(&reader, &session) {
            checkpoints
                .iter_mut()
                .for_each(|(_, checkpoint)| *checkpoint = Checkpoint { base: checkpoint.version(), ..Checkpoint::default() });
            session = Session::after(&checkpoints, count, topic_partitions);
            self.stop.close(reader);
            let Some(from_the_start) = self.open_reader(Vec::new())? else { return Ok(None) };
            reader = from_the_start;
            Checks::none()
        } else {
            Checks::confirmed(&*self.journal, &checkpoints)?
        };
        let read = self.read_all(&mut reader, &mut session, own);
        let spans = reader.spans().to_vec();
        self.stop.close(reader);
        let Some(read) = read? else { return Ok(None) };
        spans.iter().zip(0..).for_each(|(span, topic_partition)| session.read_through(topic_partition, span.high));
        // Again: what was read back may have been written meanwhile.
        self.backlog.count(&*self.journal)?;
        self.check_not_ahead(&session)?;
        read.compare(&*self.journal, &checkpoints, &self.options.topic)?;
        Ok(Some(Begun { session, checkpoints, checks }))
    }

    /// From these offsets on, a topic_partition without one from its beginning.
    fn open_reader(&mut self, from: Vec<i64>) -> Result<Option<Reader>, Error> {
        let (connection, topic) = (self.options.connection.clone(), self.options.topic.clone());
        let start = move |topic_partition: TopicPartition| Start::At(from.get(topic_partition as usize).copied().unwrap_or(0));
        self.stop.unless_late(move || Reader::open(&connection, &topic, start))?.transpose()
    }

    /// Nothing if it is late before the end.
    fn read_all(&mut self, reader: &mut Reader, session: &mut Session, own: &str) -> Result<Option<ReadBack>, Error> {
        let (count, mut read) = (self.journal.partitions().count(), ReadBack::default());
        while let Some(carried) = reader.record_unless(|| self.stop.late())? {
            let (Some(partition), Some(seq), Some(journal)) = (carried.partition, carried.seq, &carried.journal) else {
                continue;
            };
            if journal != own {
                let (topic, found) = (self.options.topic.clone(), journal.clone());
                return Err(Error::Foreign { topic, found, own: own.to_owned() });
            }
            if partition.0 < count {
                session.read_back(partition, seq);
                read.saw(partition, seq, &carried);
            }
        }
        Ok((!self.stop.late()).then_some(read))
    }

    /// Whether the topic ends before what is known to be in it: it was deleted and made anew, or has lost records.
    fn shorter(&self, reader: &Reader, session: &Session) -> bool {
        let short = reader
            .spans()
            .iter()
            .zip(0..)
            .any(|(span, topic_partition): (_, TopicPartition)| span.high < session.resume(topic_partition));
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

pub(super) fn age(of: Option<Timestamp>) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    of.map_or(0.0, |at| Timestamp(now).since(at) as f64 / 1000.0)
}
