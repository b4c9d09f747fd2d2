//! The fence of a journal that many processes can reach: who may append to a partition, decided without a clock.
//!
//! A partition's log is a chain of segments. Each segment has a [`Head`] of which every statement is conditional, and
//! each owner an epoch of its own, won by a compare-and-set on the partition's [`Lease`]. A successor writes its epoch
//! into the open segment; from then on every statement of an older epoch is refused, whenever it arrives.
//!
//! [`Fence`] says which [`Statement`] is next and judges its [`Outcome`]. It knows no server, task or clock: a driver
//! executes one statement at a time and pauses where told to.
//!
//! - An epoch has one owner, and a log number one batch.
//! - An append is durable only when it was applied, or was found applied under our epoch.
//! - An unknown outcome is resolved by the identical statement: same number, same body. Nothing else is tried meanwhile.
//! - Heads are never deleted, so a statement that was refused for ever stays refused.
//!
//! `storage/tests/fencing_model` checks this code against every order in which statements can land.

mod append;
mod claim;
mod purge;
#[cfg(test)]
mod tests;

pub use claim::bid_above;
pub use purge::{Extent, purgeable};

use crate::contract::LogSeq;

/// Number of an ownership of a partition, each greater than the one before; a CQL `bigint`.
pub type Epoch = u64;

/// Number of a segment of a partition's log: 0, 1, 2, …; a CQL `int`.
pub type Segment = u32;

/// One life of one process. A process that restarts is another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u128);

/// The static columns of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Only this epoch may append or close.
    pub epoch: Epoch,
    /// The number the next batch gets; of a closed segment, the first number of the following segment.
    pub next: LogSeq,
    /// Never becomes open again.
    pub closed: bool,
}

/// The lease row of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub epoch: Epoch,
    /// None: released.
    pub owner: Option<Owner>,
    /// A segment that exists; those before it are closed. Saves reading the chain from its start.
    pub segment_hint: Segment,
}

/// How far a segment is filled before the next is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentLimits {
    /// Exact, whoever appended. With the largest batch it bounds the size of a segment.
    pub batches: u64,
    /// Counts what this owner appended: what lay in the segment before is not read for it.
    pub bytes: u64,
}

/// What the driver executes, with all it binds beside the partition and the body of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statement {
    /// Serial read of the lease.
    ReadLease,
    /// `INSERT` of the epoch, this owner and hint 0 `IF NOT EXISTS`.
    CreateLease { epoch: Epoch, owner: Owner },
    /// `UPDATE` of the lease to `epoch` and `owner` `IF epoch = seen`.
    Bid { seen: Epoch, epoch: Epoch, owner: Owner },
    /// Serial read of a head.
    ReadHead { segment: Segment },
    /// `UPDATE` of the head to `epoch` `IF epoch = seen`.
    Seize { segment: Segment, seen: Epoch, epoch: Epoch },
    /// `INSERT` of an open head `IF NOT EXISTS`.
    Open { segment: Segment, epoch: Epoch, next: LogSeq },
    /// Row `seq` and `next = seq + 1` in one `UPDATE` `IF epoch = epoch AND next = seq AND closed = false`.
    Append { segment: Segment, epoch: Epoch, seq: LogSeq },
    /// `UPDATE` of the head to closed `IF epoch = epoch AND next = next AND closed = false`.
    Close { segment: Segment, epoch: Epoch, next: LogSeq },
    /// `UPDATE` of the lease's hint to `segment` `IF epoch = epoch`.
    Hint { segment: Segment, epoch: Epoch },
    /// `UPDATE` of the lease to no owner `IF epoch = epoch`.
    Release { epoch: Epoch },
}

/// What came back from the statement in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Of [`Statement::ReadLease`].
    Lease(Option<Lease>),
    /// Of [`Statement::ReadHead`].
    Head(Option<Head>),
    Applied,
    /// The condition was false, with the head that was there.
    RefusedHead(Option<Head>),
    /// The condition was false, with the lease that was there.
    RefusedLease(Option<Lease>),
    /// Time-out, broken connection, overloaded, unavailable: it may or may not happen, now or later.
    Unknown,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Execute(Statement),
    /// The identical statement again, after a pause.
    Retry(Statement),
    /// Claimed, with nothing in hand: may be given an append.
    Idle,
    /// Given back, as far as known: the end.
    Released,
    /// The append in hand is durable, and the fence is idle.
    Durable(LogSeq),
    /// Another owner has the partition. What was in hand may or may not be in the log.
    Fenced {
        by: Epoch,
    },
    /// What was read cannot be. Stop, and do not claim again without a human.
    Corrupt(String),
}

/// One owner's claim to one partition. At most one may live for an owner and a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    owner: Owner,
    limits: SegmentLimits,
    /// The epoch it wants.
    bid: Epoch,
    /// 0 until the lease is ours.
    epoch: Epoch,
    segment: Segment,
    /// First number of `segment`.
    first: LogSeq,
    next: LogSeq,
    /// Appended to `segment` by us.
    bytes: u64,
    hint: Segment,
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Idle,
    Released,
    Waiting { task: Task, statement: Statement },
    Fenced(Epoch),
    Corrupt(String),
}

