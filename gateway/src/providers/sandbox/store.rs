//! The sandbox's own durable record: a line of JSON a step, synced before anybody hears of it.
//!
//! Invariants: memory is the fold of the file; a half-written last line never happened; a line that is not as it was written, or
//! one that somebody knows of and that is gone, is refused.

use super::record::Record;
use crate::process::file_error::{FileError, at};
use crate::wire::scalars;
use holdfast_storage::private;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use utoipa::ToSchema;

/// How an attempt stands at the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SandboxStatus)]
pub enum State {
    Pending,
    Captured,
    Declined,
    Voided,
    Refunded,
}

/// What can happen to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEvent {
    Created,
    Approved,
    Declined,
    Silenced,
    Voided,
    Refunded,
    /// The webhook of a step was taken.
    #[serde(rename = "told")]
    Delivered,
}

/// What the sandbox knows of an attempt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SandboxEntry)]
pub struct Entry {
    pub state: State,
    /// Answers no question until the buyer presses another button.
    pub silent: bool,
    #[schema(value_type = scalars::Amount)]
    pub amount: i64,
    #[schema(value_type = Option<scalars::CurrencyCode>, required = true)]
    pub currency: Option<String>,
    #[schema(value_type = Option<scalars::Link>, required = true)]
    pub return_url: Option<String>,
    #[serde(skip)]
    undelivered: Option<AttemptEvent>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    attempt: String,
    step: AttemptEvent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    /// Which step was delivered. None in records of old: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<AttemptEvent>,
}

impl Line {
    fn new(attempt: &str, step: AttemptEvent) -> Self {
        Self { attempt: attempt.to_owned(), step, amount: None, currency: None, return_url: None, of: None }
    }
}

pub(crate) struct Store {
    record: Option<Record>,
    entries: BTreeMap<String, Entry>,
}

