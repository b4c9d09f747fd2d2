//! Whether the log beside the tables has the commits that they follow from.
//!
//! Invariant: a log that has the basis has the facts, and one that ends before it is refused (see [`crate::rows`]).

use crate::contract::{CommitCheck, Error, Journal, Log, LogId, LogSeq, Rows};
use crate::history::{self, Finding};
#[cfg(feature = "kafka")]
use crate::kafka::relay;
use crate::rows::{self, Writer, basis};
use holdfast_engine::Causality;
use holdfast_engine::ids::{PartitionId, Seq};
use std::collections::BTreeMap;

/// A commit of a log that something beside it has come to.
#[derive(Clone, Copy, Debug)]
struct Reached {
    log: LogId,
    commit: LogSeq,
    what: &'static str,
}

/// What the tables say of the logs.
#[derive(Debug)]
pub struct Marks {
    bases: BTreeMap<(LogId, Writer), CommitCheck>,
    newest: BTreeMap<PartitionId, Seq>,
    reached: Vec<Reached>,
    logs: Vec<LogId>,
}

const MOVEMENTS: &str = "the movements of stock";
const PUBLISHED: &str = "the events published to Kafka";

impl Marks {
    /// What the tables say of these logs. Read it before the ends of logs that others write.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn read(journal: &dyn Journal, logs: &[LogId]) -> Result<Self, Error> {
        let (bases, newest) = (basis::read_all(journal)?, basis::newest_snapshots(journal)?);
        let mut marks = Self { bases, newest, reached: Vec::new(), logs: logs.to_vec() };
        marks.read_reached(journal)?;
        Ok(marks)
    }

    fn read_reached(&mut self, journal: &dyn Journal) -> Result<(), Error> {
        let published = history::name(journal)?.is_some();
        for log in self.logs.clone() {
            if !self.bases.contains_key(&(log, Writer::Rows)) {
                let commit = rows::position(journal, log)?;
                self.reached.push(Reached { log, commit, what: MOVEMENTS });
            }
            if published {
                let commit = position_of_relay(journal, log)?;
                self.reached.push(Reached { log, commit, what: PUBLISHED });
            }
        }
        Ok(())
    }

    /// Whether a build that says so has written what follows from this log.
    pub fn has_basis(&self, log: LogId) -> bool {
        Writer::ALL.iter().any(|writer| self.bases.contains_key(&(log, *writer)))
    }

    /// What left memory up to this commit is in the tables: 0 where nobody said so.
    pub fn rows_whole_to(&self, log: LogId) -> LogSeq {
        self.bases.get(&(log, Writer::Rows)).map_or(0, |basis| basis.commit)
    }

    /// Whether the rows are older than a snapshot that lies beside them: what left memory before it may not be among them.
    pub fn rows_are_older_than(&self, partition: PartitionId, seq: Seq) -> bool {
        self.newest.get(&partition).is_some_and(|newest| *newest < seq)
    }

    /// Compares with the logs themselves.
    ///
    /// # Errors
    /// [`Error::Mixed`] with what does not belong together, or if the journal cannot be read.
    pub fn check(&self, journal: &dyn Log) -> Result<(), Error> {
        for Reached { log, commit, what } in &self.reached {
            let end = journal.end(*log);
            if *commit > end {
                return Err(newer(journal, *log, end, &format!("{what} go up to commit {commit}")));
            }
        }
        self.logs.iter().try_for_each(|log| self.check_log(journal, *log))
    }

    fn check_log(&self, journal: &dyn Log, log: LogId) -> Result<(), Error> {
        let end = journal.end(log);
        for basis in self.latest(log) {
            let commit = basis.commit;
            match history::compare(journal, log, basis)? {
                Finding::Ours | Finding::Purged => {}
                Finding::Other => return Err(not_of(journal, log, commit, end, "the tables")),
            }
        }
        self.check_kept(journal, log)
    }

    /// What the newest of the tables follows from: a log that has it has all before it.
    fn latest(&self, log: LogId) -> Vec<CommitCheck> {
        let mut bases: Vec<CommitCheck> =
            Writer::ALL.iter().filter_map(|writer| self.bases.get(&(log, *writer)).copied()).collect();
        let latest = bases.iter().map(|basis| basis.commit).max();
        bases.retain(|basis| Some(basis.commit) == latest);
        bases.dedup();
        bases
    }

    /// What the tables lack must still be in the log.
    fn check_kept(&self, journal: &dyn Log, log: LogId) -> Result<(), Error> {
        let moved = self.reached.iter().find(|reached| reached.log == log && reached.what == MOVEMENTS);
        let whole = moved.map_or(self.rows_whole_to(log), |moved| moved.commit);
        let first = journal.first(log)?;
        if whole + 1 < first {
            Err(mixed(&format!(
                "the tables follow from {} up to commit {whole}, and it was purged up to {}: they are older than it",
                name(journal, log),
                first - 1
            )))
        } else {
            Ok(())
        }
    }
}

