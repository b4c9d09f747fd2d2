//! The thread of the relay: one session after the other, each from reading back to its first failure.
//!
//! Invariants: a failure of any kind ends in a new session, never in an event left out; while nothing can be published the
//! lag still shows; a stop lets every phase go on until its deadline, and none longer.

use super::context::Context;
use super::cursor::{Checkpoint, Session};
use super::producer::Producer;
use super::publishing::{Begun, Publishing};
use super::reader::{Reader, Start};
use super::standing::{Checks, ReadBack};
use super::{Error, Options, load_checkpoints};
use crate::background;
use crate::contract::LogId;
use crate::history;
use crate::kafka::client::{self, TopicPartition};
use crate::kafka::session::Pauses;
use crate::kafka::topic::{self, Wanted};
use std::collections::BTreeMap;
use std::time::Instant;

pub(super) struct Worker {
    context: Context,
    options: Options,
    /// What was last said to be wrong, so that it is said once.
    said: Option<String>,
}

impl Worker {
    pub(super) fn new(context: Context, options: Options) -> Self {
        Self { context, options, said: None }
    }

    pub(super) fn run(mut self) {
        background::yield_to_the_hot_path();
        let mut pauses = Pauses::new();
        loop {
            let began = Instant::now();
            let Err(error) = self.live() else { return };
            self.tell(&error);
            self.context.gauges.restarts.increment(1);
            self.context.show_waiting();
            let hopeless = error.lasts() && self.context.stop.asked();
            if hopeless || self.context.stop.rest(pauses.after(began.elapsed())) {
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

    /// One session. Ends well only when it is time to stop: all is published, or it is late.
    fn live(&mut self) -> Result<(), Error> {
        let checkpoints = load_checkpoints(&*self.context.journal)?;
        self.context.resume(&checkpoints);
        let own = history::ensure_name(&*self.context.journal)?;
        self.context.backlog.count(&*self.context.journal)?;
        self.context.show_waiting();
        if self.context.stop.asked() && self.context.all_published() {
            return Ok(());
        }
        let Options { connection, topic, topic_partitions, replication, .. } = self.options.clone();
        let wanted = Wanted { connection, topic, topic_partitions, replication };
        let Some(()) = self.context.stop.unless_late(move || topic::ensure(&wanted))?.transpose()? else { return Ok(()) };
        self.check_topic_partitions(&checkpoints)?;
        let Some(begun) = self.read_back(checkpoints, &own)? else { return Ok(()) };
        let producer = Producer::open(&self.options, own)?;
        tracing::info!(topic = self.options.topic, waiting = self.context.lag(&begun.session), "publishing to Kafka");
        self.said = None;
        let mut publishing = Publishing::begin(&mut self.context, begun, producer);
        let ended = publishing.run();
        let producer = publishing.end();
        self.context.stop.close(producer);
        ended
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
            Err(client::Error::Topic { topic: self.options.topic.clone(), problem }.into())
        })
    }

    /// P1: what a session before this one may have published after its position was kept last. Nothing if it is late.
    fn read_back(&mut self, mut checkpoints: BTreeMap<LogId, Checkpoint>, own: &str) -> Result<Option<Begun>, Error> {
        let (count, topic_partitions) = (self.context.journal.partitions().count(), self.options.topic_partitions);
        let mut session = Session::after(&checkpoints, count, topic_partitions);
        let resume: Vec<i64> = (0..topic_partitions).map(|topic_partition| session.resume(topic_partition)).collect();
        let Some(mut reader) = self.open_reader(resume)? else { return Ok(None) };
        let checks = if self.shorter(&reader, &session) {
            checkpoints
                .iter_mut()
                .for_each(|(_, checkpoint)| *checkpoint = Checkpoint { base: checkpoint.version(), ..Checkpoint::default() });
            session = Session::after(&checkpoints, count, topic_partitions);
            self.context.stop.close(reader);
            let Some(from_the_start) = self.open_reader(Vec::new())? else { return Ok(None) };
            reader = from_the_start;
            Checks::none()
        } else {
            Checks::confirmed(&*self.context.journal, &checkpoints)?
        };
        let read = self.read_all(&mut reader, &mut session, own);
        let spans = reader.spans().to_vec();
        self.context.stop.close(reader);
        let Some(read) = read? else { return Ok(None) };
        spans.iter().zip(0..).for_each(|(span, topic_partition)| session.read_through(topic_partition, span.high));
        // Again: what was read back may have been written meanwhile.
        self.context.backlog.count(&*self.context.journal)?;
        self.check_not_ahead(&session)?;
        read.compare(&*self.context.journal, &checkpoints, &self.options.topic)?;
        Ok(Some(Begun { session, checkpoints, checks }))
    }

    /// From these offsets on, a topic partition without one from its beginning.
    fn open_reader(&mut self, from: Vec<i64>) -> Result<Option<Reader>, Error> {
        let (connection, topic) = (self.options.connection.clone(), self.options.topic.clone());
        let start = move |topic_partition: TopicPartition| Start::At(from.get(topic_partition as usize).copied().unwrap_or(0));
        Ok(self.context.stop.unless_late(move || Reader::open(&connection, &topic, start))?.transpose()?)
    }

    /// Nothing if it is late before the end.
    fn read_all(&mut self, reader: &mut Reader, session: &mut Session, own: &str) -> Result<Option<ReadBack>, Error> {
        let (count, mut read) = (self.context.journal.partitions().count(), ReadBack::default());
        while let Some(carried) = reader.record_unless(|| self.context.stop.late())? {
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
        Ok((!self.context.stop.late()).then_some(read))
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
        for partition in self.context.journal.partitions().all() {
            let (published, journal) = (session.published(partition), self.context.backlog.head(partition));
            if published > journal {
                return Err(Error::Ahead { partition: partition.0, published, journal });
            }
        }
        Ok(())
    }
}
