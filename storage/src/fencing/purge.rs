//! Which batches retention may delete.
//!
//! Whole closed segments only: no conditional write can touch their rows any more, so a plain delete cannot race with
//! one. Their heads stay for ever, which is what keeps a late statement refused.

use super::Segment;
use crate::contract::LogSeq;

/// The batches of a segment: `first` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    pub segment: Segment,
    pub closed: bool,
    pub first: LogSeq,
    pub end: LogSeq,
}

/// The segments whose rows may be deleted. `floor` is the least number that something still reads: the snapshot before
/// the last one, the publication and the projections.
pub fn purgeable(segments: &[Extent], floor: LogSeq) -> impl Iterator<Item = Extent> {
    segments.iter().copied().filter(move |segment| segment.closed && segment.first < segment.end && segment.end <= floor)
}
