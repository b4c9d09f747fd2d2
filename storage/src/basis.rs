//! From which commits the tables follow, and whether the log beside them has these commits.
//!
//! People copy and restore tables, snapshots and logs, and may mix what is of different moments. So each writer of tables says
//! first, in a row of [`Table::Meta`] for each log, a durable commit with all facts behind what it is about to write: its basis.
//! Invariants: what lies in the tables and the snapshots follows from commits up to the basis of its writer; what left memory up to
//! the basis of the rows is in the tables. A log that has the basis has the facts, and one that ends before it is refused.

use crate::history::{self, CommitCheck, Finding};
use crate::journal::{Error, Journal, LogId, LogSeq, Row, Snapshot, Table};
use crate::projection;
#[cfg(feature = "kafka")]
use crate::relay;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::{Causality, codec};
use std::collections::{BTreeMap, BTreeSet};

/// Who writes what follows from a log. Each has a basis of its own, so that neither takes back what the other said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    Rows,
    Snapshots,
}

/// Rows of [`Table::Meta`], frozen: this, the log and the number of the writer → commit and check value.
const BASIS: &[u8] = b"basis\0";
/// This and the partition → sequence of the newest snapshot there ever was, where snapshots and rows are restored apart.
const NEWEST: &[u8] = b"newest snapshot\0";

impl Writer {
    const ALL: [Writer; 2] = [Writer::Rows, Writer::Snapshots];

    fn number(self) -> u8 {
        match self {
            Writer::Rows => 0,
            Writer::Snapshots => 1,
        }
    }
}

/// The row that says from which commit on back the rows of a writer follow.
pub(crate) fn row(log: LogId, writer: Writer, basis: CommitCheck) -> Row {
    Row { table: Table::Meta, key: basis_key(log, writer), value: codec::encode(&basis), version: basis.commit }
}

fn basis_key(log: LogId, writer: Writer) -> Vec<u8> {
    [BASIS, &log.0.to_be_bytes(), &[writer.number()]].concat()
}

/// The inverse of [`basis_key`].
fn whose(key: &[u8]) -> Option<(LogId, Writer)> {
    let [high, low, number] = key.strip_prefix(BASIS)?.try_into().ok()?;
    let writer = Writer::ALL.into_iter().find(|writer| writer.number() == number)?;
    Some((LogId(u16::from_be_bytes([high, low])), writer))
}

fn newest_key(partition: PartitionId) -> Vec<u8> {
    [NEWEST, &partition.0.to_be_bytes()].concat()
}

/// What the writer of rows has said of its basis: it is said again only where the log has grown.
#[derive(Debug, Default)]
pub(crate) struct Said(BTreeMap<LogId, LogSeq>);

impl Said {
    /// The rows to put before others that follow from these logs.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn rows(&mut self, journal: &dyn Journal, logs: &BTreeSet<LogId>) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for log in logs.iter().filter(|log| self.0.get(log) != Some(&journal.end(**log))).copied().collect::<Vec<_>>() {
            if let Some(tip) = journal.tip(log)? {
                rows.push(row(log, Writer::Rows, tip));
                self.0.insert(log, tip.commit);
            }
        }
        Ok(rows)
    }
}

/// Keeps a snapshot whose records are durable, behind the basis that says so.
///
/// # Errors
/// If it could not be written; earlier ones are untouched.
pub fn save_snapshot(journal: &dyn Journal, snapshot: &Snapshot) -> Result<(), Error> {
    let Snapshot { partition, seq, .. } = *snapshot;
    let log = journal.log_of(partition);
    let mut rows: Vec<Row> = journal.tip(log)?.map(|tip| row(log, Writer::Snapshots, tip)).into_iter().collect();
    if restored_apart(journal) {
        rows.push(Row { table: Table::Meta, key: newest_key(partition), value: codec::encode(&seq), version: seq });
    }
    if !rows.is_empty() {
        journal.project(&rows)?;
    }
    journal.save_snapshot(snapshot)
}

/// A cluster has snapshots and rows in tables of their own.
fn restored_apart(journal: &dyn Journal) -> bool {
    journal.causality() == Causality::PerPartition
}

/// A commit of a log that something beside it has come to.
#[derive(Clone, Copy, Debug)]
struct Reached {
    log: LogId,
    commit: LogSeq,
    what: &'static str,
}

