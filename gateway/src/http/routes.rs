//! The HTTP API: one file a resource. A route parses, asks the engine, and renders; it decides nothing.

pub mod accepting;
pub mod admin;
pub mod admission;
pub mod audits;
pub mod availability;
pub mod backups;
pub mod batch;
pub mod console;
pub mod docs;
pub mod events;
pub mod frames;
pub mod health;
pub mod ids;
pub mod imports;
pub mod lists;
pub mod movements;
pub mod names;
pub mod orders;
pub mod own;
pub mod payments;
pub mod placement;
pub mod problems;
pub mod reservations;
pub mod resource;
pub mod sender;
pub mod start;
pub mod stock;
pub mod trail;
pub mod tuning;
pub mod turned_off;
#[cfg(test)]
mod yielding;

use crate::http::client;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{Outcome, unanswered, unavailable};
use crate::http::request::Moment;
use crate::http::timed::Timed;
use crate::state::{App, Live};
use crate::telemetry::traces;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};
use holdfast_actors::replies::Pending;
use holdfast_actors::{NotSent, Origin, Unanswered};
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::command::Command;
use holdfast_engine::event::History;
use holdfast_engine::ids::{OrderId, Partitions};
use holdfast_engine::limits;
use resource::answering;
use std::time::Duration;
use tokio::time::Instant;

/// What an address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    Everything,
    /// All but what is for operators, who have an address of their own.
    Api,
    Operators,
}

impl Serves {
    pub fn configure(self, service: &mut ServiceConfig) {
        let routes: fn(&mut ServiceConfig) = match self {
            Self::Everything => configure,
            Self::Api => api_and_pages,
            Self::Operators => operators_and_pages,
        };
        routes(service);
    }
}

/// Every route.
pub fn configure(service: &mut ServiceConfig) {
    service.configure(api).configure(operators).configure(pages);
}

fn api_and_pages(service: &mut ServiceConfig) {
    service.configure(api).configure(pages);
}

fn operators_and_pages(service: &mut ServiceConfig) {
    service.configure(operators).configure(pages);
}

/// The hot route first.
fn api(service: &mut ServiceConfig) {
    service
        .configure(orders::configure)
        .configure(reservations::configure)
        .configure(stock::configure)
        .configure(availability::configure)
        .configure(payments::configure)
        .configure(events::configure);
}

fn operators(service: &mut ServiceConfig) {
    service
        .configure(admin::configure)
        .configure(placement::configure)
        .configure(audits::configure)
        .configure(backups::configure)
        .configure(tuning::configure)
        .configure(frames::configure)
        .configure(health::configure_metrics);
}

/// What every address serves.
fn pages(service: &mut ServiceConfig) {
    service
        .configure(health::configure)
        .configure(docs::configure)
        .configure(problems::configure)
        .configure(start::configure)
        .default_service(answering(Timed::unrouted(), not_found));
}

fn not_found(request: &HttpRequest) -> HttpResponse {
    let detail = format!("no resource at {}", request.path());
    Problem::new(Code::NotFound, detail).answer_to(request)
}

/// Sends a command of the request that is being served to the live engine, or says why not.
pub fn send(app: &App, command: Command) -> Result<Pending, Unanswered> {
    Ok(send_from(app, origin(&command), command)?)
}

fn origin(command: &Command) -> Origin {
    // A page of a list is many looks in one.
    let bulk = matches!(command, Command::ListOrders { .. } | Command::ListStock { .. });
    Origin { client: client::current(), bulk }
}

/// As [`send`], on whosever behalf. The guard on the engine is never held over an await.
pub fn send_from(app: &App, origin: Origin, command: Command) -> Result<Pending, NotSent> {
    send_to(app.live.load().as_deref(), origin, command)
}

fn send_to(live: Option<&Live>, origin: Origin, command: Command) -> Result<Pending, NotSent> {
    let live = live.ok_or(NotSent { why: Unanswered::Unavailable, command: None })?;
    traces::sends(&command);
    live.handle.send_from(origin, command)
}

/// A command that was sent, or refused.
pub struct Sent {
    pending: Result<Pending, Unanswered>,
    /// Until when its reply is waited for. None: however long it takes.
    give_up_at: Option<Instant>,
    /// What there is to say after that: of a mutation that its outcome is unknown, of a read that there is none.
    late: Unanswered,
}

impl Sent {
    /// Sends a command whose reply from a journal beside us is waited for however long it takes, and from one far away,
    /// which may be gone for hours, as by [`Self::within`].
    pub fn new(app: &App, command: Command) -> Self {
        let (live, reads) = (app.live.load(), command.reads());
        let pending = send_to(live.as_deref(), origin(&command), command);
        Self::from(app, live.as_deref(), reads, pending.map_err(Unanswered::from))
    }

    fn of(app: &App, reads: bool, pending: Result<Pending, Unanswered>) -> Self {
        Self::from(app, app.live.load().as_deref(), reads, pending)
    }

    fn from(app: &App, live: Option<&Live>, reads: bool, pending: Result<Pending, Unanswered>) -> Self {
        let remote = live.is_some_and(|live| live.journal.remote());
        if remote { Self::bounded(app, reads, pending) } else { Self { pending, give_up_at: None, late: late(reads) } }
    }

