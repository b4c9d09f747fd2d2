//! New orders and reservations that are not taken now: while the operator has paused them, or with a longer hold than he allows now.
//!
//! Invariant: what was placed before under its key is answered again under it, whatever was turned off since; anything else is refused
//! before it is sent, so that it was not executed.

use super::sender::Sender;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{hold_too_long, unanswered};
use crate::settings::Settings;
use crate::state::App;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::command::Command;
use holdfast_engine::ids::OrderId;

/// Seconds after which a client asks again whether orders are taken.
const AGAIN: HeaderValue = HeaderValue::from_static("5");

/// Why a new order or reservation is not taken. None: it is.
pub fn refusal(tuned: &Settings, ttl_seconds: Option<u64>) -> Option<Box<Problem>> {
    if !tuned.orders.accepting {
        return Some(Box::new(paused()));
    }
    let longest = tuned.orders.ttl_max_seconds;
    ttl_seconds.filter(|seconds| *seconds > longest).map(|_| Box::new(hold_too_long(longest)))
}

/// Lets pass what is taken, and what was placed before.
///
/// # Errors
/// The refusal, or why it cannot be known whether it was placed.
pub async fn unless_placed(app: &App, sender: Sender, order: OrderId, refusal: Option<Box<Problem>>) -> Result<(), Problem> {
    let Some(refusal) = refusal else { return Ok(()) };
    match sender.execute(app, Command::GetOrder { order, kind: None }).await {
        Ok(Reply { outcome: Ok(Answer::Order { .. }), .. }) => Ok(()),
        Ok(_) => Err(*refusal),
        Err(why) => Err(unanswered(why)),
    }
}

pub(crate) fn paused() -> Problem {
    let detail = "no new orders or reservations are taken at the moment: nothing was executed";
    Problem::new(Code::Paused, detail).with_header(RETRY_AFTER, AGAIN)
}
