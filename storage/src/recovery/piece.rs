//! A piece of a log that is replayed at once: each thread takes the records of its share of the partitions.
//!
//! Partitions share nothing, so nobody waits within a piece. Invariants: a partition takes its records in the order of the log; what
//! is damaged within a piece is named by the first commit that cannot be read, and else by the first record that does not follow; of a piece that is not whole nothing is put into tables.

use super::remake::{Leaving, Remake};
use super::take;
use crate::contract::{CommitCheck, Error, LogSeq, Row};
use crate::parallel;
use holdfast_engine::codec::{self, Entry};
use holdfast_engine::ids::{PartitionId, Partitions, Seq};
use holdfast_engine::partition::Partition;
use std::ops::Range;

/// Bytes beyond which a piece is full: some ten thousand records, beside which beginning a thread is nothing.
const BYTES: usize = 8 * 1024 * 1024;

/// Commits one behind the other, copied out of their log.
#[derive(Default)]
pub(super) struct Piece {
    frames: Vec<u8>,
    commits: Vec<(LogSeq, Range<usize>)>,
}

impl Piece {
    pub(super) fn push(&mut self, commit: LogSeq, frame: &[u8]) {
        let begin = self.frames.len();
        self.frames.extend_from_slice(frame);
        self.commits.push((commit, begin..self.frames.len()));
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= BYTES
    }

    /// Empties it, and says how many commits it had.
    pub(super) fn take(&mut self) -> LogSeq {
        let commits = self.commits.len() as LogSeq;
        self.frames.clear();
        self.commits.clear();
        commits
    }

    fn frames(&self) -> impl Iterator<Item = (LogSeq, &[u8])> {
        self.commits.iter().map(|(commit, at)| (*commit, &self.frames[at.clone()]))
    }
}

/// A record on its way to its partition.
struct Step<'a> {
    commit: LogSeq,
    /// Of the partition in its share.
    place: usize,
    entry: Entry<'a>,
}

/// Where a partition is.
#[derive(Clone, Copy)]
struct Place {
    share: usize,
    place: usize,
}

/// The partitions by the thread that replays them.
pub(super) struct Shares<'a> {
    shares: Vec<&'a mut [Partition]>,
    /// By the number of the partition.
    places: Vec<Option<Place>>,
    /// The last record of each partition that was met, likewise.
    lasts: Vec<Option<Seq>>,
}

impl<'a> Shares<'a> {
    pub(super) fn of(partitions: &'a mut [Partition], threads: usize, all: Partitions) -> Self {
        let share = partitions.len().div_ceil(threads.max(1)).max(1);
        let mut places = vec![None; usize::from(all.count())];
        for (n, partition) in partitions.iter().enumerate() {
            places[usize::from(partition.id.0)] = Some(Place { share: n / share, place: n % share });
        }
        let lasts = vec![None; places.len()];
        Self { shares: partitions.chunks_mut(share).collect(), places, lasts }
    }

    /// The last record of a partition that was met.
    pub(super) fn last(&self, id: PartitionId) -> Option<Seq> {
        self.lasts.get(usize::from(id.0)).copied().flatten()
    }

    /// Folds a piece into the partitions, and hands what leaves memory by it to `remake`.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the first commit that is, or if the tables cannot be written.
    pub(super) fn replay(&mut self, piece: &Piece, remake: Option<&mut Remake<'_>>) -> Result<(), Error> {
        let (steps, commits) = self.deal(piece)?;
        let whole_to = remake.as_ref().map_or(LogSeq::MAX, |remake| remake.whole_to());
        let work = Vec::from_iter(self.shares.iter_mut().zip(steps).filter(|(_, steps)| !steps.is_empty()));
        let taken = parallel::each(work.len(), work, |(partitions, steps)| Ok(take_all(partitions, steps, whole_to)))?;
        let left = first_error(taken)?;
        remake.map_or(Ok(()), |remake| remake.piece(&commits, left))
    }

    /// The records of a piece by the share they are for, and its commits.
    fn deal<'p>(&mut self, piece: &'p Piece) -> Result<(Vec<Vec<Step<'p>>>, Vec<CommitCheck>), Error> {
        let mut steps: Vec<Vec<Step<'p>>> = self.shares.iter().map(|_| Vec::new()).collect();
        let mut commits = Vec::new();
        for (commit, frame) in piece.frames() {
            let damaged = |error: codec::Error| Error::Damaged { record: commit, reason: error.to_string() };
            for entry in codec::read_frame(frame).map_err(damaged)? {
                let entry = entry.map_err(damaged)?;
                if let Some(Place { share, place }) = self.place_of(commit, entry.partition)? {
                    self.lasts[usize::from(entry.partition.0)] = Some(entry.seq);
                    steps[share].push(Step { commit, place, entry });
                }
            }
            commits.push(CommitCheck { commit, check: codec::frame_check(frame).map_err(damaged)? });
        }
        Ok((steps, commits))
    }

    /// None: it is not being recovered. What says how many partitions the data has may be of other data than the log.
    fn place_of(&self, commit: LogSeq, PartitionId(id): PartitionId) -> Result<Option<Place>, Error> {
        let count = self.places.len();
        let unknown = || Error::Damaged {
            record: commit,
            reason: format!("it is of partition {id}, and holdfast.meta says that there are {count}"),
        };
        self.places.get(usize::from(id)).copied().ok_or_else(unknown)
    }
}

/// What left memory by a row of records, with the commits they are of.
type Left = Vec<(LogSeq, Row)>;

fn take_all(partitions: &mut [Partition], steps: Vec<Step<'_>>, whole_to: LogSeq) -> Result<Left, Error> {
    let mut leaving = Leaving::behind(whole_to);
    for Step { commit, place, entry } in steps {
        leaving.at(commit);
        take(commit, &entry, &mut partitions[place], &mut leaving)?;
    }
    Ok(leaving.rows())
}

/// All that was taken, or the error of the first commit that has one.
fn first_error(taken: Vec<Result<Left, Error>>) -> Result<Left, Error> {
    let (mut left, mut errors) = (Vec::new(), Vec::new());
    for taken in taken {
        match taken {
            Ok(rows) => left.extend(rows),
            Err(error) => errors.push(error),
        }
    }
    let commit = |error: &Error| if let Error::Damaged { record, .. } = error { *record } else { LogSeq::MAX };
    errors.into_iter().min_by_key(commit).map_or(Ok(left), Err)
}
