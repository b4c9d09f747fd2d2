//! Events over HTTP: pages after a cursor, and a stream that follows.

use super::resource::resource;
use super::{live, own, page_limit, refused};
use crate::events::cursor::Refused;
use crate::events::streams::{Chunk, NoRoom, Place, slice};
use crate::events::{CloudEvent, Cursor, Page, read};
use crate::http::caller::{Caller, is_taken};
use crate::http::client;
use crate::http::parameters::Parameters;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply::json_response;
use crate::keys::Role;
use crate::process::stopping::Phase;
use crate::state::{App, Live};
use crate::wire::scalars;
use actix_web::http::Method;
use actix_web::web::{Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use std::ops::ControlFlow;
use std::time::Duration;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Schema};
use utoipa::{IntoParams, ToSchema};

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
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written as text")]
struct Events {
    events: Vec<CloudEvent<'static>>,
    #[schema(value_type = scalars::Cursor)]
    next: String,
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|()| Problem::parameter("after", "is no cursor of this server"))
}

/// Everything that happened, in order, from any cursor on. What operators change is for viewers and admins; links to pay are not for viewers.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "list_events", params(After),
    responses((status = 200, description = "A page of CloudEvents 1.0, oldest first.", body = Events)))]
pub async fn page(app: Data<App>, caller: Caller, after: Parameters<After>) -> Result<HttpResponse, Problem> {
    own::sees_all(&app, &caller)?;
    let Parameters(After { after, limit }) = after;
    let (after, live) = (cursor(&after)?, live(&app)?);
    let limit = page_limit(limit)?;
    let page = beside(&app, move || read_after(&live, caller.role, after, limit)).await?;
    Ok(json_response(HttpResponse::Ok(), page.json, false))
}

/// Reads for whoever sent the request that is being served, on the threads that read pages.
async fn beside<T: Send + 'static>(app: &App, read: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Problem> {
    let found = app.pages.run(client::current(), read).await;
    // That it panicked is logged and counted where it did.
    let panicked = || Problem::new(Code::Internal, "the events could not be rendered");
    found.ok_or_else(panicked)?.map_err(|why| refused(&why))
}

/// Reads on from a cursor that came from outside. Blocks.
fn read_after(live: &Live, role: Role, after: Cursor, limit: usize) -> Result<Page, Refused> {
    let after = live.cursors.verified(&*live.journal, after)?;
    let page = Page::read(&*live.journal, role, &after, limit)?;
    live.cursors.gave(&page.next);
    Ok(page)
}

fn no_room(why: NoRoom) -> Problem {
    let detail = match why {
        NoRoom::Full => "as many streams of events are open as there may be",
        NoRoom::ShareTaken => "this client has its share of the streams of events, and the last ones are for others",
    };
    Problem::new(Code::Overloaded, detail)
}

/// The same as server-sent events. `Last-Event-ID` (or `after`) goes on where a reader left off.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events", operation_id = "stream_events", params(Since, Resume),
    responses((status = 200, content_type = "text/event-stream", body = StreamedEvent,
        description = "Server-sent events without an end. The schema is of one of them.")))]
pub async fn stream(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    since: Parameters<Since>,
) -> Result<HttpResponse, Problem> {
    own::sees_all(&app, &caller)?;
    let Parameters(Since { after }) = since;
    let start = begin(&request, &app, &after).await?;
    let percent = app.tuned.load().server.key_share_percent;
    let place = app.streams.enter(client::current(), percent).map_err(no_room)?;
    let stream =
        Stream { app, place, key: caller.key, role: caller.role, after: start, rest: Bytes::new(), at_end: false, over: false };
    let body = futures_util::stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(text), stream))
    });
    let mut response = HttpResponse::Ok();
    Ok(response.content_type("text/event-stream").insert_header(("Cache-Control", "no-store")).streaming(body))
}

/// Where a stream begins.
async fn begin(request: &HttpRequest, app: &App, after: &str) -> Result<Cursor, Problem> {
    match request.headers().get("last-event-id") {
        None => readable(app, after).await,
        Some(last) => {
            let none = || Problem::invalid(vec![FieldError::new("", "Last-Event-ID is no cursor of this server")]);
            let last = last.to_str().ok().filter(|last| cursor(last).is_ok()).ok_or_else(none)?;
            readable(app, last).await
        }
    }
}

/// The cursor, if there is no problem with reading on from it: once a stream has begun it can only end.
async fn readable(app: &App, text: &str) -> Result<Cursor, Problem> {
    let (after, live) = (cursor(text)?, live(app)?);
    beside(app, move || {
        let after = live.cursors.verified(&*live.journal, after)?;
        read(&*live.journal, &after, 1, &mut |_| ControlFlow::Break(()))?;
        // As it is given out.
        Ok(after)
    })
    .await
}

/// A stream that has begun.
struct Stream {
    app: Data<App>,
    place: Place,
    /// The number of its reader's key: a stream ends when that is revoked.
    key: Option<u128>,
    role: Role,
    after: Cursor,
    /// What was read and is not given to the connection yet.
    rest: Bytes,
    /// It has read everything there was.
    at_end: bool,
    over: bool,
}

impl Stream {
    /// The next of its text. `None` ends the stream: the reader comes back with its cursor.
    async fn next(&mut self) -> Option<Bytes> {
        self.place.asked();
        if self.rest.is_empty() {
            let Some(more) = self.more().await else {
                self.place.ends();
                return None;
            };
            self.rest = more;
        }
        self.place.gives();
        Some(slice(&mut self.rest))
    }

    /// The next events, or a heartbeat.
    async fn more(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if self.at_end {
            // What comes at once is told at once: no stream looks at each commit.
            tokio::time::sleep(self.app.streams.pause()).await;
        }
        // Asked last: it may be revoked while there is nothing to tell.
        self.read().await.filter(|_| is_taken(&self.app, self.key))
    }

    /// A server that closes still sends what can be read.
    async fn read(&mut self) -> Option<Bytes> {
        loop {
            let live = self.app.live.load_full()?;
            let mut committed = live.committed.clone();
            committed.mark_unchanged();
            let mut phase = self.app.phase.subscribe();
            self.over = *phase.borrow_and_update() == Phase::Closing;
            let asker = (self.place.client(), self.role);
            let found = self.app.streams.reader.next(asker, live.journal.clone(), self.after.clone()).await;
            let found =
                found.inspect_err(|error| tracing::warn!(%error, "a stream of events ends: it cannot be read on")).ok()?;
            if let Some(Chunk { text, next, last }) = found {
                (self.after, self.at_end) = (next, last);
                if text.is_empty() {
                    // Nothing in it was for this reader.
                    continue;
                }
                return Some(text);
            }
            if self.over {
                return Some(Bytes::from_static(b": the server stops\n\n"));
            }
            // An engine that is gone commits nothing more.
            drop(live);
            tokio::select! {
                changed = committed.changed() => changed.ok()?,
                _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }
}
