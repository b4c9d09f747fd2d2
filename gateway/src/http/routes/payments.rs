//! Payment results from outside: webhooks, and the sandbox's own pages.

use super::resource::resource;
use super::{admission, execute, own};
use crate::http::accept::Preferred;
use crate::http::body::Body;
use crate::http::body::json::content_type;
use crate::http::caller::{Caller, address, text};
use crate::http::page::{form, payment};
use crate::http::parameters::Parameters;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply::unanswered;
use crate::keys::Role;
use crate::keys::role::{EVERY_ROLE, SHOPS};
use crate::providers::sandbox::{AttemptEvent, Delivery, Entry, SIGNATURE, Sandbox, State};
use crate::rates::Group;
use crate::state::App;
use crate::wire::ids::Attempt;
use crate::wire::object::read_from_objects;
use crate::wire::scalars::{self, SandboxButton};
use actix_web::http::Method;
use actix_web::http::header::{LOCATION, VARY};
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::command::Command;
use holdfast_engine::ids::AttemptId;
use holdfast_engine::order::Outcome;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/v1/webhooks/payments/sandbox").on(Method::POST, webhook))
        .service(resource("/sandbox/payments/{attempt_id}/{step}").on(Method::POST, press))
        .service(resource("/sandbox/payments/{attempt_id}").on(Method::GET, show));
}

/// What the sandbox tells.
#[derive(Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub struct WebhookIn {
    pub id: String,
    #[schema(schema_with = webhook_types)]
    pub r#type: String,
    pub attempt_id: String,
}

read_from_objects! { WebhookIn }

const CAPTURED: &str = "payment.captured";
const DECLINED: &str = "payment.declined";

fn webhook_types() -> Schema {
    scalars::words([CAPTURED, DECLINED]).into()
}

/// A webhook was heard.
#[derive(Serialize, ToSchema)]
struct WebhookReceived {
    received: bool,
    /// It is of no attempt of this server.
    ignored: bool,
}

fn received(ignored: bool) -> HttpResponse {
    HttpResponse::Ok().json(WebhookReceived { received: true, ignored })
}

/// What the sandbox tells about an attempt. Answered when it is durable; told twice it is recorded once.
#[utoipa::path(post, path = "/v1/webhooks/payments/sandbox", tag = "payments", operation_id = "receive_sandbox_webhook",
    request_body(content = WebhookIn, description = "Signed as it is, byte for byte."),
    params(("Holdfast-Signature" = String, Header, description = "`t=<unix seconds>,v1=<hex HMAC-SHA-256 of \"<t>.<body>\">`")),
    responses((status = 200, description = "Heard, and durable.", body = WebhookReceived)))]
pub async fn webhook(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let read = read_webhook(&request, &app, body);
    if read.as_ref().is_err_and(|problem| problem.code == Code::Unauthorized) {
        admission::count(&request, app.rates.count(address(), Group::Open))?;
    }
    let (attempt, outcome) = read?;
    let Some(attempt) = attempt else { return Ok(received(true)) };
    match execute(&app, Command::PaymentResult { attempt, outcome }).await {
        // Whoever tells of an attempt nobody knows need not tell again.
        Ok(reply) => Ok(received(reply.outcome.is_err())),
        // What passes is a 503: the provider must tell again, as nothing else of ours will.
        Err(why) => Err(unanswered(why)),
    }
}

fn read_webhook(request: &HttpRequest, app: &App, body: Body) -> Result<(Option<AttemptId>, Outcome), Problem> {
    let unsigned = || Problem::new(Code::Unauthorized, "the webhook is not signed by the sandbox, or too old");
    let sandbox = app.sandbox.as_ref().ok_or_else(unsigned)?;
    let body = body.0?;
    let signature = text(request.headers(), SIGNATURE).ok_or_else(unsigned)?;
    if !sandbox.secrets.verify(signature, &body, app.settings.sandbox.replay_window_seconds) {
        return Err(unsigned());
    }
    content_type(request, &["application/json"])?;
    let malformed = |message: String| Problem::invalid(vec![FieldError::new("", message)]);
    let webhook: WebhookIn = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
    let outcome = match webhook.r#type.as_str() {
        CAPTURED => Outcome::Captured,
        DECLINED => Outcome::Declined,
        other => return Err(malformed(format!("unknown type {other:?}"))),
    };
    // Without an engine nobody can tell a stranger's attempt from one of ours: it must be told again.
    let partitions = super::live(app)?.handle.router().partitions.count();
    let attempt =
        Attempt::parse(&webhook.attempt_id).map(|attempt| attempt.0).filter(|attempt| attempt.order.partition().0 < partitions);
    Ok((attempt, outcome))
}

fn sandbox_of(app: &App) -> Result<Arc<Sandbox>, Problem> {
    app.sandbox.clone().ok_or_else(|| Problem::new(Code::NotFound, "the sandbox is turned off"))
}

fn no_attempt(attempt: &str) -> Problem {
    Problem::new(Code::NotFound, format!("the sandbox knows no attempt {attempt}"))
}

