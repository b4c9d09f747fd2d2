//! How hard the relay may work while orders come in.
//!
//! Invariant: with a processor to spare it never rests; without one it still works a tenth of the time.

use std::time::Duration;

/// Of the time that a thread worked, how much it rests where it had to wait for a processor even longer.
const REST: u32 = 9;
/// So that it looks again soon.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// What a thread that has much to catch up with owes to the others. To run only when nobody else wants to is not enough
/// where processors are short: in each gap it takes their caches and their memory with it, and wakes threads that do too.
#[derive(Default)]
pub(crate) struct CpuBackoff {
    ran: Duration,
    waited: Duration,
}

impl CpuBackoff {
    /// The rest that is due for what this thread did since it last asked: none where it got a processor when it wanted one.
    pub(crate) fn due(&mut self) -> Duration {
        let Some((ran, waited)) = schedule() else { return Duration::ZERO };
        let (worked, queued) = (ran.saturating_sub(self.ran), waited.saturating_sub(self.waited));
        (self.ran, self.waited) = (ran, waited);
        if queued > worked { (REST * worked).min(LONGEST_REST) } else { Duration::ZERO }
    }
}

/// How long this thread ran, and how long it was ready to and did not, as Linux counts it.
fn schedule() -> Option<(Duration, Duration)> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok()).map(Duration::from_nanos);
    Some((numbers.next()?, numbers.next()?))
}
