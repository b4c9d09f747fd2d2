//! Moves of partitions against every order of events: senders with an old table, panics anywhere, and the guardian between.
//!
//! The checked code is the code that runs: the guardian of the model has a real [`holdfast_actors::placement::handover::Handovers`], its
//! shards a real [`holdfast_actors::placement::stash::Stash`]. The same checker has to find a violation in every variant that is known to be
//! wrong.

mod properties;
mod shards;
mod world;

use properties::{CREDITS, ENDS, ONE_HOST};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;
use world::{Mistake, World};

/// Three shards, two partitions, requests that find them and miss them, and panics everywhere.
const FULL: World = World { shards: 3, partitions: 2, requests: 2, moves: 2, panics: 1, mistake: Mistake::None };

fn holds(world: World) {
    let checker = world.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{} states, depth {}: {world:?}", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

fn refuted(mistake: Mistake, property: &'static str) {
    // A second move would come upon what the first has left behind.
    let world = World { mistake, moves: 1, ..FULL };
    let checker = world.clone().checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property]))).spawn_bfs().join();
    let steps = checker.discovery(property).expect("the model finds no violation").into_actions();
    println!("{} states, {} steps to break {property:?}: {world:?} {steps:#?}", checker.unique_state_count(), steps.len());
}

#[test]
fn a_moved_partition_has_one_host_and_everything_sent_to_it_ends() {
    holds(FULL);
}

#[test]
fn panics_while_one_partition_moves_there_and_back_lose_nothing_untold() {
    holds(World { partitions: 1, requests: 2, moves: 2, panics: 2, ..FULL });
}

#[test]
#[ignore = "millions of states: run with --release"]
fn wider_bounds_lose_nothing_untold() {
    holds(World { requests: 3, ..FULL });
    holds(World { panics: 2, ..FULL });
    holds(World { moves: 3, ..FULL });
}

#[test]
fn what_waits_for_a_partition_must_be_kept() {
    refuted(Mistake::StashDropped, ENDS);
}

#[test]
fn the_table_must_name_the_new_host_before_the_old_one_parts_with_it() {
    refuted(Mistake::TableLast, ENDS);
}

#[test]
fn requests_in_hand_must_take_their_credits_along() {
    refuted(Mistake::CreditsStay, CREDITS);
}

#[test]
fn a_request_that_is_sent_on_must_take_its_credit_along() {
    refuted(Mistake::ForwardedTwice, CREDITS);
}

#[test]
fn a_departure_that_was_lost_in_a_panic_must_be_asked_for_again() {
    refuted(Mistake::NotCleared, ENDS);
}

#[test]
fn a_partition_that_is_rebuilt_on_its_way_must_not_be_handed_over_too() {
    refuted(Mistake::BothHosts, ONE_HOST);
}
