//! Appending and rolling: what the owner of the open segment does.
//!
//! Only the owner of an epoch writes under it, one statement at a time. So a refusal that shows our epoch and exactly
//! what the statement would have left is our own earlier attempt, and any other state under our epoch cannot be. The
//! first attempt can be refused so too: a server that lost contact halfway may finish it and then try it again.

use super::{Fence, Head, Next, Outcome, Statement, Step, Task};
use crate::contract::LogSeq;

impl Fence {
    pub(super) fn start_append(&mut self, bytes: u64) -> Statement {
        let statement = if self.is_full(bytes) {
            Statement::Close { segment: self.segment, epoch: self.epoch, next: self.next }
        } else {
            self.append_statement()
        };
        self.step = Step::Waiting { task: Task::Append { bytes }, statement };
        statement
    }

    /// An empty segment is never full: a batch larger than the limit has to go somewhere.
    fn is_full(&self, bytes: u64) -> bool {
        let batches = self.next - self.first;
        batches > 0 && (batches >= self.limits.batches || self.bytes.saturating_add(bytes) > self.limits.bytes)
    }

    fn append_statement(&self) -> Statement {
        Statement::Append { segment: self.segment, epoch: self.epoch, seq: self.next }
    }

    pub(super) fn on_append(&mut self, bytes: u64, statement: Statement, outcome: Outcome) -> Next {
        let task = Task::Append { bytes };
        match statement {
            Statement::Append { seq, .. } => match self.ours(statement, outcome, self.head(seq + 1, false)) {
                Ok(()) => self.durable(seq, bytes),
                Err(next) => next,
            },
            Statement::Close { segment, epoch, next } => match self.ours(statement, outcome, self.head(next, true)) {
                Ok(()) => self.execute(task, Statement::Open { segment: segment + 1, epoch, next }),
                Err(next) => next,
            },
            // Who closed the segment before opens this one: an older epoch cannot have been here first.
            Statement::Open { segment, next, .. } => match self.ours(statement, outcome, self.head(next, false)) {
                Ok(()) => {
                    self.enter(segment, next);
                    self.head_hint(task)
                }
                Err(next) => next,
            },
            Statement::Hint { .. } => match self.still_leased(statement, outcome) {
                Ok(()) => self.execute(task, self.append_statement()),
                Err(next) => next,
            },
            _ => self.corrupt(statement, outcome),
        }
    }

    /// Whether `statement` was carried out, by this attempt or an earlier one; `left` is the head it leaves behind.
    pub(super) fn ours(&mut self, statement: Statement, outcome: Outcome, left: Head) -> Result<(), Next> {
        match outcome {
            Outcome::Applied => Ok(()),
            Outcome::RefusedHead(Some(head)) if head == left => Ok(()),
            Outcome::RefusedHead(Some(head)) if head.epoch > self.epoch => Err(self.fenced(head.epoch)),
            found => Err(self.corrupt(statement, found)),
        }
    }

    pub(super) fn head(&self, next: LogSeq, closed: bool) -> Head {
        Head { epoch: self.epoch, next, closed }
    }

    /// `segment` is empty and ours.
    pub(super) fn enter(&mut self, segment: super::Segment, next: LogSeq) {
        (self.segment, self.first, self.next, self.bytes) = (segment, next, next, 0);
    }

    fn durable(&mut self, seq: LogSeq, bytes: u64) -> Next {
        self.next = seq + 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.step = Step::Idle;
        Next::Durable(seq)
    }
}
