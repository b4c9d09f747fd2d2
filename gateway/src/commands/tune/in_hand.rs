//! How many orders the engine has to have in hand, in all shards, on a disk for all that both can do: measured in this process, each order
//! and then its confirmation answered when it is on the disk, on a directory that is gone afterwards.
//!
//! Invariant: of two numbers that give about the same the smaller one is enough.

use crate::cli::BenchWork;
use crate::commands::load::{self, Load, settings_at};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

const WINDOWS: [usize; 6] = [64, 256, 1024, 4096, 16_384, 65_536];
/// Of each: some dozens of commits of a slow disk.
const TIME: Duration = Duration::from_secs(1);
/// So many that their names are spread over all partitions.
const SKUS: u64 = 1000;
/// What is less than this part of the most is less; runs of a second differ by the rest.
const ABOUT_PERCENT: u64 = 90;

/// Orders a second, each with its confirmation, while so many are in hand.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Taken {
    pub(super) in_hand: usize,
    pub(super) orders_a_second: u64,
}

/// # Errors
/// If nothing can be written there, or the engine does not start.
pub(super) fn measure(dir: &Path, shards: usize) -> Result<Vec<Taken>, Box<dyn std::error::Error>> {
    let dir = tempfile::Builder::new().prefix("probe-").tempdir_in(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let settings = settings_at(&dir.path().join("data"));
    let load = Load { work: BenchWork::Orders, skus: SKUS, shards, windows: &WINDOWS, time: TIME };
    let measured = actix_web::rt::System::new().block_on(load::run(&load, &settings))?;
    load::let_go(&settings)?;
    let taken = |(in_hand, measured): (usize, load::Measured)| Taken { in_hand, orders_a_second: measured.per_second() };
    Ok(WINDOWS.into_iter().zip(measured).map(taken).collect())
}

/// The fewest that give about as much as any.
pub(super) fn enough(all: &[Taken]) -> Option<Taken> {
    let most = all.iter().map(|taken| taken.orders_a_second).max()?;
    all.iter().copied().find(|taken| taken.orders_a_second * 100 >= most * ABOUT_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enough_of(rates: &[(usize, u64)]) -> Option<usize> {
        let all: Vec<Taken> = rates.iter().map(|(in_hand, rate)| Taken { in_hand: *in_hand, orders_a_second: *rate }).collect();
        enough(&all).map(|taken| taken.in_hand)
    }

    #[test]
    fn the_fewest_that_give_about_as_much_as_any_are_enough() {
        assert_eq!(enough_of(&[(64, 900), (256, 3000), (1024, 9100), (4096, 10_000), (16_384, 9900)]), Some(1024));
        assert_eq!(enough_of(&[(64, 900), (256, 3000), (1024, 8900), (4096, 10_000)]), Some(4096), "it still grows");
        assert_eq!(enough_of(&[(64, 1000), (256, 900)]), Some(64), "more is worse");
        assert_eq!(enough_of(&[]), None);
    }
}
