//! Which lines of the log are written, where `log.sample` asks for one in so many of a level.
//!
//! Invariant: of each level the first line is written, and then every one in so many; nobody who logs waits for it.

use crate::settings::Sample;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

#[derive(Debug)]
struct EveryNth {
    every: u64,
    seen: AtomicU64,
}

impl EveryNth {
    fn new(every: u32) -> Self {
        Self { every: every.max(1).into(), seen: AtomicU64::new(0) }
    }

    fn takes(&self) -> bool {
        self.every == 1 || self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
    }
}

/// Lets one line in so many pass, by level.
#[derive(Debug)]
pub(super) struct Sampling {
    error: EveryNth,
    warn: EveryNth,
    info: EveryNth,
    debug: EveryNth,
    trace: EveryNth,
}

impl Sampling {
    pub(super) fn of(sample: &Sample) -> Self {
        let Sample { error, warn, info, debug, trace } = *sample;
        let [error, warn, info, debug, trace] = [error, warn, info, debug, trace].map(EveryNth::new);
        Self { error, warn, info, debug, trace }
    }

    fn takes(&self, level: Level) -> bool {
        let of_level = match level {
            Level::ERROR => &self.error,
            Level::WARN => &self.warn,
            Level::INFO => &self.info,
            Level::DEBUG => &self.debug,
            Level::TRACE => &self.trace,
        };
        of_level.takes()
    }
}

impl<S: Subscriber> Layer<S> for Sampling {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.takes(*event.metadata().level())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_level_the_first_line_is_written_and_then_one_in_so_many() {
        let sampling = Sampling::of(&Sample { info: 3, debug: 2, ..Sample::default() });
        let taken = |level| (0..6).map(|_| sampling.takes(level)).collect::<Vec<_>>();
        assert_eq!(taken(Level::INFO), [true, false, false, true, false, false]);
        assert_eq!(taken(Level::DEBUG), [true, false, true, false, true, false]);
        assert_eq!(taken(Level::ERROR), [true; 6]);
    }
}
