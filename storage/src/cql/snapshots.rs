//! Snapshots in pieces, and the pointers to the two newest in the lease.
//!
//! Invariant: a pointer is moved only when every piece was read back as written; what no pointer names may be dropped.
//! Pieces are written once under an id of their own, so two writers never touch the same ones. The first piece is the head alone;
//! earlier builds wrote the beginning of the state with it.

use super::answer::{Answer, unexpected};
use super::cluster::Cluster;
use super::values::big;
use crate::contract::{Error, Snapshot, SnapshotHead};
use crate::fencing::Epoch;
use holdfast_engine::codec;
use holdfast_engine::ids::PartitionId;
use uuid::Uuid;

/// Bytes of a piece, and pieces side by side in one CQL partition.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 64;

/// The newest and the one before it.
type Pointers = (Option<Uuid>, Option<Uuid>);

/// What is written: the snapshot without its partition, behind a checksum.
type Packed = (u64, u64, Vec<u8>, u32);

impl Cluster {
    pub(super) async fn save_snapshot(&self, epoch: Epoch, snapshot: &Snapshot) -> Result<(), Error> {
        let partition = i32::from(snapshot.partition.0);
        let id = Uuid::new_v4();
        let packed = pack(snapshot);
        for (n, piece) in pieces(snapshot.head(), &packed).enumerate() {
            let values = (partition, id, (n / PIECES) as i32, (n % PIECES) as i32, piece);
            self.plain(&self.tables.put_chunk, values).await?;
        }
        if self.load(partition, id).await? != packed {
            return Err(Error::Failed("a snapshot was not read back as it was written".to_owned()));
        }
        let (newest, before) = self.pointers(partition).await?;
        // The same state saved again replaces itself: the one before it stays.
        let same = match newest {
            Some(newest) => self.head(snapshot.partition, newest).await?.is_some_and(|head| head.seq == snapshot.seq),
            None => false,
        };
        let (kept, dropped) = if same { (before, newest) } else { (newest, before) };
        self.point_to(partition, epoch, newest, (id, kept)).await?;
        match dropped {
            Some(dropped) => self.drop_snapshot(partition, dropped).await,
            None => Ok(()),
        }
    }

    pub(super) async fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        let (newest, before) = self.pointers(i32::from(partition.0)).await?;
        let mut found = Vec::new();
        for id in [newest, before].into_iter().flatten() {
            match self.head(partition, id).await? {
                Some(head) => found.push(head),
                None => passed_over(partition, id),
            }
        }
        Ok(found)
    }

    pub(super) async fn snapshot(&self, wanted: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        let partition = wanted.partition;
        let (newest, before) = self.pointers(i32::from(partition.0)).await?;
        for id in [newest, before].into_iter().flatten() {
            if self.head(partition, id).await? == Some(wanted) {
                let snapshot = unpack(partition, &self.load(i32::from(partition.0), id).await?)?;
                if snapshot.is_none() {
                    passed_over(partition, id);
                }
                return Ok(snapshot);
            }
        }
        Ok(None)
    }

    async fn head(&self, partition: PartitionId, id: Uuid) -> Result<Option<SnapshotHead>, Error> {
        match self.first_piece(i32::from(partition.0), id, 0).await? {
            Some(piece) => head_of(partition, &piece),
            None => Ok(None),
        }
    }

    async fn pointers(&self, partition: i32) -> Result<Pointers, Error> {
        let lease = Answer::read(self.serial(&self.leases.read_lease, (partition,)).await?)?;
        Ok((lease.uuid("snap_id"), lease.uuid("prev_snap_id")))
    }

    /// Moves the pointers from `seen`. An unknown outcome is resolved by the same statement, which then finds our id there.
    async fn point_to(
        &self,
        partition: i32,
        epoch: Epoch,
        seen: Option<Uuid>,
        (id, kept): (Uuid, Option<Uuid>),
    ) -> Result<(), Error> {
        let moved = self.serial(&self.leases.point, (id, kept, partition, big(epoch), seen)).await?;
        match Answer::read(moved)? {
            answer if answer.applied()? || answer.uuid("snap_id") == Some(id) => Ok(()),
            answer => Err(Error::Fenced { by: answer.bigint("epoch").unwrap_or(0) }),
        }
    }

    /// Its bytes, as far as there are pieces one behind the other: what follows on a piece that is lost begins anywhere, and would be
    /// taken for another version.
    async fn load(&self, partition: i32, id: Uuid) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for part in 0.. {
            let read = self.plain(&self.tables.read_chunks, (partition, id, part)).await?;
            let rows = read.into_rows_result().map_err(|error| unexpected(&error))?;
            for (expected, row) in (0..).zip(rows.rows::<(i32, Vec<u8>)>().map_err(|error| unexpected(&error))?) {
                let (n, piece) = row.map_err(|error| unexpected(&error))?;
                if n != expected {
                    return Ok(bytes);
                }
                bytes.extend(piece);
            }
            if rows.rows_num() < PIECES {
                break;
            }
        }
        Ok(bytes)
    }

    /// The first piece of a part, if there is such a part.
    async fn first_piece(&self, partition: i32, id: Uuid, part: i32) -> Result<Option<Vec<u8>>, Error> {
        let read = self.plain(&self.tables.read_chunk, (partition, id, part)).await?;
        let rows = read.into_rows_result().map_err(|error| unexpected(&error))?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>().map_err(|error| unexpected(&error))?;
        Ok(row.map(|(piece,)| piece))
    }

    async fn drop_snapshot(&self, partition: i32, id: Uuid) -> Result<(), Error> {
        for part in 0.. {
            if self.first_piece(partition, id, part).await?.is_none() {
                break;
            }
            self.plain(&self.tables.drop_chunks, (partition, id, part)).await?;
        }
        Ok(())
    }
}

