//! The tables as the servers keep them: each statement is one atomic step. Beside them, what really happened.
//!
//! It shares no code with the fence. Its known-bad rules are alternatives that were considered for the journal.

use holdfast_storage::LogSeq;
use holdfast_storage::fencing::{Epoch, Head, Lease, Outcome, Segment, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// How the tables are laid out and purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Conditions on the head; a purge deletes rows and leaves the head.
    Fenced,
    /// The same, but a purge deletes the head too.
    HeadPurged,
    /// An append is conditional on its row alone: `IF NOT EXISTS`; a purge deletes the head too.
    RowOnly,
    /// A bid is written whatever the lease says.
    BlindBid,
}

/// Who wrote a batch, and as which of its attempts at that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Body {
    pub epoch: Epoch,
    pub attempt: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stored {
    head: Head,
    rows: BTreeMap<LogSeq, Body>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    lease: Option<Lease>,
    segments: BTreeMap<Segment, Stored>,
    /// Batches deleted by retention, which snapshots hold.
    purged: BTreeSet<LogSeq>,
    /// Every batch in the order it was applied.
    pub history: Vec<Body>,
    /// A batch was applied elsewhere than at the end of the history.
    pub forked: bool,
}

impl Store {
    pub(crate) fn execute(&mut self, rules: Rules, statement: Statement, body: Body) -> Outcome {
        match statement {
            Statement::ReadLease => Outcome::Lease(self.lease),
            Statement::CreateLease { epoch, owner } => {
                self.lease_if(|lease| lease.is_none(), Lease { epoch, owner: Some(owner), segment_hint: 0 })
            }
            Statement::Bid { seen, epoch, owner } => {
                let segment_hint = self.lease.map_or(0, |lease| lease.segment_hint);
                let condition = |lease: &Option<Lease>| rules == Rules::BlindBid || is_epoch(seen)(lease);
                self.lease_if(condition, Lease { epoch, owner: Some(owner), segment_hint })
            }
            Statement::Hint { segment, epoch } => {
                let owner = self.lease.and_then(|lease| lease.owner);
                self.lease_if(is_epoch(epoch), Lease { epoch, owner, segment_hint: segment })
            }
            Statement::Release { epoch } => {
                let segment_hint = self.lease.map_or(0, |lease| lease.segment_hint);
                self.lease_if(is_epoch(epoch), Lease { epoch, owner: None, segment_hint })
            }
            Statement::ReadHead { segment } => Outcome::Head(self.head(segment)),
            Statement::Seize { segment, seen, epoch } => {
                self.head_if(segment, |head| head.epoch == seen, |head| head.epoch = epoch)
            }
            Statement::Close { segment, epoch, next } => {
                self.head_if(segment, |head| *head == Head { epoch, next, closed: false }, |head| head.closed = true)
            }
            Statement::Open { segment, epoch, next } => self.open(segment, Head { epoch, next, closed: false }),
            Statement::Append { segment, epoch, seq } if rules == Rules::RowOnly => self.insert(segment, epoch, seq, body),
            Statement::Append { segment, epoch, seq } => self.append(segment, epoch, seq, body),
        }
    }

    pub(crate) fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// 0: there is no lease.
    pub(crate) fn epoch(&self) -> Epoch {
        self.lease.map_or(0, |lease| lease.epoch)
    }

    pub(crate) fn head(&self, segment: Segment) -> Option<Head> {
        self.segments.get(&segment).map(|stored| stored.head)
    }

    fn lease_if(&mut self, condition: impl Fn(&Option<Lease>) -> bool, lease: Lease) -> Outcome {
        if !condition(&self.lease) {
            return Outcome::RefusedLease(self.lease);
        }
        self.lease = Some(lease);
        Outcome::Applied
    }

    fn head_if(&mut self, segment: Segment, condition: impl Fn(&Head) -> bool, change: impl Fn(&mut Head)) -> Outcome {
        match self.segments.get_mut(&segment) {
            Some(stored) if condition(&stored.head) => change(&mut stored.head),
            other => return Outcome::RefusedHead(other.map(|stored| stored.head)),
        }
        Outcome::Applied
    }