/// For the sake of what a statement is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Task {
    /// The takeover, up to an open segment under our epoch.
    Claim,
    /// The takeover, reading what it has just seized.
    Seized,
    /// A batch of so many bytes.
    Append { bytes: u64 },
    /// Giving the partition back.
    Release,
}

impl Fence {
    /// Starts a takeover under the epoch `bid`, see [`bid_above`]. The driver replays the log when it is [`Next::Idle`], and
    /// serves after a first append of its own.
    #[must_use]
    pub fn claim(owner: Owner, bid: Epoch, limits: SegmentLimits) -> (Self, Statement) {
        let statement = Statement::ReadLease;
        let step = Step::Waiting { task: Task::Claim, statement };
        let fence = Self { owner, limits, bid, epoch: 0, segment: 0, first: 1, next: 1, bytes: 0, hint: 0, step };
        (fence, statement)
    }

    /// Judges what came back from the statement in hand. Without one nothing changes.
    pub fn on(&mut self, outcome: Outcome) -> Next {
        let (task, statement) = match &self.step {
            Step::Waiting { task, statement } => (*task, *statement),
            Step::Idle => return Next::Idle,
            Step::Released => return Next::Released,
            Step::Fenced(by) => return Next::Fenced { by: *by },
            Step::Corrupt(reason) => return Next::Corrupt(reason.clone()),
        };
        match (task, outcome) {
            // Not worth waiting for, and no harm if they land late: a hint only shortens a later walk, and a release only
            // tells people that nobody has the partition.
            (_, Outcome::Unknown) if !matches!(statement, Statement::Hint { .. } | Statement::Release { .. }) => {
                Next::Retry(statement)
            }
            (Task::Append { bytes }, _) => self.on_append(bytes, statement, outcome),
            (Task::Claim | Task::Seized, _) => self.on_claim(task, statement, outcome),
            (Task::Release, _) => self.on_release(statement, outcome),
        }
    }

    /// Starts an append of `bytes`, after opening the next segment if this one is full. None unless idle.
    pub fn append(&mut self, bytes: usize) -> Option<Statement> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.is_idle().then(|| self.start_append(bytes))
    }

    /// Starts to give the partition back, after which nothing can be appended. None unless idle.
    ///
    /// A successor need not wait for it: it outbids whoever the lease names.
    pub fn release(&mut self) -> Option<Statement> {
        let statement = Statement::Release { epoch: self.epoch };
        let idle = self.is_idle();
        idle.then(|| {
            self.step = Step::Waiting { task: Task::Release, statement };
            statement
        })
    }

    /// 0 until the lease is ours.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The open segment, once claimed.
    #[must_use]
    pub fn segment(&self) -> Segment {
        self.segment
    }

    /// First number of the open segment, once claimed.
    #[must_use]
    pub fn first(&self) -> LogSeq {
        self.first
    }

    /// The number of the next append, once claimed; every batch before it is to be replayed.
    #[must_use]
    pub fn next(&self) -> LogSeq {
        self.next
    }

    /// Claimed, with nothing in hand.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.step == Step::Idle
    }

    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self.step, Step::Fenced(_))
    }

    /// The statement in hand.
    #[must_use]
    pub fn in_hand(&self) -> Option<Statement> {
        match self.step {
            Step::Waiting { statement, .. } => Some(statement),
            Step::Idle | Step::Released | Step::Fenced(_) | Step::Corrupt(_) => None,
        }
    }

    fn execute(&mut self, task: Task, statement: Statement) -> Next {
        self.step = Step::Waiting { task, statement };
        Next::Execute(statement)
    }

    fn fenced(&mut self, by: Epoch) -> Next {
        self.step = Step::Fenced(by);
        Next::Fenced { by }
    }

    fn corrupt(&mut self, statement: Statement, found: impl std::fmt::Debug) -> Next {
        let reason = format!("epoch {}: {statement:?} met {found:?}", self.epoch);
        self.step = Step::Corrupt(reason.clone());
        Next::Corrupt(reason)
    }

    fn head_hint(&mut self, task: Task) -> Next {
        self.execute(task, Statement::Hint { segment: self.segment, epoch: self.epoch })
    }

    fn on_release(&mut self, statement: Statement, outcome: Outcome) -> Next {
        match self.still_leased(statement, outcome) {
            Ok(()) => {
                self.step = Step::Released;
                Next::Released
            }
            Err(next) => next,
        }
    }

    /// Goes on unless it was refused. A refusal is the first news of a successor: the lease changes before any head does.
    fn still_leased(&mut self, statement: Statement, outcome: Outcome) -> Result<(), Next> {
        match outcome {
            Outcome::Applied | Outcome::Unknown => Ok(()),
            Outcome::RefusedLease(Some(lease)) if lease.epoch > self.epoch => Err(self.fenced(lease.epoch)),
            found => Err(self.corrupt(statement, found)),
        }
    }
}
