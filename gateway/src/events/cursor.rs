//! A cursor over the logs: how far a reader has read each of them, and in which history.
//!
//! Invariants: a cursor that is given out names its journal and carries the check value of what it stands on; one that is not
//! of this history is refused, never taken for "nothing new"; cursors given out before they had names stay readable.

use holdfast_storage::{Error, Journal, LogId, LogSeq, contract};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_128;

/// Cursors that need no check again: far more than there are readers.
const KNOWN: usize = 1024;

/// How far a reader has read one log: all before this commit, and of it the events up to and with number `index`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub commit: LogSeq,
    pub index: u32,
    /// Of the last commit that something was read of, where that is known.
    pub check: Option<u32>,
}

impl Position {
    /// The last commit that something was read of, 0 for none.
    fn stands_on(&self) -> LogSeq {
        if self.index > 0 { self.commit } else { self.commit.saturating_sub(1) }
    }
}

/// How far a reader has read each log that it has read of.
///
/// In text `<journal>~` and then `log.commit-index-check` of each, joined by `_`; the first log leaves its number out, and where
/// there is nothing to check the check value is left out. Without the name it is one that was given out before there were any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    journal: Option<Arc<str>>,
    positions: BTreeMap<LogId, Position>,
}

impl Cursor {
    pub(super) fn of(&self, log: LogId) -> Position {
        self.positions.get(&log).copied().unwrap_or_default()
    }

    pub(super) fn is_beginning(&self) -> bool {
        self.positions.is_empty()
    }

