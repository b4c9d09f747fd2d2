//! Orders: place, read, timeline, cancel, confirm, pay.

use super::admission::{self, Headers};
use super::ids::{Named, nothing};
use super::resource::resource;
use super::sender::Sender;
use super::turned_off::provider_unavailable;
use super::{Placing, Sent, accepting, execute, execute_within, internal, lists, names, own, turned_off};
use crate::events::{TimelineItem, timeline_item};
use crate::http::body::json::{JSON, content_type, json, json_or_default, parsed};
use crate::http::body::{self, Body, unread};
use crate::http::caller::{Caller, correlation_id};
use crate::http::etag::if_match;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{self, PaymentStarted};
use crate::http::request::{Checker, OrderIn, PaymentIn, ReasonIn, of_payment};
use crate::http::request_id::{stamp, take_request_id};
use crate::http::table::Operation;
use crate::http::view::OrderBody;
use crate::state::App;
use crate::telemetry::tally::{ANSWERS, OrderCounter};
use crate::telemetry::traces::{self, Following};
use crate::wire::ids::Id;
use crate::wire::json::to_json;
use crate::wire::scalars;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::{Command, CommandKey, Terms};
use holdfast_engine::event::{Kind, OrderRecord, Origin, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, OrderId, RequestId};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/v1/orders").on_request(Method::POST, place).on(Method::GET, lists::orders))
        .service(resource("/v1/orders/{id}/payments").on(Method::POST, pay))
        .service(resource("/v1/orders/{id}/timeline").on(Method::GET, timeline))
        .service(resource("/v1/orders/{id}:cancel").on(Method::POST, cancel))
        .service(resource("/v1/orders/{id}:confirm").on(Method::POST, confirm))
        .service(resource("/v1/orders/{id}").on(Method::GET, get));
}

/// What an order is related to. Read by hand: this is what the description says of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the header is read before the body")]
struct Related {
    /// What the caller relates the order to: shown in the order and in each of its events. A retry with another one is the same request.
    #[param(rename = "X-Correlation-Id", value_type = scalars::CorrelationId, required = false)]
    correlation_id: String,
}

