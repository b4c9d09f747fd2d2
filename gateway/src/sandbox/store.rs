//! The sandbox's own durable record: a line of JSON a step, synced before anybody hears of it.
//!
//! Invariant: memory is the fold of the file; a half-written last line never happened.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
pub enum Step {
    Created,
    Approved,
    Declined,
    Silenced,
    Voided,
    Refunded,
    /// The webhook of a step was taken.
    Told,
}

#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub state: State,
    /// Answers no question until the buyer presses another button.
    pub silent: bool,
    pub amount: i64,
    pub currency: Option<String>,
    pub return_url: Option<String>,
    #[serde(skip)]
    untold: Option<Step>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    attempt: String,
    step: Step,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    /// Which step was told. None in records of old: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Step>,
}

impl Line {
    fn new(attempt: &str, step: Step) -> Self {
        Self { attempt: attempt.to_owned(), step, amount: None, currency: None, return_url: None, of: None }
    }
}

pub(super) struct Store {
    file: Option<File>,
    entries: BTreeMap<String, Entry>,
}

impl Store {
    /// The record and the webhook secret, new ones where there are none.
    pub(super) fn open(dir: Option<&Path>) -> io::Result<(Self, Vec<u8>)> {
        let Some(dir) = dir else {
            return Ok((Self { file: None, entries: BTreeMap::new() }, random()?));
        };
        std::fs::create_dir_all(dir)?;
        let path = dir.join("attempts.jsonl");
        let text =
            std::fs::read_to_string(&path).or_else(|error| if missing(&error) { Ok(String::new()) } else { Err(error) })?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        let mut store = Self { file: Some(file), entries: BTreeMap::new() };
        for line in text[..whole].lines() {
            let line: Line = serde_json::from_str(line).map_err(io::Error::other)?;
            store.apply(&line);
        }
        Ok((store, secret(dir)?))
    }

    pub(super) fn entry(&self, attempt: &str) -> Option<&Entry> {
        self.entries.get(attempt)
    }

    /// Attempts whose last step no webhook has told.
    pub(super) fn untold(&mut self) -> Vec<(String, Step)> {
        self.entries.iter().filter_map(|(attempt, entry)| Some((attempt.clone(), entry.untold?))).collect()
    }

    pub(super) fn create(&mut self, attempt: &str, amount: (i64, Option<String>), return_url: Option<String>) -> io::Result<()> {
        if self.entries.contains_key(attempt) {
            return Ok(());
        }
        let (amount, currency) = amount;
        self.write(&Line { amount: Some(amount), currency, return_url, ..Line::new(attempt, Step::Created) })
    }

    /// Takes a step if the attempt's state allows it. Says the state after it and whether it changed.
    pub(super) fn record(&mut self, attempt: &str, step: Step) -> io::Result<Option<(State, bool)>> {
        let Some(entry) = self.entries.get(attempt) else { return Ok(None) };
        let before = entry.state;
        // A bank may be late: what was declined or voided can still be approved, which is what this sandbox is for.
        let allowed = match step {
            Step::Approved => matches!(before, State::Pending | State::Declined | State::Voided),
            Step::Declined | Step::Silenced => before == State::Pending,
            Step::Voided => matches!(before, State::Pending | State::Declined),
            Step::Refunded => before == State::Captured,
            Step::Created | Step::Told => false,
        };
        if allowed {
            self.write(&Line::new(attempt, step))?;
        }
        Ok(self.entries.get(attempt).map(|entry| (entry.state, allowed)))
    }

