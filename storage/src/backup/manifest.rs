//! What a backup says of itself, as lines of text: of what, from when, up to which commit, and every file with its checksum.
//!
//! Invariant: a manifest is believed whole or not at all: its last line is the checksum of all lines before it, and no path in
//! it leads out of its directory.

use super::{Error, at, damaged};
use crate::contract::CommitCheck;
use crate::private;
use holdfast_engine::ids::Partitions;
use holdfast_engine::time::Timestamp;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};
use std::str::FromStr;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Its name in a backup.
pub(super) const NAME: &str = "manifest";
/// What the paths of files begin with that stand in place of the beginning of a log.
pub(super) const BEGINNING: &str = "beginning/";
/// Of a backup that has the whole log, and of one whose log begins later.
const FIRST_LINES: [&str; 2] = ["holdfast-backup 1\n", "holdfast-backup 2\n"];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Of Holdfast.
    pub version: String,
    /// The name of the journal, if it was ever given one.
    pub journal: Option<String>,
    pub partitions: Partitions,
    pub made_at: Timestamp,
    /// The last commit in it, 0 for none, and its check value.
    pub tip: CommitCheck,
    pub events: u64,
    /// Whether API keys and the secrets of the sandbox are in it.
    pub secrets: bool,
    pub files: Vec<FileEntry>,
}

/// A file of a backup, by its path below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    pub path: String,
    pub bytes: u64,
    /// XXH3, 128 bits.
    pub checksum: u128,
}

impl Manifest {
    /// # Errors
    /// [`Error::NotABackup`] without one, [`Error::Damaged`] if it is not as it was written.
    pub fn read(backup: &Path) -> Result<Self, Error> {
        let path = backup.join(NAME);
        match fs::read_to_string(&path) {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged(NAME, "it is no text")),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(Error::NotABackup(backup.to_owned()))
            }
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Whether the directory has one, whatever it says.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(NAME).is_file()
    }

    pub(super) fn write(&self, backup: &Path) -> Result<(), Error> {
        let path = backup.join(NAME);
        private::replace(&path, self.text().as_bytes()).map_err(at(&path))
    }

    /// Whether what stands in place of the beginning of its log is among its files.
    pub(super) fn begins_later(&self) -> bool {
        self.files.iter().any(FileEntry::is_of_beginning)
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn text(&self) -> String {
        let first = FIRST_LINES[usize::from(self.begins_later())];
        let mut text = format!("{first}version {}\n", self.version);
        let mut line = |name: &str, value: String| text += &format!("{name} {value}\n");
        if let Some(journal) = &self.journal {
            line("journal", journal.clone());
        }
        line("partitions", self.partitions.count().to_string());
        line("made_at", self.made_at.millis().to_string());
        line("commit", self.tip.commit.to_string());
        line("check", format!("{:08x}", self.tip.check));
        line("events", self.events.to_string());
        line("secrets", self.secrets.to_string());
        self.files.iter().for_each(|file| line("file", format!("{} {:032x} {}", file.bytes, file.checksum, file.path)));
        let seal = xxh3_128(text.as_bytes());
        text + &format!("seal {seal:032x}\n")
    }
}

fn parse(text: &str) -> Result<Manifest, Error> {
    let known = FIRST_LINES.iter().any(|first| text.starts_with(first));
    if text.starts_with("holdfast-backup ") && !known {
        return Err(Error::Incompatible(text.lines().next().unwrap_or_default().to_owned()));
    }
    let (body, seal) = text.rsplit_once("seal ").ok_or_else(|| damaged(NAME, "its last line is missing"))?;
    if seal != format!("{:032x}\n", xxh3_128(body.as_bytes())) {
        return Err(damaged(NAME, "it is not as it was written"));
    }
    let mistake = || damaged(NAME, "a line is missing or cannot be read");
    let check = u32::from_str_radix(field(body, "check").ok_or_else(mistake)?, 16).map_err(|_| mistake())?;
    let partitions = number(body, "partitions").and_then(Partitions::new).ok_or_else(mistake)?;
    let files: Option<Vec<FileEntry>> = fields(body, "file").map(FileEntry::parse).collect();
    Ok(Manifest {
        version: field(body, "version").unwrap_or_default().to_owned(),
        journal: field(body, "journal").map(str::to_owned),
        partitions,
        made_at: Timestamp::new(number(body, "made_at").ok_or_else(mistake)?),
        tip: CommitCheck { commit: number(body, "commit").ok_or_else(mistake)?, check },
        events: number(body, "events").ok_or_else(mistake)?,
        secrets: number(body, "secrets").ok_or_else(mistake)?,
        files: files.ok_or_else(mistake)?,
    })
}

