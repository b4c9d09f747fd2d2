//! What a backup has in place of a log's beginning that was deleted: a snapshot of each partition, and the rows of what left memory.
//!
//! Two files of records, each `length u32 | value`, little-endian. Invariants: a snapshot leads up to the first commit of the copied log;
//! the positions of the rows are read before the rows and stand before them in their file, so that they never say of a row that it is
//! there and it is not; rows of a table are in the order of their keys.

use super::manifest::BEGINNING;
use super::{Error, FileEntry, at, damaged};
use crate::contract::{self, Journal, LogId, LogSeq, Row, Snapshot, Table};
use crate::embedded::Space;
use crate::private;
use crate::rows::meta;
use holdfast_engine::codec;
use holdfast_engine::ids::{PartitionId, Seq};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Below the backup, each below [`BEGINNING`].
const SNAPSHOTS: &str = "beginning/snapshots";
const ROWS: &str = "beginning/rows";

/// Rows read and written at once.
const PAGE: usize = 1024;
/// Bytes written at once.
const PIECE: usize = 1024 * 1024;
/// Bytes of rows between two whose places are remembered.
const STRIDE: u64 = 16 * 1024;
/// The tables in the order of the file: the positions first.
const ORDER: [Table; 4] = [Table::Meta, Table::Orders, Table::Keys, Table::Movements];

/// Writes both files below `backup`, for a copy of a log that begins with `first`. The log must be copied up to its end of then.
///
/// # Errors
/// [`contract::Error::Stopped`] once `stop` says so, or if the journal cannot be read or the files not be written.
pub(super) fn write(
    journal: &dyn Journal,
    first: LogSeq,
    backup: &Path,
    space: &Space,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<FileEntry>, contract::Error> {
    let dir = backup.join(BEGINNING);
    private::directory(&dir).map_err(|error| failed(&dir, &error))?;
    let mut snapshots = Writing::begin(backup, SNAPSHOTS, space)?;
    for partition in journal.partitions().all() {
        let leads = |snapshot: &Snapshot| snapshot.after + 1 >= first;
        let found = journal.snapshots(partition)?.into_iter().rfind(leads);
        let Snapshot { partition, seq, after, state } = found.ok_or(contract::Error::Purged { first })?;
        snapshots.add(&(partition.0, seq, after, state), stop)?;
    }
    let snapshots = snapshots.finish()?;
    let mut rows = Writing::begin(backup, ROWS, space)?;
    for table in ORDER {
        write_table(journal, table, &mut rows, stop)?;
    }
    Ok(vec![snapshots, rows.finish()?])
}

fn write_table(journal: &dyn Journal, table: Table, to: &mut Writing, stop: &dyn Fn() -> bool) -> Result<(), contract::Error> {
    let mut from = Vec::new();
    loop {
        let page = journal.scan(table, &from, &[0xff; 64], PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        from = [last.key.as_slice(), &[0]].concat();
        for row in page.iter().filter(|row| table != Table::Meta || meta::follows_from_log(&row.key, LogId(0))) {
            to.add(&(number(table), &row.key, &row.value), stop)?;
        }
    }
}

fn number(table: Table) -> u8 {
    ORDER.iter().zip(0..).find(|(one, _)| **one == table).map_or(0, |(_, number)| number)
}

fn failed(path: &Path, error: &io::Error) -> contract::Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => contract::Error::Full,
        _ => contract::Error::Failed(format!("{}: {error}", path.display())),
    }
}

/// A file that is being written, with its checksum.
struct Writing {
    path: &'static str,
    to: BufWriter<Hashed>,
}

struct Hashed {
    file: File,
    hash: Xxh3,
    bytes: u64,
    space: Space,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.space.check(bytes.len() as u64).map_err(|_| io::ErrorKind::StorageFull)?;
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Writing {
    fn begin(backup: &Path, path: &'static str, space: &Space) -> Result<Self, contract::Error> {
        let file = private::create(&backup.join(path)).map_err(|error| failed(Path::new(path), &error))?;
        let hashed = Hashed { file, hash: Xxh3::new(), bytes: 0, space: space.clone() };
        Ok(Self { path, to: BufWriter::with_capacity(PIECE, hashed) })
    }

    fn add(&mut self, value: &impl Serialize, stop: &dyn Fn() -> bool) -> Result<(), contract::Error> {
        if stop() {
            return Err(contract::Error::Stopped);
        }
        let value = codec::encode(value);
        let length = u32::try_from(value.len()).map_err(|_| contract::Error::Failed("a snapshot is too large".to_owned()))?;
        let written = self.to.write_all(&length.to_le_bytes()).and_then(|()| self.to.write_all(&value));
        written.map_err(|error| failed(Path::new(self.path), &error))
    }

    fn finish(mut self) -> Result<FileEntry, contract::Error> {
        self.to.flush().map_err(|error| failed(Path::new(self.path), &error))?;
        let Hashed { hash, bytes, .. } = self.to.get_ref();
        Ok(FileEntry { path: self.path.to_owned(), bytes: *bytes, checksum: hash.digest128() })
    }
}

/// A file that is read. Its bytes were compared with the manifest before.
struct Reading {
    path: &'static str,
    from: BufReader<File>,
    /// Of the next record.
    place: u64,
}

impl Reading {
    fn open(backup: &Path, path: &'static str, place: u64) -> Result<Self, Error> {
        let file = backup.join(path);
        let mut from = BufReader::new(File::open(&file).map_err(at(&file))?);
        from.seek(SeekFrom::Start(place)).map_err(at(&file))?;
        Ok(Self { path, from, place })
    }

    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(length) = self.length()? else { return Ok(None) };
        let mut value = vec![0; length as usize];
        self.from.read_exact(&mut value).map_err(|error| damaged(self.path, error.to_string()))?;
        self.place += 4 + u64::from(length);
        codec::decode(&value).map(Some).map_err(|error| damaged(self.path, error.to_string()))
    }

