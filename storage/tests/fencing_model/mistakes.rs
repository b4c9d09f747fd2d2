//! Drivers and machines that are wrong in one way each, by what they make of an outcome. The model must refute them all,
//! or it proves nothing about the right one.

use crate::store::Store;
use holdfast_storage::fencing::{Fence, Head, Outcome, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// An unknown append counts as durable.
    UnknownIsDurable,
    /// An unknown append is reported as failed, and the next batch takes the next number.
    UnknownIsFailed,
    /// An unknown append is tried again with another body.
    UnknownIsReplaced,
    /// A refusal that shows a higher epoch counts as our own earlier attempt.
    HigherEpochIsOurs,
    /// The open segment is used without writing the epoch into it.
    NoSeizure,
    /// The head that was read before the seizure is trusted after it.
    HeadReadBeforeSeizure,
    /// A segment that an older owner opened counts as opened by us.
    AnyOpenIsOurs,
}

impl Mistake {
    /// What the fence is told of an outcome. `seen` is the head it was told last.
    pub(crate) fn reported(self, fence: &Fence, statement: Statement, seen: Option<Head>, outcome: Outcome) -> Outcome {
        let epoch = fence.epoch();
        match (self, statement, outcome) {
            (Mistake::HigherEpochIsOurs, Statement::Append { .. }, Outcome::RefusedHead(Some(head))) if head.epoch > epoch => {
                Outcome::Applied
            }
            (Mistake::AnyOpenIsOurs, Statement::Open { .. }, Outcome::RefusedHead(Some(head))) if head.epoch < epoch => {
                Outcome::Applied
            }
            (Mistake::HeadReadBeforeSeizure, Statement::ReadHead { .. }, Outcome::Head(Some(head))) if head.epoch == epoch => {
                Outcome::Head(seen.map(|seen| Head { epoch, ..seen }))
            }
            _ => outcome,
        }
    }

    /// The answer to a statement that is never sent.
    pub(crate) fn unsent(self, fence: &Fence, statement: Statement, store: &Store) -> Option<Outcome> {
        match (self, statement) {
            (Mistake::NoSeizure, Statement::Seize { segment, .. }) => {
                let head = store.head(segment).map(|head| Head { epoch: fence.epoch(), ..head });
                Some(Outcome::RefusedHead(head))
            }
            _ => None,
        }
    }

    /// What the fence is told of an unknown outcome.
    pub(crate) fn unknown(self, statement: Statement) -> Outcome {
        match (self, statement) {
            (Mistake::UnknownIsDurable | Mistake::UnknownIsFailed, Statement::Append { .. }) => Outcome::Applied,
            _ => Outcome::Unknown,
        }
    }
}
