//! Events over HTTP: pages after a cursor, and a stream that follows.

use super::table::resource;
use super::{internal, live, page_limit, refused, unread};
use crate::app::{App, Live};
use crate::events::cursor::Refused;
use crate::events::{CloudEvent, Cursor, Published, read};
use crate::openapi::scalars;
use crate::problem::{FieldError, Problem};
use crate::reply::json_response;
use crate::request::Caller;
use crate::stopping::Phase;
use crate::view::to_json;
use actix_web::http::Method;
use actix_web::web::{self, Bytes, Data, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::time::Duration;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Schema};
use utoipa::{IntoParams, ToSchema};

/// Events read from the disk at once for a stream.
const PAGE: usize = 256;
const HEARTBEAT: Duration = Duration::from_secs(15);

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/v1/events").on(Method::GET, page)).service(resource("/v1/events/stream").on(Method::GET, stream));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// The `next` of the page before; nothing for the beginning.
    #[serde(default)]
    #[param(value_type = Option<scalars::Cursor>)]
    after: String,
    #[param(value_type = Option<scalars::PageLimit>)]
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Since {
    /// The `id` of the last event that was read; nothing for the beginning. A `Last-Event-ID` goes before it.
    #[serde(default)]
    #[param(value_type = Option<scalars::Cursor>)]
    after: String,
}

/// Where a stream that broke goes on. Read by hand: this is what the description says of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the header is read where the stream begins")]
struct Resume {
    /// The id of the last event read; instead of `after`.
    #[param(rename = "Last-Event-ID", value_type = scalars::Cursor, required = false)]
    last_event_id: String,
}

/// One event of a stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written as text")]
struct StreamedEvent {
    /// The cursor behind it.
    #[schema(value_type = scalars::Cursor)]
    id: String,
    /// Its type.
    event: String,
    #[schema(schema_with = event_text)]
    data: String,
}

fn event_text() -> Schema {
    let event = Ref::from_schema_name("CloudEvent");
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some("The event."));
    text.content_media_type("application/json").content_schema(Some(event)).into()
}

/// A page of events.
#[derive(Serialize, ToSchema)]
struct Events {
    events: Vec<CloudEvent>,
    #[schema(value_type = scalars::Cursor)]
    next: String,
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|()| Problem::parameter("after", "is no cursor of this server"))
}

/// Everything that happened, in order, from any cursor on.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "list_events", params(After),
    responses((status = 200, description = "A page of CloudEvents 1.0, oldest first.", body = Events)))]
pub async fn page(request: HttpRequest, app: Data<App>, after: Result<Query<After>, actix_web::Error>) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    match read_page(&app, after).await {
        Ok(response) => response,
        Err(problem) => problem.by(caller.request_id.as_str()).response(),
    }
}

async fn read_page(app: &App, after: Result<Query<After>, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let After { after, limit } =
        after.map_err(|error| Problem::invalid(vec![FieldError::new("", error.to_string())]))?.into_inner();
    let (after, live) = (cursor(&after)?, live(app)?);
    let limit = page_limit(limit)?;
    let page = web::block(move || read_after(&live, after, limit).map(|page| page.json())).await;
    let json = page.map_err(|error| internal(&error))?.map_err(|why| refused(&why))?;
    Ok(json_response(HttpResponse::Ok(), json, false))
}

struct Page {
    /// As it is given out.
    after: Cursor,
    found: Vec<Published>,
    next: Cursor,
}

impl Page {
    fn json(&self) -> Vec<u8> {
        let events = self.found.iter().map(|event| CloudEvent::of(event.partition, &event.record)).collect();
        to_json(&Events { events, next: self.next.to_string() })
    }
}

/// Reads on from a cursor that came from outside. Blocks.
fn read_after(live: &Live, after: Cursor, limit: usize) -> Result<Page, Refused> {
    let after = live.cursors.verified(&*live.journal, after)?;
    let found = read(&*live.journal, &after, limit)?;
    let next = found.last().map_or(&after, |event| &event.cursor).clone();
    live.cursors.gave(&next);
    Ok(Page { after, found, next })
}

