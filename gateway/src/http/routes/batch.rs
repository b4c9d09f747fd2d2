//! Many reservations in one request, each by itself.
//!
//! Invariants: a batch has only so many items in hand, so that it takes turns with whatever else is asked; no item is refused because of
//! the others of its batch, unless all together are more requests than its caller may send; an item whose key was in the batch before
//! gets the answer of that one; a batch whose turn comes when the server closes is not executed.

mod tables;
mod under_way;

use super::sender::Sender;
use super::{Placing, accepting, admission, names};
use crate::http::body::json::{JSON, content_type, parse};
use crate::http::body::{Body, Whole};
use crate::http::caller::{Caller, key_rule};
use crate::http::client;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply;
use crate::http::request::{BatchIn, BatchItemIn, check_reservation};
use crate::http::view::{self, BatchBody, ItemResult};
use crate::rates::{Group, More, Source, Standing};
use crate::state::App;
use crate::threads::bulk::NoAnswer;
use crate::wire::figures::grouped;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use holdfast_actors::{ClientId, Unanswered};
use holdfast_engine::event::{Origin, Placed};
use holdfast_engine::ids::OrderId;
use holdfast_engine::limits;
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tables::Tables;
use tokio::sync::Semaphore;
use under_way::UnderWay;

/// Up to 4,096 reservations in one request, each by itself.
#[utoipa::path(post, path = "/v1/reservations:batch", tag = "reservations", operation_id = "place_reservations", request_body = BatchIn,
    responses((status = 200, description = "What became of each item, in their order.", body = BatchBody<'static>)))]
pub async fn batch(request: HttpRequest, app: Data<App>, caller: Caller, body: Body) -> Result<HttpResponse, Problem> {
    content_type(&request, &[JSON])?;
    let (results, standing) = in_turn(&app, caller, body.0?).await?;
    admission::count(&request, standing)?;
    Ok(reply::json_response(HttpResponse::Ok(), results, false))
}

/// The results, and where the caller stands after them.
type Answered = (Vec<u8>, Option<Standing>);

async fn in_turn(app: &Data<App>, caller: Caller, body: Whole) -> Result<Answered, Problem> {
    let (server, client, source) = (app.clone(), client::current(), caller.source());
    let work = move |in_hand| async move { Batch::new(server, caller, client, in_hand).answer(body, source).await };
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

/// Items that are looked at together, before the first of them is sent: what is turned off meanwhile counts from the next ones on.
const TOGETHER: usize = 64;

/// An item that can be sent.
struct Item {
    order: OrderId,
    placed: Box<Placed>,
    /// Why it is not taken unless it was placed before.
    refusal: Option<Box<Problem>>,
}

type Prepared = Result<Item, Problem>;

impl Batch {
    fn new(app: Data<App>, caller: Caller, client: Option<ClientId>, in_hand: Arc<Semaphore>) -> Self {
        let timeout = Duration::from_secs(app.settings.server.answer_wait_seconds.max(1));
        Self { app, caller, sender: Sender::bulk(client, timeout), tables: Tables::new(timeout), in_hand }
    }

    async fn answer(&self, body: Whole, source: Source) -> Result<Answered, Problem> {
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
        let standing = self.count(items.len(), source)?;
        Ok((view::batch_json(&self.send(&items).await), standing))
    }

    /// Each item counts as a request. The first one was counted when the request was admitted.
    fn count(&self, items: usize, source: Source) -> Result<Option<Standing>, Problem> {
        let Some(more) = u32::try_from(items - 1).ok().and_then(NonZeroU32::new) else { return Ok(None) };
        match self.app.rates.count_more(source, Group::Orders, more) {
            None => Ok(None),
            Some(More::Now(standing)) => admission::allowed(Some(standing)).map(|()| Some(standing)),
            Some(More::Never { most }) => {
                let message = format!(
                    "must have at most {} items: so many requests may come at once (rate_limits)",
                    grouped(most.get().into())
                );
                Err(Problem::invalid(vec![FieldError::new("/items", message)]))
            }
        }
    }

    fn prepare(&self, item: &BatchItemIn) -> Prepared {
        let key = self.caller.bind_key("reservations", &item.key);
        let wrong = || Problem::invalid(vec![FieldError::new("/key", key_rule())]);
        let key = key.ok_or_else(wrong)?;
        let Placing { moment, partitions, refusal } = Placing::now(&self.app, item.ttl_seconds)?;
        let request_id = self.caller.request_id.clone();
        let placed = check_reservation(item.owner.as_deref(), &item.lines, item.ttl_seconds, moment, request_id);
        let (order, origin) = (OrderId::derive(key, partitions), Origin::of(self.caller.client.clone(), None));
        let placed = Box::new(Placed { origin, ..placed.map_err(Problem::invalid)? });
        Ok(Item { order, placed, refusal })
    }

    /// Items whose key was in the batch before are sent once those are answered.
    async fn send(&self, items: &[BatchItemIn]) -> Vec<ItemResult> {
        let (mut under_way, mut keys, mut repeated) =
            (UnderWay::new(self, items.len()), HashSet::with_capacity(items.len()), Vec::new());
        let all: Vec<usize> = (0..items.len()).collect();
        for places in all.chunks(TOGETHER) {
            let mut together = self.prepare_all(items, places);
            let repeats = |(_, item): &mut (usize, Prepared)| matches!(item, Ok(item) if !keys.insert(item.order));
            repeated.extend(together.extract_if(.., repeats).map(|(place, _)| place));
            under_way.send(together).await;
        }
        under_way.settle().await;
        for places in repeated.chunks(TOGETHER) {
            under_way.send(self.prepare_all(items, places)).await;
        }
        under_way.settle().await;
        under_way.into_results()
    }

    fn prepare_all(&self, items: &[BatchItemIn], places: &[usize]) -> Vec<(usize, Prepared)> {
        places.iter().map(|place| (*place, self.prepare(&items[*place]))).collect()
    }

    /// Refuses what is not taken now, and what brings a name nobody can read whole. Most items are not asked about for that.
    async fn check_all(&self, items: &mut [(usize, Prepared)]) {
        let doubtful = |item: &Prepared| matches!(item, Ok(item) if item.refusal.is_some() || !names::readable(&item.placed));
        let doubtful = items.iter_mut().map(|(_, item)| item).filter(|item| doubtful(item));
        join_all(doubtful.map(|item| self.check(item))).await;
    }

    async fn check(&self, item: &mut Prepared) {
        let Ok(Item { order, placed, refusal }) = item else { return };
        let (order, refusal) = (*order, refusal.take());
        let checked = async {
            accepting::unless_placed(&self.app, self.sender, order, refusal).await?;
            names::check_placed(&self.app, self.sender, order, placed).await
        };
        if let Err(problem) = checked.await {
            *item = Err(problem);
        }
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