    /// The webhook of a step was taken. Another step may have followed it meanwhile, which is still to be told.
    pub(super) fn told(&mut self, attempt: &str, step: Step) -> io::Result<()> {
        self.write(&Line { of: Some(step), ..Line::new(attempt, Step::Told) })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            let before = file.metadata()?.len();
            if let Err(error) = file.write_all(&text).and_then(|()| file.sync_data()) {
                // Half a line, on a full disk, would swallow the next one.
                file.set_len(before)?;
                return Err(error);
            }
        }
        self.apply(line);
        Ok(())
    }

    fn apply(&mut self, line: &Line) {
        if line.step == Step::Created {
            let entry = Entry {
                state: State::Pending,
                silent: false,
                amount: line.amount.unwrap_or(0),
                currency: line.currency.clone(),
                return_url: line.return_url.clone(),
                untold: None,
            };
            self.entries.insert(line.attempt.clone(), entry);
        }
        let Some(entry) = self.entries.get_mut(&line.attempt) else { return };
        match line.step {
            Step::Approved | Step::Declined => entry.untold = Some(line.step),
            Step::Told if line.of.is_none() || line.of == entry.untold => entry.untold = None,
            Step::Told | Step::Created | Step::Silenced | Step::Voided | Step::Refunded => {}
        }
        match line.step {
            Step::Approved => (entry.state, entry.silent) = (State::Captured, false),
            Step::Declined => (entry.state, entry.silent) = (State::Declined, false),
            Step::Silenced => entry.silent = true,
            Step::Voided => entry.state = State::Voided,
            Step::Refunded => entry.state = State::Refunded,
            Step::Created | Step::Told => {}
        }
    }
}

fn missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn random() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn secret(dir: &Path) -> io::Result<Vec<u8>> {
    let path = dir.join("webhook-secret");
    match std::fs::read(&path) {
        Ok(secret) if secret.len() == 32 => Ok(secret),
        Ok(_) => Err(io::Error::other("webhook-secret is not 32 bytes: delete it to have a new one made")),
        Err(error) if missing(&error) => {
            let secret = random()?;
            let new = dir.join("webhook-secret.new");
            File::create(&new).and_then(|mut file| file.write_all(&secret).and_then(|()| file.sync_all()))?;
            // Whole or not at all, also when the process is killed here.
            std::fs::rename(&new, &path)?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_survives_a_restart_and_a_half_written_line_never_happened() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, secret) = Store::open(Some(dir.path())).unwrap();
        store.create("pay_a", (5, None), None).unwrap();
        store.record("pay_a", Step::Approved).unwrap();
        drop(store);
        let mut file = OpenOptions::new().append(true).open(dir.path().join("attempts.jsonl")).unwrap();
        file.write_all(b"{\"attempt\":\"pay_a\",\"st").unwrap();
        let (mut store, again) = Store::open(Some(dir.path())).unwrap();
        assert_eq!(secret, again);
        assert_eq!(store.entry("pay_a").unwrap().state, State::Captured);
        assert_eq!(store.untold(), [("pay_a".to_owned(), Step::Approved)]);
    }

    /// A decline was told while the buyer pressed approve; the process died before the approval was, and money was captured
    /// that nobody ever heard of.
    #[test]
    fn an_approval_is_still_to_be_told_when_the_decline_before_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(Some(dir.path())).unwrap();
        store.create("pay_a", (5, None), None).unwrap();
        store.record("pay_a", Step::Declined).unwrap();
        store.record("pay_a", Step::Approved).unwrap();
        store.told("pay_a", Step::Declined).unwrap();
        drop(store);
        let (mut store, _) = Store::open(Some(dir.path())).unwrap();
        assert_eq!(store.untold(), [("pay_a".to_owned(), Step::Approved)]);
        store.told("pay_a", Step::Approved).unwrap();
        assert_eq!(store.untold(), []);
    }

    #[test]
    fn an_attempt_is_captured_once_and_refunded_once() {
        let (mut store, _) = Store::open(None).unwrap();
        store.create("pay_a", (5, None), None).unwrap();
        assert_eq!(store.record("pay_a", Step::Approved).unwrap(), Some((State::Captured, true)));
        assert_eq!(store.record("pay_a", Step::Approved).unwrap(), Some((State::Captured, false)));
        assert_eq!(store.record("pay_a", Step::Refunded).unwrap(), Some((State::Refunded, true)));
        assert_eq!(store.record("pay_a", Step::Refunded).unwrap(), Some((State::Refunded, false)));
    }
}
