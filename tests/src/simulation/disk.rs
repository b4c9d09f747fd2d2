//! The simulated disk: what was synced survives a crash, of the rest an arbitrary torn part.
//!
//! Invariant: a byte that was synced is never lost or changed. Unsynced sectors survive or not, each for itself.

use super::random::Random;
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use holdfast_engine::plant::{self, Bug};
use holdfast_storage::{Error, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::ops::ControlFlow;

/// One growing file.
#[derive(Debug)]
pub(super) struct Disk {
    bytes: Vec<u8>,
    synced: usize,
    sector: usize,
}

impl Disk {
    pub(super) fn new(sector: usize) -> Self {
        Self { bytes: Vec::new(), synced: 0, sector }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    /// Power is lost, or the process with its unsynced pages. True if something unsynced was there.
    pub(super) fn crash(&mut self, random: &mut Random) -> bool {
        let unsynced = self.bytes.len() - self.synced;
        match random.below(5) {
            0 => self.bytes.truncate(self.synced),
            1 => {}
            2 => self.bytes.truncate(self.synced + random.below(unsynced as u64 + 1) as usize),
            3 => self.tear(random),
            _ => {
                self.tear(random);
                self.bytes.truncate(self.synced + random.below(unsynced as u64 + 1) as usize);
            }
        }
        self.synced = self.bytes.len();
        unsynced > 0
    }

    /// Each unsynced sector reached the disk or did not: the file has its length, the sector reads as zeros.
    fn tear(&mut self, random: &mut Random) {
        let mut from = self.synced;
        while from < self.bytes.len() {
            let to = ((from / self.sector + 1) * self.sector).min(self.bytes.len());
            if random.chance(500) {
                self.bytes[from..to].fill(0);
            }
            from = to;
        }
    }

    /// The whole frames from the start; the first that is not whole ends the log and is cut off with all behind it.
    pub(super) fn cut_torn_tail(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut from = 0;
        while let Some(frame) = frame_at(&self.bytes[from..]) {
            from += frame.len();
            frames.push(frame.to_vec());
        }
        self.bytes.truncate(from);
        self.synced = from;
        frames
    }

    /// The first `count` frames, which are durable.
    pub(super) fn frames(&self, count: usize) -> Vec<Vec<u8>> {
        let mut from = 0;
        let next = |_| {
            let frame = frame_at(&self.bytes[from..])?;
            from += frame.len();
            Some(frame.to_vec())
        };
        (0..count).map_while(next).collect()
    }
}

fn frame_at(bytes: &[u8]) -> Option<&[u8]> {
    let frame = bytes.get(..codec::frame_len(bytes).ok()?)?;
    codec::read_frame(frame).ok()?;
    Some(frame)
}

/// What recovery reads, one log at a time: its durable frames with the snapshots taken of it. Nothing can be written to it.
pub(super) struct Image {
    pub causality: Causality,
    pub partitions: Partitions,
    pub frames: Vec<Vec<u8>>,
    /// Of each partition, newest first.
    pub snapshots: Vec<Vec<Snapshot>>,
}

impl Log for Image {
    fn causality(&self) -> Causality {
        self.causality
    }

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn append(&self, _: LogId, _: &Batch) -> Result<LogSeq, Error> {
        Err(Error::Stopped)
    }

    fn end(&self, _: LogId) -> LogSeq {
        self.frames.len() as LogSeq
    }

    fn read(&self, _: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        let forgotten = usize::from(plant::active(Bug::ReplayOffByOne) && after > 0);
        let end = self.frames.len().saturating_sub(forgotten);
        for (index, frame) in self.frames[..end].iter().enumerate().skip(after as usize) {
            if let ControlFlow::Break(()) = visit(index as LogSeq + 1, frame)? {
                break;
            }
        }
        Ok(())
    }
}

impl Snapshots for Image {
    fn save_snapshot(&self, _: &Snapshot) -> Result<(), Error> {
        Err(Error::Stopped)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        Ok(self.snapshots[usize::from(partition.0)].iter().map(Snapshot::head).collect())
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        let kept = &self.snapshots[usize::from(head.partition.0)];
        Ok(kept.iter().find(|snapshot| snapshot.head() == head).cloned())
    }
}

impl Rows for Image {
    fn project(&self, _: &[Row]) -> Result<(), Error> {
        Err(Error::Stopped)
    }

    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn scan(&self, _: Table, _: &[u8], _: &[u8], _: usize) -> Result<Vec<Row>, Error> {
        Ok(Vec::new())
    }
}
