//! Snapshots as rows of the database, in chunks, so that no single write is as large as a partition.
//!
//! Key: partition, sequence, chunk, all big-endian. Chunk 0 is the head (commit, length, checksum) and is written last.
//! Invariant: a snapshot without its head, or whose bytes do not match it, is not there; the two newest whole ones are
//! kept, everything older or half written is removed after a save.

use super::failure::failed;
use crate::contract::{Error, LogSeq, Snapshot, SnapshotHead};
use fjall::Keyspace;
use holdfast_engine::ids::{PartitionId, Seq};

const CHUNK: usize = 256 * 1024;
const KEPT: usize = 2;
const KEY: usize = 14;

/// What chunk 0 says of the others.
#[derive(Clone, Copy, PartialEq)]
struct Head {
    after: LogSeq,
    length: u64,
    /// Of the head and the state, so that a head is never believed about other bytes.
    checksum: u32,
}

const HEAD: usize = 20;

pub(super) fn save(rows: &Keyspace, snapshot: &Snapshot, persist: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    let Snapshot { partition, seq, after, state } = snapshot;
    let id = Id { partition: *partition, seq: *seq };
    // An idle partition is saved again and again under one sequence: the state is there, only `after` moves on.
    let same = load(rows, id).is_some_and(|saved| saved.state == *state);
    if !same {
        rows.remove(id.key(0)).map_err(failed)?;
        persist()?;
        for (chunk, bytes) in (1..).zip(state.chunks(CHUNK)) {
            rows.insert(id.key(chunk), bytes).map_err(failed)?;
            // One at a time: of several unsynced writes a power failure may tear one and keep the next, which looks like
            // damage in the middle.
            persist()?;
        }
    }
    rows.insert(id.key(0), Head::of(id, *after, state).encode()).map_err(failed)?;
    persist()?;
    prune(rows, id, persist)
}

/// Whole snapshots, newest first: those that can be read, as the log has what they stand for.
pub(super) fn load_all(rows: &Keyspace, partition: PartitionId) -> Vec<Snapshot> {
    let ids = ids(rows, partition).unwrap_or_else(|error| {
        tracing::error!(partition = partition.0, %error, "its snapshots cannot be read: the whole log is");
        Vec::new()
    });
    let mut whole = Vec::new();
    for id in ids {
        match load(rows, id) {
            Some(snapshot) => whole.push(snapshot),
            None => tracing::warn!(partition = partition.0, seq = id.seq, "half a snapshot: passed over"),
        }
    }
    whole
}

/// What is kept, newest first, whole or not.
pub(super) fn heads(rows: &Keyspace, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
    let mut heads = Vec::new();
    for id in ids(rows, partition)? {
        let head = rows.get(id.key(0)).map_err(failed)?.as_deref().and_then(Head::decode);
        heads.extend(head.map(|head| SnapshotHead { partition, seq: id.seq, after: head.after }));
    }
    Ok(heads)
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

    fn encode(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&self.after.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
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
fn load(rows: &Keyspace, id: Id) -> Option<Snapshot> {
    // A block the database cannot read is damage like any other: there is an older snapshot, or the log.
    let head = rows.get(id.key(0)).ok()?.as_deref().and_then(Head::decode)?;
    let mut state = Vec::new();
    for row in rows.range(id.key(1)..=id.key(u32::MAX)) {
        state.extend_from_slice(&row.value().ok()?);
    }
    // A longer state under the same number may have left chunks behind.
    state.truncate(usize::try_from(head.length).unwrap_or(usize::MAX));
    let whole = Head::of(id, head.after, &state) == head;
    whole.then_some(Snapshot { partition: id.partition, seq: id.seq, after: head.after, state })
}

/// Removes what is older than the snapshot before `newest`, and what is not whole.
fn prune(rows: &Keyspace, newest: Id, persist: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    let mut kept = 0;
    for id in ids(rows, newest.partition)? {
        let headed = rows.get(id.key(0)).map_err(failed)?.is_some();
        if headed && kept < KEPT {
            kept += 1;
            continue;
        }
        let keys: Result<Vec<_>, fjall::Error> = rows.range(id.key(0)..=id.key(u32::MAX)).map(fjall::Guard::key).collect();
        for key in keys.map_err(failed)? {
            rows.remove(key).map_err(failed)?;
            persist()?;
        }
    }
    Ok(())
}
