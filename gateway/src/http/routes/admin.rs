//! What operators ask of the shards.

use super::live;
use super::resource::resource;
use crate::http::problem::Problem;
use crate::state::App;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use holdfast_actors::inbox::ShardReport;
use serde::Serialize;
use utoipa::ToSchema;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/admin/v1/shards").on(Method::GET, shards));
}

/// The shards of this server.
#[derive(Serialize, ToSchema)]
struct Shards {
    shards: Vec<Shard>,
}

/// A shard and what is on it.
#[derive(Serialize, ToSchema)]
struct Shard {
    shard: usize,
    epoch: u64,
    /// Requests in hand, and how many there may be.
    depth: usize,
    limit: usize,
    partitions: Vec<u16>,
    orders: usize,
    skus: usize,
    holds: usize,
}

impl From<ShardReport> for Shard {
    fn from(report: ShardReport) -> Self {
        let ShardReport { shard, epoch, depth, limit, partitions, orders, skus, holds, requests: _, heat: _ } = report;
        Self { shard, epoch, depth, limit, partitions, orders, skus, holds }
    }
}

/// Depth, partitions, orders and holds of each shard.
#[utoipa::path(get, path = "/admin/v1/shards", tag = "admin", operation_id = "list_shards",
    responses((status = 200, description = "Every shard that answered.", body = Shards)))]
pub async fn shards(app: Data<App>) -> Result<HttpResponse, Problem> {
    let handle = live(&app)?.handle.clone();
    let reports = handle.reports().await;
    Ok(HttpResponse::Ok().json(Shards { shards: reports.into_iter().map(Shard::from).collect() }))
}