    fn open(&mut self, segment: Segment, head: Head) -> Outcome {
        if let Some(found) = self.head(segment) {
            return Outcome::RefusedHead(Some(found));
        }
        self.segments.insert(segment, Stored { head, rows: BTreeMap::new() });
        Outcome::Applied
    }

    fn append(&mut self, segment: Segment, epoch: Epoch, seq: LogSeq, body: Body) -> Outcome {
        let condition = |head: &Head| *head == Head { epoch, next: seq, closed: false };
        let outcome = self.head_if(segment, condition, |head| head.next = seq + 1);
        if outcome == Outcome::Applied {
            self.put(segment, seq, body);
        }
        outcome
    }

    fn insert(&mut self, segment: Segment, epoch: Epoch, seq: LogSeq, body: Body) -> Outcome {
        let fresh = Stored { head: Head { epoch, next: seq, closed: false }, rows: BTreeMap::new() };
        let stored = self.segments.entry(segment).or_insert(fresh);
        if stored.rows.contains_key(&seq) {
            return Outcome::RefusedHead(Some(stored.head));
        }
        stored.head.next = seq + 1;
        self.put(segment, seq, body);
        Outcome::Applied
    }

    fn put(&mut self, segment: Segment, seq: LogSeq, body: Body) {
        self.forked |= seq != self.history.len() as LogSeq + 1;
        self.history.push(body);
        if let Some(stored) = self.segments.get_mut(&segment) {
            stored.rows.insert(seq, body);
        }
    }

    /// Whether a write can never again change anything. True for [`Rules::Fenced`] only: there no lease and no head is
    /// ever deleted, reopened or given a lower number.
    pub(crate) fn refuses_for_ever(&self, statement: Statement) -> bool {
        let lease = self.epoch();
        let passed = |segment, condition: &dyn Fn(Head) -> bool| self.head(segment).is_some_and(condition);
        match statement {
            Statement::ReadLease | Statement::ReadHead { .. } => true,
            Statement::CreateLease { .. } => lease > 0,
            Statement::Bid { seen: epoch, .. } | Statement::Hint { epoch, .. } | Statement::Release { epoch } => lease > epoch,
            Statement::Seize { segment, seen, .. } => passed(segment, &|head| head.epoch > seen),
            Statement::Open { segment, .. } => passed(segment, &|_| true),
            Statement::Append { segment, epoch, seq: next } | Statement::Close { segment, epoch, next } => {
                passed(segment, &|head| head.closed || head.epoch > epoch || head.next > next)
            }
        }
    }

    /// Segments retention may delete from: closed and followed by another.
    pub(crate) fn purgeable(&self, rules: Rules) -> impl Iterator<Item = Segment> {
        let last = self.segments.keys().next_back().copied();
        self.segments
            .iter()
            .filter(move |(segment, _)| Some(**segment) != last)
            .filter(move |(_, stored)| !stored.rows.is_empty() && (stored.head.closed || rules == Rules::RowOnly))
            .map(|(segment, _)| *segment)
    }

    pub(crate) fn purge(&mut self, rules: Rules, segment: Segment) {
        let Some(stored) = self.segments.get_mut(&segment) else { return };
        self.purged.extend(std::mem::take(&mut stored.rows).into_keys());
        if matches!(rules, Rules::HeadPurged | Rules::RowOnly) {
            self.segments.remove(&segment);
        }
    }

    /// Whether who replays everything before `next` has every batch that `older` epochs wrote or will ever have written.
    pub(crate) fn replays(&self, next: LogSeq, older: Epoch) -> bool {
        self.history.iter().zip(1..).all(|(body, seq)| {
            if seq < next { self.purged.contains(&seq) || self.row(seq) == Some(*body) } else { body.epoch >= older }
        })
    }

    fn row(&self, seq: LogSeq) -> Option<Body> {
        self.segments.values().find_map(|stored| stored.rows.get(&seq)).copied()
    }
}

fn is_epoch(epoch: Epoch) -> impl Fn(&Option<Lease>) -> bool {
    move |lease| lease.is_some_and(|lease| lease.epoch == epoch)
}