/// Whether a log has the newest commit that the snapshots beside it follow from, where they lie by themselves.
///
/// # Errors
/// As [`Marks::check`].
pub(crate) fn check_snapshots(journal: &dyn Log, log: LogId, basis: Option<CommitCheck>) -> Result<(), Error> {
    let Some(basis) = basis else { return Ok(()) };
    match history::compare(journal, log, basis)? {
        Finding::Ours | Finding::Purged => Ok(()),
        Finding::Other => {
            let end = journal.end(log);
            Err(not_of(journal, log, basis.commit, end, "the snapshots"))
        }
    }
}

#[cfg(feature = "kafka")]
fn position_of_relay(journal: &dyn Rows, log: LogId) -> Result<LogSeq, Error> {
    Ok(relay::position(journal, log)?.unwrap_or(0))
}

#[cfg(not(feature = "kafka"))]
fn position_of_relay(_: &dyn Rows, _: LogId) -> Result<LogSeq, Error> {
    Ok(0)
}

fn name(journal: &dyn Log, log: LogId) -> String {
    match journal.causality() {
        Causality::OneLog => "the log".to_owned(),
        Causality::PerPartition => format!("the log of partition {}", log.0),
    }
}

/// What follows from commits that the log does not have.
pub(crate) fn newer(journal: &dyn Log, log: LogId, end: LogSeq, what: &str) -> Error {
    mixed(&format!("{what}, and {} ends with commit {end}: they are newer than it", name(journal, log)))
}

/// What follows from a commit that the log does not have, or has another for.
fn not_of(journal: &dyn Log, log: LogId, commit: LogSeq, end: LogSeq, what: &str) -> Error {
    if commit > end {
        return newer(journal, log, end, &format!("{what} follow from commit {commit}"));
    }
    let log = name(journal, log);
    mixed(&format!(
        "{what} follow from another commit {commit} than {log} has: they are of another copy, which went on by itself"
    ))
}

/// The words that say what to do about it.
pub(crate) fn mixed(what: &str) -> Error {
    Error::Mixed(format!(
        "the data is not of one moment: {what}\n  Restore everything from one copy, together: of a data directory \
         `log`, `tables`, `snapshots`, `acknowledged` and `projected`, of a cluster every table of the keyspace."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{World, partitions};
    use crate::contract::{Row, Table};
    use crate::memory::MemoryJournal;
    use crate::recovery::recover;
    use holdfast_engine::codec;
    use holdfast_engine::time::Policy;

    /// Tables of earlier builds say nothing else of the log.
    #[test]
    fn movements_of_commits_that_the_log_does_not_have_are_refused() {
        const LOG: LogId = LogId(0);
        let journal = MemoryJournal::new(partitions());
        for batch in World::new(partitions()).busy_day() {
            journal.append(LOG, &batch).unwrap();
        }
        let end = journal.end(LOG);
        for (position, refused) in [(end, false), (end + 1, true)] {
            let row = Row { table: Table::Meta, key: b"movements".to_vec(), value: codec::encode(&position), version: 0 };
            journal.project(&[row]).unwrap();
            let ids: Vec<PartitionId> = partitions().all().collect();
            let recovered = recover(&journal, &ids, &Policy::default(), &mut |_, _| {});
            assert_eq!(matches!(recovered, Err(Error::Mixed(message)) if message.contains("movements")), refused);
        }
    }
}