fn pack(snapshot: &Snapshot) -> Vec<u8> {
    codec::encode(&(snapshot.seq, snapshot.after, &snapshot.state, crc32fast::hash(&snapshot.state)))
}

/// The head by itself, then the rest.
fn pieces(head: SnapshotHead, packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (head, rest) = packed.split_at(codec::encode(&(head.seq, head.after)).len());
    std::iter::once(head).chain(rest.chunks(PIECE))
}

fn passed_over(partition: PartitionId, id: Uuid) {
    tracing::warn!(partition = partition.0, %id, "snapshot is not whole: passed over");
}

/// What a packed snapshot begins with. None: it is not whole.
fn head_of(partition: PartitionId, packed: &[u8]) -> Result<Option<SnapshotHead>, Error> {
    let head = whole(partition, codec::decode_first(packed))?;
    Ok(head.map(|((seq, after), _)| SnapshotHead { partition, seq, after }))
}

/// None: it is not whole.
fn unpack(partition: PartitionId, packed: &[u8]) -> Result<Option<Snapshot>, Error> {
    let Some((seq, after, state, checksum)) = whole::<Packed>(partition, codec::decode(packed))? else { return Ok(None) };
    Ok((crc32fast::hash(&state) == checksum).then_some(Snapshot { partition, seq, after, state }))
}

/// What a newer build wrote is not damaged, and must not be passed over.
fn whole<T>(partition: PartitionId, decoded: Result<T, codec::Error>) -> Result<Option<T>, Error> {
    match decoded {
        Ok(whole) => Ok(Some(whole)),
        Err(codec::Error::Newer(newer)) => {
            let whose = format!("a snapshot of partition {}", partition.0);
            Err(Error::Incompatible(format!("{whose} cannot be used: {newer}")))
        }
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::codec::version;

    fn snapshot(length: usize) -> Snapshot {
        let state = (0..length).map(|n| (n % 251) as u8).collect();
        Snapshot { partition: PartitionId(3), seq: 70_000, after: 1 << 40, state }
    }

    #[test]
    fn pieces_together_are_what_was_packed_and_the_first_is_the_head_alone() {
        for length in [0, 1, PIECE, PIECE * PIECES + 1] {
            let snapshot = snapshot(length);
            let packed = pack(&snapshot);
            let pieces: Vec<&[u8]> = pieces(snapshot.head(), &packed).collect();
            assert_eq!(pieces.concat(), packed);
            assert!(pieces[0].len() < 32 && pieces.iter().all(|piece| piece.len() <= PIECE));
            assert_eq!(head_of(snapshot.partition, pieces[0]).unwrap(), Some(snapshot.head()));
        }
    }

    #[test]
    fn a_head_is_read_from_a_first_piece_of_an_earlier_build() {
        let snapshot = snapshot(2 * PIECE);
        assert_eq!(head_of(snapshot.partition, &pack(&snapshot)[..PIECE]).unwrap(), Some(snapshot.head()));
        assert_eq!(head_of(snapshot.partition, b"").unwrap(), None);
    }

    #[test]
    fn what_is_cut_is_passed_over_and_what_a_newer_build_wrote_is_refused() {
        let snapshot = snapshot(300);
        let (partition, packed) = (snapshot.partition, pack(&snapshot));
        assert_eq!(unpack(partition, &packed).unwrap(), Some(snapshot));
        for length in 0..packed.len() {
            assert_eq!(unpack(partition, &packed[..length]).unwrap(), None, "{length}");
        }
        let newer = [&[version::ROW + 1], &packed[1..]].concat();
        assert!(matches!(unpack(partition, &newer), Err(Error::Incompatible(_))));
        assert!(matches!(head_of(partition, &newer), Err(Error::Incompatible(_))));
    }
}
