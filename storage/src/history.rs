//! Which history a journal has: its name, and whether a commit that somebody remembers is still the one that lies there.
//!
//! Two copies of one journal share its name until they part, and then the same number means different facts. So whoever
//! remembers a place in a log (a cursor of a reader, the tables beside the log, the position of the relay) remembers the
//! check value of the commit there too. Invariant: a place is believed only where number and check value are those of the log.

use crate::contract::{CommitCheck, Error, Log, LogId, Row, Rows, Table, check_of};
use crate::rows::meta;
use holdfast_engine::codec;

/// What a log says of a commit that somebody remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is there, as it is remembered.
    Ours,
    /// Another commit has its number, or the log ends before it: an older copy, or one that went on by itself.
    Other,
    /// It was deleted by retention: nobody can tell any more.
    Purged,
}

/// The name of a journal, 16 hexadecimal digits. None: it was never given one.
///
/// # Errors
/// If the journal cannot be read.
pub fn name(journal: &dyn Rows) -> Result<Option<String>, Error> {
    let row = journal.get(Table::Meta, meta::JOURNAL_NAME)?;
    Ok(row.map(|row| codec::decode(&row)).transpose()?)
}

/// The name of a journal, given now if it has none. Copies of a journal keep it, new journals get another.
///
/// # Errors
/// If the journal cannot be read or written.
pub fn ensure_name(journal: &dyn Rows) -> Result<String, Error> {
    if let Some(name) = name(journal)? {
        return Ok(name);
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Error::Failed(error.to_string()))?;
    let name = format!("{:016x}", u64::from_be_bytes(bytes));
    give_name(journal, &name)?;
    Ok(name)
}

/// Gives a journal the name of the one it is a copy of.
///
/// # Errors
/// If the journal cannot be written.
pub(crate) fn give_name(journal: &dyn Rows, name: &str) -> Result<(), Error> {
    journal.project(&[Row { table: Table::Meta, key: meta::JOURNAL_NAME.to_vec(), value: codec::encode(&name), version: 1 }])
}

/// Whether a commit is the one that is remembered. Nothing read, commit 0, is part of every history.
///
/// # Errors
/// If the journal cannot be read.
pub fn compare(journal: &dyn Log, log: LogId, remembered: CommitCheck) -> Result<Finding, Error> {
    if remembered.commit == 0 {
        return Ok(Finding::Ours);
    }
    match check_of(journal, log, remembered.commit) {
        Ok(Some(check)) if check == remembered.check => Ok(Finding::Ours),
        Ok(_) => Ok(Finding::Other),
        Err(Error::Purged { .. }) => Ok(Finding::Purged),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryJournal;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Event, Record, StockFact};
    use holdfast_engine::ids::{PartitionId, Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;

    const LOG: LogId = LogId(0);

    fn journal(at: &[u64]) -> MemoryJournal {
        let journal = MemoryJournal::new(Partitions::new(1).unwrap());
        for (seq, at) in (1..).zip(at) {
            let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
            let event = Event::Stock { sku: Sku::new("MUG").unwrap(), fact };
            let mut batch = Batch::default();
            batch.push(PartitionId(0), &Record { seq, at: Timestamp::new(*at), event });
            journal.append(LOG, &batch).unwrap();
        }
        journal
    }

    #[test]
    fn a_copy_that_went_on_by_itself_is_told_apart_at_the_first_commit_of_its_own() {
        let (own, copy, older) = (journal(&[1, 2, 3]), journal(&[1, 2, 4]), journal(&[1, 2]));
        for (commit, of_copy, of_older) in
            [(0, Finding::Ours, Finding::Ours), (2, Finding::Ours, Finding::Ours), (3, Finding::Other, Finding::Other)]
        {
            let check = check_of(&own, LOG, commit).unwrap().unwrap_or_default();
            let remembered = CommitCheck { commit, check };
            assert_eq!(compare(&own, LOG, remembered).unwrap(), Finding::Ours);
            assert_eq!(compare(&copy, LOG, remembered).unwrap(), of_copy, "commit {commit}");
            assert_eq!(compare(&older, LOG, remembered).unwrap(), of_older, "commit {commit}");
        }
    }

    #[test]
    fn a_journal_keeps_the_name_it_was_given() {
        let journal = journal(&[]);
        assert_eq!(name(&journal).unwrap(), None);
        let given = ensure_name(&journal).unwrap();
        assert_eq!(given.len(), 16);
        assert_eq!(name(&journal).unwrap(), Some(given.clone()));
        assert_eq!(ensure_name(&journal).unwrap(), given);
    }
}
