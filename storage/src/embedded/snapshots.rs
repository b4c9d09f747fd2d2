//! Snapshots in files of our own, two for each partition.
//!
//! A file is `PARTITION-a` or `PARTITION-b`: a head, `HFS1 | partition u16 | seq u64 | after u64 | basis u64 | its check u32 | length u64 |
//! crc32 of the state u32 | crc32 of the head u32`, numbers little-endian, and the state. A new one is written under another name and
//! renamed over the older of the two. Invariants: a file under its name is whole, or is noticed not to be and is no snapshot; a crash at
//! any moment leaves the two that there were, or the new one and the newer of them.

use super::failure::file_failed;
use crate::contract::{CommitCheck, Error, LogSeq, Snapshot, SnapshotHead};
use crate::private;
use holdfast_engine::ids::{PartitionId, Partitions, Seq};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAGIC: &[u8; 4] = b"HFS1";
const HEAD: usize = 50;
/// Synced one after the other: the disk is left to the log in between.
const PIECE: usize = 1024 * 1024;
/// The last letter of the two files of a partition.
const SLOTS: [char; 2] = ['a', 'b'];

/// The directory of the snapshots.
pub(super) struct Files {
    dir: PathBuf,
    /// One at a time: which file is replaced depends on what is in both.
    saving: Mutex<()>,
    /// Files with a whole head whose state was found damaged.
    damaged: Mutex<BTreeSet<PathBuf>>,
}

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    of: SnapshotHead,
    /// A commit of the log, with all facts of the state in it or before it: it tells the history that the state is of.
    basis: CommitCheck,
    length: u64,
    checksum: u32,
}

impl Files {
    /// Where they are, to be looked at.
    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), saving: Mutex::default(), damaged: Mutex::default() }
    }

    /// Makes the directory, and removes what a crash left half written.
    ///
    /// # Errors
    /// If it cannot be made or read.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let opened = private::directory(dir).and_then(|()| remove_unfinished(dir));
        opened.map_err(|error| failed(dir, &error))?;
        Ok(Self::at(dir))
    }

    /// Keeps a snapshot that follows from commits up to `basis`, and the one before it.
    ///
    /// # Errors
    /// If it could not be written; earlier ones are untouched.
    pub(super) fn save(&self, snapshot: &Snapshot, basis: CommitCheck) -> Result<(), Error> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let head = Head::of(snapshot, basis);
        let Some(path) = self.replaced_by(head.of) else { return Ok(()) };
        let new = self.dir.join(format!("{}.new", snapshot.partition.0));
        let written = write(&new, &head, &snapshot.state).and_then(|()| fs::rename(&new, &path)).and_then(|()| self.sync());
        if written.is_ok() {
            self.damaged().remove(&path);
            self.drop_damaged(snapshot.partition);
        }
        written.map_err(|error| {
            // On a full disk it would be in the way of all else.
            let _ = fs::remove_file(&new);
            failed(&path, &error)
        })
    }

    /// What is kept, newest first, as far as its head is whole.
    pub(super) fn heads(&self, partition: PartitionId) -> Vec<SnapshotHead> {
        let mut heads: Vec<SnapshotHead> = self.slots(partition).filter_map(|path| Some(head_of(&path, partition)?.of)).collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.seq));
        heads
    }

    /// None if it is not whole, or not there any more.
    pub(super) fn load(&self, wanted: SnapshotHead) -> Option<Snapshot> {
        let SnapshotHead { partition, seq, after } = wanted;
        let (path, head) = self.slots(partition).find_map(|path| {
            let head = head_of(&path, partition)?;
            (head.of == wanted).then_some((path, head))
        })?;
        match read_state(&path, &head) {
            Ok(state) => Some(Snapshot { partition, seq, after, state }),
            Err(error) => {
                passed_over(&path, &error);
                self.damaged().insert(path);
                None
            }
        }
    }

    /// The newest commit that any of them follows from.
    pub(super) fn basis(&self, all: Partitions) -> Option<CommitCheck> {
        let paths = all.all().flat_map(|partition| self.slots(partition).map(move |path| (path, partition)));
        let bases = paths.filter_map(|(path, partition)| Some(head_of(&path, partition)?.basis));
        bases.max_by_key(|basis| basis.commit)
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Beside a whole one, what cannot be read is worth nothing, and whoever asks what is kept would count it. A quiet partition is saved
    /// under the same sequence again and again, which never takes the place of the other file.
    fn drop_damaged(&self, partition: PartitionId) {
        let mut damaged = self.damaged();
        for path in self.slots(partition) {
            if damaged.contains(&path) && fs::remove_file(&path).is_ok() {
                damaged.remove(&path);
            }
        }
    }

    fn slots(&self, partition: PartitionId) -> impl Iterator<Item = PathBuf> {
        SLOTS.into_iter().map(move |slot| self.dir.join(format!("{}-{slot}", partition.0)))
    }

    /// The file that a new snapshot takes the place of: the one with its sequence, else one that is none, else the older. None: both are
    /// newer.
    fn replaced_by(&self, new: SnapshotHead) -> Option<PathBuf> {
        let damaged = self.damaged().clone();
        let seq_of = |path: &PathBuf| {
            let head = head_of(path, new.partition).filter(|_| !damaged.contains(path))?;
            Some(head.of.seq)
        };
        let rank = |seq: Option<Seq>| (seq != Some(new.seq), seq);
        let slots = self.slots(new.partition).map(|path| (seq_of(&path), path));
        let (seq, path) = slots.min_by_key(|(seq, _)| rank(*seq))?;
        (seq <= Some(new.seq)).then_some(path)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

impl Head {
    fn of(snapshot: &Snapshot, basis: CommitCheck) -> Self {
        let (length, checksum) = (snapshot.state.len() as u64, crc32fast::hash(&snapshot.state));
        Self { of: snapshot.head(), basis, length, checksum }
    }

    fn encode(&self) -> [u8; HEAD] {
        let Self { of: SnapshotHead { partition, seq, after }, basis: CommitCheck { commit, check }, length, checksum } = *self;
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&partition.0.to_le_bytes());
        bytes[6..14].copy_from_slice(&seq.to_le_bytes());
        bytes[14..22].copy_from_slice(&after.to_le_bytes());
        bytes[22..30].copy_from_slice(&commit.to_le_bytes());
        bytes[30..34].copy_from_slice(&check.to_le_bytes());
        bytes[34..42].copy_from_slice(&length.to_le_bytes());
        bytes[42..46].copy_from_slice(&checksum.to_le_bytes());
        let seal = crc32fast::hash(&bytes[..46]);
        bytes[46..].copy_from_slice(&seal.to_le_bytes());
        bytes
    }

    /// None if these are not the bytes of a head.
    fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let partition = PartitionId(u16::from_le_bytes([bytes[4], bytes[5]]));
        let (seq, after): (Seq, LogSeq) = (u64_at(bytes, 6), u64_at(bytes, 14));
        let basis = CommitCheck { commit: u64_at(bytes, 22), check: u32_at(bytes, 30) };
        let of = SnapshotHead { partition, seq, after };
        let head = Self { of, basis, length: u64_at(bytes, 34), checksum: u32_at(bytes, 42) };
        (head.encode() == *bytes).then_some(head)
    }
}

