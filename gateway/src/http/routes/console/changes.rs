//! The trail of operators: read for its page, and written for what is begun on the console.

use super::door::{self, Entrance};
use super::respond;
use crate::console::layout::Around;
use crate::console::pages::{Page, changes as changes_page};
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::reply::{unanswered, unavailable};
use crate::http::request_id::request_id;
use crate::http::routes::execute;
use crate::state::App;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Change, Changed};
use holdfast_engine::ids::{KeyName, Label, PartitionId};

/// Changes on a page.
const PAGE: usize = 100;
/// The partition that has the trail.
const TRAIL: PartitionId = PartitionId(0);

#[derive(serde::Deserialize)]
pub(super) struct Before {
    before: Option<u64>,
}

pub(super) async fn page(request: HttpRequest, app: Data<App>, wanted: Parameters<Before>) -> HttpResponse {
    let operator = match door::enter(&request, &app) {
        Entrance::Open(operator) => operator,
        Entrance::Closed(response) => return response,
    };
    match read(&app, wanted.0.before).await {
        Ok(changes) => {
            let older = changes.last().map(|changed| changed.change.number).filter(|last| *last > 1 && changes.len() == PAGE);
            let around = Around { page: Page::Changes, title: "Changes", operator: Some(&operator), live: None };
            respond::page(&around, &changes_page::page(&changes, older))
        }
        Err(problem) => respond::refusal(&problem, Page::Changes, "Changes", &operator),
    }
}

async fn read(app: &App, before: Option<u64>) -> Result<Vec<Changed>, Problem> {
    let command = Command::ListChanges { partition: TRAIL, before, limit: PAGE };
    match execute(app, command).await.map_err(unanswered)?.outcome {
        Ok(Answer::Changes(changes)) => Ok(changes),
        Ok(_) | Err(_) => Err(unavailable()),
    }
}

/// What somebody begins on the console, and what it is to lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    pub(super) what: &'static str,
    pub(super) after: Option<&'a str>,
}

/// Puts what somebody begins on the console into the trail. Where the journal takes nothing it is logged: nobody is kept out of the
/// console by what he wants to look at.
pub(super) async fn record(request: &HttpRequest, app: &App, who: Option<KeyName>, Begun { what, after }: Begun<'_>) {
    let Some(label) = Label::new(what) else { unreachable!("{what} is a label") };
    let (request_id, after) = (request_id(request), after.and_then(Label::new));
    let change = Change { number: 0, who, what: label, before: None, after, note: None, request_id };
    let recorded = execute(app, Command::RecordChanges { partition: TRAIL, changes: vec![change] }).await;
    if let Err(why) = recorded {
        tracing::warn!(what, ?why, "console: this is not in the trail of changes");
    }
}
