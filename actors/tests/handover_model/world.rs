//! The world of the model: a table, shards with their inboxes, senders, and the guardian with its queue.
//!
//! What cannot make a difference is left out: facts, commits and replies that wait for them are checked by the simulation. A request is
//! answered at any time after it was read.

use crate::shards::{Host, Mail, Shard, Slot};
use holdfast_actors::placement::handover::{Action as Follows, Event, Handovers};
use holdfast_engine::ids::PartitionId;
use stateright::{Model, Property};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    StashDropped,
    /// The table names the new host when the old one has parted with the partition.
    TableLast,
    /// The old host does not give back the credits of what it had in hand.
    CreditsStay,
    /// A forwarded request takes a credit and leaves one.
    ForwardedTwice,
    /// Nobody looks after a departure that was lost in a panic.
    NotCleared,
    /// The old host goes on.
    BothHosts,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub shards: usize,
    pub partitions: u16,
    /// The partitions have them in turn.
    pub requests: u8,
    pub moves: u8,
    pub panics: u8,
    pub mistake: Mistake,
}

/// How far a request is, as its sender sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Unsent,
    /// It has a credit of this shard and is not in its inbox yet.
    Routed {
        shard: usize,
        life: u64,
    },
    Sent {
        life: u64,
    },
    Answered,
    Lost,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ToGuardian {
    Fallen(PartitionId, u64),
    Departed(PartitionId, Host),
    Arrived(PartitionId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub shard_of: Vec<usize>,
    pub lives: Vec<u64>,
    pub shards: Vec<Shard>,
    pub requests: Vec<Request>,
    pub guardian: VecDeque<ToGuardian>,
    pub handovers: Handovers,
    /// Partitions that are folded, with their next lives.
    pub folding: BTreeMap<PartitionId, u64>,
    pub moves: u8,
    pub panics: u8,
    pub forwarded: bool,
    pub stashed: bool,
    pub rebuilt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A sender looks into the table and takes a credit.
    Route(u8),
    Push(u8),
    Ask {
        partition: PartitionId,
        to: usize,
    },
    Begin,
    /// The guardian reads a message.
    Hear,
    Fold(PartitionId),
    Read(usize),
    /// The shard panics while it reads a message, which is gone.
    PanicReading(usize),
    Answer {
        shard: usize,
        partition: PartitionId,
    },
    Panic {
        shard: usize,
        partition: PartitionId,
    },
}

impl State {
    pub(crate) fn partition_of(&self, request: u8) -> PartitionId {
        PartitionId(u16::from(request) % self.shard_of.len() as u16)
    }
}

impl World {
    fn ids(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.partitions).map(PartitionId)
    }

    fn begin(&self, state: &mut State) {
        let State { handovers, shard_of, .. } = state;
        let Some(route) = handovers.begin(|id| shard_of[usize::from(id.0)]) else { return };
        if self.mistake != Mistake::TableLast {
            state.shard_of[usize::from(route.partition.0)] = route.to;
        }
        state.shards[route.from].inbox.push_back(Mail::Depart(route.partition));
    }

    fn hear(&self, state: &mut State) -> Option<()> {
        match state.guardian.pop_front()? {
            ToGuardian::Fallen(id, life) => {
                state.folding.insert(id, life + 1);
                self.follow(state, id, Event::Fell, None);
            }
            ToGuardian::Departed(id, host) => self.follow(state, id, Event::Departed, Some(host)),
            ToGuardian::Arrived(id) => self.follow(state, id, Event::Arrived, None),
        }
        Some(())
    }

    fn follow(&self, state: &mut State, id: PartitionId, event: Event, host: Option<Host>) {
        match state.handovers.heard(id, event) {
            Some(Follows::Deliver(route)) => {
                state.shard_of[usize::from(id.0)] = route.to;
                state.shards[route.to].inbox.extend(host.map(|host| Mail::Arrive(id, host)));
            }
            Some(Follows::Clear(route)) if self.mistake != Mistake::NotCleared => {
                state.shards[route.from].inbox.push_back(Mail::Depart(id));
            }
            Some(Follows::Clear(_)) => {}
            Some(Follows::Finished(_, outcome)) => {
                state.rebuilt |= outcome == holdfast_actors::placement::handover::Outcome::Rebuilt;
            }
            None => assert!(host.is_none(), "a partition departed that nobody moves"),
        }
    }

    fn fold(&self, state: &mut State, id: PartitionId) -> Option<()> {
        let life = state.folding.remove(&id)?;
        self.follow(state, id, Event::Rebuilt, None);
        let shard = state.shard_of[usize::from(id.0)];
        state.shards[shard].inbox.push_back(Mail::Host(id, life));
        Some(())
    }

    fn route(state: &mut State, request: u8) {
        let index = usize::from(state.partition_of(request).0);
        let (shard, life) = (state.shard_of[index], state.lives[index]);
        state.shards[shard].taken += 1;
        state.requests[usize::from(request)] = Request::Routed { shard, life };
    }

    fn push(state: &mut State, request: u8) -> Option<()> {
        let Request::Routed { shard, life } = state.requests[usize::from(request)] else { return None };
        state.shards[shard].inbox.push_back(Mail::Request(request));
        state.requests[usize::from(request)] = Request::Sent { life };
        Some(())
    }

    fn actions_of_shard(&self, state: &State, shard: usize, actions: &mut Vec<Action>) {
        let Shard { inbox, slots, .. } = &state.shards[shard];
        if let Some(first) = inbox.front() {
            actions.push(Action::Read(shard));
            // A request is counted as in hand before anything can panic, and a partition is here before anything can.
            if state.panics > 0 && matches!(first, Mail::Depart(_)) {
                actions.push(Action::PanicReading(shard));
            }
        }
        for (id, slot) in slots.iter().enumerate() {
            let (Slot::Here(host), partition) = (slot, PartitionId(id as u16)) else { continue };
            if !host.in_hand.is_empty() {
                actions.push(Action::Answer { shard, partition });
            }
            if state.panics > 0 {
                actions.push(Action::Panic { shard, partition });
            }
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let shard_of: Vec<usize> = self.ids().map(|id| usize::from(id.0) % self.shards).collect();
        let mut shards = vec![Shard::new(usize::from(self.partitions)); self.shards];
        for (id, shard) in shard_of.iter().enumerate() {
            shards[*shard].slots[id] = Slot::Here(Host::default());
        }
        vec![State {
            lives: vec![0; shard_of.len()],
            shard_of,
            shards,
            requests: vec![Request::Unsent; usize::from(self.requests)],
            guardian: VecDeque::new(),
            handovers: Handovers::default(),
            folding: BTreeMap::new(),
            moves: self.moves,
            panics: self.panics,
            forwarded: false,
            stashed: false,
            rebuilt: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, request) in state.requests.iter().enumerate() {
            match request {
                Request::Unsent => actions.push(Action::Route(number as u8)),
                Request::Routed { .. } => actions.push(Action::Push(number as u8)),
                Request::Sent { .. } | Request::Answered | Request::Lost | Request::Refused => {}
            }
        }
        if state.moves > 0 {
            let to = |partition| (0..self.shards).map(move |to| Action::Ask { partition, to });
            actions.extend(self.ids().flat_map(to));
        }
        if !state.guardian.is_empty() {
            actions.push(Action::Hear);
        }
        actions.extend(state.folding.keys().map(|id| Action::Fold(*id)));
        if !state.handovers.idle() {
            actions.push(Action::Begin);
        }
        (0..self.shards).for_each(|shard| self.actions_of_shard(state, shard, actions));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Route(request) => Self::route(&mut state, request),
            Action::Push(request) => Self::push(&mut state, request)?,
            Action::Ask { partition, to } => {
                state.moves -= 1;
                state.handovers.request(partition, to);
            }
            Action::Begin => self.begin(&mut state),
            Action::Hear => self.hear(&mut state)?,
            Action::Fold(id) => self.fold(&mut state, id)?,
            Action::Read(shard) => self.read(&mut state, shard)?,
            Action::PanicReading(shard) => self.panic_reading(&mut state, shard)?,
            Action::Answer { shard, partition } => self.answer(&mut state, shard, partition)?,
            Action::Panic { shard, partition } => {
                state.panics -= 1;
                self.fall(&mut state, shard, partition);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::all()
    }
}
