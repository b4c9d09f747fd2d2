//! The file of the keys in a data directory, and the mark beside it.
//!
//! A line is a key with a check of itself and of all lines before it; the last line says how many there are. Invariants: a changed bit,
//! a missing line and a missing end are refused by their place; once there was a key, neither a missing file nor an empty one means
//! that nobody needs any: the mark, which holds nothing secret and is in every backup, says that there was. Files of before have no
//! checks, and get them with the next change. A key that is taken back leaves its line where its scope is not its name.

use super::{Error, KeyEntry, Known, Role, is_false, parse, usable};
use crate::process::file_error::at;
use data_encoding::HEXLOWER;
use holdfast_storage::private;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// In a data directory.
pub const FILE: &str = "api-keys.jsonl";
/// Beside it, from the first key on.
pub const MARK: &str = "api-keys.mark";

const MARK_TEXT: &str = "There have been API keys for this data: without api-keys.jsonl no server starts on it.\n";

/// Bytes of a check.
const CHECK: usize = 16;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Role::is_default")]
    role: Role,
    #[serde(default, skip_serializing_if = "is_false")]
    revoked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<String>,
}

/// Keys, each with its line in the file, counted from 1.
type Placed = Vec<(usize, KeyEntry)>;

/// The last line.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct End {
    keys: usize,
    check: String,
}

/// The keys of a data directory, those that were taken back and are kept among them. `None` if it never had any.
///
/// # Errors
/// If the file cannot be read, is not as it was written, or is lost.
pub fn read(data_dir: &Path) -> Result<Option<Vec<KeyEntry>>, Error> {
    Ok(placed(data_dir)?.map(entries))
}

/// As [`read`], for a server: every key can be served.
///
/// # Errors
/// As [`read`], and by its line for a key whose name no order can have.
pub fn served(data_dir: &Path) -> Result<Option<Vec<Known>>, Error> {
    let path = data_dir.join(FILE);
    let known = |(line, key): (usize, KeyEntry)| usable(&key, &format!("{}:{line}: ", path.display()));
    placed(data_dir)?.map(|keys| keys.into_iter().map(known).collect()).transpose()
}

fn placed(data_dir: &Path) -> Result<Option<Placed>, Error> {
    let path = data_dir.join(FILE);
    let keys = match read_lines(&path)? {
        Some(keys) => Some(keys),
        None if is_marked(data_dir)? => return Err(lost(data_dir, "is missing")),
        None => None,
    };
    match keys {
        Some(keys) if keys.iter().all(|(_, key)| key.revoked) => Err(lost(data_dir, "has no keys")),
        keys => Ok(keys),
    }
}

fn entries(keys: Placed) -> Vec<KeyEntry> {
    keys.into_iter().map(|(_, key)| key).collect()
}

/// The hashes of all keys that are not taken back, whatever their checks say. `None` if there is anything else in the file.
pub fn hashes(data_dir: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(data_dir.join(FILE)).ok()?;
    let lines = text.lines().filter(|line| !line.trim().is_empty() && serde_json::from_str::<End>(line).is_err());
    let keys: Option<Vec<Line>> = lines.map(|line| serde_json::from_str(line).ok()).collect();
    Some(keys?.into_iter().filter(|key| !key.revoked).map(|key| key.hash).collect())
}

/// Narrows the file to its owner, and remembers that there are keys: files of before have no mark.
///
/// # Errors
/// If the mark cannot be written.
pub fn secure(data_dir: &Path) -> Result<(), Error> {
    let path = data_dir.join(FILE);
    match private::read(&path) {
        Ok(_) => mark(data_dir),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(&path)(error).into()),
    }
}

/// Adds a key to the file, which a server looks at every second.
///
/// # Errors
/// If the file is not as it was written, or cannot be written.
pub fn store(data_dir: &Path, entry: &KeyEntry) -> Result<PathBuf, Error> {
    private::directory(data_dir).map_err(at(data_dir))?;
    change(data_dir, |keys| {
        keys.push(entry.clone());
        Ok(())
    })
}

/// Keys that were taken back, and how many are still taken.
#[derive(Debug)]
pub struct Revoked {
    pub keys: Vec<KeyEntry>,
    pub left: usize,
}

/// Takes the keys of this name back, only those whose hash begins so if that is said.
///
/// # Errors
/// If there is none, or as [`store`].
pub fn revoke(data_dir: &Path, name: &str, hash: &str) -> Result<Revoked, Error> {
    let (mut revoked, mut left) = (Vec::new(), 0);
    change(data_dir, |keys| {
        let named = |key: &KeyEntry| !key.revoked && key.name == name;
        let known = keys.iter().any(named);
        revoked = keys.extract_if(.., |key| named(key) && key.hash.starts_with(hash)).collect();
        revoked.iter().for_each(|key| keep_scope(keys, key));
        left = keys.iter().filter(|key| !key.revoked).count();
        match (revoked.is_empty(), known) {
            (false, _) => Ok(()),
            (true, known) => Err(none_such(data_dir, (name, hash), known)),
        }
    })?;
    Ok(Revoked { keys: revoked, left })
}

