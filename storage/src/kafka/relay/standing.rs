//! Whether the journal is the one that was published: its position and its topic, held against the log.
//!
//! Invariant: where a position is kept, the check value of a commit up to it is kept too, and nothing is published on top of a
//! position or of a record that the log does not confirm.

use super::cursor::Checkpoint;
use super::reader::TopicRecord;
use super::{Error, checkpoint_row};
use crate::contract::{self, CommitCheck, Journal, Log, LogId, LogSeq, Row, Rows, Table};
use crate::history::{self, Finding};
use crate::rows::meta;
use holdfast_engine::codec;
use holdfast_engine::ids::{PartitionId, Seq};
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

const NOTHING: CommitCheck = CommitCheck { commit: 0, check: 0 };

fn load(journal: &dyn Rows, log: LogId) -> Result<CommitCheck, contract::Error> {
    let row = journal.get(Table::Meta, &meta::relay_check(log))?;
    Ok(row.map(|row| codec::decode(&row)).transpose()?.unwrap_or(NOTHING))
}

/// The check values of commits that were read and are not published whole, and of the last that is.
pub(super) struct Checks {
    logs: BTreeMap<LogId, OfLog>,
}

struct OfLog {
    published: CommitCheck,
    read: VecDeque<CommitCheck>,
}

impl Checks {
    /// What is kept beside the positions, if the log confirms both. To go on after positions without a look at their topic is
    /// wrong: for a topic that is filled anew there are none.
    ///
    /// # Errors
    /// If a position is not of this history, or the journal cannot be read.
    pub(super) fn confirmed(journal: &dyn Journal, checkpoints: &BTreeMap<LogId, Checkpoint>) -> Result<Self, Error> {
        let mut checks = Self::none();
        for (log, checkpoint) in checkpoints {
            let published = load(journal, *log)?;
            let parted = history::compare(journal, *log, published)? == Finding::Other;
            if parted || checkpoint.commit > journal.end(*log) {
                let what = format!("commit {} of log {}, which was published,", published.commit.max(checkpoint.commit), log.0);
                return Err(Error::Parted { what });
            }
            checks.logs.insert(*log, OfLog { published, read: VecDeque::new() });
        }
        Ok(checks)
    }

    /// Nothing is published.
    pub(super) fn none() -> Self {
        Self { logs: BTreeMap::new() }
    }

    fn of(&mut self, log: LogId) -> &mut OfLog {
        self.logs.entry(log).or_insert_with(|| OfLog { published: NOTHING, read: VecDeque::new() })
    }

    /// Every event of a commit was offered.
    pub(super) fn read(&mut self, log: LogId, commit: LogSeq, check: u32) {
        self.of(log).read.push_back(CommitCheck { commit, check });
    }

    /// The rows to write when a position moves. After a crash between them the check value is of an earlier topic or a later
    /// position, and both are of this history.
    pub(super) fn rows(&mut self, log: LogId, checkpoint: &Checkpoint) -> [Row; 2] {
        let of_log = self.of(log);
        while let Some(read) = of_log.read.pop_front_if(|read| read.commit <= checkpoint.commit) {
            of_log.published = read;
        }
        let value = codec::encode(&of_log.published);
        [
            Row { table: Table::Meta, key: meta::relay_check(log), value, version: checkpoint.version() },
            checkpoint_row(log, checkpoint),
        ]
    }
}

/// The last record of each partition that was read back, with the check value of its event.
#[derive(Default)]
pub(super) struct ReadBack(BTreeMap<PartitionId, (Seq, Option<u32>)>);

impl ReadBack {
    pub(super) fn saw(&mut self, partition: PartitionId, seq: Seq, carried: &TopicRecord) {
        let last = self.0.entry(partition).or_default();
        if seq >= last.0 {
            *last = (seq, carried.check);
        }
    }

    /// Holds them against the journal, as far as they lie behind the positions. Records of older versions have no check value.
    /// Cost: a read of what was published after the positions were kept.
    ///
    /// # Errors
    /// If one is another event than the journal has, or the journal cannot be read.
    pub(super) fn compare(
        &self,
        journal: &dyn Journal,
        checkpoints: &BTreeMap<LogId, Checkpoint>,
        topic: &str,
    ) -> Result<(), Error> {
        for (log, checkpoint) in checkpoints {
            let known = |partition: &PartitionId| checkpoint.published.get(&partition.0).copied().unwrap_or(0);
            let fresh =
                self.0.iter().filter(|(partition, (seq, _))| journal.log_of(**partition) == *log && *seq > known(partition));
            let wanted = fresh.filter_map(|(partition, (seq, check))| Some((*partition, (*seq, (*check)?)))).collect();
            if let Some((partition, seq)) = first_other(journal, *log, checkpoint.commit, wanted)? {
                let what = format!("event {seq} of partition {} in the topic {topic}", partition.0);
                return Err(Error::Parted { what });
            }
        }
        Ok(())
    }
}

