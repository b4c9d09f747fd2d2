//! The one clock of the process: wall time at the start, carried on by a monotonic clock.
//!
//! Invariant: never runs backwards, not even over a restart: it starts no earlier than the last record of the journal. The
//! wall clock is only compared with it while the process runs; what it is taken for at the start is checked before.

use holdfast_engine::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY_MS: u64 = 86_400_000;
/// A wall clock that is so much later than the last record is more likely wrong than right.
pub const MOST_AFTER_MS: u64 = 90 * DAY_MS;
/// The same for one that is earlier.
pub const MOST_BEFORE_MS: u64 = DAY_MS;

/// What the system's clock says.
pub fn wall() -> Timestamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
}

/// The wall clock and the last record of the journal cannot both be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wall clock says {} ms since 1970, the last record of the journal {} ms", .wall.millis(), .last.millis())]
pub struct Implausible {
    pub wall: Timestamp,
    pub last: Timestamp,
}

/// Whether a process may take its time from the wall clock, with a journal whose last record is of this time.
///
/// # Errors
/// If they are too far apart.
pub fn check(wall: Timestamp, last: Timestamp) -> Result<(), Implausible> {
    let plausible = wall.since(last) <= MOST_AFTER_MS && last.since(wall) <= MOST_BEFORE_MS;
    plausible.then_some(()).ok_or(Implausible { wall, last })
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
}

impl Clock {
    /// Starts at wall time, or at the last record if the wall clock is behind it.
    pub fn start(wall: Timestamp, last: Timestamp) -> Self {
        Self { base: wall.max(last), started: Instant::now() }
    }

    /// The same clock carried on, or one that starts at the last record if another process made that later.
    #[must_use]
    pub fn not_before(self, last: Timestamp) -> Self {
        if self.now() < last { Self::start(last, last) } else { self }
    }

    pub fn now(&self) -> Timestamp {
        self.base.plus(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long to sleep until `at`, at least a millisecond.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.since(self.now()).max(1))
    }

    /// Milliseconds that a wall clock is ahead of this one; negative if it is behind.
    pub fn difference(&self, wall: Timestamp) -> i64 {
        let (ahead, behind) = (wall.since(self.now()), self.now().since(wall));
        i64::try_from(ahead).unwrap_or(i64::MAX).saturating_sub(i64::try_from(behind).unwrap_or(i64::MAX))
    }
}

/// A difference of more than this is said.
const APART_MS: u64 = 60_000;
/// It has ended when there is no more than this: a difference that trembles around the limit is said once.
const TOGETHER_MS: u64 = 30_000;

/// Notices when the wall clock and the clock of the process come apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    apart: bool,
}

/// What a watch has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Apart,
    Together,
}

impl Watch {
    /// Takes the difference of now, in milliseconds: says when a large one begins and when it ends.
    pub fn look(&mut self, difference_ms: i64) -> Option<Change> {
        let size = difference_ms.unsigned_abs();
        let apart = size > if self.apart { TOGETHER_MS } else { APART_MS };
        let before = std::mem::replace(&mut self.apart, apart);
        match (before, apart) {
            (false, true) => Some(Change::Apart),
            (true, false) => Some(Change::Together),
            (false, false) | (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Timestamp = Timestamp::new(1_700_000_000_000);

    #[test]
    fn a_wall_clock_is_taken_from_a_day_before_the_last_record_to_ninety_days_after() {
        let hour = DAY_MS / 24;
        for wall in [LAST.millis(), LAST.millis() + 90 * DAY_MS, LAST.millis() - DAY_MS, LAST.millis() + 1, LAST.millis() - hour]
        {
            assert_eq!(check(Timestamp::new(wall), LAST), Ok(()), "{wall}");
        }
        for wall in [0, LAST.millis() + 90 * DAY_MS + 1, LAST.millis() - DAY_MS - 1, 2 * LAST.millis(), u64::MAX] {
            let wall = Timestamp::new(wall);
            assert_eq!(check(wall, LAST), Err(Implausible { wall, last: LAST }));
        }
    }

    #[test]
    fn the_clock_starts_no_earlier_than_the_last_record_and_runs_on_from_there() {
        let behind = Clock::start(Timestamp::new(5), LAST);
        assert!(behind.now() >= LAST && behind.now() < LAST.plus(DAY_MS));
        let ahead = Clock::start(LAST.plus(1_000), LAST);
        assert!(ahead.now() >= LAST.plus(1_000));
        let before = ahead.now();
        assert!(ahead.not_before(LAST).now() >= before, "an earlier record changes nothing");
        assert!(ahead.not_before(LAST.plus(DAY_MS)).now() >= LAST.plus(DAY_MS), "a later one is the earliest time");
    }

    #[test]
    fn the_difference_has_the_sign_of_the_wall_clock() {
        let clock = Clock::start(LAST, LAST);
        assert!((990_000..=1_000_000).contains(&clock.difference(LAST.plus(1_000_000))));
        assert!((-1_100_000..=-1_000_000).contains(&clock.difference(Timestamp::new(LAST.millis() - 1_000_000))));
        assert_eq!(clock.difference(Timestamp::new(u64::MAX)).signum(), 1);
        assert_eq!(clock.difference(Timestamp::ZERO).signum(), -1);
    }

    #[test]
    fn a_difference_is_said_once_when_it_begins_and_once_when_it_ends() {
        use Change::{Apart, Together};
        let mut watch = Watch::default();
        let steps = [
            (0, None),
            (60_000, None),
            (60_001, Some(Apart)),
            (59_999, None),
            (61_000, None),
            (-400_000, None),
            (30_001, None),
            (-30_000, Some(Together)),
            (-60_000, None),
            (-60_001, Some(Apart)),
            (i64::MIN, None),
            (0, Some(Together)),
        ];
        for (difference, said) in steps {
            assert_eq!(watch.look(difference), said, "{difference}");
        }
    }
}
