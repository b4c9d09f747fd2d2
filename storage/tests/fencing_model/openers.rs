//! Several who open a log of several partitions at once: in every order of their steps one of them gets all partitions.
//!
//! Each has a real fence for each partition. What is lost, late or doubled is the matter of `world`; here a statement may
//! land once before it is answered, which a driver meets as a refusal by its own bid.

use crate::store::{Body, Rules, Store};
use holdfast_storage::fencing::{Epoch, Fence, Lease, Next, Owner, SegmentLimits, Statement, bid_above};
use stateright::{Model, Property};

/// Who ends with every partition is one, and the others are fenced.
pub(crate) const ONE_OPENS: &str = "one of those who open at once gets every partition";
/// Nobody tries for ever.
pub(crate) const ALL_END: &str = "all who open come to an end";

/// How an opener finds its epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bids {
    /// One for all partitions, above every lease, on the first partition first.
    OneForAll,
    /// One above the lease of each partition, on all at once: those who outbid each other here and there all stop.
    EachAlone,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Openers {
    pub openers: u8,
    pub partitions: usize,
    pub bids: Bids,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    stores: Vec<Store>,
    openers: Vec<Opener>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Opener {
    Reads(Vec<Option<Lease>>),
    /// By partition; None: not begun.
    Claims(Epoch, Vec<Option<Fence>>),
    Fenced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read { opener: usize },
    Answer { opener: usize, partition: usize },
    Land { opener: usize, partition: usize },
}

impl Model for Openers {
    type State = State;
    type Action = Action;

    /// An empty keyspace, and one whose partitions went through unequally many hands.
    fn init_states(&self) -> Vec<State> {
        let openers = vec![Opener::Reads(Vec::new()); usize::from(self.openers)];
        let used = (0..self.partitions).map(|partition| used(partition as Epoch * 2)).collect();
        [vec![Store::default(); self.partitions], used].map(|stores| State { stores, openers: openers.clone() }).into()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (opener, it) in state.openers.iter().enumerate() {
            match it {
                Opener::Reads(_) => actions.push(Action::Read { opener }),
                Opener::Claims(_, fences) => {
                    let busy = |fence: &Option<Fence>| fence.as_ref().is_some_and(|fence| fence.in_hand().is_some());
                    for (partition, _) in fences.iter().enumerate().filter(|(_, fence)| busy(fence)) {
                        actions.extend([Action::Answer { opener, partition }, Action::Land { opener, partition }]);
                    }
                }
                Opener::Fenced => {}
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Read { opener } => self.read(&mut state, opener),
            Action::Answer { opener, partition } => answer(&mut state, opener, partition),
            Action::Land { opener, partition } => {
                if let Opener::Claims(_, fences) = &state.openers[opener] {
                    execute(&mut state.stores[partition], fences[partition].as_ref()?);
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_OPENS, |_, state: &State| !state.ended() || state.opened() == 1),
            Property::eventually(ALL_END, |_, state: &State| state.ended()),
            Property::sometimes("an opener is outbid after it won the first partition", |_, state: &State| {
                let first = state.stores[0].epoch();
                state.openers.iter().any(|it| matches!(it, Opener::Claims(epoch, fences) if *epoch < first && idle(&fences[0])))
            }),
        ]
    }
}

impl Openers {
    fn read(&self, state: &mut State, opener: usize) {
        let Opener::Reads(leases) = &mut state.openers[opener] else { return };
        leases.push(state.stores[leases.len()].lease());
        if leases.len() < self.partitions {
            return;
        }
        let bid = bid_above(leases.iter().copied()).expect("small numbers");
        let claim = |partition: usize| {
            let epoch = if self.bids == Bids::OneForAll { bid } else { state.stores[partition].epoch() + 1 };
            let begun = partition == 0 || self.bids == Bids::EachAlone;
            begun.then(|| claimed(opener, epoch))
        };
        state.openers[opener] = Opener::Claims(bid, (0..self.partitions).map(claim).collect());
    }
}

impl State {
    fn ended(&self) -> bool {
        self.openers.iter().all(|it| matches!(it, Opener::Fenced) || it.opened())
    }

    /// How many have every partition, and were not outbid since.
    fn opened(&self) -> usize {
        let newest = |fence: &Option<Fence>, store: &Store| fence.as_ref().is_some_and(|it| it.epoch() == store.epoch());
        let newest = |fences: &[Option<Fence>]| fences.iter().zip(&self.stores).all(|(fence, store)| newest(fence, store));
        self.openers.iter().filter(|it| matches!(it, Opener::Claims(_, fences) if it.opened() && newest(fences))).count()
    }
}

impl Opener {
    fn opened(&self) -> bool {
        matches!(self, Opener::Claims(_, fences) if fences.iter().all(idle))
    }
}

fn idle(fence: &Option<Fence>) -> bool {
    fence.as_ref().is_some_and(Fence::is_idle)
}

fn claimed(opener: usize, bid: Epoch) -> Fence {
    let limits = SegmentLimits { batches: 2, bytes: u64::MAX };
    Fence::claim(Owner(opener as u128), bid, limits).0
}

fn answer(state: &mut State, opener: usize, partition: usize) {
    let Opener::Claims(bid, fences) = &mut state.openers[opener] else { return };
    let Some(fence) = &mut fences[partition] else { return };
    let outcome = execute(&mut state.stores[partition], fence);
    match fence.on(outcome) {
        Next::Fenced { .. } => state.openers[opener] = Opener::Fenced,
        Next::Idle => fences.iter_mut().for_each(|fence| _ = fence.get_or_insert_with(|| claimed(opener, *bid))),
        Next::Execute(_) => {}
        other => panic!("{other:?}"),
    }
}

fn execute(store: &mut Store, fence: &Fence) -> holdfast_storage::fencing::Outcome {
    let statement = fence.in_hand().unwrap_or(Statement::ReadLease);
    store.execute(Rules::Fenced, statement, Body { epoch: fence.epoch(), attempt: 0 })
}

/// A partition that was taken over, the last time under `epoch`.
fn used(epoch: Epoch) -> Store {
    let mut store = Store::default();
    if epoch > 0 {
        let mut fence = claimed(usize::MAX, epoch);
        while !fence.is_idle() {
            let outcome = execute(&mut store, &fence);
            fence.on(outcome);
        }
    }
    store
}