/// Place an order: its stock is held, durable, when the answer arrives.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", operation_id = "place_order", request_body = OrderIn,
    params(("Idempotency-Key" = scalars::IdempotencyKey, Header, description = "New for each new order, the same for each retry."),
        Related),
    responses((status = 201, description = "The order, its units held.", body = OrderBody<'static>)))]
pub async fn place(operation: &'static Operation, mut request: ServiceRequest) -> Result<ServiceResponse, actix_web::Error> {
    let request_id = take_request_id(request.headers());
    let trace = traces::sampled((operation.method, "/v1/orders"), request.headers());
    let (standing, known) = admission::identify(operation, request.request(), request_id.clone());
    let admitted = match known.and_then(|known| Wanted::admitted(operation, request.request(), known)) {
        Ok(admitted) => admitted,
        Err(problem) => {
            let mut response = problem.by(request_id.as_str()).response();
            stamp(response.headers_mut(), &request_id);
            admission::stamp(standing, &mut response);
            count(response.status(), false);
            return Ok(unread::refuse(request, response));
        }
    };
    let body = body::of(&mut request).await;
    let mut wanted = Wanted::of(request.request(), &request_id, admitted, body);
    if wanted.as_ref().is_ok_and(|wanted| wanted.refusal.is_some()) {
        wanted = match wanted {
            Ok(wanted) => wanted.if_placed_before(request.request()).await,
            problem => problem,
        };
    }
    if wanted.as_ref().is_ok_and(|wanted| !names::readable(&wanted.placed)) {
        wanted = match wanted {
            Ok(wanted) => wanted.if_names_are_known(request.request()).await,
            problem => problem,
        };
    }
    // It grows cold while the order waits for the disk: what is not needed any more goes now. Before the order is sent, as
    // this panics if anything should ever keep a clone of the request.
    request.headers_mut().clear();
    let order = wanted.as_ref().ok().map(|wanted| wanted.id);
    let following = trace.zip(order).and_then(|(trace, order)| Following::placing(order, *trace));
    let (answer, first) = match wanted.and_then(|wanted| wanted.send(request.request())) {
        Ok(begun) => begun.end().await,
        Err(problem) => (Err(problem), false),
    };
    let mut response =
        answer.unwrap_or_else(|problem| reply::explained(problem, request.request()).by(request_id.as_str()).response());
    count(response.status(), first);
    stamp(response.headers_mut(), &request_id);
    admission::stamp(standing, &mut response);
    if let Some(following) = following {
        following.end(response.status(), response.headers_mut());
    }
    Ok(request.into_response(response))
}

fn app(request: &HttpRequest) -> Result<&Data<App>, Problem> {
    request.app_data::<Data<App>>().ok_or_else(reply::unavailable)
}

/// What the head of a request says of its order.
struct Admitted {
    key: KeyHash,
    origin: Option<Box<Origin>>,
}

/// An order that can be sent.
struct Wanted {
    id: OrderId,
    request_id: RequestId,
    placed: Box<Placed>,
    /// Why it is not taken unless it was placed before.
    refusal: Option<Box<Problem>>,
}

impl Wanted {
    /// Whether its body is to be read, by its head alone.
    fn admitted(operation: &Operation, request: &HttpRequest, (headers, caller): (Headers, Caller)) -> Result<Admitted, Problem> {
        headers.fit(operation, request)?;
        let key = caller.key(request, "orders")?;
        if !headers.say_json() {
            content_type(request, &[JSON])?;
        }
        let correlation = if headers.have_correlation() { correlation_id(request.headers())? } else { None };
        Ok(Admitted { key, origin: Origin::of(caller.client, correlation) })
    }

    fn of(request: &HttpRequest, request_id: &RequestId, admitted: Admitted, body: Body) -> Result<Self, Problem> {
        let (app, wanted): (_, OrderIn) = (app(request)?, parsed(body)?);
        let Placing { moment, partitions, refusal } = Placing::now(app, wanted.ttl_seconds)?;
        let checked = wanted.check(moment, request_id.clone()).map_err(Problem::invalid)?;
        if checked.total.is_some_and(|total| total != checked.sum) {
            let detail = format!(
                "the lines sum to {} minor units, the total says {}",
                checked.sum.minor(),
                wanted.total.unwrap_or_default()
            );
            return Err(Problem::new(Code::TotalsMismatch, detail).with("expected", checked.sum.minor()));
        }
        let Admitted { key, origin } = admitted;
        let id = OrderId::derive(key, partitions);
        let off = wanted.payment.is_some() && turned_off::is_off(app);
        let refusal = if off { Some(Box::new(provider_unavailable())) } else { refusal };
        Ok(Self { id, request_id: request_id.clone(), placed: Box::new(Placed { origin, ..checked.placed }), refusal })
    }

    async fn if_placed_before(mut self, request: &HttpRequest) -> Result<Self, Problem> {
        accepting::unless_placed(app(request)?, Sender::current(), self.id, self.refusal.take()).await?;
        Ok(self)
    }

    async fn if_names_are_known(self, request: &HttpRequest) -> Result<Self, Problem> {
        names::check_placed(app(request)?, Sender::current(), self.id, &self.placed).await?;
        Ok(self)
    }

    fn send(self, request: &HttpRequest) -> Result<Begun, Problem> {
        let app = app(request)?;
        let Self { id, request_id, placed, .. } = self;
        let pays = placed.payment.is_some();
        let command = Command::Place { order: id, placed };
        let sent = if pays { Sent::within(app, command) } else { Sent::new(app, command) };
        Ok(Begun { id, request_id, sent })
    }
}

/// An order on its way through the engine.
struct Begun {
    id: OrderId,
    request_id: RequestId,
    sent: Sent,
}

impl Begun {
    /// The answer, and whether it is the first about this order.
    async fn end(self) -> (Result<HttpResponse, Problem>, bool) {
        let outcome = self.sent.outcome().await;
        let first = outcome.as_ref().is_ok_and(|reply| !reply.replayed);
        let location = ["/v1/orders/", Id::order(self.id).as_str()].concat();
        (reply::placed(&self.request_id, &location, outcome), first)
    }
}

/// Counts an answer, and the order if it is accepted and this is the `first` answer about it.
fn count(status: StatusCode, first: bool) {
    thread_local! {
        static ORDERS: OrderCounter = ANSWERS.orders();
    }
    ORDERS.with(
        |orders| if status.is_success() { orders.placed(first && status == StatusCode::CREATED) } else { orders.refused() },
    );
}

/// One order with where it stands.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", operation_id = "get_order", params(("id" = scalars::OrderId, Path)),
    responses((status = 200, description = "The order.", body = OrderBody<'static>)))]
pub async fn get(request: HttpRequest, app: Data<App>, caller: Caller, id: Path<String>) -> Result<HttpResponse, Problem> {
    about((&request, &caller), &app, Kind::Order, &id, |order| Ok(Command::GetOrder { order, kind: Some(Kind::Order) })).await
}

/// Give an order up. Holds go back to stock; an open payment is voided. Twice is once.
#[utoipa::path(post, path = "/v1/orders/{id}:cancel", tag = "orders", operation_id = "cancel_order", request_body = ReasonIn,
    params(("id" = scalars::OrderId, Path)),
    responses((status = 200, description = "The order, given up.", body = OrderBody<'static>)))]
pub async fn cancel(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let reason = read_reason(&request, body);
    about((&request, &caller), &app, Kind::Order, &id, |order| Ok(Command::Cancel { order, kind: Kind::Order, reason: reason? }))
        .await
}

/// Confirm an order that is paid by invoice. Twice is once.
#[utoipa::path(post, path = "/v1/orders/{id}:confirm", tag = "orders", operation_id = "confirm_order", request_body = ReasonIn,
    params(("id" = scalars::OrderId, Path)),
    responses((status = 200, description = "The order, sold.", body = OrderBody<'static>)))]
pub async fn confirm(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let reason = read_reason(&request, body);
    about((&request, &caller), &app, Kind::Order, &id, |order| Ok(Command::Confirm { order, kind: Kind::Order, reason: reason? }))
        .await
}

/// # Errors
/// `invalid_request` for a reason that is none.
pub fn read_reason(request: &HttpRequest, body: Body) -> Result<Option<holdfast_engine::ids::Label>, Problem> {
    let ReasonIn { reason } = json_or_default(request, body)?;
    let mut checker = Checker::default();
    let reason = checker.some_label(reason.as_deref(), || "/reason".to_owned());
    if checker.errors.is_empty() { Ok(reason) } else { Err(Problem::invalid(checker.errors)) }
}

/// Asks the engine about one order or reservation and renders it as the resource of its kind.
///
/// # Errors
/// The problem with the request, or with what it asks for.
pub async fn about<A: Into<Asked>>(
    (request, caller): (&HttpRequest, &Caller),
    app: &App,
    kind: Kind,
    id: &str,
    asked: impl FnOnce(OrderId) -> Result<A, Problem>,
) -> Result<HttpResponse, Problem> {
    let named = Named::parse(app, kind, id)?;
    own::reaches(app, caller, named.order).await?;
    let command = under_terms(request, caller, kind, id, named, asked(named.order)?.into())?;
    names::check(app, Sender::current(), &command).await?;
    let reads = command.reads();
    let unknown = || Ok(reply::unknown(&caller.request_id, &format!("/v1/{}/{id}", collection(kind))));
    let (answer, replayed) = match reply::known(execute(app, command).await)? {
        None => return unknown(),
        Some((Answer::Stored(kept), replayed)) => return Ok(reply::kept(&kept, replayed, "")),
        Some(answered) => answered,
    };
    match reply::order_of(answer) {
        Some(order) if named.is_in(&order) => Ok(reply::order_response(&own::shown_to(caller, order), kind, replayed)),
        Some(_) => Err(nothing(id)),
        None if reads => Err(not_an_order(id)),
        None => unknown(),
    }
}

/// What is asked of an order.
pub struct Asked {
    command: Command,
    /// Of what changes something: its verb, and what its body means, whatever the settings are.
    meant: Option<(&'static str, Fingerprint)>,
}

impl Asked {
    /// `said_ms` is the time that the body says, or means where it says none.
    pub fn extension(order: OrderId, ttl_ms: u64, said_ms: u64) -> Self {
        Self { command: Command::Extend { order, ttl_ms }, meant: Some(("extend", Fingerprint::of(&said_ms))) }
    }
}

impl From<Command> for Asked {
    fn from(command: Command) -> Self {
        let meant = match &command {
            Command::Cancel { reason, .. } => Some(("cancel", Fingerprint::of(reason))),
            Command::Confirm { reason, .. } => Some(("confirm", Fingerprint::of(reason))),
            _ => None,
        };
        Self { command, meant }
    }
}

fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "orders",
        Kind::Reservation => "reservations",
    }
}

fn not_an_order(id: &str) -> Problem {
    internal(&format!("what is kept of {id} is not the history of an order"))
}

/// A command with what the headers make it depend on, if it changes anything.
fn under_terms(
    request: &HttpRequest,
    caller: &Caller,
    kind: Kind,
    id: &str,
    named: Named,
    Asked { command, meant }: Asked,
) -> Result<Command, Problem> {
    let Some((verb, meant)) = meant else {
        assert!(command.reads(), "{command:?} is asked for by a path and an id, and its terms are not known");
        return Ok(command);
    };
    if !named.is_first() {
        return Err(nothing(id));
    }
    // An order and its stock side have one id: what was done to one under a key is no answer to the other.
    let key = caller.optional_key(request, &format!("{}/{}:{verb}", collection(kind), named.order), meant)?;
    Ok(command.under(Terms { versions: if_match(request.headers())?, key }))
}

/// What happened to an order.
#[derive(Serialize, ToSchema)]
struct Timeline<'a> {
    items: Vec<TimelineItem<'a>>,
}

/// Every fact of an order.
#[utoipa::path(get, path = "/v1/orders/{id}/timeline", tag = "orders", operation_id = "get_order_timeline",
    params(("id" = scalars::OrderId, Path)),
    responses((status = 200, description = "The facts in their order.", body = Timeline<'static>)))]
pub async fn timeline(app: Data<App>, caller: Caller, id: Path<String>) -> Result<HttpResponse, Problem> {
    let order = Named::parse(&app, Kind::Order, &id)?.order;
    own::reaches(&app, &caller, order).await?;
    match reply::known(execute(&app, Command::GetOrder { order, kind: None }).await)? {
        Some((Answer::Order { id, history }, _)) => {
            let records: Vec<OrderRecord> = history.records().collect();
            let items = records.iter().map(|record| timeline_item(id, Kind::Order, record).shown_to(caller.role)).collect();
            Ok(reply::json_response(HttpResponse::Ok(), to_json(&Timeline { items }), false))
        }
        Some(_) => Err(not_an_order(&id)),
        None => Ok(reply::unknown(&caller.request_id, &format!("/v1/orders/{id}"))),
    }
}

/// Start a payment: units are pinned and the payment page open when the answer arrives.
#[utoipa::path(post, path = "/v1/orders/{id}/payments", tag = "payments", operation_id = "pay_order", request_body = PaymentIn,
    params(("id" = scalars::OrderId, Path),
        ("Idempotency-Key" = scalars::IdempotencyKey, Header, description = "New for each attempt, the same for each retry.")),
    responses((status = 201, description = "The attempt.", body = PaymentStarted<'static>)))]
pub async fn pay(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let command = payment_command(&request, &app, &caller, &id, body)?;
    own::reaches(&app, &caller, Named::parse(&app, Kind::Order, &id)?.order).await?;
    if turned_off::is_off(&app)
        && let Command::StartPayment { order, key, .. } = &command
    {
        turned_off::started_before(&app, *order, key.hash).await?;
    }
    let command = command.under(Terms { versions: if_match(request.headers())?, key: None });
    match reply::known(execute_within(&app, command).await)? {
        Some((Answer::Stored(kept), replayed)) => Ok(reply::kept(&kept, replayed, "")),
        Some(_) | None => Ok(reply::unknown(&caller.request_id, &format!("/v1/orders/{id}"))),
    }
}

fn payment_command(request: &HttpRequest, app: &App, caller: &Caller, id: &str, body: Body) -> Result<Command, Problem> {
    let order = Named::parse(app, Kind::Order, id)?.order;
    let wanted: PaymentIn = json(request, body)?;
    let hash = caller.key(request, &format!("orders/{order}/payments"))?;
    let mut checker = Checker::default();
    let checked = checker.payment(&wanted, "");
    let Some(payment) = checked.filter(|_| checker.errors.is_empty()) else { return Err(Problem::invalid(checker.errors)) };
    let fingerprint = of_payment(&payment);
    let key = CommandKey { hash, fingerprint, request_id: caller.request_id.clone() };
    Ok(Command::StartPayment { order, provider: payment.provider, return_url: payment.return_url, key })
}