/// The same as server-sent events. `Last-Event-ID` (or `after`) goes on where a reader left off.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events", operation_id = "stream_events", params(Since, Resume),
    responses((status = 200, content_type = "text/event-stream", body = StreamedEvent,
        description = "Server-sent events without an end. The schema is of one of them.")))]
pub async fn stream(request: HttpRequest, app: Data<App>, since: Result<Query<Since>, actix_web::Error>) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    let start = match begin(&request, &app, since).await {
        Ok(start) => start,
        Err(problem) => return problem.by(caller.request_id.as_str()).response(),
    };
    let body = futures_util::stream::unfold((app, Some(start)), |(app, after)| async move {
        let (text, after) = next_chunk(&app, after?).await?;
        Some((Ok::<_, actix_web::Error>(Bytes::from(text)), (app, after)))
    });
    HttpResponse::Ok().content_type("text/event-stream").insert_header(("Cache-Control", "no-store")).streaming(body)
}

/// Where a stream begins.
async fn begin(request: &HttpRequest, app: &App, since: Result<Query<Since>, actix_web::Error>) -> Result<Cursor, Problem> {
    let malformed = |message: String| Problem::invalid(vec![FieldError::new("", message)]);
    let Since { after } = since.map_err(|error| malformed(error.to_string()))?.into_inner();
    match request.headers().get("last-event-id") {
        None => readable(app, &after).await,
        Some(last) => {
            let none = || malformed("Last-Event-ID is no cursor of this server".to_owned());
            let last = last.to_str().ok().filter(|last| cursor(last).is_ok()).ok_or_else(none)?;
            readable(app, last).await
        }
    }
}

/// The cursor, if there is no problem with reading on from it: once a stream has begun it can only end.
async fn readable(app: &App, text: &str) -> Result<Cursor, Problem> {
    let (start, live) = (cursor(text)?, live(app)?);
    let page = web::block(move || read_after(&live, start, 1)).await.map_err(|error| internal(&error))?;
    Ok(page.map_err(|why| refused(&why))?.after)
}

/// Reads on from where this stream stands.
async fn read_blocking(app: &App, after: Cursor, limit: usize) -> Result<Vec<Published>, Problem> {
    let live = live(app)?;
    let found = web::block(move || read(&*live.journal, &after, limit)).await;
    found.map_err(|error| internal(&error))?.map_err(|error| unread(&error))
}

/// The next events, or a heartbeat, and the cursor to go on from. `None` ends the stream: the reader comes back with its cursor.
/// A server that closes still sends the page that can be read.
async fn next_chunk(app: &App, after: Cursor) -> Option<(String, Option<Cursor>)> {
    let mut committed = app.live.load_full()?.committed.clone();
    committed.mark_unchanged();
    let mut phase = app.phase.subscribe();
    let closing = *phase.borrow_and_update() == Phase::Closing;
    let found = read_blocking(app, after.clone(), PAGE).await.ok()?;
    if let Some(last) = found.last() {
        return Some((text_of(&found)?, (!closing).then(|| last.cursor.clone())));
    }
    if closing {
        return None;
    }
    tokio::select! {
        changed = committed.changed() => changed.ok().map(|()| (": more\n\n".to_owned(), Some(after))),
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => Some((": the server stops\n\n".to_owned(), Some(after))),
        () = tokio::time::sleep(HEARTBEAT) => Some((": still here\n\n".to_owned(), Some(after))),
    }
}

fn text_of(events: &[Published]) -> Option<String> {
    let mut text = String::new();
    for event in events {
        let json = event.cloud_event();
        write!(text, "id: {}\nevent: {}\ndata: {json}\n\n", event.cursor, json["type"].as_str().unwrap_or_default()).ok()?;
    }
    Some(text)
}
