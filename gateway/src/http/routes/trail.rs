//! What operators begin, put into their trail, through whichever door they come.
//!
//! Invariant: nobody is kept from what he begins because the journal takes nothing.

use crate::http::routes::execute_within;
use crate::state::App;
use holdfast_engine::command::Command;
use holdfast_engine::event::Change;
use holdfast_engine::ids::{KeyName, Label, PartitionId, RequestId};

/// The partition that has the trail.
pub const TRAIL: PartitionId = PartitionId(0);

/// What somebody begins, and what it is to lead to.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    pub what: &'static str,
    pub after: Option<&'a str>,
}

/// Puts what somebody begins into the trail. Where the journal takes nothing it is logged.
pub async fn record(app: &App, (who, request_id): (Option<KeyName>, RequestId), Begun { what, after }: Begun<'_>) {
    let Some(label) = Label::new(what) else { unreachable!("{what} is a label") };
    let after = after.and_then(Label::new);
    let change = Change { number: 0, who, what: label, before: None, after, note: None, request_id };
    let recorded = execute_within(app, Command::RecordChanges { partition: TRAIL, changes: vec![change] }).await;
    if let Err(why) = recorded {
        tracing::warn!(what, ?why, "this is not in the trail of changes");
    }
}
