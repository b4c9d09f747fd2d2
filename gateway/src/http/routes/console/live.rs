//! Frames of a page as server-sent events, and what makes one of them each second.
//!
//! Invariants: a stream ends with the session of who opened it, without using it; nothing is asked of the shards while nobody looks.

use super::{door, respond, sight};
use crate::console::frames::{Full, MOST_VIEWERS, Viewer};
use crate::console::pages::Live;
use crate::console::session::SessionId;
use crate::http::parameters::Parameters;
use crate::http::problem::{Code, Problem};
use crate::process::stopping::Phase;
use crate::state::App;
use crate::telemetry::tally::ANSWERS;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_secs(1);

#[derive(serde::Deserialize)]
pub(super) struct Of {
    #[serde(default)]
    page: String,
}

/// Makes a frame each second as long as the process runs.
pub async fn tick(app: Data<App>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        app.console.history.push(ANSWERS.orders_now());
        app.console.logins.forget();
        metrics::gauge!("holdfast_console_viewers").set(app.console.frames.viewers() as f64);
        if app.console.frames.are_watched() {
            let sight = sight::of(&app).await;
            app.console.frames.publish(&sight, &app.console.audits);
        }
    }
}

pub(super) async fn frames(request: HttpRequest, app: Data<App>, of: Parameters<Of>) -> Result<HttpResponse, Problem> {
    let none = || Problem::new(Code::Unauthorized, "there is no session, or it has ended: sign in at /console/login");
    let operator = door::operator(&request, &app)?.ok_or_else(none)?;
    let page = Live::named(&of.0.page).ok_or_else(|| Problem::parameter("page", "must be a page that is kept up to date"))?;
    let viewer = app.console.frames.enter(page).map_err(full)?;
    let stream = Stream { app, session: operator.session, viewer };
    let body = futures_util::stream::unfold(stream, |mut stream| async move {
        let frame = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(frame), stream))
    });
    let mut response = HttpResponse::Ok();
    respond::guard(&mut response);
    response.insert_header((CACHE_CONTROL, "no-store"));
    Ok(response.content_type("text/event-stream").streaming(body))
}

fn full(_: Full) -> Problem {
    Problem::new(Code::Overloaded, format!("{MOST_VIEWERS} tabs are kept up to date already, and no more are"))
}

struct Stream {
    app: Data<App>,
    session: Option<SessionId>,
    viewer: Viewer,
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        let mut phase = self.app.phase.subscribe();
        let frame = tokio::select! {
            frame = self.viewer.next() => frame?,
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => return None,
        };
        self.counts().then_some(frame)
    }

    /// Whether who opened it may still look.
    fn counts(&self) -> bool {
        match (&*self.app.keys.now(), self.session) {
            (None, None) => true,
            (Some(keys), Some(session)) => self.app.console.sessions.counts(session, keys, Instant::now()),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}
