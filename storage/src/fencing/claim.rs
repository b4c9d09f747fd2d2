//! Taking over: win an epoch, walk to the end of the chain, make the open segment refuse every older epoch.
//!
//! Closed segments need no seizing, as nothing but a seizure can change them. An open one is read again once it is
//! seized: until then its owner may have appended to it or closed it. A refusal shows the head at the decision, so a
//! seizure refused under our epoch needs no second look.
//!
//! Who opens a log of many partitions bids one epoch for all of them ([`bid_above`]): higher than every one there is, first
//! on one partition, where only one owner can win it, then on the others. A claimant that meets its bid or a higher one
//! stops; one that meets a lower one bids again. So of those who start at once the highest bid gets every partition.

use super::{Epoch, Fence, Head, Lease, Next, Outcome, Segment, Statement, Step, Task};
use crate::contract::LogSeq;

/// Numbers beyond it are not ones we wrote; keeps `+ 1` and CQL's signed `bigint` safe.
const GREATEST: u64 = i64::MAX as u64 - 1;

/// The same for segments, which are a CQL `int`.
const LAST_SEGMENT: Segment = i32::MAX as Segment;

/// The epoch to bid for every partition of a log: above all that their leases show. None: no number is left.
pub fn bid_above(leases: impl IntoIterator<Item = Option<Lease>>) -> Option<Epoch> {
    let highest = leases.into_iter().flatten().map(|lease| lease.epoch).max();
    highest.unwrap_or(0).checked_add(1).filter(|bid| *bid < GREATEST)
}

impl Fence {
    pub(super) fn on_claim(&mut self, task: Task, statement: Statement, outcome: Outcome) -> Next {
        match (statement, outcome) {
            (Statement::ReadLease, Outcome::Lease(lease)) => self.outbid(lease, statement),
            (Statement::CreateLease { .. } | Statement::Bid { .. }, Outcome::Applied) => self.won(self.hint),
            (Statement::CreateLease { .. }, Outcome::RefusedLease(Some(lease))) => self.bid_refused(0, statement, lease),
            (Statement::Bid { seen, .. }, Outcome::RefusedLease(Some(lease))) => self.bid_refused(seen, statement, lease),
            (Statement::ReadHead { segment }, Outcome::Head(None)) if task == Task::Claim => {
                self.end_of_chain(segment, statement)
            }
            (Statement::ReadHead { segment }, Outcome::Head(Some(head))) => {
                let least = if task == Task::Seized { self.epoch } else { 1 };
                self.follow(segment, head, least, statement)
            }
            (Statement::Seize { segment, .. }, Outcome::Applied) => self.execute(Task::Seized, Statement::ReadHead { segment }),
            (Statement::Seize { segment, seen, .. }, Outcome::RefusedHead(Some(head))) => {
                self.follow(segment, head, seen + 1, statement)
            }
            (Statement::Open { segment, next, .. }, _) => self.opened(segment, next, statement, outcome),
            (Statement::Hint { .. }, _) => match self.still_leased(statement, outcome) {
                Ok(()) => self.claimed(),
                Err(next) => next,
            },
            (_, found) => self.corrupt(statement, found),
        }
    }

    /// `statement` showed the lease.
    fn outbid(&mut self, lease: Option<Lease>, statement: Statement) -> Next {
        let (owner, epoch) = (self.owner, self.bid);
        let Some(lease) = lease else { return self.execute(Task::Claim, Statement::CreateLease { epoch, owner }) };
        if !(1..GREATEST).contains(&lease.epoch) {
            return self.corrupt(statement, lease);
        }
        if lease.epoch >= epoch {
            return self.fenced(lease.epoch);
        }
        self.hint = lease.segment_hint;
        self.execute(Task::Claim, Statement::Bid { seen: lease.epoch, epoch, owner })
    }

    /// An owner bids for one epoch, so the lease shows it with our name only if one of them was applied.
    fn bid_refused(&mut self, seen: Epoch, statement: Statement, lease: Lease) -> Next {
        if lease.epoch <= seen {
            return self.corrupt(statement, lease);
        }
        if lease.epoch == self.bid && lease.owner == Some(self.owner) {
            return self.won(lease.segment_hint);
        }
        self.outbid(Some(lease), statement)
    }

    /// Starts one segment before the hint: where that one ends, the hinted one begins.
    fn won(&mut self, hint: Segment) -> Next {
        (self.epoch, self.hint) = (self.bid, hint);
        if hint >= LAST_SEGMENT {
            return self.corrupt(Statement::ReadLease, hint);
        }
        self.execute(Task::Claim, Statement::ReadHead { segment: hint.saturating_sub(1) })
    }

    fn end_of_chain(&mut self, segment: Segment, statement: Statement) -> Next {
        if self.hint > 0 && segment <= self.hint {
            return self.corrupt(statement, "no segment, though the hint is further on");
        }
        self.execute(Task::Claim, Statement::Open { segment, epoch: self.epoch, next: self.next })
    }

    /// Goes on from a head that must carry at least the epoch `least`.
    fn follow(&mut self, segment: Segment, head: Head, least: Epoch, statement: Statement) -> Next {
        if head.epoch > self.epoch {
            return self.fenced(head.epoch);
        }
        if head.epoch < least || !(self.next..=GREATEST).contains(&head.next) || segment < self.hint && !head.closed {
            return self.corrupt(statement, head);
        }
        if head.closed {
            self.enter(segment + 1, head.next);
            return self.execute(Task::Claim, Statement::ReadHead { segment: segment + 1 });
        }
        (self.segment, self.next) = (segment, head.next);
        if head.epoch == self.epoch {
            return self.seized();
        }
        self.execute(Task::Claim, Statement::Seize { segment, seen: head.epoch, epoch: self.epoch })
    }

    /// An older owner that closed the segment before may have opened this one first.
    fn opened(&mut self, segment: Segment, next: LogSeq, statement: Statement, outcome: Outcome) -> Next {
        if let Outcome::RefusedHead(Some(head)) = outcome
            && head.epoch < self.epoch
        {
            return self.follow(segment, head, 1, statement);
        }
        match self.ours(statement, outcome, self.head(next, false)) {
            Ok(()) => {
                self.enter(segment, next);
                self.seized()
            }
            Err(next) => next,
        }
    }

    /// The open segment is ours.
    fn seized(&mut self) -> Next {
        if self.segment > self.hint { self.head_hint(Task::Claim) } else { self.claimed() }
    }

    fn claimed(&mut self) -> Next {
        self.step = Step::Idle;
        Next::Idle
    }
}
