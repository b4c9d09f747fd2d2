//! What is published and which event is next: algorithm P without its IO.
//!
//! A session begins with what was kept and what was read back. It says of every event of the journal whether it goes out
//! now, hears where each landed, and says at any time what a successor may rely on. After a failure it is thrown away.
//!
//! Invariants: the events of a partition go out in their order and none is left out; the cursor of a partition moves only
//! over events that landed, without a gap; what is kept is never ahead of the topic.

use crate::contract::{LogId, LogSeq};
use crate::kafka::client::TopicPartition;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What outlives a session, a row for each log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// This commit and those before it are published whole.
    pub commit: LogSeq,
    /// The last published event of each partition of the log.
    pub published: BTreeMap<u16, Seq>,
    /// For each topic partition an offset before which no event of this log after `published` was put by the one who kept it.
    pub resume: BTreeMap<TopicPartition, i64>,
    /// Partitions of the topic, of which each has several of Holdfast: with another number the events of a partition would lose their order.
    pub topic_partitions: TopicPartition,
    /// Added to the version, so that it grows even when a topic has to be filled anew.
    pub base: u64,
}

impl Checkpoint {
    /// Grows with everything that lands.
    pub fn version(&self) -> u64 {
        self.base + self.published.values().sum::<u64>()
    }
}

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It was sent or published before.
    Known,
    /// It goes out now, as this message of its topic partition.
    Next { topic_partition: TopicPartition, number: u64 },
    /// The journal jumps over events that were never published: they must not be left out.
    Gap { expected: Seq },
}

/// An event as the session remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sent {
    pub log: LogId,
    pub commit: LogSeq,
    pub partition: PartitionId,
    pub seq: Seq,
    pub at: Timestamp,
}

/// A report that cannot be true of this session: it can no longer tell what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    #[error("the broker acknowledged message {number} of topic partition {topic_partition}, which is not on its way")]
    Unknown { topic_partition: TopicPartition, number: u64 },
    #[error(
        "topic partition {topic_partition} goes on at offset {offset} instead of {expected}: it was deleted, or lost records"
    )]
    Backwards { topic_partition: TopicPartition, offset: i64, expected: i64 },
}

/// One life of the relay, from reading back to the first failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    topic_partitions: Vec<OnTheWay>,
    /// Of each partition of Holdfast.
    tracks: Vec<Track>,
    logs: BTreeMap<LogId, Progress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Track {
    sent: Seq,
    landed: Seq,
}

