//! The adversary: every order in which statements, answers, owners and retention can follow each other.
//!
//! A statement once issued lands at any later time, any number of times, whatever its owner has learned or become. An
//! answer is lost, or arrives after the world has moved on. An owner that takes no further step has stopped for ever.
//! A new owner starts at any time; a closed segment is purged at any time.
//!
//! What cannot make a difference is left out. An answer is heard when it is given: hearing touches only its owner, so
//! one that hears late is one that takes its next step late. A claim starts when its first read is answered. Owners that
//! are fenced are forgotten, and so, with `forget`, are writes that are refused for ever.

use crate::mistakes::Mistake;
use crate::store::{Body, Rules, Store};
use holdfast_storage::LogSeq;
use holdfast_storage::fencing::{Epoch, Fence, Head, Next, Outcome, Owner, Segment, SegmentLimits, Statement};
use stateright::{Model, Property};
use std::collections::BTreeSet;

/// A log number has one batch, and numbers have no gaps.
pub(crate) const ONE_HISTORY: &str = "one dense history";
/// What was reported as durable is in the log.
pub(crate) const DURABLE: &str = "durable batches stay";
/// Who takes over replays every batch of those before it.
pub(crate) const REPLAYED: &str = "successors replay everything";
/// Once a successor has taken over, no earlier owner appends.
pub(crate) const FENCED: &str = "a fenced owner never appends";
/// What was reported as failed is not in the log.
pub(crate) const FAILED: &str = "failed batches never appear";
/// No owner meets a state it takes for damage.
pub(crate) const NO_ALARM: &str = "no false alarm";
/// An epoch has one owner.
pub(crate) const ONE_OWNER: &str = "an epoch has one owner";

#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    /// Claims that may start.
    pub claims: u8,
    /// How many epochs a claim may leave out.
    pub leaps: Epoch,
    /// All claims are made by one process, which drops a claim when it starts the next.
    pub one_process: bool,
    /// An idle owner may give the partition back.
    pub releases: bool,
    pub segment_batches: u64,
    pub last: LogSeq,
    pub rules: Rules,
    pub mistake: Mistake,
    pub forget: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Claimant {
    fence: Fence,
    /// Only what some mistakes need: the head read last, and the attempt at the append in hand.
    seen: Option<Head>,
    attempt: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    store: Store,
    started: u8,
    claimants: Vec<Claimant>,
    /// Every conditional write ever issued.
    issued: BTreeSet<(Statement, Body)>,
    won: BTreeSet<Epoch>,
    /// The highest epoch whose takeover was completed.
    successor: Epoch,
    failed: BTreeSet<(LogSeq, Body)>,
    broken: BTreeSet<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Whoever has another partition may know of a higher epoch than the lease of this one shows.
    Claim {
        bid: Epoch,
    },
    Append {
        claimant: usize,
    },
    Release {
        claimant: usize,
    },
    /// The servers answer the statement in hand.
    Answer {
        claimant: usize,
    },
    /// The answer never arrives. The statement may land, before this or ever after.
    Lose {
        claimant: usize,
    },
    /// A statement lands without an answer.
    Land {
        statement: Statement,
        body: Body,
    },
    Purge {
        segment: Segment,
    },
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.started < self.claims {
            let next = state.store.epoch() + 1;
            actions.extend((next..=next + self.leaps).map(|bid| Action::Claim { bid }));
        }
        for (claimant, it) in state.claimants.iter().enumerate() {
            if it.fence.is_idle() && it.fence.next() <= self.last {
                actions.push(Action::Append { claimant });
            }
            if self.releases && it.fence.is_idle() {
                actions.push(Action::Release { claimant });
            }
            if it.fence.in_hand().is_some() {
                actions.extend([Action::Answer { claimant }, Action::Lose { claimant }]);
            }
        }
        actions.extend(state.issued.iter().map(|&(statement, body)| Action::Land { statement, body }));
        actions.extend(state.store.purgeable(self.rules).map(|segment| Action::Purge { segment }));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim { bid } => self.claim(&mut state, bid),
            Action::Append { claimant } => {
                let statement = state.claimants[claimant].fence.append(0)?;
                self.issue(&mut state, claimant, statement);
            }
            Action::Release { claimant } => {
                let statement = state.claimants[claimant].fence.release()?;
                self.issue(&mut state, claimant, statement);
            }
            Action::Answer { claimant } => self.answer(&mut state, claimant)?,
            Action::Lose { claimant } => self.lose(&mut state, claimant)?,
            Action::Land { statement, body } => _ = self.execute(&mut state, statement, body),
            Action::Purge { segment } => state.store.purge(self.rules, segment),
        }
        if self.forget {
            let State { store, issued, .. } = &mut state;
            issued.retain(|(statement, _)| !store.refuses_for_ever(*statement));
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_HISTORY, |_, state: &State| !state.store.forked),
            Property::always(DURABLE, |_, state: &State| !state.broken.contains(DURABLE)),
            Property::always(REPLAYED, |_, state: &State| !state.broken.contains(REPLAYED)),
            Property::always(FENCED, |_, state: &State| !state.broken.contains(FENCED)),
            Property::always(FAILED, |_, state: &State| !state.failed.iter().any(|(seq, body)| state.has(*seq, *body))),
            Property::always(ONE_OWNER, |_, state: &State| !state.broken.contains(ONE_OWNER)),
            Property::always(NO_ALARM, |_, state: &State| !state.broken.contains(NO_ALARM)),
            Property::sometimes("the log is filled", |world: &World, state: &State| {
                state.store.history.len() as LogSeq == world.last
            }),
            Property::sometimes("every claim gets its turn", |world: &World, state: &State| {
                state.won.len() == usize::from(world.claims) && state.won.last() == Some(&state.successor)
            }),
        ]
    }
}

