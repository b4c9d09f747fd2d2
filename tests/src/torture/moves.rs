//! Moves partitions between shards for as long as a server lives: what it is killed in the middle of.

use super::client::{Client, Request};
use super::dice::Dice;
use crate::server::partitions;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shards of a server whose partitions move.
pub const SHARDS: u64 = 3;
/// Between two tries: another move is carried out, or the server is gone.
const PAUSE: Duration = Duration::from_millis(1);

/// Moves any partition to any shard, one after the other, until told to stop. Returns how many moves began.
pub fn move_until(stop: &AtomicBool, client: &Client, dice: &mut Dice) -> u64 {
    let mut moves = 0;
    while !stop.load(Ordering::SeqCst) {
        let (partition, shard) = (dice.below(partitions() as u64), dice.below(SHARDS));
        let request = Request::post(format!("/admin/v1/partitions/{partition}:move"), &json!({"shard": shard}));
        if client.accepts(&request) {
            moves += 1;
        } else {
            std::thread::sleep(PAUSE);
        }
    }
    moves
}
