//! Many reservations in one request, each by itself.
//!
//! Invariants: a batch has only so many items in hand, so that it takes turns with whatever else is asked; no item is refused because of
//! the others of its batch; an item whose key was in the batch before gets the answer of that one; a batch whose turn comes when the
//! server closes is not executed.

mod tables;

use super::sender::Sender;
use super::{Sent, accepting, names, placing};
use crate::http::body::json::{JSON, content_type, parse};
use crate::http::body::{Body, Whole};
use crate::http::caller::{Caller, key_rule};
use crate::http::client;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply;
use crate::http::request::{BatchIn, BatchItemIn, check_reservation};
use crate::http::view::{self, BatchBody, ItemResult};
use crate::state::App;
use crate::threads::bulk::{IN_HAND, NoAnswer};
use crate::wire::figures::grouped;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt, stream};
use holdfast_actors::replies::Pending;
use holdfast_actors::{ClientId, Unanswered};
use holdfast_engine::command::Command;
use holdfast_engine::event::{Origin, Placed};
use holdfast_engine::ids::OrderId;
use holdfast_engine::limits;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tables::Tables;
use tokio::sync::Semaphore;

/// Up to 4,096 reservations in one request, each by itself.
#[utoipa::path(post, path = "/v1/reservations:batch", tag = "reservations", operation_id = "place_reservations", request_body = BatchIn,
    responses((status = 200, description = "What became of each item, in their order.", body = BatchBody<'static>)))]
pub async fn batch(request: HttpRequest, app: Data<App>, caller: Caller, body: Body) -> Result<HttpResponse, Problem> {
    content_type(&request, &[JSON])?;
    let results = in_turn(&app, caller, body.0?).await?;
    Ok(reply::json_response(HttpResponse::Ok(), results, false))
}

async fn in_turn(app: &Data<App>, caller: Caller, body: Whole) -> Result<Vec<u8>, Problem> {
    let (server, client) = (app.clone(), client::current());
    let work = move |in_hand| async move { Batch::new(server, caller, client, in_hand).answer(body).await };
    match app.bulk.run(client, work).await {
        Ok(answer) => answer,
        Err(NoAnswer::Crowded) => {
            let detail = "this client has as many batches waiting as one client may have; nothing was executed";
            Err(Problem::new(Code::Overloaded, detail))
        }
        // As of every route: whoever asked sees the connection end, and asks again under the same keys.
        Err(NoAnswer::Panicked) => panic!("a batch was given up"),
    }
}

struct Batch {
    app: Data<App>,
    caller: Caller,
    sender: Sender,
    tables: Tables,
    /// A permit for each item in hand, of all batches of the client.
    in_hand: Arc<Semaphore>,
}

/// With why it is not taken unless it was placed before.
type Prepared = Result<(OrderId, Command, Option<Box<Problem>>), Problem>;

impl Batch {
    fn new(app: Data<App>, caller: Caller, client: Option<ClientId>, in_hand: Arc<Semaphore>) -> Self {
        let timeout = Duration::from_secs(app.settings.server.answer_wait_seconds.max(1));
        Self { app, caller, sender: Sender::bulk(client, timeout), tables: Tables::new(timeout), in_hand }
    }

    async fn answer(&self, body: Whole) -> Result<Vec<u8>, Problem> {
        if self.app.is_closing() {
            let detail = "the server stops and it was not this batch's turn: nothing was executed";
            return Err(Problem::new(Code::ShuttingDown, detail));
        }
        let BatchIn { items } = parse(&body)?;
        drop(body);
        if !(1..=limits::MAX_BATCH).contains(&items.len()) {
            let message = format!("must have 1 to {} items (batch_items)", grouped(limits::MAX_BATCH as u64));
            return Err(Problem::invalid(vec![FieldError::new("/items", message)]));
        }
        let prepared = items.iter().map(|item| self.prepare(item)).collect();
        drop(items);
        Ok(view::batch_json(&self.send(prepared).await))
    }

    fn prepare(&self, item: &BatchItemIn) -> Prepared {
        let key = self.caller.bind_key("reservations", &item.key);
        let wrong = || Problem::invalid(vec![FieldError::new("/key", key_rule())]);
        let key = key.ok_or_else(wrong)?;
        let (moment, partitions) = placing(&self.app)?;
        let refusal = accepting::refusal(&self.app, item.ttl_seconds);
        let request_id = self.caller.request_id.clone();
        let placed = check_reservation(item.owner.as_deref(), &item.lines, item.ttl_seconds, moment, request_id);
        let (order, origin) = (OrderId::derive(key, partitions), Origin::of(self.caller.client.clone(), None));
        let placed = Box::new(Placed { origin, ..placed.map_err(Problem::invalid)? });
        Ok((order, Command::Place { order, placed }, refusal))
    }

    /// Items whose key was in the batch before are sent once those are answered.
    async fn send(&self, items: Vec<Prepared>) -> Vec<ItemResult> {
        let mut keys = HashSet::new();
        let repeats = |(_, item): &(usize, Prepared)| matches!(item, Ok((order, ..)) if !keys.insert(*order));
        let (repeated, first): (Vec<_>, Vec<_>) = items.into_iter().enumerate().partition(repeats);
        let mut results = self.send_wave(first).await;
        results.extend(self.send_wave(repeated).await);
        results.sort_unstable_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn send_wave(&self, items: Vec<(usize, Prepared)>) -> Vec<(usize, ItemResult)> {
        let ready = stream::iter(items).then(async |(place, item)| match item {
            Ok(item) => (place, self.tables.let_follow(&self.app).await.map(|()| item)),
            refused => (place, refused),
        });
        let sent = ready.map(async |(place, item)| (place, self.settle(item).await));
        sent.buffer_unordered(IN_HAND).collect().await
    }

    async fn settle(&self, item: Prepared) -> ItemResult {
        let _in_hand = self.in_hand.acquire().await;
        let sent = match item {
            Ok((order, command, refusal)) => self.admit(order, command, refusal).await.map(|pending| (order, pending)),
            Err(problem) => Err(problem),
        };
        match sent {
            // From a journal far away it is waited for a while.
            Ok((order, pending)) => self.result(order, Sent::of(&self.app, false, Ok(pending)).outcome().await),
            Err(problem) => self.refused(problem),
        }
    }

    /// Sends an item that is taken now and brings no name nobody can read whole.
    async fn admit(&self, order: OrderId, command: Command, refusal: Option<Box<Problem>>) -> Result<Pending, Problem> {
        accepting::unless_placed(&self.app, self.sender, order, refusal).await?;
        names::check(&self.app, self.sender, &command).await?;
        self.sender.send(&self.app, command).await.map_err(reply::unanswered)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;
    use crate::process::stopping::Phase;
    use crate::settings::Settings;
    use actix_web::{App as Service, test};
    use serde_json::{Value, json};

    async fn answer(phase: Phase) -> (u16, Value) {
        let app = Data::new(App::without_engine(Settings::default()));
        let service = test::init_service(Service::new().app_data(app.clone()).configure(routes::configure)).await;
        app.phase.send_replace(phase);
        let items = json!({"items": [{"key": "k", "lines": [{"sku": "MUG", "quantity": 1}]}]});
        let request = test::TestRequest::post().uri("/v1/reservations:batch").set_json(items).to_request();
        let response = test::call_service(&service, request).await;
        let status = response.status().as_u16();
        (status, test::read_body_json(response).await)
    }

    /// Those that waited for their turn were executed while the engine went away under them.
    #[actix_web::test]
    async fn a_batch_whose_turn_comes_when_the_server_closes_is_refused_whole() {
        let (status, served) = answer(Phase::Draining).await;
        assert_eq!((status, &served["results"][0]["code"]), (200, &json!("durability_unavailable")), "each item is answered");
        let (status, refused) = answer(Phase::Closing).await;
        assert_eq!((status, &refused["code"]), (503, &json!("shutting_down")), "{refused}");
    }
}