impl Store {
    /// The record in the directory, a new one where there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is no record.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Self, FileError> {
        match dir {
            None => Ok(Self { record: None, entries: BTreeMap::new() }),
            Some(dir) => {
                private::directory(dir).map_err(at(dir))?;
                let path = dir.join("attempts.jsonl");
                Self::read(&path).map_err(at(&path))
            }
        }
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut store = Self { record: None, entries: BTreeMap::new() };
        let record = Record::open(path, |line| {
            store.apply(&serde_json::from_str(line)?);
            Ok(())
        })?;
        store.record = Some(record);
        Ok(store)
    }

    pub(crate) fn entry(&self, attempt: &str) -> Option<&Entry> {
        self.entries.get(attempt)
    }

    /// Attempts whose last step no webhook has delivered.
    pub(crate) fn undelivered(&mut self) -> Vec<(String, AttemptEvent)> {
        self.entries.iter().filter_map(|(attempt, entry)| Some((attempt.clone(), entry.undelivered?))).collect()
    }

    pub(crate) fn create(&mut self, attempt: &str, amount: (i64, Option<String>), return_url: Option<String>) -> io::Result<()> {
        if self.entries.contains_key(attempt) {
            return Ok(());
        }
        let (amount, currency) = amount;
        self.write(&Line { amount: Some(amount), currency, return_url, ..Line::new(attempt, AttemptEvent::Created) })
    }

    /// Takes a step if the attempt's state allows it. Says the state after it and whether it changed.
    pub(crate) fn record(&mut self, attempt: &str, step: AttemptEvent) -> io::Result<Option<(State, bool)>> {
        let Some(entry) = self.entries.get(attempt) else { return Ok(None) };
        let before = entry.state;
        // A bank may be late: what was declined or voided can still be approved, which is what this sandbox is for.
        let allowed = match step {
            AttemptEvent::Approved => matches!(before, State::Pending | State::Declined | State::Voided),
            AttemptEvent::Declined | AttemptEvent::Silenced => before == State::Pending,
            AttemptEvent::Voided => matches!(before, State::Pending | State::Declined),
            // The engine knows of the money, even where this record is an older copy that does not.
            AttemptEvent::Refunded => before != State::Refunded,
            AttemptEvent::Created | AttemptEvent::Delivered => false,
        };
        if allowed {
            self.write(&Line::new(attempt, step))?;
        }
        Ok(self.entries.get(attempt).map(|entry| (entry.state, allowed)))
    }

    /// The webhook of a step was taken. Another step may have followed it meanwhile, which is still to be delivered.
    pub(crate) fn delivered(&mut self, attempt: &str, step: AttemptEvent) -> io::Result<()> {
        self.write(&Line { of: Some(step), ..Line::new(attempt, AttemptEvent::Delivered) })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        if let Some(record) = &mut self.record {
            record.append(&serde_json::to_string(line)?)?;
        }
        self.apply(line);
        Ok(())
    }

    fn apply(&mut self, line: &Line) {
        if line.step == AttemptEvent::Created {
            let entry = Entry {
                state: State::Pending,
                silent: false,
                amount: line.amount.unwrap_or(0),
                currency: line.currency.clone(),
                return_url: line.return_url.clone(),
                undelivered: None,
            };
            self.entries.insert(line.attempt.clone(), entry);
        }
        let Some(entry) = self.entries.get_mut(&line.attempt) else { return };
        match line.step {
            AttemptEvent::Approved | AttemptEvent::Declined => entry.undelivered = Some(line.step),
            AttemptEvent::Delivered if line.of.is_none() || line.of == entry.undelivered => entry.undelivered = None,
            AttemptEvent::Delivered
            | AttemptEvent::Created
            | AttemptEvent::Silenced
            | AttemptEvent::Voided
            | AttemptEvent::Refunded => {}
        }
        match line.step {
            AttemptEvent::Approved => (entry.state, entry.silent) = (State::Captured, false),
            AttemptEvent::Declined => (entry.state, entry.silent) = (State::Declined, false),
            AttemptEvent::Silenced => entry.silent = true,
            AttemptEvent::Voided => entry.state = State::Voided,
            AttemptEvent::Refunded => entry.state = State::Refunded,
            AttemptEvent::Created | AttemptEvent::Delivered => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn the_record_survives_a_restart_and_a_half_written_line_never_happened() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(Some(dir.path())).unwrap();
        store.create("pay_a", (5, None), None).unwrap();
        store.record("pay_a", AttemptEvent::Approved).unwrap();
        drop(store);
        let mut file = File::options().append(true).open(dir.path().join("attempts.jsonl")).unwrap();
        file.write_all(b"{\"attempt\":\"pay_a\",\"st").unwrap();
        let mut store = Store::open(Some(dir.path())).unwrap();
        assert_eq!(store.entry("pay_a").unwrap().state, State::Captured);
        assert_eq!(store.undelivered(), [("pay_a".to_owned(), AttemptEvent::Approved)]);
    }

    #[test]
    fn the_record_is_for_its_owner_alone_and_names_its_path_when_it_cannot_be_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempts.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Store::open(Some(dir.path())).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains("line 1"), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// A decline was delivered while the buyer pressed approve; the process died before the approval was, and money was captured
    /// that nobody ever heard of.
    #[test]
    fn an_approval_is_still_to_be_delivered_when_the_decline_before_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(Some(dir.path())).unwrap();
        store.create("pay_a", (5, None), None).unwrap();
        store.record("pay_a", AttemptEvent::Declined).unwrap();
        store.record("pay_a", AttemptEvent::Approved).unwrap();
        store.delivered("pay_a", AttemptEvent::Declined).unwrap();
        drop(store);
        let mut store = Store::open(Some(dir.path())).unwrap();
        assert_eq!(store.undelivered(), [("pay_a".to_owned(), AttemptEvent::Approved)]);
        store.delivered("pay_a", AttemptEvent::Approved).unwrap();
        assert_eq!(store.undelivered(), []);
    }

    #[test]
    fn an_attempt_is_captured_once_and_refunded_once() {
        let mut store = Store::open(None).unwrap();
        store.create("pay_a", (5, None), None).unwrap();
        assert_eq!(store.record("pay_a", AttemptEvent::Approved).unwrap(), Some((State::Captured, true)));
        assert_eq!(store.record("pay_a", AttemptEvent::Approved).unwrap(), Some((State::Captured, false)));
        assert_eq!(store.record("pay_a", AttemptEvent::Refunded).unwrap(), Some((State::Refunded, true)));
        assert_eq!(store.record("pay_a", AttemptEvent::Refunded).unwrap(), Some((State::Refunded, false)));
    }
}
