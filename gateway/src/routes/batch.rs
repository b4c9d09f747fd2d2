//! Many reservations in one request, each by itself.
//!
//! Invariants: a batch has only so many items in hand, so that it takes turns with whatever else is asked; no item is refused because of
//! the others of its batch; an item whose key was in the batch before gets the answer of that one.

use super::{names, send_from};
use crate::app::App;
use crate::body::Body;
use crate::client;
use crate::dto::{BatchIn, BatchItemIn, check_reservation, grouped};
use crate::problem::{FieldError, Problem};
use crate::reply;
use crate::request::{Caller, content_type, parse};
use crate::view::{self, BatchBody, ItemResult};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use holdfast_actors::replies::Pending;
use holdfast_actors::{ClientId, Origin, Unanswered};
use holdfast_engine::command::Command;
use holdfast_engine::ids::OrderId;
use holdfast_engine::limits;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Items of one batch in hand: enough that the next commit is full while one is written.
const IN_HAND: usize = 256;
/// From a refused admission to the next try.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// Closed orders that wait to be written to tables. With more of them batches wait: they are what can place, and let expire, more than
/// the tables take up.
const MOST_CLOSED: usize = 100_000;

/// Up to 4,096 reservations in one request, each by itself.
#[utoipa::path(post, path = "/v1/reservations:batch", tag = "reservations", operation_id = "place_reservations", request_body = BatchIn,
    responses((status = 200, description = "What became of each item, in their order.", body = BatchBody<'static>)))]
pub async fn batch(request: HttpRequest, app: Data<App>, body: Body) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    let request_id = caller.request_id.clone();
    let body = content_type(&request, &["application/json"]).and(body.0);
    let answer = match body {
        Ok(body) => in_turn(&app, caller, body).await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(results) => reply::json_response(HttpResponse::Ok(), results, false),
        Err(problem) => problem.by(request_id.as_str()).response(),
    }
}

async fn in_turn(app: &Data<App>, caller: Caller, body: Bytes) -> Result<Vec<u8>, Problem> {
    let client = client::current();
    let batch = Batch::new(app.clone(), caller, client);
    let answer = app.bulk.run(client, move || async move { batch.answer(&body).await }).await;
    // As of every route: whoever asked sees the connection end, and asks again under the same keys.
    answer.unwrap_or_else(|| panic!("a batch was given up"))
}

struct Batch {
    app: Data<App>,
    caller: Caller,
    origin: Origin,
    /// How long an item that is not admitted is tried again.
    patience: Duration,
}

type Prepared = Result<(OrderId, Command), Problem>;

impl Batch {
    fn new(app: Data<App>, caller: Caller, client: Option<ClientId>) -> Self {
        let patience = Duration::from_secs(app.settings.server.answer_wait_seconds.max(1));
        Self { app, caller, origin: Origin { client, bulk: true }, patience }
    }

    async fn answer(&self, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let BatchIn { items } = parse(body)?;
        if !(1..=limits::MAX_BATCH).contains(&items.len()) {
            let message = format!("must have 1 to {} items (batch_items)", grouped(limits::MAX_BATCH as u64));
            return Err(Problem::invalid(vec![FieldError::new("/items", message)]));
        }
        let prepared = items.iter().map(|item| self.prepare(item)).collect();
        drop(items);
        let results = self.send(with_readable_names(&self.app, prepared).await).await;
        Ok(view::batch_json(&results))
    }

    fn prepare(&self, item: &BatchItemIn) -> Prepared {
        let key = self.caller.bind_key("reservations", &item.key);
        let wrong = || Problem::invalid(vec![FieldError::new("/key", "must be 1 to 255 visible ASCII characters")]);
        let key = key.ok_or_else(wrong)?;
        let (now, partitions) = match &*self.app.live.load() {
            Some(live) => (live.clock.now(), live.handle.router().partitions),
            None => return Err(reply::unavailable()),
        };
        let request_id = self.caller.request_id.clone();
        let placed = check_reservation(item.owner.as_deref(), &item.lines, item.ttl_seconds, now, request_id);
        let order = OrderId::derive(key, partitions);
        Ok((order, Command::Place { order, placed: Box::new(placed.map_err(Problem::invalid)?) }))
    }

    /// Items whose key was in the batch before are sent once those are answered.
    async fn send(&self, items: Vec<Prepared>) -> Vec<ItemResult> {
        let mut keys = HashSet::new();
        let repeats = |(_, item): &(usize, Prepared)| matches!(item, Ok((order, _)) if !keys.insert(*order));
        let (repeated, first): (Vec<_>, Vec<_>) = items.into_iter().enumerate().partition(repeats);
        let mut results = self.send_wave(first).await;
        results.extend(self.send_wave(repeated).await);
        results.sort_unstable_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn send_wave(&self, items: Vec<(usize, Prepared)>) -> Vec<(usize, ItemResult)> {
        let admitted = stream::iter(items).then(async |item| {
            self.let_tables_follow().await;
            item
        });
        let sent = admitted.map(async |(place, item)| (place, self.settle(item).await));
        sent.buffer_unordered(IN_HAND).collect().await
    }

    async fn let_tables_follow(&self) {
        let behind = || self.app.live.load().as_ref().is_some_and(|live| live.projector.queued() > MOST_CLOSED);
        while behind() {
            sleep(BUSY_PAUSE).await;
        }
    }

    async fn settle(&self, item: Prepared) -> ItemResult {
        let sent = match item {
            Ok((order, command)) => self.admit(command).await.map(|pending| (order, pending)),
            Err(problem) => Err(problem),
        };
        match sent {
            Ok((order, pending)) => self.result(order, self.outcome(pending).await),
            Err(problem) => self.refused(problem),
        }
    }

    /// Sends an item as soon as there is room for it.
    async fn admit(&self, command: Command) -> Result<Pending, Problem> {
        let give_up_at = Instant::now() + self.patience;
        loop {
            match send_from(&self.app, self.origin, command.clone()) {
                Err(Unanswered::Overloaded | Unanswered::ShareTaken) if Instant::now() < give_up_at => sleep(BUSY_PAUSE).await,
                sent => return sent.map_err(reply::unanswered),
            }
        }
    }

    /// From a journal far away it is waited for a while.
    async fn outcome(&self, pending: Pending) -> reply::Outcome {
        let far = self.app.live.load().as_ref().is_some_and(|live| live.journal.remote());
        if far { timeout(self.patience, pending).await.map_err(|_| Unanswered::Lost)? } else { pending.await }
    }

    fn result(&self, order: OrderId, outcome: reply::Outcome) -> ItemResult {
        let answer = match outcome {
            Ok(reply) => reply.outcome,
            Err(Unanswered::Lost) => return ItemResult::Unknown(order),
            Err(why) => return self.refused(reply::unanswered(why)),
        };
        match answer.map(reply::order_of) {
            Err(rejection) => self.refused(reply::rejected(&rejection)),
            Ok(None) => ItemResult::Unknown(order),
            Ok(Some(order)) => match reply::refused_order(&order) {
                Some(problem) => ItemResult::Refused(problem),
                None => ItemResult::Reserved(Box::new(order)),
            },
        }
    }

    fn refused(&self, problem: Problem) -> ItemResult {
        ItemResult::Refused(problem.of_an_item().by(self.caller.request_id.as_str()))
    }
}

/// Refuses the items that bring a name nobody can read whole. Where there is none, which is nearly always, nothing is asked.
async fn with_readable_names(app: &App, items: Vec<Prepared>) -> Vec<Prepared> {
    let readable = |command: &Command| !matches!(command, Command::Place { placed, .. } if !names::readable(placed));
    if items.iter().flatten().all(|(_, command)| readable(command)) {
        return items;
    }
    let checked = items.into_iter().map(async |item| {
        let (order, command) = item?;
        names::check(app, &command).await?;
        Ok((order, command))
    });
    join_all(checked).await
}
