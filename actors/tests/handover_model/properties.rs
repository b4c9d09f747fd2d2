//! What must hold in every state of the model.

use crate::shards::{Mail, Shard, Slot};
use crate::world::{Action, Request, State, ToGuardian, World};
use holdfast_engine::ids::PartitionId;
use stateright::{Model, Property};

/// A partition is at one shard, on its way to one, or being folded: one of these, and once.
pub(crate) const ONE_HOST: &str = "a partition has one host";
/// The credits that are out at a shard are those of the requests that it has, or that are about to reach it.
pub(crate) const CREDITS: &str = "no credit is gained or lost";
/// When nothing can happen any more every request has ended, every partition is where the table says, and nothing waits.
pub(crate) const ENDS: &str = "everything comes to its end";

pub(crate) fn all() -> Vec<Property<World>> {
    vec![
        Property::always(ONE_HOST, |_, state: &State| {
            (0..state.shard_of.len()).all(|id| hosts(state, PartitionId(id as u16)) == 1)
        }),
        Property::always(CREDITS, |_, state: &State| (0..state.shards.len()).all(|shard| credits_agree(state, shard))),
        Property::always(ENDS, |world: &World, state: &State| !is_terminal(world, state) || has_ended(state)),
        Property::sometimes("a request waits for a partition that comes", |_, state: &State| state.stashed),
        Property::sometimes("a request is sent on", |_, state: &State| state.forwarded),
        Property::sometimes("a partition panics on its way", |_, state: &State| state.rebuilt),
        Property::sometimes("every move ends", |world: &World, state: &State| is_terminal(world, state) && state.moves == 0),
    ]
}

fn hosts(state: &State, id: PartitionId) -> usize {
    let here = |shard: &Shard| usize::from(matches!(shard.slots[usize::from(id.0)], Slot::Here(_)));
    let comes = |mail: &&Mail| matches!(mail, Mail::Arrive(other, _) | Mail::Host(other, _) if *other == id);
    let at_shards: usize = state.shards.iter().map(|shard| here(shard) + shard.inbox.iter().filter(comes).count()).sum();
    let leaves =
        |message: &&ToGuardian| matches!(message, ToGuardian::Fallen(other, _) | ToGuardian::Departed(other, _) if *other == id);
    at_shards + state.guardian.iter().filter(leaves).count() + usize::from(state.folding.contains_key(&id))
}

fn credits_agree(state: &State, shard: usize) -> bool {
    let Shard { inbox, slots, stash, taken } = &state.shards[shard];
    let routed = |request: &&Request| matches!(request, Request::Routed { shard: at, .. } if *at == shard);
    let routed = state.requests.iter().filter(routed).count();
    let sent = inbox.iter().filter(|mail| matches!(mail, Mail::Request(_))).count();
    let in_hand = |slot: &Slot| if let Slot::Here(host) = slot { host.in_hand.len() } else { 0 };
    let in_hand: usize = slots.iter().map(in_hand).sum();
    usize::try_from(*taken).is_ok_and(|taken| taken == routed + sent + stash.iter().count() + in_hand)
}

fn is_terminal(world: &World, state: &State) -> bool {
    let mut actions = Vec::new();
    world.actions(state, &mut actions);
    // A panic may come, and need not.
    let nothing = |action| matches!(action, Action::Panic { .. }) || world.next_state(state, action).is_none();
    state.moves == 0 && actions.into_iter().all(nothing)
}

fn has_ended(state: &State) -> bool {
    let answered = |request: &Request| matches!(request, Request::Answered | Request::Lost | Request::Refused);
    let at_home = |id: usize| matches!(state.shards[state.shard_of[id]].slots[id], Slot::Here(_));
    let quiet = |shard: &Shard| {
        let waits = shard.slots.iter().any(|slot| matches!(slot, Slot::Returning(_)));
        !waits && shard.stash.iter().next().is_none() && shard.taken == 0
    };
    state.requests.iter().all(answered)
        && (0..state.shard_of.len()).all(at_home)
        && state.shards.iter().all(quiet)
        && state.handovers.idle()
}
