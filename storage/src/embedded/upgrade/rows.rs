//! Snapshots as builds of before format 4 have them: rows of the database, in chunks.
//!
//! Key: partition, sequence, chunk, all big-endian. Chunk 0 is the head (commit, length, checksum) and was written last.
//! Invariants: a snapshot without its head, or whose bytes do not match it, is not there; one that could not be read now, though it may be
//! whole, is an error: what is not copied is dropped.

use super::super::failure::{failed, is_damage};
use crate::contract::{Error, LogSeq, Snapshot};
use fjall::Keyspace;
use holdfast_engine::ids::{PartitionId, Seq};

const KEY: usize = 14;
const HEAD: usize = 20;

/// Whole snapshots of a partition, oldest first.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn load_all(rows: &Keyspace, partition: PartitionId) -> Result<Vec<Snapshot>, Error> {
    let mut whole = Vec::new();
    for id in ids(rows, partition)? {
        whole.extend(load(rows, id)?);
    }
    whole.reverse();
    Ok(whole)
}

#[derive(Clone, Copy, PartialEq)]
struct Id {
    partition: PartitionId,
    seq: Seq,
}

impl Id {
    fn key(self, chunk: u32) -> [u8; KEY] {
        let mut key = [0; KEY];
        key[..2].copy_from_slice(&self.partition.0.to_be_bytes());
        key[2..10].copy_from_slice(&self.seq.to_be_bytes());
        key[10..].copy_from_slice(&chunk.to_be_bytes());
        key
    }

    fn of(key: &[u8]) -> Option<Self> {
        let key: &[u8; KEY] = key.try_into().ok()?;
        let partition = PartitionId(u16::from_be_bytes([key[0], key[1]]));
        Some(Self { partition, seq: Seq::from_be_bytes(key[2..10].try_into().ok()?) })
    }
}

/// What chunk 0 says of the others.
#[derive(Clone, Copy, PartialEq)]
struct Head {
    after: LogSeq,
    length: u64,
    /// Of the head and the state, so that a head is never believed about other bytes.
    checksum: u32,
}

impl Head {
    fn of(id: Id, after: LogSeq, state: &[u8]) -> Self {
        let length = state.len() as u64;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&id.key(0));
        hasher.update(&after.to_le_bytes());
        hasher.update(&length.to_le_bytes());
        hasher.update(state);
        Self { after, length, checksum: hasher.finalize() }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.try_into().ok()?;
        let after = LogSeq::from_le_bytes(bytes[..8].try_into().ok()?);
        let length = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
        Some(Self { after, length, checksum: u32::from_le_bytes(bytes[16..].try_into().ok()?) })
    }
}

/// Sequences there is anything of, newest first. Jumps from one to the next: the chunks between are not read.
fn ids(rows: &Keyspace, partition: PartitionId) -> Result<Vec<Id>, Error> {
    let first = Id { partition, seq: 0 }.key(0);
    let mut before = Id { partition, seq: Seq::MAX }.key(u32::MAX);
    let mut ids = Vec::new();
    while let Some(row) = rows.range(first..before).next_back() {
        let key = row.key().map_err(failed)?;
        let Some(id) = Id::of(&key) else { break };
        ids.push(id);
        before = id.key(0);
    }
    Ok(ids)
}

/// `None` if it is not whole: neither its head nor its chunks are believed alone.
fn load(rows: &Keyspace, id: Id) -> Result<Option<Snapshot>, Error> {
    let head = rows.get(id.key(0)).map(|bytes| bytes.as_deref().and_then(Head::decode));
    let Some(head) = there(head)?.flatten() else { return Ok(None) };
    let mut state = Vec::new();
    for row in rows.range(id.key(1)..=id.key(u32::MAX)) {
        let Some(chunk) = there(row.value())? else { return Ok(None) };
        state.extend_from_slice(&chunk);
    }
    // A longer state under the same number may have left chunks behind.
    state.truncate(usize::try_from(head.length).unwrap_or(usize::MAX));
    let whole = Head::of(id, head.after, &state) == head;
    Ok(whole.then_some(Snapshot { partition: id.partition, seq: id.seq, after: head.after, state }))
}

/// What was read. A block that is not as it was written is not there: there is an older snapshot, or the log.
fn there<T>(read: fjall::Result<T>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a snapshot as a build of then did.
#[cfg(test)]
pub(in crate::embedded) fn write(rows: &Keyspace, snapshot: &Snapshot) {
    let Snapshot { partition, seq, after, state } = snapshot;
    let id = Id { partition: *partition, seq: *seq };
    for (chunk, bytes) in (1..).zip(state.chunks(256 * 1024)) {
        rows.insert(id.key(chunk), bytes).unwrap();
    }
    let Head { after, length, checksum } = Head::of(id, *after, state);
    let head = [&after.to_le_bytes()[..], &length.to_le_bytes(), &checksum.to_le_bytes()].concat();
    rows.insert(id.key(0), head).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// They were taken for snapshots that are not there, and the old ones were dropped.
    #[test]
    fn a_disk_that_does_not_answer_is_no_snapshot_that_is_not_whole() {
        let read = |kind: io::ErrorKind| there::<()>(Err(fjall::Error::Storage(fjall::LsmError::Io(kind.into()))));
        for kind in [io::ErrorKind::Other, io::ErrorKind::PermissionDenied, io::ErrorKind::TimedOut] {
            assert!(matches!(read(kind), Err(Error::Failed(_))), "{kind}");
        }
        assert!(matches!(read(io::ErrorKind::UnexpectedEof), Ok(None)), "it is cut");
        assert!(matches!(there::<()>(Err(fjall::Error::InvalidTrailer)), Ok(None)), "it is damaged");
    }
}
