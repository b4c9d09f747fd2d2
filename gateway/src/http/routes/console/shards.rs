//! Shards on the console: what each does, moves of partitions, and another number of shards.
//!
//! Invariant: another number of shards was shown as a plan, and the number was written once more by who wants it.

use super::door::{self, Entrance, field};
use super::settings::applied;
use super::{respond, sight};
use crate::console::layout::Around;
use crate::console::pages::{Live, Page, shards as pages};
use crate::console::session::Operator;
use crate::http::body::Body;
use crate::http::problem::{FieldError, Problem};
use crate::http::reply::unavailable;
use crate::http::request_id::request_id;
use crate::http::routes::trail::{self, Begun};
use crate::http::routes::tuning::apply::stale;
use crate::http::routes::tuning::planning;
use crate::http::routes::{live, placement};
use crate::settings::SHARDS;
use crate::state::App;
use crate::tuning::plan;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use holdfast_actors::placement::operations::Refused;
use holdfast_engine::ids::PartitionId;
use maud::Markup;
use std::collections::BTreeMap;
use std::str::FromStr;

pub(super) async fn page(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let operator = match door::enter(&request, &app) {
        Entrance::Open(operator) => operator,
        Entrance::Closed(response) => return response,
    };
    let around = Around { page: Page::Shards, title: "Shards", operator: Some(&operator), live: Some(Live::Shards) };
    respond::page(&around, &pages::page(&sight::of(&app).await, &operator))
}

/// A number of a form.
fn number<T: FromStr>(body: &[u8], name: &str) -> Result<T, Problem> {
    let wrong = || invalid(name, "must be a number");
    field(body, name).and_then(|text| text.trim().parse().ok()).ok_or_else(wrong)
}

fn invalid(name: &str, message: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(format!("/{name}"), message)])
}

fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::Partition => invalid("partition", "is none that this server has"),
        Refused::Shard(_) => invalid("shard", &refused.to_string()),
        Refused::Shards(_) => invalid("shards", &refused.to_string()),
        Refused::Running(_) => invalid("", &format!("{refused}: there is one at a time")),
        Refused::Stopping => unavailable(),
    }
}

/// Moves one partition.
pub(super) async fn relocate(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let body = body.0?;
    let (partition, shard): (u16, usize) = (number(&body, "partition")?, number(&body, "shard")?);
    let handle = live(&app)?.handle.clone();
    let operation = handle.move_partition(PartitionId(partition), shard).map_err(refusal)?;
    placement::record(&app, (operator.name, request_id(&request)), PartitionId(partition), shard, operation.id).await;
    Ok(respond::see_other(Page::Shards.path()))
}

/// Says what another number of shards would move. It changes nothing.
pub(super) async fn plan(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let around = Around { page: Page::Shards, title: "Another number of shards", operator: Some(&operator), live: None };
    Ok(match planned(&app, &body.0?).await {
        Ok(contents) => respond::page(&around, &contents),
        Err(problem) => respond::refusal(&problem, around.page, around.title, &operator),
    })
}

async fn planned(app: &App, body: &[u8]) -> Result<Markup, Problem> {
    let shards: usize = number(body, "shards")?;
    let handle = live(app)?.handle.clone();
    if shards == handle.shards() {
        let moves = handle.plan_reshard(shards).await.map_err(refusal)?;
        return Ok(pages::level(shards, counted(app, moves.len())));
    }
    let wanted = BTreeMap::from([(SHARDS.to_owned(), shards.into())]);
    let message = |refused: &plan::Refused| FieldError::new("/shards", refused.message.clone());
    let planned = planning::plan(app, &wanted).await;
    let plan = planned.map_err(|refused| Problem::invalid(refused.iter().map(message).collect()))?;
    let moves = counted(app, planning::moves(app, &plan).await?.len());
    let contents = pages::plan(&plan, (handle.shards(), shards), moves);
    app.tuning.remember(plan);
    Ok(contents)
}

fn counted(app: &App, count: usize) -> pages::Moves {
    pages::Moves { count, pause_ms: planning::pause_estimate_ms(app, count) }
}

pub(super) async fn reshard(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let body = body.0?;
    let (shards, confirm): (usize, usize) = (number(&body, "shards")?, number(&body, "confirm")?);
    if shards != confirm {
        return Err(invalid("confirm", "must be the number of shards that there are to be"));
    }
    match field(&body, "plan").filter(|plan| !plan.is_empty()) {
        Some(id) => {
            // One of another number was not what was confirmed.
            app.tuning.plan(&id).filter(|plan| plan.shards() == Some(shards)).ok_or_else(stale)?;
            applied(&request, app, operator, &body).await?;
        }
        None => level(&request, &app, operator, shards).await?,
    }
    Ok(respond::see_other(Page::Shards.path()))
}

/// Levels what the shards there are have to do: no setting changes by that.
async fn level(request: &HttpRequest, app: &App, operator: Operator, shards: usize) -> Result<(), Problem> {
    let handle = live(app)?.handle.clone();
    if shards != handle.shards() {
        return Err(stale());
    }
    let operation = handle.reshard(shards).await.map_err(refusal)?;
    let after = format!("operation {}", operation.id);
    trail::record(app, (operator.name, request_id(request)), Begun { what: "shards.level", after: Some(&after) }).await;
    Ok(())
}