/// Sent to one topic partition, in order. The broker may answer out of order; what counts is the part from the front that landed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct OnTheWay {
    /// Number of the event at the front.
    first: u64,
    waiting: VecDeque<(Sent, Option<i64>)>,
    resume: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Progress {
    base: u64,
    /// Last commit of which every event was offered.
    read: LogSeq,
    /// This commit and those before it are published whole.
    published: LogSeq,
    /// Commits with events on their way, the oldest first.
    open: VecDeque<Open>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Open {
    commit: LogSeq,
    waiting: u32,
}

impl Session {
    /// Goes on after what was kept. Every log has an entry, an empty one if nothing of it was ever published.
    pub fn after(checkpoints: &BTreeMap<LogId, Checkpoint>, partitions: u16, topic_partitions: TopicPartition) -> Self {
        let topic_partitions = usize::try_from(topic_partitions).unwrap_or_default().max(1);
        let mut session = Self {
            topic_partitions: vec![OnTheWay::default(); topic_partitions],
            tracks: vec![Track::default(); usize::from(partitions)],
            logs: BTreeMap::new(),
        };
        for (log, checkpoint) in checkpoints {
            for (partition, seq) in &checkpoint.published {
                session.read_back(PartitionId(*partition), *seq);
            }
            for (topic_partition, offset) in &checkpoint.resume {
                session.read_through(*topic_partition, *offset);
            }
            let (read, base) = (checkpoint.commit, checkpoint.base);
            session.logs.insert(*log, Progress { base, read, published: read, open: VecDeque::new() });
        }
        session
    }

    /// The topic partition of a partition, the same for ever.
    pub fn topic_partition_of(&self, partition: PartitionId) -> TopicPartition {
        (usize::from(partition.0) % self.topic_partitions.len()) as TopicPartition
    }

    /// Where to read a topic partition back from.
    pub fn resume(&self, topic_partition: TopicPartition) -> i64 {
        self.topic_partition(topic_partition).map_or(0, |topic_partition| topic_partition.resume)
    }

    /// An event was found in the topic. Each session appends in order, so what is before it in its partition is there too.
    pub fn read_back(&mut self, partition: PartitionId, seq: Seq) {
        let track = &mut self.tracks[usize::from(partition.0)];
        track.landed = track.landed.max(seq);
        track.sent = track.sent.max(seq);
    }

    /// A topic partition was read back up to this offset: what this session sends lies behind it.
    pub fn read_through(&mut self, topic_partition: TopicPartition, offset: i64) {
        if let Some(topic_partition) =
            usize::try_from(topic_partition).ok().and_then(|topic_partition| self.topic_partitions.get_mut(topic_partition))
        {
            topic_partition.resume = topic_partition.resume.max(offset);
        }
    }

    /// The commit after which a log is to be read on.
    pub fn read(&self, log: LogId) -> LogSeq {
        self.logs.get(&log).map_or(0, |log| log.read)
    }

    /// Whether the next event of the journal goes out. Changes nothing: the producer may still have no room.
    pub fn offer(&self, partition: PartitionId, seq: Seq) -> Offer {
        let expected = self.tracks[usize::from(partition.0)].sent + 1;
        match seq {
            _ if seq < expected => Offer::Known,
            _ if seq == expected => {
                let topic_partition = self.topic_partition_of(partition);
                let on_the_way = &self.topic_partitions[topic_partition as usize];
                Offer::Next { topic_partition, number: on_the_way.first + on_the_way.waiting.len() as u64 }
            }
            _ => Offer::Gap { expected },
        }
    }

    /// The producer took the event that was offered last.
    pub fn sent(&mut self, event: Sent) {
        self.tracks[usize::from(event.partition.0)].sent = event.seq;
        let open = &mut self.logs.entry(event.log).or_default().open;
        match open.back_mut().filter(|open| open.commit == event.commit) {
            Some(open) => open.waiting += 1,
            None => open.push_back(Open { commit: event.commit, waiting: 1 }),
        }
        let topic_partition = self.topic_partition_of(event.partition);
        self.topic_partitions[topic_partition as usize].waiting.push_back((event, None));
    }

    /// Every event of a commit was offered, and sent where it had to be.
    pub fn read_whole(&mut self, log: LogId, commit: LogSeq) {
        let log = self.logs.entry(log).or_default();
        log.read = commit;
        log.settle();
    }

    /// A message landed, at this offset unless the broker no longer knows. Returns how many events are published now that
    /// were not before.
    ///
    /// # Errors
    /// If no such message is on its way, or it landed before what landed earlier.
    pub fn landed(&mut self, topic_partition: TopicPartition, number: u64, offset: i64) -> Result<u64, Impossible> {
        let unknown = Impossible::Unknown { topic_partition, number };
        let on_the_way = usize::try_from(topic_partition)
            .ok()
            .and_then(|topic_partition| self.topic_partitions.get_mut(topic_partition))
            .ok_or(unknown)?;
        let index = number.checked_sub(on_the_way.first).and_then(|index| usize::try_from(index).ok());
        let (_, landed) = index.and_then(|index| on_the_way.waiting.get_mut(index)).ok_or(unknown)?;
        if (0..on_the_way.resume).contains(&offset) {
            return Err(Impossible::Backwards { topic_partition, offset, expected: on_the_way.resume });
        }
        *landed = Some(offset);
        let mut published = 0;
        while let Some((event, Some(offset))) = on_the_way.waiting.front().copied() {
            on_the_way.waiting.pop_front();
            on_the_way.first += 1;
            on_the_way.resume = on_the_way.resume.max(offset + 1);
            self.tracks[usize::from(event.partition.0)].landed = event.seq;
            self.logs.entry(event.log).or_default().landed(event.commit);
            published += 1;
        }
        Ok(published)
    }

    /// Sent and not yet known to have landed.
    pub fn on_the_way(&self) -> usize {
        self.topic_partitions.iter().map(|topic_partition| topic_partition.waiting.len()).sum()
    }

    /// When the oldest event on its way happened.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.topic_partitions
            .iter()
            .filter_map(|topic_partition| topic_partition.waiting.front())
            .map(|(event, _)| event.at)
            .min()
    }

    /// The last published event of a partition.
    pub fn published(&self, partition: PartitionId) -> Seq {
        self.tracks[usize::from(partition.0)].landed
    }

    /// What a successor may rely on, for a log with these partitions.
    pub fn checkpoint(&self, log: LogId, partitions: impl Iterator<Item = PartitionId>) -> Checkpoint {
        let mut checkpoint =
            Checkpoint { topic_partitions: self.topic_partitions.len() as TopicPartition, ..Checkpoint::default() };
        if let Some(log) = self.logs.get(&log) {
            (checkpoint.commit, checkpoint.base) = (log.published, log.base);
        }
        for partition in partitions.filter(|partition| self.published(*partition) > 0) {
            checkpoint.published.insert(partition.0, self.published(partition));
            let topic_partition = self.topic_partition_of(partition);
            checkpoint.resume.insert(topic_partition, self.resume(topic_partition));
        }
        checkpoint
    }

    fn topic_partition(&self, topic_partition: TopicPartition) -> Option<&OnTheWay> {
        usize::try_from(topic_partition).ok().and_then(|topic_partition| self.topic_partitions.get(topic_partition))
    }
}

impl Progress {
    fn landed(&mut self, commit: LogSeq) {
        if let Ok(index) = self.open.binary_search_by_key(&commit, |open| open.commit) {
            self.open[index].waiting -= 1;
        }
        self.settle();
    }

    /// Moves over the commits of which nothing is on its way. One that is not read whole may have more to send.
    fn settle(&mut self) {
        while self.open.front().is_some_and(|open| open.waiting == 0 && open.commit <= self.read) {
            self.open.pop_front();
        }
        self.published = self.open.front().map_or(self.read, |open| open.commit - 1);
    }
}

#[cfg(test)]
mod tests;
