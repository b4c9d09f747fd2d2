//! What was asked of the placement, and how far it has come.
//!
//! Invariants: one operation runs at a time; one that has begun is done, or failed with a reason.

use super::handover::Move;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Operations that are remembered when they have ended.
const REMEMBERED: usize = 64;

/// What an operation is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// So many shards, with level loads.
    Shards(usize),
    /// One partition at one shard, and it stays there.
    Partition(Move),
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Done,
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Counts the operations of this process from 1.
    pub id: u64,
    pub goal: Goal,
    pub state: State,
    /// Moves that it takes.
    pub moves: usize,
    /// Those that have ended.
    pub moved: usize,
}

/// Why an operation does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("operation {0} is running")]
    Running(u64),
    #[error("there are 1 to {0} shards at most, one for each partition")]
    Shards(usize),
    #[error("there is no such partition")]
    Partition,
    #[error("there is no such shard: the last one is {0}")]
    Shard(usize),
    #[error("the engine stops")]
    Stopping,
}

/// The operations of an engine. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Operations(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    /// Oldest first.
    operations: VecDeque<Operation>,
}

impl Operations {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, id: u64) -> Option<Operation> {
        self.lock().operations.iter().find(|one| one.id == id).cloned()
    }

    /// The one that runs.
    pub fn running(&self) -> Option<Operation> {
        self.lock().operations.iter().find(|one| one.state == State::Running).cloned()
    }

    /// The one that began last.
    pub fn last(&self) -> Option<Operation> {
        self.lock().operations.back().cloned()
    }

    /// # Errors
    /// If another one runs.
    pub fn begin(&self, goal: Goal) -> Result<Operation, Refused> {
        let mut known = self.lock();
        if let Some(running) = known.operations.iter().find(|one| one.state == State::Running) {
            return Err(Refused::Running(running.id));
        }
        known.last += 1;
        let operation = Operation { id: known.last, goal, state: State::Running, moves: 0, moved: 0 };
        if known.operations.len() == REMEMBERED {
            known.operations.pop_front();
        }
        known.operations.push_back(operation.clone());
        Ok(operation)
    }

    /// One that has ended stays as it ended.
    fn change(&self, id: u64, change: impl FnOnce(&mut Operation)) {
        let mut known = self.lock();
        let found = known.operations.iter_mut().find(|one| one.id == id && one.state == State::Running);
        if let Some(one) = found {
            change(one);
        }
    }

    pub fn takes(&self, id: u64, moves: usize) {
        self.change(id, |one| one.moves = moves);
    }

    pub fn moved(&self, id: u64) {
        self.change(id, |one| one.moved += 1);
    }

    pub fn end(&self, id: u64, ended: Result<(), String>) {
        self.change(id, |one| one.state = ended.map_or_else(State::Failed, |()| State::Done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operation_runs_at_a_time_and_one_that_ended_stays_as_it_ended() {
        let operations = Operations::default();
        let first = operations.begin(Goal::Shards(2)).unwrap();
        assert_eq!(operations.begin(Goal::Shards(3)), Err(Refused::Running(first.id)));
        operations.takes(first.id, 2);
        operations.moved(first.id);
        operations.end(first.id, Err("the engine stops".to_owned()));
        operations.end(first.id, Ok(()));
        let state = State::Failed("the engine stops".to_owned());
        assert_eq!(operations.get(first.id), Some(Operation { moves: 2, moved: 1, state, ..first }));
        assert!(operations.running().is_none() && operations.begin(Goal::Shards(3)).is_ok());
    }

    #[test]
    fn a_bounded_number_of_operations_is_remembered() {
        let operations = Operations::default();
        for _ in 0..REMEMBERED + 5 {
            let one = operations.begin(Goal::Shards(1)).unwrap();
            operations.end(one.id, Ok(()));
        }
        assert!(operations.get(5).is_none() && operations.get(6).is_some());
    }
}
