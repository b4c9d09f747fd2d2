//! The fence against an adversary stronger than consensus: every order of everything, within bounds.
//!
//! The checked code is the code that runs: each claimant of the model holds a real [`holdfast_storage::fencing::Fence`].
//! The same checker has to find a violation in every variant that is known to be wrong.

mod mistakes;
mod openers;
mod store;
mod world;

use mistakes::Mistake;
use openers::{Bids, ONE_OPENS, Openers};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use store::Rules;
use world::{Action, DURABLE, FAILED, FENCED, NO_ALARM, ONE_HISTORY, ONE_OWNER, REPLAYED, World};

/// Three owners fill three segments.
const FULL: World = World {
    claims: 3,
    leaps: 0,
    one_process: false,
    releases: false,
    segment_batches: 2,
    last: 5,
    rules: Rules::Fenced,
    mistake: Mistake::None,
    forget: true,
};

/// Two owners and one roll: enough for most mistakes.
const SMALL: World = World { claims: 2, last: 3, ..FULL };

fn holds<M: Model + Clone + Debug + Send + Sync + 'static>(world: M)
where
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let checker = world.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{} states, depth {}: {world:?}", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

/// The way to a violation of `property`. Nothing is forgotten here: wrong rules do not refuse for ever.
fn refuted(world: World, property: &'static str) -> Vec<Action> {
    let world = World { forget: false, ..world };
    let checker = world.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property]))).spawn_bfs().join();
    let steps = checker.discovery(property).expect("the model finds no violation").into_actions();
    println!("{} states, {} steps to break {property:?}: {world:?} {steps:#?}", checker.unique_state_count(), steps.len());
    steps
}

#[test]
fn three_owners_keep_one_history() {
    holds(FULL);
}

#[test]
fn owners_whose_epochs_leap_keep_one_history() {
    holds(World { leaps: 1, last: 3, ..FULL });
}

#[test]
fn of_those_who_open_at_once_one_gets_every_partition() {
    holds(Openers { openers: 2, partitions: 3, bids: Bids::OneForAll });
    holds(Openers { openers: 3, partitions: 2, bids: Bids::OneForAll });
}

#[test]
fn bids_for_one_partition_at_a_time_may_fence_all_who_open() {
    let world = Openers { openers: 2, partitions: 2, bids: Bids::EachAlone };
    let checker = world.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([ONE_OPENS]))).spawn_bfs().join();
    assert!(checker.discovery(ONE_OPENS).is_some(), "the model finds no violation");
}

#[test]
fn one_process_that_claims_again_and_again_keeps_one_history() {
    holds(World { one_process: true, leaps: 1, ..FULL });
}

#[test]
fn a_partition_that_is_given_back_keeps_one_history() {
    holds(World { releases: true, last: 5, ..SMALL });
}

/// Checks the checker: with nothing forgotten the same holds.
#[test]
fn writes_that_are_refused_for_ever_need_not_be_kept() {
    holds(World { forget: false, ..SMALL });
    holds(World { forget: false, last: 5, ..SMALL });
}

#[test]
#[ignore = "millions of states: run with --release"]
fn wider_bounds_keep_one_history() {
    holds(World { forget: false, last: 3, ..FULL });
    holds(World { claims: 4, last: 3, ..FULL });
    holds(World { claims: 4, one_process: true, segment_batches: 1, ..FULL });
    holds(World { last: 7, ..FULL });
}

#[test]
fn a_condition_on_the_row_alone_does_not_fence() {
    refuted(World { rules: Rules::RowOnly, ..SMALL }, FENCED);
}

#[test]
fn a_condition_on_the_row_alone_does_not_survive_a_purge() {
    let steps = refuted(World { rules: Rules::RowOnly, claims: 1, segment_batches: 1, ..SMALL }, ONE_HISTORY);
    assert!(steps.iter().any(|step| matches!(step, Action::Purge { .. })));
}

#[test]
fn a_purge_must_leave_the_head() {
    let steps = refuted(World { rules: Rules::HeadPurged, claims: 1, segment_batches: 1, ..SMALL }, ONE_HISTORY);
    assert!(steps.iter().any(|step| matches!(step, Action::Purge { .. })));
}

#[test]
fn a_bid_must_be_conditional() {
    refuted(World { rules: Rules::BlindBid, claims: 3, ..SMALL }, ONE_OWNER);
}

#[test]
fn an_unknown_append_is_not_durable() {
    refuted(World { mistake: Mistake::UnknownIsDurable, ..SMALL }, DURABLE);
}

#[test]
fn an_unknown_append_has_not_failed() {
    refuted(World { mistake: Mistake::UnknownIsFailed, ..SMALL }, FAILED);
    refuted(World { mistake: Mistake::UnknownIsFailed, ..SMALL }, NO_ALARM);
}

#[test]
fn an_unknown_append_keeps_its_body() {
    refuted(World { mistake: Mistake::UnknownIsReplaced, ..SMALL }, DURABLE);
}

#[test]
fn a_higher_epoch_is_never_our_own() {
    refuted(World { mistake: Mistake::HigherEpochIsOurs, ..SMALL }, DURABLE);
}

#[test]
fn an_open_segment_must_be_seized() {
    refuted(World { mistake: Mistake::NoSeizure, ..SMALL }, FENCED);
}

#[test]
fn a_head_read_before_the_seizure_proves_nothing() {
    refuted(World { mistake: Mistake::HeadReadBeforeSeizure, ..SMALL }, REPLAYED);
}

#[test]
fn a_segment_opened_by_an_older_owner_must_be_seized() {
    refuted(World { mistake: Mistake::AnyOpenIsOurs, ..SMALL }, FENCED);
}