/// What the tables say of the logs.
#[derive(Debug, Default)]
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
        let mut marks = Self { logs: logs.to_vec(), ..Self::default() };
        marks.read_bases(journal)?;
        if restored_apart(journal) {
            marks.read_newest(journal)?;
        }
        marks.read_reached(journal)?;
        Ok(marks)
    }

    fn read_bases(&mut self, journal: &dyn Journal) -> Result<(), Error> {
        for row in journal.scan(Table::Meta, BASIS, &behind(BASIS), usize::MAX)? {
            if let Some(whose) = whose(&row.key) {
                self.bases.insert(whose, codec::decode(&row.value)?);
            }
        }
        Ok(())
    }

    fn read_newest(&mut self, journal: &dyn Journal) -> Result<(), Error> {
        for row in journal.scan(Table::Meta, NEWEST, &behind(NEWEST), usize::MAX)? {
            if let Some(partition) = row.key.strip_prefix(NEWEST).and_then(|key| key.try_into().ok()) {
                self.newest.insert(PartitionId(u16::from_be_bytes(partition)), codec::decode(&row.value)?);
            }
        }
        Ok(())
    }

    fn read_reached(&mut self, journal: &dyn Journal) -> Result<(), Error> {
        let published = history::name(journal)?.is_some();
        for log in self.logs.clone() {
            if !self.bases.contains_key(&(log, Writer::Rows)) {
                let commit = projection::position(journal, log)?;
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
    pub fn check(&self, journal: &dyn Journal) -> Result<(), Error> {
        for Reached { log, commit, what } in &self.reached {
            let end = journal.end(*log);
            if *commit > end {
                return Err(newer(journal, *log, end, &format!("{what} go up to commit {commit}")));
            }
        }
        self.logs.iter().try_for_each(|log| self.check_log(journal, *log))
    }

    fn check_log(&self, journal: &dyn Journal, log: LogId) -> Result<(), Error> {
        let end = journal.end(log);
        for basis in self.latest(log) {
            let commit = basis.commit;
            match history::compare(journal, log, basis)? {
                Finding::Ours | Finding::Purged => {}
                Finding::Other if commit > end => {
                    return Err(newer(journal, log, end, &format!("the tables follow from commit {commit}")));
                }
                Finding::Other => return Err(forked(journal, log, commit)),
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
    fn check_kept(&self, journal: &dyn Journal, log: LogId) -> Result<(), Error> {
        let moved = self.reached.iter().find(|reached| reached.log == log && reached.what == MOVEMENTS);
        let whole = moved.map_or(self.rows_whole_to(log), |moved| moved.commit);
        let first = journal.first(log)?;
        match whole + 1 < first {
            true => Err(mixed(&format!(
                "the tables follow from {} up to commit {whole}, and it was purged up to {}: they are older than it",
                name(journal, log),
                first - 1
            ))),
            false => Ok(()),
        }
    }
}

/// The first key behind all that begin with `prefix`, which ends with a zero.
fn behind(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[0xff; 4]].concat()
}

#[cfg(feature = "kafka")]
fn position_of_relay(journal: &dyn Journal, log: LogId) -> Result<LogSeq, Error> {
    Ok(relay::position(journal, log)?.unwrap_or(0))
}

#[cfg(not(feature = "kafka"))]
fn position_of_relay(_: &dyn Journal, _: LogId) -> Result<LogSeq, Error> {
    Ok(0)
}

fn name(journal: &dyn Journal, log: LogId) -> String {
    match journal.causality() {
        Causality::OneLog => "the log".to_owned(),
        Causality::PerPartition => format!("the log of partition {}", log.0),
    }
}

/// What follows from commits that the log does not have.
pub(crate) fn newer(journal: &dyn Journal, log: LogId, end: LogSeq, what: &str) -> Error {
    mixed(&format!("{what}, and {} ends with commit {end}: they are newer than it", name(journal, log)))
}

fn forked(journal: &dyn Journal, log: LogId, commit: LogSeq) -> Error {
    let log = name(journal, log);
    mixed(&format!(
        "the tables follow from another commit {commit} than {log} has: they are of another copy, which went on by itself"
    ))
}

/// The words that say what to do about it.
pub(crate) fn mixed(what: &str) -> Error {
    Error::Mixed(format!(
        "the data is not of one moment: {what}\n  Restore everything from one copy, together: of a data directory \
         `log`, `tables`, `acknowledged` and `projected`, of a cluster every table of the keyspace."
    ))
}

#[cfg(test)]
mod tests;
