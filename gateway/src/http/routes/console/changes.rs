//! The page of the trail of operators.

use super::door::{self, Entrance};
use super::respond;
use crate::console::layout::Around;
use crate::console::pages::{Page, changes as changes_page};
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::reply::{unanswered, unavailable};
use crate::http::routes::execute;
use crate::http::routes::trail::TRAIL;
use crate::state::App;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::Changed;

/// Changes on a page.
const PAGE: usize = 100;

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