fn fields<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
}

fn field<'a>(text: &'a str, name: &'a str) -> Option<&'a str> {
    fields(text, name).next()
}

fn number<T: FromStr>(text: &str, name: &str) -> Option<T> {
    field(text, name)?.parse().ok()
}

impl FileEntry {
    /// Whether it stands in place of the beginning of the log: it is no file of a data directory.
    pub(super) fn is_of_beginning(&self) -> bool {
        self.path.starts_with(BEGINNING)
    }

    /// Copies all that `source` has to `sink`, and says what that was, under the name of `path`.
    pub(super) fn copy(path: &str, source: &mut impl Read, sink: &mut impl io::Write) -> io::Result<Self> {
        let (mut hash, mut bytes, mut piece) = (Xxh3::new(), 0, vec![0; 256 * 1024]);
        loop {
            let read = source.read(&mut piece)?;
            if read == 0 {
                return Ok(Self { path: path.to_owned(), bytes, checksum: hash.digest128() });
            }
            hash.update(&piece[..read]);
            sink.write_all(&piece[..read])?;
            bytes += read as u64;
        }
    }

    /// Copies this file of a backup to `sink`, if it is as the manifest says.
    pub(super) fn copy_checked(&self, backup: &Path, sink: &mut impl io::Write) -> Result<(), Error> {
        let from = backup.join(&self.path);
        let mut source = match File::open(&from) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(&self.path, "it is gone")),
            Err(error) => return Err(at(&from)(error)),
        };
        if Self::copy(&self.path, &mut source, sink).map_err(at(&from))? == *self {
            Ok(())
        } else {
            Err(damaged(&self.path, "it is not as it was written"))
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        let bytes = parts.next()?.parse().ok()?;
        let checksum = u128::from_str_radix(parts.next()?, 16).ok()?;
        let path = parts.next()?.to_owned();
        let inside = !path.is_empty() && Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        inside.then_some(Self { path, bytes, checksum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |path: &str, bytes| FileEntry { path: path.to_owned(), bytes, checksum: u128::from(bytes) << 64 | 7 };
        Manifest {
            version: "0.1.0".to_owned(),
            journal: Some("0123456789abcdef".to_owned()),
            partitions: Partitions::new(64).unwrap(),
            made_at: Timestamp::new(1_700_000_000_000),
            tip: CommitCheck { commit: 12, check: 0xa },
            events: 34,
            secrets: false,
            files: vec![file("log/00000000000000000001.log", 5678), file("sandbox/attempts.jsonl", 9)],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        manifest().write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest());
        let unnamed = Manifest { journal: None, secrets: true, files: Vec::new(), ..manifest() };
        assert_eq!(parse(&unnamed.text()).unwrap(), unnamed);
    }

    #[test]
    fn a_manifest_with_any_byte_changed_or_cut_off_is_refused() {
        let text = manifest().text();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(parse(&changed).is_err(), "byte {place}: {changed}");
            assert!(parse(&text[..place]).is_err(), "cut off at {place}");
        }
    }

    #[test]
    fn a_manifest_of_a_later_version_is_refused_with_words() {
        let later = manifest().text().replace("holdfast-backup 1\n", "holdfast-backup 3\n");
        assert!(matches!(parse(&later), Err(Error::Incompatible(_))));
    }

    #[test]
    fn a_path_that_leads_out_of_the_directory_is_refused() {
        for path in ["../api-keys.jsonl", "/etc/passwd", "log/../../x", ""] {
            let mut outside = manifest();
            outside.files[0].path = path.to_owned();
            assert!(matches!(parse(&outside.text()), Err(Error::Damaged { .. })), "{path:?}");
        }
    }
}