    /// None at the end of the file.
    fn length(&mut self) -> Result<Option<u32>, Error> {
        let mut length = [0; 4];
        match self.from.read_exact(&mut length) {
            Ok(()) => Ok(Some(u32::from_le_bytes(length))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(damaged(self.path, error.to_string())),
        }
    }

    fn next_snapshot(&mut self) -> Result<Option<Snapshot>, Error> {
        let read: Option<(u16, Seq, LogSeq, Vec<u8>)> = self.next()?;
        Ok(read.map(|(id, seq, after, state)| Snapshot { partition: PartitionId(id), seq, after, state }))
    }

    fn next_row(&mut self) -> Result<Option<Row>, Error> {
        let Some((number, key, value)) = self.next::<(u8, Vec<u8>, Vec<u8>)>()? else { return Ok(None) };
        let table = ORDER.get(usize::from(number)).copied().ok_or_else(|| damaged(self.path, "a row of no table"))?;
        Ok(Some(Row { table, key, value, version: 0 }))
    }
}

/// Puts everything of a backup into the tables of a journal that is being restored.
///
/// # Errors
/// If it cannot be read, or not be written.
pub(super) fn restore(backup: &Path, to: &dyn Journal) -> Result<(), Error> {
    let mut rows = Reading::open(backup, ROWS, 0)?;
    let mut page = Vec::new();
    while let Some(row) = rows.next_row()? {
        page.push(row);
        if page.len() >= PAGE {
            to.project(&std::mem::take(&mut page))?;
        }
    }
    to.project(&page)?;
    let mut snapshots = Reading::open(backup, SNAPSHOTS, 0)?;
    while let Some(snapshot) = snapshots.next_snapshot()? {
        to.save_snapshot(&snapshot)?;
    }
    Ok(())
}

/// Both files of a backup, to look things up in.
#[derive(Debug)]
pub(super) struct Beginning {
    backup: std::path::PathBuf,
    /// Where the snapshot of each partition begins, by number.
    snapshots: Vec<u64>,
    /// Some of the rows, in order, and where they begin.
    rows: Vec<((u8, Vec<u8>), u64)>,
}

impl Beginning {
    /// Cost: a read of both files.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn open(backup: &Path) -> Result<Self, Error> {
        let mut found = Self { backup: backup.to_owned(), snapshots: Vec::new(), rows: Vec::new() };
        let mut snapshots = Reading::open(backup, SNAPSHOTS, 0)?;
        loop {
            let place = snapshots.place;
            if snapshots.next_snapshot()?.is_none() {
                break;
            }
            found.snapshots.push(place);
        }
        let mut rows = Reading::open(backup, ROWS, 0)?;
        loop {
            let place = rows.place;
            let Some(row) = rows.next_row()? else { return Ok(found) };
            if found.rows.last().is_none_or(|(_, last)| place >= last + STRIDE) {
                found.rows.push(((number(row.table), row.key), place));
            }
        }
    }

    pub(super) fn snapshot(&self, partition: PartitionId) -> Result<Option<Snapshot>, Error> {
        let Some(place) = self.snapshots.get(usize::from(partition.0)) else { return Ok(None) };
        Reading::open(&self.backup, SNAPSHOTS, *place)?.next_snapshot()
    }

    /// Rows of a table from one key to before another.
    pub(super) fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        let wanted = (number(table), from);
        let behind = self.rows.partition_point(|((number, key), _)| (*number, key.as_slice()) <= wanted);
        let place = behind.checked_sub(1).map_or(0, |index| self.rows[index].1);
        let (mut reading, mut rows) = (Reading::open(&self.backup, ROWS, place)?, Vec::new());
        while let Some(row) = reading.next_row()?.filter(|row| (number(row.table), row.key.as_slice()) < (wanted.0, to)) {
            if rows.len() == limit {
                break;
            }
            if (number(row.table), row.key.as_slice()) >= wanted {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
