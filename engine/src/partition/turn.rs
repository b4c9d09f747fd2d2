//! What each step of a turn has in hand: the time it is, where its effects go, and what was asked.

use crate::command::Loaded;
use crate::effect::Effects;
use crate::ids::Ticket;
use crate::time::Timestamp;

/// One input and all that follows from it. Invariant: `now` is never before the last record, and the same for all of the turn.
pub(super) struct Turn<'a> {
    pub(super) now: Timestamp,
    pub(super) fx: &'a mut Effects,
}

/// Who asks, with what its command needs that is not in memory.
pub(super) struct Request {
    pub(super) ticket: Ticket,
    pub(super) loaded: Loaded,
}
