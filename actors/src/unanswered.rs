//! Why a command has no answer.
//!
//! Invariant: only [`Unanswered::Lost`] leaves open whether the command was executed.

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Not executed: the shard has all the requests in hand it may have.
    #[error("the shard has too many requests in hand")]
    Overloaded,
    /// Not executed: the client has all the requests in hand that one client may have.
    #[error("the client has its share of requests in hand")]
    ShareTaken,
    /// Not executed: the partition is being rebuilt, or the journal does not take writes.
    #[error("the partition is not available")]
    Unavailable,
    /// Possibly executed: the partition was rebuilt while it had the request in hand.
    #[error("the partition was rebuilt before it answered")]
    Lost,
    /// Not executed: a row that it needs is in the store and cannot be read.
    #[error("a row that the request needs cannot be read")]
    Unreadable,
    /// Not executed this time: the same request has panicked its partition before, and would again.
    #[error("the request stopped its partition before and is refused")]
    Poisoned,
}

impl Unanswered {
    /// Whether the same request can have another outcome in this process.
    pub fn passes(self) -> bool {
        match self {
            Unanswered::Overloaded | Unanswered::ShareTaken | Unanswered::Unavailable | Unanswered::Lost => true,
            Unanswered::Unreadable | Unanswered::Poisoned => false,
        }
    }
}