    /// Sends a command whose reply is waited for a while.
    pub fn within(app: &App, command: Command) -> Self {
        let reads = command.reads();
        Self::bounded(app, reads, send(app, command))
    }

    fn bounded(app: &App, reads: bool, pending: Result<Pending, Unanswered>) -> Self {
        let timeout = Duration::from_secs(app.settings.server.answer_wait_seconds.max(1));
        Self { pending, give_up_at: Some(Instant::now() + timeout), late: late(reads) }
    }

    pub async fn outcome(self) -> Outcome {
        let pending = self.pending?;
        let reply = match self.give_up_at {
            None => pending.await,
            Some(at) => tokio::time::timeout_at(at, pending).await.map_err(|_| self.late)?,
        };
        reply.map_err(|why| if why == Unanswered::Lost { self.late } else { why })
    }
}

/// What there is to say of one without a reply.
fn late(reads: bool) -> Unanswered {
    if reads { Unanswered::Unavailable } else { Unanswered::Lost }
}

/// Sends a command and waits for its reply as [`Sent::new`] says.
pub async fn execute(app: &App, command: Command) -> Outcome {
    Sent::new(app, command).outcome().await
}

/// Sends a command and waits for its reply as [`Sent::within`] says.
pub async fn execute_within(app: &App, command: Command) -> Outcome {
    Sent::within(app, command).outcome().await
}

/// What happened to an order. `None` if nobody knows it.
///
/// # Errors
/// Why that cannot be known.
pub async fn history(app: &App, order: OrderId) -> Result<Option<History>, Problem> {
    match execute(app, Command::GetOrder { order, kind: None }).await {
        Ok(Reply { outcome: Ok(Answer::Order { history, .. }), .. }) => Ok(Some(history)),
        Ok(_) => Ok(None),
        Err(why) => Err(unanswered(why)),
    }
}

/// What routes that read the journal need: the engine's parts, or 503.
pub fn live(app: &App) -> Result<std::sync::Arc<crate::state::Live>, Problem> {
    app.live.load_full().ok_or_else(unavailable)
}

/// How many entries a page is to have.
///
/// # Errors
/// `invalid_request` for none, or for more than a page may have.
pub fn page_limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(limits::DEFAULT_PAGE);
    let wrong = || Problem::parameter("limit", &format!("must be 1 to {}", limits::MAX_PAGE));
    if (1..=limits::MAX_PAGE).contains(&limit) { Ok(limit) } else { Err(wrong()) }
}

/// What becomes of a cursor that nothing is read after.
pub fn refused(why: &crate::events::cursor::Refused) -> Problem {
    use crate::events::cursor::Refused;
    match why {
        Refused::NotOfThisHistory(what) => Problem::new(Code::CursorNotOfThisHistory, *what),
        Refused::Unread(error) => unread(error),
    }
}

/// What becomes of a read of the journal or the projections that failed.
pub fn unread(error: &holdfast_storage::Error) -> Problem {
    match error {
        holdfast_storage::Error::Unreachable(_) | holdfast_storage::Error::Stopped => {
            tracing::warn!(%error, "a read failed");
            Problem::new(Code::DurabilityUnavailable, "the journal cannot be read now")
        }
        holdfast_storage::Error::Purged { .. } => {
            Problem::new(Code::CursorExpired, "events after this cursor are older than what the journal keeps")
        }
        error => internal(error),
    }
}

/// As [`unread`], of what reads all that is kept and follows no cursor.
pub fn whole_unread(error: &holdfast_storage::Error) -> Problem {
    match error.purged() {
        Some(_) => {
            let detail =
                "journal.keep_days or journal.keep_gb had the beginning deleted while it was read, time and again: ask again";
            Problem::new(Code::DurabilityUnavailable, detail)
        }
        None => unread(error),
    }
}

/// A failure of ours while reading.
pub fn internal(error: &impl std::fmt::Display) -> Problem {
    metrics::counter!("holdfast_alarms_total").increment(1);
    tracing::error!(%error, "a read failed");
    Problem::new(Code::Internal, "the store could not be read")
}

/// What is to be known of the server before an order or a reservation is made of a request.
pub struct Placing {
    pub moment: Moment,
    pub partitions: Partitions,
    /// Why a new one is not taken.
    pub refusal: Option<Box<Problem>>,
}

impl Placing {
    /// Of one whose hold is to last so long.
    ///
    /// # Errors
    /// While there is no engine.
    pub fn now(app: &App, ttl_seconds: Option<u64>) -> Result<Self, Problem> {
        let (live, tuned) = (app.live.load(), app.tuned.load());
        let live = live.as_ref().ok_or_else(unavailable)?;
        let moment = Moment { now: live.clock.now(), ttl_ms: tuned.orders.ttl_seconds.saturating_mul(1000) };
        let (partitions, refusal) = (live.handle.router().partitions, accepting::refusal(&tuned, ttl_seconds));
        Ok(Self { moment, partitions, refusal })
    }
}
