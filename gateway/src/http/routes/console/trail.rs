//! What is begun on the console, put into the trail of operators.
//!
//! Invariant: nobody is kept out of the console because the journal takes nothing.

use crate::http::request_id::request_id;
use crate::http::routes::execute;
use crate::state::App;
use actix_web::HttpRequest;
use holdfast_engine::command::Command;
use holdfast_engine::event::Change;
use holdfast_engine::ids::{KeyName, Label, PartitionId};

/// The partition that has the trail.
pub(super) const TRAIL: PartitionId = PartitionId(0);

/// What somebody begins on the console, and what it is to lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    pub(super) what: &'static str,
    pub(super) after: Option<&'a str>,
}

/// Puts what somebody begins on the console into the trail. Where the journal takes nothing it is logged: nobody is kept out of the
/// console by what he wants to look at.
pub(super) async fn record(request: &HttpRequest, app: &App, who: Option<KeyName>, Begun { what, after }: Begun<'_>) {
    let Some(label) = Label::new(what) else { unreachable!("{what} is a label") };
    let (request_id, after) = (request_id(request), after.and_then(Label::new));
    let change = Change { number: 0, who, what: label, before: None, after, note: None, request_id };
    let recorded = execute(app, Command::RecordChanges { partition: TRAIL, changes: vec![change] }).await;
    if let Err(why) = recorded {
        tracing::warn!(what, ?why, "console: this is not in the trail of changes");
    }
}
