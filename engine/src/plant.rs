//! Planted bugs: known defects the simulator must find, so that its silence means something.
//!
//! Without the feature `plant` every function here is a constant and the compiler removes the bug.

/// The registry of planted bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A reply leaves before its facts are durable.
    AckBeforeSync,
    /// A refusal leaves before the state it was computed from is durable.
    RefuseBeforeSync,
    /// A resolved hold gives its units back again.
    ReleaseTwice,
    /// An order expires although it was paid.
    ExpireAfterPayment,
    /// A lost message is never sent again.
    LostResend,
    /// Replay skips the last event of a snapshot's tail.
    ReplayOffByOne,
    /// A hold is placed without looking at what is available.
    Oversell,
    /// A released hold comes back to life when its demand arrives late.
    LateReserveRevives,
    /// The SKU frees a hold by its own timer.
    SkuExpires,
    /// A second body under a used key is executed as if it were the first.
    BodyNotCompared,
    /// A late payment is taken and never given back.
    LateMoneyKept,
    /// A provider's time-out is taken for a refusal.
    TimeoutIsFailure,
    /// A batch whose checksum is wrong is replayed.
    TornTailAccepted,
    /// A hold that changes while a snapshot shares it stays what it was.
    SharedChangesLost,
    /// A new threshold makes a SKU low, or no longer low, and no event says so.
    ThresholdTellsNothing,
    /// A partition leaves its shard before what it made is handed over to the journal.
    DepartBeforeSubmit,
    /// What waited for a partition that comes to a shard is forgotten.
    StashDropped,
}

impl Bug {
    pub const ALL: [Bug; 17] = [
        Bug::AckBeforeSync,
        Bug::RefuseBeforeSync,
        Bug::ReleaseTwice,
        Bug::ExpireAfterPayment,
        Bug::LostResend,
        Bug::ReplayOffByOne,
        Bug::Oversell,
        Bug::LateReserveRevives,
        Bug::SkuExpires,
        Bug::BodyNotCompared,
        Bug::LateMoneyKept,
        Bug::TimeoutIsFailure,
        Bug::TornTailAccepted,
        Bug::SharedChangesLost,
        Bug::ThresholdTellsNothing,
        Bug::DepartBeforeSubmit,
        Bug::StashDropped,
    ];
}

#[cfg(feature = "plant")]
mod planted {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Turns one bug on, or all off, for this thread.
    pub fn plant(bug: Option<Bug>) {
        ACTIVE.set(bug);
    }

    pub fn active(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }

    pub fn any() -> bool {
        ACTIVE.get().is_some()
    }
}

#[cfg(not(feature = "plant"))]
mod planted {
    use super::Bug;

    pub fn active(_: Bug) -> bool {
        false
    }

    pub fn any() -> bool {
        false
    }
}

pub use planted::*;