    pub(super) fn set(&mut self, log: LogId, position: Position) {
        self.positions.insert(log, position);
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.positions.is_empty() {
            return f.write_str("0");
        }
        if let Some(journal) = &self.journal {
            write!(f, "{journal}~")?;
        }
        for (place, (log, Position { commit, index, check })) in self.positions.iter().enumerate() {
            if place > 0 {
                f.write_str("_")?;
            }
            if log.0 > 0 {
                write!(f, "{}.", log.0)?;
            }
            write!(f, "{commit}-{index}")?;
            if let Some(check) = check.filter(|_| self.journal.is_some()) {
                write!(f, "-{check:08x}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() || text == "0" {
            return Ok(Self::default());
        }
        let (journal, positions) = named(text).ok_or(())?;
        let position = |text| position(text).filter(|(_, position)| journal.is_some() || position.check.is_none());
        let positions = positions.split('_').map(position).collect::<Option<_>>().ok_or(())?;
        Ok(Self { journal: journal.map(Arc::from), positions })
    }
}

/// The name of the journal, if there is one, and what comes behind it. None for what is no name.
pub fn named(text: &str) -> Option<(Option<&str>, &str)> {
    match text.split_once('~') {
        None => Some((None, text)),
        Some((name, rest)) => (name.len() == 16 && hexadecimal(name)).then_some((Some(name), rest)),
    }
}

/// A check value as it stands in a cursor.
pub fn check_value(text: &str) -> Option<u32> {
    (text.len() == 8 && hexadecimal(text)).then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

fn hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn position(text: &str) -> Option<(LogId, Position)> {
    let (log, text) = text.split_once('.').unwrap_or(("0", text));
    let (commit, text) = text.split_once('-')?;
    let (index, check) = match text.split_once('-') {
        None => (text, None),
        Some((index, check)) => (index, Some(check_value(check)?)),
    };
    Some((LogId(log.parse().ok()?), Position { commit: commit.parse().ok()?, index: index.parse().ok()?, check }))
}

/// Why nothing is read after a cursor.
#[derive(Debug)]
pub enum Refused {
    NotOfThisHistory(&'static str),
    Unread(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Unread(error)
    }
}

/// What tells the cursors of a live journal from those of another journal, or of another copy of it.
pub struct Cursors {
    journal: Arc<str>,
    known: Mutex<Known>,
}

impl Cursors {
    /// For the journal with this name.
    pub fn of(journal: &str) -> Self {
        Self { journal: Arc::from(journal), known: Mutex::default() }
    }

    /// The name of the journal.
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// # Errors
    /// If the name is another journal's.
    pub fn same_journal(&self, name: Option<&str>) -> Result<(), Refused> {
        match name {
            Some(name) if name != &*self.journal => {
                Err(Refused::NotOfThisHistory("the cursor is of another journal than the one of this server"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The cursor as it is given out, with name and check values, if what was read up to it is in this history. Blocks on the
    /// store. Cost: a read of one commit of each log that it has read of; nothing for cursors that this process gave out or
    /// checked lately.
    ///
    /// # Errors
    /// If it is of another journal or of a copy that went on by itself, or the journal cannot be read.
    pub fn verified(&self, journal: &dyn Journal, mut cursor: Cursor) -> Result<Cursor, Refused> {
        self.same_journal(cursor.journal.as_deref())?;
        cursor.journal = Some(self.journal.clone());
        if self.known().has(&cursor) {
            return Ok(cursor);
        }
        let logs: BTreeSet<LogId> = if cursor.is_beginning() { BTreeSet::new() } else { journal.logs().into_iter().collect() };
        for (log, position) in &mut cursor.positions {
            if !logs.contains(log) {
                return Err(Refused::NotOfThisHistory("the cursor has read of a partition that is not here"));
            }
            position.check = check(journal, *log, *position)?;
        }
        self.gave(&cursor);
        Ok(cursor)
    }

    /// The cursor is of this history and may come back.
    pub fn gave(&self, cursor: &Cursor) {
        self.known().add(cursor);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The check value of what a position stands on, None where there is nothing, or it is purged and nobody can tell.
fn check(journal: &dyn Journal, log: LogId, position: Position) -> Result<Option<u32>, Refused> {
    let last = position.stands_on();
    let beyond = Refused::NotOfThisHistory("the cursor has read more than there is");
    if last == 0 {
        return if position.index == 0 { Ok(None) } else { Err(beyond) };
    }
    let found = match contract::find(journal, log, last) {
        Err(Error::Purged { .. }) => return Ok(position.check),
        found => found?.ok_or(beyond)?,
    };
    if position.check.is_some_and(|check| check != found.check) {
        return Err(Refused::NotOfThisHistory("the cursor has read something else than what is there"));
    }
    if position.index > found.events {
        return Err(Refused::NotOfThisHistory("the cursor has read more of a commit than there is"));
    }
    Ok(Some(found.check))
}

/// The last ones, by their fingerprint.
#[derive(Default)]
struct Known {
    order: VecDeque<u128>,
    members: HashSet<u128>,
}

impl Known {
    fn has(&self, cursor: &Cursor) -> bool {
        self.members.contains(&fingerprint(cursor))
    }

    fn add(&mut self, cursor: &Cursor) {
        let print = fingerprint(cursor);
        if !self.members.insert(print) {
            return;
        }
        self.order.push_back(print);
        if self.order.len() > KNOWN {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.members.remove(&oldest));
        }
    }
}

pub(super) fn fingerprint(cursor: &Cursor) -> u128 {
    xxh3_128(cursor.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Event, Record, StockFact};
    use holdfast_engine::ids::{PartitionId, Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;
    use holdfast_storage::Log;
    use holdfast_storage::memory::MemoryJournal;

    const OWN: &str = "0123456789abcdef";
    const LOG: LogId = LogId(0);

    fn at(commit: LogSeq, index: u32, check: Option<u32>) -> Position {
        Position { commit, index, check }
    }

    fn cursor<const N: usize>(journal: Option<&str>, positions: [(u16, Position); N]) -> Cursor {
        let positions = positions.into_iter().map(|(log, position)| (LogId(log), position)).collect();
        Cursor { journal: journal.map(Arc::from), positions }
    }

    #[test]
    fn a_cursor_survives_print_and_parse() {
        let many = [(0, at(7, 3, Some(0xAB))), (3, at(9, 0, None)), (12, at(1, 200, Some(u32::MAX)))];
        let named = cursor(Some(OWN), many);
        assert_eq!(named.to_string(), "0123456789abcdef~7-3-000000ab_3.9-0_12.1-200-ffffffff");
        let unnamed = cursor(None, [(0, at(7, 3, None)), (12, at(1, 200, None))]);
        assert_eq!(unnamed.to_string(), "7-3_12.1-200");
        for cursor in [Cursor::default(), named, unnamed] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        assert_eq!("".parse(), Ok(Cursor::default()));
    }

    #[test]
    fn what_is_no_cursor_is_not_read_as_one() {
        let named = |rest: &str| format!("{OWN}~{rest}");
        let wrong = ["7", "7-", "x.7-3", "7-3_", "70000.1-1", "7-3-000000ab", "~7-3", "0123~7-3", "0123456789abcdeg~7-3"];
        let wrong = wrong.map(str::to_owned).into_iter();
        for text in wrong.chain(["", "7-3-", "7-3-ab", "7-3-+00000ab", "7-3-000000ab-1", "a~7-3"].map(named)) {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    /// A commit for each of these, of so many events.
    fn journal(commits: &[(u64, u64)]) -> MemoryJournal {
        let (journal, mut seq) = (MemoryJournal::new(Partitions::new(1).unwrap()), 0);
        for (time, events) in commits {
            let mut batch = Batch::default();
            for _ in 0..*events {
                seq += 1;
                let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
                let event = Event::Stock { sku: Sku::new("MUG").unwrap(), fact };
                batch.push(PartitionId(0), &Record { seq, at: Timestamp::new(*time), event });
            }
            journal.append(LOG, &batch).unwrap();
        }
        journal
    }

    /// As a process that never saw the cursor.
    fn verified(journal: &MemoryJournal, text: &str) -> Result<String, &'static str> {
        match Cursors::of(OWN).verified(journal, text.parse().unwrap()) {
            Ok(cursor) => Ok(cursor.to_string()),
            Err(Refused::NotOfThisHistory(why)) => Err(why),
            Err(Refused::Unread(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_cursor_from_the_future_is_refused_and_the_end_is_not() {
        let journal = journal(&[(1, 2), (2, 3)]);
        for of_now in ["", "0", "1-0", "1-1", "2-0", "2-3", "3-0"] {
            assert!(verified(&journal, of_now).is_ok(), "{of_now}");
        }
        for beyond in ["999999999-0", "4-0", "3-1", "1-3", "2-4", "0-1", "1.1-0", "18446744073709551615-4294967295"] {
            assert!(verified(&journal, beyond).is_err(), "{beyond}");
            assert!(verified(&journal, &format!("{OWN}~{beyond}")).is_err(), "{beyond} with a name");
        }
    }

    #[test]
    fn a_cursor_of_another_journal_is_refused() {
        let journal = journal(&[(1, 1)]);
        assert!(verified(&journal, "fedcba9876543210~1-0").is_err());
        assert!(verified(&journal, &format!("{OWN}~1-0")).is_ok());
    }

    #[test]
    fn a_cursor_of_a_copy_that_went_on_is_refused_from_its_first_commit_on() {
        let (ours, copy) = (journal(&[(1, 2), (2, 2), (3, 2)]), journal(&[(1, 2), (2, 2), (9, 2), (9, 2)]));
        for position in ["1-1", "2-0", "3-0"] {
            let cursor = verified(&ours, position).unwrap();
            assert_eq!(verified(&copy, &cursor), Ok(cursor), "they have this in common");
        }
        for position in ["3-1", "4-0"] {
            let cursor = verified(&ours, position).unwrap();
            assert_eq!(verified(&ours, &cursor), Ok(cursor.clone()));
            assert!(verified(&copy, &cursor).is_err(), "{cursor}");
        }
    }

    #[test]
    fn a_cursor_of_before_gains_name_and_check_value() {
        let journal = journal(&[(1, 2)]);
        let gained = verified(&journal, "1-1").unwrap();
        let (name, position) = gained.split_once('~').unwrap();
        assert_eq!((name, position.len()), (OWN, "1-1-00000000".len()));
        assert_eq!(verified(&journal, "0"), Ok("0".to_owned()));
    }

    #[test]
    fn no_more_cursors_are_remembered_than_fit_and_the_latest_are() {
        let mut known = Known::default();
        let numbered = |number| cursor(None, [(0, at(number, 0, None))]);
        (0..2 * KNOWN as u64).for_each(|number| known.add(&numbered(number)));
        known.add(&numbered(2 * KNOWN as u64 - 1));
        assert_eq!((known.order.len(), known.members.len()), (KNOWN, KNOWN));
        assert!(known.has(&numbered(2 * KNOWN as u64 - 1)) && known.has(&numbered(KNOWN as u64)) && !known.has(&numbered(0)));
    }
}
