//! What an operator changed on a running server, as facts.
//!
//! Invariant: they are kept to be shown. No decision of a partition depends on them, so replay does not depend on settings.

use crate::ids::{KeyName, Label, RequestId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorFact {
    Changed(Box<Change>),
}

/// One thing that was changed, journalled before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Counts the changes of its partition: 1, 2, 3, … without a gap.
    pub number: u64,
    /// The API key that asked for it. `None` where there are none.
    pub who: Option<KeyName>,
    /// The key of a setting as `engine.credits`, or a word for what was done.
    pub what: Label,
    /// `None`: there was nothing to name.
    pub before: Option<Label>,
    /// `None`: the setting is again what file and environment say.
    pub after: Option<Label>,
    pub note: Option<Label>,
    /// The same for all that one request changed.
    pub request_id: RequestId,
}

/// A change as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub at: Timestamp,
    pub change: Box<Change>,
}
