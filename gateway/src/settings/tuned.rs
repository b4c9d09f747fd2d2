//! The file `tuning.toml` beside the data: what operators changed while the server ran, each with its change in the journal.
//!
//! Invariants: it stands over the settings file and under variables and arguments; it has keys that can be changed live and no others; it
//! is written whole or not at all, and one that is not as it was written is refused.

use super::mistakes::Mistake;
use super::{Assignment, live, probe};
use holdfast_engine::ids::Fingerprint;
use holdfast_storage::private;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use toml::Value;

/// In a data directory.
const FILE: &str = "tuning.toml";

const HEAD: &str = "# What operators changed while the server ran. Holdfast writes this file: use `holdfast tune`.\n\n";

/// The way out, whatever is wrong with it.
const REMOVE: &str = "remove it to start without what was changed while the server ran";

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub key: String,
    pub value: Value,
    /// The number of the change in the journal.
    pub number: u64,
    /// The API key that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// RFC 3339.
    pub at: String,
}

impl Entry {
    /// Where the value of its key comes from, in words, once it is in the file.
    pub fn origin(&self) -> String {
        format!("{FILE}: {}", self.change())
    }

    /// The change alone, for where there is no file.
    pub fn change(&self) -> String {
        let by = self.who.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
        format!("change {}{by}, {}", self.number, self.at)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Of the changes as they are written.
    check: String,
    #[serde(default)]
    change: Vec<Entry>,
}

#[derive(Serialize)]
struct Changes<'a> {
    change: &'a [Entry],
}

fn written(change: &[Entry]) -> Result<(String, String), toml::ser::Error> {
    let text = toml::to_string(&Changes { change })?;
    let check = format!("{:032x}", Fingerprint::of(&text).0);
    Ok((text, check))
}

fn parsed(text: &str) -> Result<Vec<Entry>, String> {
    let File { check, change } = toml::from_str(text).map_err(|error| damaged(&format!(" ({})", error.message())))?;
    let (_, expected) = written(&change).map_err(|error| error.to_string())?;
    if check == expected { Ok(change) } else { Err(damaged("")) }
}

fn damaged(why: &str) -> String {
    format!("is not as it was written{why}: {REMOVE}")
}

/// What is wrong with the settings by the file of this directory alone: where it is, and the way out. The settings file may be right.
pub(super) fn named(dir: &Path, mistake: Mistake) -> Mistake {
    let file = dir.join(FILE);
    Mistake { message: format!("{}\n    because of {}: {REMOVE}", mistake.message, file.display()), ..mistake }
}

/// What the file of this directory has; nothing where there is none.
///
/// # Errors
/// If it cannot be read or is not as it was written.
pub(super) fn read(dir: &Path) -> Result<Vec<Entry>, Mistake> {
    let path = dir.join(FILE);
    let shown = path.display().to_string();
    let refuse = |message: String| Mistake::new(Some(&shown), "", message);
    match std::fs::read_to_string(&path) {
        Ok(text) => parsed(&text).map_err(refuse),
        Err(error) if is_nowhere(error.kind()) => Ok(Vec::new()),
        Err(error) => Err(refuse(format!("cannot be read: {error}"))),
    }
}

/// There is no file, or the directory is none: that is said elsewhere.
fn is_nowhere(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(kind, NotFound | NotADirectory | InvalidInput | InvalidFilename)
}

/// Writes the file of this directory, synced.
///
/// # Errors
/// If it cannot be written: then it is what it was.
pub fn write(dir: &Path, change: &[Entry]) -> io::Result<()> {
    let (text, check) = written(change).map_err(io::Error::other)?;
    if !dir.exists() {
        private::directory(dir)?;
    }
    private::replace(&dir.join(FILE), format!("{HEAD}check = \"{check}\"\n\n{text}").as_bytes())
}

/// What the entries give, and what is wrong with the rest.
pub(super) fn assignments(entries: &[Entry]) -> (Vec<Assignment>, Vec<Mistake>) {
    let (mut given, mut mistakes) = (Vec::new(), Vec::new());
    for entry in entries {
        let (path, value) = (path_of(&entry.key), entry.value.clone());
        let known = live::knob(&entry.key).ok_or_else(|| "cannot be changed while the server runs".to_owned());
        match known.and_then(|_| probe(&path, value.clone())) {
            Ok(()) => given.push(Assignment { origin: entry.origin(), key: entry.key.clone(), path, value }),
            Err(message) => mistakes.push(Mistake::new(Some(&entry.origin()), &entry.key, message)),
        }
    }
    (given, mistakes)
}

/// The sections and the name that a key is made of.
pub(super) fn path_of(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: impl Into<Value>) -> Entry {
        let (who, at) = (Some("ada".to_owned()), "2026-11-29T18:00:00.000Z".to_owned());
        Entry { key: key.to_owned(), value: value.into(), number: 7, who, at }
    }

    #[test]
    fn what_is_written_is_read_again_and_a_directory_without_a_file_has_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Ok(Vec::new()));
        let entries = vec![entry("engine.credits", 65_536), entry("orders.accepting", false), entry("log.level", "debug")];
        write(dir.path(), &entries).unwrap();
        assert_eq!(read(dir.path()), Ok(entries));
        write(dir.path(), &[]).unwrap();
        assert_eq!(read(dir.path()), Ok(Vec::new()));
    }

    #[test]
    fn a_file_that_is_damaged_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[entry("engine.credits", 65_536)]).unwrap();
        let path = dir.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        let texts = [whole.replace("65536", "65537"), whole.replace("ada", "bob"), "[[change".to_owned(), String::new()];
        for text in texts {
            std::fs::write(&path, &text).unwrap();
            let mistake = read(dir.path()).unwrap_err();
            assert!(mistake.message.ends_with(REMOVE), "{mistake}");
            assert!(mistake.origin.is_some_and(|origin| origin.ends_with(FILE)), "{text}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_changed_live_and_a_value_of_another_type_are_named() {
        let (given, mistakes) =
            assignments(&[entry("engine.credits", 9), entry("server.listen", "0.0.0.0:1"), entry("orders.accepting", 3)]);
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].origin, "tuning.toml: change 7 by ada, 2026-11-29T18:00:00.000Z");
        let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        assert_eq!(keys, ["server.listen", "orders.accepting"]);
    }
}