/// What was not found, the name or the hash.
fn none_such(data_dir: &Path, (name, hash): (&str, &str), known: bool) -> Error {
    let (name, path) = (name.to_owned(), data_dir.join(FILE).display().to_string());
    if known { Error::NoSuchHash { name, hash: hash.to_owned(), path } } else { Error::Unknown(name, path) }
}

/// What was placed with a key is known by its name. Where its scope is another, that has to be known too when the key is gone.
fn keep_scope(keys: &mut Vec<KeyEntry>, key: &KeyEntry) {
    let kept = |known: &KeyEntry| known.revoked && known.name == key.name && known.scope() == key.scope();
    if key.scope() != key.name && !keys.iter().any(kept) {
        keys.push(KeyEntry { revoked: true, ..key.clone() });
    }
}

/// One change at a time, whole or not at all.
fn change(data_dir: &Path, change: impl FnOnce(&mut Vec<KeyEntry>) -> Result<(), Error>) -> Result<PathBuf, Error> {
    let path = data_dir.join(FILE);
    let lock = File::open(data_dir).map_err(at(data_dir))?;
    lock.lock().map_err(at(data_dir))?;
    let mut keys = read_lines(&path)?.map(entries).unwrap_or_default();
    change(&mut keys)?;
    private::replace(&path, text(&keys).as_bytes()).map_err(at(&path))?;
    mark(data_dir)?;
    Ok(path)
}

/// Whether there were keys. Where that cannot be found out it is not taken for no.
fn is_marked(data_dir: &Path) -> Result<bool, Error> {
    let path = data_dir.join(MARK);
    Ok(path.try_exists().map_err(at(&path))?)
}

fn mark(data_dir: &Path) -> Result<(), Error> {
    if is_marked(data_dir)? {
        return Ok(());
    }
    let path = data_dir.join(MARK);
    Ok(private::replace(&path, MARK_TEXT.as_bytes()).map_err(at(&path))?)
}

fn lost(data_dir: &Path, what: &'static str) -> Error {
    let shown = |name: &str| data_dir.join(name).display().to_string();
    Error::Lost { path: shown(FILE), mark: shown(MARK), what }
}

fn read_lines(path: &Path) -> Result<Option<Placed>, Error> {
    match fs::read(path) {
        Ok(bytes) => Reading::default().all(&bytes, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error).into()),
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    keys: Placed,
    check: [u8; CHECK],
    checked: usize,
    ended: bool,
}

impl Reading {
    fn all(mut self, bytes: &[u8], path: &str) -> Result<Placed, Error> {
        let shown = String::from_utf8_lossy(bytes);
        for (index, line) in shown.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (path, line_number) = (path.to_owned(), index + 1);
            match self.line(line, line_number) {
                Some(true) => {}
                Some(false) => return Err(Error::Changed { path, line: line_number }),
                None => return Err(Error::Line { path, line: line_number }),
            }
        }
        let cut = self.checked > 0 && !self.ended;
        if cut { Err(Error::Cut { path: path.to_owned() }) } else { Ok(self.keys) }
    }

    /// Whether a line is as it was written; `None` for what is no line of such a file.
    fn line(&mut self, line: &str, number: usize) -> Option<bool> {
        if self.ended {
            return Some(false);
        }
        if let Ok(End { keys, check }) = serde_json::from_str(line) {
            self.ended = true;
            return Some(keys == self.checked && keys == self.keys.len() && check == HEXLOWER.encode(&self.check));
        }
        let Line { name, hash, scope, role, revoked, check } = serde_json::from_str(line).ok()?;
        let key = KeyEntry { name, hash, scope, role, revoked };
        parse(&key).ok()?;
        self.check = next_check(&self.check, &key);
        // Either every line has a check or none has.
        let good = match &check {
            Some(check) => self.checked == self.keys.len() && *check == HEXLOWER.encode(&self.check),
            None => self.checked == 0,
        };
        self.checked += usize::from(check.is_some());
        self.keys.push((number, key));
        Some(good)
    }
}

/// Of a key and of all before it.
fn next_check(before: &[u8; CHECK], key: &KeyEntry) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new_derive_key("holdfast api-keys.jsonl");
    hasher.update(before).update(json(key).as_bytes());
    let mut check = [0; CHECK];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
    check
}

fn text(keys: &[KeyEntry]) -> String {
    let (mut text, mut check) = (String::new(), [0; CHECK]);
    for key in keys {
        check = next_check(&check, key);
        let KeyEntry { name, hash, scope, role, revoked } = key.clone();
        text.push_str(&json(&Line { name, hash, scope, role, revoked, check: Some(HEXLOWER.encode(&check)) }));
        text.push('\n');
    }
    text.push_str(&json(&End { keys: keys.len(), check: HEXLOWER.encode(&check) }));
    text.push('\n');
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unreachable!("names and hashes are JSON: {error}"))
}

#[cfg(test)]
mod tests;
