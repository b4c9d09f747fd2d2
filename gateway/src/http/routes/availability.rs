//! What can be had of many SKUs now.
//!
//! Invariant: nothing is held by asking, and each partition is asked once.

use super::live;
use super::resource::resource;
use super::sender::Sender;
use crate::http::body::Body;
use crate::http::body::json::json;
use crate::http::problem::{FieldError, Problem};
use crate::http::reply;
use crate::http::request::{AvailabilityIn, Checker};
use crate::http::view::{self, AvailabilityBody};
use crate::state::App;
use crate::wire::figures::grouped;
use crate::wire::json::to_json;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::ids::{PartitionId, Sku};
use holdfast_engine::limits;
use std::collections::BTreeMap;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/v1/availability:query").on(Method::POST, availability));
}

/// What can be had now, for up to 1,000 SKUs. Holds nothing.
#[utoipa::path(post, path = "/v1/availability:query", tag = "stock", operation_id = "query_availability", request_body = AvailabilityIn,
    responses((status = 200, description = "One item a SKU, in the order asked.", body = AvailabilityBody<'static>)))]
pub async fn availability(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let AvailabilityIn { skus } = json(&request, body)?;
    if skus.len() > limits::MAX_QUERY {
        let message = format!("must have at most {} SKUs (availability_skus)", grouped(limits::MAX_QUERY as u64));
        return Err(Problem::invalid(vec![FieldError::new("/skus", message)]));
    }
    let mut checker = Checker::default();
    let asked: Vec<Sku> =
        skus.iter().enumerate().filter_map(|(index, sku)| checker.sku(sku, || format!("/skus/{index}"))).collect();
    if !checker.errors.is_empty() {
        return Err(Problem::invalid(checker.errors));
    }
    let found = available(&app, Sender::current(), &asked).await?;
    let items: Vec<_> = asked.iter().map(|sku| view::availability_item(sku, found.get(sku).copied().flatten())).collect();
    Ok(reply::json_response(HttpResponse::Ok(), to_json(&AvailabilityBody { items }), false))
}

/// Units of each SKU that can be had now; `None` for one that nobody stocked.
pub async fn available(app: &App, sender: Sender, skus: &[Sku]) -> Result<BTreeMap<Sku, Option<u64>>, Problem> {
    let partitions = live(app)?.handle.router().partitions;
    let mut by_partition: BTreeMap<PartitionId, Vec<Sku>> = BTreeMap::new();
    for sku in skus {
        by_partition.entry(partitions.of_sku(sku)).or_default().push(sku.clone());
    }
    let mut sent = Vec::with_capacity(by_partition.len());
    for (partition, skus) in by_partition {
        let pending = sender.send(app, Command::Availability { partition, skus }).await;
        sent.push(pending.map_err(reply::unanswered)?);
    }
    let mut found: BTreeMap<Sku, Option<u64>> = BTreeMap::new();
    for pending in sent {
        let reply = pending.await.map_err(reply::unanswered)?;
        if let Ok(Answer::Availability(items)) = reply.outcome {
            found.extend(items);
        }
    }
    Ok(found)
}
