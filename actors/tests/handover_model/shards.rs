//! What a shard of the model does with what it is sent: as `actors/src/shard` does it, without facts.

use crate::world::{Mistake, Request, State, ToGuardian, World};
use holdfast_actors::placement::stash::{Kind, Stash};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Timestamp;
use std::collections::VecDeque;

/// A partition that is somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub life: u64,
    pub in_hand: VecDeque<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Away,
    /// In this life.
    Returning(u64),
    Here(Host),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mail {
    Request(u8),
    Depart(PartitionId),
    Arrive(PartitionId, Host),
    Host(PartitionId, u64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shard {
    pub inbox: VecDeque<Mail>,
    pub slots: Vec<Slot>,
    pub stash: Stash<u8>,
    /// Credits that are out.
    pub taken: i8,
}

const NOW: Timestamp = Timestamp::ZERO;

impl Shard {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { inbox: VecDeque::new(), slots: vec![Slot::Away; partitions], stash: Stash::default(), taken: 0 }
    }
}

impl World {
    pub(crate) fn read(&self, state: &mut State, shard: usize) -> Option<()> {
        match state.shards[shard].inbox.pop_front()? {
            Mail::Request(request) => self.request(state, shard, request),
            Mail::Depart(id) => self.depart(state, shard, id),
            Mail::Arrive(id, host) => {
                state.shards[shard].taken += host.in_hand.len() as i8;
                self.comes(state, shard, id, host);
            }
            Mail::Host(id, life) => self.host(state, shard, id, life),
        }
        Some(())
    }

    fn request(&self, state: &mut State, shard: usize, request: u8) {
        let id = state.partition_of(request);
        match &mut state.shards[shard].slots[usize::from(id.0)] {
            Slot::Here(host) => host.in_hand.push_back(request),
            Slot::Returning(_) => {
                state.shards[shard].taken -= 1;
                end(state, request, Request::Refused);
            }
            Slot::Away => self.forward(state, shard, request),
        }
    }

    fn forward(&self, state: &mut State, shard: usize, request: u8) {
        let id = state.partition_of(request);
        let to = state.shard_of[usize::from(id.0)];
        if to == shard {
            state.stashed = true;
            return state.shards[shard].stash.put(NOW, id, Kind::Once, request);
        }
        state.forwarded = true;
        state.shards[to].taken += 1;
        state.shards[to].inbox.push_back(Mail::Request(request));
        if self.mistake != Mistake::ForwardedTwice {
            state.shards[shard].taken -= 1;
        }
    }

    fn depart(&self, state: &mut State, shard: usize, id: PartitionId) {
        let one = &mut state.shards[shard];
        let slot = &mut one.slots[usize::from(id.0)];
        match std::mem::replace(slot, Slot::Away) {
            Slot::Here(host) => {
                if self.mistake == Mistake::BothHosts {
                    *slot = Slot::Here(Host::default());
                }
                if self.mistake != Mistake::CreditsStay {
                    one.taken -= host.in_hand.len() as i8;
                }
                state.guardian.push_back(ToGuardian::Departed(id, host));
            }
            Slot::Returning(_) | Slot::Away => {}
        }
    }

    fn host(&self, state: &mut State, shard: usize, id: PartitionId, life: u64) {
        let fresh = Host { life, in_hand: VecDeque::new() };
        match &state.shards[shard].slots[usize::from(id.0)] {
            Slot::Returning(awaited) if *awaited == life => state.shards[shard].slots[usize::from(id.0)] = Slot::Here(fresh),
            Slot::Away if state.shard_of[usize::from(id.0)] == shard => self.comes(state, shard, id, fresh),
            other => unreachable!("{id:?} in life {life} comes to {other:?}"),
        }
    }

    /// What waits is read next, in the order it came.
    fn comes(&self, state: &mut State, shard: usize, id: PartitionId, host: Host) {
        let one = &mut state.shards[shard];
        let before = std::mem::replace(&mut one.slots[usize::from(id.0)], Slot::Here(host));
        assert_eq!(before, Slot::Away, "{id:?} comes to where it is");
        let waiting = one.stash.take(NOW, id);
        if self.mistake != Mistake::StashDropped {
            waiting.into_iter().rev().for_each(|request| one.inbox.push_front(Mail::Request(request)));
        }
        state.guardian.push_back(ToGuardian::Arrived(id));
    }

    pub(crate) fn answer(&self, state: &mut State, shard: usize, id: PartitionId) -> Option<()> {
        let one = &mut state.shards[shard];
        let Slot::Here(host) = &mut one.slots[usize::from(id.0)] else { return None };
        let request = host.in_hand.pop_front()?;
        one.taken -= 1;
        end(state, request, Request::Answered);
        Some(())
    }

    /// Everything in hand of this life or an earlier one is lost, and whoever waits hears of it.
    pub(crate) fn fall(&self, state: &mut State, shard: usize, id: PartitionId) {
        let one = &mut state.shards[shard];
        let slot = &mut one.slots[usize::from(id.0)];
        let Slot::Here(host) = std::mem::replace(slot, Slot::Away) else { return };
        *slot = Slot::Returning(host.life + 1);
        one.taken -= host.in_hand.len() as i8;
        state.lives[usize::from(id.0)] = host.life + 1;
        for request in 0..state.requests.len() as u8 {
            let of_it = |life| life <= host.life && state.partition_of(request) == id;
            if matches!(state.requests[usize::from(request)], Request::Sent { life } if of_it(life)) {
                end(state, request, Request::Lost);
            }
        }
        state.guardian.push_back(ToGuardian::Fallen(id, host.life));
    }

    pub(crate) fn panic_reading(&self, state: &mut State, shard: usize) -> Option<()> {
        state.panics -= 1;
        state.shards[shard].inbox.pop_front()?;
        (0..self.partitions).for_each(|id| self.fall(state, shard, PartitionId(id)));
        Some(())
    }
}

/// A request that has ended stays as it ended.
fn end(state: &mut State, request: u8, ended: Request) {
    let request = &mut state.requests[usize::from(request)];
    if matches!(request, Request::Sent { .. }) {
        *request = ended;
    }
}