impl World {
    fn claim(&self, state: &mut State, bid: Epoch) {
        if self.one_process {
            state.claimants.clear();
        }
        let owner = if self.one_process { 0 } else { state.started };
        let limits = SegmentLimits { batches: self.segment_batches, bytes: u64::MAX };
        let (fence, read) = Fence::claim(Owner(owner.into()), bid, limits);
        state.started += 1;
        state.claimants.push(Claimant { fence, seen: None, attempt: 0 });
        let outcome = state.store.execute(self.rules, read, Body { epoch: 0, attempt: 0 });
        self.tell(state, state.claimants.len() - 1, outcome);
    }

    fn issue(&self, state: &mut State, claimant: usize, statement: Statement) {
        let it = &state.claimants[claimant];
        let sent = self.mistake.unsent(&it.fence, statement, &state.store).is_none();
        if sent && !matches!(statement, Statement::ReadLease | Statement::ReadHead { .. }) {
            state.issued.insert((statement, it.body(statement)));
        }
    }

    fn execute(&self, state: &mut State, statement: Statement, body: Body) -> Outcome {
        let applied = state.store.history.len();
        let outcome = state.store.execute(self.rules, statement, body);
        if state.store.history.len() > applied && body.epoch < state.successor {
            state.broken.insert(FENCED);
        }
        outcome
    }

    fn answer(&self, state: &mut State, claimant: usize) -> Option<()> {
        let it = &state.claimants[claimant];
        let (statement, body) = (it.fence.in_hand()?, it.body(it.fence.in_hand()?));
        let outcome = match self.mistake.unsent(&it.fence, statement, &state.store) {
            Some(outcome) => outcome,
            None => self.execute(state, statement, body),
        };
        let it = &mut state.claimants[claimant];
        let reported = self.mistake.reported(&it.fence, statement, it.seen, outcome);
        if let (Mistake::HeadReadBeforeSeizure, Outcome::Head(head)) = (self.mistake, reported) {
            it.seen = head;
        }
        self.tell(state, claimant, reported);
        Some(())
    }

    fn lose(&self, state: &mut State, claimant: usize) -> Option<()> {
        let it = &mut state.claimants[claimant];
        let statement = it.fence.in_hand()?;
        let body = it.body(statement);
        if let Statement::Append { seq, .. } = statement {
            match self.mistake {
                Mistake::UnknownIsFailed => _ = state.failed.insert((seq, body)),
                Mistake::UnknownIsReplaced => it.attempt = 1,
                _ => {}
            }
        }
        self.tell(state, claimant, self.mistake.unknown(statement));
        Some(())
    }

    fn tell(&self, state: &mut State, claimant: usize, outcome: Outcome) {
        let before = state.claimants[claimant].fence.epoch();
        let next = state.claimants[claimant].fence.on(outcome);
        let epoch = state.claimants[claimant].fence.epoch();
        if epoch != before && !state.won.insert(epoch) {
            state.broken.insert(ONE_OWNER);
        }
        match next {
            Next::Execute(statement) | Next::Retry(statement) => self.issue(state, claimant, statement),
            Next::Idle => state.taken_over(claimant),
            Next::Durable(seq) => state.acknowledged(claimant, seq),
            Next::Fenced { .. } | Next::Released => _ = state.claimants.remove(claimant),
            Next::Corrupt(_) => {
                state.claimants.remove(claimant);
                state.broken.insert(NO_ALARM);
            }
        }
    }
}

impl Claimant {
    fn body(&self, statement: Statement) -> Body {
        let attempt = if matches!(statement, Statement::Append { .. }) { self.attempt } else { 0 };
        Body { epoch: self.fence.epoch(), attempt }
    }
}

impl State {
    fn taken_over(&mut self, claimant: usize) {
        let fence = &self.claimants[claimant].fence;
        self.successor = self.successor.max(fence.epoch());
        if !self.store.replays(fence.next(), fence.epoch()) {
            self.broken.insert(REPLAYED);
        }
    }

    fn acknowledged(&mut self, claimant: usize, seq: LogSeq) {
        let it = &mut self.claimants[claimant];
        let body = Body { epoch: it.fence.epoch(), attempt: std::mem::take(&mut it.attempt) };
        if !self.failed.contains(&(seq, body)) && !self.has(seq, body) {
            self.broken.insert(DURABLE);
        }
    }

    fn has(&self, seq: LogSeq, body: Body) -> bool {
        self.store.history.iter().zip(1..).any(|(found, at)| at == seq && *found == body)
    }
}
