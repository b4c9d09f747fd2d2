//! Shards on the console: what each does, moves of partitions, and another number of shards.
//!
//! Invariant: another number of shards was shown as a plan, and the number was written once more by who wants it.

use super::door::{self, Entrance, field};
use super::trail::{self, Begun};
use super::{respond, sight};
use crate::console::layout::Around;
use crate::console::pages::{Live, Page, shards as pages};
use crate::http::body::Body;
use crate::http::problem::{FieldError, Problem};
use crate::http::reply::unavailable;
use crate::http::routes::live;
use crate::state::App;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use holdfast_actors::placement::operations::Refused;
use holdfast_engine::ids::PartitionId;
use maud::Markup;
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
    let after = format!("partition {partition} to shard {shard}, operation {}", operation.id);
    trail::record(&request, &app, operator.name, Begun { what: "partition.move", after: Some(&after) }).await;
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
    let moves = handle.plan_reshard(shards).await.map_err(refusal)?;
    Ok(pages::plan(handle.depths().len(), shards, &moves))
}

pub(super) async fn reshard(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let body = body.0?;
    let (shards, confirm): (usize, usize) = (number(&body, "shards")?, number(&body, "confirm")?);
    if shards != confirm {
        return Err(invalid("confirm", "must be the number of shards that there are to be"));
    }
    let handle = live(&app)?.handle.clone();
    let operation = handle.reshard(shards).await.map_err(refusal)?;
    let after = format!("{shards} shards, operation {}", operation.id);
    trail::record(&request, &app, operator.name, Begun { what: "shards", after: Some(&after) }).await;
    Ok(respond::see_other(Page::Shards.path()))
}
