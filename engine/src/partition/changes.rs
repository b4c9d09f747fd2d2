//! What operators changed: the trail of the last changes, and its pages.
//!
//! Invariant: numbers rise by one, so the last of them is how many there were, remembered or not.

use super::Partition;
use super::turn::{Request, Turn};
use crate::answer::Answer;
use crate::event::{Change, Changed, Event, OperatorFact};
use crate::limits;
use std::collections::VecDeque;

/// The last changes, the newest at the back.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(VecDeque<Changed>);

impl Trail {
    pub(super) fn push(&mut self, changed: Changed) {
        if self.0.len() >= limits::MAX_CHANGES {
            self.0.pop_front();
        }
        self.0.push_back(changed);
    }

    /// As a snapshot has it.
    pub(super) fn read(changes: Vec<Changed>) -> Self {
        Self(changes.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Changed> {
        self.0.iter()
    }

    fn next_number(&self) -> u64 {
        self.0.back().map_or(1, |last| last.change.number + 1)
    }

    /// The newest first, of those with numbers below `before`.
    fn page(&self, before: Option<u64>, limit: usize) -> Vec<Changed> {
        let older = self.0.iter().rev().filter(|changed| before.is_none_or(|before| changed.change.number < before));
        older.take(limit).cloned().collect()
    }
}

impl Partition {
    /// Journals changes, all in one batch, and answers with them as they are numbered.
    pub(super) fn record_changes(&mut self, turn: &mut Turn<'_>, request: Request, changes: Vec<Change>) {
        let mut recorded = Vec::with_capacity(changes.len());
        for change in changes {
            let change = Box::new(Change { number: self.changes.next_number(), ..change });
            self.emit(turn, Event::Operator(OperatorFact::Changed(change.clone())));
            recorded.push(Changed { at: self.at, change });
        }
        self.reply(turn, request.ticket, Ok(Answer::Changes(recorded)), false);
    }

    pub(super) fn list_changes(&mut self, turn: &mut Turn<'_>, request: Request, before: Option<u64>, limit: usize) {
        let page = self.changes.page(before, limit);
        self.reply(turn, request.ticket, Ok(Answer::Changes(page)), false);
    }
}
