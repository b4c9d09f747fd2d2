//! From which commits the tables follow, as their writers say it.
//!
//! People copy and restore tables, snapshots and logs, and may mix what is of different moments. So each writer of tables says
//! first, in a row of [`Table::Meta`] for each log, a durable commit with all facts behind what it is about to write: its basis.
//! Invariants: what lies in the tables and the snapshots follows from commits up to the basis of its writer; what left memory up to
//! the basis of the rows is in the tables.

use super::meta;
use crate::contract::{CommitCheck, Error, Journal, LogId, LogSeq, Row, Rows, Snapshot, Table};
use holdfast_engine::codec;
use holdfast_engine::ids::{PartitionId, Seq};
use std::collections::{BTreeMap, BTreeSet};

/// Who writes what follows from a log. Each has a basis of its own, so that neither takes back what the other said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Writer {
    Rows,
    Snapshots,
}

impl Writer {
    pub(crate) const ALL: [Writer; 2] = [Writer::Rows, Writer::Snapshots];

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
    [meta::BASIS, &log.0.to_be_bytes(), &[writer.number()]].concat()
}

/// The inverse of [`basis_key`].
fn whose(key: &[u8]) -> Option<(LogId, Writer)> {
    let [high, low, number] = key.strip_prefix(meta::BASIS)?.try_into().ok()?;
    let writer = Writer::ALL.into_iter().find(|writer| writer.number() == number)?;
    Some((LogId(u16::from_be_bytes([high, low])), writer))
}

fn newest_key(partition: PartitionId) -> Vec<u8> {
    [meta::NEWEST_SNAPSHOT, &partition.0.to_be_bytes()].concat()
}

/// What the writer of rows has said of its basis: it is said again only where the log has grown.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<LogId, LogSeq>);

impl Said {
    /// The rows to put before others that follow from these logs.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(super) fn rows(&mut self, journal: &dyn Journal, logs: &BTreeSet<LogId>) -> Result<Vec<Row>, Error> {
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
    let basis = journal.tip(log)?.map(|tip| row(log, Writer::Snapshots, tip));
    let newest = Row { table: Table::Meta, key: newest_key(partition), value: codec::encode(&seq), version: seq };
    journal.project(&Vec::from_iter(basis.into_iter().chain([newest])))?;
    journal.save_snapshot(snapshot)
}

/// What every writer said last.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn read_all(journal: &dyn Rows) -> Result<BTreeMap<(LogId, Writer), CommitCheck>, Error> {
    let mut bases = BTreeMap::new();
    for row in journal.scan(Table::Meta, meta::BASIS, &behind(meta::BASIS), usize::MAX)? {
        if let Some(whose) = whose(&row.key) {
            bases.insert(whose, codec::decode(&row.value)?);
        }
    }
    Ok(bases)
}

/// The newest snapshot there ever was of each partition, as far as it was said: rows and snapshots may be restored apart.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn newest_snapshots(journal: &dyn Journal) -> Result<BTreeMap<PartitionId, Seq>, Error> {
    let mut newest = BTreeMap::new();
    for row in journal.scan(Table::Meta, meta::NEWEST_SNAPSHOT, &behind(meta::NEWEST_SNAPSHOT), usize::MAX)? {
        if let Some(partition) = row.key.strip_prefix(meta::NEWEST_SNAPSHOT).and_then(|key| key.try_into().ok()) {
            newest.insert(PartitionId(u16::from_be_bytes(partition)), codec::decode(&row.value)?);
        }
    }
    Ok(newest)
}

/// The first key behind all that begin with `prefix`, which ends with a zero.
fn behind(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[0xff; 4]].concat()
}

#[cfg(test)]
mod tests;