/// The attempt of a link. It needs its token, or whoever asks may do it anyway: with a key of such a role, or where nobody needs one.
/// A wrong key is refused whatever the link is.
async fn attempt_of(
    request: &HttpRequest,
    app: &App,
    sandbox: &Sandbox,
    (link, roles): (&str, &[Role]),
) -> Result<String, Problem> {
    let caller = Caller::if_any(request, app)?;
    caller.as_ref().map_or(Ok(()), |caller| caller.has_one_of(roles))?;
    let linked = sandbox.attempt_of(link, caller.is_some()).filter(|attempt| sandbox.entry(attempt).is_some());
    let attempt = linked.map(str::to_owned).ok_or_else(|| no_attempt(link))?;
    if let (Some(caller), Some(Attempt(AttemptId { order, .. }))) = (&caller, Attempt::parse(&attempt)) {
        own::reaches(app, caller, order).await?;
    }
    Ok(attempt)
}

/// An attempt as the sandbox knows it.
#[derive(Serialize, ToSchema)]
struct SandboxPayment {
    #[schema(value_type = scalars::AttemptId)]
    attempt_id: String,
    payment: Entry,
}

/// How an attempt stands after a button.
#[derive(Serialize, ToSchema)]
struct SandboxState {
    #[schema(value_type = scalars::AttemptId)]
    attempt_id: String,
    status: State,
}

/// The payment page.
#[utoipa::path(get, path = "/sandbox/payments/{attempt_id}", tag = "sandbox", operation_id = "show_sandbox_payment",
    params(("attempt_id" = scalars::AttemptLink, Path, description = "The last part of `redirect_url`.")),
    responses((status = 200, description = "A page with buttons; JSON if asked for.",
        content((SandboxPayment = "application/json"), (String = "text/html")))))]
pub async fn show(request: HttpRequest, app: Data<App>, link: Path<String>) -> Result<HttpResponse, Problem> {
    let (attempt, entry) = find(&request, &app, &link).await?;
    if wants_page(&request) {
        return Ok(form("Sandbox payment", &payment::page(&attempt, &link, &entry)));
    }
    Ok(HttpResponse::Ok().insert_header((VARY, "Accept")).json(SandboxPayment { attempt_id: attempt, payment: entry }))
}

async fn find(request: &HttpRequest, app: &App, link: &str) -> Result<(String, Entry), Problem> {
    let sandbox = sandbox_of(app)?;
    let attempt = attempt_of(request, app, &sandbox, (link, EVERY_ROLE)).await?;
    let entry = sandbox.entry(&attempt).ok_or_else(|| no_attempt(link))?;
    Ok((attempt, entry))
}

fn wants_page(request: &HttpRequest) -> bool {
    Preferred::of(request) != Preferred::Json
}

/// Press a button of the payment page: approve, decline or silence.
#[utoipa::path(post, path = "/sandbox/payments/{attempt_id}/{step}", tag = "sandbox", operation_id = "press_sandbox_button",
    params(("attempt_id" = scalars::AttemptLink, Path, description = "The last part of `redirect_url`."),
        ("step" = SandboxButton, Path, description = "The button."),
        ("duplicates" = Option<scalars::Repeats>, Query, description = "Send the webhook so many times more."),
        ("delay_ms" = Option<u64>, Query, description = "Send the webhook so much later.")),
    responses((status = 200, description = "How the attempt stands.", body = SandboxState),
        (status = 303, description = "Of a form: back to the shop, or to the page.")))]
pub async fn press(
    request: HttpRequest,
    app: Data<App>,
    path: Path<(String, String)>,
    delivery: Parameters<Delivery>,
) -> Result<HttpResponse, Problem> {
    let (link, step) = path.into_inner();
    let (attempt, entry) = press_button(&request, &app, (&link, &step), delivery.0).await?;
    let by_form =
        text(request.headers(), "content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !(by_form && wants_page(&request)) {
        return Ok(HttpResponse::Ok().json(SandboxState { attempt_id: attempt, status: entry.state }));
    }
    let back = entry.return_url.filter(|_| step != "silence");
    let location = back.unwrap_or_else(|| format!("/sandbox/payments/{link}"));
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, location)).finish())
}

/// The attempt of a link and how it stands after a step.
async fn press_button(
    request: &HttpRequest,
    app: &App,
    (link, step): (&str, &str),
    delivery: Delivery,
) -> Result<(String, Entry), Problem> {
    let sandbox = sandbox_of(app)?;
    let attempt = attempt_of(request, app, &sandbox, (link, SHOPS)).await?;
    let step = match step {
        "approve" => AttemptEvent::Approved,
        "decline" => AttemptEvent::Declined,
        "silence" => AttemptEvent::Silenced,
        _ => return Err(Problem::new(Code::NotFound, "the buttons are approve, decline and silence")),
    };
    let entry = sandbox.press(&attempt, step, delivery).map_err(|error| super::internal(&error))?;
    Ok((attempt, entry.ok_or_else(|| no_attempt(link))?))
}