fn u64_at(bytes: &[u8; HEAD], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn u32_at(bytes: &[u8; HEAD], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// None if there is no file, or none that begins with the head of a snapshot of this partition.
fn head_of(path: &Path, partition: PartitionId) -> Option<Head> {
    let mut bytes = [0; HEAD];
    match File::open(path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            passed_over(path, &error);
            return None;
        }
    }
    let head = Head::decode(&bytes).filter(|head| head.of.partition == partition);
    if head.is_none() {
        passed_over(path, &changed());
    }
    head
}

fn read_state(path: &Path, head: &Head) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = [0; HEAD];
    file.read_exact(&mut bytes)?;
    // Nothing is made room for that is not there.
    if Head::decode(&bytes) != Some(*head) || file.metadata()?.len() != head.length + HEAD as u64 {
        return Err(changed());
    }
    let mut state = Vec::with_capacity(head.length as usize);
    file.read_to_end(&mut state)?;
    if crc32fast::hash(&state) == head.checksum { Ok(state) } else { Err(changed()) }
}

fn changed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it is not as it was written")
}

fn passed_over(path: &Path, error: &io::Error) {
    tracing::warn!(file = %path.display(), %error, "a snapshot is damaged: passed over, a start reads more of the log");
}

/// On the disk when this returns.
fn write(path: &Path, head: &Head, state: &[u8]) -> io::Result<()> {
    remove(path)?;
    let mut file = private::create(path)?;
    file.write_all(&head.encode())?;
    for piece in state.chunks(PIECE) {
        file.write_all(piece)?;
        file.sync_data()?;
    }
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
            remove(&path)?;
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Error {
    file_failed("the snapshot", path, error)
}

#[cfg(test)]
mod tests;
