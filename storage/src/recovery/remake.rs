//! Rows of what left memory, made again where the tables are older than the log.
//!
//! Right before a record lets closed orders or keys leave memory they are still in it, so their rows follow from the replay.
//! Invariants: after the replay of a log all that left memory by its records is in the tables; the basis says so of a commit only
//! once it is true of it, so that a crash in between repeats work and leaves nothing out.

use super::Observer;
use crate::contract::{CommitCheck, Error, Journal, LogId, LogSeq, Row, Table};
use crate::marks::Marks;
use crate::rows::{self, Writer, basis};
use holdfast_engine::event::{Event, Record};
use holdfast_engine::partition::Partition;
use std::collections::BTreeMap;

/// Rows written at once.
const PIECE: usize = 1024;

/// See the module.
pub(super) struct Remake<'a> {
    journal: &'a dyn Journal,
    log: LogId,
    /// The tables have everything up to it.
    whole_to: LogSeq,
    has_basis: bool,
    /// By table and key: of one thing that left memory twice only the last is right.
    rows: BTreeMap<(Table, Vec<u8>), Row>,
    made: usize,
}

/// Looks on while some partitions are replayed, and notes what their records let leave memory.
pub(super) struct Leaving {
    whole_to: LogSeq,
    commit: LogSeq,
    rows: Vec<(LogSeq, Row)>,
}

impl Leaving {
    /// Notes what leaves by commits behind `whole_to`.
    pub(super) fn behind(whole_to: LogSeq) -> Self {
        Self { whole_to, commit: 0, rows: Vec::new() }
    }

    /// The records that follow are of this commit.
    pub(super) fn at(&mut self, commit: LogSeq) {
        self.commit = commit;
    }

    /// What left, each behind the commit by which it did.
    pub(super) fn rows(self) -> Vec<(LogSeq, Row)> {
        self.rows
    }
}

impl Observer for Leaving {
    fn follows(&mut self, partition: &Partition, record: &Record) -> Result<(), Error> {
        let Event::Archive(fact) = &record.event else { return Ok(()) };
        if self.commit <= self.whole_to {
            return Ok(());
        }
        let nowhere = || {
            let reason = format!("something leaves the memory of partition {} that was never in it", partition.id.0);
            Error::Damaged { record: self.commit, reason }
        };
        let leaving = partition.leaving(fact).ok_or_else(nowhere)?;
        self.rows.extend(leaving.iter().map(|one| (self.commit, rows::row_of(one))));
        Ok(())
    }
}

impl<'a> Remake<'a> {
    pub(super) fn new(journal: &'a dyn Journal, marks: &Marks, log: LogId) -> Self {
        let (whole_to, has_basis) = (marks.rows_whole_to(log), marks.has_basis(log));
        Self { journal, log, whole_to, has_basis, rows: BTreeMap::new(), made: 0 }
    }

    pub(super) fn whole_to(&self) -> LogSeq {
        self.whole_to
    }

    /// Takes what left memory by these commits, the next of the log.
    pub(super) fn piece(&mut self, commits: &[CommitCheck], mut left: Vec<(LogSeq, Row)>) -> Result<(), Error> {
        // Stable: what left twice by one commit stays in its order.
        left.sort_by_key(|(commit, _)| *commit);
        let mut left = left.into_iter().peekable();
        for reached in commits {
            while let Some((_, row)) = left.next_if(|(commit, _)| *commit == reached.commit) {
                self.rows.insert((row.table, row.key.clone()), row);
            }
            if self.rows.len() >= PIECE {
                self.write(&[Writer::Rows], Some(*reached))?;
            }
        }
        Ok(())
    }

    /// The log is read to its end.
    pub(super) fn end(mut self) -> Result<(), Error> {
        let tip = self.journal.tip(self.log)?;
        if self.has_basis {
            self.write(&[Writer::Rows], tip)?
        } else {
            // The next start need not look through the whole log again.
            self.write(&[Writer::Rows, Writer::Snapshots], tip)?
        }
        if self.made > 0 {
            tracing::warn!(
                rows = self.made,
                "the tables are older than the log: closed orders and keys were put into them again"
            );
        }
        Ok(())
    }

    /// Writes the rows that are not there, if there are any, behind the basis that is true with them.
    fn write(&mut self, writers: &[Writer], reached: Option<CommitCheck>) -> Result<(), Error> {
        let rows = self.missing()?;
        if rows.is_empty() && self.has_basis {
            return Ok(());
        }
        let basis = reached.map(|reached| writers.iter().map(|writer| basis::row(self.log, *writer, reached)).collect());
        let all: Vec<Row> = basis.into_iter().flat_map(|basis: Vec<Row>| basis).chain(rows).collect();
        if all.is_empty() {
            return Ok(());
        }
        self.journal.project(&all)
    }

    /// What was gathered, without what the tables have. Far away a look costs as much as writing again what is there.
    fn missing(&mut self) -> Result<Vec<Row>, Error> {
        let gathered = std::mem::take(&mut self.rows).into_values();
        if self.journal.remote() {
            return Ok(gathered.collect());
        }
        let mut missing = Vec::new();
        for row in gathered {
            if self.journal.get(row.table, &row.key)?.as_ref() != Some(&row.value) {
                missing.push(row);
            }
        }
        self.made += missing.len();
        Ok(missing)
    }
}