/// The first of the wanted events that has another check value in the log.
fn first_other(
    journal: &dyn Log,
    log: LogId,
    after: LogSeq,
    mut wanted: BTreeMap<PartitionId, (Seq, u32)>,
) -> Result<Option<(PartitionId, Seq)>, contract::Error> {
    let mut other = None;
    if wanted.is_empty() {
        return Ok(other);
    }
    journal.read(log, after, &mut |_, frame| {
        for entry in codec::read_frame(frame)? {
            let entry = entry?;
            if wanted.get(&entry.partition).is_some_and(|(seq, _)| *seq == entry.seq)
                && wanted.remove(&entry.partition).is_some_and(|(_, check)| check != entry.check())
            {
                other = Some((entry.partition, entry.seq));
            }
        }
        Ok(if wanted.is_empty() || other.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryJournal;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Event, Record, StockFact};
    use holdfast_engine::ids::{Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;

    const LOG: LogId = LogId(0);
    const PARTITION: PartitionId = PartitionId(0);

    /// An event and a commit for each of these times.
    fn journal(times: &[u64]) -> MemoryJournal {
        let journal = MemoryJournal::new(Partitions::new(1).unwrap());
        for (seq, time) in (1..).zip(times) {
            let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
            let event = Event::Stock { sku: Sku::new("MUG").unwrap(), fact };
            let mut batch = Batch::default();
            batch.push(PARTITION, &Record { seq, at: Timestamp::new(*time), event });
            journal.append(LOG, &batch).unwrap();
        }
        journal
    }

    fn checkpoint(commit: u64) -> Checkpoint {
        Checkpoint { commit, published: BTreeMap::from([(0, commit)]), topic_partitions: 1, ..Checkpoint::default() }
    }

    /// Publishes all of a journal and keeps the position in `into`.
    fn publish(journal: &MemoryJournal, into: &MemoryJournal) {
        let mut checks = Checks::none();
        journal
            .read(LOG, 0, &mut |commit, frame| {
                checks.read(LOG, commit, codec::frame_check(frame)?);
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        into.project(&checks.rows(LOG, &checkpoint(journal.end(LOG)))).unwrap();
    }

    fn confirmed(journal: &MemoryJournal, commit: u64) -> Result<Checks, Error> {
        Checks::confirmed(journal, &BTreeMap::from([(LOG, checkpoint(commit))]))
    }

    #[test]
    fn a_position_is_believed_by_the_journal_that_was_published() {
        let own = journal(&[1, 2, 3]);
        publish(&own, &own);
        assert_eq!(load(&own, LOG).unwrap().commit, 3);
        assert!(confirmed(&own, 3).is_ok());
    }

    #[test]
    fn a_position_is_refused_by_an_older_copy_and_by_one_that_went_on() {
        for copy in [journal(&[1, 2]), journal(&[1, 2, 9]), journal(&[1, 2, 9, 9])] {
            publish(&journal(&[1, 2, 3]), &copy);
            let refused = confirmed(&copy, 3).err().unwrap().to_string();
            assert!(refused.contains("older copy") && refused.contains("kafka.topic_prefix"), "{refused}");
        }
    }

    #[test]
    fn a_position_kept_before_there_were_check_values_is_refused_only_beyond_the_end() {
        assert!(confirmed(&journal(&[1, 2]), 2).is_ok());
        assert!(matches!(confirmed(&journal(&[1, 2]), 3), Err(Error::Parted { .. })));
    }

    #[test]
    fn a_position_that_begins_anew_forgets_the_check_value_of_the_one_before() {
        let copy = journal(&[1, 9]);
        publish(&journal(&[1, 2]), &copy);
        copy.project(&Checks::none().rows(LOG, &Checkpoint { base: 5, ..checkpoint(0) })).unwrap();
        assert!(confirmed(&copy, 0).is_ok());
    }

    fn check_at(journal: &MemoryJournal, wanted: Seq) -> u32 {
        let mut check = None;
        journal
            .read(LOG, wanted - 1, &mut |_, frame| {
                check = Some(codec::read_frame(frame)?.next().unwrap()?.check());
                Ok(ControlFlow::Break(()))
            })
            .unwrap();
        check.unwrap()
    }

    fn compare(journal: &MemoryJournal, known: u64, records: &[(Seq, Option<u32>)]) -> Result<(), Error> {
        let mut read_back = ReadBack::default();
        for (seq, check) in records {
            read_back.saw(PARTITION, *seq, &TopicRecord { check: *check, ..TopicRecord::default() });
        }
        read_back.compare(journal, &BTreeMap::from([(LOG, checkpoint(known))]), "t")
    }

    #[test]
    fn the_last_record_of_the_topic_must_be_the_event_that_the_journal_has_there() {
        let (own, copy) = (journal(&[1, 2, 3]), journal(&[1, 2, 9, 9]));
        let third = Some(check_at(&own, 3));
        let second = Some(check_at(&own, 2));
        assert!(compare(&own, 1, &[(2, second), (3, third), (2, second)]).is_ok());
        assert!(compare(&copy, 1, &[(2, second)]).is_ok(), "they have it in common");
        let refused = compare(&copy, 1, &[(2, second), (3, third)]).unwrap_err().to_string();
        assert!(refused.contains("event 3 of partition 0") && refused.contains("older copy"), "{refused}");
    }

    #[test]
    fn a_record_without_a_check_value_is_not_compared_and_one_before_the_position_is_not_looked_for() {
        let copy = journal(&[1, 9]);
        let other = Some(check_at(&journal(&[1, 2]), 2));
        assert!(compare(&copy, 1, &[(2, None)]).is_ok());
        assert!(compare(&copy, 2, &[(2, other)]).is_ok());
        assert!(compare(&copy, 1, &[(2, other)]).is_err());
    }
}
